//! Filters as SQL conditions.
//!
//! Every condition is true or false, never unknown: `NOT` must mean "the
//! others". Comparisons with a column that has an index are plain equalities,
//! so that the database can use it; everything else reads the search document.

use muster_proto::schema::{Attribute, Kind, Reach as Reached, Schema};

use super::{
    Scope,
    dialect::{Dialect, ELEMENT, JsonKind},
    relations::MANAGER,
    resources::{Reach, table},
    sql::Sql,
};
use crate::domain::{
    filter::{Field, Filter, Literal, Operator},
    fold::fold,
    resource::ResourceKind,
    search::{index_key, index_name},
};

/// The condition on a row `r` of the table of this kind.
pub(super) fn condition(
    dialect: Dialect,
    filter: &Filter,
    kind: ResourceKind,
    reach: Reach,
    scope: Scope<'_>,
) -> Sql {
    let compiler = Compiler {
        dialect,
        kind,
        reach,
        scope,
    };
    compiler.condition(filter)
}

/// The condition on a member `m` of a group, from a filter on elements of
/// `members`.
pub(super) fn member_condition(dialect: Dialect, filter: &Filter, scope: Scope<'_>) -> Sql {
    let compiler = Compiler {
        dialect,
        kind: ResourceKind::Group,
        reach: Reach::Live,
        scope,
    };
    compiler.in_element(filter, &member_part)
}

struct Compiler<'a> {
    dialect: Dialect,
    kind: ResourceKind,
    reach: Reach,
    scope: Scope<'a>,
}

/// Where the value of a sub-attribute of an element is found.
type Part<'a> = dyn Fn(&'static Attribute) -> Sql + 'a;

