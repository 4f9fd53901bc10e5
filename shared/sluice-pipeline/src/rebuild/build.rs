//! Which commits of a table's log make it again, and which of its rows they say nothing of.

use std::collections::BTreeSet;

use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{
    Commit, Disposition, Error, Kind, Loader, Result, Sequence, Table, lake,
    port::{Listing, ObjectStore},
    sources::Source,
};

use crate::log;

/// How many commits are read at a time.
const AT_ONCE: usize = 16;

/// A table's log, in order, and what is gone of its files.
#[derive(Debug, Clone)]
pub struct History {
    pub commits: Vec<Commit>,
    /// The commits of which a data file is not in the lake.
    missing: BTreeSet<Sequence>,
}

/// What a side table is built of.
#[derive(Debug, Clone)]
pub struct Build<'a> {
    /// In order.
    pub commits: Vec<&'a Commit>,
    pub scope: Scope,
    /// The first commit whose files were not erased, if any were.
    pub erased_before: Option<Sequence>,
}

/// The rows that a build says something of: those of its commits, and those of no commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// Rows of a later commit came since.
    pub newest: Sequence,
    /// Commits, from the first to the last of each pair, that were not built: what the table has of them, if the build has
    /// not the same row, is neither right nor wrong.
    pub left_alone: Vec<(Sequence, Sequence)>,
}

impl History {
    /// Refuses a table that has no commits to be made of.
    pub async fn read(store: &(impl ObjectStore + Listing), table: &Table) -> Result<Self> {
        let refused = |error: Error| error.with("table", &table.table);
        if table.loader == Loader::Streaming {
            let error = Error::unsupported("a streaming table has no commits; its topic's archive has its records");
            return Err(refused(error).with_hint("`sluice replay --topic …` makes its rows again"));
        }
        let newest = log::newest_commit(store, &table.table).await?;
        let newest = newest.ok_or_else(|| refused(Error::not_found("the table has no commit yet")))?.sequence;
        let reads =
            (Sequence::FIRST.0..=newest.0).map(|number| log::read_commit(store, &table.table, Sequence(number)));
        let commits: Vec<Commit> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let keys: BTreeSet<String> = store.keys(&lake::data_prefix(&table.table)).await?.into_iter().collect();
        let lacks = |commit: &&Commit| commit.files.iter().any(|file| !keys.contains(&file.path));
        let missing = commits.iter().filter(lacks).map(|commit| commit.sequence).collect();
        Ok(History { commits, missing })
    }

    pub fn newest(&self) -> Sequence {
        self.commits.last().map_or(Sequence(0), |commit| commit.sequence)
    }

    /// What the commits make of which this is true. A commit whose files are gone is of before an erasure, and so is every one
    /// before the read that the erasure left: an erasure that was interrupted has left files that must not come back.
    pub fn build(&self, table: &Table, counts: impl Fn(&Commit) -> bool) -> Result<Build<'_>> {
        let erased_before = self.erased_before(table)?;
        let is_built = |commit: &&Commit| {
            commit.reset.is_none() && erased_before.is_none_or(|first| commit.sequence >= first) && counts(commit)
        };
        let mut commits: Vec<&Commit> = self.commits.iter().filter(is_built).collect();
        // Its rows are the whole table.
        let replaced = commits.iter().rposition(|commit| commit.disposition == Disposition::Replace);
        let built: BTreeSet<Sequence> = commits.iter().map(|commit| commit.sequence).collect();
        commits.drain(..replaced.unwrap_or(0));
        let left_out = self.commits.iter().filter(|commit| commit.reset.is_none() && !built.contains(&commit.sequence));
        let left_alone = ranges(left_out.map(|commit| commit.sequence));
        Ok(Build { commits, scope: Scope { newest: self.newest(), left_alone }, erased_before })
    }

    fn erased_before(&self, table: &Table) -> Result<Option<Sequence>> {
        let told = self.commits.iter().filter_map(|commit| commit.reset.as_ref()?.erased_before).max();
        let unexplained = self.missing.iter().rfind(|sequence| told.is_none_or(|first| **sequence >= first));
        let Some(&gone) = unexplained else { return Ok(told) };
        // A read of rates from no cursor may be of some days only.
        let is_whole = |commit: &&Commit| {
            commit.sequence > gone
                && commit.reset.is_none()
                && commit.cursor_from.is_none()
                && !matches!(table.source, Source::ExchangeRates { .. })
        };
        match self.commits.iter().find(is_whole) {
            Some(whole) => Ok(Some(whole.sequence)),
            None => {
                let text =
                    "data files of a commit are not in the lake, and no later commit is of a read from the beginning";
                let error = Error::new(Kind::NotFound, text).with("table", &table.table).with("commit", gone);
                Err(error.as_final().with_hint(
                    "bring back the files' newest versions (docs/runbooks/the-stack-is-gone.md), or read the table from its \
                     beginning with `sluice run TABLE --full-refresh`",
                ))
            }
        }
    }
}

/// Numbers in order as ranges.
pub(super) fn ranges(numbers: impl Iterator<Item = Sequence>) -> Vec<(Sequence, Sequence)> {
    let mut ranges: Vec<(Sequence, Sequence)> = Vec::new();
    for number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.next() == number => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    ranges
}
