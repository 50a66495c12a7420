//! `ProvisioningService`: decode, call the service, encode.

use muster_proto::v1::{self, provisioning_service_server::ProvisioningService};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, encode, policy_words,
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
        let caller = caller(&request)?;
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
        let caller = caller(&request)?;
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
        Ok(Response::new(encode::profile(caller.profile, schemas)))
    }

    async fn create_credential(
        &self,
        request: Request<v1::CreateCredentialRequest>,
    ) -> Result<Response<v1::CreateCredentialResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreateCredential", ResourceType::Token, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
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
}

impl Provisioning {
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
