//! Lists of users, of groups and of both: RFC 7644 sections 3.4.2 and 3.4.3.

use std::ptr;

use muster_proto::{
    schema::ResourceType,
    v1::{self, resource::Resource as Wire},
};
use prost_types::FieldMask;

use super::{
    exchange::{Answer, Exchange, Fault},
    members,
    query::Query,
    reply::Outcome,
};
use crate::{
    scim::{
        error::ScimError,
        json::Json,
        list::{self, Paging, Place},
        projection::Projection,
        resource::Resource,
    },
    translate::{
        filter::lower,
        group::{self, Told},
        list::{page_request, user_mask},
        user,
    },
};

/// Whose list it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Users,
    Groups,
    Both,
}

/// What is wanted of resources of one type.
struct Target {
    kind: &'static ResourceType,
    filter: Option<v1::Filter>,
    sort: Option<v1::SortOrder>,
    projection: Projection,
}

struct List<'a> {
    exchange: &'a Exchange,
    of: Of,
    targets: Vec<Target>,
    paging: Paging,
}

/// Answers a list. Groups with many members may end the page early (RFC 7644
/// section 3.4.2.4 allows it); the next page goes on behind them.
pub(super) async fn answer(exchange: &Exchange, of: Of, query: Query) -> Answer {
    let list = List::new(exchange, of, &query)?;
    let (found, page) = list.fetch(page_request(&list.paging)).await?;
    let ids: Vec<_> = found.iter().map(|told| told.resource.id.clone()).collect();
    let mut next = page.next_page_token;
    let resources = match list.target(exchange.registry().group) {
        Some(groups) => {
            let completed = members::complete(exchange, found, &groups.projection).await?;
            if completed.taken < ids.len() {
                next = list.token_behind(&ids[..completed.taken]).await?;
            }
            completed.resources
        }
        None => found.into_iter().map(|told| told.resource).collect(),
    };
    Ok(list.render(page.total_size, next, resources))
}

impl<'a> List<'a> {
    fn new(exchange: &'a Exchange, of: Of, query: &Query) -> Result<Self, ScimError> {
        let registry = exchange.registry();
        let types = match of {
            Of::Users => vec![registry.user],
            Of::Groups => vec![registry.group],
            Of::Both => vec![registry.user, registry.group],
        };
        let filter = query.filter(exchange.accents())?;
        if let Some(filter) = &filter {
            exchange.note.filtered(filter, &types, exchange.accents());
        }
        let mut targets = Vec::with_capacity(types.len());
        for (&kind, sort) in types.iter().zip(query.sort(&types, exchange.accents())?) {
            let context = exchange.context_among(kind, &types);
            let lowered = filter.as_ref().map(|tree| lower(tree, context));
            targets.push(Target {
                kind,
                filter: lowered.transpose()?,
                sort,
                projection: query.projection(kind, exchange.accents())?,
            });
        }
        Ok(Self {
            exchange,
            of,
            targets,
            paging: query.paging()?,
        })
    }

    fn target(&self, kind: &'static ResourceType) -> Option<&Target> {
        let mut targets = self.targets.iter();
        targets.find(|target| ptr::eq(target.kind, kind))
    }

    async fn fetch(&self, page: v1::PageRequest) -> Result<(Vec<Told>, v1::PageResponse), Fault> {
        let directory = self.exchange.directory();
        let caller = &self.exchange.caller;
        let registry = self.exchange.registry();
        let links = &self.exchange.links;
        let (found, page) = match (self.of, self.targets.first()) {
            (Of::Users, Some(target)) => {
                let request = v1::ListUsersRequest {
                    filter: target.filter.clone(),
                    sort: target.sort.clone(),
                    page: Some(page),
                    read_mask: self.mask_of_users(target),
                    ..v1::ListUsersRequest::default()
                };
                let found = directory.list_users(caller, request).await?;
                let users = found.users.into_iter();
                let users = users.map(|user| user::resource(user, registry.user, links));
                (users.map(Told::from).collect(), found.page)
            }
            (Of::Groups, Some(target)) => {
                let request = v1::ListGroupsRequest {
                    filter: target.filter.clone(),
                    sort: target.sort.clone(),
                    page: Some(page),
                    members_up_to: members::up_to(&target.projection),
                    ..v1::ListGroupsRequest::default()
                };
                let found = directory.list_groups(caller, request).await?;
                let groups = found.groups.into_iter();
                let groups = groups.map(|group| group::told(group, registry.group));
                (groups.collect(), found.page)
            }
            _ => {
                let request = v1::SearchResourcesRequest {
                    targets: self.targets.iter().map(|t| self.wire(t)).collect(),
                    page: Some(page),
                    ..v1::SearchResourcesRequest::default()
                };
                let found = directory.search_resources(caller, request).await?;
                let each = found.resources.into_iter().filter_map(|r| r.resource);
                let each = each.map(|resource| match resource {
                    Wire::User(user) => user::resource(user, registry.user, links).into(),
                    Wire::Group(group) => group::told(group, registry.group),
                });
                (each.collect(), found.page)
            }
        };
        Ok((found, page.unwrap_or_default()))
    }

    fn wire(&self, target: &Target) -> v1::Target {
        let is_user = ptr::eq(target.kind, self.exchange.registry().user);
        let kind = match is_user {
            true => v1::ResourceType::User,
            false => v1::ResourceType::Group,
        };
        v1::Target {
            r#type: kind.into(),
            filter: target.filter.clone(),
            sort: target.sort.clone(),
            read_mask: is_user.then(|| self.mask_of_users(target)).flatten(),
            members_up_to: match is_user {
                true => 0,
                false => members::up_to(&target.projection),
            },
        }
    }

    fn mask_of_users(&self, target: &Target) -> Option<FieldMask> {
        user_mask(&target.projection, self.exchange.profile.personal_data)
    }

    /// Where the list goes on behind these, which a page began with. The
    /// directory's tokens stand at the ends of its pages, so a shorter page is
    /// asked for. What was put between them meanwhile ends it before.
    async fn token_behind(&self, shown: &[String]) -> Result<String, Fault> {
        if !matches!(self.paging, Paging::Cursor { .. }) {
            return Ok(String::new());
        }
        let mut size = shown.len();
        loop {
            let page = v1::PageRequest {
                page_size: i32::try_from(size).unwrap_or(list::MAX_COUNT),
                include_total_size: false,
                ..page_request(&self.paging)
            };
            let (found, page) = self.fetch(page).await?;
            let same = found
                .iter()
                .take_while(|told| shown.contains(&told.resource.id));
            match same.count() {
                same if same == found.len() => return Ok(page.next_page_token),
                0 => return Err(ScimError::unavailable().into()),
                same => size = same,
            }
        }
    }

    fn render(&self, total: i64, next: String, resources: Vec<Resource>) -> Outcome {
        let place = match &self.paging {
            Paging::Index(page) => Place::Index(page.start_index),
            Paging::Cursor { .. } => Place::Cursor(Some(next).filter(|next| !next.is_empty())),
        };
        let each = resources.into_iter();
        let each = each.filter_map(|resource| self.show(resource)).collect();
        Outcome::Document(list::render(total, place, each))
    }

    fn show(&self, resource: Resource) -> Option<Json> {
        let target = self.target(resource.kind)?;
        let shown = resource.render(&self.exchange.links, &target.projection);
        Some(shown.body)
    }
}
