//! What the facade is told at start.

/// Settings of the facade.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Scheme and authority under which clients reach the facade, for
    /// `meta.location` (`https://id.example.com`). `None`: `http` and the
    /// request's own host.
    pub public_url: Option<String>,
    /// Whether to believe `Forwarded` and `X-Forwarded-For`, and without a
    /// `public_url` also `X-Forwarded-Proto` and `-Host`. Only behind a proxy
    /// that sets them itself. Default: no.
    pub trust_forwarded: bool,
    /// Paths below which SCIM is served, without a trailing slash. Default:
    /// `/scim/v2` alone.
    pub base_paths: Vec<String>,
    /// Longest request body, in bytes; groups and bulks may have 16 MiB.
    /// Default: 1 MiB.
    pub body_limit: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            public_url: None,
            trust_forwarded: false,
            base_paths: vec!["/scim/v2".to_owned()],
            body_limit: 1024 * 1024,
        }
    }
}
