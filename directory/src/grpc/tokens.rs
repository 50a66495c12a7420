//! `TokenService`: decode, call the service, encode.

use muster_proto::v1::{self, revoke_token_request::Target, token_service_server::TokenService};
use prost::Message as _;
use tonic::{Request, Response, Status};

use super::{
    audited::{Call, audited},
    caller, decode, encode, once,
    status::status,
    token_words::{checked_moment, introspection, length, stored, token_wanted, wire_length},
};
use crate::{
    auth::Caller,
    domain::{history::ResourceType, page::Place},
    error::{Error, Result},
    service::{Directory, Doomed, IssuedCredential, PersonalToken, Question, SignOut},
    storage::credentials::Wanted,
};

pub(super) struct Tokens(pub(super) Directory);

#[tonic::async_trait]
impl TokenService for Tokens {
    async fn issue_user_token(
        &self,
        request: Request<v1::IssueUserTokenRequest>,
    ) -> Result<Response<v1::IssueUserTokenResponse>, Status> {
        let caller = caller(&request)?;
        // Nothing is stored, and so nothing recorded but refusals.
        let call = Call::new("IssueUserToken", ResourceType::Token, "");
        let work = self.issue(&caller, request.into_inner());
        audited(&self.0, &caller, call, work).await
    }

    async fn create_personal_access_token(
        &self,
        request: Request<v1::CreatePersonalAccessTokenRequest>,
    ) -> Result<Response<v1::CreatePersonalAccessTokenResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("CreatePersonalAccessToken", ResourceType::Token, "");
        audited(&self.0, &caller, call, self.create(&caller, request)).await
    }

    async fn get_token(
        &self,
        request: Request<v1::GetTokenRequest>,
    ) -> Result<Response<v1::GetTokenResponse>, Status> {
        let caller = caller(&request)?;
        let id = request.into_inner().id;
        let found = self.0.get_token(&caller.tenant_id, &id).await;
        let token = Some(stored(found.map_err(status)?));
        Ok(Response::new(v1::GetTokenResponse { token }))
    }

    async fn list_tokens(
        &self,
        request: Request<v1::ListTokensRequest>,
    ) -> Result<Response<v1::ListTokensResponse>, Status> {
        let caller = caller(&request)?;
        let answer = self.list(&caller, request.into_inner()).await;
        Ok(Response::new(answer.map_err(status)?))
    }

    async fn rotate_token(
        &self,
        request: Request<v1::RotateTokenRequest>,
    ) -> Result<Response<v1::RotateTokenResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("RotateToken", ResourceType::Token, &request.id);
        audited(&self.0, &caller, call, self.rotate(&caller, request)).await
    }

    async fn revoke_token(
        &self,
        request: Request<v1::RevokeTokenRequest>,
    ) -> Result<Response<v1::RevokeTokenResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let id = match &request.target {
            Some(Target::Id(id)) => id.as_str(),
            _ => "",
        };
        let call = Call::new("RevokeToken", ResourceType::Token, id);
        audited(&self.0, &caller, call, self.revoke(&caller, request)).await
    }

    async fn revoke_all_user_tokens(
        &self,
        request: Request<v1::RevokeAllUserTokensRequest>,
    ) -> Result<Response<v1::RevokeAllUserTokensResponse>, Status> {
        let caller = once::caller(&request)?;
        let request = request.into_inner();
        let call = Call::new("RevokeAllUserTokens", ResourceType::User, &request.user_id);
        audited(&self.0, &caller, call, self.sign_out(&caller, request)).await
    }

    async fn introspect_token(
        &self,
        request: Request<v1::IntrospectTokenRequest>,
    ) -> Result<Response<v1::IntrospectTokenResponse>, Status> {
        let caller = caller(&request)?;
        let request = request.into_inner();
        let asked = Question {
            token: &request.token,
            audience: &request.expected_audience,
            scopes: &request.required_scopes,
        };
        let said = self.0.introspect(&caller, asked).await.map_err(status)?;
        Ok(Response::new(introspection(said)))
    }
}

impl Tokens {
    async fn issue(
        &self,
        caller: &Caller,
        request: v1::IssueUserTokenRequest,
    ) -> Result<v1::IssueUserTokenResponse> {
        let wanted = token_wanted(request)?;
        let token_type = match wanted.confirmation.jkt {
            Some(_) => "DPoP",
            None => "Bearer",
        };
        let issued = self.0.issue_user_token(caller, wanted).await?;
        Ok(v1::IssueUserTokenResponse {
            access_token: issued.token,
            token_type: token_type.to_owned(),
            expires_in: Some(wire_length(issued.expires_in)),
            jti: issued.jti,
            kid: issued.kid,
        })
    }

    async fn create(
        &self,
        caller: &Caller,
        request: v1::CreatePersonalAccessTokenRequest,
    ) -> Result<v1::CreatePersonalAccessTokenResponse> {
        let expires_at = checked_moment("expire_time", request.expire_time.as_ref())?;
        let wanted = PersonalToken {
            user_id: request.user_id,
            name: request.name,
            scopes: request.scopes,
            audiences: request.audiences,
            expires_at: expires_at.ok_or(Error::Required("expire_time"))?,
        };
        let (issued, position) = self.0.create_personal_token(caller, wanted).await?;
        let (token, secret) = shown(issued);
        Ok(v1::CreatePersonalAccessTokenResponse {
            token: Some(token),
            secret,
            written_at: Some(encode::revision(&self.0, caller, &position)),
        })
    }

