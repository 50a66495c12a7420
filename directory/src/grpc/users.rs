//! `UserService`: decode, call the service, encode.

use muster_proto::v1::{self, user_service_server::UserService};
use tonic::{Request, Response, Status};

use super::{caller, decode, encode, mask::Mask, status::status};
use crate::{
    auth::Caller,
    domain::resource::ResourceKind,
    error::Result,
    service::{Directory, Wants},
};

const KIND: ResourceKind = ResourceKind::User;

pub(super) struct Users(pub(super) Directory);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<v1::CreateUserRequest>,
    ) -> Result<Response<v1::CreateUserResponse>, Status> {
        let caller = caller(&request)?;
        self.create(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn get_user(
        &self,
        request: Request<v1::GetUserRequest>,
    ) -> Result<Response<v1::GetUserResponse>, Status> {
        let caller = caller(&request)?;
        self.get(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn list_users(
        &self,
        request: Request<v1::ListUsersRequest>,
    ) -> Result<Response<v1::ListUsersResponse>, Status> {
        let caller = caller(&request)?;
        self.list(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn patch_user(
        &self,
        request: Request<v1::PatchUserRequest>,
    ) -> Result<Response<v1::PatchUserResponse>, Status> {
        let caller = caller(&request)?;
        self.patch(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn replace_user(
        &self,
        request: Request<v1::ReplaceUserRequest>,
    ) -> Result<Response<v1::ReplaceUserResponse>, Status> {
        let caller = caller(&request)?;
        self.replace(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        let caller = caller(&request)?;
        self.delete(&caller, request.into_inner())
            .await
            .map(Response::new)
            .map_err(status)
    }
}

impl Users {
    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreateUserRequest,
    ) -> Result<v1::CreateUserResponse> {
        let written = self
            .0
            .create_user(caller, decode::user(request.user)?)
            .await?;
        Ok(v1::CreateUserResponse {
            written_at: encode::revision(self.0.cursors(), caller, written.revision),
            user: Some(encode::user(
                written.view,
                &Mask::read(KIND.schema(), None)?,
            )?),
        })
    }

    async fn get(
        &self,
        caller: &Caller,
        request: v1::GetUserRequest,
    ) -> Result<v1::GetUserResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let view = self.0.get(caller, KIND, &request.id, mask.wants()).await?;
        Ok(v1::GetUserResponse {
            user: Some(encode::user(view, &mask)?),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListUsersRequest,
    ) -> Result<v1::ListUsersResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let list = decode::list_identity(&caller.tenant_id, "users", request.filter.as_ref());
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
        let users = found
            .items
            .into_iter()
            .map(|view| encode::user(view, &mask));
        Ok(v1::ListUsersResponse {
            users: users.collect::<Result<_>>()?,
            page: Some(page),
        })
    }

    async fn patch(
        &self,
        caller: &Caller,
        request: v1::PatchUserRequest,
    ) -> Result<v1::PatchUserResponse> {
        let mask = Mask::read(KIND.schema(), request.read_mask)?;
        let precondition = decode::precondition(request.options.as_ref());
        let operations = decode::operations(KIND, request.operations)?;
        let wants: Wants = mask.wants();
        let written = self
            .0
            .patch_user(caller, &request.id, operations, &precondition, wants)
            .await?;
        Ok(v1::PatchUserResponse {
            changed: written.revision.is_some(),
            written_at: encode::revision(self.0.cursors(), caller, written.revision),
            user: Some(encode::user(written.view, &mask)?),
        })
    }

    async fn replace(
        &self,
        caller: &Caller,
        request: v1::ReplaceUserRequest,
    ) -> Result<v1::ReplaceUserResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let id = request
            .user
            .as_ref()
            .map(|user| user.id.clone())
            .unwrap_or_default();
        let attributes = decode::user(request.user)?;
        let written = self
            .0
            .replace_user(caller, &id, attributes, &precondition)
            .await?;
        Ok(v1::ReplaceUserResponse {
            changed: written.revision.is_some(),
            written_at: encode::revision(self.0.cursors(), caller, written.revision),
            user: Some(encode::user(
                written.view,
                &Mask::read(KIND.schema(), None)?,
            )?),
        })
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteUserRequest,
    ) -> Result<v1::DeleteUserResponse> {
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
        Ok(v1::DeleteUserResponse {
            changed: revision.is_some(),
            written_at: encode::revision(self.0.cursors(), caller, revision),
        })
    }
}