impl Compiler<'_> {
    fn condition(&self, filter: &Filter) -> Sql {
        match filter {
            Filter::And(filters) => all(filters.iter().map(|f| self.condition(f))),
            Filter::Or(filters) => any(filters.iter().map(|f| self.condition(f))),
            Filter::Not(filter) => not(self.condition(filter)),
            Filter::Compare(field, operator, literal) => self.compare(field, *operator, literal),
            Filter::Present(field) => self.present(field),
            Filter::Element(field, filter) => self.element(field, filter),
        }
    }

    fn compare(&self, field: &Field, operator: Operator, literal: &Literal) -> Sql {
        match field {
            Field::Attribute {
                schema,
                attribute,
                sub,
            } => {
                let leaf = sub.or(field.leaf().filter(|leaf| !std::ptr::eq(*leaf, *attribute)));
                if let (true, Some(leaf)) = (attribute.multi_valued, leaf) {
                    let key = indexed_key(leaf, operator, literal);
                    return self.some_element(*schema, attribute, key, &|part| {
                        self.compare_part(part(leaf), leaf, operator, literal)
                    });
                }
                let place = self.place(*schema, attribute, leaf);
                let leaf_or_self = leaf.unwrap_or(attribute);
                let compared = self.compare_part(place, leaf_or_self, operator, literal);
                self.with_index(*schema, attribute, leaf, operator, literal, compared)
            }
            Field::Unregistered { .. } if operator == Operator::NotEqual => {
                not(self.compare(field, Operator::Equal, literal))
            }
            Field::Unregistered {
                urn,
                attribute,
                sub,
            } => {
                let wanted = Some((operator, literal));
                self.unregistered(urn, attribute, sub.as_deref(), wanted)
            }
            Field::Extension(_) | Field::Element(_) => never(),
        }
    }

    fn present(&self, field: &Field) -> Sql {
        match field {
            Field::Attribute {
                schema,
                attribute,
                sub,
            } if attribute.multi_valued => {
                self.some_element(*schema, attribute, None, &|part| match sub {
                    Some(sub) => part(sub).text(" IS NOT NULL"),
                    None => always(),
                })
            }
            Field::Attribute {
                schema,
                attribute,
                sub,
            } => self.place(*schema, attribute, *sub).text(" IS NOT NULL"),
            Field::Unregistered {
                urn,
                attribute,
                sub,
            } => {
                let names = folded([Some(urn), Some(attribute), sub.as_ref()]);
                let whole = self.dialect.json_present("r.search", &borrowed(&names));
                let parts = self.unregistered(urn, attribute, sub.as_deref(), None);
                any([whole, parts])
            }
            Field::Extension(urn) => self.dialect.json_present("r.search", &[urn]),
            Field::Element(_) => never(),
        }
    }

    fn element(&self, field: &Field, filter: &Filter) -> Sql {
        let Field::Attribute {
            schema, attribute, ..
        } = field
        else {
            return never();
        };
        let key = indexed_equality(filter);
        self.some_element(*schema, attribute, key, &|part| {
            self.in_element(filter, part)
        })
    }

    fn in_element(&self, filter: &Filter, part: &Part<'_>) -> Sql {
        match filter {
            Filter::And(filters) => all(filters.iter().map(|f| self.in_element(f, part))),
            Filter::Or(filters) => any(filters.iter().map(|f| self.in_element(f, part))),
            Filter::Not(filter) => not(self.in_element(filter, part)),
            Filter::Compare(Field::Element(sub), operator, literal) => {
                self.compare_part(part(sub), sub, *operator, literal)
            }
            Filter::Present(Field::Element(sub)) => part(sub).text(" IS NOT NULL"),
            Filter::Compare(..) | Filter::Present(_) | Filter::Element(..) => never(),
        }
    }

    /// Whether some element of a multi-valued attribute satisfies a condition.
    /// With the key that an indexed part of it must have, the index narrows
    /// the search first.
    fn some_element(
        &self,
        schema: Option<&Schema>,
        attribute: &'static Attribute,
        key: Option<(&'static Attribute, String)>,
        condition: &dyn Fn(&Part<'_>) -> Sql,
    ) -> Sql {
        if attribute.reach == Reached::Relation {
            return self.related(attribute, condition);
        }
        let part = |sub: &'static Attribute| {
            self.dialect
                .json_value(ELEMENT, &[sub.name], json_kind(sub))
        };
        let keys = keys(schema, attribute, None);
        let elements = self.dialect.json_elements("r.search", &keys);
        let found = exists(elements, condition(&part));
        match key {
            Some((sub, key)) => all([
                self.in_index(&index_name(attribute, Some(sub)), &key),
                found,
            ]),
            None => found,
        }
    }

    /// Members of a group, groups of a user.
    fn related(&self, attribute: &Attribute, condition: &dyn Fn(&Part<'_>) -> Sql) -> Sql {
        match self.kind {
            ResourceKind::Group => exists(
                Sql::new("memberships m").text(MEMBER_JOINS),
                all([
                    Sql::new("m.group_id = r.id"),
                    Sql::new(MEMBER_IS_LIVE),
                    condition(&member_part),
                ]),
            ),
            ResourceKind::User => {
                debug_assert_eq!(attribute.name, "groups");
                exists(
                    Sql::new("memberships m JOIN groups g ON g.id = m.group_id"),
                    all([
                        Sql::new("m.member_id = r.id AND g.deleted_at IS NULL"),
                        condition(&group_part),
                    ]),
                )
            }
        }
    }

    /// The value of a single-valued attribute of the row, or NULL.
    fn place(
        &self,
        schema: Option<&Schema>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
    ) -> Sql {
        match (attribute.name, sub.map(|sub| sub.name)) {
            ("id", _) => Sql::new("r.id"),
            ("externalId", _) => Sql::new(
                "(SELECT e.external_id FROM external_ids e \
                 WHERE e.connection_id = ? AND e.resource_id = r.id)",
            )
            .bind(self.scope.connection_id),
            ("userName", _) => Sql::new("r.user_name_key"),
            ("displayName", _) if schema.is_none() => Sql::new("r.display_name_key"),
            ("meta", Some("created")) => Sql::new("r.created_at"),
            ("meta", Some("lastModified")) => Sql::new("r.updated_at"),
            ("meta", Some("version")) => Sql::new("('\"' || r.version || '\"')"),
            ("meta", Some("resourceType")) => self.dialect.text(self.kind.schema().name),
            ("meta", _) => Sql::new("r.id"),
            ("manager", Some("displayName")) => self.manager_name(),
            // A reference is there when what it refers to is.
            ("manager", Some("$ref")) => self.place(schema, attribute, attribute.value_attribute()),
            _ => {
                let keys = keys(schema, attribute, sub);
                let kind = json_kind(sub.unwrap_or(attribute));
                match sub.unwrap_or(attribute).kind {
                    // Only whether it is there can be asked.
                    Kind::Complex => self.whole("r.search", &keys),
                    _ => self.dialect.json_value("r.search", &keys, kind),
                }
            }
        }
    }

    fn manager_name(&self) -> Sql {
        Sql::new("(SELECT b.display_name_key FROM users b WHERE b.deleted_at IS NULL AND b.tenant_id = ? AND b.id = ")
            .bind(self.scope.tenant_id)
            .then(self.dialect.json_value("r.search", &MANAGER, JsonKind::Text))
            .text(")")
    }

    /// The condition behind an index that narrows it, where there is one.
    fn with_index(
        &self,
        schema: Option<&Schema>,
        attribute: &Attribute,
        leaf: Option<&Attribute>,
        operator: Operator,
        literal: &Literal,
        condition: Sql,
    ) -> Sql {
        let (Operator::Equal, Literal::Text { key, .. }) = (operator, literal) else {
            return condition;
        };
        if attribute.name == "externalId" && schema.is_none() {
            return Sql::new("r.id IN (SELECT e.resource_id FROM external_ids e WHERE ")
                .text(self.while_live("e.live AND "))
                .text("e.connection_id = ? AND e.resource_type = ? AND e.external_id = ?)")
                .bind(self.scope.connection_id)
                .bind(crate::domain::history::ResourceType::from(self.kind) as i64)
                .bind(key.as_str());
        }
        if attribute.name == "displayName" && schema.is_none() && self.kind == ResourceKind::User {
            // As a subquery, because the database would rather walk all users
            // in the order of the page than sort a few.
            return Sql::new("r.id IN (SELECT n.id FROM users n WHERE ")
                .text(self.while_live("n.deleted_at IS NULL AND "))
                .text("n.tenant_id = ? AND n.display_name_key = ?)")
                .bind(self.scope.tenant_id)
                .bind(key.as_str());
        }
        if leaf.unwrap_or(attribute).reach != Reached::Indexed {
            return condition;
        }
        all([self.in_index(&index_name(attribute, leaf), key), condition])
    }

    /// A condition that the deleted do not meet, unless they are wanted.
    fn while_live(&self, condition: &'static str) -> &'static str {
        match self.reach {
            Reach::Live => condition,
            Reach::Deleted => "",
        }
    }

    fn in_index(&self, name: &str, key: &str) -> Sql {
        debug_assert_eq!(table(self.kind), "users");
        Sql::new(
            "r.id IN (SELECT v.user_id FROM user_values v \
             WHERE v.tenant_id = ? AND v.attribute = ? AND v.value_key = ?)",
        )
        .bind(self.scope.tenant_id)
        .bind(name)
        .bind(index_key(key))
    }

    /// Compares a value, or NULL, with a literal of the attribute's type.
    fn compare_part(
        &self,
        place: Sql,
        leaf: &Attribute,
        operator: Operator,
        literal: &Literal,
    ) -> Sql {
        let place = match literal {
            // RFC 7643 section 2.4: an element without "primary" is not primary.
            Literal::Boolean(_) if leaf.name == "primary" => {
                Sql::new("COALESCE(").then(place).text(", FALSE)")
            }
            _ => place,
        };
        self.compare_any(place, operator, literal)
    }

    fn compare_any(&self, place: Sql, operator: Operator, literal: &Literal) -> Sql {
        let dialect = self.dialect;
        match literal {
            Literal::Text { key, .. } => match operator {
                Operator::Contains => known(place, |p| dialect.contains(p, key)),
                Operator::StartsWith => known(place, |p| dialect.starts_with(p, key)),
                Operator::EndsWith => known(place, |p| dialect.ends_with(p, key)),
                // Bytes decide, whatever the value's own collation.
                _ => ordered(place, operator, dialect.text(key)),
            },
            Literal::Boolean(value) => ordered(place, operator, Sql::value(*value)),
            Literal::Integer(value) | Literal::Instant(value) => {
                ordered(place, operator, Sql::value(*value))
            }
            Literal::Decimal(value) => ordered(place, operator, Sql::value(*value)),
        }
    }

    /// Whether some value of an attribute that no schema describes compares
    /// like this, or is there at all. The attribute may have one value or a
    /// list; with a sub-attribute it may be an object or a list of them.
    fn unregistered(
        &self,
        urn: &String,
        attribute: &String,
        sub: Option<&str>,
        wanted: Option<(Operator, &Literal)>,
    ) -> Sql {
        let dialect = self.dialect;
        let sub = sub.map(ToOwned::to_owned);
        let names = folded([Some(urn), Some(attribute), sub.as_ref()]);
        let keys = borrowed(&names);
        // The "elements" of an object are its members, which are not meant.
        let own = exists(
            dialect.json_elements("r.search", &keys),
            all([
                dialect.json_is_no_object("r.search", &keys),
                match wanted {
                    Some((operator, literal)) => {
                        let value = dialect.element_comparable(literal.into());
                        self.compare_any(value, operator, literal)
                    }
                    None => always(),
                },
            ]),
        );
        let [list @ .., part] = keys.as_slice() else {
            return own;
        };
        if sub.is_none() {
            return own;
        }
        let listed = exists(
            dialect.json_elements("r.search", list),
            all([
                dialect.json_is_list("r.search", list),
                dialect.element_is_object(),
                match wanted {
                    Some((operator, literal)) => {
                        let value = dialect.json_comparable(ELEMENT, &[part], literal.into());
                        self.compare_any(value, operator, literal)
                    }
                    None => dialect.json_present(ELEMENT, &[part]),
                },
            ]),
        );
        any([own, listed])
    }

    /// A value of any type, of which only the presence tells something.
    fn whole(&self, column: &str, keys: &[&str]) -> Sql {
        let present = self.dialect.json_present(column, keys);
        Sql::new("CASE WHEN ").then(present).text(" THEN 1 END")
    }
}

/// As what a JSON value of the attribute is read. The search document has
/// instants as numbers.
fn json_kind(attribute: &Attribute) -> JsonKind {
    match attribute.kind {
        Kind::Boolean => JsonKind::Boolean,
        Kind::Integer | Kind::Decimal | Kind::DateTime => JsonKind::Number,
        Kind::String | Kind::Binary | Kind::Reference | Kind::Complex => JsonKind::Text,
    }
}

/// Joins that a condition on a member `m` may need.
pub(super) const MEMBER_JOINS: &str = " LEFT JOIN users mu ON mu.id = m.member_id \
     LEFT JOIN groups mg ON mg.id = m.member_id";

/// Deleted members keep their membership for the day they come back.
pub(super) const MEMBER_IS_LIVE: &str = "(mu.id IS NOT NULL AND mu.deleted_at IS NULL \
     OR mg.id IS NOT NULL AND mg.deleted_at IS NULL)";

fn member_part(sub: &'static Attribute) -> Sql {
    match sub.name {
        "type" => Sql::new("CASE m.member_type WHEN 1 THEN 'user' ELSE 'group' END"),
        "display" => Sql::new("COALESCE(mu.display_name_key, mg.display_name_key)"),
        _ => Sql::new("m.member_id"),
    }
}

fn group_part(sub: &'static Attribute) -> Sql {
    match sub.name {
        "type" => Sql::new("'direct'"),
        "display" => Sql::new("g.display_name_key"),
        _ => Sql::new("g.id"),
    }
}

/// The key that some indexed part of an element must have for the condition to
/// hold: one of the conjuncts says so.
fn indexed_equality(filter: &Filter) -> Option<(&'static Attribute, String)> {
    match filter {
        Filter::And(filters) => filters.iter().find_map(indexed_equality),
        Filter::Compare(Field::Element(sub), operator, literal) => {
            indexed_key(sub, *operator, literal)
        }
        _ => None,
    }
}

fn indexed_key(
    sub: &'static Attribute,
    operator: Operator,
    literal: &Literal,
) -> Option<(&'static Attribute, String)> {
    match (operator, literal) {
        (Operator::Equal, Literal::Text { key, .. }) if sub.reach == Reached::Indexed => {
            Some((sub, key.clone()))
        }
        _ => None,
    }
}

fn ordered(place: Sql, operator: Operator, literal: Sql) -> Sql {
    let sign = match operator {
        Operator::Equal => " = ",
        // What has no value differs from every value.
        Operator::NotEqual => return not(ordered(place, Operator::Equal, literal)),
        Operator::Greater => " > ",
        Operator::GreaterOrEqual => " >= ",
        Operator::Less => " < ",
        Operator::LessOrEqual => " <= ",
        Operator::Contains | Operator::StartsWith | Operator::EndsWith => return never(),
    };
    known(place, |place| place.text(sign).then(literal))
}

/// A condition on a value that may be NULL, false when it is.
fn known(place: Sql, condition: impl FnOnce(Sql) -> Sql) -> Sql {
    Sql::new("(")
        .then(place.clone())
        .text(" IS NOT NULL AND ")
        .then(condition(place))
        .text(")")
}

fn keys<'a>(
    schema: Option<&'a Schema>,
    attribute: &'a Attribute,
    sub: Option<&'a Attribute>,
) -> Vec<&'a str> {
    let names = [
        schema.map(|s| s.urn),
        Some(attribute.name),
        sub.map(|s| s.name),
    ];
    names.into_iter().flatten().collect()
}

/// Names as the search document spells them.
fn folded<const N: usize>(names: [Option<&String>; N]) -> Vec<String> {
    names.into_iter().flatten().map(|name| fold(name)).collect()
}

fn borrowed(names: &[String]) -> Vec<&str> {
    names.iter().map(String::as_str).collect()
}

fn exists(from: Sql, condition: Sql) -> Sql {
    Sql::new("EXISTS (SELECT 1 FROM ")
        .then(from)
        .text(" WHERE ")
        .then(condition)
        .text(")")
}

fn all(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    Sql::new("(")
        .then(Sql::join(conditions, " AND ", "TRUE"))
        .text(")")
}

fn any(conditions: impl IntoIterator<Item = Sql>) -> Sql {
    Sql::new("(")
        .then(Sql::join(conditions, " OR ", "FALSE"))
        .text(")")
}

fn not(condition: Sql) -> Sql {
    Sql::new("NOT (").then(condition).text(")")
}

fn always() -> Sql {
    Sql::new("TRUE")
}

fn never() -> Sql {
    Sql::new("FALSE")
}
