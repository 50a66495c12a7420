//! The whole directory as a file, from one database and into another.
//!
//! A file is lines of JSON: a head that names its format, one line a row, and an
//! end that counts the rows and has the digest of all lines before it. It is the
//! same from either database. It holds personal data, hashes of secrets and the
//! key that seals cursors: it is to be kept like the database itself.

use std::io::{BufRead, Write};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::Directory;
use crate::{
    cursor::KEY_BYTES,
    domain::history::hex,
    error::{Error, Result},
    storage::{
        ancestors, settings, tenants,
        transfer::{Alone, Record, Rows, check, insert},
    },
};

/// What every file begins with.
const FORMAT: &str = "muster-export";

/// The form of the rows. Grows when an older build could not read them.
const VERSION: u32 = 3;

/// The oldest form that this build reads.
const OLDEST: u32 = 1;

/// Longest line, in bytes: the largest resource fits.
const LINE_LIMIT: u64 = 16 * 1024 * 1024;

/// Rows written at once, and how many bytes of lines they may have.
const BATCH: usize = 500;
const BATCH_BYTES: usize = 8 * 1024 * 1024;

#[derive(Serialize, Deserialize)]
struct Head {
    format: String,
    version: u32,
}

#[derive(Serialize, Deserialize)]
struct End {
    end: Tally,
}

/// What was carried.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many rows.
    pub records: u64,
    /// SHA-256 of all lines before, in hexadecimal.
    pub sha256: String,
}

impl Directory {
    /// Writes everything to a file, as it is at one moment.
    ///
    /// # Errors
    /// [`Error::File`], and the database's.
    pub async fn export(&self, out: &mut (impl Write + Send)) -> Result<Tally> {
        let tx = self.store.long_view().await?;
        let mut out = Lines {
            out,
            digest: Sha256::new(),
        };
        out.write(&Head {
            format: FORMAT.to_owned(),
            version: VERSION,
        })?;
        let (mut rows, mut records) = (Rows::new(), 0);
        loop {
            let found = rows.next(&tx).await?;
            if found.is_empty() && rows.is_done() {
                break;
            }
            for record in found {
                out.write(&record)?;
                records += 1;
            }
        }
        let tally = Tally {
            records,
            sha256: hex(&out.digest.clone().finalize()),
        };
        out.write(&End { end: tally.clone() })?;
        out.out.flush().map_err(file)?;
        Ok(tally)
    }

    /// Fills an empty database from a file: all of it, or nothing. The store has
    /// a new epoch afterwards, so that consumers of the feed start anew.
    ///
    /// # Errors
    /// [`Error::File`] for a file that is none, is not whole or breaks a rule;
    /// [`Error::NotEmpty`]; and the database's.
    pub async fn import(&self, file: &mut (impl BufRead + Send)) -> Result<Tally> {
        let alone = self.store.alone().await?;
        if !tenants::list_tenants(alone.tx()).await?.is_empty() {
            return Err(Error::NotEmpty);
        }
        let tally = Reader::new(file).run(&alone).await?;
        check(alone.tx()).await.map_err(not_sound)?;
        ancestors::build(alone.tx()).await?;
        let key = settings::load(alone.tx(), settings::CURSOR_KEY).await?;
        let key = STANDARD.decode(key.unwrap_or_default());
        if !key.is_ok_and(|key| key.len() == KEY_BYTES) {
            return Err(Error::File("its key is none".to_owned()));
        }
        let epoch = self.source.new_id();
        settings::save(alone.tx(), settings::EPOCH, epoch).await?;
        alone.commit().await?;
        Ok(tally)
    }
}

/// What rows that do not fit together are to an operator.
fn not_sound(error: Error) -> Error {
    match error {
        Error::Invalid(_) => Error::File(error.to_string()),
        other => other,
    }
}

fn file(error: impl std::fmt::Display) -> Error {
    Error::File(error.to_string())
}

