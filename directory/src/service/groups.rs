//! Groups and their members.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    sync::Arc,
};

use muster_proto::value::Object;

use super::replays::Write;
use super::{
    Directory,
    reading::{Consistency, Reading},
    resources::Written,
    target::{Target, advance, check_profile, record},
    view::View,
};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        filter::Filter,
        history::{Change, ChangeKind, Position},
        page::{Page, PageRequest},
        patch::{self, Operation},
        policy::OnUnknownMember,
        report::{Ignored, Outcome, Report},
        resource::ResourceKind,
        version::Precondition,
    },
    error::{Error, Result},
    storage::{
        Tx,
        members::{self, Member, NewMember},
        relations::Wants,
        resources::{self, Reach},
    },
};

/// Most members that one request may name.
pub const MEMBER_LIMIT: usize = 100_000;

/// Names a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference {
    /// By the id of a user.
    User(String),
    /// By the id of a group.
    Group(String),
    /// By the id of either.
    Id(String),
    /// By the id of either, else by an external id of the caller's connection.
    Any(String),
}

impl Reference {
    fn text(&self) -> &str {
        match self {
            Self::User(text) | Self::Group(text) | Self::Id(text) | Self::Any(text) => text,
        }
    }
}

/// One step of a change to a group.
#[derive(Debug, Clone, PartialEq)]
pub enum Modification {
    /// Changes an attribute.
    Patch(Operation),
    /// Replaces all attributes; members stay.
    ReplaceAttributes(Object),
    /// Adds members; those who are in stay in.
    Add(Vec<Reference>),
    /// Removes members; those who are not in are passed over.
    Remove(Vec<Reference>),
    /// Removes the members that satisfy a filter.
    RemoveMatching {
        /// On elements of `members`.
        filter: Filter,
        /// Whether it is an error that it matches nobody.
        require_target: bool,
    },
    /// Leaves exactly these members.
    Replace(Vec<Reference>),
}

impl Modification {
    /// Whether the next step does the same with more members, so that both are
    /// done as one.
    fn goes_on_in(&self, next: &Self) -> bool {
        matches!(
            (self, next),
            (Self::Add(_), Self::Add(_)) | (Self::Remove(_), Self::Remove(_))
        )
    }

    /// The members that a step adds or removes by name.
    fn named(&self) -> &[Reference] {
        match self {
            Self::Add(references) | Self::Remove(references) => references,
            Self::Patch(_)
            | Self::ReplaceAttributes(_)
            | Self::RemoveMatching { .. }
            | Self::Replace(_) => &[],
        }
    }
}

/// What became of the members that a request named.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Are in now and were not.
    pub added: usize,
    /// Were to be added and are in already.
    pub already_present: usize,
    /// Were in and are no longer.
    pub removed: usize,
    /// Were to be removed and are not in.
    pub not_present: usize,
}

/// What a change to a group ended with.
#[derive(Debug, Clone, PartialEq)]
pub struct Modified {
    /// The group afterwards.
    pub written: Written,
    /// What became of the members.
    pub counts: Counts,
}

