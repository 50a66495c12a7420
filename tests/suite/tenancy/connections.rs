//! Calls that make, list and change connections.

use std::collections::BTreeMap;

use muster_proto::v1;
use tonic::Code;

use super::{Call, Expected, Seen, is_silent};

/// Calls of whoever administers connections.
pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing, Refused};
    let calls: [(&'static str, Expected, Call); 3] = [
        (
            "ProvisioningService/CreateConnection",
            // New users would join their group.
            Refused(Code::InvalidArgument),
            |g, ids| {
                Box::pin(async move {
                    let policy = v1::ConnectionPolicy {
                        default_groups: vec![ids.group],
                        ..Default::default()
                    };
                    let connection = v1::Connection {
                        display_name: "new".to_owned(),
                        policy: Some(policy),
                        ..Default::default()
                    };
                    let request = v1::CreateConnectionRequest {
                        connection: Some(connection),
                        options: None,
                    };
                    let answer = g.provisioning().create_connection(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("ProvisioningService/ListConnections", Nothing, |g, ids| {
            Box::pin(async move {
                let request = v1::ListConnectionsRequest::default();
                let answer = g.provisioning().list_connections(request).await?;
                Ok(is_silent(&answer.into_inner(), &ids))
            })
        }),
        (
            "ProvisioningService/UpdateConnection",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let connection = v1::Connection {
                        id: ids.connection,
                        display_name: "ours".to_owned(),
                        ..Default::default()
                    };
                    let request = v1::UpdateConnectionRequest {
                        connection: Some(connection),
                        ..Default::default()
                    };
                    let answer = g.provisioning().update_connection(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
