//! The one word that the directory and its callers share: the gRPC contract
//! `identity.directory.v1` and the attribute registry.
//!
//! * [`v1`]: code generated from the `.proto` files.
//! * [`policy`]: what each RPC demands, read from the compiled descriptor.
//! * [`sensitivity`]: which fields are personal data, from there too.
//! * [`reason`]: error reasons as they travel in `google.rpc.ErrorInfo`.
//! * [`schema`]: which attributes exist and what may be done with them. There
//!   is no second table of attribute names anywhere.
//! * [`value`]: attribute values as a tree, for code that follows the registry
//!   and not the fields of one message.
//! * [`resource`]: the typed messages as such trees, and back.
//! * [`fold`]: the one way in which text is compared without case.
//!
//! Nothing here does I/O, and nothing here depends on another crate of muster.

pub mod fold;
pub mod policy;
pub mod reason;
pub mod resource;
pub mod schema;
pub mod sensitivity;
pub mod value;

/// Messages, clients and servers of `identity.directory.v1`.
#[allow(
    missing_docs,
    clippy::all,
    reason = "generated; the .proto files carry the documentation"
)]
pub mod v1 {
    tonic::include_proto!("identity.directory.v1");
}

/// The compiled contract with all its imports and options, a serialised
/// `google.protobuf.FileDescriptorSet`.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.binpb"));

macro_rules! sources {
    ($($path:literal)*) => {
        /// The contract's `.proto` files, each with its path and its text; those of
        /// `google.protobuf` are not among them, every compiler has them.
        pub const SOURCES: &[(&str, &str)] = &[$(($path, include_str!(concat!("../", $path)))),*];
    };
}

sources!(
    "google/rpc/status.proto"
    "identity/directory/v1/admin_service.proto"
    "identity/directory/v1/audit_service.proto"
    "identity/directory/v1/change_service.proto"
    "identity/directory/v1/common.proto"
    "identity/directory/v1/connection_policy.proto"
    "identity/directory/v1/filter.proto"
    "identity/directory/v1/group_service.proto"
    "identity/directory/v1/lookup.proto"
    "identity/directory/v1/lookup_service.proto"
    "identity/directory/v1/options.proto"
    "identity/directory/v1/provisioning_service.proto"
    "identity/directory/v1/schema_service.proto"
    "identity/directory/v1/search_service.proto"
    "identity/directory/v1/signal_service.proto"
    "identity/directory/v1/signing_key_service.proto"
    "identity/directory/v1/token_service.proto"
    "identity/directory/v1/types.proto"
    "identity/directory/v1/user_service.proto"
);

/// Most resources in a page of a list; what asks for more gets so many.
pub const PAGE_SIZE_LIMIT: u16 = 1_000;

/// How long a page token is good, in seconds: an hour.
pub const PAGE_TOKEN_LIFE_S: u32 = 60 * 60;

/// Metadata key by which a caller names the connection it believes to speak
/// for. When present it must be the credential's own connection.
pub const CONNECTION_METADATA: &str = "identity-connection-id";

/// Metadata key by which a caller says that it serves connections alone,
/// whatever the value: the credential of anybody else is refused like one that
/// is wrong, whatever it may do elsewhere.
pub const CONNECTIONS_ONLY_METADATA: &str = "x-muster-connections-only";

/// Metadata key by which a caller names the profile of the connection that it
/// goes by. The call is made only while it is the connection's profile.
pub const PROFILE_METADATA: &str = "x-muster-profile";

/// Metadata key by which the facade tells from which IP address its client
/// came, in the usual text form; IPv4 as such. Absent when nobody knows.
pub const CLIENT_ADDRESS_METADATA: &str = "x-muster-client-address";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_contract_is_told() {
        let set = prost_reflect::DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("a descriptor");
        let mut compiled: Vec<_> = set.files().map(|file| file.name().to_owned()).collect();
        compiled.retain(|name| !name.starts_with("google/protobuf/"));
        compiled.sort();
        let told: Vec<_> = SOURCES.iter().map(|(path, _)| *path).collect();
        assert_eq!(told, compiled);
    }
}
