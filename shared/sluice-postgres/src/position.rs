//! Where a read stands, and why the next one misses nothing.
//!
//! Rows become visible in the order of commits, not of their cursor values: a transaction may draw 5, another draws and
//! commits 6, and 5 appears later. A cursor that says "above 6" loses 5 for good. So a position keeps two things.
//!
//! **What was seen.** Every row carries the transaction that inserted it (`xmin`), and every snapshot has a lowest
//! transaction still in flight. A transaction below that had ended when the snapshot was taken: its rows were seen then
//! or never will be. Hence the new rows are among those whose transaction is at or above the *previous snapshot's*
//! xmin. That is more than what `pg_visible_in_snapshot` calls new, and on purpose: a snapshot lists only top-level
//! transactions, so a row of a subtransaction (a savepoint, an exception block) that was in flight passes for visible.
//! The price is that of what is committed while an older writing transaction stays open, some may be read again (see below);
//! the target inserts a row only if it is absent, so reading again changes nothing and reading too little would be a loss.
//! For how long the oldest such transaction has been open is among the read's facts.
//!
//! **Where to look.** Filtering by transaction needs a bound on the cursor column, or every run would scan the table.
//! After each read the largest value read is marked, together with the next transaction number that the server would
//! give out. Once a later snapshot's xmin has reached that number, every transaction that existed at the mark has ended
//! and its rows have been read: nothing at or below the mark can appear any more, and the mark becomes [`high`]. A
//! snapshot's own xmax will not do for this: it is the last *completed* transaction plus one, and a transaction above
//! it may be in flight without being listed. A mark waits at most for the longest transaction of the cluster; until
//! then the next run scans from the earlier one, and a mark that is waiting is not replaced, so that an always busy
//! cluster proves one mark after another.
//!
//! **The look-back.** One thing precedes its transaction number: a value drawn from a sequence (a statement evaluates
//! its default before its first write; a session may cache a block of values, or call `nextval` long before). Such a
//! value may come below the mark by a transaction above it. The scan therefore begins a look-back of values below
//! [`high`]; the transaction filter keeps it from reading rows twice.
//!
//! **Wrap-around.** `xmin` has 32 bits of a 64-bit counter. A visible row's transaction is below the snapshot's xmax,
//! so its distance from xmax, modulo 2^32, is at most its true distance: a row can only look newer than it is, never
//! older. Freezing changes nothing, as it leaves the number in the row (since PostgreSQL 9.4).
//!
//! **What was seen, exactly.** Of the transactions at or above the snapshot's xmin, the read has seen some: those whose rows
//! it met. They are remembered, as long as they are few, and left out by the next read: what is committed beside a transaction
//! that stays open is then read once, and a run that finds nothing else has found nothing new. It is exact, because all rows
//! of a transaction, or of a savepoint within one, become visible at the same moment.
//!
//! **Numbers that begin again.** The bound is right as long as values only grow. `TRUNCATE … RESTART IDENTITY`, a `DELETE` of
//! everything, a table that was filled from a backup: new rows then have values below the bound, and a read that believes in
//! it never looks there. So a position also keeps what must still be true of a table that only grew: the row with the largest
//! value is there, and by the same transaction; the files of the table and its partitions are the same; its sequence has not
//! gone back. If something is not, the bound is forgotten, once: the whole table is looked through for transactions that have
//! not been seen. A table that was only rewritten as it was (`VACUUM FULL`, `CLUSTER`) keeps its rows' transactions, so that
//! nothing of it is read again; one that was written again, row by row, is read again.
//!
//! **Another history.** Transaction numbers mean something only within one cluster, one timeline and one set of
//! physical tables. After a restore, a failover, a migration or a newly attached partition the position is not
//! trusted, and everything is read again, whatever value a request would have started from: the next position belongs to
//! the new history, so what this read leaves out nobody would read.
//!
//! [`high`]: Position::high

use std::fmt;

use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result};

/// `xmin` counts modulo this.
const XID_WRAP: u64 = 1 << 32;

/// What a read saw of the server's transactions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// `pg_current_snapshot()` as text.
    pub text: String,
    /// The lowest transaction in flight: all below have ended.
    pub xmin: u64,
    /// One above the last transaction that had ended: none at or above is visible.
    pub xmax: u64,
    /// The next transaction number the server would have given out, read after the snapshot was taken.
    pub next: u64,
}

impl Snapshot {
    /// `age` is `age(xmin)`: how far the server's counter is ahead of xmin.
    pub(crate) fn new(text: String, age: i32) -> Result<Self> {
        let (xmin, xmax) = bounds(&text)?;
        let age = u64::try_from(age)
            .map_err(|error| Error::internal("the server's counter is behind its snapshot").because(error))?;
        // The counter is read after the snapshot, so it cannot be below; the maximum states it for the marks.
        Ok(Snapshot { xmin, xmax, next: (xmin + age).max(xmax), text })
    }
}

