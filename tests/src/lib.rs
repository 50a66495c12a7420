//! The language the tests of muster are written in.
//!
//! Everything here talks to a real server process over loopback, as a
//! provisioning client or an operator would; nothing links the code under
//! test except the contract in `muster-proto`.
//!
//! * [`binary`]: which `muster` is under test.
//! * [`server`]: a server process on its own folder, gone when dropped.
//! * [`engine`]: on which kind of database it runs.
//! * [`postgres`]: a private PostgreSQL, which tests may stop and pause.
//! * [`disk`]: disks that are full.
//! * [`guard`]: cleans up behind a test process.
//! * [`cli`]: the admin commands, answers as JSON.
//! * [`tenant`]: a fresh tenant with a connection and a token.
//! * [`scim`]: a SCIM client that needs a URL and a token only.
//! * [`raw`]: bytes over TCP, for requests that no HTTP library would send.
//! * [`grpc`]: the generated clients with a bearer.
//! * [`tls`]: authorities, and certificates that they issue.
//! * [`feed`], [`cache`]: consumers of the feed, and what they keep.
//! * [`tamper`]: changes a database behind its server's back.
//! * [`soon`]: waits for what becomes true.
//! * [`witness`]: loads a server and holds it to what it has acknowledged.
//! * [`oauth`], [`issuer`]: OAuth clients, and who vouches for some of them.
//! * [`service`]: service clients with keys of their own.
//! * [`vault`]: the keys with which a server signs, as its database has them.
//! * [`generic`]: calls of RPCs known by their descriptors alone.
//! * [`jws`]: signatures that tests make and check themselves.
//! * [`integration`]: a connection of a preset or policy, and its Tenant URL.
//! * [`entra`]: what Microsoft Entra sends to it.
//! * [`fixture`], [`path`], [`replay`]: recorded requests and what they expect.
//!
//! Assertions panic at the line of the test that called them.

#![allow(
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test harness reports by panicking"
)]

pub mod binary;
pub mod cache;
pub mod cli;
pub mod disk;
pub mod engine;
pub mod entra;
pub mod feed;
pub mod fixture;
pub mod generic;
pub mod grpc;
pub mod guard;
pub mod integration;
pub mod issuer;
pub mod jws;
pub mod oauth;
pub mod path;
pub mod postgres;
pub mod raw;
pub mod replay;
pub mod runtime;
pub mod scim;
pub mod server;
pub mod service;
pub mod signals;
pub mod soon;
pub mod tamper;
pub mod tenant;
pub mod tls;
pub mod vault;
pub mod witness;
