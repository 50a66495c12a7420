//! Members of groups. Those of small groups come with them; others are read page
//! by page and rendered at once, because a group may have very many.

use muster_proto::v1;

use super::exchange::{Exchange, Fault};
use crate::{
    scim::{
        group::{Member, MemberView},
        json::Json,
        projection::Projection,
        resource::Resource,
    },
    translate::group::{Told, member},
};

/// The directory's largest page.
const MEMBERS_PER_CALL: i32 = 1000;

/// Most members in one page of a list, but for a single group that has more.
const MEMBERS_PER_LIST: usize = 10_000;

/// Groups with no more members than this come with them.
const FEW: i32 = 100;

/// How many members groups may have that come with them.
pub(super) fn up_to(projection: &Projection) -> i32 {
    MemberView::new(projection).map_or(0, |_| FEW)
}

/// Members of a group, rendered.
struct Found {
    shown: Vec<Json>,
    /// How many there are, also those of whom nothing is shown.
    count: usize,
}

/// A group with all its members, where they are wanted.
pub(super) async fn all(
    exchange: &Exchange,
    told: Told,
    projection: &Projection,
) -> Result<Resource, Fault> {
    let mut group = told.resource;
    if let Some(view) = MemberView::new(projection) {
        let found = match told.members {
            Some(members) => Found::of(members, view, exchange),
            None => read(exchange, &group.id, view, usize::MAX).await?,
        };
        group.members = found.into_shown();
    }
    Ok(group)
}

/// A group with the members that came with it; `None` where they are wanted
/// and did not come.
pub(super) fn few(exchange: &Exchange, told: Told, projection: &Projection) -> Option<Resource> {
    let mut group = told.resource;
    if let Some(view) = MemberView::new(projection) {
        group.members = Found::of(told.members?, view, exchange).into_shown();
    }
    Some(group)
}

/// Resources of a list, groups among them with their members.
pub(super) struct Completed {
    pub(super) resources: Vec<Resource>,
    /// How many of the list they stand for: all, unless there were too many
    /// members.
    pub(super) taken: usize,
}

/// Reads the members of the groups in a list, where they are wanted. Groups
/// that were deleted since the list was made are left out. The list ends in
/// front of a group for which there is no room.
pub(super) async fn complete(
    exchange: &Exchange,
    page: Vec<Told>,
    projection: &Projection,
) -> Result<Completed, Fault> {
    let mut completed = Completed {
        taken: page.len(),
        resources: Vec::with_capacity(page.len()),
    };
    let Some(view) = MemberView::new(projection) else {
        completed.resources = page.into_iter().map(|told| told.resource).collect();
        return Ok(completed);
    };
    let groups = exchange.registry().group;
    // The first of all is shown however large it is, or nobody would get on.
    let mut room = usize::MAX;
    for (
        index,
        Told {
            mut resource,
            members,
        },
    ) in page.into_iter().enumerate()
    {
        if std::ptr::eq(resource.kind, groups) {
            let found = match members {
                Some(members) => Found::of(members, view, exchange),
                None => match if_any(read(exchange, &resource.id, view, room).await)? {
                    Some(found) => found,
                    None => continue,
                },
            };
            if found.count > room {
                completed.taken = index;
                return Ok(completed);
            }
            room = room.min(MEMBERS_PER_LIST).saturating_sub(found.count);
            resource.members = found.into_shown();
        }
        room = room.min(MEMBERS_PER_LIST);
        completed.resources.push(resource);
    }
    Ok(completed)
}

/// `None` when there is no such group any more.
fn if_any(read: Result<Found, Fault>) -> Result<Option<Found>, Fault> {
    match read {
        Ok(found) => Ok(Some(found)),
        Err(Fault::Directory(error)) if error.status() == 404 => Ok(None),
        Err(fault) => Err(fault),
    }
}

impl Found {
    fn of(members: Vec<Member>, view: MemberView, exchange: &Exchange) -> Self {
        let count = members.len();
        let each = members.into_iter();
        let shown = each.filter_map(|member| view.render(member, &exchange.links));
        Self {
            shown: shown.collect(),
            count,
        }
    }

    fn into_shown(self) -> Option<Vec<Json>> {
        (!self.shown.is_empty() || self.count == 0).then_some(self.shown)
    }
}

/// The members, page by page; no more pages when there are more than `enough`.
async fn read(
    exchange: &Exchange,
    group_id: &str,
    view: MemberView,
    enough: usize,
) -> Result<Found, Fault> {
    let mut members = Found {
        shown: Vec::new(),
        count: 0,
    };
    // One more than is enough tells that there are more.
    let page_size = i32::try_from(enough.saturating_add(1)).unwrap_or(i32::MAX);
    let page_size = page_size.min(MEMBERS_PER_CALL);
    let mut page_token = String::new();
    loop {
        let request = v1::ListGroupMembersRequest {
            group_id: group_id.to_owned(),
            page: Some(v1::PageRequest {
                page_size,
                page_token,
                ..v1::PageRequest::default()
            }),
            ..v1::ListGroupMembersRequest::default()
        };
        let directory = exchange.directory();
        let found = directory.list_group_members(&exchange.caller, request);
        let found = found.await?;
        for member in found.members.into_iter().filter_map(member) {
            members.count += 1;
            members.shown.extend(view.render(member, &exchange.links));
        }
        page_token = found.page.unwrap_or_default().next_page_token;
        if page_token.is_empty() || members.count > enough {
            return Ok(members);
        }
    }
}
