//! The generated clients with a bearer.

use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use muster_proto::v1::{
    admin_service_client::AdminServiceClient, audit_service_client::AuditServiceClient,
    change_service_client::ChangeServiceClient,
    directory_lookup_service_client::DirectoryLookupServiceClient,
    group_service_client::GroupServiceClient,
    provisioning_service_client::ProvisioningServiceClient,
    schema_service_client::SchemaServiceClient, search_service_client::SearchServiceClient,
    signal_service_client::SignalServiceClient,
    signing_key_service_client::SigningKeyServiceClient, token_service_client::TokenServiceClient,
    user_service_client::UserServiceClient,
};
use tonic::{
    Code, Request, Status,
    metadata::{Ascii, MetadataValue},
    service::{Interceptor, interceptor::InterceptedService},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity},
};
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;

use crate::{
    runtime,
    tls::{Authority, Certified},
};

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

/// A request of this `x-request-id`.
#[track_caller]
pub fn identified<T>(request: T, id: &str) -> Request<T> {
    let mut request = Request::new(request);
    let id = id.parse().expect("an id is visible ASCII");
    request.metadata_mut().insert("x-request-id", id);
    request
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
        Self::over(endpoint(url), token)
    }

    /// As [`Grpc::new`], over a connection that takes little at a time, so that
    /// whoever does not read is noticed soon.
    pub fn narrow(url: &str, token: &str) -> Self {
        let endpoint = endpoint(url)
            .initial_stream_window_size(64 * 1024)
            .initial_connection_window_size(64 * 1024);
        Self::over(endpoint, Some(token))
    }

    /// As [`Grpc::new`], over TLS: to a server that this authority vouches for,
    /// perhaps with a certificate of the client's own.
    pub fn secure(
        url: &str,
        token: Option<&str>,
        trusted: &Authority,
        own: Option<&Certified>,
    ) -> Self {
        let trusted = Certificate::from_pem(trusted.pem());
        let mut tls = ClientTlsConfig::new().ca_certificate(trusted);
        if let Some(own) = own {
            tls = tls.identity(Identity::from_pem(&own.certificate, &own.key));
        }
        let endpoint = endpoint(&url.replace("http://", "https://"));
        Self::over(endpoint.tls_config(tls).expect("sound PEM"), token)
    }

    fn over(endpoint: Endpoint, token: Option<&str>) -> Self {
        let _inside = runtime::runtime().enter();
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

    /// The connection, for calls that bring their own credential.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// Users.
    pub fn users(&self) -> UserServiceClient<Authorized> {
        UserServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Groups.
    pub fn groups(&self) -> GroupServiceClient<Authorized> {
        GroupServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Users and groups together.
    pub fn search(&self) -> SearchServiceClient<Authorized> {
        SearchServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Who somebody is, and what he is in.
    pub fn lookup(&self) -> DirectoryLookupServiceClient<Authorized> {
        DirectoryLookupServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
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

    /// Extension schemas.
    pub fn schemas(&self) -> SchemaServiceClient<Authorized> {
        SchemaServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// The audit.
    pub fn audit(&self) -> AuditServiceClient<Authorized> {
        AuditServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Tokens of users, and stored ones.
    pub fn tokens(&self) -> TokenServiceClient<Authorized> {
        TokenServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// The keys that sign tokens.
    pub fn keys(&self) -> SigningKeyServiceClient<Authorized> {
        SigningKeyServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Signals.
    pub fn signals(&self) -> SignalServiceClient<Authorized> {
        SignalServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// Service clients.
    pub fn admin(&self) -> AdminServiceClient<Authorized> {
        AdminServiceClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }

    /// The standard health service.
    pub fn health(&self) -> HealthClient<Authorized> {
        HealthClient::with_interceptor(self.channel.clone(), self.bearer.clone())
    }
}

fn endpoint(url: &str) -> Endpoint {
    Endpoint::from_shared(url.to_owned()).expect("the URL of a server")
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

/// Calls a method without a library that looks at the time itself, so that the
/// server alone keeps this deadline. Gives the code in the trailers.
#[track_caller]
pub fn bare(
    url: &str,
    token: &str,
    method: &str,
    timeout: &str,
    message: &impl prost::Message,
) -> Code {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).expect("a small message");
    let mut frame = vec![0];
    frame.extend(length.to_be_bytes());
    frame.extend(message);
    let request = hyper::Request::post(format!("{url}/{method}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("authorization", format!("Bearer {token}"))
        .header("grpc-timeout", timeout)
        .body(Full::new(Bytes::from(frame)))
        .expect("a well-formed request");
    let code = runtime::wait(exchange(request)).expect("an answer");
    Code::from_bytes(code.as_bytes())
}

async fn exchange(
    request: hyper::Request<Full<Bytes>>,
) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let client = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let response = client.request(request).await?;
    let (head, body) = response.into_parts();
    let body = body.collect().await?;
    let status = head.headers.get("grpc-status");
    let status = status.or_else(|| body.trailers()?.get("grpc-status"));
    Ok(status.ok_or("no grpc-status")?.to_str()?.to_owned())
}
