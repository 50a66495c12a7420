//! The policy of a connection as a file: what `--policy` takes, and of it what differs
//! from the default.

use std::io::{self, Write as _};

use anyhow::Context as _;
use muster_directory::{
    domain::{
        policy::{Guard, Policy},
        resource::ResourceKind,
    },
    service::Directory,
    storage::tenants::Connection,
};
use serde::Serialize;
use serde_json::Value;

use crate::{arguments::Json, credentials::operator, output};

/// A file with a policy. The schemas of its tenant are not in it: they are there.
#[derive(Serialize)]
struct File {
    description: String,
    flavor: &'static str,
    policy: Value,
}

/// Prints the policy of a connection.
pub(crate) async fn export(
    directory: &Directory,
    connection: &Connection,
    json: Json,
) -> anyhow::Result<()> {
    let mut policy = connection.policy.clone();
    let naming = Naming {
        directory,
        tenant_id: &connection.tenant_id,
    };
    naming.groups(&mut policy.default_groups).await?;
    naming.users(&mut policy.protected_users).await?;
    let file = File {
        description: format!("The policy of connection {}", connection.name),
        flavor: connection.flavor.name(),
        policy: differing(&policy)?,
    };
    if json.json {
        output::one(&serde_json::to_value(file)?, json)?;
    } else {
        let text = toml::to_string_pretty(&file).context("the policy cannot be written")?;
        io::stdout().write_all(text.as_bytes())?;
    }
    Ok(())
}

/// Names in the place of ids, where who or what has them is still there.
struct Naming<'a> {
    directory: &'a Directory,
    tenant_id: &'a str,
}

impl Naming<'_> {
    async fn groups(&self, ids: &mut [String]) -> anyhow::Result<()> {
        self.name(ResourceKind::Group, "displayName", ids).await
    }

    async fn users(&self, ids: &mut [String]) -> anyhow::Result<()> {
        self.name(ResourceKind::User, "userName", ids).await
    }

    async fn name(&self, kind: ResourceKind, by: &str, ids: &mut [String]) -> anyhow::Result<()> {
        let (caller, wanted) = (operator(self.tenant_id), ids.iter().cloned().collect());
        let found = self.directory.get_many(&caller, kind, wanted).await?;
        for id in ids {
            if let Some(name) = found.get(id).and_then(|found| found.text(by)) {
                name.clone_into(id);
            }
        }
        Ok(())
    }
}

fn differing(policy: &Policy) -> serde_json::Result<Value> {
    let mut shown = serde_json::to_value(policy)?;
    leave_out(&mut shown, &serde_json::to_value(Policy::default())?);
    if let Some(guard) = &policy.deprovision_guard {
        let mut usual = serde_json::to_value(Guard::within(guard.window))?;
        // It must be given, and so has no default.
        usual["window"] = Value::Null;
        leave_out(&mut shown["deprovision_guard"], &usual);
    }
    Ok(shown)
}

fn leave_out(value: &mut Value, defaults: &Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.retain(|name, value| defaults.get(name) != Some(value));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_the_default_is_left_out() -> serde_json::Result<()> {
        assert_eq!(differing(&Policy::default())?, json!({}));
        let guarded = json!({
            "on_delete": "soft",
            "emails": "primary_only",
            "deprovision_guard": {"max_users": 5, "window": "1h"},
        });
        let policy: Policy = serde_json::from_value(guarded)?;
        assert_eq!(
            differing(&policy)?,
            json!({
                "emails": "primary_only",
                "deprovision_guard": {"max_users": 5, "window": "1h"},
            })
        );
        Ok(())
    }
}
