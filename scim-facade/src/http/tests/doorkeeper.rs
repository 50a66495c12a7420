//! A directory that does little more than let callers in.

use std::time::Duration;

use muster_proto::v1::{
    issue_connection_token_request::Proof, provisioning_service_server::ProvisioningService,
};

use super::*;

/// Where the events go that a doorkeeper is told.
pub(super) type Told = tokio::sync::mpsc::UnboundedSender<v1::ProvisioningEvent>;

/// Knows one credential, one of a user and one client, and nothing else. Of
/// each there is one that comes too often, and one that comes from `HERE`.
#[derive(Default)]
pub(super) struct Doorkeeper(pub(super) Option<Told>);

pub(super) const HERE: &str = "127.0.0.1";

pub(super) fn is_here(metadata: &tonic::metadata::MetadataMap) -> bool {
    let address = metadata.get(muster_proto::CLIENT_ADDRESS_METADATA);
    address.is_some_and(|address| address == HERE)
}

pub(super) fn too_often() -> tonic::Status {
    let reason = reason::name(ErrorReason::RateLimited);
    let mut details =
        tonic_types::ErrorDetails::with_error_info(reason, reason::DOMAIN, HashMap::new());
    details.set_retry_info(Some(Duration::from_millis(1_500)));
    let code = tonic::Code::ResourceExhausted;
    <tonic::Status as tonic_types::StatusExt>::with_error_details(code, "no", details)
}

#[tonic::async_trait]
impl ProvisioningService for Doorkeeper {
    async fn get_connection(
        &self,
        request: tonic::Request<v1::GetConnectionRequest>,
    ) -> Result<tonic::Response<v1::GetConnectionResponse>, tonic::Status> {
        let metadata = request.metadata();
        let credential = metadata.get("authorization");
        let is = |token: &str| credential.is_some_and(|v| *v == format!("Bearer {token}"));
        if is("often") {
            return Err(too_often());
        }
        let known = is("good") || is("ada") || is("here") && is_here(metadata);
        let connection = metadata.get(muster_proto::CONNECTION_METADATA);
        if known && connection.is_none_or(|id| id == "c1") {
            return Ok(tonic::Response::new(v1::GetConnectionResponse::default()));
        }
        Err(who())
    }

    async fn get_profile(
        &self,
        request: tonic::Request<v1::GetProfileRequest>,
    ) -> Result<tonic::Response<v1::GetProfileResponse>, tonic::Status> {
        let (metadata, extensions, _) = request.into_parts();
        let is_user = metadata
            .get("authorization")
            .is_some_and(|v| v == "Bearer ada");
        let request = v1::GetConnectionRequest::default();
        let request = tonic::Request::from_parts(metadata, extensions, request);
        self.get_connection(request).await?;
        Ok(tonic::Response::new(v1::GetProfileResponse {
            profile: "1.0".to_owned(),
            user_id: if is_user { "u1" } else { "" }.to_owned(),
            shows_personal_data: true,
            ..v1::GetProfileResponse::default()
        }))
    }

    async fn create_credential(
        &self,
        _: tonic::Request<v1::CreateCredentialRequest>,
    ) -> Result<tonic::Response<v1::CreateCredentialResponse>, tonic::Status> {
        Err(who())
    }

    async fn record_provisioning_events(
        &self,
        request: tonic::Request<v1::RecordProvisioningEventsRequest>,
    ) -> Result<tonic::Response<v1::RecordProvisioningEventsResponse>, tonic::Status> {
        let told = self.0.as_ref().ok_or_else(who)?;
        for event in request.into_inner().events {
            told.send(event).map_err(|_| who())?;
        }
        Ok(tonic::Response::new(Default::default()))
    }

    async fn list_provisioning_events(
        &self,
        _: tonic::Request<v1::ListProvisioningEventsRequest>,
    ) -> Result<tonic::Response<v1::ListProvisioningEventsResponse>, tonic::Status> {
        Err(who())
    }

    async fn get_connection_health(
        &self,
        _: tonic::Request<v1::GetConnectionHealthRequest>,
    ) -> Result<tonic::Response<v1::GetConnectionHealthResponse>, tonic::Status> {
        Err(who())
    }

    async fn list_held_operations(
        &self,
        _: tonic::Request<v1::ListHeldOperationsRequest>,
    ) -> Result<tonic::Response<v1::ListHeldOperationsResponse>, tonic::Status> {
        Err(who())
    }

    async fn resolve_held_operations(
        &self,
        _: tonic::Request<v1::ResolveHeldOperationsRequest>,
    ) -> Result<tonic::Response<v1::ResolveHeldOperationsResponse>, tonic::Status> {
        Err(who())
    }

    async fn get_user_roles(
        &self,
        _: tonic::Request<v1::GetUserRolesRequest>,
    ) -> Result<tonic::Response<v1::GetUserRolesResponse>, tonic::Status> {
        Err(who())
    }

    async fn create_connection(
        &self,
        _: tonic::Request<v1::CreateConnectionRequest>,
    ) -> Result<tonic::Response<v1::CreateConnectionResponse>, tonic::Status> {
        Err(who())
    }

    async fn list_connections(
        &self,
        _: tonic::Request<v1::ListConnectionsRequest>,
    ) -> Result<tonic::Response<v1::ListConnectionsResponse>, tonic::Status> {
        Err(who())
    }

    async fn update_connection(
        &self,
        _: tonic::Request<v1::UpdateConnectionRequest>,
    ) -> Result<tonic::Response<v1::UpdateConnectionResponse>, tonic::Status> {
        Err(who())
    }

    async fn issue_connection_token(
        &self,
        request: tonic::Request<v1::IssueConnectionTokenRequest>,
    ) -> Result<tonic::Response<v1::IssueConnectionTokenResponse>, tonic::Status> {
        let is_here = is_here(request.metadata());
        let request = request.into_inner();
        let proof = (request.client_id.as_str(), request.proof);
        let ("c", Some(Proof::ClientSecret(secret))) = proof else {
            return Err(who());
        };
        match secret.as_str() {
            "often" => Err(too_often()),
            "here" if !is_here => Err(who()),
            "good" | "here" => Ok(tonic::Response::new(v1::IssueConnectionTokenResponse {
                access_token: "t".to_owned(),
                expires_in: Some(prost_types::Duration {
                    seconds: 3600,
                    nanos: 0,
                }),
            })),
            "down" => Err(tonic::Status::unavailable("gone")),
            "broken" => Err(tonic::Status::internal("broken")),
            _ => Err(who()),
        }
    }
}

pub(super) fn who() -> tonic::Status {
    let code = tonic::Code::Unauthenticated;
    refusal(code, ErrorReason::CredentialInvalid)
}

pub(super) fn refusal(code: tonic::Code, reason: ErrorReason) -> tonic::Status {
    let reason = reason::name(reason);
    let details =
        tonic_types::ErrorDetails::with_error_info(reason, reason::DOMAIN, HashMap::new());
    <tonic::Status as tonic_types::StatusExt>::with_error_details(code, "no", details)
}
