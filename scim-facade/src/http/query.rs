//! Query parameters: RFC 7644 section 3.4.2. Unknown ones are passed over, as
//! the flag `aadOptscim062020` must be, however they are written.

use muster_proto::{schema::ResourceType, v1};
use percent_encoding::percent_decode_str;

use crate::{
    scim::{error::ScimError, filter, flavor::Accents, list::Page, projection::Projection},
    translate::{self, filter::Context},
};

/// The parameters that mean something here.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    filter: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    attributes: Option<String>,
    excluded: Option<String>,
}

impl Query {
    /// # Errors
    /// `invalidSyntax` for a parameter that is not percent-encoded UTF-8,
    /// `invalidValue` for one that is there twice.
    pub(super) fn parse(text: &str) -> Result<Self, ScimError> {
        let mut query = Self::default();
        for pair in text.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let name = decode(name).unwrap_or_default();
            let Some(slot) = query.slot(&name) else {
                continue;
            };
            if slot.replace(decode(value)?).is_some() {
                return Err(ScimError::invalid_value(format!("{name} is there twice.")));
            }
        }
        Ok(query)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "filter" => Some(&mut self.filter),
            "startIndex" => Some(&mut self.start_index),
            "count" => Some(&mut self.count),
            "attributes" => Some(&mut self.attributes),
            "excludedAttributes" => Some(&mut self.excluded),
            _ => None,
        }
    }

    pub(super) fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    pub(super) fn has_projection(&self) -> bool {
        self.attributes.is_some() || self.excluded.is_some()
    }

    /// # Errors
    /// `invalidValue` for too many attributes.
    pub(super) fn projection(
        &self,
        resource: &'static ResourceType,
        accents: Accents,
    ) -> Result<Projection, ScimError> {
        Projection::parse(
            self.attributes.as_deref(),
            self.excluded.as_deref(),
            resource,
            accents,
        )
    }

    /// # Errors
    /// `invalidValue` for what is no whole number of 64 bits.
    pub(super) fn page(&self) -> Result<Page, ScimError> {
        let start_index = number("startIndex", self.start_index.as_deref())?;
        let count = number("count", self.count.as_deref())?;
        Ok(Page::new(start_index, count))
    }

    /// # Errors
    /// `invalidFilter`
    pub(super) fn filter(&self, context: Context<'_>) -> Result<Option<v1::Filter>, ScimError> {
        let Some(text) = &self.filter else {
            return Ok(None);
        };
        let Context {
            resource,
            accents,
            links,
        } = context;
        let tree = filter::parse(text, accents)
            .map_err(|error| ScimError::invalid_filter(format!("The filter has {error}.")))?;
        translate::filter::lower(&tree, resource, accents, links).map(Some)
    }
}

/// `None` also for a parameter without a value.
fn number(name: &str, text: Option<&str>) -> Result<Option<i64>, ScimError> {
    let parse = |text: &str| {
        let number = text.parse();
        number.map_err(|_| ScimError::invalid_value(format!("{name} must be a whole number.")))
    };
    let given = text.map(str::trim).filter(|text| !text.is_empty());
    given.map(parse).transpose()
}

fn decode(text: &str) -> Result<String, ScimError> {
    let malformed = || ScimError::invalid_syntax("The query is not percent-encoded UTF-8.");
    let mut parts = text.split('%');
    parts.next();
    let is_escape = |part: &str| {
        let digits = part.as_bytes().get(..2);
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    if !parts.all(is_escape) {
        return Err(malformed());
    }
    let spaced = text.replace('+', " ");
    let decoded = percent_decode_str(&spaced).decode_utf8();
    decoded.map(Into::into).map_err(|_| malformed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_entra_sends() {
        let query = Query::parse(
            "aadOptscim062020&filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22a%40b%22&count=5",
        );
        let query = query.expect("well-formed");
        let filter = "emails[type eq \"work\"].value eq \"a@b\"";
        assert_eq!(query.filter.as_deref(), Some(filter));
        assert_eq!(query.page().map(|page| page.count), Ok(5));
        assert!(!query.has_projection());
    }

    #[test]
    fn malformed_queries() {
        for text in [
            "filter=%",
            "filter=%4",
            "filter=%zz",
            "filter=%ff",
            "attributes=%ff",
            "count=1&count=2",
        ] {
            assert!(Query::parse(text).is_err(), "{text}");
        }
        for text in ["count=x", "startIndex=1.5", "count=9223372036854775808"] {
            let query = Query::parse(text).expect("well-formed");
            assert!(query.page().is_err(), "{text}");
        }
        assert_eq!(Query::parse(""), Ok(Query::default()));
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        assert_eq!(Query::parse("%ff&x=%zz&%&=%"), Ok(Query::default()));
        let query = Query::parse("count=&startIndex=+").expect("well-formed");
        assert_eq!(query.page(), Ok(Page::new(None, None)));
    }
}
