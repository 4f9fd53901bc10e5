//! The warehouse of a table's replay and of its proof: the side tables, the comparisons and the swap over the SQL API.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use sluice_core::{
    Commit, DataFile, Error, Result, RunId, Sequence, Table, TableId,
    port::{Row, Secrets, required},
};
use sluice_pipeline::{
    prove,
    rebuild::{Compared, Entry, Rows, Scope, Standing, Status, Swapped, Values, Warehouse, has_no_line},
};

use crate::{
    Observer,
    answer::{text, value},
    auth::held,
    sql::{
        evolve::{self, Present},
        load, lock,
        rebuild::{self as sql, Pair, Rebuild},
        swap::{ALREADY_REPLAYED, REPLAYED},
    },
};

/// Copying and comparing millions of rows takes minutes.
const LONGEST: Duration = Duration::from_secs(3_600);

/// One replay's or proof's view of its table.
pub struct RebuildTable<'a, Sec> {
    observer: &'a Observer<Sec>,
    table: &'a Table,
    id: &'a str,
    by: &'a str,
    /// The raw table's columns when the side table was made.
    columns: Mutex<Vec<Present>>,
}

impl<'a, Sec: Secrets> RebuildTable<'a, Sec> {
    /// `id`: upper-case letters and digits, new for each; `by`: who asks for it, as AWS knows them.
    pub fn new(observer: &'a Observer<Sec>, table: &'a Table, id: &'a str, by: &'a str) -> Self {
        RebuildTable { observer, table, id, by, columns: Mutex::default() }
    }

    async fn ask(&self, statement: &str) -> Result<Vec<Row>> {
        self.observer.run(&format!("replay:{}", self.id), statement, LONGEST).await
    }

    fn with<T>(&self, render: impl FnOnce(&Rebuild<'_>) -> T) -> T {
        let columns = held(&self.columns).clone();
        let RebuildTable { observer, table, id, by, .. } = self;
        render(&Rebuild { table, lake: &observer.lake_id, id, by, columns: &columns })
    }

    async fn make(&self, side: &TableId) -> Result<()> {
        self.ask(&sql::drop_side(side)).await?;
        let create = self.with(|rebuild| rebuild.create(side))?;
        self.ask(&create).await.map(drop)
    }

    async fn load(&self, block: &str, commit: Option<&Commit>) -> Result<()> {
        let answer = self.ask(block).await?;
        let said = answer.first().and_then(|row| row.get(load::RESULT_COLUMN)?.as_deref()).unwrap_or_default();
        let names = commit.into_iter().flat_map(|commit| commit.schema.columns()).map(|column| column.name.as_str());
        let of = |error: Error| error.with("table", &self.table.table);
        load::refuse_differing(said, names).map_err(|error| match commit {
            Some(commit) => of(error).with("commit", commit.sequence),
            None => of(error),
        })
    }

    async fn compared(&self, pair: impl FnOnce(&Rebuild<'_>) -> (String, Vec<String>)) -> Result<Compared> {
        let (statement, columns) = self.with(pair);
        compared(&self.ask(&statement).await?, columns)
    }
}

fn of_pair(pair: &Pair<'_>) -> (String, Vec<String>) {
    (pair.compare(), pair.compared().to_vec())
}

impl<Sec: Secrets> Warehouse for RebuildTable<'_, Sec> {
    fn side_table(&self) -> TableId {
        sql::side_table(&self.table.table, self.id)
    }

    /// The lock first: what it remembers and the ledger does not show yet was loaded a moment ago.
    async fn look(&self) -> Result<Standing> {
        let (lake, table) = (&self.observer.lake_id, &self.table.table);
        self.ask(&lock::create(lake, table)).await?;
        let mark = self.ask(&sql::mark(lake, table)).await?;
        let mark = mark.first().map(|row| required(row, "recent").map(str::to_owned)).transpose()?;
        let mark = mark.ok_or_else(|| Error::not_found("the table's lock has no row").with("table", table))?;
        let entries = self.ask(&sql::entries(lake, table)).await?;
        let entries: Vec<Entry> = entries.iter().map(entry).collect::<Result<_>>()?;
        let is_known = |number: u64| {
            let sequence = Sequence(number);
            entries.iter().any(|entry| entry.sequence == sequence && entry.status == Status::Loaded)
        };
        // What stands before the first comma may have been cut.
        let mut remembered = mark.split(',').skip(1).filter_map(|part| part.parse().ok());
        if let Some(number) = remembered.find(|number| !is_known(*number)) {
            let error = Error::unavailable("the ledger does not show a load yet that the table's lock remembers");
            let hint = "call again in a moment; if it stays so, a row of ADMIN.OBSERVABILITY.LOADS was deleted";
            return Err(error.with("table", table).with("sequence", number).with_hint(hint));
        }
        Ok(Standing { entries, mark: (!has_no_line(self.table)).then_some(mark) })
    }

    async fn begin(&self) -> Result<()> {
        let rows = self.ask(&evolve::columns(&self.table.table)).await?;
        let present: Vec<Present> = rows.iter().map(Present::of).collect::<Result<_>>()?;
        if present.is_empty() {
            let text = "the raw table does not exist; make it with `sluice warehouse apply` (docs/add-a-table.md)";
            return Err(Error::not_found(text).with("table", &self.table.table));
        }
        *held(&self.columns) = present;
        self.make(&self.side_table()).await
    }

    async fn add(&self, commit: &Commit) -> Result<()> {
        self.load(&load::side::add(commit, &self.side_table())?, Some(commit)).await
    }

    async fn compare(&self, scope: &Scope) -> Result<Compared> {
        self.compared(|rebuild| of_pair(&rebuild.with_table(scope))).await
    }

    async fn swap(&self, scope: &Scope, mark: Option<&str>, delete: bool) -> Result<Swapped> {
        let commits = format!("commits up to {}", scope.newest);
        let swap = self.with(|rebuild| rebuild.with_table(scope).swap(mark, &commits, delete))?;
        let answer = self.ask(&swap).await?;
        match answer.first().map(|row| required(row, load::RESULT_COLUMN)).transpose()? {
            Some(REPLAYED | ALREADY_REPLAYED) => Ok(Swapped::Done),
            Some(sql::MOVED) => Ok(Swapped::Moved),
            other => {
                let error = Error::internal("the swap answered something else than how it ended");
                Err(error.with("answer", other.unwrap_or("nothing")))
            }
        }
    }

    async fn drop_side_table(&self) -> Result<()> {
        self.ask(&sql::drop_side(&self.side_table())).await.map(drop)
    }
}

impl<Sec: Secrets> prove::Warehouse for RebuildTable<'_, Sec> {
    async fn fill_source(&self, behind: &[DataFile], ahead: &[DataFile]) -> Result<()> {
        let side = sql::source_table(&self.table.table, self.id);
        self.make(&side).await?;
        self.load(&load::side::fill(&side, behind, ahead)?, None).await
    }

