//! Users who are created through a connection: who is there already, and what a new
//! one joins.

use muster_proto::value::{Object, Value};

use super::{
    leaving,
    policies::named,
    resources::Written,
    revocation::regard_access,
    target::{advance, record},
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        access::Lock,
        filter::{Field, Filter, Operator},
        history::{Change, ChangeKind},
        page::PageRequest,
        policy::{MatchKey, OnMatch, Path, Said},
        report::{Ignored, Outcome, Report},
        resource::ResourceKind,
    },
    error::{Error, Result, Taken},
    storage::{
        Tx, held,
        members::{self, NewMember},
        relations::{Relations, Wants},
        resources::{self, Reach, Selection},
        subjects,
    },
};

const METHOD: &str = "CreateUser";

const USER_NAME: &str = "userName";

/// Whoever is created is active or not, and nothing of him is taken away.
const SAID: Said = Said {
    active: true,
    whole: true,
};

/// Why a new user may not act yet.
pub(super) const AWAITS: &str = "awaits activation";

/// Most users who are gone among whom the last one is looked for.
const GONE: i32 = 1_000;

const NO_GROUP: &str = "is the default group of this connection, and is not there any more";

/// Creates a user, or takes over the one who is there. `says_active`: whether the
/// request says if the user is active, and not we.
pub(super) async fn create(
    tx: &Tx,
    caller: &Caller,
    mut user: Resource,
    says_active: bool,
    now: i64,
) -> Result<Written> {
    // Whoever is found may be found by what is filled, and lacks nothing that is.
    let (policy, mut filled) = (&caller.profile.policy, user.attributes.clone());
    policy.fill_mirrors(&Object::new(), &mut filled);
    let Some((found, key)) = find(tx, caller, &filled).await? else {
        return insert(tx, caller, user, now).await;
    };
    policy.complete(&filled)?;
    // Who is disabled is not enabled by saying nothing; who was gone begins anew.
    if !says_active && found.deleted_at.is_none() {
        user.attributes.remove("active");
    }
    take_over(tx, caller, (found, key), user, says_active, now).await
}

async fn insert(tx: &Tx, caller: &Caller, mut user: Resource, now: i64) -> Result<Written> {
    let (scope, policy) = (caller.scope(), &caller.profile.policy);
    let mut ignored = policy.admit(None, &mut user, SAID)?;
    user.check(scope.registry.user)?;
    if policy.require_activation {
        user.access.lock = Some(Lock {
            at: now,
            reason: AWAITS.to_owned(),
        });
    }
    // An operator's word outlives a deletion: nobody comes back without it while the
    // deleted one is kept.
    let names = (
        user.text("userName").unwrap_or_default(),
        user.text("externalId"),
    );
    if let Some(lock) = subjects::lock_of_former(tx, scope, names, AWAITS).await? {
        user.access.lock = Some(lock);
    }
    resources::insert(tx, scope, &user).await?;
    let mut changes = vec![Change::of(ChangeKind::Created, &user)];
    for group_id in &policy.default_groups {
        match join(tx, caller, group_id, &user.id, now).await? {
            Some(change) => changes.push(change),
            None => ignored.push(Ignored {
                path: "groups".to_owned(),
                reason: NO_GROUP.into(),
            }),
        }
    }
    let position = record(tx, caller, METHOD, &user, &changes).await?;
    let relations = match changes.len() > 1 && policy.groups_enabled {
        true => relations(tx, caller, &user.id).await?,
        // A new user is in no group.
        false => Relations::default(),
    };
    Ok(Written {
        view: View::after(tx, scope, None, user, relations).await?,
        position: Some(position),
        report: Report {
            ignored,
            ..Report::of(Outcome::Created)
        },
    })
}

async fn relations(tx: &Tx, caller: &Caller, id: &str) -> Result<Relations> {
    let (scope, kind, wants) = (caller.scope(), ResourceKind::User, caller.seen(Wants::ALL));
    let found = resources::load(tx, scope, kind, id, Reach::Live, wants).await?;
    Ok(found
        .map(|((_, relations), _)| relations)
        .unwrap_or_default())
}

