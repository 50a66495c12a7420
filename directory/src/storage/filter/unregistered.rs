//! Conditions on attributes that no schema describes. Such an attribute may
//! have one value or a list; with a sub-attribute it may be an object or a list
//! of them. What it has is told by the value that it is compared with.

use super::{
    Compiler,
    pieces::{all, always, any, borrowed, exists, folded, not},
};
use crate::{
    domain::filter::{Literal, Operator},
    storage::{dialect::ELEMENT, sql::Sql},
};

/// Where an attribute is: URN of the extension, attribute, sub-attribute.
#[derive(Clone, Copy)]
pub(super) struct Path<'a> {
    pub(super) urn: &'a String,
    pub(super) attribute: &'a String,
    pub(super) sub: Option<&'a String>,
}

/// A condition on a value, made from the way to read it.
type Test<'a> = dyn Fn(Sql) -> Sql + 'a;

impl Compiler<'_> {
    pub(super) fn present_unregistered(&self, path: Path<'_>) -> Sql {
        let names = path.names();
        any([
            self.dialect.json_present("r.search", &borrowed(&names)),
            self.some_listed(path, None, &|_| always()),
        ])
    }

    /// Whether some value compares so. Without any value, or with one of
    /// another type, it differs.
    pub(super) fn compare_unregistered(
        &self,
        path: Path<'_>,
        operator: Operator,
        literal: &Literal,
    ) -> Sql {
        let test = |place| self.compare_any(place, operator, literal);
        let some = any([
            self.some_own(path, literal, &test),
            self.some_listed(path, Some(literal), &test),
        ]);
        if operator != Operator::NotEqual {
            return some;
        }
        let names = path.names();
        any([
            not(self.present_unregistered(path)),
            self.dialect.json_is_object("r.search", &borrowed(&names)),
            some,
        ])
    }

    /// Whether the value itself, or an element when it is a list, satisfies a
    /// condition. The "elements" of an object are its members, which are not
    /// meant.
    fn some_own(&self, path: Path<'_>, literal: &Literal, test: &Test<'_>) -> Sql {
        let names = path.names();
        let keys = borrowed(&names);
        exists(
            self.dialect.json_elements("r.search", &keys),
            all([
                self.dialect.json_is_no_object("r.search", &keys),
                test(self.dialect.element_comparable(literal.into())),
            ]),
        )
    }

    /// Whether the sub-attribute of some object in a list satisfies a condition.
    fn some_listed(&self, path: Path<'_>, literal: Option<&Literal>, test: &Test<'_>) -> Sql {
        let names = path.names();
        let (Some(_), [list @ .., part]) = (path.sub, names.as_slice()) else {
            return any([]);
        };
        let (dialect, list, part) = (self.dialect, borrowed(list), part.as_str());
        let value = match literal {
            Some(literal) => dialect.json_comparable(ELEMENT, &[part], literal.into()),
            None => Sql::default(),
        };
        exists(
            dialect.json_elements("r.search", &list),
            all([
                dialect.json_is_list("r.search", &list),
                dialect.element_is_object(),
                dialect.json_present(ELEMENT, &[part]),
                test(value),
            ]),
        )
    }
}

impl Path<'_> {
    /// As the search document spells it.
    pub(super) fn names(&self) -> Vec<String> {
        folded([Some(self.urn), Some(self.attribute), self.sub])
    }
}
