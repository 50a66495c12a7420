//! Which part of a list is wanted, and where it goes on.

use super::{resource::ResourceKind, sort::Key};
use crate::error::{Error, Result};

/// Results of a page when the caller does not say.
pub const DEFAULT_SIZE: usize = 100;

/// Most results of a page; larger wishes are cut to it (AIP-158).
pub const MAX_SIZE: usize = muster_proto::PAGE_SIZE_LIMIT as usize;

/// A page that is wanted.
#[derive(Debug, Clone, PartialEq)]
pub struct PageRequest {
    /// Most results, at least one.
    pub size: usize,
    /// Only results behind this place.
    pub after: Option<Place>,
    /// How many results to leave out.
    pub skip: i64,
    /// Whether to count all results.
    pub count: bool,
    /// Whether to count only.
    pub count_only: bool,
}

impl PageRequest {
    /// Checks what a caller asked for.
    ///
    /// # Errors
    /// [`Error::Invalid`] for negative numbers.
    pub fn new(size: i32, skip: i64, after: Option<Place>) -> Result<Self> {
        let size = usize::try_from(size)
            .map_err(|_| Error::invalid("page.page_size", "must not be negative"))?;
        if skip < 0 {
            return Err(Error::invalid("page.skip", "must not be negative"));
        }
        let size = if size == 0 {
            DEFAULT_SIZE
        } else {
            size.min(MAX_SIZE)
        };
        Ok(Self {
            size,
            after,
            skip,
            count: false,
            count_only: false,
        })
    }
}

/// A page.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// The results.
    pub items: Vec<T>,
    /// Where the next page starts behind; `None` on the last.
    pub next: Option<Place>,
    /// How many results there are in all; 0 unless asked for.
    pub total: i64,
}

impl<T> Page<T> {
    /// A page of a list that has no results.
    pub fn empty() -> Self {
        Self {
            items: Vec::new(),
            next: None,
            total: 0,
        }
    }

    /// The same page of other things.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
            total: self.total,
        }
    }
}

/// A place in a list: behind one of its results, whether or not that still is.
#[derive(Debug, Clone, PartialEq)]
pub struct Place {
    /// What it is sorted by, in a list that is sorted.
    pub key: Option<Key>,
    /// What it is, in a list of several kinds.
    pub kind: Option<ResourceKind>,
    /// Its id.
    pub id: String,
}

impl Place {
    /// In a list in the order of ids.
    pub fn of(id: impl Into<String>) -> Self {
        Self {
            key: None,
            kind: None,
            id: id.into(),
        }
    }

    /// As a text that [`read`](Self::read) reads.
    pub fn text(&self) -> String {
        let kind = match self.kind {
            None => "-",
            Some(ResourceKind::User) => "u",
            Some(ResourceKind::Group) => "g",
        };
        let key = self.key.as_ref().map(Key::text).unwrap_or_default();
        // The key is the only part that may have any characters.
        format!("{kind}/{}/{key}", self.id)
    }

    /// The place of a text; `None` when it is none.
    pub fn read(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let kind = match parts.next()? {
            "-" => None,
            "u" => Some(ResourceKind::User),
            "g" => Some(ResourceKind::Group),
            _ => return None,
        };
        let id = parts.next()?.to_owned();
        let key = match parts.next()? {
            "" => None,
            key => Some(Key::read(key)?),
        };
        Some(Self { key, kind, id })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::number::Number;

    #[test]
    fn places_survive_their_text() {
        let keys = [
            None,
            Some(Key::Missing),
            Some(Key::Truth(true)),
            Some(Key::Number(Number::Integer(-7))),
            Some(Key::Number(Number::Decimal(0.1))),
            Some(Key::Text(String::new())),
            Some(Key::Text("a/b/İ\u{1F600}".to_owned())),
        ];
        for key in keys {
            for kind in [None, Some(ResourceKind::User), Some(ResourceKind::Group)] {
                let id = "id-7".to_owned();
                let place = Place {
                    key: key.clone(),
                    kind,
                    id,
                };
                assert_eq!(Place::read(&place.text()), Some(place));
            }
        }
        for text in ["", "x/id/", "-/id", "-/id/x", "-/id/nx"] {
            assert_eq!(Place::read(text), None, "{text}");
        }
    }
}