struct Lines<'a, W> {
    out: &'a mut W,
    digest: Sha256,
}

impl<W: Write> Lines<'_, W> {
    fn write<T: Serialize>(&mut self, value: &T) -> Result<()> {
        let mut line = serde_json::to_vec(value).map_err(file)?;
        line.push(b'\n');
        self.digest.update(&line);
        self.out.write_all(&line).map_err(file)
    }
}

/// Reads a file.
struct Reader<'a, R> {
    file: &'a mut R,
    digest: Sha256,
    number: u64,
}

impl<'a, R: BufRead + Send> Reader<'a, R> {
    fn new(file: &'a mut R) -> Self {
        Self {
            file,
            digest: Sha256::new(),
            number: 0,
        }
    }

    async fn run(mut self, alone: &Alone) -> Result<Tally> {
        let first = self.line()?.unwrap_or_default();
        let head: Head = serde_json::from_slice(&first)
            .map_err(|_| self.wrong("this is no export of muster"))?;
        if head.format != FORMAT {
            return Err(self.wrong("this is no export of muster"));
        }
        if !(OLDEST..=VERSION).contains(&head.version) {
            let theirs = head.version;
            let what = format!("format {theirs}; this muster reads {OLDEST} to {VERSION}");
            return Err(self.wrong(what));
        }
        self.digest.update(&first);
        let (mut batch, mut records, mut bytes) = (Vec::with_capacity(BATCH), 0, 0);
        while let Some(line) = self.line()? {
            if let Ok(End { end }) = serde_json::from_slice(&line) {
                self.flush(alone, &mut batch).await?;
                return self.finish(end, records);
            }
            self.digest.update(&line);
            let record: Record = serde_json::from_slice(&line).map_err(|e| self.wrong(e))?;
            records += 1;
            // Rows of one kind go in together, in the order of the file.
            let follows = batch.last().is_none_or(|last| is_same_kind(last, &record));
            if !follows || batch.len() == BATCH || bytes > BATCH_BYTES {
                self.flush(alone, &mut batch).await?;
                bytes = 0;
            }
            bytes += line.len();
            batch.push(record);
        }
        Err(self.wrong("the file ends too early"))
    }

    async fn flush(&self, alone: &Alone, batch: &mut Vec<Record>) -> Result<()> {
        let rows = std::mem::take(batch);
        match insert(alone.tx(), rows).await {
            Ok(()) => Ok(()),
            Err(error @ (Error::Unavailable(_) | Error::Contention)) => Err(error),
            Err(Error::Internal(cause)) => {
                tracing::debug!(%cause, "rows were refused");
                let what = "the database refuses this line or one shortly before it: \
                            it speaks of what is not there";
                Err(self.wrong(what))
            }
            Err(error) => Err(self.wrong(format!("this line or one shortly before it: {error}"))),
        }
    }

    fn finish(mut self, end: Tally, records: u64) -> Result<Tally> {
        let sha256 = hex(&self.digest.clone().finalize());
        if end != (Tally { records, sha256 }) {
            return Err(self.wrong("the file was changed: count or digest differ"));
        }
        match self.line()? {
            None => Ok(end),
            Some(_) => Err(self.wrong("something follows the end")),
        }
    }

    fn line(&mut self) -> Result<Option<Vec<u8>>> {
        let mut line = Vec::new();
        let mut limited = std::io::Read::take(&mut *self.file, LINE_LIMIT);
        let length = limited.read_until(b'\n', &mut line).map_err(file)?;
        self.number += 1;
        if length as u64 == LINE_LIMIT {
            return Err(self.wrong("the line is too long"));
        }
        Ok((length > 0).then_some(line))
    }

    fn wrong(&self, what: impl std::fmt::Display) -> Error {
        Error::File(format!("line {}: {what}", self.number))
    }
}

fn is_same_kind(one: &Record, other: &Record) -> bool {
    std::mem::discriminant(one) == std::mem::discriminant(other)
}
