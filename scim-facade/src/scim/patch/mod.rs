//! A PATCH body as edits of single attributes: RFC 7644 section 3.5.2.
//!
//! Every edit has an explicit path that the registry knows and a value of the
//! right type. Whether the target exists is the directory's to say. What
//! clients write beside the RFC is named in [`dialect`].

pub mod dialect;
mod members;
mod request;

use muster_proto::{
    schema::{Attribute, ResourceType},
    value::Value,
};

use self::request::{Target, targets};
use super::{
    coerce,
    error::ScimError,
    filter::Filter,
    flavor::{Accent, Accents},
    group::{self, MemberName},
    json::{Json, Members},
    path::{AttrPath, Definition, Path},
};

/// Most operations of one request, also counted one for each attribute that a
/// value names.
pub const MAX_OPERATIONS: usize = 1000;

/// What an edit does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Op {
    /// Sets, or puts beside what is there.
    Add,
    /// Sets.
    Replace,
    /// Clears, or takes away what the value says.
    Remove,
}

/// A change of one attribute, or of parts of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Edit {
    /// What to do.
    pub op: Op,
    /// Where.
    pub path: AttrPath,
    /// Which elements of a multi-valued attribute.
    pub filter: Option<Filter>,
    /// Assigned, and of the attribute's type. On removal: only this goes.
    pub value: Option<Value>,
    /// Whether it is an error that the filter matches nothing. Otherwise what
    /// it describes is made.
    pub require_target: bool,
}

/// A change of a group.
#[derive(Debug, Clone, PartialEq)]
pub enum GroupEdit {
    /// Of an attribute.
    Attribute(Edit),
    /// These become members.
    AddMembers(Vec<MemberName>),
    /// These are members no more.
    RemoveMembers(Vec<MemberName>),
    /// Nobody is a member.
    ClearMembers,
    /// Exactly these are members.
    ReplaceMembers(Vec<MemberName>),
    /// Members that satisfy the filter are members no more.
    RemoveMatching {
        /// On elements of `members`.
        filter: Filter,
        /// Whether it is an error that it matches nobody.
        require_target: bool,
    },
}

/// Edits of a user.
///
/// ```
/// use scim_facade::scim::{flavor::Flavor, json, patch};
/// use muster_proto::schema::Registry;
/// let body = br#"{"Operations":[{"op":"Replace","value":{"name.givenName":"Ada","active":"False"}}]}"#;
/// let body = json::parse_object(body)?;
/// let edits = patch::user_edits(body, Registry::builtin().user, Flavor::Entra.accents())?;
/// let paths: Vec<_> = edits.iter().map(|edit| edit.path.to_string()).collect();
/// assert_eq!(paths, ["active", "name.givenName"]);
/// # Ok::<(), scim_facade::scim::error::ScimError>(())
/// ```
///
/// # Errors
/// `invalidSyntax` for a body that is no PATCH, `invalidPath`, `mutability`,
/// `noTarget` and `invalidValue` by RFC 7644, 413 for too many operations.
pub fn user_edits(
    body: Members,
    resource: &'static ResourceType,
    accents: Accents<'_>,
) -> Result<Vec<Edit>, ScimError> {
    let mut edits = AtMost::default();
    for target in targets(body, resource, accents)? {
        target.edits(&mut edits)?;
    }
    Ok(edits.0)
}

/// Edits of a group; see [`user_edits`].
///
/// # Errors
/// As [`user_edits`].
pub fn group_edits(
    body: Members,
    resource: &'static ResourceType,
    accents: Accents<'_>,
) -> Result<Vec<GroupEdit>, ScimError> {
    let mut edits = AtMost::default();
    for target in targets(body, resource, accents)? {
        if group::is_members(&target.path, resource) {
            edits.extend(members::edit(target)?)?;
        } else {
            let mut attributes = AtMost::default();
            target.edits(&mut attributes)?;
            edits.extend(attributes.0.into_iter().map(GroupEdit::Attribute))?;
        }
    }
    Ok(edits.0)
}

/// A list of no more than [`MAX_OPERATIONS`]: one value can name more
/// attributes than a request may change.
struct AtMost<T>(Vec<T>);

impl<T> Default for AtMost<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> AtMost<T> {
    fn push(&mut self, item: T) -> Result<(), ScimError> {
        if self.0.len() == MAX_OPERATIONS {
            return Err(too_many());
        }
        self.0.push(item);
        Ok(())
    }

