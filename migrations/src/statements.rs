//! Running statements that are spelled for SQLite on either database.

use sea_orm_migration::{prelude::*, sea_orm::DbBackend};

/// Runs these, one after the other. Text compares by its bytes, as in SQLite,
/// whatever the database's locale.
pub(crate) async fn run(manager: &SchemaManager<'_>, statements: &[&str]) -> Result<(), DbErr> {
    let text = match manager.get_database_backend() {
        DbBackend::Sqlite => " TEXT",
        _ => " TEXT COLLATE \"C\"",
    };
    for statement in statements {
        let statement = statement.replace(" TEXT", text);
        manager
            .get_connection()
            .execute_unprepared(&statement)
            .await?;
    }
    Ok(())
}
