//! `ProvisioningService`: decode, call the service, encode.

use muster_proto::v1::{self, provisioning_service_server::ProvisioningService};
use tonic::{Request, Response, Status};

use super::{caller, decode, encode, status::status};
use crate::service::Directory;

pub(super) struct Provisioning(pub(super) Directory);

#[tonic::async_trait]
impl ProvisioningService for Provisioning {
    async fn get_connection(
        &self,
        request: Request<v1::GetConnectionRequest>,
    ) -> Result<Response<v1::GetConnectionResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().id;
        let connection = self.0.own_connection(&caller, &id).await.map_err(status)?;
        let connection = Some(encode::connection(connection));
        Ok(Response::new(v1::GetConnectionResponse { connection }))
    }

    async fn get_profile(
        &self,
        request: Request<v1::GetProfileRequest>,
    ) -> Result<Response<v1::GetProfileResponse>, Status> {
        let caller = caller(&request)?;
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
