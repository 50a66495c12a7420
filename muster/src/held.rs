//! Commands on deactivations that wait for an operator.

use muster_directory::{
    domain::page::PageRequest,
    service::{Directory, HELD_LIMIT},
    storage::held::Held as Waiting,
};
use serde_json::{Value, json};

use crate::{
    arguments::{Held, InTenant, Json, WhichHeld},
    credentials::operator,
    output,
};

/// Runs one command.
pub(crate) async fn run(command: Held, directory: &Directory) -> anyhow::Result<()> {
    match command {
        Held::List {
            connection,
            tenant,
            json,
        } => {
            let tenant = directory.find_tenant(&tenant.tenant).await?;
            let held = all(directory, &tenant.id, connection.as_deref()).await?;
            let held: Vec<_> = held.iter().map(shown).collect();
            output::many(&held, json)?;
        }
        Held::Release {
            which,
            tenant,
            json,
        } => resolve(directory, which, (tenant, json), true).await?,
        Held::Drop {
            which,
            tenant,
            json,
        } => resolve(directory, which, (tenant, json), false).await?,
    }
    Ok(())
}

async fn resolve(
    directory: &Directory,
    which: WhichHeld,
    (tenant, json): (InTenant, Json),
    apply: bool,
) -> anyhow::Result<()> {
    let tenant = directory.find_tenant(&tenant.tenant).await?;
    let ids = match which.all_of {
        None => which.ids,
        Some(connection) => {
            let held = all(directory, &tenant.id, Some(&connection)).await?;
            held.into_iter().map(|held| held.user_id).collect()
        }
    };
    let mut resolved = 0;
    for ids in ids.chunks(HELD_LIMIT) {
        let caller = operator(&tenant.id);
        let done = directory.resolve_held(&caller, ids.to_vec(), apply).await?;
        resolved += done.count;
    }
    output::one(&json!({"resolved": resolved, "applied": apply}), json)?;
    Ok(())
}

/// Everything that waits in a tenant, or for a connection's sake.
async fn all(
    directory: &Directory,
    tenant_id: &str,
    connection: Option<&str>,
) -> anyhow::Result<Vec<Waiting>> {
    let connection = match connection {
        Some(name) => Some(directory.find_connection(tenant_id, name).await?.id),
        None => None,
    };
    let (caller, mut held, mut after) = (operator(tenant_id), Vec::new(), None);
    loop {
        let page = PageRequest::new(0, 0, after)?;
        let page = directory.list_held(&caller, connection.as_deref(), &page);
        let page = page.await?;
        held.extend(page.items);
        after = page.next;
        if after.is_none() {
            return Ok(held);
        }
    }
}

fn shown(held: &Waiting) -> Value {
    json!({
        "user_id": held.user_id,
        "connection_id": held.connection_id,
        "operation": held.operation.name(),
        "held_at": output::instant(Some(held.held_at)),
        "due_at": output::instant(Some(held.due_at)),
    })
}