impl Directory {
    /// Creates a group with members, and shows them if there are no more than
    /// `members_up_to`.
    ///
    /// # Errors
    /// [`Error::Invalid`], also for a member that does not exist;
    /// [`Error::Required`], [`Error::Taken`].
    pub async fn create_group(
        &self,
        caller: &Caller,
        attributes: Object,
        members: Vec<Reference>,
        members_up_to: usize,
    ) -> Result<Written> {
        caller.knows(ResourceKind::Group)?;
        let (id, now) = (self.source.new_id(), self.source.now_ms());
        let mut group = Resource::new(
            ResourceKind::Group,
            caller.profile.registry.group,
            id,
            attributes,
            now,
        )?;
        group.owner = caller.connection().map(ToOwned::to_owned);
        let work = Arc::new((caller.clone(), group, members));
        let wants = Wants {
            members_up_to,
            ..Wants::NONE
        };
        self.once(caller, Write::showing("CreateGroup", wants), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (caller, group, members) = &*work;
                check_profile(&tx, caller)?;
                resources::insert(&tx, caller.scope(), group).await?;
                let mut edit = MemberEdit::new(&tx, caller, &group.id);
                edit.fill(members).await?;
                let ignored = std::mem::take(&mut edit.ignored);
                let mut changes = vec![Change::of(ChangeKind::Created, group)];
                changes.extend(edit.changes(group));
                let position = record(&tx, caller, "CreateGroup", group, &changes).await?;
                Ok(Written {
                    view: with_members(&tx, group.clone(), members_up_to).await?,
                    position: Some(position),
                    report: Report {
                        ignored,
                        ..Report::of(Outcome::Created)
                    },
                })
            }
        })
        .await
    }

    /// Changes attributes and members of a group, in order, all or none. The
    /// members are shown if there are no more than `members_up_to`.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::VersionMismatch`], [`Error::Taken`],
    /// [`Error::Invalid`], [`Error::GroupCycle`] and those of
    /// [`patch::apply`].
    pub async fn modify_group(
        &self,
        caller: &Caller,
        id: &str,
        modifications: Vec<Modification>,
        precondition: &Precondition,
        members_up_to: usize,
    ) -> Result<Modified> {
        caller.knows(ResourceKind::Group)?;
        let now = self.source.now_ms();
        let target = Target::new(caller, ResourceKind::Group, id, precondition);
        let work = Arc::new((target, modifications));
        let wants = Wants {
            members_up_to,
            ..Wants::NONE
        };
        self.once(caller, Write::showing("ModifyGroup", wants), move |tx| {
            let work = Arc::clone(&work);
            async move {
                let (after, edited) = modify(&tx, &work.0, &work.1, now).await?;
                let written = Written {
                    view: with_members(&tx, after, members_up_to).await?,
                    position: edited.position,
                    report: edited.report,
                };
                let counts = edited.counts;
                Ok(Modified { written, counts })
            }
        })
        .await
    }

    /// Lists the direct members of a group, in the order of their ids.
    ///
    /// # Errors
    /// [`Error::NotFound`] and those of the consistency.
    pub async fn list_members(
        &self,
        caller: &Caller,
        group_id: &str,
        page: &PageRequest,
        consistency: &Consistency,
    ) -> Result<Reading<Page<Member>>> {
        let (kind, scope) = (ResourceKind::Group, caller.scope());
        if caller.knows(kind).is_err() {
            return Err(kind.not_found(group_id));
        }
        let tx = self.one_moment(caller, consistency).await?;
        let found = resources::load(&tx, scope, kind, group_id, Reach::Live, Wants::NONE).await?;
        let ((group, _), at) = found.ok_or_else(|| kind.not_found(group_id))?;
        Ok(Reading {
            value: members::list(&tx, &group.id, page).await?,
            at,
        })
    }
}

/// What became of a group.
struct Edited {
    /// The tenant's position, unless nothing differed.
    position: Option<Position>,
    report: Report,
    counts: Counts,
}

/// The group afterwards, and what became of it.
async fn modify(
    tx: &Tx,
    target: &Target,
    modifications: &[Modification],
    now: i64,
) -> Result<(Resource, Edited)> {
    check_profile(tx, &target.caller)?;
    let (before, _) = target.load(tx, Reach::Live, Wants::NONE).await?;
    let mut after = before.clone();
    let mut edit = MemberEdit::new(tx, &target.caller, &target.id);
    let mut removed = Vec::new();
    for steps in modifications.chunk_by(Modification::goes_on_in) {
        edit.apply(&mut after, steps).await?;
        let gone = |step| removed_extensions(step, &before, &after);
        removed.extend(steps.iter().flat_map(gone));
    }
    let schema = target.caller.profile.registry.group;
    patch::check(&before, &after, schema, &removed)?;
    let counts = edit.counts;
    let renamed = after.attributes != before.attributes;
    let mut report = Report {
        ignored: std::mem::take(&mut edit.ignored),
        ..Report::between(&before, &after)
    };
    if !renamed && edit.is_empty() {
        let position = None;
        let edited = Edited {
            position,
            report,
            counts,
        };
        return Ok((after, edited));
    }
    if !edit.is_empty() {
        report.changed.push("members".to_owned());
    }
    report.outcome = Outcome::Updated;
    advance(&mut after, now);
    resources::update(tx, target.caller.scope(), &before, &after).await?;
    let mut changes = Vec::new();
    if renamed {
        changes.push(Change::between(&before, &after));
    }
    changes.extend(edit.changes(&after));
    let position = record(tx, &target.caller, "ModifyGroup", &after, &changes).await?;
    let edited = Edited {
        position: Some(position),
        report,
        counts,
    };
    Ok((after, edited))
}

/// A group after a write, with its members if there are no more than this.
async fn with_members(tx: &Tx, group: Resource, members_up_to: usize) -> Result<View> {
    let mut view = View::plain(group);
    if members_up_to > 0 {
        let id = view.resource.id.as_str();
        let mut few = members::few(tx, &[id], members_up_to).await?;
        view.relations.members = few.remove(id);
    }
    Ok(view)
}

