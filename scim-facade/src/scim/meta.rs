//! `meta` (RFC 7643 section 3.1) and where resources are found.

use std::fmt::Write as _;

use muster_proto::value::{Object, Value};
use time::{OffsetDateTime, UtcOffset};

/// What the directory knows about a version of a resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Meta {
    /// RFC 3339, UTC, milliseconds; empty when unknown.
    pub created: String,
    /// As `created`.
    pub last_modified: String,
    /// Strong entity tag in its quotes, as the directory gives it.
    pub version: String,
}

/// Absolute URLs of resources below one base path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    base: String,
}

/// Where a base path has the id of a connection.
pub const CONNECTION: &str = "{connection}";

impl Links {
    /// `origin` is scheme and authority, `path` the base path as requested.
    pub fn new(origin: &str, path: &str) -> Self {
        let base = format!("{}{}", origin.trim_end_matches('/'), path);
        Self { base }
    }

    /// The same for a connection that the path names: in its place in the base path,
    /// else below it.
    pub fn of_connection(self, id: &str) -> Self {
        let base = match self.base.contains(CONNECTION) {
            true => {
                let id = percent_encoding::utf8_percent_encode(id, SEGMENT);
                self.base.replace(CONNECTION, &id.to_string())
            }
            false => self.resource("/connections", id),
        };
        Self { base }
    }

    /// URL of a resource; `endpoint` has a leading slash.
    pub fn resource(&self, endpoint: &str, id: &str) -> String {
        // Ids of managers are whatever a client sent.
        let id = percent_encoding::utf8_percent_encode(id, SEGMENT);
        format!("{}{endpoint}/{id}", self.base)
    }

    /// URL of an endpoint; `endpoint` has a leading slash.
    pub fn endpoint(&self, endpoint: &str) -> String {
        format!("{}{endpoint}", self.base)
    }
}

/// What RFC 3986 lets stand in a path segment stays as it is, so that URNs of
/// schemas remain readable.
const SEGMENT: &percent_encoding::AsciiSet = &percent_encoding::NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~')
    .remove(b':')
    .remove(b'@');

impl Meta {
    /// The attribute `meta` as a tree; `version` is the entity tag of the
    /// representation that it stands in.
    pub fn to_value(&self, resource_type: &str, location: &str, version: &str) -> Value {
        let parts = [
            ("resourceType", resource_type.to_owned()),
            ("created", self.created.clone()),
            ("lastModified", self.last_modified.clone()),
            ("location", location.to_owned()),
            ("version", version.to_owned()),
        ];
        let assigned = parts.into_iter().filter(|(_, text)| !text.is_empty());
        let object: Object = assigned
            .map(|(name, text)| (name.to_owned(), text.into()))
            .collect();
        Value::Complex(object)
    }
}

/// A time as RFC 3339 text in UTC with milliseconds; empty when it lies
/// outside the years that RFC 3339 can write.
pub fn timestamp(seconds: i64, nanos: i32) -> String {
    let Ok(time) = OffsetDateTime::from_unix_timestamp(seconds) else {
        return String::new();
    };
    let time = time.to_offset(UtcOffset::UTC);
    let mut text = String::with_capacity(24);
    let (year, month, day) = time.to_calendar_date();
    let (hour, minute, second) = time.to_hms();
    let millis = nanos.clamp(0, 999_999_999) / 1_000_000;
    // Writing to a String cannot fail.
    let _ = write!(
        text,
        "{year:04}-{:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{millis:03}Z",
        u8::from(month)
    );
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_milliseconds() {
        assert_eq!(timestamp(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(
            timestamp(1_305_261_754, 999_999_999),
            "2011-05-13T04:42:34.999Z"
        );
        assert_eq!(timestamp(i64::MAX, 0), "");
    }

    #[test]
    fn ids_are_escaped_in_urls() {
        let links = Links::new("https://id.example.com/", "/scim/v2");
        assert_eq!(
            links.resource("/Users", "a/b ?é"),
            "https://id.example.com/scim/v2/Users/a%2Fb%20%3F%C3%A9"
        );
    }
}
