//! SCIM 2.0 over HTTP in front of the directory: a translator without
//! database, state or rights of its own.
//!
//! The way of a request: [`Server`] accepts it, the private module `http`
//! checks it and picks the handler, [`scim`] reads its JSON, paths and filter,
//! [`translate`] makes the directory's message of it, [`DirectoryClient`]
//! sends that with the caller's own bearer token, and the answer comes back
//! the same way. The directory decides who may do what.
//!
//! OAuth clients get their access tokens on the same way, with [`oauth`] in
//! the place of `scim`.
//!
//! `scim` and `oauth` are pure. Only `translate` and the client know gRPC, only `http` and
//! the server know axum.

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test that panics has failed, which is what it is for"
    )
)]

mod client;
mod config;
mod http;
pub mod oauth;
pub mod scim;
mod server;
pub mod translate;

pub use client::DirectoryClient;
pub use config::Config;
pub use http::TOKEN_PATH;
pub use server::Server;
