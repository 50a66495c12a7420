//! The SCIM language: JSON shapes, paths, filter text, PATCH bodies, errors.
//!
//! Everything here is pure: no async, no I/O, no clock, no randomness. Which
//! attributes exist is not said here but in [`muster_proto::schema`]; what the
//! directory is asked for is not said here but in [`crate::translate`].

pub mod bulk;
pub mod coerce;
pub mod discovery;
pub mod document;
pub mod error;
pub mod filter;
pub mod flavor;
pub mod group;
pub mod json;
mod key;
pub mod list;
pub mod meta;
pub mod openapi;
pub mod patch;
pub mod path;
pub mod projection;
pub mod resource;
pub mod unnameable;
pub mod urn;
pub mod user;
pub mod version;
