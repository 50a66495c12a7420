//! Calls that came with the provisioning log.

use std::collections::BTreeMap;

use muster_proto::v1;

use super::{Call, Expected, Seen};

pub(super) fn calls() -> BTreeMap<&'static str, (Expected, Call)> {
    use Expected::{NotFound, Nothing};
    let calls: [(&'static str, Expected, Call); 3] = [
        // Whatever it says, it is put into the caller's own log.
        (
            "ProvisioningService/RecordProvisioningEvents",
            Nothing,
            |g, ids| {
                Box::pin(async move {
                    let event = v1::ProvisioningEvent {
                        connection_id: ids.connection,
                        resource_id: ids.user,
                        ..Default::default()
                    };
                    let request = v1::RecordProvisioningEventsRequest {
                        events: vec![event],
                    };
                    let mut client = g.provisioning();
                    let recorded = client.record_provisioning_events(request);
                    recorded.await.map(|_| Seen::Nothing)
                })
            },
        ),
        (
            "ProvisioningService/ListProvisioningEvents",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::ListProvisioningEventsRequest {
                        connection_id: ids.connection,
                        ..Default::default()
                    };
                    let mut client = g.provisioning();
                    let found = client.list_provisioning_events(request);
                    found.await.map(|_| Seen::Something)
                })
            },
        ),
        (
            "ProvisioningService/GetConnectionHealth",
            NotFound,
            |g, ids| {
                Box::pin(async move {
                    let request = v1::GetConnectionHealthRequest {
                        connection_id: ids.connection,
                    };
                    let mut client = g.provisioning();
                    let found = client.get_connection_health(request);
                    found.await.map(|_| Seen::Something)
                })
            },
        ),
    ];
    calls
        .into_iter()
        .map(|(name, expected, call)| (name, (expected, call)))
        .collect()
}
