//! Where the value of an attribute with one value is found.

use muster_proto::schema::{Attribute, ENTERPRISE_USER, Kind, Schema};

use super::{
    Compiler,
    pieces::{json_kind, keys},
};
use crate::storage::{dialect::JsonKind, relations::MANAGER, sql::Sql};

impl Compiler<'_> {
    /// The value of a single-valued attribute of the row, or NULL.
    pub(super) fn place(
        &self,
        schema: Option<&Schema>,
        attribute: &Attribute,
        sub: Option<&Attribute>,
    ) -> Sql {
        let sub_name = sub.map(|sub| sub.name);
        let special = match schema {
            None => self.core_place(attribute.name, sub_name),
            Some(schema) if schema.is(ENTERPRISE_USER) && attribute.name == "manager" => {
                self.manager_place(sub_name)
            }
            Some(_) => None,
        };
        special.unwrap_or_else(|| {
            let (keys, leaf) = (keys(schema, attribute, sub), sub.unwrap_or(attribute));
            match leaf.kind {
                // Only whether it is there can be asked.
                Kind::Complex => self.whole("r.search", &keys),
                _ => self.dialect.json_value("r.search", &keys, json_kind(leaf)),
            }
        })
    }

    fn core_place(&self, attribute: &str, sub: Option<&str>) -> Option<Sql> {
        Some(match (attribute, sub) {
            ("id", _) => Sql::new("r.id"),
            ("externalId", _) => Sql::new(
                "(SELECT e.external_id FROM external_ids e \
                 WHERE e.connection_id = ? AND e.resource_id = r.id)",
            )
            .bind(self.scope.connection_id),
            ("userName", _) => Sql::new("r.user_name_key"),
            ("displayName", _) => Sql::new("r.display_name_key"),
            ("meta", Some("created")) => Sql::new("r.created_at"),
            ("meta", Some("lastModified")) => Sql::new("r.updated_at"),
            ("meta", Some("version")) => Sql::new("('\"' || r.version || '\"')"),
            ("meta", Some("resourceType")) => self.dialect.text(self.kind.schema().name),
            ("meta", _) => Sql::new("r.id"),
            _ => return None,
        })
    }

    fn manager_place(&self, sub: Option<&str>) -> Option<Sql> {
        let id = self
            .dialect
            .json_value("r.search", &MANAGER, JsonKind::Text);
        match sub {
            Some("displayName") => Some(
                Sql::new(
                    "(SELECT b.display_name_key FROM users b \
                     WHERE b.deleted_at IS NULL AND b.tenant_id = ? AND b.id = ",
                )
                .bind(self.scope.tenant_id)
                .then(id)
                .text(")"),
            ),
            // A reference is there when what it refers to is.
            Some("$ref") => Some(id),
            _ => None,
        }
    }

    /// A value of any type, of which only the presence tells something.
    fn whole(&self, column: &str, keys: &[&str]) -> Sql {
        let present = self.dialect.json_present(column, keys);
        Sql::new("CASE WHEN ").then(present).text(" THEN 1 END")
    }
}
