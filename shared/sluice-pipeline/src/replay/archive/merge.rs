//! Overlapping objects of one partition, in the order of their first offsets, as records in the order of theirs.

use std::{collections::BTreeMap, rc::Rc};

use sluice_core::{Error, Record, Result};

/// A record and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Placed {
    pub record: Record,
    /// The object's key.
    pub key: Rc<str>,
    /// The line in it, counted from 1.
    pub line: i64,
}

/// Holds the records that a later object may bring again: no more than what overlaps.
#[derive(Debug, Default)]
pub(super) struct Merge {
    waiting: BTreeMap<i64, Placed>,
    repeated: u64,
}

impl Merge {
    /// Takes an object's records. Of a record that lies in several objects the first one counts.
    pub(super) fn add(&mut self, key: &str, records: Vec<Record>) -> Result<()> {
        let key: Rc<str> = key.into();
        for (record, line) in records.into_iter().zip(1..) {
            match self.waiting.get(&record.offset) {
                None => {
                    self.waiting.insert(record.offset, Placed { record, key: Rc::clone(&key), line });
                }
                Some(placed) if placed.record == record => self.repeated += 1,
                Some(placed) => {
                    let text = "the archive holds two different records under one offset: a topic that was created again \
                                under the old cluster id";
                    return Err(Error::invalid_data(text)
                        .with("offset", record.offset)
                        .with("one", &placed.key)
                        .with("other", &key));
                }
            }
        }
        Ok(())
    }

    /// The records below an offset, which no object can bring again whose first offset is not below it.
    pub(super) fn take_below(&mut self, offset: i64) -> impl Iterator<Item = Placed> + use<> {
        let rest = self.waiting.split_off(&offset);
        std::mem::replace(&mut self.waiting, rest).into_values()
    }

    /// How many records came again.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }
}
