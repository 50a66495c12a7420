//! The URLs that the client of a connection is given.

use anyhow::Context as _;
use muster_directory::{
    service::{Announcement, Directory},
    storage::tenants::Connection,
};
use scim_facade::TOKEN_PATH;

use crate::settings::Settings;

/// Where a base path has the connection's id.
const CONNECTION: &str = "{connection}";

/// What is known of a server's URLs.
#[derive(Debug, Clone)]
pub(crate) struct Urls(Announcement);

/// The URLs of one connection.
#[derive(Debug, Clone)]
pub(crate) struct Of {
    /// To be pasted together with a secret, which tells the connection.
    pub(crate) tenant_url: String,
    /// The same, naming the connection.
    pub(crate) own_url: String,
    /// Where OAuth clients get access tokens.
    pub(crate) token_endpoint: String,
}

impl Urls {
    /// The configured ones, else those that the server which last ran on this database
    /// announced.
    pub(crate) async fn find(directory: &Directory, settings: &Settings) -> anyhow::Result<Self> {
        if settings.public_url.is_none()
            && let Some(announced) = directory.announced().await?
        {
            return Ok(Self(announced));
        }
        let urls = settings.urls(Some(settings.http_listen));
        urls.map(Self).context("no public URL is known")
    }

    /// Those of a connection, whose policy may name another base path.
    pub(crate) fn of(&self, connection: &Connection) -> Of {
        let Announcement {
            tenant_url,
            token_endpoint,
        } = &self.0;
        let origin = token_endpoint.strip_suffix(TOKEN_PATH);
        let own = connection.policy.base_path.as_deref().zip(origin);
        let base = match own {
            Some((path, origin)) => format!("{origin}{}", path.trim_end_matches('/')),
            None => tenant_url.clone(),
        };
        let own_url = match base.contains(CONNECTION) {
            true => base.replace(CONNECTION, &connection.id),
            false => format!("{base}/connections/{}", connection.id),
        };
        Of {
            tenant_url: match base.contains(CONNECTION) {
                true => own_url.clone(),
                false => base,
            },
            own_url,
            token_endpoint: token_endpoint.clone(),
        }
    }
}
