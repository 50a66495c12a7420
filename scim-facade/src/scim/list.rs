//! List answers and pages: RFC 7644 section 3.4.2.

use super::{
    error::{ScimError, ScimType},
    json::{Json, Members},
    urn,
};

/// Elements per page when the client does not say.
pub const DEFAULT_COUNT: i32 = 100;
/// Most elements per page; more is coerced.
pub const MAX_COUNT: i32 = muster_proto::PAGE_SIZE_LIMIT as i32;

/// The page a client asks for, with RFC 7644's corrections applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// From 1.
    pub start_index: i64,
    /// 0: only the total.
    pub count: i32,
}

impl Page {
    /// `startIndex` below 1 is 1; `count` below 0 is 0, and above the most it
    /// is the most.
    pub fn new(start_index: Option<i64>, count: Option<i64>) -> Self {
        let count = count.unwrap_or(DEFAULT_COUNT.into());
        let count = count.clamp(0, MAX_COUNT.into());
        Self {
            start_index: start_index.unwrap_or(1).max(1),
            count: i32::try_from(count).unwrap_or(MAX_COUNT),
        }
    }
}

/// How a client goes through a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Paging {
    /// By index: RFC 7644 section 3.4.2.4.
    Index(Page),
    /// By cursor: RFC 9865.
    Cursor {
        /// From the page before; empty for the first.
        cursor: String,
        /// Most elements of the page; 0: only their number is wanted.
        count: i32,
    },
}

impl Paging {
    /// By cursor when there is one, else by index.
    ///
    /// # Errors
    /// `invalidValue` for both, `invalidCount` for a page larger than a cursor
    /// can have. What is below 0 is 0 (RFC 9865 section 2).
    pub fn new(
        cursor: Option<String>,
        start_index: Option<i64>,
        count: Option<i64>,
    ) -> Result<Self, ScimError> {
        let Some(cursor) = cursor else {
            return Ok(Self::Index(Page::new(start_index, count)));
        };
        if start_index.is_some() {
            let detail = "A page is asked for by startIndex or by cursor, not by both.";
            return Err(ScimError::invalid_value(detail));
        }
        match i32::try_from(count.unwrap_or(DEFAULT_COUNT.into()).max(0)) {
            Ok(count) if count <= MAX_COUNT => Ok(Self::Cursor { cursor, count }),
            _ => {
                let detail = format!("With a cursor, count must be at most {MAX_COUNT}.");
                Err(ScimError::typed(ScimType::InvalidCount, detail))
            }
        }
    }
}

/// Where a page stands in its list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// It starts at this index.
    Index(i64),
    /// It goes on at this cursor; `None`: it is the last.
    Cursor(Option<String>),
}

/// A list answer. `Resources` is there also when it is empty.
pub fn render(total: i64, place: Place, resources: Vec<Json>) -> Json {
    let count = i64::try_from(resources.len()).unwrap_or(i64::MAX);
    let mut members = Members::default();
    members.push("schemas", vec![Json::from(urn::LIST_RESPONSE)]);
    members.push("totalResults", total);
    match place {
        Place::Index(start_index) => members.push("startIndex", start_index),
        Place::Cursor(Some(next)) => members.push("nextCursor", next),
        Place::Cursor(None) => {}
    }
    members.push("itemsPerPage", count);
    members.push("Resources", resources);
    Json::Object(members)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_corrected() {
        let page = |start, count| {
            let Page { start_index, count } = Page::new(start, count);
            (start_index, count)
        };
        assert_eq!(page(None, None), (1, 100));
        assert_eq!(page(Some(0), Some(-1)), (1, 0));
        assert_eq!(page(Some(i64::MAX), Some(i64::MAX)), (i64::MAX, 1000));
        assert_eq!(page(Some(6), Some(5)), (6, 5));
    }

    #[test]
    fn a_cursor_takes_no_index_and_no_odd_count() {
        let paging = |start, count| {
            let paging = Paging::new(Some("c".to_owned()), start, count);
            paging.map_err(|error| error.scim_type().map(ScimType::as_str))
        };
        let page = |count| {
            let cursor = "c".to_owned();
            Ok(Paging::Cursor { cursor, count })
        };
        assert_eq!(paging(None, None), page(100));
        assert_eq!(paging(None, Some(1000)), page(1000));
        assert_eq!(paging(None, Some(0)), page(0));
        assert_eq!(paging(None, Some(i64::MIN)), page(0));
        for count in [1001, i64::MAX] {
            assert_eq!(paging(None, Some(count)), Err(Some("invalidCount")));
        }
        assert_eq!(paging(Some(1), None), Err(Some("invalidValue")));
        let index = Paging::new(None, Some(3), Some(0));
        assert_eq!(index, Ok(Paging::Index(Page::new(Some(3), Some(0)))));
    }
}
