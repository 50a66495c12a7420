//! gRPC: decode, call the service, encode. The only place where the directory
//! knows the wire.

mod admin;
mod audit;
mod audited;
mod changes;
mod connections;
mod decode;
mod encode;
mod following;
mod gate;
mod groups;
mod keys;
mod lookup;
mod mask;
mod once;
pub(crate) mod peer;
mod personal;
mod policy_words;
mod provisioning;
mod provisioning_log;
mod schemas;
mod search;
mod signals;
mod signing_keys;
mod status;
mod stream;
mod token_words;
mod tokens;
mod users;
mod wanted;

pub use gate::{Gate, GateLayer};
pub use status::status;

use muster_proto::v1::{
    admin_service_server::AdminServiceServer, audit_service_server::AuditServiceServer,
    change_service_server::ChangeServiceServer,
    directory_lookup_service_server::DirectoryLookupServiceServer,
    group_service_server::GroupServiceServer,
    provisioning_service_server::ProvisioningServiceServer,
    schema_service_server::SchemaServiceServer, search_service_server::SearchServiceServer,
    signal_service_server::SignalServiceServer,
    signing_key_service_server::SigningKeyServiceServer, token_service_server::TokenServiceServer,
    user_service_server::UserServiceServer,
};
use tonic::{Request, service::Routes};

use crate::{auth::Caller, error::Error, service::Directory};

/// Longest message accepted, in bytes.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

/// The same for groups: one with 100,000 members fits, also with references of
/// some length.
const GROUP_MESSAGE_LIMIT: usize = 32 * 1024 * 1024;

/// The directory's services, without the [`Gate`] that lets callers in.
pub fn routes(directory: &Directory) -> Routes {
    let users = UserServiceServer::new(users::Users(directory.clone()));
    let groups = GroupServiceServer::new(groups::Groups(directory.clone()));
    let provisioning =
        ProvisioningServiceServer::new(provisioning::Provisioning(directory.clone()));
    let changes = ChangeServiceServer::new(changes::Changes(directory.clone()));
    let schemas = SchemaServiceServer::new(schemas::Schemas(directory.clone()));
    let search = SearchServiceServer::new(search::Search(directory.clone()));
    let audit = AuditServiceServer::new(audit::Audit(directory.clone()));
    let tokens = TokenServiceServer::new(tokens::Tokens(directory.clone()));
    let signals = SignalServiceServer::new(signals::Signals(directory.clone()));
    let keys = SigningKeyServiceServer::new(signing_keys::SigningKeys(directory.clone()));
    let lookup = DirectoryLookupServiceServer::new(lookup::Lookup(directory.clone()));
    let admin = AdminServiceServer::new(admin::Admin(directory.clone()));
    Routes::new(users.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(lookup.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(groups.max_decoding_message_size(GROUP_MESSAGE_LIMIT))
        .add_service(provisioning.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(search.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(changes.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(schemas.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(audit.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(tokens.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(signals.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(keys.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(admin.max_decoding_message_size(MESSAGE_LIMIT))
}

/// Names of the services, for the health service.
pub const SERVICE_NAMES: [&str; 12] = [
    muster_proto::v1::admin_service_server::SERVICE_NAME,
    muster_proto::v1::audit_service_server::SERVICE_NAME,
    muster_proto::v1::change_service_server::SERVICE_NAME,
    muster_proto::v1::directory_lookup_service_server::SERVICE_NAME,
    muster_proto::v1::user_service_server::SERVICE_NAME,
    muster_proto::v1::group_service_server::SERVICE_NAME,
    muster_proto::v1::provisioning_service_server::SERVICE_NAME,
    muster_proto::v1::schema_service_server::SERVICE_NAME,
    muster_proto::v1::search_service_server::SERVICE_NAME,
    muster_proto::v1::signal_service_server::SERVICE_NAME,
    muster_proto::v1::signing_key_service_server::SERVICE_NAME,
    muster_proto::v1::token_service_server::SERVICE_NAME,
];

/// The caller whom the gate let in.
fn caller<T>(request: &Request<T>) -> Result<Caller, tonic::Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| status(Error::internal("the gate let a stranger in")))
}
