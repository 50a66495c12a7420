//! What each RPC demands, read from the compiled descriptor.

use std::collections::{BTreeSet, HashMap};

use prost::Message as _;
use prost_reflect::{DescriptorPool, MethodDescriptor};

use crate::{
    FILE_DESCRIPTOR_SET,
    v1::{MethodPolicy, RateClass},
};

/// Policies of all RPCs of `identity.directory.v1`, by gRPC path
/// (`/identity.directory.v1.UserService/GetUser`).
#[derive(Debug, Clone)]
pub struct Policies(HashMap<String, MethodPolicy>);

/// The descriptor breaks a rule of the contract. The text names the RPC.
#[derive(Debug, PartialEq, Eq)]
pub struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl Policies {
    /// Reads and checks the policies of this build's contract.
    ///
    /// # Errors
    /// An RPC without a policy, without a scope that is not marked
    /// `unauthenticated`, without a rate class or without deadlines.
    pub fn load() -> Result<Self, Error> {
        let pool = DescriptorPool::decode(FILE_DESCRIPTOR_SET).map_err(|e| Error(e.to_string()))?;
        let mut policies = HashMap::new();
        for service in pool.services() {
            for method in service.methods() {
                let path = format!("/{}/{}", service.full_name(), method.name());
                let policy = read(&pool, &method).and_then(check);
                let policy = policy.map_err(|what| Error(format!("{path}: {what}")))?;
                policies.insert(path, policy);
            }
        }
        Ok(Self(policies))
    }

    /// The policy of the RPC with this gRPC path.
    pub fn get(&self, path: &str) -> Option<&MethodPolicy> {
        self.0.get(path)
    }

    /// All scopes that some RPC asks for.
    pub fn scopes(&self) -> BTreeSet<&str> {
        let any = self.0.values().flat_map(|policy| &policy.any_scope);
        let conditional = self.0.values().flat_map(|policy| &policy.conditional_scope);
        any.chain(conditional).map(String::as_str).collect()
    }

    /// All RPCs with their policies, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &MethodPolicy)> {
        self.0.iter().map(|(path, policy)| (path.as_str(), policy))
    }
}

fn read(pool: &DescriptorPool, method: &MethodDescriptor) -> Result<MethodPolicy, String> {
    let extension = pool
        .get_extension_by_name("identity.directory.v1.policy")
        .ok_or("the descriptor lacks the policy option")?;
    let options = method.options();
    if !options.has_extension(&extension) {
        return Err("no policy".to_owned());
    }
    let value = options.get_extension(&extension);
    let message = value.as_message().ok_or("the policy is no message")?;
    MethodPolicy::decode(message.encode_to_vec().as_slice()).map_err(|e| e.to_string())
}

fn check(policy: MethodPolicy) -> Result<MethodPolicy, String> {
    if policy.any_scope.is_empty() != policy.unauthenticated {
        return Err("either a scope or unauthenticated".to_owned());
    }
    if policy.rate_class() == RateClass::Unspecified {
        return Err("no rate class".to_owned());
    }
    let deadlines = 1..=policy.max_deadline_ms;
    if !deadlines.contains(&policy.default_deadline_ms) {
        return Err("no deadline, or one above the maximum".to_owned());
    }
    Ok(policy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_has_a_policy() {
        let policies = Policies::load().expect("the contract is complete");
        assert!(
            policies
                .get("/identity.directory.v1.UserService/GetUser")
                .is_some()
        );
        assert!(policies.iter().count() >= 13);
    }

    #[test]
    fn a_policy_without_scope_is_refused() {
        assert!(check(MethodPolicy::default()).is_err());
    }
}
