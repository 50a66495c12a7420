//! What a policy does to a user who is about to be written: it looks at what differs
//! from before, however the request said it.

use muster_proto::{
    schema::{USER, is_urn},
    value::{Object, Value},
};

use super::{
    Kept, OnOther, Path, Policy,
    path::{is_of_type, known_type},
};
use crate::{
    domain::{Resource, conform::is_primary, fold::fold, report::Ignored},
    error::{Error, Result, Violation},
};

const NOT_ALLOWED: &str = "is not provisioned by this connection";
const NOT_KEPT: &str = "is not the value that this connection keeps";
const NOT_KNOWN: &str = "is none of the values that this connection knows";
const NOT_RENAMED: &str = "is not changed once a user is there";

/// How a request speaks of a user.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Said {
    /// Whether it says if he is active.
    pub active: bool,
    /// Whether it gives all of him: what it is silent about is then nothing that it
    /// takes away, where it may not.
    pub whole: bool,
}

impl Policy {
    /// Leaves in `after` what this policy lets through, and tells what it does not.
    ///
    /// # Errors
    /// [`Error::Invalid`], [`Error::ReadOnly`], [`Error::Immutable`].
    pub fn admit(
        &self,
        before: Option<&Resource>,
        after: &mut Resource,
        said: Said,
    ) -> Result<Vec<Ignored>> {
        let none = Object::new();
        let was = before.map_or(&none, |before| &before.attributes);
        let now = &mut after.attributes;
        let mut ignored = Vec::new();
        if said.whole {
            self.restore_unsaid(was, now);
        }
        self.reject(was, now)?;
        self.allow(was, now, said, &mut ignored)?;
        if before.is_some() {
            self.keep_name(was, now, said.active, &mut ignored)?;
        }
        for (name, kept) in [
            ("emails", self.emails),
            ("phoneNumbers", self.phone_numbers),
        ] {
            let keeping = Keeping { name, kept, said };
            keeping.keep(was, now, &mut ignored);
        }
        // What is not known fills nothing, and what is filled must be known.
        self.look_up(was, now, &mut ignored);
        self.fill_mirrors(was, now);
        self.look_up(was, now, &mut ignored);
        now.values_mut()
            .for_each(|value| keep_one_primary(was, value));
        self.require(before.is_none(), was, now)?;
        Ok(ignored)
    }

    /// Puts back what a request does not speak of and would be refused for.
    fn restore_unsaid(&self, was: &Object, now: &mut Object) {
        for path in &self.rejected_attributes {
            let is_unsaid = path.get(now).is_none() && path.get(was).is_some();
            match path.of_type {
                Some(_) if is_unsaid => path.restore(now, was),
                None if is_unsaid => path.set(now, path.get(was).cloned()),
                _ => {}
            }
        }
    }

    fn reject(&self, was: &Object, now: &Object) -> Result<()> {
        let mut rejected = self.rejected_attributes.iter();
        match rejected.find(|path| path.all(was) != path.all(now)) {
            None => Ok(()),
            Some(path) => Err(Error::ReadOnly(path.to_string())),
        }
    }

    fn allow(
        &self,
        was: &Object,
        now: &mut Object,
        said: Said,
        ignored: &mut Vec<Ignored>,
    ) -> Result<()> {
        if self.allowed_attributes.is_empty() {
            return Ok(());
        }
        let mut others = Vec::new();
        let sent = now.clone();
        for path in differing(was, now) {
            if is_identity(&path) || self.allows(&path) {
                continue;
            }
            let parts = self.allowed_attributes.iter();
            let parts: Vec<_> = parts.filter(|allowed| is_part(allowed, &path)).collect();
            match parts.is_empty() {
                true => {
                    path.set(now, path.get(was).cloned());
                    others.push(path);
                }
                false => others.extend(keep_parts(&path, &parts, was, now)),
            }
        }
        if said.whole {
            // What is not said is not taken away, and nothing that was sent in vain.
            others.retain(|path| path.get(&sent).is_some());
        }
        match (self.on_other_attributes, others.first()) {
            (OnOther::Reject, Some(path)) => Err(Error::invalid(path.to_string(), NOT_ALLOWED)),
            _ => {
                ignored.extend(others.iter().map(|path| because(path, NOT_ALLOWED)));
                Ok(())
            }
        }
    }