impl Snapshot {
    /// Whether everything that an earlier snapshot has seen is seen by this one. On one server it always is; a replica
    /// may be behind the one that the earlier snapshot was taken on. (A replica's snapshot lists nothing: there the
    /// bounds decide alone.)
    pub(crate) fn covers(&self, earlier: &str) -> Result<bool> {
        let (xmin, xmax) = bounds(earlier)?;
        let in_flight = |snapshot: &str| -> Vec<u64> {
            let list = snapshot.splitn(3, ':').nth(2).unwrap_or_default();
            list.split(',').filter_map(|number| number.parse().ok()).collect()
        };
        let then = in_flight(earlier);
        let unseen = in_flight(&self.text).into_iter().any(|now| now < xmax && !then.contains(&now));
        Ok(self.xmin >= xmin && self.xmax >= xmax && !unseen)
    }
}

fn bounds(snapshot: &str) -> Result<(u64, u64)> {
    let mut parts = snapshot.splitn(3, ':').map(str::parse::<u64>);
    match (parts.next(), parts.next()) {
        (Some(Ok(xmin)), Some(Ok(xmax))) if xmin <= xmax => Ok((xmin, xmax)),
        _ => Err(Error::invalid_data("a snapshot is not of the form xmin:xmax:list").with("snapshot", snapshot)),
    }
}

/// The cursor of a PostgreSQL table, as its commit keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Position {
    /// No row at or below can appear any more, but for the look-back's cases. `None`: nothing is known to be complete.
    pub high: Option<i64>,
    /// The largest value ever read.
    pub read_to: Option<i64>,
    /// The snapshot of the last read.
    pub snapshot: String,
    /// What becomes `high` once its transactions have ended.
    pub pending: Option<Mark>,
    /// The cluster, timeline and tables that the numbers belong to.
    pub source: String,
    /// Transactions at or above the snapshot's xmin whose rows have been read. None is named where they were too many.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub seen: Vec<u32>,
    /// The transaction that wrote the row of `read_to`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub written_by: Option<i64>,
    #[serde(flatten)]
    pub table: TableState,
}

/// What of a table tells that its rows are still those that were there, and its numbers still grow. Commits of earlier
/// builds tell nothing of it, and not every server tells everything.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableState {
    /// The files that hold the rows, of each partition.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub files: Option<String>,
    /// The last number of the cursor column's sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sequence: Option<i64>,
}

impl TableState {
    /// Why the bound of a position that found `before` is not to be believed.
    fn restart_since(&self, before: &TableState) -> Option<Restart> {
        let changed =
            |now: &Option<String>, before: &Option<String>| now.is_some() && before.is_some() && now != before;
        if changed(&self.files, &before.files) {
            return Some(Restart::AnotherFile);
        }
        let went_back = self.sequence.zip(before.sequence).is_some_and(|(now, before)| now < before);
        went_back.then_some(Restart::SequenceWentBack)
    }

    /// Of what the server does not tell now, what it told before: a sequence that was restarted has no last number until the
    /// next one is drawn, and that one is compared.
    fn or(self, before: &TableState) -> Self {
        TableState { files: self.files.or_else(|| before.files.clone()), sequence: self.sequence.or(before.sequence) }
    }
}

/// The largest value read at some time, and the transactions that may still add values below it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub read_to: i64,
    /// All transactions below had begun when the mark was made.
    pub next_xid: u64,
}

/// The rows of one part, within the scope of the read: cursor values above one and up to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Range {
    /// `None`: from the beginning, and the rows that have no value.
    pub above: Option<i64>,
    pub to: i64,
}

/// Which rows a read must fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Scope {
    /// All of them.
    Everything(Why),
    /// Those that a position has not seen.
    Since(Since),
    /// All others, for a proof: no run reads them again.
    Behind(Since),
    /// All from this value on, as the request said, and, with a position, those that it has not seen.
    From(i64, Option<Since>),
}

/// Why a read takes every row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Why {
    NoCursor,
    AnotherSource,
    CounterWentBack,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::NoCursor => "no cursor",
            Why::AnotherSource => "the cluster, its timeline or the table is another one",
            Why::CounterWentBack => "the server's transaction counter went back",
        })
    }
}

/// Why the whole table is looked through for rows that have not been seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Restart {
    LastRowIsGone,
    AnotherFile,
    SequenceWentBack,
}

impl fmt::Display for Restart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Restart::LastRowIsGone => "the last row that was read is gone or was written again",
            Restart::AnotherFile => "the table was emptied or rewritten",
            Restart::SequenceWentBack => "the numbers of the cursor column begin again",
        })
    }
}

/// The condition on a row, in numbers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Since {
    /// Only cursor values above; `None` when no bound is known.
    pub above: Option<i64>,
    pub transactions: Option<Transactions>,
    /// Transactions whose rows have been read although they are among those.
    pub seen: Vec<u32>,
    /// There was a bound, and it is not believed.
    pub restart: Option<Restart>,
}

/// Rows whose `xmin` is at most `distance` below `xmax`, counted modulo 2^32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Transactions {
    pub xmax: u32,
    pub distance: u64,
}