    async fn list(
        &self,
        caller: &Caller,
        request: v1::ListTokensRequest,
    ) -> Result<v1::ListTokensResponse> {
        let personal = match request.kind() {
            v1::TokenKind::Unspecified => None,
            v1::TokenKind::PersonalAccess => Some(true),
            v1::TokenKind::ScimCredential => Some(false),
            v1::TokenKind::UserAccess | v1::TokenKind::Service => {
                return Err(Error::invalid("kind", "must be one of stored tokens"));
            }
        };
        let unpaged = v1::ListTokensRequest {
            page: None,
            ..request.clone()
        };
        let list = list_name(caller, "tokens", &unpaged.encode_to_vec());
        let page = decode::page(&self.0, &list, request.page)?;
        if page.skip > 0 || page.count || page.count_only {
            return Err(Error::invalid("page", "can only be a size and a token"));
        }
        let text = |text: String| Some(text).filter(|text| !text.is_empty());
        let before = checked_moment("expires_before", request.expires_before.as_ref())?;
        let wanted = Wanted {
            connection_id: text(request.connection_id),
            user_id: text(request.user_id),
            personal,
            expires_before: before,
            revoked: request.show_revoked,
            after: page.after.map(|place| place.id),
        };
        let found = self
            .0
            .list_tokens(&caller.tenant_id, &wanted, page.size + 1);
        let mut found = found.await?;
        let more = found.len() > page.size;
        found.truncate(page.size);
        let last = found.last().filter(|_| more);
        let next = last.map(|last| {
            let place = Place::of(last.credential.id.clone());
            self.0.cursors().page(&list, &place, self.0.now_ms())
        });
        Ok(v1::ListTokensResponse {
            tokens: found.into_iter().map(stored).collect(),
            page: Some(v1::PageResponse {
                next_page_token: next.unwrap_or_default(),
                total_size: 0,
            }),
        })
    }

    async fn rotate(
        &self,
        caller: &Caller,
        request: v1::RotateTokenRequest,
    ) -> Result<v1::RotateTokenResponse> {
        let overlap = length("overlap", request.overlap.as_ref())?.unwrap_or_default();
        let expires_at = checked_moment("expire_time", request.expire_time.as_ref())?;
        let rotated = self
            .0
            .rotate_token(caller, &request.id, overlap, expires_at);
        let (issued, position) = rotated.await?;
        let (token, secret) = shown(issued);
        Ok(v1::RotateTokenResponse {
            token: Some(token),
            secret,
            written_at: Some(encode::revision(&self.0, caller, &position)),
        })
    }

    async fn revoke(
        &self,
        caller: &Caller,
        request: v1::RevokeTokenRequest,
    ) -> Result<v1::RevokeTokenResponse> {
        let doomed = match request.target {
            Some(Target::Id(id)) => Doomed::Id(id),
            Some(Target::Token(token)) => Doomed::Value(token),
            Some(Target::Jti(jti)) => Doomed::Jti(jti),
            None => return Err(Error::Required("target")),
        };
        let ended = self.0.end_token(caller, doomed, &request.reason).await?;
        Ok(v1::RevokeTokenResponse {
            changed: ended.is_some(),
            written_at: ended.map(|at| encode::revision(&self.0, caller, &at)),
        })
    }

    async fn sign_out(
        &self,
        caller: &Caller,
        request: v1::RevokeAllUserTokensRequest,
    ) -> Result<v1::RevokeAllUserTokensResponse> {
        let wanted = SignOut {
            not_before: checked_moment("not_before", request.not_before.as_ref())?,
            user_id: request.user_id,
            keep_stored: request.keep_personal_access_tokens,
            reason: request.reason,
        };
        let done = self.0.sign_out(caller, wanted).await?;
        let at = done.position.as_ref();
        Ok(v1::RevokeAllUserTokensResponse {
            revoked_token_count: i32::try_from(done.revoked).unwrap_or(i32::MAX),
            tokens_valid_after: Some(encode::timestamp(done.valid_after)),
            written_at: at.map(|at| encode::revision(&self.0, caller, at)),
        })
    }
}

/// What tells a list of the caller's tenant from others.
pub(super) fn list_name(caller: &Caller, of: &str, wanted: &[u8]) -> Vec<u8> {
    let mut name = format!("{}\n{of}\n", caller.tenant_id).into_bytes();
    name.extend_from_slice(wanted);
    name
}

/// A token with a new secret, and the secret.
pub(super) fn shown(issued: IssuedCredential) -> (v1::Token, String) {
    let secret = issued.secret.map(|secret| secret.expose().to_owned());
    let token = stored(crate::service::StoredToken {
        key_id: issued.key_id,
        overlap_until: issued.overlap_until,
        credential: issued.credential,
    });
    (token, secret.unwrap_or_default())
}
