//! How far receivers of security event tokens have come.

use sea_orm::{ConnectionTrait as _, FromQueryResult};

use super::{Tx, feed::Place, sql::Sql};
use crate::{
    domain::history::Position,
    error::{Error, Result},
};

/// Whose stream, and which one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamKey {
    /// The tenant.
    pub tenant_id: String,
    /// The service client.
    pub client_id: String,
    /// What it calls the stream.
    pub stream_id: String,
}

/// Where a stream is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamState {
    /// Of the store.
    pub epoch: String,
    /// All that lies up to here was acknowledged.
    pub place: Place,
    /// Ids of what lies behind and was, too.
    pub acked: Vec<String>,
    /// Milliseconds since the Unix epoch; not exact.
    pub polled_at: i64,
}

impl StreamState {
    /// Of a stream that begins behind this position.
    pub fn beginning(at: &Position, now_ms: i64) -> Self {
        Self {
            epoch: at.epoch.clone(),
            place: Place {
                revision: at.revision,
                part: Place::END,
            },
            acked: Vec::new(),
            polled_at: now_ms,
        }
    }
}

/// Where a stream is; `None` when it has not begun.
///
/// # Errors
/// The database's.
pub async fn load(tx: &Tx, key: &StreamKey) -> Result<Option<StreamState>> {
    #[derive(FromQueryResult)]
    struct Row {
        epoch: String,
        revision: i64,
        part: i64,
        acked: String,
        polled_at: i64,
    }
    let sql = Sql::new(
        "SELECT epoch, revision, part, acked, polled_at FROM signal_streams \
         WHERE tenant_id = ? AND client_id = ? AND stream_id = ?",
    )
    .then(bound(key));
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    let row = Row::find_by_statement(statement).one(connection).await?;
    let state = |row: Row| {
        let acked = serde_json::from_str(&row.acked);
        Ok(StreamState {
            epoch: row.epoch,
            place: Place {
                revision: row.revision,
                part: row.part,
            },
            acked: acked.map_err(|e| Error::internal(format!("signal_streams.acked: {e}")))?,
            polled_at: row.polled_at,
        })
    };
    row.map(state).transpose()
}

/// Writes where a stream is.
///
/// # Errors
/// The database's.
pub async fn save(tx: &Tx, key: &StreamKey, state: &StreamState) -> Result<()> {
    let acked = serde_json::to_string(&state.acked).map_err(|e| Error::Internal(e.into()))?;
    let sql = Sql::new(
        "INSERT INTO signal_streams (tenant_id, client_id, stream_id, epoch, revision, part, \
         acked, polled_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?) \
         ON CONFLICT (tenant_id, client_id, stream_id) DO UPDATE SET epoch = excluded.epoch, \
         revision = excluded.revision, part = excluded.part, acked = excluded.acked, \
         polled_at = excluded.polled_at",
    )
    .then(bound(key))
    .bind(state.epoch.as_str())
    .bind(state.place.revision)
    .bind(state.place.part)
    .bind(acked)
    .bind(state.polled_at);
    let connection = &tx.connection();
    let statement = sql.statement(connection.get_database_backend());
    connection.execute_raw(statement).await?;
    Ok(())
}

/// How many streams of a client were polled since this time. The others stay: who
/// polls one of them is to hear that it expired.
///
/// # Errors
/// The database's.
pub async fn count(tx: &Tx, key: &StreamKey, since_ms: i64) -> Result<i64> {
    #[derive(FromQueryResult)]
    struct Row {
        found: i64,
    }
    let count = Sql::new(
        "SELECT COUNT(*) AS found FROM signal_streams \
         WHERE tenant_id = ? AND client_id = ? AND polled_at >= ?",
    )
    .bind(key.tenant_id.as_str())
    .bind(key.client_id.as_str())
    .bind(since_ms);
    let connection = &tx.connection();
    let count = count.statement(connection.get_database_backend());
    let row = Row::find_by_statement(count).one(connection).await?;
    Ok(row.map(|row| row.found).unwrap_or_default())
}

/// The values of a key, in order, without text.
fn bound(key: &StreamKey) -> Sql {
    Sql::new("")
        .bind(key.tenant_id.as_str())
        .bind(key.client_id.as_str())
        .bind(key.stream_id.as_str())
}
