//! A transaction that reads a table: its snapshot, the table's shape, and which rows are to be read.

use std::time::Duration;

use serde_json::{Map, Value, json};
use sluice_core::{
    Column, ColumnType, Cursor, Error, Kind, Result, RunId, Schema, Table,
    extract::{AsideRows, ExtractRun},
    sources::Source,
};

use crate::{
    client::Session,
    config::PostgresConfig,
    error::classify,
    lengths::Lengths,
    position::{Position, Scope, Snapshot, TableState},
    server,
    sql::{self, CursorColumn},
    type_map::Field,
};

/// The server stops working for a reader that has gone: a Lambda lives for 15 minutes, and what is left of them after
/// the read belongs to the last part and the commit.
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(13 * 60);

/// An `ALTER TABLE` that holds the table for longer than this will hold it for much longer; the next run comes anyway.
const LOCK_TIMEOUT: Duration = Duration::from_secs(10);

/// No statement of a read waits this long for the one before it; a reader that does has died with its connection open.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// From here on a transaction that stays open is worth a warning: what is committed meanwhile is read again by every run.
const LONG_OPEN: Duration = Duration::from_secs(60 * 60);

/// What a run may be told apart from its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// How many cursor values below the proven position each read scans again, for values that were drawn from their
    /// sequence long before they were written. See [`crate::position`].
    pub lookback: u32,
    /// A read of more rows is partitioned into parts of about this many; 0: none is.
    pub split_rows: u64,
}

impl Default for Options {
    /// A look-back of ten thousand: hundreds of sessions with a cached block of sequence values each, and one short index
    /// scan. Parts of twenty million rows: a few minutes of the fifteen that a function has.
    fn default() -> Self {
        Options { lookback: 10_000, split_rows: 20_000_000 }
    }
}

/// A transaction under way: what it sees, and which of it is to be read.
pub(crate) struct Reading {
    pub session: Session,
    pub snapshot: Snapshot,
    pub shape: Shape,
    pub previous: Option<Position>,
    pub identity: String,
    pub scope: Scope,
    pub table: TableState,
    /// Set where rows may be too long to be taken as they are.
    pub lengths: Option<Lengths>,
    /// For how many seconds the oldest writing transaction had been open; `None` without one, and where the role may not
    /// see it.
    oldest_transaction: Option<i64>,
}

impl Reading {
    pub(crate) async fn begin(
        config: &PostgresConfig,
        options: Options,
        run: &ExtractRun<'_>,
        source: &SourceTable<'_>,
    ) -> Result<Self> {
        let previous = run.cursor.map(Cursor::decode::<Position>).transpose()?;
        let session = Session::open(config, run.run_id).await?;
        let server = server::identity(&session).await?;
        let oldest_transaction = server::oldest_transaction(&session).await?;
        let begin = sql::begin(STATEMENT_TIMEOUT.as_millis(), LOCK_TIMEOUT.as_millis(), IDLE_TIMEOUT.as_millis());
        let failed = |error| classify(error, "cannot begin the read");
        session.client.batch_execute(&begin).await.map_err(failed)?;
        if session.has_any_bytes {
            session.client.batch_execute(sql::AS_BYTES).await.map_err(failed)?;
        }

        let snapshot = server::snapshot(&session).await?;
        let shape = Shape::of(&session, source).await?;
        let identity = format!("{server}/{}", shape.tables);
        let (table, has_long_values) =
            server::table_state(&session, source.schema, source.table, source.cursor).await?;
        let lengths = Lengths::of(&shape.fields).filter(|_| has_long_values);
        let is_there = match &previous {
            Some(previous) if previous.source == identity => {
                last_row_is_there(&session, source, &shape, previous).await?
            }
            Some(_) | None => true,
        };
        let scope = Scope::new(previous.as_ref(), &snapshot, &identity, options.lookback, &table, is_there)?;
        let scope = match source.from {
            Some(from) => scope.starting_at(from),
            None => scope,
        };
        let scope = if run.request.aside == Some(AsideRows::Behind) { scope.behind()? } else { scope };
        tracing::info!(run_id = %run.run_id, table = %run.table.table, snapshot = %snapshot.text, ?scope, "reading");
        if let Some(restart) = scope.restart() {
            tracing::warn!(
                table = %run.table.table, why = %restart,
                "the whole table is looked through for rows that have not been read; a row whose key the target has \
                 already changes there only if the table has a version column"
            );
        }
        if let Some(seconds) = oldest_transaction.filter(|seconds| *seconds >= LONG_OPEN.as_secs() as i64) {
            tracing::warn!(
                table = %run.table.table, seconds,
                "a writing transaction stays open; where much is committed meanwhile, every run reads it again until that ends"
            );
        }
        Ok(Reading { session, snapshot, shape, previous, identity, scope, table, lengths, oldest_transaction })
    }

