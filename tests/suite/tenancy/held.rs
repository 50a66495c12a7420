//! Calls about deactivations that wait, and about roles.

use std::collections::BTreeMap;

use muster_proto::v1;

use super::{Call, Expected, Seen, is_silent};

pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 3] = [
        (
            "ProvisioningService/ListHeldOperations",
            Nothing,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ListHeldOperationsRequest {
                        connection_id: ids.connection.clone(),
                        ..Default::default()
                    };
                    let answer = g.provisioning().list_held_operations(request).await?;
                    Ok(is_silent(&answer.into_inner(), &ids))
                })
            },
        ),
        (
            "ProvisioningService/ResolveHeldOperations",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ResolveHeldOperationsRequest {
                        user_ids: vec![ids.user],
                        apply: true,
                        options: None,
                    };
                    let answer = g.provisioning().resolve_held_operations(request).await;
                    answer.map(|_| Seen::Something)
                })
            },
        ),
        ("ProvisioningService/GetUserRoles", NotFound, |g, ids| {
            Box::pin(async move {
                let request = v1::GetUserRolesRequest {
                    connection_id: ids.connection,
                    user_id: ids.user,
                };
                let answer = g.provisioning().get_user_roles(request).await;
                answer.map(|_| Seen::Something)
            })
        }),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
