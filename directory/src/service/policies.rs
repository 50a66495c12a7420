//! Setting a connection's policy: what it names must be there.

use muster_proto::{schema::Registry, value::Object};

use super::target::record;
use crate::{
    auth::Caller,
    clock::Source,
    domain::{
        Resource,
        filter::{Field, Filter, Operator},
        history::{Change, ChangeKind},
        page::PageRequest,
        policy::Policy,
        resource::ResourceKind,
    },
    error::{Error, Result, Violation},
    storage::{
        Scope, Tx,
        relations::Wants,
        resources::{self, Reach, Selection},
        schemas, tenants,
    },
};

const GROUPS: &str = "default_groups";
const PROTECTED: &str = "protected_users";

/// The policy as it is kept: paths as the registry spells them, groups and users by
/// their ids.
///
/// # Errors
/// [`Error::Invalid`] with what is wrong.
pub(super) async fn settled(
    tx: &Tx,
    caller: &Caller,
    source: &dyn Source,
    policy: Policy,
) -> Result<Policy> {
    let registry = schemas::registry(tx, &caller.tenant_id).await?;
    let mut policy = policy.checked(registry.user)?;
    let settling = Settling {
        tx,
        caller,
        registry,
    };
    for group in &mut policy.default_groups {
        let id = settling
            .find(ResourceKind::Group, "displayName", group)
            .await?;
        *group = match id {
            Some(id) => id,
            None if policy.create_default_groups => settling.create(source, group).await?,
            None => return Err(unknown(GROUPS, "group", group)),
        };
    }
    for user in &mut policy.protected_users {
        let id = settling.find(ResourceKind::User, "userName", user).await?;
        *user = id.ok_or_else(|| unknown(PROTECTED, "user", user))?;
    }
    Ok(policy)
}

/// Checks that the policies of a tenant's connections can still be meant, with the
/// schemas that it has now.
///
/// # Errors
/// [`Error::SchemaInvalid`] with the connection.
pub(super) async fn recheck(tx: &Tx, tenant_id: &str) -> Result<()> {
    let registry = schemas::registry(tx, tenant_id).await?;
    for connection in tenants::list_connections(tx, tenant_id).await? {
        if let Err(Error::Invalid(faults)) = connection.policy.checked(registry.user) {
            let of = |fault: Violation| {
                let field = format!(
                    "policy of connection {:?}: {}",
                    connection.name, fault.field
                );
                Violation::new(field, fault.rule)
            };
            return Err(Error::SchemaInvalid(faults.into_iter().map(of).collect()));
        }
    }
    Ok(())
}

fn unknown(field: &str, what: &str, name: &str) -> Error {
    Error::invalid(
        field,
        format!("names the {what} {name:?}, which is not there"),
    )
}

struct Settling<'a> {
    tx: &'a Tx,
    caller: &'a Caller,
    registry: &'static Registry,
}

impl Settling<'_> {
    fn scope(&self) -> Scope<'_> {
        Scope {
            registry: self.registry,
            ..self.caller.scope()
        }
    }

    /// The id of what has this id or name.
    async fn find(&self, kind: ResourceKind, by: &str, wanted: &str) -> Result<Option<String>> {
        let (reach, wants) = (Reach::Live, Wants::NONE);
        let found = resources::load(self.tx, self.scope(), kind, wanted, reach, wants).await?;
        if let Some(((found, _), _)) = found {
            return Ok(Some(found.id));
        }
        let field = Field::find(kind.within(self.registry), "", by, "")?;
        let filter = Filter::compare(field, Operator::Equal, wanted.to_owned().into())?;
        let selection = Selection {
            filter: Some(&filter),
            sort: None,
            reach,
            wants,
        };
        let page = PageRequest::new(1, 0, None)?;
        let found = resources::list(self.tx, self.scope(), kind, &selection, &page).await?;
        Ok(found.0.items.into_iter().next().map(|(found, _)| found.id))
    }

    async fn create(&self, source: &dyn Source, name: &str) -> Result<String> {
        let attributes = Object::from([("displayName".to_owned(), name.to_owned().into())]);
        let (kind, schema) = (ResourceKind::Group, self.registry.group);
        let group = Resource::new(kind, schema, source.new_id(), attributes, source.now_ms())?;
        resources::insert(self.tx, self.scope(), &group).await?;
        let changes = [Change::of(ChangeKind::Created, &group)];
        record(self.tx, self.caller, "CreateGroup", &group, &changes).await?;
        Ok(group.id)
    }
}
