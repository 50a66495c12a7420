//! Commands on deactivations that wait for an operator.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use anyhow::anyhow;
use muster_directory::{
    auth::{Caller, Principal},
    domain::{Kind, Resource, page::PageRequest, resource::ResourceKind},
    error::Error,
    service::{Directory, HELD_LIMIT},
    storage::held::Held as Waiting,
};
use serde_json::{Value, json};

use crate::{
    arguments::{Held, InTenant, Json, WhichHeld},
    credentials::operator,
    output,
};

/// What is shown of each in a line.
const COLUMNS: [&str; 7] = [
    "user_name",
    "user_id",
    "operation",
    "connection",
    "external_id",
    "display_name",
    "due_at",
];

/// Users who are read at once.
const AT_ONCE: usize = 500;

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
            let people = People::find(directory, &tenant.id, &held).await?;
            let held: Vec<_> = held.iter().map(|held| people.shown(held)).collect();
            output::many(&held, &COLUMNS, json)?;
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
    let resolved = match which.all_of {
        Some(connection) => resolve_all(directory, &tenant.id, &connection, apply).await?,
        None => {
            let resolved = resolve_these(directory, &tenant.id, &which.ids, apply).await;
            resolved.map_err(|error| match error {
                Error::NotFound {
                    kind: Kind::User,
                    id,
                } => anyhow!("nothing waits for user {id:?} in tenant {:?}", tenant.name),
                other => other.into(),
            })?
        }
    };
    let done = if apply { "released" } else { "dropped" };
    output::one(&json!({done: resolved}), json)?;
    Ok(())
}

async fn resolve_these(
    directory: &Directory,
    tenant_id: &str,
    ids: &[String],
    apply: bool,
) -> Result<usize, Error> {
    let (caller, mut resolved) = (operator(tenant_id), 0);
    for ids in ids.chunks(HELD_LIMIT) {
        let done = directory.resolve_held(&caller, ids.to_vec(), apply).await?;
        // What the log is to have of it: few events wait in memory.
        directory.write_events().await;
        resolved += done.count;
    }
    Ok(resolved)
}

async fn resolve_all(
    directory: &Directory,
    tenant_id: &str,
    connection: &str,
    apply: bool,
) -> anyhow::Result<usize> {
    let connection = directory.find_connection(tenant_id, connection).await?;
    let (caller, mut resolved) = (operator(tenant_id), 0);
    loop {
        let done = directory.resolve_held_of(&caller, &connection.id, apply);
        let done = done.await?;
        directory.write_events().await;
        resolved += done;
        if done < HELD_LIMIT {
            return Ok(resolved);
        }
    }
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

/// Who they are for whom something waits, and the names of connections.
struct People {
    users: HashMap<String, Resource>,
    connections: HashMap<String, String>,
}

impl People {
    async fn find(
        directory: &Directory,
        tenant_id: &str,
        held: &[Waiting],
    ) -> anyhow::Result<Self> {
        let connections = directory.list_connections(tenant_id).await?;
        let mut people = Self {
            users: HashMap::new(),
            connections: connections.into_iter().map(|c| (c.id, c.name)).collect(),
        };
        for held in held.chunks(AT_ONCE) {
            let mut by_connection = BTreeMap::<_, BTreeSet<_>>::new();
            for one in held {
                let ids = by_connection.entry(&one.connection_id).or_default();
                ids.insert(one.user_id.clone());
            }
            for (connection_id, ids) in by_connection {
                let caller = eyes_of(tenant_id, connection_id);
                let found = directory.get_many(&caller, ResourceKind::User, ids);
                people.users.extend(found.await?);
            }
        }
        Ok(people)
    }

    fn shown(&self, held: &Waiting) -> Value {
        let user = self.users.get(&held.user_id);
        let told = |name| user.and_then(|user| user.text(name));
        json!({
            "user_id": held.user_id,
            "user_name": told("userName"),
            "display_name": told("displayName"),
            "external_id": told("externalId"),
            "connection_id": held.connection_id,
            "connection": self.connections.get(&held.connection_id),
            "operation": held.operation.name(),
            "held_at": output::instant(Some(held.held_at)),
            "due_at": output::instant(Some(held.due_at)),
        })
    }
}

/// Whoever sees users as this connection does: each has an `externalId` of his own.
fn eyes_of(tenant_id: &str, connection_id: &str) -> Caller {
    let principal = Principal::Connection {
        connection_id: connection_id.to_owned(),
        credential_id: String::new(),
    };
    Caller::inside(tenant_id, principal)
}
