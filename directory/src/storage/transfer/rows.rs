//! Rows read in an order in which they can be written again.

use sea_orm::{
    ColumnTrait as _, EntityTrait as _, QueryFilter as _, QueryOrder as _, QuerySelect as _,
};

use super::{
    AuditRow, ClientRow, ConnectionRow, CredentialRow, ExternalIdRow, FederatedIdentityRow,
    HeadRow, HeldRow, MembershipRow, Record, SchemaRow, SecretRow, SettingRow, TenantRow,
};
use crate::{
    error::{Error, Result},
    storage::{
        Tx,
        entity::{
            audit_entries, connections, credential_secrets, credentials, directory_heads,
            extension_schemas, external_ids, federated_identities, groups, held_operations,
            memberships, service_clients, settings, tenants, users,
        },
        keyset::behind,
    },
};

/// Rows read by one statement.
const PAGE: u64 = 1_000;

/// Reads all rows, kind by kind, each kind in the order of its keys, so that
/// rows come behind those they speak of.
#[derive(Debug)]
pub struct Rows {
    stage: usize,
    /// The last row's key.
    after: Vec<String>,
}

impl Default for Rows {
    fn default() -> Self {
        Self::new()
    }
}

/// The next rows of an entity whose key has these columns, and the last key.
macro_rules! page {
    ($rows:expr, $connection:expr, $entity:ident, $first:ident) => {{
        let mut query = $entity::Entity::find();
        if let [after] = $rows.after.as_slice() {
            query = query.filter($entity::Column::$first.gt(after.as_str()));
        }
        query
            .order_by_asc($entity::Column::$first)
            .limit(PAGE)
            .all($connection)
            .await?
    }};
    ($rows:expr, $connection:expr, $entity:ident, $first:ident, $second:ident) => {{
        let mut query = $entity::Entity::find();
        if let [first, second] = $rows.after.as_slice() {
            query = query.filter(behind(
                [$entity::Column::$first, $entity::Column::$second],
                [first.into(), second.into()],
            ));
        }
        query
            .order_by_asc($entity::Column::$first)
            .order_by_asc($entity::Column::$second)
            .limit(PAGE)
            .all($connection)
            .await?
    }};
}

impl Rows {
    /// From the beginning.
    pub fn new() -> Self {
        Self {
            stage: 0,
            after: Vec::new(),
        }
    }

    /// Whether the last row was read.
    pub fn is_done(&self) -> bool {
        self.stage == STAGES
    }

    /// The next rows; none behind the last, and perhaps before.
    ///
    /// # Errors
    /// The database's.
    pub async fn next(&mut self, tx: &Tx) -> Result<Vec<Record>> {
        while self.stage < STAGES {
            let (records, last) = self.page(tx).await?;
            match last {
                Some(last) => {
                    self.after = last;
                    return Ok(records);
                }
                None => {
                    self.stage += 1;
                    self.after.clear();
                }
            }
        }
        Ok(Vec::new())
    }

