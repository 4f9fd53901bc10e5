//! One read: snapshot, shape, `COPY`, rows, position.

use std::time::Duration;

use arrow_array::ArrayRef;
use serde_json::{Map, Value, json};
use sluice_core::{
    Cell, ColumnType, Cursor, Error, Kind, Result, RunId, Schema, Table,
    extract::{ExtractRun, Plan},
    sources::Source,
};
use tokio_postgres::error::SqlState;

use crate::{
    client::Session,
    config::PostgresConfig,
    copy,
    error::classify,
    position::{Position, Scope, Snapshot},
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
    /// A read of more rows is divided into parts of about so many; 0: none is.
    pub split_rows: u64,
}

impl Default for Options {
    /// A look-back of ten thousand: hundreds of sessions with a cached block of sequence values each, and one short index
    /// scan. Parts of twenty million rows: a few minutes of the fifteen that a function has.
    fn default() -> Self {
        Options { lookback: 10_000, split_rows: 20_000_000 }
    }
}

/// Where rows go, in batches and in no particular order. It lives on a thread of its own and may block: the connection is
/// read only as fast as the sink takes batches, so that nothing piles up between them.
pub trait BatchSink: Send + 'static {
    /// What is left of a sink at its end.
    type Done: Send + 'static;

    /// Takes one array per column of the table's contract. The rows in `unfit`, in order, are to be left out and kept
    /// elsewhere: their values in the arrays are placeholders. The sink checks the contract of the others.
    fn batch(&mut self, columns: Vec<ArrayRef>, unfit: &[UnfitRow<'_>]) -> Result<()>;

    /// Called after the last row, and not at all when the read has failed.
    fn finish(self) -> Result<Self::Done>;
}

/// A row with values that no column can hold.
#[derive(Debug, Clone, PartialEq)]
pub struct UnfitRow<'a> {
    /// Its place in the batch.
    pub row: usize,
    /// One cell per column, NULL where the value does not fit.
    pub cells: Vec<Cell<'a>>,
    /// Never empty.
    pub values: Vec<Unfit<'a>>,
}

/// A value that exists in PostgreSQL and in no contract type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfit<'a> {
    pub column: &'a str,
    pub original: String,
    pub rule: &'static str,
}

/// What a finished read hands to its commit.
#[derive(Debug, Clone, PartialEq)]
pub struct Read {
    /// Where the next read starts; unchanged when there was nothing to read, so that such a run commits nothing.
    pub cursor: Option<Cursor>,
    pub facts: Map<String, Value>,
}

/// Reads the run's table from its cursor on, in one read-only transaction, and gives every row to the sink.
pub async fn read<S: BatchSink>(
    config: &PostgresConfig,
    options: Options,
    run: &ExtractRun<'_>,
    sink: S,
) -> Result<(Read, S::Done)> {
    let source = SourceTable::of(run)?;
    let reading = Reading::begin(config, options, run, &source).await?;
    let Reading { session, shape, snapshot, scope, .. } = &reading;
    let statement = sql::copy(source.schema, source.table, &shape.fields, &shape.cursor(&source), scope, None);
    let scanned = copy::stream(session, &statement, &shape.fields, shape.cursor_index, sink).await?;
    reading.end(run).await?;

    let cursor = if scanned.rows == 0 {
        run.cursor.cloned()
    } else {
        let (previous, read_to) = (reading.previous.as_ref(), scanned.largest_cursor);
        Some(Cursor::encode(&Position::after(previous, scope, snapshot, read_to, &reading.identity))?)
    };
    let mut facts = reading.facts();
    facts.insert("rows_read".into(), scanned.rows.into());
    Ok((Read { cursor, facts }, scanned.done))
}

/// Counts what [`read`] would give to its sink, in a transaction of the same kind, and tells the range of the cursor's
/// values. Nothing is copied out.
pub async fn plan(config: &PostgresConfig, options: Options, run: &ExtractRun<'_>) -> Result<Plan> {
    let source = SourceTable::of(run)?;
    let reading = Reading::begin(config, options, run, &source).await?;
    let count = sql::count(source.schema, source.table, &reading.shape.cursor(&source), &reading.scope);
    let failed = |error| classify(error, "cannot count the rows of the source's table");
    let row = reading.session.client.query_one(&count, &[]).await.map_err(failed)?;
    let rows: i64 = row.try_get(0).map_err(failed)?;
    let (first, last): (Option<i64>, Option<i64>) = (row.try_get(1).map_err(failed)?, row.try_get(2).map_err(failed)?);
    reading.end(run).await?;
    let mut facts = reading.facts();
    facts.insert("cursor_range".into(), json!({ "first": first, "last": last }));
    Ok(Plan { rows: u64::try_from(rows).ok(), facts })
}

