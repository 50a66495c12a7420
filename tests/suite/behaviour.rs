//! What muster does on either database: loaded once for each, and told by its
//! own name which one it is.

mod admin;
mod audit;
mod auth;
mod bulk;
mod concurrency;
mod conformance;
mod connections;
mod consistency;
mod content;
mod contract;
mod discovery;
mod durability;
mod errors;
mod feed;
mod feed_property;
mod filter;
mod groups;
mod grpc;
mod large;
mod lifecycle;
mod limits;
mod lookup;
mod membership;
mod nested;
mod oauth;
mod once;
mod paging;
mod patch;
mod personal;
mod presets;
mod provisioning_log;
mod query_property;
mod registered;
mod replay;
mod restore;
mod search;
mod secrets;
mod settings;
mod signals;
mod snapshot;
mod sorting;
mod tenancy;
mod token_matrix;
mod tokens;
mod transfer;
mod users;
mod versions;
mod watch;
mod wellknown;

use muster_tests::{
    engine::Engine,
    server::{Launch, Server},
    tenant::Tenant,
};

/// The database of the tests below.
fn engine() -> Engine {
    match module_path!().rsplit("::").next() {
        Some("sqlite") => Engine::Sqlite,
        Some("postgres") => Engine::Postgres,
        _ => panic!("{} is no engine", module_path!()),
    }
}

/// The server that tests share; every test brings its own tenant.
fn server() -> &'static Server {
    Server::shared(engine())
}

/// A fresh tenant of that server.
fn tenant() -> Tenant {
    Tenant::shared(engine())
}

/// A server of a test's own, on a new database.
fn launch() -> Launch {
    Launch::on(engine())
}
