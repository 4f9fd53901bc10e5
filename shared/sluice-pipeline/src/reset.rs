//! Moving a table's cursor by hand: an audited commit, never a deletion.
//!
//! The log only grows, so a cursor moves back by one more commit without files that takes over the cursor of an earlier
//! one. It races for its key like any extract: the first to put it has it, and the other one gets a conflict. What the next
//! extract reads again is loaded again, which is harmless where the table's key tells rows apart.

use sluice_core::{
    Commit, Cursor, Disposition, Error, LakeId, Loader, Reset, Result, RunId, Sequence, Table,
    commit::FORMAT_VERSION,
    drift::OBSERVED_FACT,
    lake,
    port::{Clock, ObjectStore},
};

use crate::log::{self, Put};

/// What a reset would do.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// The newest commit now.
    pub newest: Commit,
    /// The cursor that the next extract would start from.
    pub cursor_then: Option<Cursor>,
}

impl Plan {
    /// Whether the cursor stands there already: then there is nothing to do.
    pub fn is_there(&self) -> bool {
        self.newest.cursor_to == self.cursor_then
    }
}

/// Looks what a reset would do, and refuses the ones that make no sense for the table.
pub async fn plan(store: &impl ObjectStore, table: &Table, to: Sequence) -> Result<Plan> {
    refuse_what_has_no_cursor(table)?;
    let newest = log::newest_commit(store, &table.table).await?.ok_or_else(|| {
        Error::not_found("the table has no commit yet, so there is no cursor to move").with("table", &table.table)
    })?;
    let cursor_then = match to {
        Sequence(0) => None,
        to if to > newest.sequence => {
            return Err(Error::not_found(format!("the newest commit is {}; there is no commit {to}", newest.sequence))
                .with("table", &table.table));
        }
        to => log::read_commit(store, &table.table, to).await?.cursor_to,
    };
    Ok(Plan { newest, cursor_then })
}

/// Commits the reset that was planned. It takes over what the newest commit knows of the source's shape, which the next
/// run compares with: the columns, those that have evolved too, and the drift that was told. `Conflict` when another commit has come in since: its cursor is not the one that
/// was looked at, so somebody has to look again.
pub async fn commit(
    store: &impl ObjectStore,
    clock: &impl Clock,
    lake_id: &LakeId,
    table: &Table,
    run_id: &RunId,
    plan: &Plan,
    reset: &Reset,
) -> Result<Commit> {
    let now = clock.now();
    let newest = &plan.newest;
    let observed = newest.source_facts.get_key_value(OBSERVED_FACT);
    let commit = Commit {
        format_version: FORMAT_VERSION,
        lake_id: lake_id.clone(),
        table: table.table.clone(),
        sequence: newest.sequence.next(),
        run_id: run_id.clone(),
        loader: table.loader,
        disposition: table.disposition,
        key: table.key.clone(),
        version_column: table.version_column.clone(),
        schema: newest.schema.clone(),
        schema_fingerprint: newest.schema_fingerprint.clone(),
        kept: newest.kept.clone(),
        files: Vec::new(),
        rows: 0,
        rejected: None,
        cursor_from: newest.cursor_to.clone(),
        cursor_to: plan.cursor_then.clone(),
        whole_since: None,
        reset: Some(reset.clone()),
        source_facts: observed.map(|(name, fact)| (name.clone(), fact.clone())).into_iter().collect(),
        drift: newest.drift.clone(),
        scheduled_at: now,
        committed_at: now,
    };
    let key = lake::log_key(&table.table, commit.sequence);
    let is_ours = |body: &[u8]| Commit::decode(body).is_ok_and(|existing| existing.run_id == *run_id);
    match log::put_once(store, &key, commit.encode()?, is_ours).await? {
        Put::Ours => Ok(commit),
        Put::Theirs => Err(Error::conflict("another commit has come in meanwhile; look at the table and try again")
            .with("table", &table.table)
            .with("sequence", commit.sequence)),
    }
}

fn refuse_what_has_no_cursor(table: &Table) -> Result<()> {
    let refuse = |why: &str| Err(Error::unsupported(why).with("table", &table.table));
    match (table.loader, table.disposition) {
        (Loader::Streaming, _) => refuse("a streaming table has no commits; its offset is the channel's"),
        (_, Disposition::Replace) => refuse("a replaced table is read whole by each run, so it has no cursor to move"),
        (_, Disposition::Append) if table.key.is_empty() => {
            refuse("rows that are appended without a key would count twice when they are read again")
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