    async fn page(&self, tx: &Tx) -> Result<(Vec<Record>, Option<Vec<String>>)> {
        let connection = &tx.connection();
        Ok(match self.stage {
            0 => {
                // The rest is the store's own: its epoch, its URLs.
                let rows = page!(self, connection, settings, Name);
                let last = rows.last().map(|row| vec![row.name.clone()]);
                let is_carried =
                    |row: &settings::Model| row.name == crate::storage::settings::CURSOR_KEY;
                let rows = rows.into_iter().filter(is_carried);
                (
                    rows.map(|row| Record::Setting(SettingRow(row))).collect(),
                    last,
                )
            }
            1 => {
                let rows = page!(self, connection, tenants, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                (records(rows, |row| Record::Tenant(TenantRow(row))), last)
            }
            2 => {
                let rows = page!(self, connection, directory_heads, TenantId);
                let last = rows.last().map(|row| vec![row.tenant_id.clone()]);
                (records(rows, head), last)
            }
            3 => {
                let rows = page!(self, connection, extension_schemas, TenantId, UrnKey);
                let key = |row: &extension_schemas::Model| {
                    vec![row.tenant_id.clone(), row.urn_key.clone()]
                };
                let last = rows.last().map(key);
                (records(rows, |row| Record::Schema(SchemaRow(row))), last)
            }
            4 => {
                let rows = page!(self, connection, connections, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                (
                    records(rows, |row| Record::Connection(ConnectionRow(row))),
                    last,
                )
            }
            5 => {
                let rows = page!(self, connection, credentials, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                let record = |kept| {
                    Record::Credential(CredentialRow {
                        kept,
                        key_id: None,
                        secret_hash: None,
                    })
                };
                (records(rows, record), last)
            }
            6 => {
                let rows = page!(self, connection, credential_secrets, KeyId);
                let last = rows.last().map(|row| vec![row.key_id.clone()]);
                (records(rows, |row| Record::Secret(SecretRow(row))), last)
            }
            7 => {
                let rows = page!(self, connection, service_clients, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                (records(rows, |row| Record::Client(ClientRow(row))), last)
            }
            8 => {
                let rows = page!(self, connection, users, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                let rows = rows
                    .into_iter()
                    .map(|row| Ok(Record::User(row.try_into()?)));
                (rows.collect::<Result<_>>()?, last)
            }
            9 => {
                let rows = page!(self, connection, groups, Id);
                let last = rows.last().map(|row| vec![row.id.clone()]);
                let rows = rows
                    .into_iter()
                    .map(|row| Ok(Record::Group(row.try_into()?)));
                (rows.collect::<Result<_>>()?, last)
            }
            10 => {
                let rows = page!(self, connection, external_ids, ConnectionId, ResourceId);
                let key = |row: &external_ids::Model| {
                    vec![row.connection_id.clone(), row.resource_id.clone()]
                };
                let last = rows.last().map(key);
                (
                    records(rows, |row| Record::ExternalId(ExternalIdRow(row))),
                    last,
                )
            }
            11 => {
                let rows = page!(self, connection, memberships, GroupId, MemberId);
                let key =
                    |row: &memberships::Model| vec![row.group_id.clone(), row.member_id.clone()];
                let last = rows.last().map(key);
                (
                    records(rows, |row| Record::Membership(MembershipRow(row))),
                    last,
                )
            }
            12 => {
                let rows = page!(self, connection, held_operations, UserId);
                let last = rows.last().map(|row| vec![row.user_id.clone()]);
                (records(rows, |row| Record::Held(HeldRow(row))), last)
            }
            13 => self.identities(tx).await?,
            _ => self.audit(tx).await?,
        })
    }

    async fn identities(&self, tx: &Tx) -> Result<(Vec<Record>, Option<Vec<String>>)> {
        use federated_identities::Column;
        let mut query = federated_identities::Entity::find();
        if let [user, issuer, subject] = self.after.as_slice() {
            query = query.filter(behind(
                [Column::UserId, Column::Issuer, Column::Subject],
                [user.into(), issuer.into(), subject.into()],
            ));
        }
        let rows = query
            .order_by_asc(Column::UserId)
            .order_by_asc(Column::Issuer)
            .order_by_asc(Column::Subject)
            .limit(PAGE)
            .all(&tx.connection())
            .await?;
        let key = |row: &federated_identities::Model| {
            vec![row.user_id.clone(), row.issuer.clone(), row.subject.clone()]
        };
        let last = rows.last().map(key);
        let record = |row| Record::FederatedIdentity(FederatedIdentityRow(row));
        Ok((records(rows, record), last))
    }

    async fn audit(&self, tx: &Tx) -> Result<(Vec<Record>, Option<Vec<String>>)> {
        use audit_entries::Column;
        let mut query = audit_entries::Entity::find();
        if let [tenant, sequence] = self.after.as_slice() {
            let sequence: i64 = sequence
                .parse()
                .map_err(|_| Error::internal("a sequence"))?;
            query = query.filter(behind(
                [Column::TenantId, Column::Sequence],
                [tenant.into(), sequence.into()],
            ));
        }
        let rows = query
            .order_by_asc(Column::TenantId)
            .order_by_asc(Column::Sequence)
            .limit(PAGE)
            .all(&tx.connection())
            .await?;
        let key =
            |row: &audit_entries::Model| vec![row.tenant_id.clone(), row.sequence.to_string()];
        let last = rows.last().map(key);
        Ok((records(rows, |row| Record::Audit(AuditRow(row))), last))
    }
}

/// Kinds of rows.
const STAGES: usize = 15;

fn records<M>(rows: Vec<M>, record: impl Fn(M) -> Record) -> Vec<Record> {
    rows.into_iter().map(record).collect()
}

fn head(row: directory_heads::Model) -> Record {
    Record::Head(HeadRow {
        tenant_id: row.tenant_id,
        revision: row.revision,
        audit_sequence: row.audit_sequence,
        audit_hash: row.audit_hash,
    })
}
