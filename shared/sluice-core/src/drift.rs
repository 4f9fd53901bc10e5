//! What a source looks like now, checked against its table's contract: pure, before anything is read or written.
//!
//! A change of a source's shape is one of five things, and the contract's [`Mode`] says what follows from it. What every
//! row would break stops the run in every mode: to reject a whole table row by row would move the cursor past it.

use serde::{Deserialize, Serialize};

pub use crate::change::{Action, Change, ChangeKind, Severity};
use crate::{Column, ColumnType, Commit, Error, Kind, Mode, Schema, Table, names, sources::Source};

/// The key of a commit's source facts that keeps the columns as the source showed them.
pub const OBSERVED_FACT: &str = "observed_columns";

/// A column as its source shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observed {
    pub name: String,
    /// The source's own name of the type, with its length or precision.
    pub source_type: String,
    /// The contract type that such a column gets when it is new.
    pub becomes: ColumnType,
    /// How much fits, for telling a wider type of the same kind from a narrower one: digits or characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub nullable: bool,
    /// Whether the source can read it as its contract's type. True for a column that the contract does not know.
    #[serde(skip, default = "readable")]
    pub readable: bool,
}

fn readable() -> bool {
    true
}

/// The outcome of [`compare`].
#[derive(Debug, Clone, PartialEq)]
pub struct Drift {
    pub changes: Vec<Change>,
    /// What the run reads and commits: the contract, less what is gone, plus what has evolved.
    pub schema: Schema,
    /// What the raw table has beyond that.
    pub kept: Vec<Column>,
    /// The changed columns in which the source is as the newest commit saw it, or which no commit has seen.
    pub unchanged: Vec<String>,
}

impl Drift {
    /// The changes that the newest commit does not tell of yet.
    pub fn news(&self, newest: Option<&Commit>) -> Vec<&Change> {
        let known = newest.map_or(&[][..], |commit| &commit.drift);
        // Words do not make news: an earlier version told of the same change without a reason.
        let bare = |change: &Change| Change { reason: None, ..change.clone() };
        self.changes.iter().filter(|change| !known.iter().any(|known| bare(known) == bare(change))).collect()
    }

    /// Fails when a change is one that the contract does not let pass, naming each. Where no commit has seen the source
    /// otherwise, it is the entry that is wrong, and the message says so.
    pub fn permit(&self, table: &Table) -> crate::Result<()> {
        let failed = || self.changes.iter().filter(|change| change.action == Action::Failed);
        let is_entrys = |change: &&Change| self.unchanged.contains(&change.column);
        let changes: Vec<String> = failed().filter(|change| !is_entrys(change)).map(Change::to_string).collect();
        let misfits: Vec<String> = failed().filter(is_entrys).map(Change::misfit).collect();
        let mut said = Vec::new();
        if !changes.is_empty() {
            let changes = changes.join("; ");
            said.push(format!("the source has changed in a way that its contract forbids: {changes}"));
        }
        if !misfits.is_empty() {
            said.push(format!("the entry in platform/sources.yaml does not fit its source: {}", misfits.join("; ")));
        }
        let mend = match (changes.is_empty(), misfits.is_empty()) {
            (true, true) => return Ok(()),
            (true, false) => "correct the entry",
            (false, _) => "change the source back, or change the contract in platform/sources.yaml",
        };
        let message = format!("{}; nothing was written; {mend}", said.join("; "));
        Err(Error::new(Kind::SchemaMismatch, message).with("table", &table.table))
    }
}

/// Compares what a source shows with the contract and with what the newest commit knew.
pub fn compare(table: &Table, newest: Option<&Commit>, now: &[Observed]) -> Drift {
    let before = newest.and_then(observed).unwrap_or_default();
    let mut drift = Drift { changes: Vec::new(), schema: Schema(Vec::new()), kept: Vec::new(), unchanged: Vec::new() };
    let compared = Compared { table, newest, raw: Raw::of(table, newest), before: &before, now };
    for column in table.columns.columns() {
        compared.contracted(column, &mut drift);
    }
    for found in now.iter().filter(|found| table.columns.position_of_source(&found.name).is_none()) {
        compared.unlisted(found, &mut drift);
    }
    compared.gone_again(&mut drift);
    pair::mark(&mut drift.changes);
    let columns = drift.changes.iter().map(|change| change.column.clone());
    drift.unchanged = columns.filter(|column| compared.is_unchanged(column)).collect();
    drift.kept = compared.raw.beyond(&drift.schema);
    drift
}

