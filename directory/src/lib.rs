//! The directory: users, groups and credentials of many tenants, over gRPC.
//!
//! The way of a call: the gate in [`grpc`] checks policy, credential, scope and
//! deadline; the service's method decodes the message into [`domain`] values
//! and calls a use case of [`service::Directory`]; that opens one transaction
//! of [`storage::Store`], applies the domain's rules, saves what differs, writes
//! audit entry, revision and changes, and returns; the result is encoded.
//!
//! * [`domain`]: rules, pure.
//! * [`service`]: use cases.
//! * [`storage`]: the database; the only user of sea-orm.
//! * [`grpc`], [`server`]: the wire; the only users of tonic.
//! * [`signing`], [`issuers`]: assertions of other issuers, and their keys; the
//!   only users of jsonwebtoken and of an HTTP client.
//! * [`limits`]: how often who may call.
//! * [`auth`], [`clock`], [`cursor`], [`error`]: what they share.
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::panic,
        reason = "a test fails by panicking"
    )
)]

pub mod auth;
pub mod clock;
pub mod cursor;
pub mod domain;
pub mod error;
pub mod grpc;
pub mod issuers;
pub mod limits;
pub mod sealing;
pub mod server;
pub mod service;
pub mod signing;
pub mod storage;
