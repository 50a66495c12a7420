//! Orders as SQL: the columns by which a list is sorted, and what lies behind a
//! place in it.
//!
//! A list of resources of one type of key needs one column. Where types may
//! differ, a rank tells them apart. SQL's NULL is what has no value.

use sea_orm::FromQueryResult;

use super::{
    dialect::Dialect,
    filter::{Compiler, KeyParts},
    sql::Sql,
};
use crate::domain::{
    number::Number,
    sort::{Key, KeyType, Sort},
};

/// How a list is sorted before the ids decide.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    dialect: Dialect,
    columns: Columns,
    descending: bool,
}

/// What the narrow rows of a list have besides their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Columns {
    None,
    Number,
    Text,
    All,
}

const RANK: &str = "key_rank";
const NUMBER: &str = "key_number";
const TEXT: &str = "key_text";

impl Order {
    /// The order of a list whose parts are sorted so.
    pub(super) fn new<'a>(dialect: Dialect, sorts: impl Iterator<Item = Option<&'a Sort>>) -> Self {
        let sorts: Vec<_> = sorts.flatten().collect();
        let all = sorts.iter().map(|sort| match sort.key_type() {
            KeyType::Number => Columns::Number,
            KeyType::Truth if sorts.len() == 1 => Columns::Number,
            KeyType::Text => Columns::Text,
            KeyType::Truth | KeyType::Any => Columns::All,
        });
        let columns = all.reduce(|a, b| if a == b { a } else { Columns::All });
        Self {
            dialect,
            columns: columns.unwrap_or(Columns::None),
            descending: sorts.first().is_some_and(|sort| sort.descending),
        }
    }

    /// Whether there is any but that of ids.
    pub(super) fn is_sorted(self) -> bool {
        self.columns != Columns::None
    }

    /// The columns of the rows that a compiler speaks of; none of them has a
    /// key when the order says nothing of them.
    pub(super) fn columns(self, compiler: &Compiler<'_>, sort: Option<&Sort>) -> Sql {
        let none = KeyParts::none();
        let parts = match (self.columns, sort) {
            (Columns::Number, Some(sort)) => KeyParts {
                number: compiler.first(sort),
                ..none
            },
            (Columns::Text, Some(sort)) => KeyParts {
                text: compiler.first(sort),
                ..none
            },
            (Columns::All, Some(sort)) => compiler.first_of_any(sort),
            (Columns::None, _) | (_, None) => none,
        };
        let columns = [
            (parts.rank, RANK),
            (parts.number, NUMBER),
            (parts.text, TEXT),
        ];
        columns
            .into_iter()
            .fold(Sql::default(), |sql, (part, name)| {
                sql.text(", ").then(part).text(&format!(" AS {name}"))
            })
    }

    /// The columns as they are read: under names of their own, because a name
    /// behind `ORDER BY` would mean what is read.
    pub(super) fn shown(self) -> String {
        let [number, real] = self.dialect.exact_number(NUMBER);
        format!(
            "CAST({RANK} AS BIGINT) AS shown_rank, {number} AS shown_number, {real} AS shown_real, {TEXT} AS shown_text"
        )
    }

    /// What stands behind `ORDER BY`, followed by a comma.
    pub(super) fn clause(self) -> String {
        let (direction, nulls) = match self.descending {
            true => ("DESC", "FIRST"),
            false => ("ASC", "LAST"),
        };
        let used = self.used().into_iter();
        used.map(|column| format!("{column} {direction} NULLS {nulls}, "))
            .collect()
    }

    fn used(self) -> Vec<String> {
        let text = self.dialect.bytewise(TEXT);
        match self.columns {
            Columns::None => Vec::new(),
            Columns::Number => vec![NUMBER.to_owned()],
            Columns::Text => vec![text],
            Columns::All => vec![RANK.to_owned(), NUMBER.to_owned(), text],
        }
    }

    /// The condition that a narrow row lies behind a key, or has the same one
    /// and satisfies `tie`.
    pub(super) fn behind(self, key: &Key, tie: Sql) -> Sql {
        let mut values = Vec::new();
        if self.columns == Columns::All {
            values.push((RANK.to_owned(), Sql::value(key.rank())));
        }
        match key {
            Key::Truth(value) => {
                let number = Number::Integer(i64::from(*value));
                values.push((NUMBER.to_owned(), self.dialect.number(number)));
            }
            Key::Number(number) => values.push((NUMBER.to_owned(), self.dialect.number(*number))),
            Key::Text(text) => {
                values.push((self.dialect.bytewise(TEXT), self.dialect.text(text)));
            }
            Key::Missing => return self.behind_missing(tie),
        }
        let sign = if self.descending { "<" } else { ">" };
        let behind = values.into_iter().rev().fold(tie, |tie, (column, value)| {
            Sql::new(format!("({column} {sign} "))
                .then(value.clone())
                .text(&format!(" OR ({column} = "))
                .then(value)
                .text(" AND ")
                .then(tie)
                .text("))")
        });
        match (self.descending, self.first()) {
            (false, Some(first)) => Sql::new("(")
                .then(behind)
                .text(&format!(" OR {first} IS NULL)")),
            _ => behind,
        }
    }

    fn behind_missing(self, tie: Sql) -> Sql {
        let Some(first) = self.first() else {
            return tie;
        };
        let (there, between) = match self.descending {
            true => ("NOT NULL", "OR"),
            false => ("NULL", "AND"),
        };
        Sql::new(format!("({first} IS {there} {between} "))
            .then(tie)
            .text(")")
    }

    /// The column that tells whether there is a key at all.
    fn first(self) -> Option<&'static str> {
        match self.columns {
            Columns::None => None,
            Columns::Number => Some(NUMBER),
            Columns::Text => Some(TEXT),
            Columns::All => Some(RANK),
        }
    }

    /// The key that the columns of a row mean.
    pub(super) fn key(self, columns: &KeyColumns) -> Option<Key> {
        let number = columns.shown_number.as_deref().and_then(Number::read);
        let number = number.or_else(|| columns.shown_real.and_then(Number::from_f64));
        Some(match (self.columns, columns.shown_rank, number) {
            (Columns::None, ..) => return None,
            (Columns::All, Some(1), Some(number)) => Key::Truth(number == Number::Integer(1)),
            (_, _, Some(number)) => Key::Number(number),
            (_, _, None) => match &columns.shown_text {
                Some(text) => Key::Text(text.clone()),
                None => Key::Missing,
            },
        })
    }
}

/// What [`Order::shown`] shows.
#[derive(Debug, FromQueryResult)]
pub(super) struct KeyColumns {
    shown_rank: Option<i64>,
    shown_number: Option<String>,
    shown_real: Option<f64>,
    shown_text: Option<String>,
}
