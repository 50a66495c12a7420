//! `SearchService`: decode, call the service, encode.

use muster_proto::v1::{self, search_service_server::SearchService};
use tonic::{Request, Response, Status};

use super::{caller, decode, encode, keys, mask::Mask, personal, status::status, wanted};
use crate::{
    auth::Caller,
    domain::{filter::Filter, resource::ResourceKind, sort::Sort},
    error::{Error, Result},
    service::{Directory, Reach, Reading, Selection, View},
};

pub(super) struct Search(pub(super) Directory);

#[tonic::async_trait]
impl SearchService for Search {
    async fn search_resources(
        &self,
        request: Request<v1::SearchResourcesRequest>,
    ) -> Result<Response<v1::SearchResourcesResponse>, Status> {
        let caller = caller(&request)?;
        self.search(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }
}

/// What is wanted of one kind.
struct Target {
    kind: ResourceKind,
    filter: Option<Filter>,
    sort: Option<Sort>,
    mask: Mask,
    members_up_to: i32,
}

impl Target {
    fn selection(&self) -> (ResourceKind, Selection<'_>) {
        let selection = Selection {
            filter: self.filter.as_ref(),
            sort: self.sort.as_ref(),
            reach: Reach::Live,
            wants: self.mask.wants_members(self.members_up_to),
        };
        (self.kind, selection)
    }
}

impl Search {
    async fn search(
        &self,
        caller: &Caller,
        request: v1::SearchResourcesRequest,
    ) -> Result<v1::SearchResourcesResponse> {
        let list = decode::search_identity(caller, &request.targets);
        let page = decode::page(&self.0, &list, request.page)?;
        let targets = targets(caller, request.targets)?;
        let selections: Vec<_> = targets.iter().map(Target::selection).collect();
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let searching = self.0.search(caller, &selections, &page, &consistency);
        let Reading { value: found, at } = searching.await?;
        let page = encode::page(&self.0, &list, &found);
        let shown = found.items.into_iter();
        let shown = shown.map(|view| self.resource(caller, view, &targets));
        let mut resources = shown.collect::<Result<Vec<_>>>()?;
        let mask = targets.iter().find(|one| one.kind == ResourceKind::User);
        if let Some(Target { mask, .. }) = mask {
            let users = resources.iter_mut().filter_map(user).collect();
            keys::add(&self.0, caller, keys::asked(caller, mask), users).await?;
        }
        Ok(v1::SearchResourcesResponse {
            resources,
            page: Some(page),
            read_at: Some(encode::revision(&self.0, caller, &at)),
        })
    }

    fn resource(&self, caller: &Caller, view: View, targets: &[Target]) -> Result<v1::Resource> {
        use v1::resource::Resource;
        let kind = view.resource.kind;
        let target = targets.iter().find(|target| target.kind == kind);
        let mask = &target.ok_or_else(|| Error::internal("of no target"))?.mask;
        let shown = match kind {
            ResourceKind::User => Resource::User(encode::user(&self.0, caller, view, mask)?),
            ResourceKind::Group => Resource::Group(encode::group(&self.0, view, mask)?),
        };
        Ok(v1::Resource {
            resource: Some(shown),
        })
    }
}

fn user(found: &mut v1::Resource) -> Option<&mut v1::User> {
    match &mut found.resource {
        Some(v1::resource::Resource::User(user)) => Some(user),
        Some(v1::resource::Resource::Group(_)) | None => None,
    }
}

/// What is wanted of each kind, users first, as far as the caller may ask.
fn targets(caller: &Caller, targets: Vec<v1::Target>) -> Result<Vec<Target>> {
    let mut read: Vec<Target> = Vec::with_capacity(targets.len());
    for target in targets {
        let (kind, scope) = match target.r#type() {
            v1::ResourceType::User => (ResourceKind::User, "users.list"),
            v1::ResourceType::Group => (ResourceKind::Group, "groups.read"),
            _ => return Err(invalid("must be of users or groups")),
        };
        caller.require(scope)?;
        if read.iter().any(|other| other.kind == kind) {
            return Err(invalid("has two of the same type"));
        }
        let (filter, sort) = (target.filter.as_ref(), target.sort.as_ref());
        let filter = filter.map(|f| decode::filter(kind.within(caller.profile.registry), f));
        let sort = sort.map(|s| decode::sort(kind.within(caller.profile.registry), s));
        let (filter, sort) = (filter.transpose()?, sort.transpose()?);
        let mask = match kind {
            ResourceKind::User => {
                personal::check(caller, filter.as_ref(), sort.as_ref())?;
                personal::mask(caller, target.read_mask)?
            }
            ResourceKind::Group => Mask::read(kind.schema(), target.read_mask)?,
        };
        read.push(Target {
            kind,
            filter,
            sort,
            mask,
            members_up_to: target.members_up_to,
        });
    }
    let mut directions = read
        .iter()
        .filter_map(|t| Some(t.sort.as_ref()?.descending));
    if let (Some(first), Some(second)) = (directions.next(), directions.next())
        && first != second
    {
        return Err(invalid("must all ascend or all descend"));
    }
    if read.is_empty() {
        return Err(invalid("has none"));
    }
    Ok(read)
}

fn invalid(rule: &str) -> Error {
    Error::invalid("targets", rule)
}
