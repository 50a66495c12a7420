//! The driver's errors as the directory's.

use muster_migrations::names::{
    UNIQUE_CLIENT_NAME, UNIQUE_COLUMNS, UNIQUE_CONNECTION_NAME, UNIQUE_EXTERNAL_ID,
    UNIQUE_FEDERATED_IDENTITY, UNIQUE_GROUP_NAME, UNIQUE_TENANT_NAME, UNIQUE_USER_NAME,
};
use sea_orm::DbErr;

use super::dialect::{Fault, fault};
use crate::error::{Error, Taken};

impl From<DbErr> for Error {
    fn from(error: DbErr) -> Self {
        match fault(&error) {
            Fault::Unique(columns) => match taken(&columns) {
                Some(taken) => Self::Taken(taken),
                None => Self::Internal(error.into()),
            },
            Fault::Busy => Self::Contention,
            Fault::Unreachable => Self::Unavailable(error.into()),
            Fault::Other => Self::Internal(error.into()),
        }
    }
}

/// What a violated index protects, by its name or, where the database names
/// none, its columns.
fn taken(index: &str) -> Option<Taken> {
    let is_meant = |(name, columns): &&(&str, &str)| [*name, *columns].contains(&index);
    let (name, _) = UNIQUE_COLUMNS.iter().find(is_meant)?;
    match *name {
        UNIQUE_USER_NAME => Some(Taken::UserName),
        UNIQUE_GROUP_NAME => Some(Taken::GroupName),
        UNIQUE_EXTERNAL_ID => Some(Taken::ExternalId),
        UNIQUE_TENANT_NAME => Some(Taken::TenantName),
        UNIQUE_CONNECTION_NAME => Some(Taken::ConnectionName),
        UNIQUE_CLIENT_NAME => Some(Taken::ClientName),
        UNIQUE_FEDERATED_IDENTITY => Some(Taken::FederatedIdentity),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unique_index_protects_something_known() {
        for (name, columns) in UNIQUE_COLUMNS {
            assert!(taken(columns).is_some() && taken(name).is_some(), "{name}");
        }
    }
}
