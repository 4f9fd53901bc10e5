//! Tables that change: evolved by a commit, added by an entry of `sources.yaml`, refused where the contract says no.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use extract_postgres::{Config, Deps, handler};
use sluice_core::{
    Column, Commit, Error, Kind, LakeId, Result, RunId, Secret, Sources, Table,
    drift::Action,
    event::Announcement,
    extract::{ExtractRequest, Outcome},
    lake,
    port::{Bus, DelayedQueue, Row, Secrets, Statements, SystemClock},
    sources::Source,
};
use sluice_lambda::{ExtractAnswer, ExtractEvent, Invocation, each_due};
use sluice_pipeline::load::{self, CommitRef, Load, Loaded, PollPolicy, Warehouse as _};
use sluice_snowflake::{Known, Loads};
use tokio_postgres::{Client, NoTls, config::Host};
use uuid::Uuid;

use crate::support::{BUCKET, LAKE, Lake, Warehouse, foundation, sources};

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const POLL_POLICY: PollPolicy = PollPolicy { poll: Duration::from_secs(30), limit: Duration::from_secs(3_600) };

/// A bus that remembers.
#[derive(Default)]
pub(crate) struct Announced(RefCell<Vec<Announcement>>);

impl Bus for Announced {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.0.borrow_mut().push(announcement);
        Ok(())
    }
}

/// No read is so large here that it would be partitioned.
pub(crate) struct NoQueue;

impl DelayedQueue for NoQueue {
    async fn send(&self, _: &serde_json::Value, _: Duration) -> Result<()> {
        Err(Error::internal("a message that nobody takes"))
    }
}

/// The warehouse's statements, one of which is lost: before it runs, or only its answer.
struct Crash<'a, S> {
    inner: S,
    /// The tags of all of them.
    tags: &'a RefCell<Vec<String>>,
    at: Option<usize>,
    after_acting: bool,
    calls: Cell<usize>,
}

impl<S: Statements> Statements for Crash<'_, S> {
    async fn execute(&self, statement: &str, request: Uuid, tag: &str) -> Result<Vec<Row>> {
        self.tags.borrow_mut().push(tag.to_owned());
        let call = self.calls.replace(self.calls.get() + 1);
        if self.at == Some(call) && !self.after_acting {
            return Err(Error::unavailable("crashed before the statement"));
        }
        let answer = self.inner.execute(statement, request, tag).await;
        if self.at == Some(call) { Err(Error::unavailable("crashed after the statement")) } else { answer }
    }
}

pub(crate) struct Loader<'a> {
    warehouse: &'a Warehouse,
    bus: Announced,
    sources: Sources,
    tags: RefCell<Vec<String>>,
}

impl<'a> Loader<'a> {
    pub(crate) fn new(warehouse: &'a Warehouse, contract: &Table) -> Self {
        let mut sources = sources();
        sources.tables = vec![contract.clone()];
        Loader { warehouse, bus: Announced::default(), sources, tags: RefCell::default() }
    }

    /// One delivery to a fresh instance of the function, whose given statement is lost.
    pub(crate) async fn deliver(&self, commit: &Commit, crash: Option<(usize, bool)>) -> Result<Loaded> {
        self.warehouse.put_object(&lake::log_key(&commit.table, commit.sequence), commit.encode()?);
        let statements = Crash {
            inner: self.warehouse.sql(),
            tags: &self.tags,
            at: crash.map(|(at, _)| at),
            after_acting: crash.is_some_and(|(_, after)| after),
            calls: Cell::new(0),
        };
        let (pipe, attempt, known) = (self.warehouse.snowpipe(), Uuid::new_v4().to_string(), Known::default());
        let at = CommitRef { table: commit.table.clone(), sequence: commit.sequence };
        let load = Load {
            store: &self.warehouse.lake(),
            warehouse: &Loads { statements, pipe: &pipe, attempt: &attempt, known: &known },
            bus: &self.bus,
            queue: &NoQueue,
            clock: &SystemClock,
            sources: &self.sources,
            lake_id: &LakeId(LAKE.into()),
            poll_policy: POLL_POLICY,
        };
        load.commit(&at).await
    }

    pub(crate) async fn loads(&self, commit: &Commit) {
        let loaded = self.deliver(commit, None).await.expect("a delivery");
        assert_eq!(loaded, Loaded::Done { rows: commit.rows, merged_away: 0, already: false });
    }
}

