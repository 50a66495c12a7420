//! Requests that are done once: which of them carry an id, and what tells one
//! from another.

use std::sync::Arc;

use muster_proto::v1::{self, WriteOptions};
use prost::Message;
use sha2::{Digest as _, Sha256};
use tonic::{Request, Status};
use uuid::Uuid;

use super::{caller as admitted, status::status};
use crate::{
    auth::{Caller, Once},
    domain::history::hex,
    error::{Error, Result},
};

/// A request that changes something.
pub(super) trait Mutation: Message + Clone {
    /// The name of its message.
    const NAME: &'static str;
    /// Whether it knows preconditions.
    const IS_CONDITIONAL: bool;
    fn options(&self) -> Option<&WriteOptions>;
    fn options_mut(&mut self) -> Option<&mut WriteOptions>;
}

/// Who sent a request that changes something, and by what it is known when it
/// comes again.
pub(super) fn caller<T: Mutation>(request: &Request<T>) -> Result<Caller, Status> {
    let mut caller = admitted(request)?;
    caller.once = once(request.get_ref()).map_err(status)?.map(Arc::new);
    Ok(caller)
}

fn once<T: Mutation>(request: &T) -> Result<Option<Once>> {
    let Some(options) = request.options() else {
        return Ok(None);
    };
    let conditions = [
        ("options.if_match", &options.if_match),
        ("options.if_none_match", &options.if_none_match),
    ];
    let mut conditions = conditions.iter().filter(|(_, text)| !text.is_empty());
    if let Some((field, _)) = conditions.next().filter(|_| !T::IS_CONDITIONAL) {
        return Err(Error::invalid(*field, "has no meaning here"));
    }
    if options.request_id.is_empty() {
        return Ok(None);
    }
    let id = Uuid::try_parse(&options.request_id);
    let id = id.map_err(|_| Error::invalid("options.request_id", "must be a UUID"))?;
    let mut plain = request.clone();
    if let Some(options) = plain.options_mut() {
        options.request_id.clear();
    }
    let mut digest = Sha256::new();
    digest.update(T::NAME);
    digest.update([0]);
    digest.update(plain.encode_to_vec());
    Ok(Some(Once {
        request_id: id.to_string(),
        digest: hex(&digest.finalize()),
    }))
}

macro_rules! mutations {
    ($conditional:literal: $($request:ident)*) => {
        $(impl Mutation for v1::$request {
            const NAME: &'static str = stringify!($request);
            const IS_CONDITIONAL: bool = $conditional;

            fn options(&self) -> Option<&WriteOptions> {
                self.options.as_ref()
            }

            fn options_mut(&mut self) -> Option<&mut WriteOptions> {
                self.options.as_mut()
            }
        })*

        #[cfg(test)]
        pub(super) const NAMES: &[&str] = &[$(stringify!($request)),*];
    };
}

mod conditional {
    use super::{Mutation, WriteOptions, v1};

    mutations!(true:
        PatchUserRequest ReplaceUserRequest LockUserRequest UnlockUserRequest DeleteUserRequest
        UndeleteUserRequest PurgeUserRequest LinkFederatedIdentityRequest
        UnlinkFederatedIdentityRequest ModifyGroupRequest DeleteGroupRequest
        UndeleteGroupRequest PurgeGroupRequest UpdateConnectionRequest);
}

mod unconditional {
    use super::{Mutation, WriteOptions, v1};

    mutations!(false:
        CreateUserRequest CreateGroupRequest CreatePersonalAccessTokenRequest RotateTokenRequest
        RevokeTokenRequest RevokeAllUserTokensRequest RotateSigningKeyRequest
        RevokeSigningKeyRequest CreateConnectionRequest CreateCredentialRequest
        ResolveHeldOperationsRequest CreateServiceClientRequest DisableServiceClientRequest
        EnableServiceClientRequest PutSchemaRequest DeleteSchemaRequest);
}

#[cfg(test)]
mod tests {
    use muster_proto::FILE_DESCRIPTOR_SET;
    use prost_reflect::{DescriptorPool, prost_types::method_options::IdempotencyLevel};

    use super::*;

    /// They change nothing that stays, or are no harm to repeat.
    const EXEMPT: [&str; 5] = [
        "PollSecurityEventTokensRequest",
        "IssueUserTokenRequest",
        "IssueServiceTokenRequest",
        "IssueConnectionTokenRequest",
        "RecordProvisioningEventsRequest",
    ];

    #[test]
    fn every_mutation_of_the_contract_can_be_done_once() {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).expect("a descriptor");
        for method in pool
            .services()
            .flat_map(|s| s.methods().collect::<Vec<_>>())
        {
            let input = method.input();
            let name = input.name();
            let options = method.method_descriptor_proto().options.clone();
            let level = options.unwrap_or_default().idempotency_level();
            let is_read = level == IdempotencyLevel::NoSideEffects || EXEMPT.contains(&name);
            let known = conditional::NAMES.contains(&name) || unconditional::NAMES.contains(&name);
            assert_ne!(is_read, known, "{name}");
            let options = input.get_field_by_name("options");
            assert_ne!(is_read, options.is_some(), "{name}");
        }
    }

    fn patch(request_id: &str, if_match: &str, id: &str) -> v1::PatchUserRequest {
        v1::PatchUserRequest {
            id: id.to_owned(),
            options: Some(WriteOptions {
                request_id: request_id.to_owned(),
                if_match: if_match.to_owned(),
                ..WriteOptions::default()
            }),
            ..v1::PatchUserRequest::default()
        }
    }

    #[test]
    fn the_payload_tells_requests_apart() {
        const ID: &str = "0b0e3a3e-0f6c-4d6a-9d0b-7f3a0c9d1e2f";
        let of = |r: &v1::PatchUserRequest| once(r).expect("a UUID").expect("an id").digest;
        let first = of(&patch(ID, "", "a"));
        assert_eq!(first, of(&patch(&ID.to_uppercase(), "", "a")));
        assert_ne!(first, of(&patch(ID, "*", "a")));
        assert_ne!(first, of(&patch(ID, "", "b")));
        assert_eq!(once(&patch("", "", "a")).expect("none is no fault"), None);
        assert!(once(&patch("17", "", "a")).is_err());
        let pointless = v1::RotateTokenRequest {
            options: patch(ID, "*", "").options,
            ..v1::RotateTokenRequest::default()
        };
        assert!(once(&pointless).is_err());
    }
}
