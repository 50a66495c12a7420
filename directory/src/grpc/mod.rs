//! gRPC: decode, call the service, encode. The only place where the directory
//! knows the wire.

mod audit;
mod audited;
mod changes;
mod decode;
mod encode;
mod gate;
mod groups;
mod mask;
mod provisioning;
mod schemas;
mod search;
mod status;
mod stream;
mod users;
mod wanted;

pub use gate::{Gate, GateLayer};
pub use status::status;

use muster_proto::v1::{
    audit_service_server::AuditServiceServer, change_service_server::ChangeServiceServer,
    group_service_server::GroupServiceServer,
    provisioning_service_server::ProvisioningServiceServer,
    schema_service_server::SchemaServiceServer, search_service_server::SearchServiceServer,
    user_service_server::UserServiceServer,
};
use tonic::{Request, service::Routes};

use crate::{auth::Caller, error::Error, service::Directory};

/// Longest message accepted, in bytes: a group with 10,000 members fits.
const MESSAGE_LIMIT: usize = 4 * 1024 * 1024;

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
    Routes::new(users.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(groups.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(provisioning.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(search.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(changes.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(schemas.max_decoding_message_size(MESSAGE_LIMIT))
        .add_service(audit.max_decoding_message_size(MESSAGE_LIMIT))
}

/// Names of the services, for the health service.
pub const SERVICE_NAMES: [&str; 7] = [
    muster_proto::v1::audit_service_server::SERVICE_NAME,
    muster_proto::v1::change_service_server::SERVICE_NAME,
    muster_proto::v1::user_service_server::SERVICE_NAME,
    muster_proto::v1::group_service_server::SERVICE_NAME,
    muster_proto::v1::provisioning_service_server::SERVICE_NAME,
    muster_proto::v1::schema_service_server::SERVICE_NAME,
    muster_proto::v1::search_service_server::SERVICE_NAME,
];

/// The caller whom the gate let in.
fn caller<T>(request: &Request<T>) -> Result<Caller, tonic::Status> {
    let caller = request.extensions().get::<Caller>().cloned();
    caller.ok_or_else(|| status(Error::internal("the gate let a stranger in")))
}