pub(crate) fn product(id: u64, more: &str) -> String {
    format!(
        "SELECT {id}::BIGINT AS audit_id, 1::BIGINT AS product_id, 'a' AS product_name, \
         1.5::DECIMAL(18,4) AS price_usd, 'INSERT' AS operation, TIMESTAMP '2026-01-01 00:00:00' AS valid_ts{more}"
    )
}

/// A commit with one more column, that has evolved.
fn with_column(mut commit: Commit, name: &str, column_type: &str) -> Commit {
    commit.schema.0.push(Column::optional(name, column_type.parse().expect("a type")));
    let change = serde_json::json!({"kind": "new", "column": name, "to": column_type, "action": "evolved"});
    commit.drift.push(serde_json::from_value(change).expect("a change"));
    commit
}

pub(crate) fn products() -> Table {
    sources().table(&PRODUCTS.parse().expect("a name")).expect("a shipped table").clone()
}

#[tokio::test]
async fn an_evolved_commit_brings_its_columns_and_older_commits_still_load() {
    let warehouse = Warehouse::founded().await;
    let loader = Loader::new(&warehouse, &products());
    let older = warehouse.commit(PRODUCTS, 1, 1, &product(1, ""));
    let newer =
        warehouse.commit(PRODUCTS, 2, 1, &product(2, ", DATE '2026-02-03' AS born, 1.25::DECIMAL(6,2) AS \"it's\""));
    let newer = with_column(with_column(newer, "born", "date"), "it's", "decimal(6,2)");
    let wider = warehouse.commit(PRODUCTS, 3, 1, &product(3, ", 12345678.25::DECIMAL(12,2) AS \"it's\""));
    let wider = with_column(wider, "it's", "decimal(12,2)");
    loader.loads(&newer).await;
    loader.loads(&wider).await;
    loader.loads(&older).await;
    let narrow_again = warehouse.commit(PRODUCTS, 4, 1, &product(4, ", 1.5::DECIMAL(6,2) AS \"it's\""));
    loader.loads(&with_column(narrow_again, "it's", "decimal(6,2)")).await;
    let rows = "SELECT concat_ws(' ', AUDIT_ID, coalesce(BORN::VARCHAR, '-'), coalesce(\"IT'S\"::VARCHAR, '-')) \
                FROM DLT__APPLICATION_DATA.PRODUCTS ORDER BY AUDIT_ID";
    assert_eq!(warehouse.column(rows).await, ["1 - -", "2 2026-02-03 1.25", "3 - 12345678.25", "4 - 1.50"]);
}

#[tokio::test]
async fn a_crash_between_new_column_and_load_is_mended_by_the_next_delivery() {
    let warehouse = Warehouse::founded().await;
    let loader = Loader::new(&warehouse, &products());
    let mut sequence = 0;
    for after_acting in [false, true] {
        // The ledger, the columns, two changes of the table, its lock, the load.
        for call in 0..6 {
            sequence += 1;
            let names = [format!("a{sequence}"), format!("b{sequence}")];
            let more = format!(", 7::BIGINT AS {}, 'x' AS {}", names[0], names[1]);
            let commit = warehouse.commit(PRODUCTS, sequence, 1, &product(sequence, &more));
            let commit = with_column(with_column(commit, &names[0], "bigint"), &names[1], "text");
            let crashed = loader.deliver(&commit, Some((call, after_acting))).await;
            assert_eq!(crashed.expect_err("a crash").kind(), Kind::Unavailable, "call {call}");
            let again = loader.deliver(&commit, None).await.expect("the next delivery");
            assert!(matches!(again, Loaded::Done { rows: 1, .. }), "call {call}: {again:?}");
            let row = format!(
                "SELECT {} || {} FROM DLT__APPLICATION_DATA.PRODUCTS WHERE AUDIT_ID = {sequence}",
                names[0], names[1]
            );
            assert_eq!(warehouse.column(&row).await, ["7x"], "call {call}, after acting: {after_acting}");
        }
    }
}

