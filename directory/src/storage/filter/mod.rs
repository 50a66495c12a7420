//! Filters as SQL conditions.
//!
//! Every condition is true or false, never unknown: `NOT` must mean "the
//! others". Comparisons with a column that has an index are plain equalities,
//! so that the database can use it; everything else reads the search document.

mod first;
mod pieces;
mod place;
mod relation;
mod unregistered;

use muster_proto::schema::{Attribute, Reach as Reached, Schema, schemas_attribute};

use super::{
    Scope,
    dialect::{Dialect, ELEMENT},
    resources::{Reach, values_table},
    sql::Sql,
};
use crate::domain::{
    filter::{Field, Filter, Literal, Operator},
    resource::ResourceKind,
    search::index_name,
};
use pieces::{all, always, any, exists, json_kind, keys, known, never, not, ordered};
use relation::{Facts, member_part};
use unregistered::Path;

pub(super) use first::KeyParts;
pub(super) use relation::{MEMBER_IS_LIVE, MEMBER_JOINS};

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

/// What is said of rows `r` of the table of this kind.
pub(super) struct Compiler<'a> {
    pub(super) dialect: Dialect,
    pub(super) kind: ResourceKind,
    pub(super) reach: Reach,
    pub(super) scope: Scope<'a>,
}

/// Where the value of a sub-attribute of an element is found, or of the element
/// itself when it has none.
type Part<'a> = dyn Fn(&'static Attribute) -> Sql + 'a;

