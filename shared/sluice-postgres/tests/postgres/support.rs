//! A real PostgreSQL, a schema of its own per test, and a source table read the way a function reads it.

use std::{
    sync::{Arc, Mutex},
    time::{SystemTime, UNIX_EPOCH},
};

use arrow_array::{
    Array, ArrayRef,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType},
};
use arrow_schema::DataType;
use sluice_core::{
    Cell, Cursor, Result, RunId, Secret, Sequence, Table, contract,
    extract::{ExtractRequest, ExtractRun, Plan},
};
use sluice_postgres::{BatchSink, InvalidRow, Options, PostgresConfig, Read, TlsMode, position::Position};
use tokio_postgres::{Client, NoTls, config::Host};

/// Names the variable that must hold the URL of a PostgreSQL that the tests may write to.
const VARIABLE: &str = "SLUICE_TEST_POSTGRES";

/// Any number, the same for all tests on a server: the test that holds it is the only one with transactions in flight.
const LOCK: i64 = 5_702_887;

pub(crate) struct Database {
    settings: tokio_postgres::Config,
    pub schema: String,
    admin: Client,
    /// Of a database of the test's own, that in which the server is held for it.
    parent: Option<Box<Database>>,
}

impl Database {
    /// A new schema, and the server to oneself until the value is dropped: a snapshot sees the transactions of the
    /// whole server, so tests side by side would see each other's.
    pub(crate) async fn new() -> Self {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set: it must hold the URL of a PostgreSQL server for tests; `make test` starts one"
            )
        });
        let settings: tokio_postgres::Config = url.parse().expect("a PostgreSQL URL");
        let admin = connect(&settings).await;
        admin.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.unwrap();
        let nanos = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos();
        let schema = format!("test_{}_{nanos}", std::process::id());
        admin.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        Database { settings, schema, admin, parent: None }
    }

    /// A schema in a database of the test's own, made with these options.
    pub(crate) async fn of_its_own(options: &str) -> Self {
        let parent = Self::new().await;
        let schema = parent.schema.clone();
        parent.run(&format!("CREATE DATABASE $ {options}")).await;
        let mut settings = parent.settings.clone();
        settings.dbname(&schema);
        let admin = connect(&settings).await;
        admin.batch_execute(&format!("CREATE SCHEMA {schema}")).await.unwrap();
        Database { settings, schema, admin, parent: Some(Box::new(parent)) }
    }

    /// A new schema with an empty `changes` table that numbers its rows.
    pub(crate) async fn with_changes() -> (Self, Table) {
        let database = Self::new().await;
        database.run("CREATE TABLE $.changes (id bigserial PRIMARY KEY, name text)").await;
        let table = database.table(
            "changes",
            serde_json::json!([{ "name": "id", "type": "bigint", "required": true }, { "name": "name", "type": "text" }]),
        );
        (database, table)
    }

    /// Runs statements, `$` standing for the test's schema.
    pub(crate) async fn run(&self, statements: &str) {
        on(&self.admin, &self.schema, statements).await;
    }

    /// Another connection: a transaction of its own.
    pub(crate) async fn session(&self) -> Session {
        Session { client: connect(&self.settings).await, schema: self.schema.clone() }
    }

    pub(crate) fn config(&self) -> PostgresConfig {
        let Some(Host::Tcp(host)) = self.settings.get_hosts().first() else { panic!("{VARIABLE} names no TCP host") };
        PostgresConfig {
            host: host.clone(),
            port: self.settings.get_ports().first().copied().unwrap_or(5432),
            dbname: self.settings.get_dbname().unwrap_or("postgres").to_owned(),
            username: self.settings.get_user().expect("a user in the URL").to_owned(),
            password: Secret::new(String::from_utf8_lossy(self.settings.get_password().unwrap_or_default())),
            sslmode: TlsMode::Disable,
            ca_pem: None,
        }
    }

    pub(crate) fn table(&self, name: &str, columns: serde_json::Value) -> Table {
        let cursor = columns[0]["name"].clone();
        serde_json::from_value(serde_json::json!({
            "table": "A.B.C", "description": "d", "loader": "copy", "disposition": "merge", "key": [cursor],
            "source": { "kind": "postgres", "schema": self.schema, "table": name, "cursor": cursor },
            "columns": columns,
        }))
        .unwrap()
    }

    pub(crate) async fn read(&self, table: &Table, cursor: Option<&Cursor>, lookback: u32) -> Result<(Read, Sink)> {
        read_as(&self.config(), table, cursor, lookback).await
    }

    /// Reads with no look-back: the position alone must find every row.
    pub(crate) async fn reader<'a>(&'a self, table: &'a Table) -> Reader<'a> {
        Reader { database: self, table, cursor: None, lookback: 0 }
    }

    pub(crate) async fn drop(self) {
        let held = self.parent.as_deref().unwrap_or(&self);
        if self.parent.is_some() {
            held.run("DROP DATABASE $ WITH (FORCE)").await;
        }
        held.run("DROP SCHEMA $ CASCADE").await;
    }
}