impl Scope {
    /// The scope when the request names the value to start from. A position that can be trusted still counts: rows below
    /// the value that it has not seen are read too, or moving on would lose them. One that cannot be trusted leaves all of
    /// them to be read.
    pub(crate) fn starting_at(self, from: i64) -> Self {
        match self {
            Scope::Everything(Why::NoCursor) => Scope::From(from, None),
            Scope::Everything(Why::AnotherSource | Why::CounterWentBack) => self,
            Scope::Since(since) | Scope::From(_, Some(since)) => Scope::From(from, Some(since)),
            Scope::From(_, None) => Scope::From(from, None),
            Scope::Behind(_) => self,
        }
    }

    /// The rows that this leaves out: those that the position before has behind it. Where that position is not believed,
    /// nothing is.
    pub(crate) fn behind(self) -> Result<Self> {
        let why = match self {
            Scope::Since(since) => match since.restart {
                None => return Ok(Scope::Behind(since)),
                Some(restart) => restart.to_string(),
            },
            Scope::Everything(why) => why.to_string(),
            Scope::From(..) | Scope::Behind(_) => "the request names a value to start from".to_owned(),
        };
        let error = Error::conflict(format!("nothing lies behind the cursor of the newest commit: {why}"));
        Err(error
            .as_final()
            .with_hint("run the table once, which reads what the cursor does not tell of, then ask again"))
    }

    /// What the read counts on of the position before: it is of the same history, and its bound holds.
    fn continues(&self) -> bool {
        match self {
            Scope::Since(since) | Scope::From(_, Some(since)) => since.restart.is_none(),
            Scope::Everything(_) | Scope::From(_, None) | Scope::Behind(_) => false,
        }
    }

    pub(crate) fn restart(&self) -> Option<Restart> {
        match self {
            Scope::Since(since) | Scope::From(_, Some(since)) => since.restart,
            Scope::Everything(_) | Scope::From(_, None) | Scope::Behind(_) => None,
        }
    }

    /// `last_row_is_there`: the row of the position's largest value, as it was written then.
    pub(crate) fn new(
        previous: Option<&Position>,
        now: &Snapshot,
        source: &str,
        lookback: u32,
        table: &TableState,
        last_row_is_there: bool,
    ) -> Result<Self> {
        let Some(previous) = previous else { return Ok(Scope::Everything(Why::NoCursor)) };
        let (seen_xmin, seen_xmax) = bounds(&previous.snapshot)?;
        if previous.source != source {
            return Ok(Scope::Everything(Why::AnotherSource));
        }
        let Some(distance) = now.xmax.checked_sub(seen_xmin).filter(|_| now.xmax >= seen_xmax) else {
            return Ok(Scope::Everything(Why::CounterWentBack));
        };
        // Further apart than the counter's width, the numbers no longer tell anything.
        let transactions = (distance < XID_WRAP).then_some(Transactions { xmax: now.xmax as u32, distance });
        let restart =
            if last_row_is_there { table.restart_since(&previous.table) } else { Some(Restart::LastRowIsGone) };
        if restart.is_some() {
            // What was seen of a transaction was seen above the bound.
            return Ok(Scope::Since(Since { above: None, transactions, seen: Vec::new(), restart }));
        }
        let above = previous.high.map(|high| high.saturating_sub(i64::from(lookback)));
        let seen = if transactions.is_some() { previous.seen.clone() } else { Vec::new() };
        Ok(Scope::Since(Since { above, transactions, seen, restart }))
    }
}

/// What a read found, for the position after it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Found {
    /// The largest value that is known of the table: what was read, or had been before.
    pub read_to: Option<i64>,
    pub written_by: Option<i64>,
    pub seen: Vec<u32>,
    pub table: TableState,
}

impl Position {
    /// The largest value that is known after a read of `scope` which met values up to `largest`.
    pub(crate) fn read_to(previous: Option<&Position>, scope: &Scope, largest: Option<i64>) -> Option<i64> {
        largest.max(previous.filter(|_| scope.continues()).and_then(|previous| previous.read_to))
    }

    /// The position after a read of `scope` that saw `now` and found this.
    pub(crate) fn after(
        previous: Option<&Position>,
        scope: &Scope,
        now: &Snapshot,
        source: &str,
        found: Found,
    ) -> Self {
        let previous = previous.filter(|_| scope.continues());
        let Found { read_to, written_by, seen, table } = found;
        let mut position = Position {
            high: previous.and_then(|previous| previous.high),
            read_to,
            snapshot: now.text.clone(),
            pending: previous.and_then(|previous| previous.pending),
            source: source.to_owned(),
            seen,
            written_by,
            table: if let Some(previous) = previous { table.or(&previous.table) } else { table },
        };
        // Twice, because the mark that waited and the one made now may both be proven by this snapshot.
        position.prove(now);
        position.pending = position.pending.or(read_to.map(|read_to| Mark { read_to, next_xid: now.next }));
        position.prove(now);
        position
    }

    fn prove(&mut self, now: &Snapshot) {
        if let Some(mark) = self.pending.take_if(|mark| now.xmin >= mark.next_xid) {
            self.high = self.high.max(Some(mark.read_to));
        }
    }
}

#[cfg(test)]
mod tests;
