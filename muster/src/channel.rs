//! The way to a directory in another process.

use std::time::Duration;

use anyhow::Context as _;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};

use crate::{pem, settings::Settings};

/// How long a handshake may take: whoever takes connections and says nothing
/// must not be waited for until the network gives up.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);

/// A channel to `directory_url`, which connects with the first call.
///
/// # Errors
/// No URL; a file of authorities that cannot be read or used, or that is not
/// needed; no authorities on the machine where they are.
pub(crate) fn connect(settings: &Settings) -> anyhow::Result<Channel> {
    let url = &settings.directory_url;
    let name = || format!("directory_url {url:?}");
    let endpoint = Endpoint::from_shared(url.clone()).with_context(name)?;
    if !url.starts_with("https://") {
        // Tokens must not travel in clear where the operator believes that they
        // do not.
        anyhow::ensure!(
            settings.directory_ca.is_none(),
            "directory_ca: needs a directory_url with https://, not {url:?}"
        );
        return Ok(endpoint.connect_lazy());
    }
    let endpoint = endpoint.tls_config(trust(settings)?).with_context(name)?;
    Ok(endpoint.connect_lazy())
}

/// Whom to believe that he is the directory.
fn trust(settings: &Settings) -> anyhow::Result<ClientTlsConfig> {
    let config = ClientTlsConfig::new().timeout(HANDSHAKE_PATIENCE);
    Ok(match &settings.directory_ca {
        Some(file) => {
            let authorities = pem::certificates("directory_ca", file)?;
            config.ca_certificate(Certificate::from_pem(authorities.pem()))
        }
        None => config.with_native_roots(),
    })
}
