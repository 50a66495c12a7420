//! List answers and pages: RFC 7644 section 3.4.2.

use super::{
    json::{Json, Members},
    urn,
};

/// Elements per page when the client does not say.
pub const DEFAULT_COUNT: i32 = 100;
/// Most elements per page; more is coerced.
pub const MAX_COUNT: i32 = 1000;

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

/// A list answer. `Resources` is there also when it is empty.
pub fn render(total: i64, start_index: i64, resources: Vec<Json>) -> Json {
    let count = i64::try_from(resources.len()).unwrap_or(i64::MAX);
    let mut members = Members::default();
    members.push("schemas", vec![Json::from(urn::LIST_RESPONSE)]);
    members.push("totalResults", total);
    members.push("startIndex", start_index);
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
}