#[tokio::test]
async fn an_undeclared_column_fails_the_commit_until_it_is_added_and_retried() {
    let warehouse = Warehouse::founded().await;
    let mut loader = Loader::new(&warehouse, &products());
    let mut commit = warehouse.commit(PRODUCTS, 1, 1, &product(1, ", 7::BIGINT AS stock"));
    commit.schema.0.push(Column::optional("stock", "bigint".parse().expect("a type")));
    for known in [false, true] {
        match loader.deliver(&commit, None).await.expect("an end") {
            Loaded::Failed { reason, already } => assert!(already == known && reason.contains("stock"), "{reason}"),
            other => panic!("{other:?} is no failure"),
        }
    }
    let told: Vec<&str> = loader.bus.0.borrow().iter().map(|announcement| announcement.detail_type).collect();
    assert_eq!(told, ["LoadFailed"]);
    assert_eq!(warehouse.column("SELECT count(*) FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["0"]);

    // The entry in sources.yaml names the column now.
    loader.sources.tables[0].columns = commit.schema.clone();
    let (statements, pipe, known) = (warehouse.sql(), warehouse.snowpipe(), Known::default());
    let function = Loads { statements, pipe: &pipe, attempt: "retry", known: &known };
    let at = CommitRef { table: commit.table.clone(), sequence: commit.sequence };
    function.forget_failure(&commit.lake_id, &at).await.expect("forgotten");
    loader.loads(&commit).await;
    assert_eq!(warehouse.column("SELECT STOCK FROM DLT__APPLICATION_DATA.PRODUCTS").await, ["7"]);
    function.forget_failure(&commit.lake_id, &at).await.expect("nothing to forget");
    let state = function.ledger(&commit.lake_id, &at, None).await.expect("a state");
    assert_eq!(state, load::LedgerState::Loaded { rows: 1 }, "what is loaded is not forgotten");
}

#[tokio::test]
async fn every_statement_of_a_load_and_its_event_carry_the_id_of_the_run() {
    let warehouse = Warehouse::founded().await;
    let loader = Loader::new(&warehouse, &products());
    let commit = warehouse.commit(PRODUCTS, 1, 1, &product(1, ", 7::BIGINT AS stock"));
    let commit = Commit { run_id: RunId("run-of-the-rows".into()), ..with_column(commit, "stock", "bigint") };
    loader.loads(&commit).await;
    let of = |tag: &str| -> Option<String> {
        Some(tag.strip_prefix("sluice:")?.strip_suffix(":run-of-the-rows")?.split(':').next()?.to_owned())
    };
    let tags = loader.tags.take();
    let kinds: Vec<Option<String>> = tags.iter().map(|tag| of(tag)).collect();
    let expected = ["ledger", "columns", "evolve-0", "lock", "load"].map(|kind| Some(kind.to_owned()));
    assert_eq!(kinds, expected, "{tags:?}");
    assert_eq!(loader.bus.0.borrow()[0].detail["run_id"], "run-of-the-rows");

    let statements =
        Crash { inner: warehouse.sql(), tags: &loader.tags, at: None, after_acting: false, calls: Cell::new(0) };
    let (pipe, known) = (warehouse.snowpipe(), Known::default());
    let function = Loads { statements, pipe: &pipe, attempt: "run-of-the-sweep", known: &known };
    let swept = function.known(&commit.lake_id, &commit.table, chrono::DateTime::UNIX_EPOCH).await.expect("the ledger");
    assert_eq!(swept, [1]);
    assert_eq!(*loader.tags.borrow(), [format!("sluice:sweep:{PRODUCTS}:run-of-the-sweep")]);
}

#[tokio::test]
async fn only_what_snowflake_changes_in_place_is_changed() {
    let warehouse = Warehouse::founded().await;
    let alter = |change: &str| format!("ALTER TABLE {PRODUCTS} ALTER COLUMN PRICE_USD SET DATA TYPE {change}");
    warehouse.run(&alter("NUMBER(20,4)")).await.expect("more digits");
    for refused in ["NUMBER(18,4)", "NUMBER(22,6)", "VARCHAR"] {
        assert!(warehouse.run(&alter(refused)).await.is_err(), "{refused} was accepted");
    }
    assert!(warehouse.run(&format!("ALTER TABLE {PRODUCTS} DROP COLUMN PRICE_USD")).await.is_err());
    assert!(warehouse.run(&format!("DELETE FROM {PRODUCTS} WHERE AUDIT_ID = 1")).await.is_err());
}

/// The one entry that adds a table.
const ENTRY: &str = "
  - table: DLT.APPLICATION_DATA.SUPPLIERS
    description: Who delivers.
    source: { kind: postgres, schema: SCHEMA, table: suppliers, cursor: supplier_id }
    schedule: hourly
    loader: copy
    disposition: merge
    key: [supplier_id]
    contract: evolve
    columns:
      - { name: supplier_id, type: bigint, required: true }
      - { name: name, type: text }
      - { name: rating, type: 'decimal(4,1)' }
";

pub(crate) struct Database {
    admin: Client,
    pub(crate) schema: String,
    secret: String,
}

pub(crate) type Extractor<'a> = Deps<Lake, Announced, NoQueue, &'a Database>;

impl Secrets for &Database {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.secret.clone()))
    }
}

