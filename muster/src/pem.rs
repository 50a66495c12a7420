//! The files that settings name for TLS.

use std::{fs, path::Path};

use anyhow::Context as _;
use muster_directory::server::tls::{Certificates, Error, Key, Tls};

use crate::settings::Settings;

/// How gRPC is served; `None` in clear.
///
/// # Errors
/// A file that cannot be read or used; the setting and the file are named.
pub(crate) fn tls(settings: &Settings) -> anyhow::Result<Option<Tls>> {
    // One without the other does not pass the check of the settings.
    let (Some(chain), Some(key)) = (&settings.grpc_tls_certificate, &settings.grpc_tls_key) else {
        return Ok(None);
    };
    let fitting = Tls::new(
        &certificates("grpc_tls_certificate", chain)?,
        &read("grpc_tls_key", key, Key::parse)?,
    );
    let tls = fitting.with_context(|| {
        let (chain, key) = (chain.display(), key.display());
        format!("grpc_tls_certificate {chain} and grpc_tls_key {key}")
    })?;
    Ok(Some(match &settings.grpc_tls_client_ca {
        Some(file) => tls.asking(&certificates("grpc_tls_client_ca", file)?),
        None => tls,
    }))
}

/// The certificates of a setting's file.
///
/// # Errors
/// The file cannot be read, or holds none.
pub(crate) fn certificates(setting: &str, file: &Path) -> anyhow::Result<Certificates> {
    read(setting, file, Certificates::parse)
}

fn read<T>(
    setting: &str,
    file: &Path,
    parse: fn(Vec<u8>) -> Result<T, Error>,
) -> anyhow::Result<T> {
    let name = || format!("{setting} {}", file.display());
    let text = fs::read(file).with_context(name)?;
    parse(text).with_context(name)
}
