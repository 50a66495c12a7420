//! Whether a policy can be meant: what it names exists, and nothing in it contradicts
//! the rest. Everything that is wrong is told, when it is set.

use std::collections::{BTreeMap, BTreeSet};

use muster_proto::schema::{Kind, ResourceType};

use super::{Guard, NOT_KEPT, OnMatch, OnOther, Path, Policy, path::Resolved};
use crate::{
    domain::fold::fold,
    error::{Error, Result, Violation},
};

/// Most values that one attribute is looked up in.
const LOOKUP_LIMIT: usize = 10_000;

/// Most paths, groups or users in one list.
pub const LIST_LIMIT: usize = 200;

/// Largest policy as it is kept, in bytes: every caller has it at hand.
const SIZE_LIMIT: usize = 512 * 1024;

const REJECTED: &str = "rejected_attributes";

impl Policy {
    /// The policy with its paths in the registry's spelling.
    ///
    /// # Errors
    /// [`Error::Invalid`] with everything that is wrong.
    pub fn checked(mut self, schema: &'static ResourceType) -> Result<Self> {
        let mut faults = Faults::default();
        self.resolve_lists(schema, &mut faults);
        self.resolve_lookups(schema, &mut faults);
        self.resolve_mirror(schema, &mut faults);
        self.check_matching(&mut faults);
        self.check_allowed(&mut faults);
        self.check_named(&mut faults);
        self.check_rejected(&mut faults);
        self.check_groups(&mut faults);
        self.check_rest(&mut faults);
        faults.finish(self)
    }

    fn resolve_lists(&mut self, schema: &'static ResourceType, faults: &mut Faults) {
        for (field, paths) in [
            ("never_overwrite", &mut self.never_overwrite),
            ("required_attributes", &mut self.required_attributes),
            ("allowed_attributes", &mut self.allowed_attributes),
            (REJECTED, &mut self.rejected_attributes),
        ] {
            faults.bound(field, paths.len(), LIST_LIMIT);
            for path in paths {
                if field == REJECTED && NOT_KEPT.iter().any(|name| path.is_core(name)) {
                    continue;
                }
                if let Some(resolved) = faults.resolve(field, path, schema) {
                    *path = resolved.path;
                }
            }
        }
    }

    fn resolve_lookups(&mut self, schema: &'static ResourceType, faults: &mut Faults) {
        const FIELD: &str = "lookups";
        faults.bound(FIELD, self.lookups.len(), LIST_LIMIT);
        let mut resolved = BTreeMap::new();
        for (path, values) in std::mem::take(&mut self.lookups) {
            faults.bound(&format!("{FIELD}.{path}"), values.len(), LOOKUP_LIMIT);
            if values.is_empty() {
                faults.note(
                    FIELD,
                    format!("{path} has no values: nothing could be written"),
                );
            }
            let Some(found) = faults.resolve(FIELD, &path, schema) else {
                continue;
            };
            if found.simple() != Some(Kind::String) {
                faults.note(FIELD, format!("{path} is no single text"));
            }
            if ["userName", "externalId"]
                .iter()
                .any(|name| found.path.is_core(name))
            {
                faults.note(FIELD, format!("{path} is what users are kept by"));
            }
            if resolved.insert(found.path, values).is_some() {
                faults.note(FIELD, format!("{path} is named twice"));
            }
        }
        self.lookups = resolved;
    }

