//! `SigningKeyService`: decode, call the service, encode.

use std::time::Duration;

use muster_proto::v1::{self, signing_key_service_server::SigningKeyService};
use sha2::{Digest as _, Sha256};
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    once,
    status::status,
    token_words::{key, wire_length},
};
use crate::{
    auth::Caller,
    domain::{
        history::{ResourceType, hex},
        signing_key::MAX_AGE_S,
    },
    error::{Error, Result},
    service::Directory,
};

pub(super) struct SigningKeys(pub(super) Directory);

#[tonic::async_trait]
impl SigningKeyService for SigningKeys {
    async fn get_jwks(
        &self,
        request: Request<v1::GetJwksRequest>,
    ) -> Result<Response<v1::GetJwksResponse>, Status> {
        let keys = self.0.public_keys().await.map_err(status)?;
        let etag = format!("\"{}\"", hex(&Sha256::digest(keys.json.as_bytes())[..16]));
        let not_modified = request.get_ref().if_none_match == etag;
        let json = if not_modified {
            String::new()
        } else {
            keys.json
        };
        Ok(Response::new(v1::GetJwksResponse {
            jwks_json: json.into_bytes(),
            etag,
            max_age: Some(wire_length(Duration::from_secs(MAX_AGE_S.into()))),
            not_modified,
            issuer: keys.issuer,
        }))
    }

    async fn list_signing_keys(
        &self,
        _request: Request<v1::ListSigningKeysRequest>,
    ) -> Result<Response<v1::ListSigningKeysResponse>, Status> {
        let keys = self.0.list_keys().await.map_err(status)?;
        let keys = keys.into_iter().map(key).collect();
        Ok(Response::new(v1::ListSigningKeysResponse { keys }))
    }

    async fn rotate_signing_key(
        &self,
        request: Request<v1::RotateSigningKeyRequest>,
    ) -> Result<Response<v1::RotateSigningKeyResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("RotateSigningKey", ResourceType::SigningKey, "");
        audited(&self.0, &caller, call, self.rotate(&caller, request)).await
    }

    async fn revoke_signing_key(
        &self,
        request: Request<v1::RevokeSigningKeyRequest>,
    ) -> Result<Response<v1::RevokeSigningKeyResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("RevokeSigningKey", ResourceType::SigningKey, "");
        audited(&self.0, &caller, call, self.revoke(&caller, request)).await
    }
}

impl SigningKeys {
    async fn rotate(
        &self,
        caller: &Caller,
        request: v1::RotateSigningKeyRequest,
    ) -> Result<v1::RotateSigningKeyResponse> {
        let algorithm = match request.algorithm.as_str() {
            "" => None,
            name => Some(name.parse()),
        };
        let algorithm = algorithm.transpose();
        let algorithm =
            algorithm.map_err(|rule: crate::domain::signing_key::UnknownAlgorithm| {
                Error::invalid("algorithm", rule.to_string())
            })?;
        let rotated = self.0.rotate_key(caller, algorithm).await?;
        Ok(v1::RotateSigningKeyResponse {
            key: Some(key(rotated)),
        })
    }

    async fn revoke(
        &self,
        caller: &Caller,
        request: v1::RevokeSigningKeyRequest,
    ) -> Result<v1::RevokeSigningKeyResponse> {
        let revoked = self.0.revoke_key(caller, &request.kid, &request.reason);
        let revoked = revoked.await?;
        Ok(v1::RevokeSigningKeyResponse {
            key: Some(key(revoked)),
        })
    }
}
