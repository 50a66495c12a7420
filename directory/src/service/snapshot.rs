//! Snapshots to fill caches from: pages read at different moments, made exact
//! by the changes behind the position at which the first one was read.

use super::{Directory, feed::FeedFilter, reading::check};
use crate::{
    auth::Caller,
    domain::{
        Resource,
        history::{Edge, Position, ResourceType},
        page::{MAX_SIZE, PageRequest, Place},
        resource::ResourceKind,
    },
    error::{Error, Result},
    storage::{
        history::{self, Bounds},
        members,
        relations::Wants,
        resources::{self, Reach, Selection},
    },
};

/// Resources of a page when the caller does not say.
const DEFAULT_SIZE: usize = 500;

/// How many resources a page has when a caller asks for this many.
///
/// # Errors
/// [`Error::Invalid`] for a negative number.
pub fn size(asked: i32) -> Result<usize> {
    match usize::try_from(asked) {
        Ok(0) => Ok(DEFAULT_SIZE),
        Ok(size) => Ok(size.min(MAX_SIZE)),
        Err(_) => Err(Error::invalid("page_size", "must not be negative")),
    }
}

/// A part of a snapshot.
#[derive(Debug, Clone, PartialEq)]
pub struct SnapshotItem {
    /// What it holds.
    pub page: SnapshotPage,
    /// Where the next one begins.
    pub next: String,
}

/// What a part of a snapshot holds.
#[derive(Debug, Clone, PartialEq)]
pub enum SnapshotPage {
    /// Users or groups.
    Resources(ResourceKind, Vec<Resource>),
    /// Memberships.
    Memberships(Vec<Edge>),
    /// There is no more: from where to replay, and from where it is exact.
    Complete(Position, Position),
}

/// A snapshot that is being read.
#[derive(Debug)]
pub struct Snapshot {
    directory: Directory,
    caller: Caller,
    filter: FeedFilter,
    size: usize,
    values: bool,
    from: Position,
    stage: Stage,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    Resources(ResourceKind, String),
    Memberships(String, String),
    Complete,
}

impl Stage {
    fn spell(&self) -> String {
        match self {
            Self::Resources(ResourceKind::User, after) => format!("users/{after}"),
            Self::Resources(ResourceKind::Group, after) => format!("groups/{after}"),
            Self::Memberships(group, member) => format!("memberships/{group}/{member}"),
            Self::Complete => "complete".to_owned(),
        }
    }

    fn read(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(ToOwned::to_owned);
        let stage = match (parts.next()?.as_str(), parts.next(), parts.next()) {
            ("users", Some(after), None) => Self::Resources(ResourceKind::User, after),
            ("groups", Some(after), None) => Self::Resources(ResourceKind::Group, after),
            ("memberships", Some(group), Some(member)) => Self::Memberships(group, member),
            ("complete", None, None) => Self::Complete,
            _ => return None,
        };
        Some(stage)
    }
}

impl Directory {
    /// Starts a snapshot, to be shown with values or without, or goes on with
    /// one from its token.
    ///
    /// # Errors
    /// [`Error::PageTokenInvalid`] for a token of another snapshot;
    /// [`Error::EpochMismatch`], [`Error::CursorExpired`].
    pub async fn snapshot(
        &self,
        caller: &Caller,
        filter: FeedFilter,
        size: usize,
        values: bool,
        token: &str,
    ) -> Result<Snapshot> {
        let bounds = self.change_bounds(caller).await?;
        let of = identity(caller, &filter, values);
        let (from, stage) = if token.is_empty() {
            let first = Stage::Resources(ResourceKind::User, String::new());
            (bounds.latest.clone(), first)
        } else {
            let place = self.cursors.open_snapshot(&of, token)?;
            read_place(&place).ok_or(Error::PageTokenInvalid)?
        };
        check_start(&from, &bounds)?;
        Ok(Snapshot {
            directory: self.clone(),
            caller: caller.clone(),
            filter,
            size,
            values,
            from,
            stage,
        })
    }
}

fn identity(caller: &Caller, filter: &FeedFilter, values: bool) -> Vec<u8> {
    let types = filter
        .types
        .iter()
        .map(|resource_type| *resource_type as i64);
    let types: Vec<_> = types.collect();
    let of = (
        &caller.tenant_id,
        types,
        &filter.group_ids,
        &filter.connection_id,
        values,
    );
    // Plain data: it cannot fail, and an empty identity opens nothing.
    serde_json::to_vec(&of).unwrap_or_default()
}

fn read_place(place: &str) -> Option<(Position, Stage)> {
    let (epoch, rest) = place.split_once('/')?;
    let (revision, stage) = rest.split_once('/')?;
    let from = Position {
        epoch: epoch.to_owned(),
        revision: revision.parse().ok()?,
    };
    Some((from, Stage::read(stage)?))
}

