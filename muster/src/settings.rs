//! Settings: compiled-in defaults, then the file, the environment, the command
//! line; the last that speaks wins.

use std::{
    fmt, fs,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    num::NonZeroU32,
    path::PathBuf,
    time::Duration,
};

use anyhow::{Context as _, bail};
use figment::{
    Figment,
    providers::{Env, Format as _, Serialized, Toml},
};
use muster_directory::{
    domain::policy::is_base_path,
    limits::LimitSettings,
    sealing::Sealing,
    service::{Announcement, Retention},
};
use scim_facade::TOKEN_PATH;
use serde::{Deserialize, Deserializer, Serialize};

use crate::{
    arguments::{Arguments, Command, LogFormat, Role},
    rates::Rates,
};

/// Everything that can be set.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Settings {
    /// `sqlite://PATH` or `postgres://...`; may hold a password.
    pub(crate) database_url: String,
    /// Replicas of a PostgreSQL database; may hold passwords.
    #[serde(deserialize_with = "list")]
    pub(crate) replica_urls: Vec<String>,
    /// How long deleted users and groups can be restored, in days.
    pub(crate) deleted_retention_days: u32,
    /// How long changes are kept for consumers of the feed, in days.
    pub(crate) change_retention_days: u32,
    /// How long events of the provisioning log are kept, in days.
    pub(crate) provisioning_log_retention_days: u32,
    /// Which parts run in this process.
    pub(crate) role: Role,
    /// Where gRPC listens.
    pub(crate) grpc_listen: SocketAddr,
    /// PEM file with the chain of certificates that gRPC is served with.
    pub(crate) grpc_tls_certificate: Option<PathBuf>,
    /// PEM file with the key of that chain's first certificate.
    pub(crate) grpc_tls_key: Option<PathBuf>,
    /// PEM file with the authorities that clients' certificates come from.
    pub(crate) grpc_tls_client_ca: Option<PathBuf>,
    /// Whether gRPC tells the contract to everybody.
    pub(crate) grpc_reflection: bool,
    /// Where HTTP listens.
    pub(crate) http_listen: SocketAddr,
    /// Where the directory is, for the facade on its own.
    pub(crate) directory_url: String,
    /// PEM file with the authorities that the directory's certificate comes
    /// from; without it, those that the machine trusts.
    pub(crate) directory_ca: Option<PathBuf>,
    /// Origin under which clients reach the SCIM endpoint.
    pub(crate) public_url: Option<String>,
    /// Whether a proxy's word is believed on clients' addresses, and without a
    /// public URL on the origin; and that of a facade on its clients' addresses.
    pub(crate) trust_forwarded: bool,
    /// Paths under which the SCIM endpoint answers; the first is the one that
    /// is told to clients.
    pub(crate) base_paths: Vec<String>,
    /// Longest request body, in bytes.
    pub(crate) body_limit: usize,
    /// What encrypts private keys at rest: 32 bytes in base64. Secret.
    pub(crate) key_encryption_key: Option<String>,
    /// A file that holds it.
    pub(crate) key_encryption_key_file: Option<PathBuf>,
    /// How long requests in flight may take after a signal to stop, in
    /// seconds.
    pub(crate) shutdown_grace_seconds: u64,
    /// Form of log lines.
    pub(crate) log_format: LogFormat,
    /// Whether to make a first tenant on an empty database.
    pub(crate) bootstrap: bool,
    /// Whether somebody said which database is meant.
    #[serde(skip)]
    pub(crate) names_database: bool,
    /// Calls per second of one caller, by class.
    pub(crate) rate_limits: Rates,
    /// Calls per second of all callers of a tenant, by class.
    pub(crate) tenant_rate_limits: Rates,
    /// Failures to authenticate per minute and address.
    pub(crate) failure_rate_limit: NonZeroU32,
}

/// Where SCIM is served: the first is the Tenant URL's unless a connection's policy
/// names another; the others are those of the presets.
const BASE_PATHS: [&str; 4] = [
    "/scim/v2",
    "/scim",
    "/api/scim/v2",
    "/scim/v2/inbound/{connection}",
];