impl Database {
    /// With the table of suppliers, in a schema of the test's.
    pub(crate) async fn new(name: &str) -> Self {
        let url = std::env::var("SLUICE_TEST_POSTGRES").unwrap_or_else(|_| {
            panic!("SLUICE_TEST_POSTGRES must hold the URL of a PostgreSQL server for tests; `make test` starts one")
        });
        let settings: tokio_postgres::Config = url.parse().expect("a URL");
        let (admin, connection) = settings.connect(NoTls).await.expect("a connection");
        tokio::spawn(connection);
        let schema = format!("{name}_{}", std::process::id());
        let Some(Host::Tcp(host)) = settings.get_hosts().first() else { panic!("the URL names no TCP host") };
        let secret = serde_json::json!({
            "host": host, "port": settings.get_ports().first().copied().unwrap_or(5432),
            "dbname": settings.get_dbname().unwrap_or("postgres"), "username": settings.get_user().expect("a user"),
            "password": String::from_utf8_lossy(settings.get_password().unwrap_or_default()), "sslmode": "disable",
        });
        let create = format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.suppliers \
             (supplier_id bigserial PRIMARY KEY, name varchar(40), rating numeric(4,1))"
        );
        admin.batch_execute(&create).await.expect("a table");
        Database { admin, schema, secret: secret.to_string() }
    }

    /// The shipped ones and the suppliers, but for the shop's own table, which is not in this database.
    pub(crate) fn sources(&self) -> Sources {
        let shipped = include_str!("../../../../../platform/sources.yaml");
        let text = format!("{shipped}{}", ENTRY.replace("SCHEMA", &self.schema));
        let mut sources = Sources::parse(&text).expect("valid sources");
        sources.tables.retain(|table| table.table.table != "PRODUCTS");
        sources
    }

    /// The function that extracts from it.
    pub(crate) fn deps(&self, warehouse: &Warehouse) -> Extractor<'_> {
        let config = Config {
            lake_bucket: BUCKET.into(),
            lake_id: LakeId(LAKE.into()),
            bus_name: "bus".into(),
            queue_url: "queue".into(),
            secret: "postgres".into(),
            options: sluice_postgres::Options::default(),
            sources: self.sources(),
        };
        Deps { store: warehouse.lake(), bus: Announced::default(), queue: NoQueue, secrets: self, config }
    }

    pub(crate) async fn run(&self, statement: &str) {
        self.admin
            .batch_execute(&statement.replace("suppliers", &format!("{}.suppliers", self.schema)))
            .await
            .expect("SQL");
    }
}

