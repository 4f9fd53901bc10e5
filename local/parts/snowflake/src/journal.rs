//! Rows that were committed while the file was away. A journal is written once, applied once, and gone.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Write},
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::names::Name;

/// What is durable of a channel. The counters never fall, not even when the channel is opened again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) table: Name,
    pub(crate) pipe: String,
    pub(crate) channel: String,
    pub(crate) created_on_ms: i64,
    pub(crate) committed: Option<String>,
    pub(crate) rows_parsed: u64,
    pub(crate) rows_inserted: u64,
    pub(crate) rows_error_count: u64,
    pub(crate) last_error_message: Option<String>,
    pub(crate) last_error_offset_upper_bound: Option<String>,
}

/// Rows of one channel and how the channel stands with them.
#[derive(Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) record: Record,
    /// NDJSON, as it was sent.
    pub(crate) rows: String,
}

/// The folder of journals and the one that is being written.
pub(crate) struct Journal {
    folder: PathBuf,
    current: Option<File>,
}

impl Journal {
    pub(crate) fn in_folder(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder {}", folder.display()))?;
        Ok(Journal { folder: folder.to_owned(), current: None })
    }

    /// Durable when it returns.
    pub(crate) fn append(&mut self, entry: &Entry) -> Result<()> {
        let mut file = match self.current.take() {
            Some(file) => file,
            None => {
                let path = self.folder.join(format!("{}.ndjson", uuid::Uuid::now_v7()));
                File::create_new(&path).with_context(|| format!("cannot make the journal {}", path.display()))?
            }
        };
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        file.write_all(&line).and_then(|()| file.sync_data()).context("cannot write to the journal")?;
        // After a failure the next entry goes to a new file: this one may end in half a line.
        self.current = Some(file);
        Ok(())
    }

    /// The journals that were written, oldest first; none of them is written any more.
    pub(crate) fn finished(&mut self) -> Result<Vec<PathBuf>> {
        self.current = None;
        let paths = fs::read_dir(&self.folder)?.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
        let mut paths: Vec<PathBuf> =
            paths.into_iter().filter(|path| path.extension().is_some_and(|e| e == "ndjson")).collect();
        paths.sort();
        Ok(paths)
    }
}

/// The entries of a journal. A last line without its end was never answered for, and is left out.
pub(crate) fn entries(path: &Path) -> Result<Vec<Entry>> {
    let mut reader = BufReader::new(File::open(path)?);
    let mut entries = Vec::new();
    let mut line = String::new();
    while reader.read_line(&mut line)? > 0 {
        if line.ends_with('\n') {
            entries.push(serde_json::from_str(&line).context("the journal holds a line that is no entry")?);
        }
        line.clear();
    }
    Ok(entries)
}
