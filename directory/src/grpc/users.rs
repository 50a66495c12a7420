//! `UserService`: decode, call the service, encode.

use muster_proto::v1::{self, user_service_server::UserService};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, encode, keys,
    mask::Mask,
    once, personal,
    status::status,
    wanted,
};
use crate::{
    auth::Caller,
    domain::{history::Position, resource::ResourceKind},
    error::Result,
    service::{Directory, Get, Linking, Reading, Selection, Wants},
};

const KIND: ResourceKind = ResourceKind::User;

pub(super) struct Users(pub(super) Directory);

#[tonic::async_trait]
impl UserService for Users {
    async fn create_user(
        &self,
        request: Request<v1::CreateUserRequest>,
    ) -> Result<Response<v1::CreateUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateUser", KIND, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
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
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("PatchUser", KIND, &request.id);
        audited(&self.0, &caller, call, self.patch(&caller, request)).await
    }

    async fn replace_user(
        &self,
        request: Request<v1::ReplaceUserRequest>,
    ) -> Result<Response<v1::ReplaceUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new(
            "ReplaceUser",
            KIND,
            request.user.as_ref().map_or("", |user| &user.id),
        );
        audited(&self.0, &caller, call, self.replace(&caller, request)).await
    }

    async fn lock_user(
        &self,
        request: Request<v1::LockUserRequest>,
    ) -> Result<Response<v1::LockUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let v1::LockUserRequest {
            id,
            reason,
            options,
        } = request.into_inner();
        let call = Call::new("LockUser", KIND, &id);
        let work = async {
            let (user, written_at) = self.lock(&caller, &id, Some(&reason), options).await?;
            Ok(v1::LockUserResponse {
                changed: written_at.is_some(),
                user: Some(user),
                written_at,
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn unlock_user(
        &self,
        request: Request<v1::UnlockUserRequest>,
    ) -> Result<Response<v1::UnlockUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let v1::UnlockUserRequest { id, options } = request.into_inner();
        let call = Call::new("UnlockUser", KIND, &id);
        let work = async {
            let (user, written_at) = self.lock(&caller, &id, None, options).await?;
            Ok(v1::UnlockUserResponse {
                changed: written_at.is_some(),
                user: Some(user),
                written_at,
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn delete_user(
        &self,
        request: Request<v1::DeleteUserRequest>,
    ) -> Result<Response<v1::DeleteUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("DeleteUser", KIND, &request.id);
        audited(&self.0, &caller, call, self.delete(&caller, request)).await
    }

    async fn undelete_user(
        &self,
        request: Request<v1::UndeleteUserRequest>,
    ) -> Result<Response<v1::UndeleteUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("UndeleteUser", KIND, &request.id);
        audited(&self.0, &caller, call, self.undelete(&caller, request)).await
    }

    async fn purge_user(
        &self,
        request: Request<v1::PurgeUserRequest>,
    ) -> Result<Response<v1::PurgeUserResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("PurgeUser", KIND, &request.id);
        audited(&self.0, &caller, call, self.purge(&caller, request)).await
    }

    async fn link_federated_identity(
        &self,
        request: Request<v1::LinkFederatedIdentityRequest>,
    ) -> Result<Response<v1::LinkFederatedIdentityResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("LinkFederatedIdentity", KIND, &request.user_id);
        let work = async {
            let identity = request.identity.unwrap_or_default();
            let pair = (identity.issuer.as_str(), identity.subject.as_str());
            let link = (pair, Linking::Link);
            let linking = self.link(&caller, &request.user_id, link, request.options);
            let (user, written_at) = linking.await?;
            Ok(v1::LinkFederatedIdentityResponse {
                changed: written_at.is_some(),
                user: Some(user),
                written_at,
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn unlink_federated_identity(
        &self,
        request: Request<v1::UnlinkFederatedIdentityRequest>,
    ) -> Result<Response<v1::UnlinkFederatedIdentityResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("UnlinkFederatedIdentity", KIND, &request.user_id);
        let work = async {
            let pair = (request.issuer.as_str(), request.subject.as_str());
            let unlink = (pair, Linking::Unlink);
            let unlinking = self.link(&caller, &request.user_id, unlink, request.options);
            let (user, written_at) = unlinking.await?;
            Ok(v1::UnlinkFederatedIdentityResponse {
                changed: written_at.is_some(),
                user: Some(user),
                written_at,
            })
        };
        audited(&self.0, &caller, call, work).await
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
            report: Some(encode::report(written.report)),
            written_at: self.revision(caller, written.position.as_ref()),
            user: Some(encode::user(
                &self.0,
                caller,
                written.view,
                &personal::mask(caller, None)?,
            )?),
        })
    }

    async fn get(
        &self,
        caller: &Caller,
        request: v1::GetUserRequest,
    ) -> Result<v1::GetUserResponse> {
        let mask = personal::mask(caller, request.read_mask)?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let get = Get {
            kind: KIND,
            id: &request.id,
            reach: wanted::reach(request.show_deleted),
            wants: mask.wants(),
        };
        let found = self.0.get(caller, get, &consistency).await?;
        let mut user = encode::user(&self.0, caller, found.value, &mask)?;
        let wanted = keys::asked(caller, &mask);
        keys::add(&self.0, caller, wanted, vec![&mut user]).await?;
        Ok(v1::GetUserResponse {
            read_at: Some(encode::revision(&self.0, caller, &found.at)),
            user: Some(user),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListUsersRequest,
    ) -> Result<v1::ListUsersResponse> {
        let mask = personal::mask(caller, request.read_mask)?;
        let of = match request.show_deleted {
            true => "users and deleted",
            false => "users",
        };
        let sort = request.sort.as_ref();
        let list = decode::list_identity(caller, of, request.filter.as_ref(), sort);
        let sort = sort
            .map(|s| decode::sort(caller.profile.registry.user, s))
            .transpose()?;
        let page = decode::page(&self.0, &list, request.page)?;
        let filter = request
            .filter
            .map(|f| decode::filter(caller.profile.registry.user, &f))
            .transpose()?;
        personal::check(caller, filter.as_ref(), sort.as_ref())?;
        let consistency = wanted::consistency(&self.0, caller, request.consistency)?;
        let selection = Selection {
            filter: filter.as_ref(),
            sort: sort.as_ref(),
            reach: wanted::reach(request.show_deleted),
            wants: mask.wants(),
        };
        let listing = self.0.list(caller, KIND, &selection, &page, &consistency);
        let Reading { value: found, at } = listing.await?;
        let page = encode::page(&self.0, &list, &found);
        let users = found
            .items
            .into_iter()
            .map(|view| encode::user(&self.0, caller, view, &mask));
        let mut users = users.collect::<Result<Vec<_>>>()?;
        let wanted = keys::asked(caller, &mask);
        keys::add(&self.0, caller, wanted, users.iter_mut().collect()).await?;
        Ok(v1::ListUsersResponse {
            users,
            page: Some(page),
            read_at: Some(encode::revision(&self.0, caller, &at)),
        })
    }

    async fn patch(
        &self,
        caller: &Caller,
        request: v1::PatchUserRequest,
    ) -> Result<v1::PatchUserResponse> {
        let mask = personal::mask(caller, request.read_mask)?;
        let precondition = decode::precondition(request.options.as_ref());
        let operations = decode::operations(caller.profile.registry.user, request.operations)?;
        let wants: Wants = mask.wants();
        let written = self
            .0
            .patch_user(caller, &request.id, operations, &precondition, wants)
            .await?;
        let mut user = encode::user(&self.0, caller, written.view, &mask)?;
        let wanted = keys::asked(caller, &mask);
        keys::add(&self.0, caller, wanted, vec![&mut user]).await?;
        Ok(v1::PatchUserResponse {
            report: Some(encode::report(written.report)),
            changed: written.position.is_some(),
            written_at: self.revision(caller, written.position.as_ref()),
            user: Some(user),
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
            report: Some(encode::report(written.report)),
            changed: written.position.is_some(),
            written_at: self.revision(caller, written.position.as_ref()),
            user: Some(encode::user(
                &self.0,
                caller,
                written.view,
                &personal::mask(caller, None)?,
            )?),
        })
    }

    async fn delete(
        &self,
        caller: &Caller,
        request: v1::DeleteUserRequest,
    ) -> Result<v1::DeleteUserResponse> {
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
        Ok(v1::DeleteUserResponse {
            changed: position.is_some(),
            written_at: self.revision(caller, position),
            purge_time: purge_time.map(encode::timestamp),
            report: deleted.map(|d| encode::report(d.report)),
        })
    }

    /// What the answers about locks say of a user: nothing personal.
    async fn lock(
        &self,
        caller: &Caller,
        id: &str,
        lock: Option<&str>,
        options: Option<v1::WriteOptions>,
    ) -> Result<(v1::User, Option<v1::Revision>)> {
        let precondition = decode::precondition(options.as_ref());
        let written = self.0.set_locked(caller, id, lock, &precondition).await?;
        let at = self.revision(caller, written.position.as_ref());
        let only = Mask::only(&[
            "active",
            "admin_lock",
            "effective_active",
            "inactive_reason",
            "tokens_valid_after",
        ]);
        Ok((encode::user(&self.0, caller, written.view, &only)?, at))
    }

    /// What the answers about links say of a user: nothing personal but the links.
    async fn link(
        &self,
        caller: &Caller,
        id: &str,
        (identity, linking): ((&str, &str), Linking),
        options: Option<v1::WriteOptions>,
    ) -> Result<(v1::User, Option<v1::Revision>)> {
        let precondition = decode::precondition(options.as_ref());
        let setting = self
            .0
            .set_linked(caller, id, identity, linking, &precondition);
        let written = setting.await?;
        let at = self.revision(caller, written.position.as_ref());
        let only = Mask::only(&[
            "active",
            "effective_active",
            "federated_identities",
            "inactive_reason",
            "tokens_valid_after",
        ]);
        let mut user = encode::user(&self.0, caller, written.view, &only)?;
        let wanted = keys::asked(caller, &only);
        keys::add(&self.0, caller, wanted, vec![&mut user]).await?;
        Ok((user, at))
    }

    async fn undelete(
        &self,
        caller: &Caller,
        request: v1::UndeleteUserRequest,
    ) -> Result<v1::UndeleteUserResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let undeleting = self.0.undelete(caller, KIND, &request.id, &precondition);
        let written = undeleting.await?;
        let mask = personal::mask(caller, None)?;
        Ok(v1::UndeleteUserResponse {
            changed: written.position.is_some(),
            written_at: self.revision(caller, written.position.as_ref()),
            user: Some(encode::user(&self.0, caller, written.view, &mask)?),
        })
    }

    async fn purge(
        &self,
        caller: &Caller,
        request: v1::PurgeUserRequest,
    ) -> Result<v1::PurgeUserResponse> {
        let precondition = decode::precondition(request.options.as_ref());
        let purging = self.0.purge(caller, KIND, &request.id, &precondition);
        let position = purging.await?;
        Ok(v1::PurgeUserResponse {
            written_at: self.revision(caller, Some(&position)),
        })
    }

    fn revision(&self, caller: &Caller, at: Option<&Position>) -> Option<v1::Revision> {
        at.map(|at| encode::revision(&self.0, caller, at))
    }
}
