//! `muster contract`: the gRPC contract as files.

use std::{
    fs,
    io::{self, Write as _},
    path::Path,
};

use anyhow::Context as _;
use muster_proto::{FILE_DESCRIPTOR_SET, SOURCES};

use crate::arguments::Contract;

/// Writes what is wanted.
pub(crate) fn write(wanted: Contract) -> anyhow::Result<()> {
    match wanted {
        Contract::Descriptor { output } if output.as_os_str() == "-" => {
            Ok(io::stdout().write_all(FILE_DESCRIPTOR_SET)?)
        }
        Contract::Descriptor { output } => file(&output, FILE_DESCRIPTOR_SET),
        Contract::Protos { output } => {
            let write = |(path, text): &(&str, &str)| file(&output.join(path), text.as_bytes());
            SOURCES.iter().try_for_each(write)
        }
    }
}

fn file(path: &Path, content: &[u8]) -> anyhow::Result<()> {
    let told = || format!("cannot write {}", path.display());
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).with_context(told)?;
    }
    fs::write(path, content).with_context(told)
}
