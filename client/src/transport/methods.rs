//! What the contract says of each RPC: how long it may take, whether it may be
//! repeated, where a request id belongs.

use std::{collections::HashMap, time::Duration};

use muster_proto::{FILE_DESCRIPTOR_SET, policy::Policies, v1::RateClass};
use prost_reflect::{DescriptorPool, Kind, MethodDescriptor};

use crate::error::{Error, Result};

/// The message that carries the id of a write.
const OPTIONS: &str = "identity.directory.v1.WriteOptions";

/// What leaves nothing behind that a second answer would not also be, though the
/// contract does not call it a read.
const ASKED_AGAIN: &[&str] = &["/identity.directory.v1.TokenService/IssueUserToken"];

/// Whether a call may be made again when nobody knows what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Repeat {
    /// It changes nothing, or the same when it is done twice.
    Safe,
    /// It carries a request id, by which the server tells that it was done: the number of
    /// the field that has it.
    Keyed(u32),
    /// Only what surely did not happen may be done again.
    Never,
}

/// What the contract says of an RPC.
#[derive(Debug, Clone)]
pub(super) struct Method {
    pub(super) class: RateClass,
    pub(super) default_deadline: Duration,
    pub(super) longest_deadline: Duration,
    pub(super) needs_bearer: bool,
    /// Whether answers are a stream.
    pub(super) streams: bool,
    pub(super) repeat: Repeat,
}

/// All RPCs by their path.
#[derive(Debug)]
pub(super) struct Methods(HashMap<String, Method>);

impl Methods {
    /// Those of this build's contract.
    ///
    /// # Errors
    /// [`Error::Settings`] never: the contract is part of the build.
    pub(super) fn load() -> Result<Self> {
        let broken = |what: String| Error::Settings(format!("the contract is broken: {what}"));
        let policies = Policies::load().map_err(|e| broken(e.to_string()))?;
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET);
        let pool = pool.map_err(|e| broken(e.to_string()))?;
        let mut methods = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let policy = policies.get(&path);
                let policy = policy.ok_or_else(|| broken(path.clone()))?;
                let read = Method {
                    class: policy.rate_class(),
                    default_deadline: Duration::from_millis(policy.default_deadline_ms.into()),
                    longest_deadline: Duration::from_millis(policy.max_deadline_ms.into()),
                    needs_bearer: !policy.unauthenticated,
                    streams: method.is_server_streaming(),
                    repeat: repeat(&path, &method),
                };
                methods.insert(path, read);
            }
        }
        Ok(Self(methods))
    }

    pub(super) fn get(&self, path: &str) -> Option<&Method> {
        self.0.get(path)
    }
}

fn repeat(path: &str, method: &MethodDescriptor) -> Repeat {
    // 1 is NO_SIDE_EFFECTS, 2 IDEMPOTENT.
    let level = method.method_descriptor_proto().options.as_ref();
    let level = level.map_or(0, |options| options.idempotency_level.unwrap_or(0));
    if level == 1 || ASKED_AGAIN.contains(&path) {
        return Repeat::Safe;
    }
    let keyed = method.input().fields().find(|field| match field.kind() {
        Kind::Message(message) => message.full_name() == OPTIONS,
        _ => false,
    });
    match keyed {
        Some(field) => Repeat::Keyed(field.number()),
        None if level == 2 => Repeat::Safe,
        None => Repeat::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(method: &str, expected: Repeat) {
        let methods = Methods::load().unwrap();
        let path = format!("/identity.directory.v1.{method}");
        assert_eq!(methods.get(&path).unwrap().repeat, expected, "{method}");
    }

    #[test]
    fn what_may_be_repeated_is_in_the_contract() {
        check("UserService/GetUser", Repeat::Safe);
        check("UserService/PatchUser", Repeat::Keyed(5));
        check("UserService/LockUser", Repeat::Keyed(3));
        check("TokenService/IssueUserToken", Repeat::Safe);
        check("TokenService/RevokeToken", Repeat::Keyed(5));
        check("TokenService/RotateToken", Repeat::Keyed(4));
        // An assertion is good once: its maker asks again with another one.
        check("AdminService/IssueServiceToken", Repeat::Never);
    }

    #[test]
    fn no_write_is_mistaken_for_a_read() {
        let methods = Methods::load().unwrap();
        for (path, method) in &methods.0 {
            let writes = method.class == RateClass::Write;
            assert!(!(writes && method.repeat == Repeat::Safe), "{path}");
        }
    }
}
