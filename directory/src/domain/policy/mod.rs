//! What a connection does with what its client sends: who is found when somebody
//! is created, which attributes count, what a deletion does.
//!
//! A [`Policy`] is data: operators write it as a file, the database keeps it as
//! JSON. `check` tells whether it can be meant; `apply` and `merge` are what
//! it does to a user. What follows from it for memberships, deletions and
//! credentials is in `service`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

mod apply;
mod check;
mod guard;
mod lifetime;
mod merge;
mod path;

pub use self::{
    apply::Said,
    check::{LIST_LIMIT, is_base_path},
    guard::Guard,
    lifetime::Lifetime,
    path::Path,
};

/// What the directory keeps of nobody: whether a request names it is for those to see
/// who read requests.
pub const NOT_KEPT: [&str; 2] = ["groups", "password"];

/// How a connection serves its client. Every field may be left out; what then holds
/// is what the RFCs say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Policy {
    /// Whether groups are provisioned. Without, `GET /Groups` lists none, and
    /// whatever else is asked of a group is refused.
    pub groups_enabled: bool,
    /// By which values a user who exists already is found when one is created, in
    /// this order.
    pub match_order: Vec<MatchKey>,
    /// What becomes of him.
    pub on_match: OnMatch,
    /// Whether users are found who were deleted and not yet purged: they come back
    /// with everything they had.
    pub match_deleted: bool,
    /// Whether users are found whom another connection provisions.
    pub match_foreign: bool,
    /// With `on_match = "merge"`: values that stay as they are where there is one.
    pub never_overwrite: Vec<Path>,
    /// Attributes without which nobody is created, and which nobody loses.
    pub required_attributes: Vec<Path>,
    /// Whether nobody is created, or left, without an e-mail address: one of his own, or
    /// a `userName` that is one.
    pub require_email: bool,
    /// Attributes that are written; empty: all. `externalId` always is.
    pub allowed_attributes: Vec<Path>,
    /// What becomes of the others.
    pub on_other_attributes: OnOther,
    /// Attributes that are refused as not to be written, whatever the others are;
    /// those of [`NOT_KEPT`] among them where a request may not even name them.
    pub rejected_attributes: Vec<Path>,
    /// Whether `userName` stays as it was first written. A request that speaks of
    /// `active` too is done without it; others are refused.
    pub user_name_immutable: bool,
    /// Which e-mail addresses are kept.
    pub emails: Kept,
    /// Which phone numbers are kept.
    pub phone_numbers: Kept,
    /// Attributes whose value must be one of these, without case; another one is
    /// left out, and reported.
    pub lookups: BTreeMap<Path, Vec<String>>,
    /// Attributes that fill others: from the first to the second.
    pub mirror: BTreeMap<Path, Path>,
    /// Groups that new users join, by id or display name.
    pub default_groups: Vec<String>,
    /// Whether default groups that do not exist are made with the policy.
    pub create_default_groups: bool,
    /// What a deletion does to a user.
    pub on_delete: OnDelete,
    /// What becomes of a request that names a member who does not exist.
    pub on_unknown_member: OnUnknownMember,
    /// Whether members may be named by `externalId`, too.
    pub members_by_external_id: bool,
    /// How long new credentials live; unset: for good.
    pub credential_lifetime: Option<Lifetime>,
    /// How many credentials may be good at the same time; unset: any number.
    pub credential_limit: Option<u32>,
    /// Whether new users may act only once an operator unlocked them.
    pub require_activation: bool,
    /// Roles that come with groups, the most important first.
    pub group_roles: Vec<GroupRole>,
    /// Path of the Tenant URL, one of the server's `base_paths`; unset: the first.
    /// `{connection}` stands for the connection's id.
    pub base_path: Option<String>,
    /// When deactivations wait for an operator; unset: never.
    pub deprovision_guard: Option<Guard>,
    /// Users whom no request deactivates, deletes or renames, by id or `userName`.
    pub protected_users: Vec<String>,
}

impl Policy {
    /// Those of [`NOT_KEPT`] that requests may not name.
    pub fn unnameable(&self) -> impl Iterator<Item = &'static str> {
        let is_rejected = |name: &&str| {
            self.rejected_attributes
                .iter()
                .any(|path| path.is_core(name))
        };
        NOT_KEPT.into_iter().filter(is_rejected)
    }
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            groups_enabled: true,
            match_order: Vec::new(),
            on_match: OnMatch::default(),
            match_deleted: false,
            match_foreign: false,
            never_overwrite: Vec::new(),
            required_attributes: Vec::new(),
            require_email: false,
            allowed_attributes: Vec::new(),
            on_other_attributes: OnOther::default(),
            rejected_attributes: Vec::new(),
            user_name_immutable: false,
            emails: Kept::default(),
            phone_numbers: Kept::default(),
            lookups: BTreeMap::new(),
            mirror: BTreeMap::new(),
            default_groups: Vec::new(),
            create_default_groups: false,
            on_delete: OnDelete::default(),
            on_unknown_member: OnUnknownMember::default(),
            members_by_external_id: true,
            credential_lifetime: None,
            credential_limit: None,
            require_activation: false,
            group_roles: Vec::new(),
            base_path: None,
            deprovision_guard: None,
            protected_users: Vec::new(),
        }
    }
}

/// By what a user is found when one is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKey {
    /// By the connection's `externalId`.
    ExternalId,
    /// By `userName`, without case.
    UserName,
    /// By the value of an e-mail address of type `work`, without case.
    WorkEmail,
    /// By `employeeNumber` of the enterprise extension.
    EmployeeNumber,
}

impl MatchKey {
    /// Its SCIM path.
    pub fn path(self) -> Path {
        let enterprise = Some(muster_proto::schema::ENTERPRISE_USER);
        match self {
            Self::ExternalId => Path::of(None, "externalId"),
            Self::UserName => Path::of(None, "userName"),
            Self::EmployeeNumber => Path::of(enterprise, "employeeNumber"),
            Self::WorkEmail => Path {
                of_type: Some("work".to_owned()),
                sub: Some("value".to_owned()),
                ..Path::of(None, "emails")
            },
        }
    }
}

/// What becomes of a user who was found when one is created.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnMatch {
    /// He stays as he is; the request is refused as a conflict.
    #[default]
    Conflict,
    /// He becomes the connection's and keeps his values; those that he lacks are
    /// filled, and `active` follows the request.
    Adopt,
    /// He becomes the connection's, and what is sent is written over what he has.
    Merge,
}

/// What becomes of attributes that are not allowed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnOther {
    /// They are left out, and reported.
    #[default]
    Ignore,
    /// The request is refused.
    Reject,
}

/// Which values of a multi-valued attribute are kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kept {
    /// All of them.
    #[default]
    All,
    /// The primary one.
    PrimaryOnly,
    /// The primary one, else the only one.
    PrimaryOrSingle,
}

/// What a deletion does to a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnDelete {
    /// He is gone for clients, and kept for a while: an operator brings him back,
    /// or `match_deleted` does.
    #[default]
    Soft,
    /// He is gone for good.
    Hard,
    /// He stays and is not active any more.
    Deactivate,
}

/// What becomes of a request that names a member who does not exist.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnUnknownMember {
    /// It is refused, and nobody is added.
    #[default]
    Reject,
    /// He is left out, and reported; the others are added.
    Skip,
}

/// A role that comes with a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GroupRole {
    /// Display name of the group, without case.
    pub group: String,
    /// The role.
    pub role: String,
}