/// The URNs of extensions that a step takes away as wholes: the one that it
/// names, or those that it leaves out of what it gives in place of all.
fn removed_extensions<'a>(
    modification: &Modification,
    before: &'a Resource,
    after: &Resource,
) -> Vec<&'a str> {
    let is_removed = |urn: &str| match modification {
        Modification::Patch(operation) => operation.removed_extension() == Some(urn),
        Modification::ReplaceAttributes(_) => !after.attributes.contains_key(urn),
        Modification::Add(_)
        | Modification::Remove(_)
        | Modification::RemoveMatching { .. }
        | Modification::Replace(_) => false,
    };
    let names = before.attributes.keys().map(String::as_str);
    names.filter(|name| is_removed(name)).collect()
}

/// Changes the members of one group and remembers what came of it.
struct MemberEdit<'a> {
    tx: &'a Tx,
    caller: &'a Caller,
    group_id: &'a str,
    counts: Counts,
    /// By member: 1 added, -1 removed, 0 both.
    net: BTreeMap<NewMember, i8>,
    /// Members who were left out.
    ignored: Vec<Ignored>,
}

impl<'a> MemberEdit<'a> {
    fn new(tx: &'a Tx, caller: &'a Caller, group_id: &'a str) -> Self {
        Self {
            tx,
            caller,
            group_id,
            counts: Counts::default(),
            net: BTreeMap::new(),
            ignored: Vec::new(),
        }
    }

    /// Takes one step, or several that go on in each other: clients name members
    /// one by one, and what costs time is statements.
    async fn apply(&mut self, group: &mut Resource, steps: &[Modification]) -> Result<()> {
        let Some(first) = steps.first() else {
            return Ok(());
        };
        let named = || steps.iter().map(Modification::named).collect::<Vec<_>>();
        match first {
            Modification::Patch(operation) => {
                patch::apply_one(&mut group.attributes, operation.clone())
            }
            Modification::ReplaceAttributes(attributes) => {
                group.replace(attributes.clone(), self.caller.profile.registry.group)
            }
            Modification::Add(_) => self.add(&named()).await,
            Modification::Remove(_) => self.remove_named(&named()).await,
            Modification::RemoveMatching {
                filter,
                require_target,
            } => {
                let scope = self.caller.scope();
                let found = members::matching(self.tx, scope, self.group_id, filter).await?;
                if *require_target && found.is_empty() {
                    return Err(Error::NoTarget("members".to_owned()));
                }
                self.remove(found).await
            }
            Modification::Replace(references) => self.replace(references).await,
        }
    }

    /// Gives a new group its members: nobody is in it, and it is in nothing. Its own
    /// name is known, though, to whoever names members by names.
    async fn fill(&mut self, references: &[Reference]) -> Result<()> {
        let wanted = self.resolve_all(references).await?;
        let wanted: BTreeSet<_> = wanted.into_values().collect();
        if wanted.iter().any(|member| member.id == self.group_id) {
            return Err(Error::GroupCycle(self.group_id.to_owned()));
        }
        self.put_in(wanted.into_iter().collect()).await
    }

    async fn add(&mut self, steps: &[&[Reference]]) -> Result<()> {
        let resolved = self.resolve_all(&steps.concat()).await?;
        let member = |reference: &Reference| resolved.get(reference.text()).cloned();
        let step = |references: &&[Reference]| references.iter().filter_map(member).collect();
        self.add_resolved(steps.iter().map(step).collect()).await
    }

    async fn add_resolved(&mut self, steps: Vec<BTreeSet<NewMember>>) -> Result<()> {
        let ids: BTreeSet<_> = steps.iter().flatten().map(|m| m.id.clone()).collect();
        let ids: Vec<_> = ids.into_iter().collect();
        let present = members::present(self.tx, self.group_id, &ids).await?;
        let mut present: HashSet<_> = present.into_iter().collect();
        let mut wanted = Vec::new();
        for member in steps.into_iter().flatten() {
            match present.insert(member.clone()) {
                true => wanted.push(member),
                false => self.counts.already_present += 1,
            }
        }
        let groups = wanted.iter().filter(|member| member.is_group);
        let groups: Vec<_> = groups.map(|member| member.id.clone()).collect();
        if !groups.is_empty() && members::is_within(self.tx, self.group_id, &groups).await? {
            return Err(Error::GroupCycle(self.group_id.to_owned()));
        }
        self.put_in(wanted).await
    }

    /// Adds members who are none yet.
    async fn put_in(&mut self, wanted: Vec<NewMember>) -> Result<()> {
        members::add(self.tx, self.group_id, &wanted).await?;
        self.counts.added += wanted.len();
        for member in wanted {
            *self.net.entry(member).or_default() += 1;
        }
        Ok(())
    }