/// A snapshot whose changes are no longer all kept cannot become exact.
fn check_start(from: &Position, bounds: &Bounds) -> Result<()> {
    check(from, &bounds.latest)?;
    if from.revision < bounds.earliest {
        return Err(Error::CursorExpired);
    }
    Ok(())
}

impl Snapshot {
    /// The next part; `None` behind the last.
    ///
    /// # Errors
    /// [`Error::EpochMismatch`], [`Error::CursorExpired`].
    pub async fn next(&mut self) -> Result<Option<SnapshotItem>> {
        loop {
            let (page, next) = match self.stage.clone() {
                Stage::Resources(kind, after) => self.resources(kind, after).await?,
                Stage::Memberships(group, member) => self.memberships(&group, &member).await?,
                Stage::Complete => return Ok(None),
            };
            self.stage = next;
            if let Some(page) = page {
                let next = self.token();
                return Ok(Some(SnapshotItem { page, next }));
            }
        }
    }

    /// Whether it is to show values.
    pub fn has_values(&self) -> bool {
        self.values
    }

    fn token(&self) -> String {
        let Position { epoch, revision } = &self.from;
        let place = format!("{epoch}/{revision}/{}", self.stage.spell());
        let of = identity(&self.caller, &self.filter, self.values);
        self.directory.cursors.snapshot(&of, &place)
    }

    fn wants(&self, resource_type: ResourceType) -> bool {
        let of_groups = self.filter.group_ids.is_empty() || resource_type != ResourceType::User;
        let types = &self.filter.types;
        of_groups && (types.is_empty() || types.contains(&resource_type))
    }

    fn owns(&self, owner: Option<&str>) -> bool {
        let connection = self.filter.connection_id.as_deref();
        connection.is_none() || connection == owner
    }

    fn names(&self, group_id: &str) -> bool {
        let groups = &self.filter.group_ids;
        groups.is_empty() || groups.iter().any(|id| id == group_id)
    }

    async fn resources(
        &self,
        kind: ResourceKind,
        after: String,
    ) -> Result<(Option<SnapshotPage>, Stage)> {
        let behind = match kind {
            ResourceKind::User => Stage::Resources(ResourceKind::Group, String::new()),
            ResourceKind::Group => Stage::Memberships(String::new(), String::new()),
        };
        if !self.wants(kind.into()) {
            return Ok((None, behind));
        }
        let page = PageRequest {
            size: self.size,
            after: Some(Place::of(after)),
            skip: 0,
            count: false,
            count_only: false,
        };
        let all = Selection {
            filter: None,
            sort: None,
            reach: Reach::Live,
            wants: Wants::NONE,
        };
        let tx = self.moment().await?;
        let (found, _) = resources::list(&tx, self.caller.scope(), kind, &all, &page).await?;
        let next = match found.next {
            Some(last) => Stage::Resources(kind, last.id),
            None => behind,
        };
        let wanted = found.items.into_iter().map(|(resource, _)| resource);
        let wanted: Vec<_> = wanted
            .filter(|resource| self.owns(resource.owner.as_deref()))
            .filter(|resource| kind == ResourceKind::User || self.names(&resource.id))
            .collect();
        let page = (!wanted.is_empty()).then_some(SnapshotPage::Resources(kind, wanted));
        Ok((page, next))
    }

    async fn memberships(
        &self,
        group: &str,
        member: &str,
    ) -> Result<(Option<SnapshotPage>, Stage)> {
        let tx = self.moment().await?;
        let tenant_id = &self.caller.tenant_id;
        let limit = i64::try_from(self.size).unwrap_or(i64::MAX);
        let found = match self.wants(ResourceType::Membership) {
            true => members::edges_after(&tx, tenant_id, (group, member), limit).await?,
            false => Vec::new(),
        };
        let Some(last) = found.last() else {
            let exact = history::position(&tx, tenant_id).await?;
            let exact = exact.ok_or_else(|| Error::internal("the tenant has no head"))?;
            let page = SnapshotPage::Complete(self.from.clone(), exact);
            return Ok((Some(page), Stage::Complete));
        };
        let next = Stage::Memberships(last.group_id.clone(), last.member_id.clone());
        let wanted: Vec<_> = found
            .into_iter()
            .filter(|edge| self.owns(edge.owner.as_deref()) && self.names(&edge.group_id))
            .collect();
        let page = (!wanted.is_empty()).then_some(SnapshotPage::Memberships(wanted));
        Ok((page, next))
    }

    /// The database as it is, if the snapshot can still become exact.
    async fn moment(&self) -> Result<crate::storage::Tx> {
        let tx = self.directory.store.snapshot().await?;
        let bounds = history::bounds(&tx, &self.caller.tenant_id).await?;
        let bounds = bounds.ok_or_else(|| Error::internal("the tenant has no head"))?;
        check_start(&self.from, &bounds)?;
        Ok(tx)
    }
}
