//! Entity tags: RFC 7644 section 3.14, RFC 9110 section 8.8.3.
//!
//! The directory counts versions of a resource and knows strong tags, `"3"`. A
//! representation may also show what other resources say: the groups of a
//! user, the name of his manager, the members of a group. They change without
//! the resource, so its tag is weak and has a hash of them behind the number:
//! `W/"3.09f2c8d1a4b7e650"`.

use std::fmt::{self, Write as _};

use muster_proto::value::Value;
use sha2::{Digest as _, Sha256};

use super::json::Json;

/// Bytes of the hash that are kept.
const HASH_BYTES: usize = 8;

/// Listens to what others say in a representation.
#[derive(Debug, Default)]
pub struct Echo(Option<Sha256>);

impl Echo {
    /// An attribute that speaks of others. An empty list says nothing.
    pub fn hear(&mut self, json: &Json) {
        if *json == Json::Array(Vec::new()) {
            return;
        }
        let hash = self.0.get_or_insert_default();
        note(hash, json);
    }

    /// An attribute of an extension. Of those only a manager speaks of another:
    /// with the name that he has, beside the id that the client wrote.
    pub fn hear_extension(&mut self, value: &Value) {
        let name = value.as_object().and_then(|o| o.get("displayName"));
        if let Some(Value::String(name)) = name {
            self.hear(&Json::String(name.clone()));
        }
    }

    /// An attribute of a tenant's own schema, which decides whether it is shown:
    /// what was hidden since is no longer the same representation.
    pub fn hear_shown(&mut self, name: &str) {
        self.hear(&Json::from(name));
    }
}

/// Takes this down, of URIs only the ids at their ends: how they begin depends on
/// where the server was asked.
fn note(hash: &mut Sha256, json: &Json) {
    // A hash takes whatever is written.
    match json {
        Json::Array(elements) => elements.iter().for_each(|element| note(hash, element)),
        Json::Object(members) => {
            hash.update("{");
            for (name, value) in &members.0 {
                let _ = write!(Ear(hash), "{name:?}");
                match value.as_str().filter(|_| name == "$ref") {
                    Some(uri) => note(hash, &Json::from(uri.rsplit('/').next().unwrap_or(uri))),
                    None => note(hash, value),
                }
            }
            hash.update("}");
        }
        _ => {
            let _ = writeln!(Ear(hash), "{json}");
        }
    }
}

struct Ear<'a>(&'a mut Sha256);

impl fmt::Write for Ear<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.update(text.as_bytes());
        Ok(())
    }
}

/// The weak tag of a representation of the version with this strong tag. Empty
/// when that is empty.
pub fn weak(strong: &str, echo: Echo) -> String {
    let number = strong.trim_matches('"');
    if number.is_empty() {
        return String::new();
    }
    let mut tag = format!("W/\"{number}");
    if let Some(hash) = echo.0 {
        tag.push('.');
        for byte in &hash.finalize()[..HASH_BYTES] {
            let _ = write!(tag, "{byte:02x}");
        }
    }
    tag.push('"');
    tag
}

/// The strong tag of the version that an opaque tag (`3`, `3.09f2c8d1a4b7e650`)
/// speaks of; `None` for what was never one of ours.
pub fn strong(opaque: &str) -> Option<String> {
    let (number, hash) = opaque.split_once('.').unwrap_or((opaque, "00"));
    let is_number = !number.starts_with('0')
        && number.parse::<i64>().is_ok()
        && number.bytes().all(|b| b.is_ascii_digit());
    let in_hash = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let is_hash = !hash.is_empty() && hash.bytes().all(in_hash);
    (is_number && is_hash).then(|| format!("\"{number}\""))
}

/// The strong tag for a tag as text (`W/"3.09f2c8d1a4b7e650"`, `"3"`); of other
/// text only the mark of weakness goes.
pub fn strong_of_text(text: &str) -> String {
    let tag = text.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let opaque = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    opaque.and_then(strong).unwrap_or_else(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_say_is_in_the_tag() {
        let tag = |parts: &[&str]| {
            let mut echo = Echo::default();
            for part in parts {
                echo.hear(&Json::from(*part));
            }
            weak("\"3\"", echo)
        };
        assert_eq!(tag(&[]), "W/\"3\"");
        let one = tag(&["a", "b"]);
        assert_eq!(one.len(), "W/\"3.\"".len() + 2 * HASH_BYTES);
        assert_eq!(one, tag(&["a", "b"]));
        assert_ne!(one, tag(&["ab"]));
        assert_eq!(strong_of_text(&one), "\"3\"");
        let mut echo = Echo::default();
        echo.hear(&Json::Array(Vec::new()));
        assert_eq!(weak("\"3\"", echo), "W/\"3\"");
        assert_eq!(weak("", Echo::default()), "");
        let of = |uri: &str| {
            let mut echo = Echo::default();
            echo.hear(&Json::Array(vec![Json::object([("$ref", uri.into())])]));
            weak("\"3\"", echo)
        };
        assert_eq!(
            of("https://a.test/Groups/1"),
            of("http://b.test/v2/Groups/1")
        );
        assert_ne!(of("https://a.test/Groups/1"), of("https://a.test/Groups/2"));
    }

    #[test]
    fn tags_that_were_never_ours() {
        for opaque in [
            "",
            "0",
            "03",
            "+3",
            "3.",
            "3.A",
            "x",
            "3.a.b",
            "99999999999999999999",
        ] {
            assert_eq!(strong(opaque), None, "{opaque}");
        }
        assert_eq!(strong("3").as_deref(), Some("\"3\""));
        for text in ["3", "\"x\"", "", "\""] {
            assert_eq!(strong_of_text(text), text);
        }
    }
}
