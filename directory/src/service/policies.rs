//! Setting a connection's policy: what it names must be there.

use std::collections::BTreeSet;

use muster_proto::{schema::Registry, value::Object};

use super::target::record;
use crate::{
    auth::Caller,
    clock::Source,
    domain::{
        Resource,
        filter::{Field, Filter, Operator},
        history::{Change, ChangeKind},
        page::PageRequest,
        policy::Policy,
        resource::ResourceKind,
    },
    error::{Error, Result, Violation},
    storage::{
        Scope, Tx, held,
        relations::Wants,
        resources::{self, Reach, Selection},
        schemas, tenants,
    },
};

const GROUPS: &str = "default_groups";
const PROTECTED: &str = "protected_users";

/// The policy as it is kept: paths as the registry spells them, groups and users by
/// their ids. Users whom the former policy named may be gone.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong.
pub(super) async fn settled(
    tx: &Tx,
    caller: &Caller,
    source: &dyn Source,
    policy: Policy,
    former: &Policy,
) -> Result<Policy> {
    let registry = schemas::registry(tx, &caller.tenant_id).await?;
    let mut policy = policy.checked(registry.user)?;
    let settling = Settling {
        tx,
        caller,
        registry,
    };
    let mut groups = BTreeSet::new();
    for group in &mut policy.default_groups {
        group.truncate(group.trim_end().len());
        let id = settling.find(ResourceKind::Group, group).await?;
        let id = match id {
            Some(id) => id,
            None if policy.create_default_groups => settling.create(source, group).await?,
            None => return Err(unknown(GROUPS, "group", group)),
        };
        if !groups.insert(id.clone()) {
            return Err(Error::invalid(
                GROUPS,
                format!("names the group {group:?} twice"),
            ));
        }
        *group = id;
    }
    let mut users = BTreeSet::new();
    for user in &policy.protected_users {
        users.insert(settling.protected(user, former).await?);
    }
    policy.protected_users = users.into_iter().collect();
    Ok(policy)
}

/// Checks that the policies of a tenant's connections can still be meant, with the
/// schemas that it has now.
///
/// # Errors
/// [`Error::SchemaInvalid`] with the connection.
pub(super) async fn recheck(tx: &Tx, tenant_id: &str) -> Result<()> {
    let registry = schemas::registry(tx, tenant_id).await?;
    for connection in tenants::list_connections(tx, tenant_id).await? {
        if let Err(Error::Invalid(faults)) = connection.policy.checked(registry.user) {
            let of = |fault: Violation| {
                let field = format!(
                    "policy of connection {:?}: {}",
                    connection.name, fault.field
                );
                Violation::new(field, fault.rule)
            };
            return Err(Error::SchemaInvalid(faults.into_iter().map(of).collect()));
        }
    }
    Ok(())
}

fn unknown(field: &str, what: &str, name: &str) -> Error {
    Error::invalid(
        field,
        format!("names the {what} {name:?}, which is not there"),
    )
}

/// The id of the user with this `userName`, or the group with this `displayName`.
///
/// # Errors
/// The database's.
pub(super) async fn named(
    tx: &Tx,
    scope: Scope<'_>,
    kind: ResourceKind,
    name: &str,
) -> Result<Option<String>> {
    let by = match kind {
        ResourceKind::User => "userName",
        ResourceKind::Group => "displayName",
    };
    let field = Field::find(kind.within(scope.registry), "", by, "")?;
    let filter = Filter::compare(field, Operator::Equal, name.to_owned().into())?;
    let selection = Selection {
        filter: Some(&filter),
        sort: None,
        reach: Reach::Live,
        wants: Wants::NONE,
    };
    let page = PageRequest::new(1, 0, None)?;
    let found = resources::list(tx, scope, kind, &selection, &page).await?;
    Ok(found.0.items.into_iter().next().map(|(found, _)| found.id))
}

struct Settling<'a> {
    tx: &'a Tx,
    caller: &'a Caller,
    registry: &'static Registry,
}

impl Settling<'_> {
    fn scope(&self) -> Scope<'_> {
        Scope {
            registry: self.registry,
            ..self.caller.scope()
        }
    }

    /// The id of what has this id or name.
    async fn find(&self, kind: ResourceKind, wanted: &str) -> Result<Option<String>> {
        let (reach, wants) = (Reach::Live, Wants::NONE);
        let found = resources::load(self.tx, self.scope(), kind, wanted, reach, wants).await?;
        match found {
            Some(((found, _), _)) => Ok(Some(found.id)),
            None => named(self.tx, self.scope(), kind, wanted).await,
        }
    }

    /// The id of a user who is to be protected.
    async fn protected(&self, wanted: &str, former: &Policy) -> Result<String> {
        let was_named = former.protected_users.iter().any(|id| id == wanted);
        let found = self.find(ResourceKind::User, wanted).await?;
        let known = found.or_else(|| was_named.then(|| wanted.to_owned()));
        let id = known.ok_or_else(|| unknown(PROTECTED, "user", wanted))?;
        let held = held::find(self.tx, &self.caller.tenant_id, &id).await?;
        match held.is_some() {
            false => Ok(id),
            true => Err(Error::invalid(
                PROTECTED,
                format!(
                    "names the user {wanted:?}, whose deactivation waits: release or drop it first"
                ),
            )),
        }
    }

    async fn create(&self, source: &dyn Source, name: &str) -> Result<String> {
        let attributes = Object::from([("displayName".to_owned(), name.to_owned().into())]);
        let (kind, schema) = (ResourceKind::Group, self.registry.group);
        let group = Resource::new(kind, schema, source.new_id(), attributes, source.now_ms())?;
        resources::insert(self.tx, self.scope(), &group).await?;
        let changes = [Change::of(ChangeKind::Created, &group)];
        record(self.tx, self.caller, "CreateGroup", &group, &changes).await?;
        Ok(group.id)
    }
}