    /// Whether this attribute is allowed as a whole.
    fn allows(&self, path: &Path) -> bool {
        self.allowed_attributes.iter().any(|allowed| {
            let is_same = allowed.attribute.is_empty() || allowed.attribute == path.attribute;
            let is_all = allowed.of_type.is_none() && allowed.sub.is_none();
            allowed.extension == path.extension && is_same && is_all
        })
    }

    fn keep_name(
        &self,
        was: &Object,
        now: &mut Object,
        speaks_of_active: bool,
        ignored: &mut Vec<Ignored>,
    ) -> Result<()> {
        let path = Path::of(None, "userName");
        if !self.user_name_immutable || path.get(was) == path.get(now) {
            return Ok(());
        }
        if !speaks_of_active {
            return Err(Error::Immutable(path.to_string()));
        }
        path.set(now, path.get(was).cloned());
        ignored.push(because(&path, NOT_RENAMED));
        Ok(())
    }

    /// Fills attributes from others that differ.
    pub fn fill_mirrors(&self, was: &Object, now: &mut Object) {
        for (from, to) in &self.mirror {
            let value = from.get(now).cloned();
            if from.get(was) != value.as_ref() {
                to.set(now, value);
            }
        }
    }

    fn look_up(&self, was: &Object, now: &mut Object, ignored: &mut Vec<Ignored>) {
        for (path, known) in &self.lookups {
            let old = path.all(was);
            let is_known = |value: &Value| {
                let text = value.as_str();
                old.contains(&value) || text.is_none_or(|text| is_among(text, known))
            };
            if path.all(now).into_iter().all(is_known) {
                continue;
            }
            match path.of_type {
                // None of that type counts when one of them does not.
                Some(_) => path.restore(now, was),
                None => path.set(now, path.get(was).cloned()),
            }
            ignored.push(because(path, NOT_KNOWN));
        }
    }

    /// Checks that nothing is missing from what is sent to create a user.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn complete(&self, sent: &Object) -> Result<()> {
        self.require(true, &Object::new(), sent)
    }

    /// Checks that `active` is sent to create a user where it is required: nobody is
    /// active by default then.
    ///
    /// # Errors
    /// [`Error::Invalid`].
    pub fn require_active(&self, sent: &Object) -> Result<()> {
        let path = Path::of(None, "active");
        match self.required_attributes.contains(&path) && path.get(sent).is_none() {
            true => Err(Error::Invalid(vec![missing(&path)])),
            false => Ok(()),
        }
    }

    fn require(&self, is_new: bool, was: &Object, now: &Object) -> Result<()> {
        let required = self.required_attributes.iter();
        let lacking =
            required.filter(|path| path.get(now).is_none() && (is_new || path.get(was).is_some()));
        let mut violations: Vec<_> = lacking.map(missing).collect();
        if self.require_email && !has_email(now) && (is_new || has_email(was)) {
            let how = "there is no e-mail address, and userName is none";
            violations.push(Violation::missing("emails", how));
        }
        match violations.is_empty() {
            true => Ok(()),
            false => Err(Error::Invalid(violations)),
        }
    }
}

/// Whether there is an e-mail address, or a `userName` that is one.
fn has_email(of: &Object) -> bool {
    let emails = of.get("emails").and_then(Value::as_list);
    let values = emails.unwrap_or_default().iter();
    let mut values = values.filter_map(|email| email.as_object()?.get("value"));
    values.any(is_email) || of.get("userName").is_some_and(is_email)
}

