//! The one value of a row that an order looks at.

use muster_proto::schema::{Attribute, Reach, Schema};

use super::{
    Compiler,
    pieces::borrowed,
    relation::{MEMBER_IS_LIVE, MEMBER_JOINS, group_part, member_part},
    unregistered::Path,
};
use crate::{
    domain::{
        filter::Field,
        resource::ResourceKind,
        sort::{KeyType, SPAN, Sort},
    },
    storage::{
        dialect::{ELEMENT, JsonKind},
        relations::GROUPS_OF_USER,
        sql::Sql,
    },
};

/// The parts of a key: a number that tells its type among others, and the value,
/// as a number or as text. Each is NULL where it does not apply; all are where
/// there is no value.
pub(in crate::storage) struct KeyParts {
    pub(in crate::storage) rank: Sql,
    pub(in crate::storage) number: Sql,
    pub(in crate::storage) text: Sql,
}

impl Compiler<'_> {
    /// The value that an attribute of one type has, false and true as 0 and 1.
    pub(in crate::storage) fn first(&self, sort: &Sort) -> Sql {
        let Field::Attribute {
            schema,
            attribute,
            sub,
        } = &sort.field
        else {
            return Sql::new("NULL");
        };
        let leaf = sort.field.leaf().unwrap_or(attribute);
        let sub = sub.or((!std::ptr::eq(leaf, *attribute)).then_some(leaf));
        let value = match attribute.multi_valued {
            true => self.first_element(*schema, attribute, leaf),
            false => self.place(*schema, attribute, sub),
        };
        match sort.key_type() {
            KeyType::Truth => zero_or_one(value),
            KeyType::Text if sort.is_cut() => self.dialect.beginning(value, SPAN),
            KeyType::Text | KeyType::Number | KeyType::Any => value,
        }
    }

    /// The key parts of an attribute that no schema describes.
    pub(in crate::storage) fn first_of_any(&self, sort: &Sort) -> KeyParts {
        let Field::Unregistered {
            urn,
            attribute,
            sub,
        } = &sort.field
        else {
            return KeyParts::of(sort.key_type(), self.first(sort));
        };
        let sub = sub.as_ref();
        let path = Path {
            urn,
            attribute,
            sub,
        };
        let truth = zero_or_one(self.first_unregistered(path, JsonKind::Boolean));
        let number = self.first_unregistered(path, JsonKind::Number);
        let text = self.first_unregistered(path, JsonKind::Text);
        let ranks = [(&truth, 1), (&number, 2), (&text, 3)];
        let ranks = ranks.map(|(value, rank)| {
            Sql::new("WHEN ")
                .then(value.clone())
                .text(&format!(" IS NOT NULL THEN {rank}"))
        });
        KeyParts {
            rank: Sql::new("CASE ")
                .then(Sql::join(ranks, " ", ""))
                .text(" END"),
            number: Sql::new("COALESCE(")
                .then(truth)
                .text(", ")
                .then(number)
                .text(")"),
            text: self.dialect.beginning(text, SPAN),
        }
    }

    /// The part of the primary element of a list, else of its first.
    fn first_element(
        &self,
        schema: Option<&Schema>,
        attribute: &'static Attribute,
        leaf: &'static Attribute,
    ) -> Sql {
        if attribute.reach == Reach::Relation {
            return self.first_related(leaf);
        }
        let primary = attribute.sub_attribute("primary");
        let primary = primary.map(|primary| self.part(attribute, primary));
        select_first(
            self.part(attribute, leaf),
            self.elements(schema, attribute),
            Sql::new("TRUE"),
            primary,
        )
    }

    /// Relations have no primary element; their order is that of the ids.
    fn first_related(&self, leaf: &'static Attribute) -> Sql {
        match self.kind {
            ResourceKind::User => Sql::new("(SELECT ").then(group_part(leaf)).text(&format!(
                " FROM {GROUPS_OF_USER} AS g ORDER BY g.id LIMIT 1)"
            )),
            ResourceKind::Group => Sql::new("(SELECT ").then(member_part(leaf)).text(&format!(
                " FROM memberships m{MEMBER_JOINS} WHERE m.group_id = r.id \
                 AND {MEMBER_IS_LIVE} ORDER BY m.member_id LIMIT 1)"
            )),
        }
    }

    fn first_unregistered(&self, path: Path<'_>, kind: JsonKind) -> Sql {
        let dialect = self.dialect;
        let names = path.names();
        let keys = borrowed(&names);
        let own = select_first(
            dialect.element_comparable(kind),
            dialect.json_elements("r.search", &keys),
            dialect.json_is_no_object("r.search", &keys),
            None,
        );
        let (Some(_), [list @ .., part]) = (path.sub, keys.as_slice()) else {
            return own;
        };
        let listed = select_first(
            dialect.json_comparable(ELEMENT, &[part], kind),
            dialect.json_elements("r.search", list),
            dialect
                .json_is_list("r.search", list)
                .text(" AND ")
                .then(dialect.element_is_object()),
            Some(dialect.json_comparable(ELEMENT, &["primary"], JsonKind::Boolean)),
        );
        Sql::new("COALESCE(")
            .then(own)
            .text(", ")
            .then(listed)
            .text(")")
    }
}

impl KeyParts {
    /// Those of what has no value.
    pub(in crate::storage) fn none() -> Self {
        Self {
            rank: Sql::new("CAST(NULL AS BIGINT)"),
            number: Sql::new("CAST(NULL AS NUMERIC)"),
            text: Sql::new("CAST(NULL AS TEXT)"),
        }
    }

    /// Those of a value of one type, among others.
    fn of(key_type: KeyType, value: Sql) -> Self {
        let rank = match key_type {
            KeyType::Truth => 1,
            KeyType::Number => 2,
            KeyType::Text | KeyType::Any => 3,
        };
        let ranked = Self {
            rank: Sql::new("CASE WHEN ")
                .then(value.clone())
                .text(&format!(" IS NOT NULL THEN {rank} END")),
            ..Self::none()
        };
        match key_type {
            KeyType::Truth | KeyType::Number => Self {
                number: value,
                ..ranked
            },
            KeyType::Text | KeyType::Any => Self {
                text: value,
                ..ranked
            },
        }
    }
}

/// A value of the primary row of a table of elements, else of the first one.
fn select_first(value: Sql, elements: Sql, condition: Sql, primary: Option<Sql>) -> Sql {
    let primary = primary.map_or_else(Sql::default, |primary| {
        Sql::new("CASE WHEN ")
            .then(primary)
            .text(" THEN 0 ELSE 1 END, ")
    });
    Sql::new("(SELECT ")
        .then(value)
        .text(" FROM ")
        .then(elements)
        .text(" WHERE ")
        .then(condition)
        .text(" ORDER BY ")
        .then(primary)
        .text("element.key LIMIT 1)")
}

/// A truth value as a number.
fn zero_or_one(value: Sql) -> Sql {
    Sql::new("CASE WHEN ")
        .then(value.clone())
        .text(" THEN 1 WHEN NOT ")
        .then(value)
        .text(" THEN 0 END")
}
