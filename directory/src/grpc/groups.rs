//! `GroupService`: decode, call the service, encode.

use muster_proto::v1::{self, group_service_server::GroupService};
use tonic::{Request, Response, Status};

use super::{caller, decode, encode, mask::Mask, status::status};
use crate::{auth::Caller, domain::resource::ResourceKind, error::Result, service::Directory};

const KIND: ResourceKind = ResourceKind::Group;

pub(super) struct Groups(pub(super) Directory);

#[tonic::async_trait]
impl GroupService for Groups {
    async fn create_group(
        &self,
        request: Request<v1::CreateGroupRequest>,
    ) -> Result<Response<v1::CreateGroupResponse>, Status> {
        let caller = caller(&request)?;
        self.create(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
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
        let caller = caller(&request)?;
        self.modify(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
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
        let caller = caller(&request)?;
        self.delete(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
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
        let written = self.0.create_group(caller, attributes, members).await?;
        Ok(v1::CreateGroupResponse {
            written_at: encode::revision(self.0.cursors(), caller, written.revision),
            group: Some(encode::group(
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
        let view = self.0.get(caller, KIND, &request.id, mask.wants()).await?;
        Ok(v1::GetGroupResponse {
            group: Some(encode::group(view, &mask)?),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListGroupsRequest,
    ) -> Result<v1::ListGroupsResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let list = decode::list_identity(&caller.tenant_id, "groups", request.filter.as_ref());
        let page = decode::page(self.0.cursors(), &list, request.page)?;
        let filter = request
            .filter
            .map(|f| decode::filter(KIND.schema(), &f))
            .transpose()?;
        let found = self
            .0
            .list(caller, KIND, filter.as_ref(), &page, mask.wants())
            .await?;
        let page = encode::page(self.0.cursors(), &list, &found);
        let groups = found
            .items
            .into_iter()
            .map(|view| encode::group(view, &mask));
        Ok(v1::ListGroupsResponse {
            groups: groups.collect::<Result<_>>()?,
            page: Some(page),
        })
    }

    async fn modify(
        &self,
        caller: &Caller,
        request: v1::ModifyGroupRequest,
    ) -> Result<v1::ModifyGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let modifications = decode::modifications(request.modifications)?;
        let modified = self
            .0
            .modify_group(caller, &request.id, modifications, &precondition)
            .await?;
        let written = modified.written;
        Ok(v1::ModifyGroupResponse {
            changed: written.revision.is_some(),
            written_at: encode::revision(self.0.cursors(), caller, written.revision),
            group: Some(encode::group(
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
        let list = decode::list_identity(&caller.tenant_id, &of, None);
        let page = decode::page(self.0.cursors(), &list, request.page)?;
        let found = self
            .0
            .list_members(caller, &request.group_id, &page)
            .await?;
        let page = encode::page(self.0.cursors(), &list, &found);
        let members = found.items.into_iter().map(encode::member).collect();
        Ok(v1::ListGroupMembersResponse {
            members,
            page: Some(page),
        })
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteGroupRequest,
    ) -> Result<v1::DeleteGroupResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let revision = self
            .0
            .delete(
                caller,
                KIND,
                &request.id,
                &precondition,
                request.allow_missing,
            )
            .await?;
        Ok(v1::DeleteGroupResponse {
            changed: revision.is_some(),
            written_at: encode::revision(self.0.cursors(), caller, revision),
        })
    }
}