    fn resolve_mirror(&mut self, schema: &'static ResourceType, faults: &mut Faults) {
        const FIELD: &str = "mirror";
        faults.bound(FIELD, self.mirror.len(), LIST_LIMIT);
        let (mut resolved, mut targets) = (BTreeMap::new(), BTreeSet::new());
        for (from, to) in std::mem::take(&mut self.mirror) {
            let sides = (
                faults.resolve(FIELD, &from, schema),
                faults.resolve(FIELD, &to, schema),
            );
            let (Some(source), Some(target)) = sides else {
                continue;
            };
            match (source.simple(), target.simple()) {
                (Some(one), Some(other)) if one == other => {}
                (Some(_), Some(_)) => {
                    faults.note(FIELD, format!("{from} and {to} have different types"));
                }
                _ => faults.note(FIELD, format!("{from} and {to} must be single values")),
            }
            if source.path == target.path {
                faults.note(FIELD, format!("{from} fills itself"));
            }
            if !targets.insert(target.path.clone()) {
                faults.note(FIELD, format!("{to} is filled twice"));
            }
            if resolved.insert(source.path, target.path).is_some() {
                faults.note(FIELD, format!("{from} is named twice"));
            }
        }
        if let Some(path) = resolved.keys().find(|path| targets.contains(path)) {
            faults.note(FIELD, format!("{path} is filled and fills another"));
        }
        self.mirror = resolved;
    }

    fn check_matching(&self, faults: &mut Faults) {
        let keys: BTreeSet<_> = self.match_order.iter().map(|key| key.path()).collect();
        if keys.len() != self.match_order.len() {
            faults.note("match_order", "names a key twice");
        }
        if self.on_match != OnMatch::Conflict && keys.is_empty() {
            faults.note("on_match", "needs a match_order: nobody would be found");
        }
        if self.on_match != OnMatch::Merge && !self.never_overwrite.is_empty() {
            faults.note("never_overwrite", "needs on_match = \"merge\"");
        }
        if self.on_match == OnMatch::Conflict && (self.match_deleted || self.match_foreign) {
            faults.note(
                "on_match",
                "must be adopt or merge for match_deleted and match_foreign",
            );
        }
        let filled: BTreeSet<_> = self.mirror.values().collect();
        let is_never = |key: &&Path| !self.lets_through(key) && !filled.contains(*key);
        for key in keys.iter().filter(is_never) {
            faults.note(
                "match_order",
                format!("{key} is not allowed, and so never there"),
            );
        }
    }

    fn check_allowed(&self, faults: &mut Faults) {
        let is_part = |path: &&Path| path.of_type.is_some() && path.sub.is_some();
        for path in self.allowed_attributes.iter().filter(is_part) {
            let rule = format!("{path} is a part of an element; allow the element");
            faults.note("allowed_attributes", rule);
        }
        if self.allowed_attributes.is_empty() {
            if self.on_other_attributes == OnOther::Reject {
                faults.note(
                    "on_other_attributes",
                    "needs allowed_attributes: all are allowed",
                );
            }
        } else {
            for name in ["userName", "active"] {
                if !self.lets_through(&Path::of(None, name)) {
                    let rule = format!("must have {name}: users could not be kept");
                    faults.note("allowed_attributes", rule);
                }
            }
        }
    }

    /// What is named elsewhere must be there.
    fn check_named(&self, faults: &mut Faults) {
        let lists = [
            (
                "required_attributes",
                self.required_attributes.iter().collect(),
            ),
            ("lookups", self.lookups.keys().collect::<Vec<_>>()),
            ("mirror", self.mirror.keys().collect()),
        ];
        let targets: BTreeSet<_> = self.mirror.values().collect();
        for (field, paths) in lists {
            for path in paths {
                if !self.lets_through(path) && !targets.contains(path) {
                    faults.note(field, format!("{path} is not allowed, and so never there"));
                }
            }
        }
    }

    fn check_rejected(&self, faults: &mut Faults) {
        for path in &self.rejected_attributes {
            if ["userName", "active", "externalId"]
                .iter()
                .any(|name| path.is_core(name))
            {
                faults.note(REJECTED, format!("{path} is what users are kept by"));
            }
            let mut required = self.required_attributes.iter();
            if required.any(|required| path.covers(required)) {
                faults.note(REJECTED, format!("{path} is required"));
            }
        }
    }

