//! Between the SCIM language and the contract of the directory. Each
//! translation is one function; nothing here speaks HTTP.

pub mod filter;
pub mod group;
pub mod keys;
pub mod list;
pub mod patch;
pub(crate) mod profile;
pub mod status;
pub mod token;
pub mod uri;
pub mod user;
