//! Extension schemas of a tenant: list, get, put, delete.

use std::sync::Arc;

use muster_proto::schema::{
    AttributeDefinition, Definition, Extends, Mutability, Registry, Returned,
};

use super::replays::Write;
use super::{Directory, policies, registries::Registries};
use crate::{
    auth::{Caller, Principal},
    domain::{
        Kind,
        history::{Actor, AuditEntry, Change, ChangeKind, Position, ResourceType},
        resource::ResourceKind,
    },
    error::{Error, Result, Violation},
    storage::{
        Scope, Tx, history,
        resources::{Hidden, Reindexing, reindex},
        schemas::{self, TenantSchema},
    },
};

/// Most schemas of a tenant.
const SCHEMA_LIMIT: usize = 50;

/// Who changes a schema, and where.
#[derive(Debug, Clone)]
pub struct SchemaEditor {
    tenant_id: String,
    actor: Actor,
    request_id: String,
    caller: Caller,
}

/// What a change of a schema ended with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SchemaWritten {
    /// The schema afterwards; `None` when it is gone.
    pub schema: Option<TenantSchema>,
    /// The tenant's position; `None` when nothing differed.
    pub position: Option<Position>,
}

impl SchemaEditor {
    /// A caller, in his tenant.
    pub fn caller(caller: &Caller) -> Self {
        Self {
            tenant_id: caller.tenant_id.clone(),
            actor: caller.actor(),
            request_id: caller.request_id.clone(),
            caller: caller.clone(),
        }
    }

    /// Whoever may run commands on the database, in this tenant.
    pub fn operator(tenant_id: &str) -> Self {
        Self {
            tenant_id: tenant_id.to_owned(),
            actor: Actor::Operator,
            request_id: String::new(),
            caller: Caller::inside(tenant_id, Principal::Operator),
        }
    }
}

impl Directory {
    /// The tenant's schemas, in the order of their URNs.
    ///
    /// # Errors
    /// The database's.
    pub async fn list_schemas(&self, tenant_id: &str) -> Result<Vec<TenantSchema>> {
        schemas::list(&self.store.single(), tenant_id).await
    }

    /// The tenant's schema with this URN.
    ///
    /// # Errors
    /// [`Error::NotFound`].
    pub async fn find_schema(&self, tenant_id: &str, urn: &str) -> Result<TenantSchema> {
        let all = self.list_schemas(tenant_id).await?;
        let found = all.into_iter().find(|schema| is(schema, urn));
        found.ok_or_else(|| not_found(urn))
    }

    /// Registers a schema, or replaces the one with its URN.
    ///
    /// # Errors
    /// [`Error::SchemaInvalid`], [`Error::SchemaInUse`].
    pub async fn put_schema(
        &self,
        editor: SchemaEditor,
        extends: Extends,
        definition: Definition,
    ) -> Result<SchemaWritten> {
        let caller = editor.caller.clone();
        let work = Arc::new((
            self.schema_edit(&editor.tenant_id, extends, definition)?,
            editor,
        ));
        self.once(&caller, Write::at_length("PutSchema"), move |tx| {
            let work = Arc::clone(&work);
            async move { work.0.put(&tx, &work.1).await }
        })
        .await
    }

    /// A schema that may be registered in this tenant, as far as it says itself.
    pub(super) fn schema_edit(
        &self,
        tenant_id: &str,
        extends: Extends,
        definition: Definition,
    ) -> Result<SchemaEdit> {
        let broken = definition.broken_rules().into_iter();
        let broken: Vec<_> = broken
            .map(|(path, rule)| Violation::new(path, rule))
            .collect();
        if !broken.is_empty() {
            return Err(Error::SchemaInvalid(broken));
        }
        let registries = Arc::clone(&self.registries);
        registries.check_room(tenant_id, extends, &definition)?;
        let new = TenantSchema {
            extends,
            definition,
            updated_at: self.source.now_ms(),
        };
        Ok(SchemaEdit { new, registries })
    }

    /// Forgets a schema; what resources have under its URN stays.
    ///
    /// # Errors
    /// [`Error::NotFound`], unless a missing one is success.
    pub async fn delete_schema(
        &self,
        editor: SchemaEditor,
        urn: &str,
        allow_missing: bool,
    ) -> Result<SchemaWritten> {
        let now = self.source.now_ms();
        let caller = editor.caller.clone();
        let work = Arc::new((editor, urn.to_owned()));
        self.once(&caller, Write::at_length("DeleteSchema"), move |tx| {
            let work = Arc::clone(&work);
            async move { delete(&tx, &work.0, &work.1, allow_missing, now).await }
        })
        .await
    }
}

/// A schema that is to be registered.
#[derive(Debug)]
pub(super) struct SchemaEdit {
    new: TenantSchema,
    registries: Arc<Registries>,
}

impl SchemaEdit {
    async fn put(&self, tx: &Tx, editor: &SchemaEditor) -> Result<SchemaWritten> {
        let new = &self.new;
        let is_made = || Registry::is_made(new.extends, &new.definition);
        let was_made = is_made();
        let written = put(tx, editor, new).await;
        if !was_made && is_made() {
            self.registries.count_made(&editor.tenant_id);
        }
        written
    }

    /// Registers it, unless the tenant has one of its URN.
    pub(super) async fn put_if_missing(&self, tx: &Tx, caller: &Caller) -> Result<()> {
        let known = schemas::list(tx, &caller.tenant_id).await?;
        if known
            .iter()
            .any(|schema| is(schema, &self.new.definition.id))
        {
            return Ok(());
        }
        self.put(tx, &SchemaEditor::caller(caller))
            .await
            .map(|_| ())
    }
}