    async fn compare_source(&self) -> Result<Compared> {
        self.compared(|rebuild| of_pair(&rebuild.with_source())).await
    }

    async fn drop_source_table(&self) -> Result<()> {
        self.ask(&sql::drop_side(&sql::source_table(&self.table.table, self.id))).await.map(drop)
    }
}

fn entry(row: &Row) -> Result<Entry> {
    Ok(Entry {
        sequence: Sequence(value(row, "sequence")?),
        run_id: RunId(required(row, "run_id")?.to_owned()),
        status: match required(row, "status")? {
            "submitted" => Status::Submitted,
            "loaded" => Status::Loaded,
            "failed" => Status::Failed,
            other => return Err(Error::internal(format!("the ledger has an unknown status '{other}'"))),
        },
        rows: value(row, "rows_loaded")?,
        reason: text(row, "reason"),
    })
}

/// A row for each commit, which counts the compared columns by their numbers.
fn compared(rows: &[Row], columns: Vec<String>) -> Result<Compared> {
    let mut commits = BTreeMap::new();
    let named = |column: &String| Values { column: column.clone(), ..Values::default() };
    let mut values: Vec<Values> = columns.iter().map(named).collect();
    for row in rows {
        let mut differing = Vec::new();
        for (at, values) in (1..).zip(&mut values) {
            let count = |what: &str| value::<u64>(row, &format!("{what}_{at}"));
            values.built += count("built")?;
            values.held += count("held")?;
            let differs = count("differing")?;
            values.differing += differs;
            differing.extend((differs > 0).then(|| values.column.clone()));
        }
        let rows = Rows {
            built: value(row, "built")?,
            held: value(row, "held")?,
            only_built: value(row, "only_built")?,
            only_held: value(row, "only_held")?,
            differing: value(row, "differing")?,
            twice: value(row, "twice")?,
            columns: differing,
        };
        commits.insert(value(row, "number")?, rows);
    }
    Ok(Compared { commits, columns: values })
}
