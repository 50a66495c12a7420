//! Changes a server's database behind its back, as a thief, a broken disk or a
//! careless operator would.

use sea_orm::{ConnectionTrait as _, Database};

use crate::{runtime::wait, server::Server};

/// Runs a statement on the server's database; how many rows it changed.
///
/// # Panics
/// With the database's words when it fails.
#[track_caller]
pub fn edit(server: &Server, statement: &str) -> u64 {
    let url = server.launch().database_url();
    let edited = wait(async {
        let database = Database::connect(&url).await?;
        let result = database.execute_unprepared(statement).await;
        database.close().await?;
        result
    });
    match edited {
        Ok(result) => result.rows_affected(),
        Err(error) => panic!("{statement}: {error}"),
    }
}