    async fn remove_named(&mut self, steps: &[&[Reference]]) -> Result<()> {
        let resolved = self.resolve(&steps.concat()).await?;
        // A member that is deleted can still be named by its id.
        let id = |reference: &Reference| {
            let member = resolved.get(reference.text());
            member.map_or_else(|| reference.text().to_owned(), |member| member.id.clone())
        };
        let step = |references: &&[Reference]| references.iter().map(id).collect::<BTreeSet<_>>();
        let steps: Vec<_> = steps.iter().map(step).collect();
        let named: BTreeSet<_> = steps.iter().flatten().cloned().collect();
        let named: Vec<_> = named.into_iter().collect();
        let present = members::present(self.tx, self.group_id, &named).await?;
        let count: usize = steps.iter().map(BTreeSet::len).sum();
        self.counts.not_present += count - present.len();
        self.remove(present).await
    }

    async fn remove(&mut self, present: Vec<NewMember>) -> Result<()> {
        members::remove(self.tx, self.group_id, &present).await?;
        self.counts.removed += present.len();
        for member in present {
            *self.net.entry(member).or_default() -= 1;
        }
        Ok(())
    }

    async fn replace(&mut self, references: &[Reference]) -> Result<()> {
        let wanted = self.resolve_all(references).await?;
        let wanted: BTreeSet<_> = wanted.into_values().collect();
        let current = members::live(self.tx, self.group_id).await?;
        let keep: BTreeSet<_> = wanted.iter().map(|member| member.id.as_str()).collect();
        let gone = current
            .into_iter()
            .filter(|member| !keep.contains(member.id.as_str()))
            .collect();
        self.remove(gone).await?;
        self.add_resolved(vec![wanted]).await
    }

    /// The members that are named, each of whom must exist, unless the connection's
    /// policy passes over those who do not.
    async fn resolve_all(
        &mut self,
        references: &[Reference],
    ) -> Result<HashMap<String, NewMember>> {
        let resolved = self.resolve(references).await?;
        let unknown = references
            .iter()
            .filter(|r| !resolved.contains_key(r.text()));
        let unknown: Vec<_> = unknown.map(Reference::text).collect();
        let policy = &self.caller.profile.policy;
        match (unknown.first(), policy.on_unknown_member) {
            (None, _) => Ok(resolved),
            (Some(one), OnUnknownMember::Reject) => {
                let rule = format!("{one:?} is no user or group here");
                Err(Error::invalid("members.value", rule))
            }
            (Some(_), OnUnknownMember::Skip) => {
                // Who they are is the client's word, which is kept nowhere.
                let ignored = Ignored {
                    path: "members.value".to_owned(),
                    reason: "names somebody who is no user or group here".into(),
                };
                if !self.ignored.contains(&ignored) {
                    self.ignored.push(ignored);
                }
                Ok(resolved)
            }
        }
    }

    async fn resolve(&self, references: &[Reference]) -> Result<HashMap<String, NewMember>> {
        let mut resolved = HashMap::new();
        let by_external_ids = self.caller.profile.policy.members_by_external_id;
        for (kind, by_external_id) in [
            (ResourceKind::User, false),
            (ResourceKind::Group, false),
            (ResourceKind::User, true),
            (ResourceKind::Group, true),
        ] {
            if by_external_id && !by_external_ids {
                continue;
            }
            let open: BTreeSet<_> = references
                .iter()
                .filter(|r| may_be(r, kind, by_external_id) && !resolved.contains_key(r.text()))
                .map(|r| r.text().to_owned())
                .collect();
            let open: Vec<_> = open.into_iter().collect();
            let scope = self.caller.scope();
            let found = resources::resolve(self.tx, scope, kind, &open, by_external_id).await?;
            let is_group = kind == ResourceKind::Group;
            resolved.extend(
                found
                    .into_iter()
                    .map(|(text, id)| (text, NewMember { id, is_group })),
            );
        }
        Ok(resolved)
    }

    fn is_empty(&self) -> bool {
        self.net.values().all(|net| *net == 0)
    }

    fn changes(self, group: &Resource) -> impl Iterator<Item = Change> {
        self.net.into_iter().filter_map(move |(member, net)| {
            let kind = match net {
                1 => ChangeKind::MemberAdded,
                -1 => ChangeKind::MemberRemoved,
                _ => return None,
            };
            Some(Change::member(kind, group, &member.id, member.is_group))
        })
    }
}

fn may_be(reference: &Reference, kind: ResourceKind, by_external_id: bool) -> bool {
    match reference {
        Reference::User(_) => kind == ResourceKind::User && !by_external_id,
        Reference::Group(_) => kind == ResourceKind::Group && !by_external_id,
        Reference::Id(_) => !by_external_id,
        Reference::Any(_) => true,
    }
}
