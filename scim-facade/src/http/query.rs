//! Queries: RFC 7644 sections 3.4.2 and 3.4.3, as parameters of the URL or as a
//! body. Both make one [`Query`]. Unknown parameters are passed over, as the
//! flag `aadOptscim062020` must be, however they are written.

use muster_proto::{schema::ResourceType, v1};
use percent_encoding::percent_decode_str;

use crate::{
    scim::{
        document,
        error::ScimError,
        filter::{self, Filter},
        flavor::Accents,
        json::{Json, Members},
        list::Paging,
        path::Path,
        projection::Projection,
        urn,
    },
    translate::list::sort_order,
};

/// The parameters that mean something here.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Query {
    filter: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    start_index: Option<String>,
    count: Option<String>,
    cursor: Option<String>,
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
            let value = decode(value)?;
            *slot = Some(match slot.take() {
                None => value,
                // A list may be written as several parameters.
                Some(before) if is_list(&name) => format!("{before},{value}"),
                Some(_) => {
                    return Err(ScimError::invalid_value(format!("{name} is there twice.")));
                }
            });
        }
        Ok(query)
    }

    /// Reads a `SearchRequest`.
    ///
    /// # Errors
    /// Those of [`document::check_schemas`], and `invalidValue` for members of
    /// the wrong type.
    pub(super) fn read(mut body: Members, accents: Accents<'_>) -> Result<Self, ScimError> {
        let mut query = Self::default();
        let schemas = body.take("schemas");
        document::check_schemas(schemas.as_ref(), urn::SEARCH_REQUEST, accents)?;
        for (name, json) in body.0 {
            if let Some(slot) = query.slot_of_member(&name) {
                *slot = text_of(&name, json)?;
            }
        }
        Ok(query)
    }

    fn slot(&mut self, name: &str) -> Option<&mut Option<String>> {
        match name {
            "filter" => Some(&mut self.filter),
            "sortBy" => Some(&mut self.sort_by),
            "sortOrder" => Some(&mut self.sort_order),
            "startIndex" => Some(&mut self.start_index),
            "count" => Some(&mut self.count),
            "cursor" => Some(&mut self.cursor),
            "attributes" => Some(&mut self.attributes),
            "excludedAttributes" => Some(&mut self.excluded),
            _ => None,
        }
    }

    /// Names of JSON members are compared without case, as everywhere.
    fn slot_of_member(&mut self, name: &str) -> Option<&mut Option<String>> {
        let known = PARAMETERS.iter();
        let mut known = known.filter(|known| known.eq_ignore_ascii_case(name));
        self.slot(known.next()?)
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
        accents: Accents<'_>,
    ) -> Result<Projection, ScimError> {
        Projection::parse(
            self.attributes.as_deref(),
            self.excluded.as_deref(),
            resource,
            accents,
        )
    }

    /// # Errors
    /// `invalidValue` for what is no whole number of 64 bits, and those of
    /// [`Paging::new`].
    pub(super) fn paging(&self) -> Result<Paging, ScimError> {
        let start_index = number("startIndex", self.start_index.as_deref())?;
        let count = number("count", self.count.as_deref())?;
        Paging::new(self.cursor.clone(), start_index, count)
    }

    /// # Errors
    /// `invalidFilter`
    pub(super) fn filter(&self, accents: Accents<'_>) -> Result<Option<Filter>, ScimError> {
        let parse = |text: &String| {
            let tree = filter::parse(text, accents);
            tree.map_err(|error| ScimError::invalid_filter(format!("The filter has {error}.")))
        };
        self.filter.as_ref().map(parse).transpose()
    }

    /// The order for resources of each of these types. `None` for one that
    /// lacks the attribute.
    ///
    /// # Errors
    /// `invalidPath` for an attribute that none of them has, `invalidValue` for
    /// an unknown direction.
    pub(super) fn sort(
        &self,
        types: &[&'static ResourceType],
        accents: Accents<'_>,
    ) -> Result<Vec<Option<v1::SortOrder>>, ScimError> {
        let order = self.sort_order.as_deref().unwrap_or_default();
        let descending = match order.to_ascii_lowercase().as_str() {
            "" | "ascending" => false,
            "descending" => true,
            _ => {
                let detail = "sortOrder must be ascending or descending.";
                return Err(ScimError::invalid_value(detail));
            }
        };
        let Some(text) = self.sort_by.as_deref().filter(|text| !text.is_empty()) else {
            return Ok(vec![None; types.len()]);
        };
        let path = Path::parse(text.trim());
        let found = types
            .iter()
            .map(|kind| path.as_ref()?.resolve(kind, accents));
        let found: Vec<_> = found.collect();
        if found.iter().all(Option::is_none) {
            let detail = format!("sortBy: {text:?} is no attribute to sort by.");
            return Err(ScimError::invalid_path(detail));
        }
        let order = |path: Option<_>| path.map(|path| sort_order(path, descending)).transpose();
        found.into_iter().map(order).collect()
    }
}

