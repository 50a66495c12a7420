//! The directory as the facade calls it: generated clients with the caller's
//! credential, the request id and a deadline.
//!
//! Every error leaves here as a [`ScimError`], so nothing above knows gRPC.
//! No call is repeated: reads come again with the client's next request, and
//! the directory itself retries what its database refused.

use std::{error::Error, fmt, net::IpAddr, time::Duration};

use muster_proto::{
    CLIENT_ADDRESS_METADATA, CONNECTION_METADATA, CONNECTIONS_ONLY_METADATA, PROFILE_METADATA,
    v1::{
        self, group_service_client::GroupServiceClient,
        provisioning_service_client::ProvisioningServiceClient,
        search_service_client::SearchServiceClient,
        signing_key_service_client::SigningKeyServiceClient,
        user_service_client::UserServiceClient,
    },
};
use sha2::{Digest as _, Sha256};
use tonic::{
    Code, Request, Response, Status,
    body::Body,
    metadata::{AsciiMetadataValue, MetadataMap},
};
use tonic_health::pb::{
    HealthCheckRequest, health_check_response::ServingStatus, health_client::HealthClient,
};
use tower::util::BoxCloneSyncService;

use crate::{
    scim::error::ScimError,
    translate::{
        profile::{self, Profile},
        status::{is_stale, reason, scim_error},
    },
};

/// How long one call may take. The directory cuts it to the method's maximum.
const DEADLINE: Duration = Duration::from_secs(30);
/// How long the directory may take to say that it is well.
const HEALTH_DEADLINE: Duration = Duration::from_secs(2);
/// Far above what the directory sends: it bounds pages to 4 MiB and documents
/// to 1 MiB.
const MAX_MESSAGE_BYTES: usize = 32 * 1024 * 1024;

/// Longest token that the directory is asked about, in bytes; real ones have some
/// three thousand. A call may have metadata of 16 KiB, and more of it ends the
/// connection that all calls share.
const TOKEN_LIMIT: usize = 12 * 1024;
/// Longest id of a connection, in bytes; real ones have 36.
const CONNECTION_LIMIT: usize = 256;

type BoxError = Box<dyn Error + Send + Sync>;
type Channel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Transport>;

/// Why no answer came. A type of its own, because futures that carry a plain
/// boxed error are not `Send` in the eyes of the compiler (rust-lang#110338).
#[derive(Debug)]
struct Transport(BoxError);

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the directory cannot be reached")
    }
}

impl Error for Transport {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&*self.0)
    }
}

/// A way to the directory: a channel to another process, or its services in
/// this one.
#[derive(Clone, Debug)]
pub struct DirectoryClient {
    channel: Channel,
}

/// The request for whose sake a call is made.
#[derive(Clone, Default)]
pub(crate) struct Occasion {
    /// Names it in logs.
    pub(crate) request_id: String,
    /// From where it came.
    pub(crate) address: Option<IpAddr>,
}

/// On whose behalf a call is made.
#[derive(Clone)]
pub(crate) struct Caller {
    /// `Bearer` and the token.
    authorization: AsciiMetadataValue,
    /// The connection that the request's path names.
    connection: Option<AsciiMetadataValue>,
    /// The profile that his calls go by, once it is known.
    profile: Option<AsciiMetadataValue>,
    occasion: Occasion,
}

/// The directory's refusal.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// As the client is told of it.
    Told(ScimError),
    /// The call went by a profile that is no longer the connection's: nothing
    /// happened, and the same request may be understood otherwise now.
    Stale,
}

