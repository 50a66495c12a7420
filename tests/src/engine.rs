//! The databases on which muster runs, and a new one of either kind.

use std::{path::Path, sync::OnceLock};

use crate::postgres::Cluster;

/// A kind of database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// A file of its own.
    Sqlite,
    /// A database of its own on [`Cluster::shared`].
    Postgres,
}

/// The URL of a database for one server.
#[derive(Debug)]
pub(crate) struct Database(OnceLock<String>);

impl Database {
    /// A new one: a file in this folder, or one on PostgreSQL that is made when
    /// it is first asked for.
    pub(crate) fn new(engine: Engine, folder: &Path) -> Self {
        match engine {
            Engine::Sqlite => Self::at(&format!("sqlite://{}", folder.join("muster.db").display())),
            Engine::Postgres => Self(OnceLock::new()),
        }
    }

    /// One that is there already.
    pub(crate) fn at(url: &str) -> Self {
        Self(OnceLock::from(url.to_owned()))
    }

    pub(crate) fn url(&self) -> &str {
        self.0.get_or_init(|| Cluster::shared().database())
    }
}
