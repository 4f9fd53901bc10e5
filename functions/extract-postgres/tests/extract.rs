//! Events into commits, against a real PostgreSQL whose URL is in `SLUICE_TEST_POSTGRES`.

use std::{cell::RefCell, collections::BTreeMap, time::Duration};

use arrow_array::{Array, Decimal128Array, Int64Array};
use bytes::Bytes;
use extract_postgres::{
    config::Config,
    handler::{Deps, handle},
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_core::{
    Commit, Error, Kind, LakeId, Result, Secret, Sources,
    event::Announcement,
    extract::{ExtractRequest, ExtractSummary, Outcome},
    port::{Bus, ObjectStore, PutIfAbsent, Secrets, Stored},
};
use sluice_lambda::Invocation;
use sluice_postgres::Options;
use sluice_testkit::lake::MemoryQueue;
use tokio_postgres::{Client, NoTls, config::Host};

const VARIABLE: &str = "SLUICE_TEST_POSTGRES";

/// Any number, the same for all tests on a server: whoever holds it is the only one with transactions in flight.
const LOCK: i64 = 5_702_887;

const SCHEDULED: &str = include_str!("../../../events/extract-postgres/scheduled.json");
const FULL_REFRESH: &str = include_str!("../../../events/extract-postgres/full-refresh.json");
const UNKNOWN_TABLE: &str = include_str!("../../../events/extract-postgres/unknown-table.json");

#[derive(Default)]
struct Lake(RefCell<BTreeMap<String, Bytes>>);

impl ObjectStore for Lake {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.0.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: "checksum".into() })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        if self.0.borrow().contains_key(key) {
            return Ok(PutIfAbsent::Exists);
        }
        self.put(key, body).await.map(PutIfAbsent::Stored)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Ok(self.0.borrow().keys().find(|key| key.starts_with(prefix)).cloned())
    }
}

/// A bus that remembers.
#[derive(Default)]
struct Announced(RefCell<Vec<Announcement>>);

impl Bus for Announced {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.0.borrow_mut().push(announcement);
        Ok(())
    }
}

struct OneSecret(serde_json::Value);

impl Secrets for OneSecret {
    async fn get(&self, name: &str) -> Result<Secret> {
        if name == "postgres" { Ok(Secret::new(self.0.to_string())) } else { Err(Error::not_found("no such secret")) }
    }
}

/// The shop's database, in a schema of its own, and the function beside it.
struct Shop {
    admin: Client,
    schema: String,
    deps: Deps<Lake, Announced, MemoryQueue, OneSecret>,
}

