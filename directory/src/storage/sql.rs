//! Pieces of SQL with their bound values, for what no query builder says well:
//! conditions made from filters, and reads with computed columns.
//!
//! The text of a piece is ours alone; whatever a caller sent is bound.

use sea_orm::{DbBackend, Statement, Value};

/// Whether something in a database can have this name: not every one takes NUL.
pub(super) fn can_be(name: &str) -> bool {
    !name.contains('\0')
}

/// A piece of SQL. Each `?` in the text stands for the next value.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Sql {
    text: String,
    values: Vec<Value>,
}

impl Sql {
    /// A piece without values.
    pub(super) fn new(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            values: Vec::new(),
        }
    }

    /// A piece that is one bound value.
    pub(super) fn value(value: impl Into<Value>) -> Self {
        Self::new("?").bind(value)
    }

    /// Gives the next `?` its value.
    pub(super) fn bind(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Puts more text behind it.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    /// Puts another piece behind it.
    pub(super) fn then(mut self, other: Self) -> Self {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
        self
    }

    /// Whether it is the name of a column.
    pub(super) fn is_column(&self) -> bool {
        let part_of_name = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
        self.text.chars().all(part_of_name)
    }

    /// The pieces with text between them; `empty` when there are none.
    pub(super) fn join(pieces: impl IntoIterator<Item = Self>, between: &str, empty: &str) -> Self {
        let joined = pieces
            .into_iter()
            .reduce(|joined, piece| joined.text(between).then(piece));
        joined.unwrap_or_else(|| Self::new(empty))
    }

    /// Bound values, separated by commas.
    pub(super) fn list<V: Into<Value>>(values: impl IntoIterator<Item = V>) -> Self {
        Self::join(values.into_iter().map(Self::value), ", ", "NULL")
    }

    /// The whole as a statement.
    pub(super) fn statement(self, backend: DbBackend) -> Statement {
        debug_assert_eq!(self.text.matches('?').count(), self.values.len());
        let text = match backend {
            DbBackend::Postgres => numbered(&self.text),
            _ => self.text,
        };
        Statement::from_sql_and_values(backend, text, self.values)
    }
}

/// The text with `$1`, `$2`... in place of each `?`.
fn numbered(text: &str) -> String {
    let mut pieces = text.split('?');
    let mut numbered = pieces.next().unwrap_or_default().to_owned();
    for (number, piece) in (1..).zip(pieces) {
        numbered.push('$');
        numbered.push_str(&number.to_string());
        numbered.push_str(piece);
    }
    numbered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_numbered_for_databases_that_want_it() {
        assert_eq!(
            numbered("a = ? AND b IN (?, ?)"),
            "a = $1 AND b IN ($2, $3)"
        );
        assert_eq!(numbered("a"), "a");
    }

    #[test]
    fn values_keep_the_order_of_their_marks() {
        let piece = Sql::new("a = ? AND b IN (")
            .bind(1_i64)
            .then(Sql::list(["x", "y"]))
            .text(") AND c = ")
            .then(Sql::value(true));
        assert_eq!(piece.text, "a = ? AND b IN (?, ?) AND c = ?");
        assert_eq!(
            piece.values,
            [1_i64.into(), "x".into(), "y".into(), true.into()]
        );
    }
}
