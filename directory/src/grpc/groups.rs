//! `GroupService`: decode, call the service, encode.

use muster_proto::v1::{self, group_service_server::GroupService};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, encode,
    mask::Mask,
    once,
    status::status,
    wanted,
};
use crate::{
    auth::Caller,
    domain::{history::Position, resource::ResourceKind},
    error::Result,
    service::{Directory, Get, Reading, Selection},
};

const KIND: ResourceKind = ResourceKind::Group;

pub(super) struct Groups(pub(super) Directory);

#[tonic::async_trait]
impl GroupService for Groups {
    async fn create_group(
        &self,
        request: Request<v1::CreateGroupRequest>,
    ) -> Result<Response<v1::CreateGroupResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateGroup", KIND, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
    }

    async fn get_group(
        &self,
        request: Request<v1::GetGroupRequest>,
    ) -> Result<Response<v1::GetGroupResponse>, Status> {
        let caller = caller(&request)?;
        self.get(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn list_groups(
        &self,
        request: Request<v1::ListGroupsRequest>,
    ) -> Result<Response<v1::ListGroupsResponse>, Status> {
        let caller = caller(&request)?;
        self.list(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn modify_group(
        &self,
        request: Request<v1::ModifyGroupRequest>,
    ) -> Result<Response<v1::ModifyGroupResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("ModifyGroup", KIND, &request.id);
        audited(&self.0, &caller, call, self.modify(&caller, request)).await
    }

    async fn list_group_members(
        &self,
        request: Request<v1::ListGroupMembersRequest>,
    ) -> Result<Response<v1::ListGroupMembersResponse>, Status> {
        let caller = caller(&request)?;
        self.members(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn delete_group(
        &self,
        request: Request<v1::DeleteGroupRequest>,
    ) -> Result<Response<v1::DeleteGroupResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("DeleteGroup", KIND, &request.id);
        audited(&self.0, &caller, call, self.delete(&caller, request)).await
    }

    async fn undelete_group(
        &self,
        request: Request<v1::UndeleteGroupRequest>,
    ) -> Result<Response<v1::UndeleteGroupResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("UndeleteGroup", KIND, &request.id);
        audited(&self.0, &caller, call, self.undelete(&caller, request)).await
    }

    async fn purge_group(
        &self,
        request: Request<v1::PurgeGroupRequest>,
    ) -> Result<Response<v1::PurgeGroupResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("PurgeGroup", KIND, &request.id);
        audited(&self.0, &caller, call, self.purge(&caller, request)).await
    }
}

impl Groups {
    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreateGroupRequest,
    ) -> Result<v1::CreateGroupResponse> {
        let attributes = decode::group(request.group)?;
        let members = decode::references(request.members)?;
        let up_to = wanted::members_up_to(request.members_up_to);
        let creating = self.0.create_group(caller, attributes, members, up_to);
        let written = creating.await?;
        Ok(v1::CreateGroupResponse {
            report: Some(encode::report(written.report)),
            written_at: self.revision(caller, written.position.as_ref()),
            group: Some(encode::group(
                &self.0,
                written.view,
                &Mask::read(KIND.schema(), None)?,
            )?),
        })
    }

    async fn get(
        &self,
        caller: &Caller,
        request: v1::GetGroupRequest,
    ) -> Result<v1::GetGroupResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let get = Get {
            kind: KIND,
            id: &request.id,
            reach: wanted::reach(request.show_deleted),
            wants: mask.wants_members(request.members_up_to),
        };
        let found = self.0.get(caller, get, &consistency).await?;
        Ok(v1::GetGroupResponse {
            read_at: Some(encode::revision(&self.0, caller, &found.at)),
            group: Some(encode::group(&self.0, found.value, &mask)?),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListGroupsRequest,
    ) -> Result<v1::ListGroupsResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let of = match request.show_deleted {
            true => "groups and deleted",
            false => "groups",
        };
        let sort = request.sort.as_ref();
        let list = decode::list_identity(caller, of, request.filter.as_ref(), sort);
        let sort = sort
            .map(|s| decode::sort(caller.profile.registry.group, s))
            .transpose()?;
        let page = decode::page(&self.0, &list, request.page)?;
        let filter = request
            .filter
            .map(|f| decode::filter(caller.profile.registry.group, &f))
            .transpose()?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let selection = Selection {
            filter: filter.as_ref(),
            sort: sort.as_ref(),
            reach: wanted::reach(request.show_deleted),
            wants: mask.wants_members(request.members_up_to),
        };
        let listing = self.0.list(caller, KIND, &selection, &page, &consistency);
        let Reading { value: found, at } = listing.await?;
        let page = encode::page(&self.0, &list, &found);
        let groups = found
            .items
            .into_iter()
            .map(|view| encode::group(&self.0, view, &mask));
        Ok(v1::ListGroupsResponse {
            groups: groups.collect::<Result<_>>()?,
            page: Some(page),
            read_at: Some(encode::revision(&self.0, caller, &at)),
        })
    }

    async fn modify(
        &self,
        caller: &Caller,
        request: v1::ModifyGroupRequest,
    ) -> Result<v1::ModifyGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let modifications =
            decode::modifications(caller.profile.registry.group, request.modifications)?;
        let up_to = wanted::members_up_to(request.members_up_to);
        let (id, directory) = (&request.id, &self.0);
        let modifying = directory.modify_group(caller, id, modifications, &precondition, up_to);
        let modified = modifying.await?;
        let written = modified.written;
        Ok(v1::ModifyGroupResponse {
            report: Some(encode::report(written.report)),
            changed: written.position.is_some(),
            written_at: self.revision(caller, written.position.as_ref()),
            group: Some(encode::group(
                &self.0,
                written.view,
                &Mask::read(KIND.schema(), None)?,
            )?),
            counts: Some(encode::counts(modified.counts)),
        })
    }

    async fn members(
        &self,
        caller: &Caller,
        request: v1::ListGroupMembersRequest,
    ) -> Result<v1::ListGroupMembersResponse> {
        let of = format!("members/{}", request.group_id);
        let list = decode::list_identity(caller, &of, None, None);
        let page = decode::page(&self.0, &list, request.page)?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let listing = self
            .0
            .list_members(caller, &request.group_id, &page, &consistency);
        let Reading { value: found, at } = listing.await?;
        let page = encode::page(&self.0, &list, &found);
        let members = found.items.into_iter().map(encode::member).collect();
        Ok(v1::ListGroupMembersResponse {
            members,
            page: Some(page),
            read_at: Some(encode::revision(&self.0, caller, &at)),
        })
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteGroupRequest,
    ) -> Result<v1::DeleteGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let deleted = self
            .0
            .delete(
                caller,
                KIND,
                &request.id,
                &precondition,
                request.allow_missing,
            )
            .await?;
        let deleted_at = deleted.as_ref().and_then(|d| d.deleted_at);
        let purge_time = deleted_at.map(|at| self.0.purge_time(at));
        let position = deleted.as_ref().and_then(|d| d.position.as_ref());
        Ok(v1::DeleteGroupResponse {
            changed: position.is_some(),
            written_at: self.revision(caller, position),
            purge_time: purge_time.map(encode::timestamp),
            report: deleted.map(|d| encode::report(d.report)),
        })
    }

    async fn undelete(
        &self,
        caller: &Caller,
        request: v1::UndeleteGroupRequest,
    ) -> Result<v1::UndeleteGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let undeleting = self.0.undelete(caller, KIND, &request.id, &precondition);
        let written = undeleting.await?;
        let mask = Mask::read(KIND.schema(), None)?;
        Ok(v1::UndeleteGroupResponse {
            changed: written.position.is_some(),
            written_at: self.revision(caller, written.position.as_ref()),
            group: Some(encode::group(&self.0, written.view, &mask)?),
        })
    }

    async fn purge(
        &self,
        caller: &Caller,
        request: v1::PurgeGroupRequest,
    ) -> Result<v1::PurgeGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let purging = self.0.purge(caller, KIND, &request.id, &precondition);
        let position = purging.await?;
        Ok(v1::PurgeGroupResponse {
            written_at: self.revision(caller, Some(&position)),
        })
    }

    fn revision(&self, caller: &Caller, at: Option<&Position>) -> Option<v1::Revision> {
        at.map(|at| encode::revision(&self.0, caller, at))
    }
}