/// A transaction under way: what it sees, and which of it is to be read.
pub(crate) struct Reading {
    pub session: Session,
    pub snapshot: Snapshot,
    pub shape: Shape,
    pub previous: Option<Position>,
    pub identity: String,
    pub scope: Scope,
    /// For how many seconds the oldest writing transaction had been open; `None` without one, and where the role may not
    /// see it.
    oldest_transaction: Option<i64>,
}

impl Reading {
    pub async fn begin(
        config: &PostgresConfig,
        options: Options,
        run: &ExtractRun<'_>,
        source: &SourceTable<'_>,
    ) -> Result<Self> {
        let previous = run.cursor.map(Cursor::decode::<Position>).transpose()?;
        let session = Session::open(config, run.run_id).await?;
        let server = server_identity(&session).await?;
        let oldest_transaction = oldest_transaction(&session).await?;
        let begin = sql::begin(STATEMENT_TIMEOUT.as_millis(), LOCK_TIMEOUT.as_millis(), IDLE_TIMEOUT.as_millis());
        let begun = session.client.batch_execute(&begin).await;
        begun.map_err(|error| classify(error, "cannot begin the read"))?;

        let snapshot = snapshot(&session).await?;
        let shape = Shape::of(&session, source).await?;
        let identity = format!("{server}/{}", shape.tables);
        let scope = Scope::new(previous.as_ref(), &snapshot, &identity, options.lookback)?;
        let scope = match source.from {
            Some(from) => scope.starting_at(from),
            None => scope,
        };
        tracing::info!(run_id = %run.run_id, table = %run.table.table, snapshot = %snapshot.text, ?scope, "reading");
        if let Some(seconds) = oldest_transaction.filter(|seconds| *seconds >= LONG_OPEN.as_secs() as i64) {
            tracing::warn!(
                table = %run.table.table, seconds,
                "a writing transaction stays open; what is committed meanwhile is read again by every run until it ends"
            );
        }
        Ok(Reading { session, snapshot, shape, previous, identity, scope, oldest_transaction })
    }

    /// The end of a statement that failed after its last row is seen here.
    pub async fn end(&self, run: &ExtractRun<'_>) -> Result<()> {
        let ended = self.session.client.batch_execute("COMMIT").await;
        ended.map_err(|error| classify(error, "the read did not end well").with("table", &run.table.table))
    }

    pub fn facts(&self) -> Map<String, Value> {
        let Reading { session, snapshot, shape, scope, oldest_transaction, .. } = self;
        let mut facts = Map::new();
        facts.insert("server_version".into(), session.server_version.as_str().into());
        facts.insert("snapshot".into(), snapshot.text.as_str().into());
        facts.insert("in_flight".into(), (snapshot.xmin < snapshot.next).into());
        if let Some(seconds) = oldest_transaction {
            facts.insert("oldest_transaction_seconds".into(), (*seconds).into());
        }
        let scope = match scope {
            Scope::Everything(why) => json!({ "everything": why.to_string() }),
            Scope::Since(since) => json!({ "above": since.above }),
            Scope::From(from, since) => json!({ "from": from, "above": since.and_then(|since| since.above) }),
        };
        facts.insert("scope".into(), scope);
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
    cursor: &'a str,
    /// The value that the request wants the read to start from.
    pub from: Option<i64>,
    contract: &'a Schema,
}

impl<'a> SourceTable<'a> {
    pub fn of(run: &ExtractRun<'a>) -> Result<Self> {
        let Table { table: id, source, columns, .. } = run.table;
        let Source::Postgres { schema, table, cursor } = source else {
            return Err(Error::config("the table's source in platform/sources.yaml is not postgres").with("table", id));
        };
        if run.request.from.is_some() || run.request.to.is_some() {
            let refused = "a postgres table is read by its cursor, not by dates; use full_refresh to read it again";
            return Err(Error::unsupported(refused).with("table", id));
        }
        let position = columns.position(cursor);
        if position.is_none_or(|at| columns.columns()[at].column_type != ColumnType::Bigint) {
            return Err(Error::config("the cursor of a postgres table must be a bigint column of its contract")
                .with("table", id)
                .with("cursor", cursor));
        }
        let from = run.request.from_cursor.as_deref().map(str::parse).transpose().map_err(|error| {
            Error::config("from_cursor of a postgres table must be a whole number").with("table", id).because(error)
        })?;
        Ok(SourceTable { run_id: run.run_id, schema, table, cursor, from, contract: columns })
    }