/// The columns as the commit's source showed them; `None` for a source that shows none.
pub fn observed(commit: &Commit) -> Option<Vec<Observed>> {
    let fact = commit.source_facts.get(OBSERVED_FACT)?;
    // What another version wrote is as good as nothing: the next commit writes it again.
    serde_json::from_value(fact.clone()).ok()
}

struct Compared<'a> {
    table: &'a Table,
    newest: Option<&'a Commit>,
    raw: Raw,
    before: &'a [Observed],
    now: &'a [Observed],
}

impl Compared<'_> {
    /// By the contract's name of a column, or the source's where the contract has none.
    fn is_unchanged(&self, column: &str) -> bool {
        let contracted = self.table.columns.columns().iter().find(|known| known.name == column);
        let source = contracted.map_or(column, Column::source);
        let seen = |columns: &[Observed]| {
            columns.iter().find(|found| found.name == source).map(|found| found.source_type.clone())
        };
        self.before.is_empty() || seen(self.before) == seen(self.now)
    }

    /// A column that the contract names.
    fn contracted(&self, column: &Column, drift: &mut Drift) {
        let mode = column.contract.unwrap_or(self.table.contract);
        let wanted = column.column_type;
        let change = |kind, from: String, to: Option<&Observed>, action| Change {
            kind,
            column: column.name.clone(),
            from: Some(from),
            to: to.map(|found| found.source_type.clone()),
            action,
            likely_pair: None,
            reason: None,
        };
        let before = self.before.iter().find(|before| before.name == column.source());
        let Some(found) = self.now.iter().find(|found| found.name == column.source()) else {
            let stops = mode == Mode::Freeze || is_needed(self.table, column);
            let action = if stops { Action::Failed } else { Action::Nulled };
            let from = before.map_or_else(|| wanted.to_string(), |before| before.source_type.clone());
            drift.changes.push(change(ChangeKind::Dropped, from, None, action));
            return;
        };
        let mut kept = column.clone();
        if !found.readable {
            let kind = before.map_or(ChangeKind::Changed, |before| direction(before, found));
            let from = before.map_or_else(|| wanted.to_string(), |before| before.source_type.clone());
            drift.changes.push(change(kind, from, Some(found), Action::Failed));
        } else if let Some(wider) = wider(wanted, found.becomes) {
            let action = match (mode, wider) {
                (Mode::Freeze, _) => Action::Failed,
                (Mode::Evolve, Wider::Digits(evolved)) => {
                    kept.column_type = evolved;
                    Action::Evolved
                }
                // No warehouse changes the decimals of a number in place, and to round would be to lose.
                (Mode::Evolve, Wider::Decimals) | (Mode::Reject, _) => Action::Rejected,
            };
            drift.changes.push(change(ChangeKind::Widened, wanted.to_string(), Some(found), action));
        } else if let Some(before) = before.filter(|before| before.source_type != found.source_type) {
            let kind = direction(before, found);
            drift.changes.push(change(kind, before.source_type.clone(), Some(found), Action::Fits));
        }
        if column.required && found.nullable && before.is_some_and(|before| !before.nullable) {
            let from = found.source_type.clone();
            drift.changes.push(change(ChangeKind::Nullable, from, Some(found), Action::Rejected));
        }
        drift.schema.0.push(kept);
    }

    /// A column that the source has and no column of the contract takes.
    fn unlisted(&self, found: &Observed, drift: &mut Drift) {
        let change = |kind, from, action| Change {
            kind,
            column: found.name.clone(),
            from,
            to: Some(found.source_type.clone()),
            action,
            likely_pair: None,
            reason: None,
        };
        match self.table.contract {
            Mode::Freeze => drift.changes.push(change(ChangeKind::New, None, Action::Failed)),
            Mode::Evolve => match self.evolved(found, &drift.schema) {
                Evolved::Taken(column_type) => {
                    drift.changes.push(change(ChangeKind::New, None, Action::Evolved));
                    drift.schema.0.push(Column::optional(&found.name, column_type));
                }
                Evolved::LeftOut(reason) => {
                    let reason = Some(format!("{reason}; a column with it as source_name would take it"));
                    drift.changes.push(Change { reason, ..change(ChangeKind::New, None, Action::Ignored) });
                }
                Evolved::Clash(held) => {
                    let reason = "the raw table keeps that type; a column of another name, with this one as its source_name, \
                                  would take the new one";
                    let clash = change(ChangeKind::Changed, Some(held.to_string()), Action::Failed);
                    drift.changes.push(Change { reason: Some(reason.to_owned()), ..clash });
                }
            },
            // A column that was there when the contract was written was left out on purpose.
            Mode::Reject => {
                let appeared = !self.before.is_empty() && !self.before.iter().any(|before| before.name == found.name);
                let new = change(ChangeKind::New, None, Action::Ignored);
                let told = self.newest.is_some_and(|commit| {
                    commit.drift.iter().any(|known| known.kind == ChangeKind::New && known.column == found.name)
                });
                if appeared || told {
                    drift.changes.push(new);
                }
            }
        }
    }

    /// What becomes of a new column, beside those that this run reads.
    fn evolved(&self, found: &Observed, read: &Schema) -> Evolved {
        if let Some(refusal) = names::refusal(&found.name) {
            return Evolved::LeftOut(format!("its name {refusal}"));
        }
        let name = &found.name;
        let taken = raw::same(read.columns(), name).or_else(|| raw::same(self.table.columns.columns(), name));
        let held = self.raw.column(name);
        if let Some(other) = taken.or(held.filter(|held| held.name != *name)) {
            return Evolved::LeftOut(format!("in the warehouse it would be the same column as '{}'", other.name));
        }
        match held.map(|held| (held.column_type, grown(held.column_type, found.becomes))) {
            None => Evolved::Taken(found.becomes),
            Some((_, Some(grown))) => Evolved::Taken(grown),
            Some((held, None)) => Evolved::Clash(held),
        }
    }

    /// A column that had evolved and has gone since. Told once: the next commit's schema does not have it.
    fn gone_again(&self, drift: &mut Drift) {
        if self.table.contract != Mode::Evolve {
            return;
        }
        for column in self.newest.iter().flat_map(|commit| commit.schema.columns()) {
            let is_there = self.now.iter().any(|found| found.name == column.source());
            if !is_there && self.table.columns.position(&column.name).is_none() {
                drift.changes.push(Change {
                    kind: ChangeKind::Dropped,
                    column: column.name.clone(),
                    from: Some(column.column_type.to_string()),
                    to: None,
                    action: Action::Nulled,
                    likely_pair: None,
                    reason: None,
                });
            }
        }
    }
}

enum Evolved {
    /// The raw table gets it, or has room for it.
    Taken(ColumnType),
    /// Why.
    LeftOut(String),
    /// The raw table has it with a type that it cannot change.
    Clash(ColumnType),
}

/// A column without which no row keeps the contract, or the platform cannot tell rows apart.
fn is_needed(table: &Table, column: &Column) -> bool {
    let is_cursor = matches!(&table.source, Source::Postgres { cursor, .. } if *cursor == column.name);
    column.required
        || is_cursor
        || table.key.contains(&column.name)
        || table.version_column.as_ref() == Some(&column.name)
}

mod pair;
mod raw;
#[cfg(test)]
mod tests;
mod width;

use raw::Raw;
pub use raw::{kept, permit_contract, untold};
use width::{Wider, direction, grown, wider};
