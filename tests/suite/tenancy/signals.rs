//! Calls of those who sign people in.

use std::collections::BTreeMap;

use muster_proto::v1;

use super::{Call, Expected, Seen, is_silent};

pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 5] = [
        ("UserService/LinkFederatedIdentity", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::LinkFederatedIdentityRequest {
                    user_id: ids.user,
                    identity: Some(v1::FederatedIdentity {
                        issuer: "i".to_owned(),
                        subject: "s".to_owned(),
                        link_time: None,
                    }),
                    options: None,
                };
                let answer = g.users().link_federated_identity(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("UserService/UnlinkFederatedIdentity", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::UnlinkFederatedIdentityRequest {
                    user_id: ids.user,
                    issuer: "i".to_owned(),
                    subject: "s".to_owned(),
                    options: None,
                };
                let answer = g.users().unlink_federated_identity(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
        ("SignalService/WatchSignals", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::WatchSignalsRequest {
                    start: Some(v1::watch_signals_request::Start::FromNow(true)),
                    ..Default::default()
                };
                let answer = g.signals().watch_signals(request).await?;
                let first = answer.into_inner().message().await?;
                Ok(is_silent(&first.unwrap_or_default(), &ids))
            })
        }),
        ("SignalService/ListSignals", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::ListSignalsRequest::default();
                let answer = g.signals().list_signals(request).await?;
                Ok(is_silent(&answer.into_inner(), &ids))
            })
        }),
        (
            "SignalService/PollSecurityEventTokens",
            Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::PollSecurityEventTokensRequest {
                        stream_id: "s".to_owned(),
                        return_immediately: true,
                        ..Default::default()
                    };
                    let answer = g.signals().poll_security_event_tokens(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
    ];
    let calls = calls.into_iter();
    calls
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