impl Default for Settings {
    fn default() -> Self {
        Self {
            database_url: "sqlite://muster.db".to_owned(),
            role: Role::All,
            grpc_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 50_051)),
            grpc_tls_certificate: None,
            grpc_tls_key: None,
            grpc_tls_client_ca: None,
            grpc_reflection: false,
            http_listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8_080)),
            replica_urls: Vec::new(),
            deleted_retention_days: 30,
            change_retention_days: 7,
            provisioning_log_retention_days: 30,
            directory_url: "http://127.0.0.1:50051".to_owned(),
            directory_ca: None,
            public_url: None,
            trust_forwarded: false,
            base_paths: BASE_PATHS.map(str::to_owned).to_vec(),
            body_limit: 1024 * 1024,
            key_encryption_key: None,
            key_encryption_key_file: None,
            shutdown_grace_seconds: 20,
            log_format: LogFormat::Text,
            bootstrap: false,
            names_database: false,
            rate_limits: Rates::default(),
            tenant_rate_limits: Rates::default(),
            failure_rate_limit: LimitSettings::default().failures_per_minute,
        }
    }
}

/// Why the settings cannot be used, in words.
#[derive(Debug)]
pub(crate) struct Error(String);

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Settings that the environment may give, as `MUSTER_` and the name in
/// capitals. Other variables with the prefix are not ours to refuse.
const IN_ENVIRONMENT: [&str; 26] = [
    "database_url",
    "replica_urls",
    "deleted_retention_days",
    "change_retention_days",
    "provisioning_log_retention_days",
    "role",
    "grpc_listen",
    "grpc_tls_certificate",
    "grpc_tls_key",
    "grpc_tls_client_ca",
    "grpc_reflection",
    "http_listen",
    "directory_url",
    "directory_ca",
    "public_url",
    "trust_forwarded",
    "base_paths",
    "body_limit",
    "key_encryption_key",
    "key_encryption_key_file",
    "shutdown_grace_seconds",
    "log_format",
    "bootstrap",
    "rate_limits",
    "tenant_rate_limits",
    "failure_rate_limit",
];

impl fmt::Debug for Settings {
    /// For the log: without what URLs of databases may hold.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("database_url", &without_password(&self.database_url))
            .field("replicas", &self.replica_urls.len())
            .field("role", &self.role)
            .field("grpc_listen", &self.grpc_listen)
            .field("grpc_tls_certificate", &self.grpc_tls_certificate)
            .field("grpc_tls_client_ca", &self.grpc_tls_client_ca)
            .field("grpc_reflection", &self.grpc_reflection)
            .field("http_listen", &self.http_listen)
            .field("directory_url", &self.directory_url)
            .field("directory_ca", &self.directory_ca)
            .field("public_url", &self.public_url)
            .field("trust_forwarded", &self.trust_forwarded)
            .field("base_paths", &self.base_paths)
            .field("deleted_retention_days", &self.deleted_retention_days)
            .field("change_retention_days", &self.change_retention_days)
            .field(
                "provisioning_log_retention_days",
                &self.provisioning_log_retention_days,
            )
            .finish_non_exhaustive()
    }
}

/// A database's URL as it may be shown: its file, or its host and name. What is
/// not plainly of that form may hide a password anywhere.
fn without_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return "?".to_owned();
    };
    if scheme == "sqlite" {
        return url.to_owned();
    }
    let place = rest.split('?').next().unwrap_or_default();
    let (user, host) = place.rsplit_once('@').unwrap_or(("", place));
    // A password with raw marks in it may end anywhere.
    let is_one = rest.matches('@').count() <= 1 && rest.contains('@') == place.contains('@');
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._:[]/".contains(c);
    let has_name = host
        .split_once('/')
        .is_some_and(|(host, name)| !host.is_empty() && !name.is_empty());
    match is_one && has_name && !user.contains('/') && host.chars().all(plain) {
        true => format!("{scheme}://{host}"),
        false => format!("{scheme}://?"),
    }
}