#[tokio::test]
async fn a_table_is_added_by_one_entry_extracted_made_loaded_and_evolves() {
    let database = Database::new("added").await;
    let sources = database.sources();
    let added = sources.tables.last().expect("the new entry").clone();

    let warehouse = Warehouse::empty().await;
    for statement in foundation(&sources).await {
        warehouse.run(&statement).await.expect("a statement of the foundation");
    }
    let deps = database.deps(&warehouse);
    let loader = Loader::new(&warehouse, &added);
    // The hour comes; what is due is extracted; what was committed is loaded.
    let hour = async || {
        let due = serde_json::json!({"time": "2026-10-05T00:15:00Z", "due": true});
        let event: ExtractEvent = serde_json::from_value(due).expect("an event");
        let invocation = Invocation::new("request", Duration::from_secs(60));
        let is_ours = |source: &Source| matches!(source, Source::Postgres { .. });
        let run = async |request, invocation: &_| handler::handle(request, invocation, &deps).await;
        let answer = each_due(event, &sources, is_ours, &deps.store, &invocation, run).await.expect("a run");
        let ExtractAnswer::Due { runs, .. } = answer else { panic!("the hour is no single table") };
        assert_eq!((runs.len(), runs[0].outcome), (1, Outcome::Committed));
        let sequence = runs[0].sequence.expect("a sequence");
        let commit =
            sluice_pipeline::log::read_commit(&warehouse.lake(), &added.table, sequence).await.expect("a commit");
        loader.loads(&commit).await;
        commit
    };

    database.run("INSERT INTO suppliers (name, rating) VALUES ('Ann', 9.5), ('Bob', NULL)").await;
    hour().await;
    let rows = "SELECT concat_ws(' ', SUPPLIER_ID, NAME, coalesce(RATING::VARCHAR, '-')) \
                FROM DLT__APPLICATION_DATA.SUPPLIERS ORDER BY SUPPLIER_ID";
    assert_eq!(warehouse.column(rows).await, ["1 Ann 9.5", "2 Bob -"]);

    database.run("ALTER TABLE suppliers ADD country varchar(2), ALTER rating TYPE numeric(9,1)").await;
    database.run("INSERT INTO suppliers (name, rating, country) VALUES ('Cy', 12345678.9, 'CY')").await;
    let evolved = hour().await;
    assert_eq!(evolved.schema.fingerprint(), "supplier_id:bigint,name:text,rating:decimal(9,1),country:text");
    let rows = "SELECT concat_ws(' ', SUPPLIER_ID, NAME, coalesce(RATING::VARCHAR, '-'), coalesce(COUNTRY, '-')) \
                FROM DLT__APPLICATION_DATA.SUPPLIERS ORDER BY SUPPLIER_ID";
    assert_eq!(warehouse.column(rows).await, ["1 Ann 9.5 -", "2 Bob - -", "3 Cy 12345678.9 CY"]);
    assert_eq!(deps.bus.0.borrow().iter().map(|a| a.detail_type).collect::<Vec<_>>(), ["DriftDetected"]);

    // Two columns that are one in the warehouse, and one whose name is not lower case.
    let more = "ALTER TABLE suppliers ADD strasse text, ADD \"straße\" text, ADD \"createdAt\" int, ADD stock int, DROP country";
    database.run(more).await;
    database.run("INSERT INTO suppliers (name, strasse, \"straße\") VALUES ('Di', 'one', 'two')").await;
    let evolved = hour().await;
    let columns = "supplier_id:bigint,name:text,rating:decimal(9,1),strasse:text,stock:bigint";
    assert_eq!(evolved.schema.fingerprint(), columns);
    let left_out = evolved.drift.iter().filter(|change| change.action == Action::Ignored);
    assert_eq!(left_out.map(|change| change.column.as_str()).collect::<Vec<_>>(), ["straße", "createdAt"]);
    let rows = "SELECT STRASSE FROM DLT__APPLICATION_DATA.SUPPLIERS WHERE SUPPLIER_ID = 4";
    assert_eq!(warehouse.column(rows).await, ["one"]);

    // A number goes, and comes back as a text: no commit, and all goes on once it is gone again.
    database.run("ALTER TABLE suppliers DROP stock").await;
    database.run("INSERT INTO suppliers (name) VALUES ('Ed')").await;
    let without = hour().await;
    database.run("ALTER TABLE suppliers ADD stock text").await;
    database.run("INSERT INTO suppliers (name, stock) VALUES ('Fe', 'many')").await;
    let time = "2026-10-05T01:15:00Z".parse().expect("a time");
    let request = ExtractRequest::scheduled(added.table.clone(), time);
    let invocation = Invocation::new("request", Duration::from_secs(60));
    let error = handler::handle(request, &invocation, &deps).await.expect_err("the raw table keeps a number");
    assert_eq!(error.kind(), Kind::SchemaMismatch);
    assert!(error.to_string().contains("'stock'"), "{error}");
    database.run("ALTER TABLE suppliers DROP stock").await;
    assert_eq!(hour().await.sequence, without.sequence.next(), "nothing was committed meanwhile");
    database.run(&format!("DROP SCHEMA {} CASCADE", database.schema)).await;
}
