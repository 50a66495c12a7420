//! `ProvisioningService`: decode, call the service, encode.

use muster_proto::v1::{self, provisioning_service_server::ProvisioningService};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, encode, once, policy_words, provisioning_log,
    status::status,
    token_words::{checked_moment, credential_wanted},
    tokens::shown,
};
use crate::{
    auth::{Caller, Grant},
    domain::history::ResourceType,
    error::{Error, Result},
    service::{Directory, Expiry},
};

pub(super) struct Provisioning(pub(super) Directory);

#[tonic::async_trait]
impl ProvisioningService for Provisioning {
    async fn create_connection(
        &self,
        request: Request<v1::CreateConnectionRequest>,
    ) -> Result<Response<v1::CreateConnectionResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateConnection", ResourceType::Connection, "");
        audited(&self.0, &caller, call, self.connect(&caller, request)).await
    }

    async fn list_connections(
        &self,
        request: Request<v1::ListConnectionsRequest>,
    ) -> Result<Response<v1::ListConnectionsResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.connections(&caller, request.into_inner()).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn update_connection(
        &self,
        request: Request<v1::UpdateConnectionRequest>,
    ) -> Result<Response<v1::UpdateConnectionResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let named = request.connection.as_ref();
        let id = named.map_or_else(String::new, |named| named.id.clone());
        let call = Call::new("UpdateConnection", ResourceType::Connection, &id);
        audited(&self.0, &caller, call, self.reconnect(&caller, request)).await
    }

    async fn get_connection(
        &self,
        request: Request<v1::GetConnectionRequest>,
    ) -> Result<Response<v1::GetConnectionResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().id;
        let connection = self.0.own_connection(&caller, &id).await.map_err(status)?;
        let connection = Some(policy_words::connection_for(&caller, connection));
        Ok(Response::new(v1::GetConnectionResponse { connection }))
    }

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let caller = caller(&request)?;
        if caller.connection().is_none() {
            // A service client's token is none of a provisioning client.
            return Err(status(Error::CredentialInvalid));
        }
        let schemas = match caller.profile.schema_version {
            0 => Vec::new(),
            _ => self
                .0
                .list_schemas(&caller.tenant_id)
                .await
                .map_err(status)?,
        };
        Ok(Response::new(encode::profile(caller, schemas)))
    }

    async fn create_credential(
        &self,
        request: Request<v1::CreateCredentialRequest>,
    ) -> Result<Response<v1::CreateCredentialResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateCredential", ResourceType::Token, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
    }

    async fn list_held_operations(
        &self,
        request: Request<v1::ListHeldOperationsRequest>,
    ) -> Result<Response<v1::ListHeldOperationsResponse>, Status> {
        let caller = caller(&request)?;
        let listed = self.held(&caller, request.into_inner()).await;
        listed.map(Response::new).map_err(status)
    }

    async fn resolve_held_operations(
        &self,
        request: Request<v1::ResolveHeldOperationsRequest>,
    ) -> Result<Response<v1::ResolveHeldOperationsResponse>, Status> {
        let caller = once::caller(&request)?;
        let v1::ResolveHeldOperationsRequest {
            user_ids, apply, ..
        } = request.into_inner();
        let call = Call::new("ResolveHeldOperations", ResourceType::User, "");
        let work = async {
            let resolved = self.0.resolve_held(&caller, user_ids, apply).await?;
            let at = resolved.position.as_ref();
            Ok(v1::ResolveHeldOperationsResponse {
                resolved: i32::try_from(resolved.count).unwrap_or(i32::MAX),
                written_at: at.map(|at| encode::revision(&self.0, &caller, at)),
            })
        };
        audited(&self.0, &caller, call, work).await
    }

    async fn get_user_roles(
        &self,
        request: Request<v1::GetUserRolesRequest>,
    ) -> Result<Response<v1::GetUserRolesResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let (connection_id, user_id) = (&request.connection_id, &request.user_id);
        let roles = self.0.roles_of(&caller, connection_id, user_id).await;
        let roles = roles.map_err(status)?.into_iter();
        let roles = roles.map(|role| v1::GroupRoleOfUser {
            role: role.role,
            group_id: role.group_id,
            group_display_name: role.group_name,
        });
        let roles = roles.collect();
        Ok(Response::new(v1::GetUserRolesResponse { roles }))
    }

    async fn issue_connection_token(
        &self,
        request: Request<v1::IssueConnectionTokenRequest>,
    ) -> Result<Response<v1::IssueConnectionTokenResponse>, Status> {
        let request = request.into_inner();
        let proof = decode::client_proof(request.proof.as_ref()).map_err(status)?;
        let issued = self.0.issue_token(&request.client_id, proof).await;
        let token = encode::access_token(issued.map_err(status)?);
        Ok(Response::new(token))
    }

    async fn record_provisioning_events(
        &self,
        request: Request<v1::RecordProvisioningEventsRequest>,
    ) -> Result<Response<v1::RecordProvisioningEventsResponse>, Status> {
        let caller = caller(&request)?;
        let recorded = provisioning_log::record(&self.0, &caller, request.into_inner());
        Ok(Response::new(recorded.map_err(status)?))
    }

    async fn list_provisioning_events(
        &self,
        request: Request<v1::ListProvisioningEventsRequest>,
    ) -> Result<Response<v1::ListProvisioningEventsResponse>, Status> {
        let caller = caller(&request)?;
        let page = provisioning_log::list(&self.0, &caller, request.into_inner()).await;
        Ok(Response::new(page.map_err(status)?))
    }

    async fn get_connection_health(
        &self,
        request: Request<v1::GetConnectionHealthRequest>,
    ) -> Result<Response<v1::GetConnectionHealthResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().connection_id;
        let health = provisioning_log::health(&self.0, &caller, &id).await;
        Ok(Response::new(health.map_err(status)?))
    }
}

impl Provisioning {
    async fn held(
        &self,
        caller: &Caller,
        request: v1::ListHeldOperationsRequest,
    ) -> Result<v1::ListHeldOperationsResponse> {
        let of = format!("held/{}", request.connection_id);
        let list = decode::list_identity(caller, &of, None, None);
        let page = decode::page(&self.0, &list, request.page)?;
        let connection = Some(request.connection_id.as_str()).filter(|id| !id.is_empty());
        let found = self.0.list_held(caller, connection, &page).await?;
        let page = encode::page(&self.0, &list, &found);
        let operations = found.items.into_iter().map(encode::held).collect();
        Ok(v1::ListHeldOperationsResponse {
            operations,
            page: Some(page),
        })
    }

    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreateCredentialRequest,
    ) -> Result<v1::CreateCredentialResponse> {
        let wanted = credential_wanted(request.kind)?;
        let expires_at = checked_moment("expire_time", request.expire_time.as_ref())?;
        let expiry = expires_at.map_or(Expiry::Policy, Expiry::At);
        let directory = &self.0;
        let connection = directory.connection(&caller.tenant_id, &request.connection_id);
        let (connection, grant) = (connection.await?, Grant::provisioning());
        let created =
            directory.create_credential(caller, &connection, wanted, &request.name, expiry, grant);
        let (issued, position) = created.await?;
        let (token, secret) = shown(issued);
        Ok(v1::CreateCredentialResponse {
            token: Some(token),
            secret,
            written_at: Some(encode::revision(directory, caller, &position)),
        })
    }
}