/// What is wrong with a value, without the value where it may hold a password.
fn plain(error: &figment::Error) -> String {
    let is_secret = |path: &String| path.contains("url") || path.contains("key");
    match error.path.iter().any(is_secret) {
        true => format!("{}: has the wrong form", error.path.join(".")),
        false => without_excerpt(&error.to_string()),
    }
}

/// What a parser says without the lines that it shows of the file, any of which
/// may hold a key.
fn without_excerpt(message: &str) -> String {
    let is_excerpt = |line: &&str| {
        let line = line.trim_start_matches(|c: char| c == ' ' || c.is_ascii_digit());
        line.starts_with('|')
    };
    let said: Vec<_> = message.lines().filter(|line| !is_excerpt(line)).collect();
    said.join(": ")
}

impl Settings {
    /// Collects and checks the settings.
    ///
    /// # Errors
    /// A file that cannot be read, an unknown name, a value of the wrong form.
    pub(crate) fn load(arguments: &Arguments) -> Result<Self, Error> {
        let mut figment = Figment::from(Serialized::defaults(Self::default()));
        let config = arguments.common.config.clone();
        if let Some(file) = config.or_else(|| std::env::var_os("MUSTER_CONFIG").map(Into::into)) {
            if !file.is_file() {
                return Err(Error(format!("{}: no such file", file.display())));
            }
            figment = figment.merge(Toml::file_exact(&file));
        }
        figment = figment
            .merge(Env::prefixed("MUSTER_").only(&IN_ENVIRONMENT))
            .merge(Serialized::defaults(&arguments.common));
        if let Command::Serve(serve) = &arguments.command {
            figment = figment.merge(Serialized::defaults(serve));
        }
        let mut settings: Self = figment.extract().map_err(|e| Error(plain(&e)))?;
        settings.names_database = arguments.common.database_url.is_some()
            || std::env::var_os("MUSTER_DATABASE_URL").is_some();
        settings.checked()
    }

    fn checked(mut self) -> Result<Self, Error> {
        check_database(
            "database_url",
            &self.database_url,
            &["sqlite", "postgres", "postgresql"],
        )?;
        for url in &self.replica_urls {
            check_database("replica_urls", url, &["postgres", "postgresql"])?;
        }
        if !self.replica_urls.is_empty() && scheme(&self.database_url) == "sqlite" {
            return Err(Error("replica_urls: SQLite has no replicas".to_owned()));
        }
        for url in self.public_url.iter_mut().chain([&mut self.directory_url]) {
            while url.ends_with('/') {
                url.pop();
            }
            if !url.starts_with("http://") && !url.starts_with("https://") {
                return Err(Error(format!(
                    "{url:?} must start with http:// or https://"
                )));
            }
        }
        self.check_files()?;
        self.check_tls()?;
        for path in &mut self.base_paths {
            while path.ends_with('/') {
                path.pop();
            }
            if !is_base_path(path) {
                return Err(Error(format!(
                    "base_paths: {path:?} must be a path like /scim/v2 or /scim/{{connection}}"
                )));
            }
        }
        if self.base_paths.is_empty() {
            return Err(Error("base_paths: at least one is needed".to_owned()));
        }
        Ok(self)
    }

    /// Half of it would be gRPC in clear where the operator believes that it is
    /// not. What the files hold is looked at by those who need them.
    fn check_tls(&self) -> Result<(), Error> {
        let (certificate, key) = (&self.grpc_tls_certificate, &self.grpc_tls_key);
        let missing = match (certificate, key, &self.grpc_tls_client_ca) {
            (Some(_), None, _) => "grpc_tls_certificate: needs grpc_tls_key",
            (None, Some(_), _) => "grpc_tls_key: needs grpc_tls_certificate",
            (None, None, Some(_)) => {
                "grpc_tls_client_ca: needs grpc_tls_certificate and grpc_tls_key"
            }
            (Some(_), Some(_), _) | (None, None, None) => return Ok(()),
        };
        Err(Error(missing.to_owned()))
    }

