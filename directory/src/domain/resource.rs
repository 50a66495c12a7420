//! A user or a group as the directory holds it.

use muster_proto::{
    schema::{ENTERPRISE_USER, GROUP, Registry, ResourceType, USER},
    value::{Object, Value},
};

use crate::{
    domain::{access::Access, characteristics, conform, fold::fold},
    error::{Error, Result},
};

/// The kinds of things that have an id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A person.
    User,
    /// A set of users and groups.
    Group,
    /// A provisioning client.
    Connection,
    /// A stored token: a credential of a connection, or one of a user.
    Token,
    /// A service client.
    Client,
    /// A key that signs tokens.
    SigningKey,
    /// A customer.
    Tenant,
    /// An extension schema.
    Schema,
}

impl Kind {
    /// The word for it in a sentence.
    pub fn noun(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Connection => "connection",
            Self::Token => "token",
            Self::Client => "service client",
            Self::SigningKey => "signing key",
            Self::Tenant => "tenant",
            Self::Schema => "schema",
        }
    }
}

/// The kinds whose attributes the registry describes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ResourceKind {
    /// A person.
    User,
    /// A set of users and groups.
    Group,
}

impl ResourceKind {
    /// What the registry says about it.
    pub fn schema(self) -> &'static ResourceType {
        match self {
            Self::User => &USER,
            Self::Group => &GROUP,
        }
    }

    /// What a tenant's registry says about it.
    pub fn within(self, registry: &Registry) -> &'static ResourceType {
        match self {
            Self::User => registry.user,
            Self::Group => registry.group,
        }
    }

    /// The same as a thing with an id.
    pub fn kind(self) -> Kind {
        match self {
            Self::User => Kind::User,
            Self::Group => Kind::Group,
        }
    }

    /// That there is none with this id.
    pub fn not_found(self, id: impl Into<String>) -> Error {
        Error::NotFound {
            kind: self.kind(),
            id: id.into(),
        }
    }
}

/// A user or a group, without its relations to others.
#[derive(Debug, Clone, PartialEq)]
pub struct Resource {
    /// What it is.
    pub kind: ResourceKind,
    /// UUIDv7.
    pub id: String,
    /// What clients wrote, in the registry's spelling, with the `externalId`
    /// of the acting connection. Nothing in it is unassigned.
    pub attributes: Object,
    /// Grows by one per change, from 1.
    pub version: i64,
    /// Milliseconds since the Unix epoch.
    pub created_at: i64,
    /// Milliseconds since the Unix epoch.
    pub updated_at: i64,
    /// Milliseconds since the Unix epoch; `None` for what is not deleted.
    pub deleted_at: Option<i64>,
    /// The connection that created it.
    pub owner: Option<String>,
    /// Of a user: what others than his provisioning client say of him.
    pub access: Access,
}

/// Longest value that has a unique index, in bytes.
const KEY_LIMIT: usize = 1_024;

/// Longest key of a unique index, in bytes: folding may lengthen a text.
const FOLDED_LIMIT: usize = 2_048;

/// Largest resource: names and values of all attributes, in bytes. Answers
/// must fit a message, and pages memory.
const SIZE_LIMIT: usize = 1024 * 1024;

impl Resource {
    /// Of a user: the id of his manager.
    pub fn manager_id(&self) -> Option<&str> {
        let extension = self.attributes.get(ENTERPRISE_USER)?.as_object()?;
        let manager = extension.get("manager")?.as_object()?;
        manager.get("value").and_then(Value::as_str)
    }

    /// A new resource with these attributes, of which the schema knows all; a
    /// user is active unless told otherwise.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`].
    pub fn new(
        kind: ResourceKind,
        schema: &'static ResourceType,
        id: String,
        attributes: Object,
        now_ms: i64,
    ) -> Result<Self> {
        let mut attributes = conform::conform(schema, attributes)?;
        if kind == ResourceKind::User {
            attributes
                .entry("active".to_owned())
                .or_insert(Value::Boolean(true));
        }
        let resource = Self {
            kind,
            id,
            attributes,
            version: 1,
            created_at: now_ms,
            updated_at: now_ms,
            deleted_at: None,
            owner: None,
            access: Access::default(),
        };
        resource.check(schema)?;
        Ok(resource)
    }

