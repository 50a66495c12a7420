//! Everything that muster promises at its edges, against the real binary.
//!
//! By capability: [`users`], [`groups`], [`membership`], [`filter`],
//! [`patch`], [`paging`], [`versions`], [`discovery`], [`grpc`], [`oauth`]. By
//! property: [`auth`], [`tenancy`], [`errors`], [`concurrency`], [`secrets`],
//! [`binary`]. From outside: [`replay`]. About the sources: [`tidy`],
//! [`supply`]. About the PostgreSQL of the tests: [`harness`].
//!
//! Most tests share one server; each makes a tenant of its own in it.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test reports by panicking"
)]

mod auth;
mod binary;
mod concurrency;
mod discovery;
mod errors;
mod filter;
mod groups;
mod grpc;
mod harness;
mod membership;
mod oauth;
mod paging;
mod patch;
mod replay;
mod secrets;
mod supply;
mod tenancy;
mod tidy;
mod users;
mod versions;
