//! Everything that muster promises at its edges, against the real binary.
//!
//! What it does is in `behaviour.rs`, and is asked of SQLite and of PostgreSQL
//! in the same words: by capability in `users`, `groups`, `membership`, `nested`,
//! `filter`, `search`, `sorting`, `patch`, `paging`, `bulk`, `versions`,
//! `content`, `discovery`, `grpc`, `oauth`, `tokens`, `admin`, `feed`, `watch`,
//! `large`, `snapshot`, `audit`, `restore`, `registered`, `transfer`, `wellknown`,
//! `presets`, `provisioning_log`;
//! by property in `auth`, `token_matrix`, `tenancy`, `errors`, `concurrency`,
//! `consistency`, `durability`, `once`, `feed_property`, `query_property`, `secrets`,
//! `lifecycle`, `limits`, `settings`; by the standard's sections in `conformance`;
//! from outside in `replay`. Most of these tests share one server of each kind;
//! each makes a tenant of its own in it.
//!
//! What no database has a part in is here once: [`binary`], about arguments;
//! [`tls`], about who is believed and who listens in;
//! [`tidy`] and [`supply`], about the sources; [`conformance_document`], about
//! what is said of the standard, and [`presets_document`] of policies; [`harness`],
//! about the PostgreSQL of the tests. What only one of them can do to muster is in
//! [`outages`], while it runs, and in [`starts`]; what PostgreSQL brings along,
//! in [`replicas`].

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]
#![allow(
    clippy::duplicate_mod,
    reason = "one source of behaviour for every database"
)]

mod binary;
mod conformance_document;
#[cfg(not(skip_postgres))]
mod harness;
mod outages;
#[cfg(not(skip_postgres))]
#[path = "behaviour.rs"]
mod postgres;
mod presets_document;
#[cfg(not(skip_postgres))]
mod replicas;
#[path = "behaviour.rs"]
mod sqlite;
mod starts;
mod supply;
mod tidy;
mod tls;

/// In the place of what was left out, so that the test runner says so.
#[cfg(skip_postgres)]
mod postgres {
    #[test]
    #[ignore = "SKIP_POSTGRES=1 was set at build time: nothing ran on PostgreSQL"]
    fn everything() {}
}
