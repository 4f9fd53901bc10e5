//! Taking out of the lake what a later read has replaced, because a person in it must be forgotten.
//!
//! A source that has deleted a person brings them in no later read. So a table that has been read whole again has them only in
//! the files of the commits before that read. Whether it was, only a commit tells: a read that is under way, or that began at
//! some value, replaces nothing. Those files go, in all their versions; the commits stay, and one
//! more says who did it and why. The warehouse has its rows from the ledger's loads and is not touched.

use futures::{StreamExt, TryStreamExt, stream};
use sluice_core::{
    Commit, Error, LakeId, Loader, Reset, Result, RunId, Sequence, Table,
    port::{Clock, Erasure, Listing, ObjectStore},
    sources::Source,
};

use crate::{leftovers, log, reset};

pub mod topic;

/// How many commits are read, and objects erased, at a time.
const AT_ONCE: usize = 16;

/// What an erasure would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The newest commit now.
    pub newest: Commit,
    /// The commit that began the newest read of the whole source that has come to its end; what lies before it goes.
    pub read_whole: Sequence,
    /// Data files and rejects of the commits before, and what a proof has put for itself. Those that have gone already are among
    /// them.
    pub objects: Vec<String>,
    /// Of the data files.
    pub rows: u64,
    pub bytes: u64,
}

/// Looks what an erasure would take away.
pub async fn plan(store: &(impl ObjectStore + Listing), table: &Table) -> Result<Plan> {
    let refused = |error: Error| error.with("table", &table.table);
    if table.loader == Loader::Streaming {
        let error = Error::unsupported("a streaming table has no commits; its records are in its topic's archive");
        return Err(refused(error));
    }
    if matches!(table.source, Source::ExchangeRates { .. }) {
        let error = Error::unsupported("rates are of no person, and a read of them may be of some days only");
        return Err(refused(error));
    }
    let newest = log::newest_commit(store, &table.table).await?;
    let newest = newest.ok_or_else(|| refused(Error::not_found("the table has no commit yet")))?;
    let reads = (Sequence::FIRST.0..=newest.sequence.0).rev();
    let reads = reads.map(|sequence| log::read_commit(store, &table.table, Sequence(sequence)));
    let commits: Vec<Commit> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
    let read_whole = commits.iter().find_map(|commit| commit.whole_since).ok_or_else(|| {
        let error = Error::not_found("no commit says that the source was read whole, from its beginning to its end");
        refused(error.with_hint("sluice run TABLE --full-refresh --wait, and again without it until nothing is new"))
    })?;
    let before = || commits.iter().filter(|commit| commit.sequence < read_whole);
    let data = before().flat_map(|commit| &commit.files);
    let rejects = before().flat_map(|commit| &commit.rejected).flat_map(|rejected| match &rejected.files[..] {
        [] => std::slice::from_ref(&rejected.path),
        files => files,
    });
    let left = leftovers::find(store, &table.table).await?;
    Ok(Plan {
        objects: data.clone().map(|file| &file.path).chain(rejects).cloned().chain(left).collect(),
        rows: data.clone().map(|file| file.rows).sum(),
        bytes: data.map(|file| file.bytes).sum(),
        read_whole,
        newest,
    })
}

/// Erases what was planned. The commit that says so comes first: what is gone has a reason, whenever this ends. Done again, it
/// erases what is left.
pub async fn erase(
    store: &(impl ObjectStore + Erasure),
    clock: &impl Clock,
    lake_id: &LakeId,
    table: &Table,
    run_id: &RunId,
    plan: &Plan,
    (by, reason): (&str, &str),
) -> Result<Sequence> {
    let reason = format!("files of the commits before {} erased: {reason}", plan.read_whole);
    // It moves no cursor.
    let reset = Reset { to: plan.newest.sequence, by: by.to_owned(), reason, erased_before: Some(plan.read_whole) };
    let standing = reset::Plan { newest: plan.newest.clone(), cursor_then: plan.newest.cursor_to.clone() };
    let commit = reset::commit(store, clock, lake_id, table, run_id, &standing, &reset).await?;
    stream::iter(&plan.objects).map(|key| store.erase(key)).buffered(AT_ONCE).try_collect::<()>().await?;
    Ok(commit.sequence)
}

#[cfg(test)]
mod tests;
