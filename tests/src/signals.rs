//! The language of tests about signals and federated identities.

use muster_proto::v1::{
    FederatedIdentity, LinkFederatedIdentityRequest, LinkFederatedIdentityResponse,
    ListSignalsRequest, PollSecurityEventTokensRequest, PollSecurityEventTokensResponse, Revision,
    Signal, SignalType, UnlinkFederatedIdentityRequest, UnlinkFederatedIdentityResponse,
};
use tonic::Status;

use crate::{grpc::Grpc, runtime::wait};

/// An identity provider.
pub const ISSUER: &str = "https://login.example.test/tenant";

/// Links an identity of [`ISSUER`] to a user.
///
/// # Errors
/// As the directory answers.
pub fn link(
    grpc: &Grpc,
    user: &str,
    subject: &str,
) -> Result<LinkFederatedIdentityResponse, Status> {
    let request = LinkFederatedIdentityRequest {
        user_id: user.to_owned(),
        identity: Some(FederatedIdentity {
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            link_time: None,
        }),
        options: None,
    };
    Ok(wait(grpc.users().link_federated_identity(request))?.into_inner())
}

/// Takes an identity of [`ISSUER`] from a user.
///
/// # Errors
/// As the directory answers.
pub fn unlink(
    grpc: &Grpc,
    user: &str,
    subject: &str,
) -> Result<UnlinkFederatedIdentityResponse, Status> {
    let request = UnlinkFederatedIdentityRequest {
        user_id: user.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        options: None,
    };
    Ok(wait(grpc.users().unlink_federated_identity(request))?.into_inner())
}

/// The signals behind a revision, and where they end.
#[track_caller]
pub fn list(grpc: &Grpc, after: Option<Revision>) -> (Vec<Signal>, Revision) {
    let request = ListSignalsRequest {
        after,
        ..Default::default()
    };
    let answer = wait(grpc.signals().list_signals(request));
    let answer = answer.expect("signals are listed").into_inner();
    assert!(answer.caught_up);
    (answer.signals, answer.through.expect("always set"))
}

/// Type and user, or else group or token, of each signal.
pub fn told(signals: &[Signal]) -> Vec<(SignalType, String)> {
    let subject = |signal: &Signal| {
        let subjects = [&signal.user_id, &signal.group_id, &signal.token_id];
        let subject = subjects.into_iter().find(|id| !id.is_empty());
        subject.cloned().unwrap_or_default()
    };
    let told = signals.iter().map(|one| (one.r#type(), subject(one)));
    told.collect()
}

/// Polls a stream, and does not wait.
///
/// # Errors
/// As the directory answers.
pub fn poll(
    grpc: &Grpc,
    stream: &str,
    most: Option<i32>,
    acks: &[&str],
) -> Result<PollSecurityEventTokensResponse, Status> {
    let request = PollSecurityEventTokensRequest {
        stream_id: stream.to_owned(),
        max_events: most,
        return_immediately: true,
        ack_jtis: acks.iter().map(|&jti| jti.to_owned()).collect(),
        ..Default::default()
    };
    let answer = wait(grpc.signals().poll_security_event_tokens(request))?;
    Ok(answer.into_inner())
}