/// Reads as a configuration says, into a sink that checks the contract as the writer of data files does.
pub(crate) async fn read_as(
    config: &PostgresConfig,
    table: &Table,
    cursor: Option<&Cursor>,
    lookback: u32,
) -> Result<(Read, Sink)> {
    let (filling, sink) = Filling::new(table);
    let read = read_into(config, table, cursor, lookback, filling).await?;
    Ok((read, taken(&sink)))
}

pub(crate) async fn read_into<S: BatchSink>(
    config: &PostgresConfig,
    table: &Table,
    cursor: Option<&Cursor>,
    lookback: u32,
    sink: S,
) -> Result<Read> {
    let run_id = RunId("test-run".into());
    let request = request(table, None);
    let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor };
    sluice_postgres::read(config, Options { lookback, ..Options::default() }, &run, sink).await
}

fn request(table: &Table, from_cursor: Option<&str>) -> ExtractRequest {
    ExtractRequest {
        time: "2026-01-02T03:04:05Z".parse().unwrap(),
        table: table.table.clone(),
        full_refresh: false,
        from: None,
        to: None,
        from_cursor: from_cursor.map(str::to_owned),
        dry_run: false,
        aside: None,
    }
}

/// One table read again and again, each time from where the last read stopped.
pub(crate) struct Reader<'a> {
    database: &'a Database,
    table: &'a Table,
    pub cursor: Option<Cursor>,
    pub lookback: u32,
}

impl Reader<'_> {
    /// The ids of the rows that the next read brings, in order.
    pub(crate) async fn ids(&mut self) -> Vec<i64> {
        let (read, sink) = self.database.read(self.table, self.cursor.as_ref(), self.lookback).await.unwrap();
        self.cursor = read.cursor;
        sink.ids()
    }

    /// The same, every row from a value on being asked for.
    pub(crate) async fn ids_from(&mut self, from: &str) -> Result<Vec<i64>> {
        let (run_id, request) = (RunId("test-run".into()), request(self.table, Some(from)));
        let (table, cursor) = (self.table, self.cursor.as_ref());
        let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor };
        let (options, (filling, sink)) =
            (Options { lookback: self.lookback, ..Options::default() }, Filling::new(table));
        self.cursor = sluice_postgres::read(&self.database.config(), options, &run, filling).await?.cursor;
        Ok(taken(&sink).ids())
    }

    /// Whether such a read is of the whole table; the reader stays where it is.
    pub(crate) async fn is_whole(&self, from: Option<&str>) -> bool {
        let (run_id, request) = (RunId("test-run".into()), request(self.table, from));
        let (table, cursor) = (self.table, self.cursor.as_ref());
        let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor };
        let options = Options { lookback: self.lookback, ..Options::default() };
        let (filling, _) = Filling::new(table);
        sluice_postgres::read(&self.database.config(), options, &run, filling).await.unwrap().is_whole
    }

    /// What the next read would bring.
    pub(crate) async fn plan(&self, from: Option<&str>) -> Plan {
        let (run_id, request) = (RunId("test-run".into()), request(self.table, from));
        let (table, cursor) = (self.table, self.cursor.as_ref());
        let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor };
        sluice_postgres::plan(&self.database.config(), Options { lookback: self.lookback, ..Options::default() }, &run)
            .await
            .unwrap()
    }

    /// The ids that the parts of a partitioned read bring, a part holding about `split_rows` rows, and where the reader stands then.
    pub(crate) async fn ids_in_parts(&mut self, from: Option<&str>, split_rows: u64) -> Vec<i64> {
        let (run_id, request) = (RunId("test-run".into()), request(self.table, from));
        let (table, config, cursor) = (self.table, self.database.config(), self.cursor.clone());
        let run = ExtractRun {
            request: &request,
            table,
            run_id: &run_id,
            sequence: Sequence::FIRST,
            cursor: cursor.as_ref(),
        };
        let options = Options { lookback: self.lookback, split_rows };
        let partitioning = sluice_postgres::partition(&config, options, &run).await.unwrap().expect("several parts");
        assert_eq!(partitioning.is_whole, self.is_whole(from).await);
        let mut ids = Vec::new();
        for chunk in &partitioning.chunks {
            let (filling, sink) = Filling::new(table);
            let read = sluice_postgres::read_chunk(&config, options, &run, chunk, &partitioning.cursor, filling).await;
            read.unwrap();
            ids.extend(taken(&sink).ids());
        }
        self.cursor = Some(partitioning.cursor);
        ids.sort_unstable();
        ids
    }

    pub(crate) fn position(&self) -> Position {
        self.cursor.as_ref().expect("a cursor").decode().unwrap()
    }
}

