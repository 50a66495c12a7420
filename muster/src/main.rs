//! `muster`: the identity directory as one program.
//!
//! Parse, dispatch, exit code; nothing else. Exit codes: 0 for success, 1 for
//! failure, 2 for wrong arguments or configuration.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

mod admin;
mod arguments;
mod channel;
mod clients;
mod connections;
mod contract;
mod credentials;
mod faults;
mod held;
mod keys;
mod log;
mod output;
mod pem;
mod policies;
mod presets;
mod rates;
mod schema;
mod serve;
mod settings;
mod shutdown;
mod telemetry;
mod transfer;
mod urls;

use arguments::{Arguments, Command};
use settings::Settings;

/// What a call takes comes in small pieces, on one thread, and goes on another:
/// this allocator spends a tenth less of the processor on a read than the C
/// library's.
#[global_allocator]
static MEMORY: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let arguments = Arguments::read();
    let settings = match Settings::load(&arguments) {
        Ok(settings) => settings,
        Err(error) => {
            complain(&format!("{error}"));
            return ExitCode::from(2);
        }
    };
    match run(arguments.command, &settings) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&format!("{error:#}"));
            ExitCode::FAILURE
        }
    }
}

/// Says what went wrong, to whoever still listens: the exit code tells it too.
fn complain(error: &str) {
    let _ = writeln!(io::stderr(), "error: {error}");
}

fn run(command: Command, settings: &Settings) -> anyhow::Result<()> {
    telemetry::init(settings, &command);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    match command {
        Command::Serve(_) => runtime.block_on(serve::serve(settings)),
        Command::Contract(wanted) => contract::write(wanted),
        Command::Admin(command) => runtime.block_on(admin::run(command, settings)),
    }
}
