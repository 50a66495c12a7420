//! The generated clients with a bearer.

use muster_proto::v1::{
    change_service_client::ChangeServiceClient, group_service_client::GroupServiceClient,
    provisioning_service_client::ProvisioningServiceClient, user_service_client::UserServiceClient,
};
use tonic::{
    Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Channel, Endpoint},
};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::runtime;

/// A channel that sends a bearer.
pub type Authorized = InterceptedService<Channel, Bearer>;

/// Adds `authorization` to every call.
#[derive(Debug, Clone)]
pub struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(value) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", value.clone());
        }
        Ok(request)
    }
}

/// A caller of the directory.
#[derive(Debug, Clone)]
pub struct Grpc {
    channel: Channel,
    bearer: Bearer,
}

impl Grpc {
    /// Connects on the first call.
    pub fn new(url: &str, token: Option<&str>) -> Self {
        let _inside = runtime::runtime().enter();
        let endpoint = Endpoint::from_shared(url.to_owned()).expect("the URL of a server");
        let bearer = token.map(|t| {
            format!("Bearer {t}")
                .parse()
                .expect("a token is visible ASCII")
        });
        Self {
            channel: endpoint.connect_lazy(),
            bearer: Bearer(bearer),
        }
    }

    /// Users.
    pub fn users(&self) -> UserServiceClient<Authorized> {
        UserServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Groups.
    pub fn groups(&self) -> GroupServiceClient<Authorized> {
        GroupServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Changes and snapshots.
    pub fn changes(&self) -> ChangeServiceClient<Authorized> {
        ChangeServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Calls for which there is no generated client.
    pub fn raw(&self) -> tonic::client::Grpc<Authorized> {
        let channel = InterceptedService::new(self.channel.clone(), self.bearer.clone());
        tonic::client::Grpc::new(channel)
    }

    /// Connections.
    pub fn provisioning(&self) -> ProvisioningServiceClient<Authorized> {
        ProvisioningServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// The standard health service.
    pub fn health(&self) -> HealthClient<Authorized> {
        HealthClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }
}

/// `ErrorInfo.reason` of a status, which must carry exactly the directory's.
#[track_caller]
pub fn reason(status: &Status) -> String {
    let Some(info) = status.get_details_error_info() else {
        panic!("no ErrorInfo: {status:?}");
    };
    assert_eq!(info.domain, muster_proto::reason::DOMAIN, "{status:?}");
    assert!(
        muster_proto::reason::parse(&info.reason).is_some(),
        "a reason outside the contract: {info:?}"
    );
    info.reason
}
