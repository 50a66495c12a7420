//! The schema's history, for every database that muster runs on.
//!
//! One migration is one file, up and down. Statements are plain SQL that both
//! SQLite and PostgreSQL understand: the schema leans on partial unique
//! indexes, which the schema builder cannot say, and plain SQL is what an
//! operator reads in the database.
//!
//! Queries do not live here (they are in the directory's `storage`), and
//! neither do rules of the business.

use sea_orm_migration::prelude::*;

mod m20261122_000001_initial;
mod m20261122_000002_history;
mod m20261123_000003_profiles;
mod m20261123_000004_group_values;
mod m20261123_000005_groups_of_members;
mod m20261123_000006_tokens;
mod m20261123_000007_provisioning_log;
mod m20261123_000008_policies;
mod m20261123_000009_federated_identities;
mod m20261123_000010_signal_streams;
mod m20261123_000011_request_ids;
mod m20261123_000012_group_ancestors;
pub mod names;
mod statements;

/// The ordered list of migrations.
#[derive(Debug, Clone, Copy)]
pub struct Migrator;

#[async_trait::async_trait]
impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m20261122_000001_initial::Migration),
            Box::new(m20261122_000002_history::Migration),
            Box::new(m20261123_000003_profiles::Migration),
            Box::new(m20261123_000004_group_values::Migration),
            Box::new(m20261123_000005_groups_of_members::Migration),
            Box::new(m20261123_000006_tokens::Migration),
            Box::new(m20261123_000007_provisioning_log::Migration),
            Box::new(m20261123_000008_policies::Migration),
            Box::new(m20261123_000009_federated_identities::Migration),
            Box::new(m20261123_000010_signal_streams::Migration),
            Box::new(m20261123_000011_request_ids::Migration),
            Box::new(m20261123_000012_group_ancestors::Migration),
        ]
    }
}