    /// The largest cursor value of all rows, and whether there is a row.
    pub(crate) async fn extent(&self, source: &SourceTable<'_>) -> Result<(Option<i64>, bool)> {
        let failed = |error| classify(error, "cannot ask for the largest cursor value");
        let statement = sql::extent(source.schema, source.table, &self.shape.cursor(source));
        let row = self.session.client.query_one(&statement, &[]).await.map_err(failed)?;
        Ok((row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?))
    }

    /// The transaction that wrote the row with this value.
    pub(crate) async fn writer(&self, source: &SourceTable<'_>, value: Option<i64>) -> Result<Option<i64>> {
        let Some(value) = value else { return Ok(None) };
        writer(&self.session, source, &self.shape, value).await
    }

    /// The end of a statement that failed after its last row is seen here.
    pub(crate) async fn end(&self, run: &ExtractRun<'_>) -> Result<()> {
        let ended = self.session.client.batch_execute("COMMIT").await;
        ended.map_err(|error| classify(error, "the read did not end well").with("table", &run.table.table))
    }

    pub(crate) fn facts(&self) -> Map<String, Value> {
        let Reading { session, snapshot, shape, scope, oldest_transaction, .. } = self;
        let mut facts = Map::new();
        facts.insert("server_version".into(), session.server_version.as_str().into());
        facts.insert("snapshot".into(), snapshot.text.as_str().into());
        facts.insert("in_flight".into(), (snapshot.xmin < snapshot.next).into());
        if let Some(seconds) = oldest_transaction {
            facts.insert("oldest_transaction_seconds".into(), (*seconds).into());
        }
        let described = match scope {
            Scope::Everything(why) => json!({ "everything": why.to_string() }),
            Scope::Since(since) => json!({ "above": since.above }),
            Scope::Behind(since) => json!({ "behind": since.above }),
            Scope::From(from, since) => json!({ "from": from, "above": since.as_ref().and_then(|since| since.above) }),
        };
        facts.insert("scope".into(), described);
        if let Some(restart) = scope.restart() {
            facts.insert("whole_table_because".into(), restart.to_string().into());
        }
        if !shape.extra.is_empty() {
            facts.insert("drift".into(), json!({ "columns_not_in_contract": shape.extra }));
        }
        facts
    }
}

/// The run's table on the source's side.
pub(crate) struct SourceTable<'a> {
    run_id: &'a RunId,
    pub schema: &'a str,
    pub table: &'a str,
    /// The cursor's place in the contract, and what the source calls it.
    cursor_index: usize,
    cursor: &'a str,
    /// The value that the request wants the read to start from.
    pub from: Option<i64>,
    contract: &'a Schema,
}

impl<'a> SourceTable<'a> {
    pub(crate) fn of(run: &ExtractRun<'a>) -> Result<Self> {
        let Table { table: id, source, columns, .. } = run.table;
        let Source::Postgres { schema, table, cursor } = source else {
            return Err(Error::config("the table's source in platform/sources.yaml is not postgres").with("table", id));
        };
        if run.request.from.is_some() || run.request.to.is_some() {
            let refused = "a postgres table is read by its cursor, not by dates; use full_refresh to read it again";
            return Err(Error::unsupported(refused).with("table", id).about_request());
        }
        let is_whole = |at: &usize| columns.columns()[*at].column_type == ColumnType::Bigint;
        let Some(cursor_index) = columns.position(cursor).filter(is_whole) else {
            return Err(Error::config("the cursor of a postgres table must be a bigint column of its contract")
                .with("table", id)
                .with("cursor", cursor));
        };
        let cursor = columns.columns()[cursor_index].source();
        let from = run.request.from_cursor.as_deref().map(str::parse).transpose().map_err(|error| {
            let refused = Error::config("from_cursor of a postgres table must be a whole number").with("table", id);
            refused.because(error).about_request()
        })?;
        Ok(SourceTable { run_id: run.run_id, schema, table, cursor_index, cursor, from, contract: columns })
    }

    fn mismatch(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, message)
            .with("source", format_args!("{}.{}", self.schema, self.table))
            .with("run_id", self.run_id)
    }

    /// The source is not what the contract says: another shape or another contract is what helps.
    fn unlike(&self, kind: Kind, message: impl Into<String>) -> Error {
        self.mismatch(kind, message).as_final()
    }
}