    /// Whether a value of this path can be written at all.
    fn lets_through(&self, path: &Path) -> bool {
        let allowed = self.allowed_attributes.is_empty()
            || path.to_string() == "externalId"
            || self
                .allowed_attributes
                .iter()
                .any(|allowed| allowed.covers(path));
        allowed
            && !self
                .rejected_attributes
                .iter()
                .any(|rejected| rejected.covers(path))
    }

    fn check_groups(&self, faults: &mut Faults) {
        faults.bound("default_groups", self.default_groups.len(), LIST_LIMIT);
        faults.bound("group_roles", self.group_roles.len(), LIST_LIMIT);
        let mut seen = BTreeSet::new();
        for entry in &self.group_roles {
            faults.text("group_roles", &entry.group);
            faults.text("group_roles", &entry.role);
            if !seen.insert(fold(&entry.group)) {
                faults.note("group_roles", format!("{:?} is named twice", entry.group));
            }
        }
        for group in &self.default_groups {
            faults.text("default_groups", group);
        }
        if self.create_default_groups && self.default_groups.is_empty() {
            faults.note("create_default_groups", "needs default_groups");
        }
    }

    fn check_rest(&self, faults: &mut Faults) {
        let guard = self.deprovision_guard.as_ref();
        for rule in guard.into_iter().flat_map(Guard::contradictions) {
            faults.note("deprovision_guard", rule);
        }
        faults.bound("protected_users", self.protected_users.len(), LIST_LIMIT);
        for user in &self.protected_users {
            faults.text("protected_users", user);
        }
        if self.credential_limit == Some(0) {
            faults.note(
                "credential_limit",
                "must be at least 1: nobody could connect",
            );
        }
        let renamed = |to: &Path| to.to_string() == "userName";
        if self.user_name_immutable && self.mirror.values().any(renamed) {
            faults.note(
                "mirror",
                "fills userName, which user_name_immutable keeps as it is",
            );
        }
        if let Some(base) = &self.base_path
            && !is_base_path(base)
        {
            faults.note(
                "base_path",
                "must be a path like /scim/v2 or /scim/{connection}",
            );
        }
        let size = serde_json::to_vec(self).map_or(usize::MAX, |json| json.len());
        if size > SIZE_LIMIT {
            faults.note("policy", format!("has more than {SIZE_LIMIT} bytes"));
        }
    }
}

/// Whether a base path can be served: plain segments, and at most one place for the
/// connection.
pub fn is_base_path(path: &str) -> bool {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-_.~".contains(&b);
    let is_segment = |part: &str| {
        part == "{connection}"
            || (!part.is_empty() && part != "." && part != ".." && part.bytes().all(plain))
    };
    let places = path.matches("{connection}").count();
    match path.trim_end_matches('/').strip_prefix('/') {
        Some(rest) => places <= 1 && path.len() <= 200 && rest.split('/').all(is_segment),
        None => false,
    }
}

/// What is wrong with a policy.
#[derive(Default)]
struct Faults(Vec<Violation>);

impl Faults {
    fn note(&mut self, field: &str, rule: impl Into<String>) {
        self.0.push(Violation::new(field, rule));
    }

    fn bound(&mut self, field: &str, count: usize, limit: usize) {
        if count > limit {
            self.note(
                field,
                format!("has {count} values; at most {limit} are allowed"),
            );
        }
    }

    fn text(&mut self, field: &str, text: &str) {
        let printable = !text.chars().any(char::is_control);
        if text.trim().is_empty() || text.chars().count() > 1_000 || !printable {
            self.note(field, "has a name that is empty, too long or not printable");
        }
    }

    fn resolve(
        &mut self,
        field: &str,
        path: &Path,
        schema: &'static ResourceType,
    ) -> Option<Resolved> {
        match path.resolve(schema) {
            Ok(resolved) => Some(resolved),
            Err(rule) => {
                self.note(field, rule);
                None
            }
        }
    }

    fn finish(self, policy: Policy) -> Result<Policy> {
        match self.0.is_empty() {
            true => Ok(policy),
            false => Err(Error::Invalid(self.0)),
        }
    }
}