pub(crate) struct Session {
    client: Client,
    schema: String,
}

impl Session {
    pub(crate) async fn run(&self, statements: &str) {
        on(&self.client, &self.schema, statements).await;
    }

    /// What a query of one text says.
    pub(crate) async fn text(&self, query: &str) -> String {
        self.client.query_one(query, &[]).await.unwrap().get(0)
    }
}

async fn on(client: &Client, schema: &str, statements: &str) {
    client.batch_execute(&statements.replace('$', schema)).await.unwrap_or_else(|e| panic!("{statements}: {e:?}"));
}

async fn connect(settings: &tokio_postgres::Config) -> Client {
    let (client, connection) = settings.connect(NoTls).await.unwrap_or_else(|e| panic!("{VARIABLE}: {e:?}"));
    tokio::spawn(connection);
    client
}

/// What a read has brought, as text.
#[derive(Default)]
pub(crate) struct Sink {
    pub rows: Vec<Vec<String>>,
    pub rejected: Vec<String>,
}

impl Sink {
    pub(crate) fn ids(&self) -> Vec<i64> {
        let mut ids: Vec<i64> = self.rows.iter().map(|row| row[0].parse().unwrap()).collect();
        ids.sort_unstable();
        ids
    }
}

/// Fills a sink from the thread of a read.
struct Filling {
    table: Table,
    sink: Arc<Mutex<Sink>>,
}

impl Filling {
    fn new(table: &Table) -> (Self, Arc<Mutex<Sink>>) {
        let sink = Arc::<Mutex<Sink>>::default();
        (Filling { table: table.clone(), sink: Arc::clone(&sink) }, sink)
    }
}

fn taken(sink: &Mutex<Sink>) -> Sink {
    std::mem::take(&mut sink.lock().unwrap())
}

impl BatchSink for Filling {
    fn batch(&mut self, columns: Vec<ArrayRef>, invalid: &[InvalidRow<'_>]) -> Result<()> {
        let mut sink = self.sink.lock().unwrap();
        for row in 0..columns[0].len() {
            if let Some(invalid) = invalid.iter().find(|invalid| invalid.row == row) {
                let values = invalid.values.iter().map(|u| format!("{} {} {}", u.column, u.original, u.rule));
                let values: Vec<String> = values.collect();
                sink.rejected.push(format!("{}: {}", as_text(&invalid.cells[0]), values.join(", ")));
                continue;
            }
            let cells: Vec<Cell<'_>> = columns.iter().map(|column| cell(column, row)).collect();
            match contract::check(&self.table.columns, &cells) {
                Ok(()) => sink.rows.push(cells.iter().map(as_text).collect()),
                Err(violation) => sink.rejected.push(violation.to_string()),
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

fn cell(column: &ArrayRef, row: usize) -> Cell<'_> {
    if column.is_null(row) {
        return Cell::Null;
    }
    match column.data_type() {
        DataType::Int64 => Cell::Bigint(column.as_primitive::<Int64Type>().value(row)),
        DataType::Utf8 => Cell::Text(column.as_string::<i32>().value(row)),
        DataType::Decimal128(..) => Cell::Decimal(column.as_primitive::<Decimal128Type>().value(row)),
        DataType::Timestamp(..) => Cell::Timestamp(column.as_primitive::<TimestampMicrosecondType>().value(row)),
        DataType::Date32 => Cell::Date(column.as_primitive::<Date32Type>().value(row)),
        DataType::Boolean => Cell::Boolean(column.as_boolean().value(row)),
        other => panic!("no column becomes a {other}"),
    }
}

fn as_text(cell: &Cell<'_>) -> String {
    match cell {
        Cell::Null => "null".into(),
        Cell::Bigint(value) => value.to_string(),
        Cell::Text(value) => (*value).to_owned(),
        Cell::Decimal(value) => value.to_string(),
        Cell::Timestamp(value) => value.to_string(),
        Cell::Date(value) => value.to_string(),
        Cell::Boolean(value) => value.to_string(),
    }
}
