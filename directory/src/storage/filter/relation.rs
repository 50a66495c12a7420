//! Conditions on relations: groups of a user, members of a group.
//!
//! A user is in a group directly, or through groups that are members of it, all
//! of them live. Whoever asks for the users of some groups starts from those
//! and goes down; who asks how a user is in a group goes up from the user.

use muster_proto::schema::Attribute;

use super::{
    Compiler, Part,
    pieces::{all, always, exists},
};
use crate::{
    domain::{
        filter::{Field, Filter, Literal, Operator},
        resource::ResourceKind,
    },
    storage::{relations::GROUPS_OF_USER, sql::Sql},
};

/// Joins that a condition on a member `m` may need.
pub(in crate::storage) const MEMBER_JOINS: &str =
    " LEFT JOIN users mu ON mu.id = m.member_id LEFT JOIN groups mg ON mg.id = m.member_id";

/// Deleted members keep their membership for the day they come back.
pub(in crate::storage) const MEMBER_IS_LIVE: &str = "(mu.id IS NOT NULL \
     AND mu.deleted_at IS NULL OR mg.id IS NOT NULL AND mg.deleted_at IS NULL)";

/// What a condition on elements of a relation says of them.
#[derive(Debug, Default, Clone)]
pub(super) struct Facts {
    /// The id that the element must have.
    pub(super) id: Option<String>,
    /// Whether it matters in which way somebody is related.
    pub(super) asks_for_type: bool,
}

impl Facts {
    /// Of a comparison with a sub-attribute.
    pub(super) fn of_part(sub: &Attribute, operator: Operator, literal: &Literal) -> Self {
        let id = match (sub.name, operator, literal) {
            ("value", Operator::Equal, Literal::Text { key, .. }) => Some(key.clone()),
            _ => None,
        };
        Self {
            id,
            ..Self::of_presence(sub)
        }
    }

    /// Of the presence of a sub-attribute.
    pub(super) fn of_presence(sub: &Attribute) -> Self {
        Self {
            id: None,
            asks_for_type: sub.name == "type",
        }
    }

    /// Of a filter on elements.
    pub(super) fn of_filter(filter: &Filter) -> Self {
        match filter {
            Filter::And(filters) => {
                let parts = filters.iter().map(Self::of_filter);
                parts.fold(Self::default(), |all, part| Self {
                    id: all.id.or(part.id),
                    asks_for_type: all.asks_for_type || part.asks_for_type,
                })
            }
            Filter::Or(filters) => Self {
                id: None,
                asks_for_type: filters.iter().any(|f| Self::of_filter(f).asks_for_type),
            },
            Filter::Not(filter) => Self {
                id: None,
                ..Self::of_filter(filter)
            },
            Filter::Compare(Field::Element(sub), operator, literal) => {
                Self::of_part(sub, *operator, literal)
            }
            Filter::Present(Field::Element(sub)) => Self::of_presence(sub),
            Filter::Present(_) | Filter::Compare(..) | Filter::Element(..) => Self::default(),
        }
    }
}

impl Compiler<'_> {
    /// Whether somebody to whom the row is related satisfies a condition.
    pub(super) fn related(&self, facts: &Facts, condition: &dyn Fn(&Part<'_>) -> Sql) -> Sql {
        match self.kind {
            ResourceKind::Group => self.has_member(facts, condition),
            ResourceKind::User if facts.asks_for_type => all([
                match &facts.id {
                    Some(id) => self.is_below(Sql::new("g.id = ?").bind(id.as_str())),
                    None => always(),
                },
                exists(
                    Sql::new(format!("{GROUPS_OF_USER} AS g")),
                    condition(&group_part),
                ),
            ]),
            ResourceKind::User => self.is_below(condition(&group_part)),
        }
    }

    /// Whether the row has any relation of its kind.
    pub(super) fn is_related(&self) -> Sql {
        match self.kind {
            ResourceKind::Group => self.has_member(&Facts::default(), &|_| always()),
            // Whoever is in a group is in one directly.
            ResourceKind::User => exists(
                Sql::new("memberships m JOIN groups g ON g.id = m.group_id"),
                Sql::new("m.member_id = r.id AND g.deleted_at IS NULL"),
            ),
        }
    }

    fn has_member(&self, facts: &Facts, condition: &dyn Fn(&Part<'_>) -> Sql) -> Sql {
        let found = exists(
            Sql::new("memberships m").text(MEMBER_JOINS),
            all([
                Sql::new("m.group_id = r.id"),
                Sql::new(MEMBER_IS_LIVE),
                condition(&member_part),
            ]),
        );
        match &facts.id {
            Some(id) => all([
                Sql::new("r.id IN (SELECT n.group_id FROM memberships n WHERE n.member_id = ?)")
                    .bind(id.as_str()),
                found,
            ]),
            None => found,
        }
    }

    /// Whether the user is in a group that satisfies a condition, or below it.
    fn is_below(&self, condition: Sql) -> Sql {
        // CROSS JOIN fixes the order: left to itself, SQLite may begin with all
        // memberships of all tenants.
        Sql::new(
            "r.id IN (WITH named (id) AS (SELECT g.id FROM groups g \
             WHERE g.tenant_id = ? AND g.deleted_at IS NULL AND ",
        )
        .bind(self.scope.tenant_id)
        .then(condition)
        .text(
            "), below (id) AS (SELECT id FROM named UNION SELECT a.group_id FROM named n \
             CROSS JOIN group_ancestors a WHERE a.ancestor_id = n.id) \
             SELECT m.member_id FROM below b CROSS JOIN memberships m \
             WHERE m.group_id = b.id AND m.member_type = 1)",
        )
    }
}

pub(super) fn member_part(sub: &'static Attribute) -> Sql {
    match sub.name {
        "type" => Sql::new("CASE m.member_type WHEN 1 THEN 'user' ELSE 'group' END"),
        "display" => Sql::new("COALESCE(mu.display_name_key, mg.display_name_key)"),
        _ => Sql::new("m.member_id"),
    }
}

pub(super) fn group_part(sub: &'static Attribute) -> Sql {
    match sub.name {
        "type" => Sql::new("CASE g.indirect WHEN 0 THEN 'direct' ELSE 'indirect' END"),
        "display" => Sql::new("g.display_name_key"),
        _ => Sql::new("g.id"),
    }
}