/// Whether it has the shape of an address: one `@` with something before it, and a
/// name with a dot behind it.
fn is_email(value: &Value) -> bool {
    let parts = value.as_str().and_then(|text| text.split_once('@'));
    parts.is_some_and(|(local, domain)| {
        let has_dot = domain
            .split_once('.')
            .is_some_and(|(a, b)| !a.is_empty() && !b.is_empty());
        let is_plain = !domain.contains(['@', ' ']) && !local.contains(' ');
        !local.is_empty() && has_dot && is_plain
    })
}

/// Whether a text is among these, without case. Most are spelled as they are there,
/// and comparing without case costs more.
fn is_among(text: &str, known: &[String]) -> bool {
    let is_same = || {
        let wanted = fold(text);
        known.iter().any(|known| fold(known) == wanted)
    };
    known.iter().any(|known| known == text) || is_same()
}

fn missing(path: &Path) -> Violation {
    let how = format!("the {} is missing", path.label());
    Violation::missing(path.to_string(), how)
}

fn because(path: &Path, reason: &'static str) -> Ignored {
    Ignored {
        path: path.to_string(),
        reason: reason.into(),
    }
}

/// What tells a connection's users apart is nobody's hobby.
fn is_identity(path: &Path) -> bool {
    path.extension.is_none() && path.attribute == "externalId"
}

/// Whether the path chooses a part of the attribute.
fn is_part(path: &Path, attribute: &Path) -> bool {
    path.extension == attribute.extension && path.attribute == attribute.attribute
}

/// The attributes whose values differ, those of extensions one by one.
fn differing(was: &Object, now: &Object) -> Vec<Path> {
    let mut found = Vec::new();
    let none = Object::new();
    for name in names(was, now) {
        let (old, new) = (was.get(name), now.get(name));
        if old == new {
            continue;
        }
        if !is_urn(name) {
            found.push(Path::of(None, name));
            continue;
        }
        let parts = |value: Option<&Value>| value.and_then(Value::as_object).cloned();
        let (old, new) = (parts(old), parts(new));
        let (old, new) = (old.as_ref().unwrap_or(&none), new.as_ref().unwrap_or(&none));
        let differ = names(old, new).filter(|part| old.get(*part) != new.get(*part));
        found.extend(differ.map(|part| Path::of(Some(name), part)));
    }
    found
}

/// The names in either, each once.
fn names<'a>(was: &'a Object, now: &'a Object) -> impl Iterator<Item = &'a str> {
    let new = now.keys().filter(|name| !was.contains_key(*name));
    was.keys().chain(new).map(String::as_str)
}

/// Leaves of an attribute what these paths choose, the rest as it was; tells what
/// was sent in vain.
fn keep_parts(path: &Path, parts: &[&Path], was: &Object, now: &mut Object) -> Vec<Path> {
    let old = path.get(was).cloned();
    let (value, others) = match path.get(now).cloned() {
        Some(Value::List(elements)) => keep_elements(path, parts, old, elements),
        Some(Value::Complex(object)) => keep_subs(path, parts, old, object),
        // What was taken away goes as far as it may.
        None => match old {
            Some(Value::List(_)) => keep_elements(path, parts, old, Vec::new()),
            Some(Value::Complex(_)) => keep_subs(path, parts, old, Object::new()),
            simple => (simple, vec![path.clone()]),
        },
        Some(_) => (old, vec![path.clone()]),
    };
    path.set(now, value);
    others
}

fn keep_subs(
    path: &Path,
    parts: &[&Path],
    old: Option<Value>,
    mut new: Object,
) -> (Option<Value>, Vec<Path>) {
    let old = match old {
        Some(Value::Complex(object)) => object,
        _ => Object::new(),
    };
    let mut others = Vec::new();
    let differ: Vec<_> = names(&old, &new)
        .filter(|name| old.get(*name) != new.get(*name))
        .map(ToOwned::to_owned)
        .collect();
    for name in differ {
        if parts.iter().any(|part| part.sub.as_ref() == Some(&name)) {
            continue;
        }
        match old.get(&name) {
            Some(value) => new.insert(name.clone(), value.clone()),
            None => new.remove(&name),
        };
        others.push(Path {
            sub: Some(name),
            ..path.clone()
        });
    }
    ((!new.is_empty()).then_some(Value::Complex(new)), others)
}

