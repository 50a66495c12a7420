//! `muster export` and `muster import`: files and standard streams.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, BufWriter},
    os::unix::fs::OpenOptionsExt as _,
    path::Path,
};

use anyhow::Context as _;
use muster_directory::service::Directory;

use crate::{arguments::Json, output};

/// Writes everything to a file, which must not exist: a backup is not
/// overwritten by accident.
pub(crate) async fn export(directory: &Directory, path: &Path, json: Json) -> anyhow::Result<()> {
    if path == Path::new("-") {
        let mut out = BufWriter::new(io::stdout());
        directory.export(&mut out).await?;
        return Ok(());
    }
    let file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    let written = async {
        let tally = directory.export(&mut BufWriter::new(&file)).await?;
        // A backup that a power failure takes away is none.
        file.sync_all().context("cannot write the file")?;
        anyhow::Ok(tally)
    };
    match written.await {
        Ok(tally) => Ok(output::one(&output::tally(&tally), json)?),
        Err(error) => {
            // Half a file would pass for a backup.
            let _ = std::fs::remove_file(path);
            Err(error)
        }
    }
}

/// Fills the empty database from a file.
pub(crate) async fn import(directory: &Directory, path: &Path, json: Json) -> anyhow::Result<()> {
    let tally = if path == Path::new("-") {
        directory.import(&mut BufReader::new(io::stdin())).await
    } else {
        let file = File::open(path);
        let file = file.with_context(|| format!("cannot read {}", path.display()))?;
        directory.import(&mut BufReader::new(file)).await
    };
    let tally = tally.with_context(|| format!("cannot import {}", path.display()))?;
    output::one(&output::tally(&tally), json)?;
    Ok(())
}
