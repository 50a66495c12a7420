//! Conditional requests: RFC 7644 section 3.14, RFC 9110 section 13.
//!
//! A tag of a representation says the version and, behind it, what others say
//! there ([`crate::scim::version`]). `If-Match` guards the version, so the
//! number alone counts. `If-None-Match` of a read is about all that is shown.

use axum::http::{
    HeaderMap, HeaderName,
    header::{IF_MATCH, IF_NONE_MATCH},
};
use muster_proto::v1::WriteOptions;

use crate::scim::version::strong;

/// Stands for tags of which none is of a version: there is no version 0.
const NO_VERSION: &str = "\"0\"";

/// Under which conditions a request is meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Conditions {
    wanted: Option<Tags>,
    unwanted: Option<Tags>,
}

/// What a read is answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Send,
    /// The client has it already.
    NotModified,
    /// It is not what the client takes it for.
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Tags {
    Any,
    /// Opaque tags, without mark of weakness and quotes: what is malformed is
    /// not among them and so matches nothing.
    These(Vec<String>),
}

impl Conditions {
    /// Of a request's headers.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        Self {
            wanted: Tags::of(headers, &IF_MATCH),
            unwanted: Tags::of(headers, &IF_NONE_MATCH),
        }
    }

    /// That the version is the one with this tag.
    pub(super) fn version(tag: &str) -> Self {
        Self {
            wanted: Some(Tags::parse(tag)),
            unwanted: None,
        }
    }

    /// The conditions for the directory, which compares. `None`: there are none.
    pub(super) fn of_write(&self) -> Option<WriteOptions> {
        let options = WriteOptions {
            if_match: match &self.wanted {
                None => String::new(),
                Some(tags) => tags.versions().unwrap_or_else(|| NO_VERSION.to_owned()),
            },
            if_none_match: self
                .unwanted
                .as_ref()
                .and_then(Tags::versions)
                .unwrap_or_default(),
            ..WriteOptions::default()
        };
        (options != WriteOptions::default()).then_some(options)
    }

    /// What a representation with this tag is answered with.
    pub(super) fn of_read(&self, tag: &str) -> Verdict {
        let opaque = opaque(tag).unwrap_or_default();
        let version = strong(opaque);
        let is_wanted = match &self.wanted {
            None | Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags
                .iter()
                .any(|tag| tag == opaque || (version.is_some() && strong(tag) == version)),
        };
        let is_known = match &self.unwanted {
            None => false,
            Some(Tags::Any) => true,
            Some(Tags::These(tags)) => tags.iter().any(|tag| tag == opaque),
        };
        match (is_wanted, is_known) {
            (false, _) => Verdict::Failed,
            (true, true) => Verdict::NotModified,
            (true, false) => Verdict::Send,
        }
    }
}

impl Tags {
    /// `None` without such a header. One that is no text is malformed.
    fn of(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let values = headers.get_all(name).iter();
        let texts: Vec<_> = values.map(|v| v.to_str().unwrap_or_default()).collect();
        (!texts.is_empty()).then(|| Self::parse(&texts.join(",")))
    }

    fn parse(text: &str) -> Self {
        if text.trim() == "*" {
            return Self::Any;
        }
        let tags = split(text).into_iter().filter_map(opaque);
        Self::These(tags.map(str::to_owned).collect())
    }

    /// The directory's tags for these, separated by commas; `None` when none of
    /// them is of a version.
    fn versions(&self) -> Option<String> {
        match self {
            Self::Any => Some("*".to_owned()),
            Self::These(tags) => {
                let versions: Vec<_> = tags.iter().filter_map(|tag| strong(tag)).collect();
                (!versions.is_empty()).then(|| versions.join(", "))
            }
        }
    }
}

/// The parts between commas that stand outside of quotes.
fn split(text: &str) -> Vec<&str> {
    let mut quoted = false;
    text.split(|c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    })
    .collect()
}

/// What an entity tag has in its quotes, weak or not: RFC 7644 section 3.14
/// gives weak tags to `If-Match`. `None` for what is none.
fn opaque(tag: &str) -> Option<&str> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    let opaque = tag.strip_prefix('"')?.strip_suffix('"')?;
    (!opaque.contains('"')).then_some(opaque)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn conditions(name: HeaderName, text: &str) -> Conditions {
        let mut headers = HeaderMap::new();
        headers.insert(name, text.parse().expect("a header"));
        Conditions::of(&headers)
    }

    #[test]
    fn the_directory_hears_of_versions_alone() {
        assert_eq!(Conditions::default().of_write(), None);
        for (text, wanted, unwanted) in [
            ("W/\"3\"", "\"3\"", "\"3\""),
            ("\"3\" , W/\"4.0a\"", "\"3\", \"4\"", "\"3\", \"4\""),
            ("*", "*", "*"),
            ("", "\"0\"", ""),
            ("3", "\"0\"", ""),
            ("\"x, *\"", "\"0\"", ""),
            ("\"3\", *", "\"3\"", "\"3\""),
            ("\"*\"", "\"0\"", ""),
            ("\"", "\"0\"", ""),
        ] {
            let options = conditions(IF_MATCH, text).of_write().expect(text);
            assert_eq!(options.if_match, wanted, "{text}");
            let options = conditions(IF_NONE_MATCH, text).of_write();
            let found = options.map(|o| o.if_none_match).unwrap_or_default();
            assert_eq!(found, unwanted, "{text}");
        }
    }

    #[test]
    fn reads_compare_all_that_is_shown() {
        for (text, known) in [
            ("W/\"3.0a\"", true),
            ("\"x\", \"3.0a\"", true),
            ("*", true),
            ("\"3\"", false),
            ("W/\"3.0b\"", false),
            ("", false),
        ] {
            let verdict = conditions(IF_NONE_MATCH, text).of_read("W/\"3.0a\"");
            assert_eq!(verdict == Verdict::NotModified, known, "{text}");
        }
        for (text, holds) in [
            ("W/\"3.0b\"", true),
            ("\"3\"", true),
            ("*", true),
            ("\"4\"", false),
            ("", false),
            ("nonsense", false),
        ] {
            let verdict = conditions(IF_MATCH, text).of_read("W/\"3.0a\"");
            assert_eq!(verdict == Verdict::Send, holds, "{text}");
        }
    }
}
