//! Logs: the one place that decides their form.

use tracing_subscriber::{EnvFilter, fmt};

use crate::{
    arguments::{Command, LogFormat},
    settings::Settings,
};

/// What is logged when `RUST_LOG` does not say otherwise.
const DEFAULT_FILTER: &str = "info";

/// The same for admin commands, whose result is all that is asked for.
const QUIET_FILTER: &str = "warn";

/// Sends log lines to standard error, so that standard output stays for
/// results.
pub(crate) fn init(settings: &Settings, command: &Command) {
    let default = match command {
        Command::Serve(_) => DEFAULT_FILTER,
        Command::Admin(_) | Command::Contract(_) => QUIET_FILTER,
    };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
    // Nobody may be left to read the log. It would be told of that in the log,
    // by a macro that panics.
    let lines = fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .log_internal_errors(false);
    match settings.log_format {
        LogFormat::Text => lines.with_ansi(false).with_target(false).init(),
        LogFormat::Json => lines.json().flatten_event(true).init(),
    }
}