impl Compiler<'_> {
    /// The condition on a row.
    pub(super) fn condition(&self, filter: &Filter) -> Sql {
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
                let leaf = field.leaf().unwrap_or(attribute);
                if attribute.multi_valued {
                    let key = indexed_key(leaf, operator, literal);
                    let facts = Facts::of_part(leaf, operator, literal);
                    return self.some_element((*schema, attribute), key, &facts, &|part| {
                        self.compare_part(part(leaf), leaf, operator, literal)
                    });
                }
                let sub = sub.or((!std::ptr::eq(leaf, *attribute)).then_some(leaf));
                let place = self.place(*schema, attribute, sub);
                let compared = self.compare_part(place, leaf, operator, literal);
                self.with_index(*schema, attribute, sub, operator, literal, compared)
            }
            Field::Unregistered {
                urn,
                attribute,
                sub,
            } => {
                let sub = sub.as_ref();
                let path = Path {
                    urn,
                    attribute,
                    sub,
                };
                self.compare_unregistered(path, operator, literal)
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
            } if attribute.multi_valued => match sub {
                None if attribute.reach == Reached::Relation => self.is_related(),
                None if std::ptr::eq(*attribute, schemas_attribute()) => always(),
                None => self
                    .dialect
                    .json_present("r.search", &keys(*schema, attribute, None)),
                Some(sub) => {
                    let facts = Facts::of_presence(sub);
                    self.some_element((*schema, attribute), None, &facts, &|part| {
                        part(sub).text(" IS NOT NULL")
                    })
                }
            },
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
                let sub = sub.as_ref();
                self.present_unregistered(Path {
                    urn,
                    attribute,
                    sub,
                })
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
        let facts = Facts::of_filter(filter);
        self.some_element((*schema, attribute), key, &facts, &|part| {
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
        (schema, attribute): (Option<&Schema>, &'static Attribute),
        key: Option<(&'static Attribute, String)>,
        facts: &Facts,
        condition: &dyn Fn(&Part<'_>) -> Sql,
    ) -> Sql {
        if attribute.reach == Reached::Relation {
            return self.related(facts, condition);
        }
        let found = exists(
            self.elements(schema, attribute),
            condition(&|sub| self.part(attribute, sub)),
        );
        match key {
            Some((sub, key)) => {
                let sub = (!std::ptr::eq(sub, attribute)).then_some(sub);
                all([
                    self.in_index(&index_name(schema, attribute, sub), &key),
                    found,
                ])
            }
            None => found,
        }
    }

    /// The elements of a multi-valued attribute, as a table.
    fn elements(&self, schema: Option<&Schema>, attribute: &'static Attribute) -> Sql {
        if std::ptr::eq(attribute, schemas_attribute()) {
            return self
                .dialect
                .schemas("r.search", self.kind.schema().core.urn);
        }
        let keys = keys(schema, attribute, None);
        self.dialect.json_elements("r.search", &keys)
    }

    /// The value of a sub-attribute of an element, or of the element itself.
    fn part(&self, attribute: &'static Attribute, sub: &'static Attribute) -> Sql {
        if std::ptr::eq(attribute, schemas_attribute()) {
            Sql::new(ELEMENT)
        } else if std::ptr::eq(attribute, sub) {
            self.dialect.element_comparable(json_kind(sub))
        } else {
            self.dialect
                .json_value(ELEMENT, &[sub.name], json_kind(sub))
        }
    }

    /// The condition behind an index that narrows it, where there is one.
    fn with_index(
        &self,
        schema: Option<&Schema>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
        operator: Operator,
        literal: &Literal,
        condition: Sql,
    ) -> Sql {
        if operator != Operator::Equal {
            return condition;
        }
        if let (None, Literal::Text { key, .. }) = (schema, literal)
            && let Some(own) = self.own_index(attribute.name, key)
        {
            return own;
        }
        let leaf = sub.unwrap_or(attribute);
        // There, what is absent counts as false, and is in no index.
        let may_be_absent = matches!(literal, Literal::Boolean(_)) && leaf.name == "primary";
        if leaf.reach != Reached::Indexed || may_be_absent {
            return condition;
        }
        let name = index_name(schema, attribute, sub);
        all([self.in_index(&name, &literal.index_key()), condition])
    }

    /// The condition that a core attribute has this key, where it has an index of
    /// its own that the database must be led to.
    fn own_index(&self, attribute: &str, key: &str) -> Option<Sql> {
        match attribute {
            "externalId" => {
                let named = Sql::new("r.id IN (SELECT e.resource_id FROM external_ids e WHERE ")
                    .text(self.while_live("e.live AND "))
                    .text("e.connection_id = ? AND e.resource_type = ? AND e.external_id = ?)")
                    .bind(self.scope.connection_id)
                    .bind(crate::domain::history::ResourceType::from(self.kind) as i64)
                    .bind(key);
                Some(named)
            }
            "displayName" if self.kind == ResourceKind::User => {
                // As a subquery, because the database would rather walk all
                // users in the order of the page than sort a few.
                let named = Sql::new("r.id IN (SELECT n.id FROM users n WHERE ")
                    .text(self.while_live("n.deleted_at IS NULL AND "))
                    .text("n.tenant_id = ? AND n.display_name_key = ?)")
                    .bind(self.scope.tenant_id)
                    .bind(key);
                Some(named)
            }
            _ => None,
        }
    }

    /// A condition that the deleted do not meet, unless they are wanted.
    fn while_live(&self, condition: &'static str) -> &'static str {
        match self.reach {
            Reach::Live => condition,
            Reach::Deleted => "",
        }
    }

    fn in_index(&self, name: &str, key: &str) -> Sql {
        let (table, owner) = values_table(self.kind);
        Sql::new(format!(
            "r.id IN (SELECT v.{owner} FROM {table} v \
             WHERE v.tenant_id = ? AND v.attribute = ? AND v.value_key = ?)"
        ))
        .bind(self.scope.tenant_id)
        .bind(name)
        .bind(key)
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
            Literal::Instant(value) => ordered(place, operator, Sql::value(*value)),
            Literal::Number(number) => ordered(place, operator, dialect.number(*number)),
        }
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
        (Operator::Equal, literal) if sub.reach == Reached::Indexed => {
            Some((sub, literal.index_key()))
        }
        _ => None,
    }
}
