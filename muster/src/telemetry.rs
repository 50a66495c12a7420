//! Logs: the one place that decides their form.

use tracing_subscriber::{EnvFilter, fmt};

use crate::{arguments::LogFormat, settings::Settings};

/// What is logged when `RUST_LOG` does not say otherwise.
const DEFAULT_FILTER: &str = "info";

/// Sends log lines to standard error, so that standard output stays for
/// results.
pub(crate) fn init(settings: &Settings) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| DEFAULT_FILTER.into());
    let lines = fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