/// Whether the row of the position's largest value is there, written by the transaction that wrote it then. A position of an
/// earlier build does not name that one.
async fn last_row_is_there(
    session: &Session,
    source: &SourceTable<'_>,
    shape: &Shape,
    position: &Position,
) -> Result<bool> {
    let Some(read_to) = position.read_to else { return Ok(true) };
    let written_by = writer(session, source, shape, read_to).await?;
    Ok(written_by.is_some() && position.written_by.is_none_or(|before| Some(before) == written_by))
}

async fn writer(session: &Session, source: &SourceTable<'_>, shape: &Shape, value: i64) -> Result<Option<i64>> {
    let failed = |error| classify(error, "cannot look for the last row that was read");
    let statement = sql::writer(source.schema, source.table, &shape.cursor(source), value);
    let row = session.client.query_one(&statement, &[]).await.map_err(failed)?;
    row.try_get(0).map_err(failed)
}

/// What the source's table looks like now, checked against the contract.
pub(crate) struct Shape {
    /// In the contract's order.
    pub fields: Vec<Field>,
    /// Which of the fields is the cursor.
    pub cursor_index: usize,
    cursor_nullable: bool,
    /// The tables that hold the rows.
    tables: String,
    /// Columns that the contract does not know: read by nobody, but worth telling.
    extra: Vec<String>,
}

impl Shape {
    pub(crate) fn cursor<'a>(&self, source: &SourceTable<'a>) -> CursorColumn<'a> {
        CursorColumn { name: source.cursor, nullable: self.cursor_nullable }
    }

    async fn of(session: &Session, source: &SourceTable<'_>) -> Result<Self> {
        let failed = |error| classify(error, "cannot read the shape of the source's table");
        let client = &session.client;

        let relation = client.query_one(sql::RELATION, &[&source.schema, &source.table]).await.map_err(failed)?;
        let Some(tables) = relation.try_get::<_, Option<String>>("tables").map_err(failed)? else {
            return Err(source.mismatch(Kind::NotFound, "the source's table does not exist"));
        };
        if !relation.try_get::<_, bool>("has_transactions").map_err(failed)? {
            let refused = "the source is a view or foreign table, whose rows do not tell when they were written";
            return Err(source.unlike(Kind::Unsupported, refused));
        }

        let rows = client.query(sql::COLUMNS, &[&source.schema, &source.table]).await.map_err(failed)?;
        let mut present: Vec<(String, bool)> = Vec::with_capacity(rows.len());
        for row in rows {
            present.push((row.try_get("name").map_err(failed)?, row.try_get("is_required").map_err(failed)?));
        }
        let contract = source.contract.columns();
        let is_present = |name: &str| present.iter().any(|(column, _)| column == name);
        let missing: Vec<&str> = contract.iter().map(Column::source).filter(|name| !is_present(name)).collect();
        if !missing.is_empty() {
            let message = format!("the source's table lacks columns of the contract: {}", missing.join(", "));
            return Err(source.unlike(Kind::SchemaMismatch, message));
        }

        let describe = sql::describe(source.schema, source.table, contract.iter().map(Column::source));
        let described = client.prepare(&describe).await.map_err(failed)?;
        let fields = contract
            .iter()
            .zip(described.columns())
            .map(|(column, found)| {
                Field::new(column, found.type_()).map_err(|e| source.unlike(e.kind(), e.to_string()))
            })
            .collect::<Result<Vec<_>>>()?;
        let cursor_index = source.cursor_index;
        if !fields[cursor_index].is_integer() {
            return Err(source.unlike(Kind::SchemaMismatch, "the cursor column is not an integer"));
        }
        Ok(Shape {
            fields,
            cursor_index,
            cursor_nullable: present.iter().any(|(name, required)| name == source.cursor && !required),
            tables,
            extra: present
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| source.contract.position_of_source(name).is_none())
                .collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::{Sequence, Sources, extract::ExtractRequest};

    use super::*;

    #[test]
    fn a_request_that_no_table_is_read_by_is_refused_as_such() {
        let sources = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("the shipped sources");
        let id = "DLT.APPLICATION_DATA.PRODUCTS".parse().expect("a name");
        let table = sources.table(&id).expect("a shipped table");
        let plain = ExtractRequest::scheduled(id.clone(), chrono::DateTime::UNIX_EPOCH);
        let mistyped = ExtractRequest { from_cursor: Some("x".into()), ..plain.clone() };
        let dated = ExtractRequest { from: Some(chrono::NaiveDate::MIN), ..plain.clone() };
        let run_id = RunId("r".into());
        let of = |request: &ExtractRequest| {
            let run = ExtractRun { request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor: None };
            SourceTable::of(&run).map(|source| source.from)
        };
        for request in [mistyped, dated] {
            let refused = of(&request).expect_err("no table is read so");
            assert!(refused.is_about_request(), "{refused}");
        }
        assert_eq!(of(&plain).expect("everything new"), None);
    }
}
