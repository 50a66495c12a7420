//! Requests for access tokens, to and from the directory.

use muster_proto::v1::{
    IssueConnectionTokenRequest, IssueConnectionTokenResponse,
    issue_connection_token_request::Proof as Wire,
};

use crate::oauth::{Proof, TokenRequest};

/// What a client gets. Has no `Debug`: it is secret.
pub struct AccessToken {
    /// The bearer.
    pub text: String,
    /// How long it lives, in seconds.
    pub expires_in_s: i64,
}

/// The directory's message for a request.
pub fn lower(request: TokenRequest) -> IssueConnectionTokenRequest {
    let proof = match request.proof {
        Proof::Secret(secret) => Wire::ClientSecret(secret),
        Proof::Assertion(jwt) => Wire::ClientAssertion(jwt),
    };
    IssueConnectionTokenRequest {
        client_id: request.client_id,
        proof: Some(proof),
    }
}

/// The directory's answer.
pub fn raise(answer: IssueConnectionTokenResponse) -> AccessToken {
    AccessToken {
        text: answer.access_token,
        expires_in_s: answer.expires_in.map_or(0, |duration| duration.seconds),
    }
}
