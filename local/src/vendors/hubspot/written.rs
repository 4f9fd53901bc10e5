//! What clients have written: the values, the history of each, and a journal in which an account outlives its process.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, read_to_string};
use std::io::Write as _;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

/// One value that was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Write {
    pub id: i64,
    pub property: String,
    pub value: String,
    /// Microseconds.
    pub at: i64,
}

#[derive(Default)]
pub(super) struct Written {
    values: BTreeMap<(i64, String), String>,
    pub(super) history: Vec<Write>,
    journal: Option<File>,
}

impl Written {
    pub(super) fn value(&self, id: i64, property: &str) -> Option<&str> {
        self.values.get(&(id, property.to_owned())).map(String::as_str)
    }

    pub(super) fn write(&mut self, write: Write) -> Result<()> {
        if let Some(journal) = &mut self.journal {
            writeln!(journal, "{}", serde_json::to_string(&write)?)
                .context("cannot write the journal of the account")?;
        }
        self.values.insert((write.id, write.property.clone()), write.value.clone());
        self.history.push(write);
        Ok(())
    }

    /// Takes over what the journal holds and goes on in it. A line that was cut off by a kill was not answered.
    pub(super) fn keep_in(&mut self, path: &Path) -> Result<()> {
        let kept = if path.exists() {
            read_to_string(path).context("cannot read the journal of the account")?
        } else {
            String::new()
        };
        for write in kept.lines().filter_map(|line| serde_json::from_str(line).ok()) {
            self.write(write)?;
        }
        let journal = OpenOptions::new().create(true).append(true).open(path);
        let mut journal = journal.with_context(|| format!("cannot open {}", path.display()))?;
        if !kept.is_empty() && !kept.ends_with('\n') {
            writeln!(journal)?;
        }
        self.journal = Some(journal);
        Ok(())
    }

    /// How the property of a record became what it is, the newest first.
    pub(super) fn of(&self, id: i64, property: &str) -> impl Iterator<Item = &Write> {
        self.history.iter().rev().filter(move |write| write.id == id && write.property == property)
    }
}