    fn extend(&mut self, items: impl IntoIterator<Item = T>) -> Result<(), ScimError> {
        items.into_iter().try_for_each(|item| self.push(item))
    }
}

fn too_many() -> ScimError {
    let detail = format!("A request may have at most {MAX_OPERATIONS} operations.");
    ScimError::too_large(detail)
}

impl Target<'_> {
    fn edits(self, edits: &mut AtMost<Edit>) -> Result<(), ScimError> {
        match self.path.definition {
            Definition::Extension(_) => self.extension(edits),
            Definition::Unregistered => self.unregistered(edits),
            Definition::Attribute(attribute) if self.filter.is_some() => {
                self.element(attribute, edits)
            }
            Definition::Attribute(attribute) => self.attribute(attribute, edits),
            Definition::SubAttribute(attribute, sub) => {
                if self.filter.is_some() && !attribute.multi_valued {
                    return Err(no_elements(&self.path));
                }
                self.sub_attribute(sub, edits)
            }
        }
    }

    /// A whole extension: its attributes one by one, so that each gets its
    /// type and can be cleared alone.
    fn extension(mut self, edits: &mut AtMost<Edit>) -> Result<(), ScimError> {
        if self.op == Op::Remove {
            return edits.push(self.removal());
        }
        let members = match self.take_value()? {
            Json::Object(members) => members,
            Json::Null if self.op == Op::Add => return Ok(()),
            Json::Null => return edits.push(self.removal()),
            other => {
                let found = other.type_name();
                let detail = format!("{} must be an object, not {found}.", self.path);
                return Err(ScimError::invalid_value(detail).about(self.path.to_string()));
            }
        };
        for (key, json) in members.0 {
            // RFC 7643 section 3: it says what the others are.
            if key.eq_ignore_ascii_case("schemas") {
                continue;
            }
            let Some(path) = self.inside(&key) else {
                if key.is_empty() || self.accents.has(Accent::UnknownAttributes) {
                    continue;
                }
                return Err(coerce::unknown(&format!("{}:{key}", self.path)));
            };
            if path.is_read_only() {
                if self.accents.has(Accent::ReadOnlyInPatch) {
                    continue;
                }
                return Err(ScimError::mutability(format!("{path} is read-only.")));
            }
            let part = Self {
                op: self.op,
                path,
                filter: None,
                value: Some(json),
                accents: self.accents,
            };
            part.edits(edits)?;
        }
        Ok(())
    }

    /// The attribute of this extension that a key in its value names. An empty
    /// key names none; as a path it would be the whole extension.
    fn inside(&self, key: &str) -> Option<AttrPath> {
        let Definition::Extension(schema) = self.path.definition else {
            return (!key.is_empty()).then(|| AttrPath {
                attribute: key.to_owned().into(),
                ..self.path.clone()
            });
        };
        let Path::Plain {
            attribute,
            sub_attribute,
        } = Path::parse(key)?
        else {
            return None;
        };
        let understood = sub_attribute.is_none() || self.accents.has(Accent::KeysAsPaths);
        let attribute = schema.attribute(&attribute).filter(|_| understood)?;
        AttrPath::registered(schema.urn, attribute, sub_attribute.as_deref())
    }

    /// Something in an extension that no schema describes.
    fn unregistered(mut self, edits: &mut AtMost<Edit>) -> Result<(), ScimError> {
        if self.filter.is_some() {
            return Err(no_elements(&self.path));
        }
        if self.path.attribute.is_empty() {
            return self.extension(edits);
        }
        let value = match self.op {
            Op::Remove => Value::Null,
            Op::Add | Op::Replace => coerce::untyped(self.take_value()?, &self.path)?,
        };
        self.set(value, edits)
    }

    fn attribute(
        mut self,
        attribute: &'static Attribute,
        edits: &mut AtMost<Edit>,
    ) -> Result<(), ScimError> {
        if self.op == Op::Remove {
            return self.remove(attribute, edits);
        }
        let mut json = self.take_value()?;
        if self.op == Op::Add && attribute.multi_valued {
            json = dialect::list_of_one_of(json, attribute);
        }
        let name = self.path.to_string();
        let value = coerce::attribute(json, attribute, &name, self.accents)?;
        // RFC 7643 section 2.5: null and an empty list are the same, and adding
        // nothing to a list leaves it as it is.
        match self.op == Op::Add && attribute.multi_valued && dialect::clears(&value) {
            true => Ok(()),
            false => self.set(value, edits),
        }
    }

    /// Removal of a whole attribute. A value says which elements go, or what
    /// must be there; of simple attributes it is not looked at. Only null is
    /// the same as no value: one that names no element removes none.
    fn remove(
        mut self,
        attribute: &'static Attribute,
        edits: &mut AtMost<Edit>,
    ) -> Result<(), ScimError> {
        let given = self.value.take().filter(|json| *json != Json::Null);
        let looked_at = attribute.multi_valued || !attribute.sub_attributes.is_empty();
        let value = match given.filter(|_| looked_at) {
            Some(json) => {
                let name = self.path.to_string();
                let value = coerce::attribute(json, attribute, &name, self.accents)?.pruned();
                if value.is_none() && attribute.multi_valued {
                    return Ok(());
                }
                value
            }
            None => None,
        };
        edits.push(Edit {
            value,
            ..self.removal()
        })
    }

    /// `emails[type eq "work"]`
    fn element(
        mut self,
        attribute: &'static Attribute,
        edits: &mut AtMost<Edit>,
    ) -> Result<(), ScimError> {
        if !attribute.multi_valued {
            let filter = self.filter.take().filter(|_| self.op == Op::Remove);
            let value = filter.and_then(|f| dialect::filter_as_value(&f, attribute, self.accents));
            let value = value.ok_or_else(|| no_elements(&self.path))?;
            return edits.push(Edit {
                value: Some(value),
                ..self.removal()
            });
        }
        if self.op == Op::Remove {
            return edits.push(self.removal());
        }
        let json = dialect::single(self.take_value()?, self.accents);
        let value = coerce::element(json, attribute, &self.path.to_string(), self.accents)?;
        self.set(value, edits)
    }

    fn sub_attribute(
        mut self,
        sub: &'static Attribute,
        edits: &mut AtMost<Edit>,
    ) -> Result<(), ScimError> {
        let mut value = match self.op {
            // A value beside a removal was once assigned by a server.
            Op::Remove => Value::Null,
            Op::Add | Op::Replace => {
                let name = self.path.to_string();
                coerce::attribute(self.take_value()?, sub, &name, self.accents)?
            }
        };
        // Whoever sets the URI of a resource means its id.
        if sub.is_made()
            && let Some(path) = self.path.with_sibling("value")
        {
            self.path = path;
            value = coerce::id_in(value);
        }
        self.set(value, edits)
    }

    /// Sets the value, or clears what it leaves unassigned.
    fn set(self, value: Value, edits: &mut AtMost<Edit>) -> Result<(), ScimError> {
        if dialect::clears(&value) {
            return edits.push(self.removal());
        }
        // An element that is replaced keeps no parts that had to be cleared.
        let cleared = if self.op == Op::Replace && self.filter.is_some() {
            Vec::new()
        } else {
            dialect::cleared_parts(&value)
        };
        if let Some(value) = value.pruned() {
            edits.push(Edit {
                op: self.op,
                value: Some(value),
                ..self.removal()
            })?;
        }
        // Behind the setting, which makes the element they are parts of.
        let paths = cleared.iter().filter_map(|part| self.path.with_sub(part));
        edits.extend(paths.map(|path| Edit {
            path,
            ..self.removal()
        }))
    }

    fn removal(&self) -> Edit {
        Edit {
            op: Op::Remove,
            path: self.path.clone(),
            filter: self.filter.clone(),
            value: None,
            require_target: self.requires_target(),
        }
    }

    /// RFC 7644 section 3.12: "noTarget" where a filter yields no match, which the
    /// directory sees.
    fn requires_target(&self) -> bool {
        let goes_on = match self.op {
            Op::Add => Accent::AddMakesElement,
            Op::Replace => Accent::ReplaceMakesElement,
            Op::Remove => Accent::RemoveOfNothing,
        };
        self.filter.is_some() && !self.accents.includes(goes_on)
    }

    fn take_value(&mut self) -> Result<Json, ScimError> {
        self.value.take().ok_or_else(|| {
            let detail = format!("The operation on {} needs a value.", self.path);
            ScimError::invalid_value(detail).about(self.path.to_string())
        })
    }
}

fn no_elements(path: &AttrPath) -> ScimError {
    ScimError::invalid_path(format!("{path} has no elements to choose from."))
        .about(path.to_string())
}

#[cfg(test)]
mod tests;