    fn mismatch(&self, kind: Kind, message: impl Into<String>) -> Error {
        Error::new(kind, message)
            .with("source", format_args!("{}.{}", self.schema, self.table))
            .with("run_id", self.run_id)
    }
}

/// Asked before the transaction, as a refusal would end it. A service that does not tell leaves the tables' identity
/// and the counter's direction as the signs of another history.
async fn server_identity(session: &Session) -> Result<String> {
    match session.client.query_one(sql::SERVER, &[]).await {
        Ok(row) => row.try_get(0).map_err(|error| classify(error, "cannot read the server's identity")),
        Err(error) => match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::UNDEFINED_FUNCTION) => Ok("unknown".to_owned()),
            _ => Err(classify(error, "cannot ask for the server's identity")),
        },
    }
}

/// Asked before the transaction for the same reason.
async fn oldest_transaction(session: &Session) -> Result<Option<i64>> {
    let failed = |error| classify(error, "cannot ask for the oldest transaction");
    match session.client.query_opt(sql::OLDEST_TRANSACTION, &[]).await {
        Ok(row) => row.map_or(Ok(None), |row| row.try_get(0)).map_err(failed),
        Err(error) => match error.code() {
            Some(&SqlState::INSUFFICIENT_PRIVILEGE | &SqlState::UNDEFINED_TABLE | &SqlState::UNDEFINED_COLUMN) => {
                Ok(None)
            }
            _ => Err(failed(error)),
        },
    }
}

async fn snapshot(session: &Session) -> Result<Snapshot> {
    let failed = |error| classify(error, "cannot take a snapshot");
    let row = session.client.query_one(sql::SNAPSHOT, &[]).await.map_err(failed)?;
    Snapshot::new(row.try_get(0).map_err(failed)?, row.try_get(1).map_err(failed)?)
}

/// What the source's table looks like now, held against the contract.
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
    pub fn cursor<'a>(&self, source: &SourceTable<'a>) -> CursorColumn<'a> {
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
            return Err(source.mismatch(Kind::Unsupported, refused));
        }

        let rows = client.query(sql::COLUMNS, &[&source.schema, &source.table]).await.map_err(failed)?;
        let mut present: Vec<(String, bool)> = Vec::with_capacity(rows.len());
        for row in rows {
            present.push((row.try_get("name").map_err(failed)?, row.try_get("is_required").map_err(failed)?));
        }
        let contract = source.contract.columns();
        let is_present = |name: &str| present.iter().any(|(column, _)| column == name);
        let missing: Vec<&str> = contract.iter().map(|c| c.name.as_str()).filter(|name| !is_present(name)).collect();
        if !missing.is_empty() {
            let message = format!("the source's table lacks columns of the contract: {}", missing.join(", "));
            return Err(source.mismatch(Kind::SchemaMismatch, message));
        }

        let describe = sql::describe(source.schema, source.table, contract.iter().map(|column| column.name.as_str()));
        let described = client.prepare(&describe).await.map_err(failed)?;
        let fields = contract
            .iter()
            .zip(described.columns())
            .map(|(column, found)| {
                Field::new(column, found.type_()).map_err(|e| source.mismatch(e.kind(), e.to_string()))
            })
            .collect::<Result<Vec<_>>>()?;
        let cursor_index = fields
            .iter()
            .position(|field| field.name == source.cursor && field.is_integer())
            .ok_or_else(|| source.mismatch(Kind::SchemaMismatch, "the cursor column is not an integer"))?;
        Ok(Shape {
            fields,
            cursor_index,
            cursor_nullable: present.iter().any(|(name, required)| name == source.cursor && !required),
            tables,
            extra: present
                .into_iter()
                .map(|(name, _)| name)
                .filter(|name| source.contract.position(name).is_none())
                .collect(),
        })
    }
}