impl Shop {
    async fn new(name: &str) -> Self {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set: it must hold the URL of a PostgreSQL server for tests; `make test` starts one"
            )
        });
        let settings: tokio_postgres::Config = url.parse().expect("a PostgreSQL URL");
        let (admin, connection) = settings.connect(NoTls).await.unwrap_or_else(|e| panic!("{VARIABLE}: {e:?}"));
        tokio::spawn(connection);
        admin.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.unwrap();
        let schema = format!("test_{}_{name}", std::process::id());
        // Prices are floats, as in the published guide's database.
        let create = format!(
            "CREATE SCHEMA {schema}; CREATE TABLE {schema}.products (audit_id bigserial PRIMARY KEY, \
             product_id bigint, product_name text, price_usd float, operation text, valid_ts timestamp)"
        );
        admin.batch_execute(&create).await.unwrap();

        let Some(Host::Tcp(host)) = settings.get_hosts().first() else { panic!("{VARIABLE} names no TCP host") };
        let secret = serde_json::json!({
            "host": host,
            "port": settings.get_ports().first().copied().unwrap_or(5432),
            "dbname": settings.get_dbname().unwrap_or("postgres"),
            "username": settings.get_user().expect("a user in the URL"),
            "password": String::from_utf8_lossy(settings.get_password().unwrap_or_default()),
            "sslmode": "disable",
        });
        let sources =
            include_str!("../../../platform/sources.yaml").replace("schema: raw_data", &format!("schema: {schema}"));
        let config = Config {
            lake_bucket: "lake".into(),
            lake_id: LakeId("test".into()),
            bus_name: "bus".into(),
            queue_url: "queue".into(),
            secret: "postgres".into(),
            options: Options::default(),
            sources: Sources::parse(&sources).unwrap(),
        };
        Shop {
            admin,
            schema,
            deps: Deps {
                store: Lake::default(),
                bus: Announced::default(),
                queue: MemoryQueue::default(),
                secrets: OneSecret(secret),
                config,
            },
        }
    }

    async fn insert(&self, rows: &str) {
        let insert = format!(
            "INSERT INTO {}.products (product_id, product_name, price_usd, operation, valid_ts) VALUES {rows}",
            self.schema
        );
        self.admin.batch_execute(&insert).await.unwrap();
    }

    async fn handle(&self, event: &str) -> Result<ExtractSummary> {
        let request: ExtractRequest = serde_json::from_str(event).unwrap();
        handle(request, &Invocation::new("request", Duration::from_secs(60)), &self.deps).await
    }

    fn commits(&self) -> Vec<Commit> {
        let lake = self.deps.store.0.borrow();
        let log = lake.iter().filter(|(key, _)| key.contains("/log/"));
        log.map(|(_, body)| Commit::decode(body).unwrap()).collect()
    }

    /// Every committed file's audit ids and prices, in order of the ids.
    fn rows(&self, commit: &Commit) -> Vec<(i64, Option<i128>)> {
        let mut rows = Vec::new();
        for file in &commit.files {
            let body = self.deps.store.0.borrow()[&file.path].clone();
            for batch in ParquetRecordBatchReaderBuilder::try_new(body).unwrap().build().unwrap() {
                let batch = batch.unwrap();
                let ids = batch.column(0).as_any().downcast_ref::<Int64Array>().unwrap().clone();
                let prices = batch.column(3).as_any().downcast_ref::<Decimal128Array>().unwrap().clone();
                rows.extend((0..ids.len()).map(|i| (ids.value(i), prices.is_valid(i).then(|| prices.value(i)))));
            }
        }
        rows.sort_unstable();
        rows
    }

    async fn close(self) {
        self.admin.batch_execute(&format!("DROP SCHEMA {} CASCADE", self.schema)).await.unwrap();
    }
}

#[tokio::test]
async fn a_scheduled_run_commits_what_is_new_and_the_next_one_nothing() {
    let shop = Shop::new("scheduled").await;
    shop.insert("(6, 'Mug', 12.99, 'INSERT', '2026-01-01 10:00'), (2, null, null, 'DELETE', '2026-02-01 09:00')").await;
    let first = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((first.outcome, first.rows, first.rejected, first.files), (Outcome::Committed, 2, 0, 1));
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.insert("(6, 'Mug', 15.99, 'UPDATE', '2026-02-01 14:30')").await;
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 1);

    let [newest, oldest] = &shop.commits()[..] else { panic!("two commits") };
    assert_eq!(shop.rows(oldest), [(1, Some(129_900)), (2, None)]);
    assert_eq!(shop.rows(newest), [(3, Some(159_900))]);
    assert_eq!(newest.cursor_from, oldest.cursor_to);
    assert!(newest.source_facts.contains_key("snapshot"));
    shop.close().await;
}