/// Every parameter, as RFC 7644 and RFC 9865 spell it.
pub(super) const PARAMETERS: [&str; 8] = [
    "filter",
    "sortBy",
    "sortOrder",
    "startIndex",
    "count",
    "cursor",
    "attributes",
    "excludedAttributes",
];

/// Whether a parameter is a list of names (RFC 7644 section 3.9).
fn is_list(name: &str) -> bool {
    let lists = ["attributes", "excludedAttributes"];
    lists.iter().any(|list| list.eq_ignore_ascii_case(name))
}

/// The value of a member as the URL would have it. `None` for null, which is
/// the same as not being there.
fn text_of(name: &str, json: Json) -> Result<Option<String>, ScimError> {
    let is_list = is_list(name);
    match json {
        Json::Null => Ok(None),
        Json::String(text) => Ok(Some(text)),
        Json::Number(number) if !is_list => Ok(Some(number.to_string())),
        Json::Array(names) if is_list && names.iter().all(|name| name.as_str().is_some()) => {
            let names: Vec<_> = names.iter().filter_map(Json::as_str).collect();
            Ok(Some(names.join(",")))
        }
        other => {
            let found = other.type_name();
            let detail = format!("{name} must not be {found}.");
            Err(ScimError::invalid_value(detail))
        }
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
    use muster_proto::schema::{GROUP, USER};

    use super::*;
    use crate::scim::{error::ScimType, flavor::Flavor, json, list::Page};

    fn read(body: &str) -> Result<Query, ScimError> {
        Query::read(
            json::parse_object(body.as_bytes())?,
            Flavor::Entra.accents(),
        )
    }

    #[test]
    fn a_body_says_what_a_url_says() {
        let body = r#"{"schemas":["urn:ietf:params:scim:api:messages:2.0:SearchRequest"],
            "filter":"title pr","sortBy":"userName","SortOrder":"descending","startIndex":2,
            "count":"3","attributes":["a","b.c"],"excludedAttributes":null,"x":[{}]}"#;
        let url = "filter=title+pr&sortBy=userName&sortOrder=descending&startIndex=2&count=3\
                   &attributes=a,b.c";
        assert_eq!(read(body), Query::parse(url));
        let twice = url.replace("a,b.c", "a&attributes=b.c");
        assert_eq!(read(body), Query::parse(&twice));
        assert_eq!(read("{}"), Ok(Query::default()));
        for odd in [
            r#"{"schemas":1}"#,
            r#"{"filter":["a"]}"#,
            r#"{"count":true}"#,
            r#"{"attributes":[1]}"#,
            r#"{"attributes":7}"#,
        ] {
            assert_eq!(read(odd).map_err(|e| e.status()), Err(400), "{odd}");
        }
    }

    #[test]
    fn orders() {
        let sort = |text: &str| {
            let query = Query::parse(text).expect("well-formed");
            let orders = query.sort(&[&USER, &GROUP], Flavor::Entra.accents());
            let orders = orders.map_err(|e| e.scim_type().map(ScimType::as_str))?;
            let show = |order: v1::SortOrder| {
                let path = order.path.unwrap_or_default();
                format!("{}.{}", path.attribute, path.sub_attribute)
            };
            Ok(orders.into_iter().map(|o| o.map(show)).collect::<Vec<_>>())
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(sort(""), Ok(vec![None, None]));
        assert_eq!(sort("sortBy=EMAILS"), Ok(vec![some("emails.value"), None]));
        let name = "sortBy=displayName&sortOrder=descending";
        assert_eq!(sort(name), Ok(vec![some("displayName."); 2]));
        assert_eq!(sort("sortBy=jobTitle"), Err(Some("invalidPath")));
        assert_eq!(sort("sortBy=name"), Err(Some("invalidPath")));
        assert_eq!(sort("sortBy=a%5Bb"), Err(Some("invalidPath")));
        assert_eq!(sort("sortOrder=Descending"), Ok(vec![None, None]));
        assert_eq!(sort("sortOrder=up"), Err(Some("invalidValue")));
    }

    #[test]
    fn what_entra_sends() {
        let query = Query::parse(
            "aadOptscim062020&filter=emails%5Btype+eq+%22work%22%5D.value+eq+%22a%40b%22&count=5",
        );
        let query = query.expect("well-formed");
        let filter = "emails[type eq \"work\"].value eq \"a@b\"";
        assert_eq!(query.filter.as_deref(), Some(filter));
        let five = Paging::Index(Page::new(None, Some(5)));
        assert_eq!(query.paging(), Ok(five));
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
            assert!(query.paging().is_err(), "{text}");
        }
        assert_eq!(Query::parse(""), Ok(Query::default()));
    }

    #[test]
    fn what_says_nothing_is_passed_over() {
        assert_eq!(Query::parse("%ff&x=%zz&%&=%"), Ok(Query::default()));
        let query = Query::parse("count=&startIndex=+").expect("well-formed");
        assert_eq!(query.paging(), Ok(Paging::Index(Page::new(None, None))));
    }
}
