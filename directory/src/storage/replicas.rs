//! Replicas of a PostgreSQL database, and how far behind they are.
//!
//! A replica's lag is told by what it has replayed: everything that the primary
//! had written at a moment we looked. Clocks of other machines take no part.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use sea_orm::{DatabaseConnection, FromQueryResult, Statement};
use tokio::time::{Instant, timeout};

use super::{
    Store, Tx, connect,
    dialect::{Dialect, Purpose, postgres},
    view,
};
use crate::error::{Error, Result};

/// How old an answer may be that a caller takes for speed.
const STALENESS: Duration = Duration::from_secs(2);

/// How often the lag is looked at.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long a replica may take to answer before others are asked.
const PATIENCE: Duration = Duration::from_millis(500);

/// A replica.
#[derive(Debug, Clone)]
pub struct Replica {
    pool: DatabaseConnection,
    state: Arc<State>,
}

#[derive(Debug, Default)]
struct State {
    answers: AtomicBool,
    /// Until when what it says is recent enough.
    fresh_until: Mutex<Option<Instant>>,
}

impl Replica {
    /// Opens a replica; one that does not answer yet is no error.
    pub(super) async fn open(url: &str) -> Result<Self> {
        if Dialect::of(url) != Some(Dialect::Postgres) {
            return Err(Error::Unusable(
                "a replica's URL must start with postgres://".into(),
            ));
        }
        if let Err(why) = postgres::inspect(url, false).await {
            tracing::warn!(why, "a replica cannot be used now");
        }
        Ok(Self {
            pool: connect(Dialect::Postgres, url, Purpose::Read).await?,
            state: Arc::default(),
        })
    }

    /// Whether it answered when it was last looked at.
    pub fn answers(&self) -> bool {
        self.state.answers.load(Ordering::Relaxed)
    }

    /// Whether its answers are at most two seconds old.
    pub fn is_fresh(&self) -> bool {
        let until = self.state.fresh_until.lock();
        let until = *until.unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }

    /// A view of the replica at one moment.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn snapshot(&self) -> Result<Tx> {
        match timeout(PATIENCE, view(&self.pool, Dialect::Postgres)).await {
            Ok(result) => result,
            Err(_) => Err(Error::Unavailable("the replica does not answer".into())),
        }
    }

    pub(super) async fn close(&self) {
        // Nobody is left who could be told.
        let _ = self.pool.clone().close().await;
    }

    async fn look(&self, written: &VecDeque<(Instant, Lsn)>) {
        let replayed = lsn(&self.pool, "pg_last_wal_replay_lsn()").await;
        // It has all that was written when we looked at the newest of these.
        let has = |replayed: Lsn| {
            let seen = written.iter().filter(|(_, lsn)| *lsn <= replayed);
            seen.map(|(at, _)| *at + STALENESS).max()
        };
        let until = replayed.and_then(has);
        self.state
            .answers
            .store(replayed.is_some(), Ordering::Relaxed);
        let kept = self.state.fresh_until.lock();
        *kept.unwrap_or_else(PoisonError::into_inner) = until;
    }
}

impl Store {
    /// Keeps what is known of the replicas true. Runs until dropped.
    pub async fn watch_replicas(&self) {
        if self.replicas.is_empty() {
            return;
        }
        let mut written = VecDeque::new();
        let mut ticks = tokio::time::interval(INTERVAL);
        loop {
            ticks.tick().await;
            let now = Instant::now();
            if let Some(lsn) = lsn(&self.sentry, "pg_current_wal_lsn()").await {
                written.push_back((now, lsn));
            }
            while written.len() > 1 && written[0].0 + STALENESS < now {
                written.pop_front();
            }
            let looks = self.replicas.iter().map(|replica| replica.look(&written));
            futures_util::future::join_all(looks).await;
        }
    }
}

/// A place in the write-ahead log.
type Lsn = u64;

async fn lsn(pool: &DatabaseConnection, function: &str) -> Option<Lsn> {
    #[derive(FromQueryResult)]
    struct Row {
        lsn: Option<String>,
    }
    let query = format!("SELECT CAST({function} AS TEXT) AS lsn");
    let statement = Statement::from_string(pool.get_database_backend(), query);
    let asked = Row::find_by_statement(statement).one(pool);
    let row = timeout(PATIENCE, asked).await.ok()?.ok()??;
    parse(&row.lsn?)
}

/// Reads `16/B374D848`.
fn parse(text: &str) -> Option<Lsn> {
    let (high, low) = text.split_once('/')?;
    let high = Lsn::from_str_radix(high, 16).ok()?;
    let low = Lsn::from_str_radix(low, 16).ok()?;
    Some(high << 32 | low)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_in_the_log_are_in_order() {
        assert_eq!(parse("0/10"), Some(16));
        assert!(parse("1/0") > parse("0/FFFFFFFF"));
        assert_eq!(parse("x/0"), None);
    }
}