#[tokio::test]
async fn a_full_refresh_reads_everything_again() {
    let shop = Shop::new("refresh").await;
    shop.insert("(6, 'Mug', 12.99, 'INSERT', '2026-01-01 10:00'), (7, 'Cup', 1, 'INSERT', '2026-01-01 10:00')").await;
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 2);
    assert_eq!(shop.handle(FULL_REFRESH).await.unwrap().rows, 2);
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn rows_that_break_the_contract_are_kept_and_the_rest_is_committed() {
    let shop = Shop::new("rejects").await;
    shop.insert(
        "(1, 'Mug', -0.01, 'INSERT', '2026-01-01'), (2, 'Cup', 'NaN', 'INSERT', '2026-01-01'), \
         (3, 'Pot', 1, 'UPSERT', '2026-01-01'), (4, 'Pan', 1, 'INSERT', 'infinity'), (5, 'Jar', 2, 'INSERT', '2026-01-01')",
    )
    .await;
    let summary = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((summary.rows, summary.rejected), (1, 4));
    let [commit] = &shop.commits()[..] else { panic!("one commit") };
    assert_eq!(shop.rows(commit), [(5, Some(20_000))]);

    let path = &commit.rejected.as_ref().unwrap().path;
    let text = zstd::decode_all(&shop.deps.store.0.borrow()[path][..]).unwrap();
    let lines: Vec<serde_json::Value> =
        std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<(i64, &str)> = lines
        .iter()
        .map(|line| (line["row"]["audit_id"].as_i64().unwrap(), line["reason"].as_str().unwrap()))
        .collect();
    assert_eq!(
        kept,
        [
            (1, "price_usd: is below 0"),
            (2, "price_usd: is not a finite number"),
            (3, "operation: is none of INSERT, UPDATE, DELETE"),
            (4, "valid_ts: is infinite"),
        ]
    );
    assert_eq!((&lines[0]["row"]["price_usd"], &lines[1]["row"]["price_usd"]), (&"-0.0100".into(), &"NaN".into()));
    assert_eq!(lines[3]["row"]["valid_ts"], "infinity");
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew, "rejects are not read again");
    shop.close().await;
}

#[tokio::test]
async fn a_table_that_is_not_in_the_sources_is_refused_before_anything_is_read() {
    let shop = Shop::new("unknown").await;
    let error = shop.handle(UNKNOWN_TABLE).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Config);
    assert!(error.to_string().contains("NO_SUCH_TABLE"), "{error}");
    assert!(shop.deps.store.0.borrow().is_empty());
    shop.close().await;
}

#[tokio::test]
async fn dates_and_tables_of_other_sources_are_refused_by_name() {
    let shop = Shop::new("refused").await;
    let dated = SCHEDULED.replace("\"table\"", "\"from\": \"2026-01-01\", \"table\"");
    let foreign = SCHEDULED.replace("DLT.APPLICATION_DATA.PRODUCTS", "AIRBYTE.HUBSPOT.CONTACTS");
    for (event, kind, part) in [(dated, Kind::Unsupported, "full_refresh"), (foreign, Kind::Config, "not postgres")] {
        let error = shop.handle(&event).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(part), "{error}");
    }
    shop.close().await;
}

/// What the newest commit tells of drift: kind, column, action.
fn drift(shop: &Shop) -> Vec<String> {
    let word = |value: serde_json::Value| value.as_str().unwrap().to_owned();
    let commits = shop.commits();
    let newest = commits.iter().max_by_key(|commit| commit.sequence).unwrap();
    let changes = newest.drift.iter().map(|change| {
        let kind = word(serde_json::to_value(change.kind).unwrap());
        let action = word(serde_json::to_value(change.action).unwrap());
        format!("{} {kind} {action}", change.column)
    });
    changes.collect()
}

impl Shop {
    async fn alter(&self, change: &str) {
        self.admin.batch_execute(&format!("ALTER TABLE {}.products {change}", self.schema)).await.unwrap();
    }

    fn contract(&mut self, mode: &str) {
        let tables = &mut self.deps.config.sources.tables;
        let products = tables.iter_mut().find(|table| table.table.table == "PRODUCTS").unwrap();
        products.contract = serde_json::from_value(mode.into()).unwrap();
    }
}

#[tokio::test]
async fn an_evolving_table_takes_new_columns_and_every_type_becomes_its_counterpart() {
    let mut shop = Shop::new("evolve").await;
    shop.contract("evolve");
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter(
        "ADD stock int4, ADD weight numeric(6,3), ADD born date, ADD note varchar(9), ADD ratio float8, ADD \"Odd\" int",
    )
    .await;
    shop.admin
        .batch_execute(&format!(
            "INSERT INTO {}.products (product_id, operation, valid_ts, stock, weight, born, note, ratio) \
             VALUES (2, 'INSERT', '2026-01-02', 7, 1.250, '2026-01-03', 'new', 0.1)",
            shop.schema
        ))
        .await
        .unwrap();
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 1);
    let commits = shop.commits();
    let newest = commits.iter().max_by_key(|commit| commit.sequence).unwrap();
    assert!(
        newest.schema.fingerprint().ends_with("stock:bigint,weight:decimal(6,3),born:date,note:text,ratio:text"),
        "{}",
        newest.schema.fingerprint()
    );
    assert_eq!(
        drift(&shop),
        [
            "stock new evolved",
            "weight new evolved",
            "born new evolved",
            "note new evolved",
            "ratio new evolved",
            "Odd new ignored"
        ]
    );
    let told: Vec<_> = shop.deps.bus.0.borrow().iter().map(|event| event.detail_type).collect();
    assert_eq!(told, ["DriftDetected"]);
    shop.close().await;
}