    /// The resource by the rules of this build, as it came from elsewhere.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`].
    pub fn conformed(mut self, schema: &'static ResourceType) -> Result<Self> {
        self.attributes = conform::conform(schema, self.attributes)?;
        self.check(schema)?;
        Ok(self)
    }

    /// Replaces all attributes. A user's `active` stays when it is not given:
    /// a client that does not speak of it does not mean to switch it. So does
    /// what no client is shown, for it cannot be given back.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`], [`Error::Immutable`].
    pub fn replace(&mut self, attributes: Object, schema: &'static ResourceType) -> Result<()> {
        let mut attributes = conform::conform(schema, attributes)?;
        if let Some(active) = self.attributes.get("active") {
            let active = active.clone();
            attributes.entry("active".to_owned()).or_insert(active);
        }
        characteristics::keep_unseen(schema, &self.attributes, &mut attributes);
        characteristics::keep_immutable(schema, &self.attributes, &attributes)?;
        self.attributes = attributes;
        self.check(schema)
    }

    /// Checks what no single attribute can tell: that required ones are there
    /// and that keys fit their index.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::Required`].
    pub fn check(&self, schema: &'static ResourceType) -> Result<()> {
        if let Some(missing) = characteristics::missing(schema, &self.attributes).first() {
            return Err(missing.error());
        }
        self.check_limits()
    }

    /// Checks that keys fit their index, and the whole its message.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn check_limits(&self) -> Result<()> {
        for name in ["userName", "displayName", "externalId"] {
            let Some(text) = self.text(name) else {
                continue;
            };
            if text.len() > KEY_LIMIT {
                let rule = format!("has more than {KEY_LIMIT} bytes");
                return Err(Error::invalid(name, rule));
            }
            if fold(text).len() > FOLDED_LIMIT {
                let rule = format!("has more than {FOLDED_LIMIT} bytes when case is folded");
                return Err(Error::invalid(name, rule));
            }
        }
        if size(&self.attributes) > SIZE_LIMIT {
            let rule = format!("has more than {SIZE_LIMIT} bytes of attributes");
            return Err(Error::invalid(self.kind.kind().noun(), rule));
        }
        Ok(())
    }

    /// The text of a simple attribute at the top level.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.attributes.get(name).and_then(Value::as_str)
    }

    /// What a user's provisioning client says of him. Whose `active` was removed
    /// may not act, for want of somebody who says so.
    pub fn active(&self) -> bool {
        self.attributes
            .get("active")
            .and_then(Value::as_bool)
            .unwrap_or_default()
    }

    /// The address that a user is reached by: the primary one, else the first.
    pub fn primary_email(&self) -> Option<&str> {
        let Value::List(emails) = self.attributes.get("emails")? else {
            return None;
        };
        let emails = || emails.iter().filter_map(Value::as_object);
        let is_primary = |email: &&Object| email.get("primary") == Some(&Value::Boolean(true));
        let first = emails().find(is_primary).or_else(|| emails().next());
        first?.get("value").and_then(Value::as_str)
    }

    /// Names of the attributes at the top level whose values differ.
    pub fn changed_attributes(&self, before: &Self) -> Vec<String> {
        let names = before.attributes.keys().chain(self.attributes.keys());
        let mut changed: Vec<_> = names
            .filter(|name| self.attributes.get(*name) != before.attributes.get(*name))
            .cloned()
            .collect();
        if self.access.lock != before.access.lock {
            changed.push("admin_lock".to_owned());
        }
        changed.sort();
        changed.dedup();
        changed
    }
}

fn size(object: &Object) -> usize {
    let parts = object
        .iter()
        .map(|(name, value)| name.len() + value_size(value));
    parts.sum()
}

fn value_size(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Complex(object) => size(object),
        Value::List(elements) => elements.iter().map(value_size).sum(),
        Value::Null | Value::Boolean(_) | Value::Integer(_) | Value::Decimal(_) => 8,
    }
}
