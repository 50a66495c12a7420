//! Rules of the directory, pure: no async, no I/O, no clock, no randomness.
//!
//! What counts as domain: what a resource may look like, what a PATCH does to
//! it, what a filter means, what a version is, what a secret looks like. What
//! does not: how any of it is stored (`storage`), called (`service`) or
//! spelled on the wire (`grpc`).

pub mod access;
pub mod characteristics;
pub mod client;
pub mod conform;
pub mod credential;
pub mod filter;
pub mod flavor;
pub mod health;
pub mod history;
pub mod number;
pub mod page;
pub mod patch;
pub mod policy;
pub mod provisioning;
pub mod report;
pub mod resource;
pub mod search;
pub mod signal;
pub mod signing_key;
pub mod sort;
pub mod span;
pub mod version;

pub use muster_proto::fold;
pub use resource::{Kind, Resource};