    /// Names of files are told in errors and in the log. Whoever gives a key
    /// itself must not find it there.
    fn check_files(&self) -> Result<(), Error> {
        for (name, file) in [
            ("grpc_tls_certificate", &self.grpc_tls_certificate),
            ("grpc_tls_key", &self.grpc_tls_key),
            ("grpc_tls_client_ca", &self.grpc_tls_client_ca),
            ("directory_ca", &self.directory_ca),
        ] {
            let name_of_file = file.as_ref().map(|file| file.to_string_lossy());
            if name_of_file.is_some_and(|given| given.contains("-----BEGIN")) {
                return Err(Error(format!(
                    "{name}: must be the name of a file, not what is in it"
                )));
            }
        }
        Ok(())
    }

    /// Checks that a connection's own base path is one of those that are served.
    ///
    /// # Errors
    /// Which are.
    pub(crate) fn check_served(&self, base: &str) -> Result<(), String> {
        let wanted = base.trim_end_matches('/');
        match self.base_paths.iter().any(|path| path == wanted) {
            true => Ok(()),
            false => Err(format!(
                "{base:?} is none of the server's base_paths, which are {}",
                self.base_paths.join(", ")
            )),
        }
    }

    /// The URLs that a provisioning client is given: below the public URL, else
    /// below where HTTP listens. `None` when neither is known.
    pub(crate) fn urls(&self, http: Option<SocketAddr>) -> Option<Announcement> {
        let origin = self.origin(http)?;
        let path = self.base_paths.first().map_or("", String::as_str);
        Some(Announcement {
            tenant_url: format!("{origin}{path}"),
            token_endpoint: format!("{origin}{TOKEN_PATH}"),
        })
    }

    /// Where HTTP is reached: the public URL, else where it listens.
    pub(crate) fn origin(&self, http: Option<SocketAddr>) -> Option<String> {
        let listening = |http: SocketAddr| {
            let ip = match http.ip() {
                ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
                ip => ip,
            };
            format!("http://{}", SocketAddr::new(ip, http.port()))
        };
        self.public_url.clone().or(http.map(listening))
    }

    /// How long what is gone is kept.
    pub(crate) fn retention(&self) -> Retention {
        const DAY: Duration = Duration::from_secs(24 * 60 * 60);
        Retention {
            deleted: DAY * self.deleted_retention_days,
            changes: DAY * self.change_retention_days,
            provisioning_log: DAY * self.provisioning_log_retention_days,
        }
    }

    /// What encrypts private keys at rest, if there is such a thing.
    ///
    /// # Errors
    /// A file that cannot be read, or a key that is none.
    pub(crate) fn sealing(&self) -> anyhow::Result<Option<Sealing>> {
        let key = match (&self.key_encryption_key, &self.key_encryption_key_file) {
            (Some(key), None) => key.clone(),
            (None, Some(file)) => fs::read_to_string(file)
                .with_context(|| format!("key_encryption_key_file {}", file.display()))?,
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => {
                bail!("key_encryption_key and key_encryption_key_file: only one can be given")
            }
        };
        Ok(Some(Sealing::new(&key)?))
    }

    /// How often who may call.
    pub(crate) fn limits(&self) -> LimitSettings {
        let usual = LimitSettings::default();
        LimitSettings {
            client: self.rate_limits.over(usual.client),
            tenant: self.tenant_rate_limits.over(usual.tenant),
            failures_per_minute: self.failure_rate_limit,
        }
    }

    /// How long requests in flight may take after a signal to stop.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.shutdown_grace_seconds)
    }
}

/// A list, or one text with commas between its parts: variables hold texts.
fn list<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        List(Vec<String>),
        Text(String),
    }
    let given = Given::deserialize(deserializer)
        .map_err(|_| serde::de::Error::custom("must be a list of texts"))?;
    Ok(match given {
        Given::List(list) => list,
        Given::Text(text) => {
            let parts = text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty());
            parts.map(ToOwned::to_owned).collect()
        }
    })
}

