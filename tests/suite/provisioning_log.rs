//! What requests of provisioning clients came to, and how connections fare.

mod commands;
mod failures;
mod health;
mod operations;
mod paths;
mod policy;

use muster_proto::v1::{
    ListProvisioningEventsRequest, PageRequest, ProvisioningEvent, ProvisioningOperation,
};
use muster_tests::{
    grpc::Grpc, runtime::wait, scim::Scim, server::Server, service::Service, soon::wait_until,
    tenant::Tenant,
};

/// A tenant with a reader of its log.
struct World {
    tenant: Tenant,
    scim: Scim,
    grpc: Grpc,
}

/// In the server that tests share.
fn world() -> World {
    World::on(super::server())
}

impl World {
    #[track_caller]
    fn on(server: &Server) -> Self {
        let tenant = Tenant::create(server);
        let reader = Service::create(server, &tenant, "provisioning.read");
        Self {
            scim: tenant.scim(),
            grpc: reader.grpc(),
            tenant,
        }
    }

    /// Events, the newest first.
    #[track_caller]
    fn list(&self, wanted: ListProvisioningEventsRequest) -> Vec<ProvisioningEvent> {
        list(&self.grpc, wanted)
    }

    /// All events of the tenant, the oldest first, when there are as many.
    #[track_caller]
    fn events(&self, count: usize) -> Vec<ProvisioningEvent> {
        let mut events = Vec::new();
        wait_until(&format!("{count} events"), || {
            events = self.list(ListProvisioningEventsRequest::default());
            events.len() >= count
        });
        assert_eq!(events.len(), count, "{events:#?}");
        events.reverse();
        events
    }

    /// The one event that the tenant has.
    #[track_caller]
    fn event(&self) -> ProvisioningEvent {
        self.events(1).remove(0)
    }
}

/// Up to a thousand events, the newest first.
#[track_caller]
fn list(grpc: &Grpc, wanted: ListProvisioningEventsRequest) -> Vec<ProvisioningEvent> {
    let request = ListProvisioningEventsRequest {
        page: Some(PageRequest {
            page_size: 1_000,
            ..PageRequest::default()
        }),
        ..wanted
    };
    let answer = wait(grpc.provisioning().list_provisioning_events(request));
    answer.expect("events").into_inner().events
}

/// What an event says first.
fn told(event: &ProvisioningEvent) -> (ProvisioningOperation, i32, &str) {
    (event.operation(), event.http_status, event.name.as_str())
}