fn keep_elements(
    path: &Path,
    parts: &[&Path],
    old: Option<Value>,
    new: Vec<Value>,
) -> (Option<Value>, Vec<Path>) {
    let old = match old {
        Some(Value::List(elements)) => elements,
        _ => Vec::new(),
    };
    let is_chosen = |element: &Value| {
        let mut kinds = parts.iter().filter_map(|part| part.of_type.as_deref());
        kinds.any(|kind| is_of_type(element, kind))
    };
    let in_vain = new
        .iter()
        .filter(|element| !is_chosen(element) && !old.contains(element));
    let others = in_vain.map(|element| element_path(path, element)).collect();
    let kept = old.iter().filter(|element| !is_chosen(element)).cloned();
    let mut kept: Vec<_> = kept.collect();
    let new: Vec<_> = new.into_iter().filter(is_chosen).collect();
    if new.iter().any(is_primary) {
        // There is one.
        kept.iter_mut().for_each(demote);
    }
    kept.extend(new);
    if kept.len() == old.len() && old.iter().all(|element| kept.contains(element)) {
        // Another order alone is no change.
        kept = old;
    }
    ((!kept.is_empty()).then_some(Value::List(kept)), others)
}

/// Leaves one element the primary one, where values that were put back made it two:
/// a new one before any that was there.
fn keep_one_primary(was: &Object, value: &mut Value) {
    let Value::List(elements) = value else {
        return;
    };
    let is_old = |element: &Value| {
        let mut lists = was.values().filter_map(Value::as_list);
        lists.any(|old| old.contains(element))
    };
    let mut primary = elements.iter().filter(|element| is_primary(element));
    let Some(first) = primary.clone().next().cloned() else {
        return;
    };
    let kept = primary.find(|element| !is_old(element)).cloned();
    let kept = kept.unwrap_or(first);
    let others = elements.iter_mut().filter(|element| **element != kept);
    others
        .filter(|element| is_primary(element))
        .for_each(demote);
}

fn demote(element: &mut Value) {
    if let Value::Complex(object) = element {
        object.remove("primary");
    }
}

/// The path of an element, with its type unless a client made it up.
fn element_path(path: &Path, element: &Value) -> Path {
    let kind = element.as_object().and_then(|object| object.get("type"));
    let attribute = match path.extension {
        None => USER.core_attribute(&path.attribute),
        Some(_) => None,
    };
    let known = attribute.zip(kind.and_then(Value::as_str));
    let known = known.and_then(|(attribute, kind)| known_type(attribute, kind));
    Path {
        of_type: known.map(ToOwned::to_owned),
        ..path.clone()
    }
}

/// A multi-valued attribute of which one value is kept.
struct Keeping {
    name: &'static str,
    kept: Kept,
    said: Said,
}

impl Keeping {
    /// Leaves the value that is to be kept.
    fn keep(&self, was: &Object, now: &mut Object, ignored: &mut Vec<Ignored>) {
        let path = Path::of(None, self.name);
        if self.kept == Kept::All || path.get(was) == path.get(now) {
            return;
        }
        let Some(Value::List(elements)) = now.remove(self.name) else {
            return;
        };
        let old = was.get(self.name).and_then(Value::as_list);
        let winner = self.winner(&elements, old.unwrap_or_default());
        if let (None, Some(old)) = (winner, was.get(self.name)) {
            // None of them is the one that is kept: the one that was there stays.
            now.insert(self.name.to_owned(), old.clone());
        }
        for (index, element) in elements.into_iter().enumerate() {
            match Some(index) == winner {
                true => {
                    now.insert(self.name.to_owned(), Value::List(vec![element]));
                }
                false => ignored.push(because(&element_path(&path, &element), NOT_KEPT)),
            }
        }
    }