fn is(schema: &TenantSchema, urn: &str) -> bool {
    schema.definition.id.eq_ignore_ascii_case(urn)
}

fn not_found(urn: &str) -> Error {
    Error::NotFound {
        kind: Kind::Schema,
        id: urn.to_owned(),
    }
}

async fn put(tx: &Tx, editor: &SchemaEditor, new: &TenantSchema) -> Result<SchemaWritten> {
    let urn = &new.definition.id;
    let all = schemas::list(tx, &editor.tenant_id).await?;
    let standard = Registry::builtin().schemas().map(|schema| schema.urn);
    let own = all.iter().map(|schema| schema.definition.id.as_str());
    if let Some(other) = standard
        .chain(own)
        .find(|other| new.definition.shadows(other))
    {
        let rule = format!("could be an attribute of {other}, or the other way round");
        return Err(Error::SchemaInvalid(vec![Violation::new("id", rule)]));
    }
    let old = all.iter().find(|schema| is(schema, urn));
    if let Some(old) = old {
        if old.extends != new.extends {
            let rule = "is the URN of a schema of another resource type";
            return Err(Error::SchemaInvalid(vec![Violation::new("id", rule)]));
        }
        if old.definition == new.definition {
            return Ok(SchemaWritten {
                schema: Some(old.clone()),
                position: None,
            });
        }
    } else if all.len() >= SCHEMA_LIMIT {
        return Err(Error::TooMany {
            what: "schemas of a tenant",
            limit: SCHEMA_LIMIT,
        });
    }
    schemas::put(tx, &editor.tenant_id, new).await?;
    policies::recheck(tx, &editor.tenant_id).await?;
    let kind = match old {
        Some(_) => ChangeKind::Updated,
        None => ChangeKind::Created,
    };
    let former = old.map(|old| old.definition.id.clone());
    let written = Edit {
        editor,
        method: "PutSchema",
        kind,
        urns: former.into_iter().chain([urn.clone()]).collect(),
        hidden: Vec::new(),
        extends: new.extends,
        now_ms: new.updated_at,
    };
    Ok(SchemaWritten {
        schema: Some(new.clone()),
        position: Some(written.finish(tx).await?),
    })
}

async fn delete(
    tx: &Tx,
    editor: &SchemaEditor,
    urn: &str,
    allow_missing: bool,
    now_ms: i64,
) -> Result<SchemaWritten> {
    let all = schemas::list(tx, &editor.tenant_id).await?;
    let Some(old) = all.into_iter().find(|schema| is(schema, urn)) else {
        return match allow_missing {
            true => Ok(SchemaWritten {
                schema: None,
                position: None,
            }),
            false => Err(not_found(urn)),
        };
    };
    schemas::delete(tx, &editor.tenant_id, urn).await?;
    policies::recheck(tx, &editor.tenant_id).await?;
    let written = Edit {
        editor,
        method: "DeleteSchema",
        kind: ChangeKind::Deleted,
        hidden: hidden(&old.definition),
        urns: vec![old.definition.id],
        extends: old.extends,
        now_ms,
    };
    Ok(SchemaWritten {
        schema: None,
        position: Some(written.finish(tx).await?),
    })
}

/// What nobody was shown: it must not be found under an extension that no schema
/// describes any more.
fn hidden(definition: &Definition) -> Vec<Hidden> {
    let is_hidden = |attribute: &AttributeDefinition| {
        attribute.returned == Returned::Never || attribute.mutability == Mutability::WriteOnly
    };
    let mut hidden = Vec::new();
    for attribute in &definition.attributes {
        if is_hidden(attribute) {
            hidden.push((attribute.name.clone(), None));
        }
        let subs = attribute.sub_attributes.iter().filter(|sub| is_hidden(sub));
        hidden.extend(subs.map(|sub| (attribute.name.clone(), Some(sub.name.clone()))));
    }
    hidden
}

/// A change of a tenant's schemas, once their rows are written.
struct Edit<'a> {
    editor: &'a SchemaEditor,
    method: &'static str,
    kind: ChangeKind,
    /// Spellings of the URN, the newest last.
    urns: Vec<String>,
    /// Attributes whose values go with their schema.
    hidden: Vec<Hidden>,
    extends: Extends,
    now_ms: i64,
}

impl Edit<'_> {
    /// Brings the resources into line and records what was done.
    async fn finish(self, tx: &Tx) -> Result<Position> {
        let tenant_id = &self.editor.tenant_id;
        let version = history::advance_schemas(tx, tenant_id, self.now_ms)?;
        let scope = Scope {
            tenant_id,
            connection_id: "",
            registry: schemas::registry(tx, tenant_id).await?,
        };
        let kind = match self.extends {
            Extends::User => ResourceKind::User,
            Extends::Group => ResourceKind::Group,
        };
        let reindexing = Reindexing {
            urns: &self.urns,
            hidden: &self.hidden,
            now_ms: self.now_ms,
        };
        reindex(tx, scope, kind, reindexing).await?;
        let urn = self.urns.last().cloned().unwrap_or_default();
        let change = Change::new(self.kind, ResourceType::Schema, &urn, version);
        let entry = AuditEntry {
            actor: self.editor.actor.clone(),
            method: self.method.into(),
            resource_type: ResourceType::Schema,
            resource_id: urn,
            changed_attributes: Vec::new(),
            request_id: self.editor.request_id.clone(),
            refusal: None,
        };
        history::record(tx, tenant_id, &entry, &[change], self.now_ms).await
    }
}