#[tokio::test]
async fn a_frozen_table_stops_at_any_change_and_goes_on_when_it_is_undone() {
    let mut shop = Shop::new("freeze").await;
    shop.contract("freeze");
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    for (change, undo, named) in [
        ("ADD stock int", "DROP stock", "'stock' is new (integer)"),
        ("RENAME product_name TO title", "RENAME title TO product_name", "probably renamed: 'title'"),
        ("ALTER price_usd TYPE numeric(20,4)", "ALTER price_usd TYPE float", "'price_usd' is wider"),
        ("ALTER product_id TYPE text", "ALTER product_id TYPE bigint USING product_id::bigint", "another type"),
    ] {
        shop.alter(change).await;
        let before = shop.deps.store.0.borrow().clone();
        let error = shop.handle(SCHEDULED).await.unwrap_err();
        assert_eq!(error.kind(), Kind::SchemaMismatch, "{change}");
        assert!(error.to_string().contains(named), "{change}: {error}");
        assert_eq!(*shop.deps.store.0.borrow(), before, "{change}: something was written");
        shop.alter(undo).await;
    }
    shop.insert("(2, 'Cup', 1, 'INSERT', '2026-01-01')").await;
    // A change of type rewrites the table: its rows count as written anew, and the merge finds them there already.
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().rows, 2);
    shop.close().await;
}

#[tokio::test]
async fn a_rejecting_table_reads_on_without_what_has_gone_and_rejects_what_does_not_fit() {
    let shop = Shop::new("reject").await;
    shop.alter("ALTER price_usd TYPE numeric(18,4)").await;
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter("DROP product_name, ADD stock int, ALTER price_usd TYPE numeric(20,5), ALTER product_id TYPE int4")
        .await;
    shop.admin
        .batch_execute(&format!(
            "INSERT INTO {}.products (product_id, price_usd, operation, valid_ts) \
             VALUES (2, 1.5, 'INSERT', '2026-01-02'), (3, 1.00001, 'INSERT', '2026-01-02'), \
                    (4, 100000000000000, 'INSERT', '2026-01-02')",
            shop.schema
        ))
        .await
        .unwrap();
    let summary = shop.handle(SCHEDULED).await.unwrap();
    // The row of the first run is read again: a change of type has rewritten it.
    assert_eq!((summary.rows, summary.rejected), (2, 2));
    assert_eq!(
        drift(&shop),
        ["product_id narrowed fits", "product_name dropped nulled", "price_usd widened rejected", "stock new ignored"]
    );
    assert_eq!(shop.handle(SCHEDULED).await.unwrap().outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn a_row_whose_key_is_null_is_rejected_and_a_key_that_may_be_null_is_told() {
    let shop = Shop::new("null_key").await;
    shop.insert("(1, 'Mug', 1, 'INSERT', '2026-01-01')").await;
    shop.handle(SCHEDULED).await.unwrap();
    shop.alter("DROP CONSTRAINT products_pkey, ALTER audit_id DROP NOT NULL, ALTER audit_id DROP DEFAULT").await;
    shop.insert("(2, 'Cup', 1, 'INSERT', '2026-01-01')").await;
    let summary = shop.handle(SCHEDULED).await.unwrap();
    assert_eq!((summary.rows, summary.rejected), (0, 1));
    assert_eq!(drift(&shop), ["audit_id nullable rejected"]);
    shop.close().await;
}
