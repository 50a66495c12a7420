//! Changes a server's database behind its back, as a thief, a broken disk or a
//! careless operator would.

use sea_orm::{ConnectionTrait as _, Database, Statement};

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

/// The first column of the rows that a query on the server's database finds, as
/// text.
///
/// # Panics
/// With the database's words when it fails.
#[track_caller]
pub fn texts(server: &Server, query: &str) -> Vec<String> {
    let url = server.launch().database_url();
    let found = wait(async {
        let database = Database::connect(&url).await?;
        let statement = Statement::from_string(database.get_database_backend(), query);
        let rows = database.query_all_raw(statement).await?;
        let texts: Result<Vec<String>, _> = rows.iter().map(|row| row.try_get_by(0)).collect();
        database.close().await?;
        texts
    });
    match found {
        Ok(texts) => texts,
        Err(error) => panic!("{query}: {error}"),
    }
}
