//! Commands on the schemas of a tenant's own.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use muster_directory::{
    service::{Directory, SchemaEditor},
    storage::schemas::TenantSchema,
};
use muster_proto::schema::{Definition, Extends};
use serde_json::{Value, json};

use crate::{
    arguments::{Extended, Schema},
    output,
};

/// Runs one command.
pub(crate) async fn run(command: Schema, directory: &Directory) -> anyhow::Result<()> {
    match command {
        Schema::Put {
            tenant,
            resource,
            file,
            json,
        } => {
            let definition = read(&file)?;
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let extends = match resource {
                Extended::User => Extends::User,
                Extended::Group => Extends::Group,
            };
            let editor = SchemaEditor::operator(&tenant.id);
            let written = directory.put_schema(editor, extends, definition).await?;
            let changed = written.position.is_some();
            if let Some(schema) = written.schema {
                let mut shown = summary(&schema);
                shown["changed"] = changed.into();
                output::one(&shown, json)?;
            }
        }
        Schema::List { tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let schemas = directory.list_schemas(&tenant.id).await?;
            let schemas: Vec<_> = schemas.iter().map(summary).collect();
            output::many(&schemas, &["name", "urn", "resource", "updated_at"], json)?;
        }
        Schema::Show { urn, tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let schema = directory.find_schema(&tenant.id, &urn).await?;
            output::one(&serde_json::to_value(&schema.definition)?, json)?;
        }
        Schema::Delete { urn, tenant, json } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let editor = SchemaEditor::operator(&tenant.id);
            directory.delete_schema(editor, &urn, false).await?;
            output::one(&json!({"urn": urn, "deleted": true}), json)?;
        }
    }
    Ok(())
}

fn read(file: &Path) -> anyhow::Result<Definition> {
    let mut text = String::new();
    let read = match file == Path::new("-") {
        true => io::stdin().read_to_string(&mut text),
        false => fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text)),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    let what = || format!("{} is no Schema resource", file.display());
    serde_json::from_str(&text).with_context(what)
}

/// A schema in a line.
fn summary(schema: &TenantSchema) -> Value {
    let names = schema.definition.attributes.iter();
    json!({
        "urn": schema.definition.id,
        "resource": match schema.extends {
            Extends::User => "User",
            Extends::Group => "Group",
        },
        "name": schema.definition.name,
        "attributes": names.map(|a| a.name.as_str()).collect::<Vec<_>>(),
        "updated_at": output::instant(Some(schema.updated_at)),
    })
}
