//! Which part of a list is wanted, and where it goes on.

use crate::error::{Error, Result};

/// Results of a page when the caller does not say.
pub const DEFAULT_SIZE: usize = 100;

/// Most results of a page; larger wishes are cut to it (AIP-158).
pub const MAX_SIZE: usize = 1_000;

/// A page that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// Most results, at least one.
    pub size: usize,
    /// Only results behind this id.
    pub after: Option<String>,
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
    pub fn new(size: i32, skip: i64, after: Option<String>) -> Result<Self> {
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
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The results.
    pub items: Vec<T>,
    /// Where the next page starts behind; `None` on the last.
    pub next: Option<String>,
    /// How many results there are in all; 0 unless asked for.
    pub total: i64,
}

impl<T> Page<T> {
    /// The same page of other things.
    pub fn map<U>(self, f: impl FnMut(T) -> U) -> Page<U> {
        Page {
            items: self.items.into_iter().map(f).collect(),
            next: self.next,
            total: self.total,
        }
    }
}