/// Makes a user a member of a group; `None` when there is no such group.
async fn join(
    tx: &Tx,
    caller: &Caller,
    group_id: &str,
    user_id: &str,
    now: i64,
) -> Result<Option<Change>> {
    let (scope, kind) = (caller.scope(), ResourceKind::Group);
    let found = resources::load(tx, scope, kind, group_id, Reach::Live, Wants::NONE).await?;
    let Some(((before, _), _)) = found else {
        return Ok(None);
    };
    let mut after = before.clone();
    advance(&mut after, now);
    let member = NewMember {
        id: user_id.to_owned(),
        is_group: false,
    };
    members::add(tx, group_id, &[member]).await?;
    resources::update(tx, scope, &before, &after).await?;
    let kind = ChangeKind::MemberAdded;
    Ok(Some(Change::member(kind, &after, user_id, false)))
}

/// The user who is meant by what is sent, and by which value he was found.
async fn find(tx: &Tx, caller: &Caller, sent: &Object) -> Result<Option<(Resource, MatchKey)>> {
    let policy = &caller.profile.policy;
    if caller.connection().is_none() {
        return Ok(None);
    }
    for key in &policy.match_order {
        let found = candidates(tx, caller, *key, sent).await?;
        let mut found = found.into_iter();
        match (found.next(), found.next()) {
            (Some(user), None) => {
                claim(caller, &user, *key, sent)?;
                return Ok(Some((user, *key)));
            }
            // Nobody can tell which of them is meant.
            (Some(_), Some(_)) => return Err(conflict(*key)),
            (None, _) => {}
        }
    }
    Ok(None)
}

/// Users with the value that is sent: one who is not deleted before any who is.
async fn candidates(
    tx: &Tx,
    caller: &Caller,
    key: MatchKey,
    sent: &Object,
) -> Result<Vec<Resource>> {
    let path = key.path();
    let Some(value) = path.get(sent).filter(|value| value.as_str().is_some()) else {
        return Ok(Vec::new());
    };
    let filter = equal(caller, &path, value)?;
    let live = matching(tx, caller, &filter, Reach::Live, 2).await?;
    if !live.is_empty() || !caller.profile.policy.match_deleted {
        return Ok(live);
    }
    // Of those who are gone the last one is meant, unless he is somebody else: whoever
    // is gone is in nobody's way.
    let gone = matching(tx, caller, &filter, Reach::Deleted, GONE).await?;
    let own = gone.into_iter();
    let own = own.filter(|user| claim(caller, user, key, sent).is_ok());
    let last = own.max_by_key(|user| user.deleted_at);
    Ok(last.into_iter().collect())
}

async fn matching(
    tx: &Tx,
    caller: &Caller,
    filter: &Filter,
    reach: Reach,
    most: i32,
) -> Result<Vec<Resource>> {
    let selection = Selection {
        filter: Some(filter),
        sort: None,
        reach,
        wants: Wants::NONE,
    };
    let (kind, page) = (ResourceKind::User, PageRequest::new(most, 0, None)?);
    let (page, _) = resources::list(tx, caller.scope(), kind, &selection, &page).await?;
    Ok(page.items.into_iter().map(|(user, _)| user).collect())
}

fn equal(caller: &Caller, path: &Path, value: &Value) -> Result<Filter> {
    let schema = caller.scope().registry.user;
    let urn = path.extension.as_deref().unwrap_or_default();
    let Some(kind) = &path.of_type else {
        let field = Field::find(schema, urn, &path.attribute, "")?;
        return Filter::compare(field, Operator::Equal, value.clone());
    };
    let field = Field::find(schema, urn, &path.attribute, "")?;
    let attribute = schema.core_attribute(&path.attribute);
    let attribute = attribute.ok_or_else(|| Error::internal(format!("{path} is not there")))?;
    let part = |name: &str, value: Value| {
        let field = Field::element(attribute, name)?;
        Filter::compare(field, Operator::Equal, value)
    };
    let of_type = part("type", Value::String(kind.clone()))?;
    let sub = path.sub.as_deref().unwrap_or("value");
    let with_value = part(sub, value.clone())?;
    let both = Filter::And(vec![of_type, with_value]);
    Ok(Filter::Element(field, Box::new(both)))
}

