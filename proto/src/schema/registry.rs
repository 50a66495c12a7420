//! The resource types of one tenant.

use super::{GROUP, ResourceType, USER};

/// What users and groups of a tenant consist of. Lives as long as the process:
/// whoever looks an attribute up may keep it.
#[derive(Debug, PartialEq)]
pub struct Registry {
    /// Users.
    pub user: &'static ResourceType,
    /// Groups.
    pub group: &'static ResourceType,
}

static BUILTIN: Registry = Registry {
    user: &USER,
    group: &GROUP,
};

impl Registry {
    /// Of a tenant without schemas of its own.
    pub fn builtin() -> &'static Self {
        &BUILTIN
    }

    /// Users and groups, in the order in which they are listed.
    pub fn resource_types(&self) -> [&'static ResourceType; 2] {
        [self.user, self.group]
    }
}