fn check_database(name: &str, url: &str, schemes: &[&str]) -> Result<(), Error> {
    if schemes.contains(&scheme(url)) {
        return Ok(());
    }
    let schemes: Vec<_> = schemes
        .iter()
        .map(|scheme| format!("{scheme}://"))
        .collect();
    Err(Error(format!(
        "{name}: {:?} must start with {}",
        scheme(url),
        schemes.join(" or ")
    )))
}

/// A URL may hold a password; its scheme does not.
fn scheme(url: &str) -> &str {
    url.split_once("://").map_or("", |(scheme, _)| scheme)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_and_paths_lose_their_trailing_slash() {
        let settings = Settings {
            public_url: Some("https://id.example.test/".to_owned()),
            base_paths: vec!["/api/scim/v2/".to_owned()],
            ..Settings::default()
        };
        let settings = settings.checked().expect("it is sound");
        let urls = settings.urls(None).expect("it has a public URL");
        assert_eq!(urls.tenant_url, "https://id.example.test/api/scim/v2");
        assert_eq!(urls.token_endpoint, "https://id.example.test/oauth2/token");
    }

    #[test]
    fn unsound_settings_are_refused_without_their_secrets() {
        let unsound = |change: fn(&mut Settings)| {
            let mut settings = Settings::default();
            change(&mut settings);
            settings.checked().expect_err("it is unsound").to_string()
        };
        let url = |s: &mut Settings| s.database_url = "mysql://u:secret@h/d".to_owned();
        assert!(!unsound(url).contains("secret"));
        unsound(|s| s.public_url = Some("id.example.test".to_owned()));
        unsound(|s| s.base_paths = vec!["scim".to_owned()]);
        unsound(|s| s.base_paths = vec!["/{id}".to_owned()]);
        unsound(|s| s.base_paths.clear());
        unsound(|s| s.directory_url = "directory.example.test".to_owned());
        let key = |s: &mut Settings| s.grpc_tls_key = Some("-----BEGIN KEY-----\nsecret".into());
        assert!(!unsound(key).contains("secret"));
    }

    #[test]
    fn tls_is_set_as_a_whole_or_not_at_all() {
        let check = |given: [bool; 3]| {
            let [certificate, key, client_ca] =
                given.map(|is| is.then(|| PathBuf::from("file.pem")));
            let settings = Settings {
                grpc_tls_certificate: certificate,
                grpc_tls_key: key,
                grpc_tls_client_ca: client_ca,
                ..Settings::default()
            };
            settings.check_tls().map_err(|e| e.to_string())
        };
        for whole in [[false; 3], [true, true, false], [true; 3]] {
            assert_eq!(check(whole), Ok(()), "{whole:?}");
        }
        for (part, missing) in [
            ([true, false, false], "needs grpc_tls_key"),
            ([false, true, true], "needs grpc_tls_certificate"),
            (
                [false, false, true],
                "needs grpc_tls_certificate and grpc_tls_key",
            ),
        ] {
            let said = check(part).expect_err("something is missing");
            assert!(said.ends_with(missing), "{said}");
        }
    }

    #[test]
    fn no_password_is_shown() {
        for (url, shown) in [
            ("postgres://u:p@h:1/d", "postgres://h:1/d"),
            ("postgres://u:p@@h/d?password=x", "postgres://?"),
            ("postgres://u:pa?ss@h/d", "postgres://?"),
            ("postgres://u:pa/ss@h/d", "postgres://?"),
            ("postgres://u:p/w?x@h/d", "postgres://?"),
            ("postgres://h/d?password=x@y", "postgres://?"),
            ("postgres://u:p@h", "postgres://?"),
            ("sqlite://muster.db", "sqlite://muster.db"),
        ] {
            assert_eq!(without_password(url), shown);
        }
    }

    #[test]
    fn every_setting_can_be_given_by_the_environment() {
        let json = serde_json::to_value(Settings::default()).expect("plain data");
        let mut names: Vec<_> = json
            .as_object()
            .expect("a struct")
            .keys()
            .cloned()
            .collect();
        let mut known = IN_ENVIRONMENT.map(str::to_owned).to_vec();
        names.sort();
        known.sort();
        assert_eq!(names, known);
    }
}