impl DirectoryClient {
    /// Calls go to this service: a `tonic` channel, or its routes in process.
    pub fn new<S>(service: S) -> Self
    where
        S: tower::Service<http::Request<Body>, Response = http::Response<Body>>
            + Clone
            + Send
            + Sync
            + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        let service =
            tower::ServiceExt::map_err(service, |error: S::Error| Transport(error.into()));
        Self {
            channel: BoxCloneSyncService::new(service),
        }
    }

    /// What the caller's connection goes by; also whether his credential is
    /// good for anything.
    pub(crate) async fn profile(&self, caller: &Caller) -> Result<Profile, Refusal> {
        let answer = self.get_profile(caller, v1::GetProfileRequest::default());
        answer.await.map(profile::raise)
    }

    /// An access token for a client that brings its own proof.
    pub(crate) async fn issue_token(
        &self,
        occasion: &Occasion,
        message: v1::IssueConnectionTokenRequest,
    ) -> Result<v1::IssueConnectionTokenResponse, Refusal> {
        let mut client = self.provisioning();
        let call = client.issue_connection_token(occasion.request(message));
        answer("issue_connection_token", &occasion.request_id, call).await
    }

    /// The public keys of tokens, for anybody.
    pub(crate) async fn jwks(&self, occasion: &Occasion) -> Result<v1::GetJwksResponse, Refusal> {
        let mut client = SigningKeyServiceClient::new(self.channel.clone());
        let call = client.get_jwks(occasion.request(v1::GetJwksRequest::default()));
        answer("get_jwks", &occasion.request_id, call).await
    }

    /// Whether the directory says that it serves.
    pub(crate) async fn is_ready(&self) -> bool {
        let mut client = HealthClient::new(self.channel.clone());
        let call = client.check(HealthCheckRequest::default());
        match tokio::time::timeout(HEALTH_DEADLINE, call).await {
            Ok(Ok(answer)) => answer.into_inner().status() == ServingStatus::Serving,
            Ok(Err(_)) | Err(_) => false,
        }
    }

    fn users(&self) -> UserServiceClient<Channel> {
        UserServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn groups(&self) -> GroupServiceClient<Channel> {
        GroupServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn search(&self) -> SearchServiceClient<Channel> {
        SearchServiceClient::new(self.channel.clone()).max_decoding_message_size(MAX_MESSAGE_BYTES)
    }

    fn provisioning(&self) -> ProvisioningServiceClient<Channel> {
        ProvisioningServiceClient::new(self.channel.clone())
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
    }
}

macro_rules! calls {
    ($($service:ident.$method:ident($request:ident) -> $response:ident;)*) => {
        impl DirectoryClient {
            $(
                pub(crate) async fn $method(
                    &self,
                    caller: &Caller,
                    message: v1::$request,
                ) -> Result<v1::$response, Refusal> {
                    let mut client = self.$service();
                    let call = client.$method(caller.request(message));
                    answer(stringify!($method), caller.request_id(), call).await
                }
            )*
        }
    };
}

calls! {
    users.create_user(CreateUserRequest) -> CreateUserResponse;
    users.get_user(GetUserRequest) -> GetUserResponse;
    users.list_users(ListUsersRequest) -> ListUsersResponse;
    users.patch_user(PatchUserRequest) -> PatchUserResponse;
    users.replace_user(ReplaceUserRequest) -> ReplaceUserResponse;
    users.delete_user(DeleteUserRequest) -> DeleteUserResponse;
    groups.create_group(CreateGroupRequest) -> CreateGroupResponse;
    groups.get_group(GetGroupRequest) -> GetGroupResponse;
    groups.list_groups(ListGroupsRequest) -> ListGroupsResponse;
    groups.modify_group(ModifyGroupRequest) -> ModifyGroupResponse;
    groups.list_group_members(ListGroupMembersRequest) -> ListGroupMembersResponse;
    groups.delete_group(DeleteGroupRequest) -> DeleteGroupResponse;
    search.search_resources(SearchResourcesRequest) -> SearchResourcesResponse;
    provisioning.get_profile(GetProfileRequest) -> GetProfileResponse;
    provisioning.record_provisioning_events(RecordProvisioningEventsRequest)
        -> RecordProvisioningEventsResponse;
}

impl Caller {
    /// The holder of a bearer token. `None` when the token or the connection
    /// has characters that no real one has, or is longer than any.
    pub(crate) fn new(token: &str, connection: Option<&str>, occasion: Occasion) -> Option<Self> {
        let is_long = connection.is_some_and(|id| id.len() > CONNECTION_LIMIT);
        if is_long || token.len() > TOKEN_LIMIT {
            return None;
        }
        let mut authorization: AsciiMetadataValue = format!("Bearer {token}").parse().ok()?;
        authorization.set_sensitive(true);
        let connection = match connection {
            Some(id) => Some(id.parse().ok()?),
            None => None,
        };
        Some(Self {
            authorization,
            connection,
            profile: None,
            occasion,
        })
    }

    /// The same, whose calls are made only while this is his connection's
    /// profile.
    pub(crate) fn under(&self, profile: &Profile) -> Self {
        Self {
            profile: profile.tag.parse().ok(),
            ..self.clone()
        }
    }

    /// The same, whatever his connection's profile is.
    pub(crate) fn under_any(&self) -> Self {
        Self {
            profile: None,
            ..self.clone()
        }
    }

    /// Tells one credential, as used for one connection, from others.
    pub(crate) fn digest(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        digest.update(self.authorization.as_encoded_bytes());
        // No credential has a NUL.
        digest.update([0]);
        if let Some(connection) = &self.connection {
            digest.update(connection.as_encoded_bytes());
        }
        digest.finalize().into()
    }

    /// What names the request in logs.
    pub(crate) fn request_id(&self) -> &str {
        &self.occasion.request_id
    }

    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = self.occasion.request(message);
        let metadata: &mut MetadataMap = request.metadata_mut();
        metadata.insert("authorization", self.authorization.clone());
        metadata.insert(
            CONNECTIONS_ONLY_METADATA,
            AsciiMetadataValue::from_static("1"),
        );
        if let Some(connection) = &self.connection {
            metadata.insert(CONNECTION_METADATA, connection.clone());
        }
        if let Some(profile) = &self.profile {
            metadata.insert(PROFILE_METADATA, profile.clone());
        }
        request
    }
}