    fn winner(&self, elements: &[Value], old: &[Value]) -> Option<usize> {
        let winner = elements.iter().position(is_primary);
        winner.or_else(|| match self.kept {
            Kept::PrimaryOrSingle => {
                // Of several the one that was there before.
                let stays = elements.iter().position(|element| old.contains(element));
                stays.or((!elements.is_empty()).then_some(0))
            }
            // A PATCH such as Entra's, which names an element by its type, does not say
            // of the only one that it is the primary one.
            Kept::PrimaryOnly if self.is_only(elements, old) => Some(0),
            Kept::All | Kept::PrimaryOnly => None,
        })
    }

    fn is_only(&self, elements: &[Value], old: &[Value]) -> bool {
        !self.said.whole && elements.len() == 1 && !old.iter().any(is_primary)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail(kind: &str, value: &str, primary: bool) -> Value {
        let mut element = Object::from([
            ("type".to_owned(), kind.to_owned().into()),
            ("value".to_owned(), value.to_owned().into()),
        ]);
        if primary {
            element.insert("primary".to_owned(), true.into());
        }
        Value::Complex(element)
    }

    const WHOLE: Said = Said {
        active: true,
        whole: true,
    };

    fn keeping(kept: Kept, said: Said) -> Keeping {
        Keeping {
            name: "emails",
            kept,
            said,
        }
    }

    fn mails(elements: &[Value]) -> Object {
        Object::from([("emails".to_owned(), Value::List(elements.to_vec()))])
    }

    #[test]
    fn the_primary_one_is_kept_and_what_was_there_when_there_is_none() {
        let (work, home) = (mail("work", "a", true), mail("home", "b", false));
        let was = mails(std::slice::from_ref(&work));
        for (sent, kept, left_out) in [
            (vec![home.clone(), work.clone()], vec![work.clone()], 1),
            (vec![home.clone()], vec![work.clone()], 1),
            (
                vec![mail("home", "c", true)],
                vec![mail("home", "c", true)],
                0,
            ),
        ] {
            let (mut now, mut ignored) = (mails(&sent), Vec::new());
            keeping(Kept::PrimaryOnly, WHOLE).keep(&was, &mut now, &mut ignored);
            assert_eq!((now, ignored.len()), (mails(&kept), left_out), "{sent:?}");
        }
        let (mut now, mut ignored) = (mails(std::slice::from_ref(&home)), Vec::new());
        keeping(Kept::PrimaryOrSingle, WHOLE).keep(&Object::new(), &mut now, &mut ignored);
        assert_eq!(
            (now, ignored.len()),
            (mails(std::slice::from_ref(&home)), 0)
        );
        // Of a PATCH the only one is the primary one.
        let (mut now, mut ignored) = (mails(std::slice::from_ref(&home)), Vec::new());
        keeping(Kept::PrimaryOnly, Said::default()).keep(&Object::new(), &mut now, &mut ignored);
        assert_eq!((now, ignored.len()), (mails(&[home]), 0));
    }

    #[test]
    fn one_element_is_primary_when_others_stay() {
        let policy: Policy =
            serde_json::from_str(r#"{"allowed_attributes": ["emails[type eq \"work\"]"]}"#)
                .unwrap_or_else(|e| panic!("{e}"));
        let was = mails(&[mail("home", "h", true)]);
        let (mut now, mut ignored) = (mails(&[mail("work", "w", true)]), Vec::new());
        let allowed = policy.allow(&was, &mut now, WHOLE, &mut ignored);
        assert!(allowed.is_ok());
        let kept = mails(&[mail("home", "h", false), mail("work", "w", true)]);
        assert_eq!(now, kept);
    }
}