/// Checks that the connection may take this user over.
fn claim(caller: &Caller, user: &Resource, key: MatchKey, sent: &Object) -> Result<()> {
    let policy = &caller.profile.policy;
    if policy.on_match == OnMatch::Conflict {
        return Err(conflict(key));
    }
    // Whom the connection calls by another name is somebody else.
    let known = user.text("externalId");
    let said = sent.get("externalId").and_then(Value::as_str);
    if known.is_some() && said.is_some() && known != said {
        return Err(conflict(key));
    }
    let owner = user.owner.as_deref();
    let is_foreign = known.is_none() && owner.is_some() && owner != caller.connection();
    match is_foreign && !policy.match_foreign {
        true => Err(conflict(key)),
        false => Ok(()),
    }
}

fn conflict(key: MatchKey) -> Error {
    match key {
        MatchKey::ExternalId => Error::Taken(Taken::ExternalId),
        MatchKey::UserName => Error::Taken(Taken::UserName),
        MatchKey::WorkEmail | MatchKey::EmployeeNumber => Error::ValueTaken(key.path().to_string()),
    }
}

async fn take_over(
    tx: &Tx,
    caller: &Caller,
    (found, key): (Resource, MatchKey),
    sent: Resource,
    says_active: bool,
    now: i64,
) -> Result<Written> {
    let (scope, policy) = (caller.scope(), &caller.profile.policy);
    let mut before = found.clone();
    let was_gone = before.deleted_at.take().is_some();
    let mut changes = match was_gone {
        true => brought_back(tx, &mut before, now).await?,
        false => Vec::new(),
    };
    let mut after = before.clone();
    let name = sent.attributes.get(USER_NAME).cloned();
    after.attributes = policy.united(&before.attributes, sent.attributes);
    after.owner = before.owner.clone().or(sent.owner);
    let mut ignored = policy.admit(Some(&before), &mut after, SAID)?;
    if was_gone {
        keep_free_name(tx, caller, &mut after, name).await?;
    }
    after.check(scope.registry.user)?;
    let waits = match was_gone {
        // He had no access that could wait.
        true => false,
        false => {
            let pair = (&before, &mut after);
            leaving::regard(tx, caller, pair, says_active, &mut ignored, now).await?
        }
    };
    let mut report = Report::between(&before, &after);
    if after.attributes != before.attributes || after.access != before.access {
        advance(&mut after, now);
        regard_access(tx, caller, &before, &mut after, now).await?;
        changes.push(Change::between(&before, &after));
    }
    match was_gone {
        true => resources::restore_as(tx, scope, &found, &after).await?,
        false => resources::update(tx, scope, &before, &after).await?,
    }
    if was_gone && after.active() {
        held::forget_noted(tx, &after.id).await?;
        report.outcome = Outcome::Enabled;
    }
    let position = match changes.is_empty() {
        true => None,
        false => Some(record(tx, caller, METHOD, &after, &changes).await?),
    };
    let relations = relations(tx, caller, &after.id).await?;
    Ok(Written {
        view: View::after(tx, scope, Some(&before), after, relations).await?,
        position,
        report: Report {
            ignored,
            held: waits,
            matched_by: Some(key.path().to_string()),
            ..report
        },
    })
}

/// Whoever comes back keeps the name that he had, as the policy has it, unless it is
/// somebody else's by now: then he has the one that is sent.
async fn keep_free_name(
    tx: &Tx,
    caller: &Caller,
    user: &mut Resource,
    sent: Option<Value>,
) -> Result<()> {
    let kept = user.text(USER_NAME).unwrap_or_default();
    let holder = named(tx, caller.scope(), ResourceKind::User, kept).await?;
    if let (Some(_), Some(sent)) = (holder.filter(|holder| *holder != user.id), sent) {
        user.attributes.insert(USER_NAME.to_owned(), sent);
    }
    Ok(())
}

/// What changes with a user who was gone, before anything else does.
async fn brought_back(tx: &Tx, user: &mut Resource, now: i64) -> Result<Vec<Change>> {
    advance(user, now);
    let edges = members::edges_of(tx, &user.id).await?;
    let undeleted = Change::of(ChangeKind::Undeleted, user);
    let restored = edges.into_iter();
    let restored = restored.map(|edge| Change::restored(edge, user));
    Ok([undeleted].into_iter().chain(restored).collect())
}