impl Occasion {
    fn request<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        request.set_timeout(DEADLINE);
        let metadata: &mut MetadataMap = request.metadata_mut();
        if let Ok(id) = self.request_id.parse() {
            metadata.insert("x-request-id", id);
        }
        let address = self.address.map(|address| address.to_string().parse());
        if let Some(Ok(address)) = address {
            metadata.insert(CLIENT_ADDRESS_METADATA, address);
        }
        request
    }
}

async fn answer<T>(
    rpc: &'static str,
    request_id: &str,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Refusal> {
    // In process nobody else keeps the deadline.
    let answer = tokio::time::timeout(DEADLINE, call).await;
    let status = match answer {
        Ok(Ok(response)) => return Ok(response.into_inner()),
        Ok(Err(status)) => status,
        Err(_) => Status::deadline_exceeded("no answer in time"),
    };
    if is_stale(&status) {
        return Err(Refusal::Stale);
    }
    let error = scim_error(&status);
    log(rpc, request_id, &status, &error);
    Err(Refusal::Told(error))
}

/// A fault with a reason was logged by the directory, with its cause and under
/// the same request id; but for a deadline, which has no cause. The others are
/// seen by nobody else.
fn log(rpc: &'static str, request_id: &str, status: &Status, error: &ScimError) {
    let reason = reason(status);
    let code = status.code();
    let is_logged = reason.is_some() && code != Code::DeadlineExceeded;
    match error.status() {
        status if status < 500 || is_logged => tracing::debug!(
            rpc.method = rpc,
            rpc.code = ?code,
            rpc.reason = reason,
            http.status = status,
            request.id = request_id,
            "the directory answered with an error"
        ),
        503 => tracing::warn!(
            rpc.method = rpc,
            rpc.code = ?code,
            rpc.reason = reason,
            error = chain(status),
            request.id = request_id,
            "the directory did not answer"
        ),
        _ => tracing::error!(
            rpc.method = rpc,
            rpc.code = ?code,
            error = chain(status),
            request.id = request_id,
            "the directory's answer could not be used"
        ),
    }
}

/// The message and the causes behind it.
fn chain(status: &Status) -> String {
    let mut text = status.message().to_owned();
    let mut cause = status.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}
