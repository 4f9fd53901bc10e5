//! Reads that are divided, against a real PostgreSQL whose URL is in `SLUICE_TEST_POSTGRES`.

use std::{collections::BTreeSet, time::Duration};

use extract_postgres::{
    config::Config,
    handler::{Deps, handle, part},
};
use sluice_core::{
    Kind, LakeId, Result, Sources, Table,
    extract::{ExtractRequest, ExtractSummary, Outcome},
    split::SplitMessage,
};
use sluice_lambda::Invocation;
use sluice_pipeline::split::Outcome as Served;
use sluice_postgres::Options;
use sluice_testkit::lake::{Death, MemoryBus, MemoryLake, MemoryQueue, OneSecret, death};
use tokio_postgres::{Client, Config as Settings, NoTls, config::Host};

const VARIABLE: &str = "SLUICE_TEST_POSTGRES";

/// The number of the other tests of this function: whoever holds it is the only one with transactions in flight.
const LOCK: i64 = 5_702_887;

const SCHEDULED: &str = include_str!("../../../events/extract-postgres/scheduled.json");
const SEED: u64 = 20_261_105;
const SPLIT_ROWS: u64 = 6_000;

struct Shop {
    settings: Settings,
    admin: Client,
    schema: String,
    secret: &'static str,
    sources: Sources,
    lake: MemoryLake,
}

async fn connect(settings: &Settings) -> Client {
    let (client, connection) = settings.connect(NoTls).await.unwrap_or_else(|e| panic!("{VARIABLE}: {e:?}"));
    tokio::spawn(connection);
    client
}

impl Shop {
    async fn new(name: &str) -> Self {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set: it must hold the URL of a PostgreSQL server for tests; `make test` starts one"
            )
        });
        let settings: Settings = url.parse().expect("a PostgreSQL URL");
        let admin = connect(&settings).await;
        admin.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.unwrap();
        let schema = format!("test_{}_{name}", std::process::id());
        let Some(Host::Tcp(host)) = settings.get_hosts().first() else { panic!("{VARIABLE} names no TCP host") };
        let secret = serde_json::json!({
            "host": host,
            "port": settings.get_ports().first().copied().unwrap_or(5432),
            "dbname": settings.get_dbname().unwrap_or("postgres"),
            "username": settings.get_user().expect("a user in the URL"),
            "password": String::from_utf8_lossy(settings.get_password().unwrap_or_default()),
            "sslmode": "disable",
        });
        let secret = secret.to_string().leak();
        let yaml =
            include_str!("../../../platform/sources.yaml").replace("schema: raw_data", &format!("schema: {schema}"));
        let sources = Sources::parse(&yaml).unwrap();
        let shop = Shop { settings, admin, schema, secret, sources, lake: MemoryLake::default() };
        shop.sql("CREATE SCHEMA $").await;
        shop.create().await;
        shop
    }

    /// No primary key: a row may come without a number, and is then kept as rejected.
    async fn create(&self) {
        self.sql(
            "CREATE TABLE $.products (audit_id bigint, product_id bigint, product_name text, price_usd float, \
             operation text, valid_ts timestamp); CREATE INDEX ON $.products (audit_id)",
        )
        .await;
    }

    /// Runs statements, `$` standing for the test's schema.
    async fn sql(&self, statements: &str) {
        self.on(&self.admin, statements).await;
    }

    async fn on(&self, client: &Client, statements: &str) {
        let statements = statements.replace('$', &self.schema);
        client.batch_execute(&statements).await.unwrap_or_else(|e| panic!("{statements}: {e:?}"));
    }

    /// Rows whose numbers are what an expression makes of 1 to `rows`.
    async fn insert(&self, client: &Client, number: &str, rows: u64) {
        self.on(
            client,
            &format!(
                "INSERT INTO $.products SELECT {number}, n, 'product ' || n, 1.25, 'INSERT', timestamp '2026-10-01' \
                 FROM generate_series(1, {rows}) AS n"
            ),
        )
        .await;
    }

    fn table(&self) -> &Table {
        self.sources.table(&"DLT.APPLICATION_DATA.PRODUCTS".parse().unwrap()).unwrap()
    }

    fn deps(&self, death: Death) -> Deps<MemoryLake, MemoryBus, MemoryQueue, OneSecret> {
        Deps {
            store: self.lake.run(death),
            bus: MemoryBus::default(),
            queue: MemoryQueue::default(),
            secrets: OneSecret(self.secret),
            config: Config {
                lake_bucket: "lake".into(),
                lake_id: LakeId("test".into()),
                bus_name: "bus".into(),
                queue_url: "queue".into(),
                secret: "postgres".into(),
                options: Options { split_rows: SPLIT_ROWS, ..Options::default() },
                sources: self.sources.clone(),
            },
        }
    }

    /// One run, and the messages that it sends.
    async fn run(&self) -> Result<(ExtractSummary, Vec<SplitMessage>)> {
        let deps = self.deps(Death::Never);
        let request: ExtractRequest = serde_json::from_str(SCHEDULED).unwrap();
        let summary = handle(request, &Invocation::new("request", Duration::from_secs(60)), &deps).await?;
        let sent = deps.queue.0.take();
        Ok((summary, sent.into_iter().map(|(body, _)| serde_json::from_value(body).unwrap()).collect()))
    }

    /// Delivers a message to an invocation; `None` when that dies.
    async fn serve(&self, message: &SplitMessage, death: Death) -> Option<Result<Served>> {
        let deps = self.deps(death);
        let invocation = Invocation::new("request", Duration::from_secs(60));
        deps.store.until_death(part(message, &invocation, &deps)).await
    }

    async fn numbers(&self) -> BTreeSet<i64> {
        let select = format!("SELECT audit_id FROM {}.products WHERE audit_id IS NOT NULL", self.schema);
        self.admin.query(&select, &[]).await.unwrap().iter().map(|row| row.get(0)).collect()
    }

    fn loaded(&self) -> BTreeSet<i64> {
        let rows = self.lake.loaded(self.table()).unwrap();
        rows.into_keys().map(|key| key[0].parse().unwrap()).collect()
    }

    async fn close(self) {
        self.sql("DROP SCHEMA $ CASCADE").await;
    }
}

#[tokio::test]
async fn parts_that_die_and_come_twice_while_rows_are_written_make_one_commit_and_the_next_run_brings_the_rest() {
    let shop = Shop::new("parts").await;
    // Dense, sparse, far away and below zero; some without a number.
    shop.insert(&shop.admin, "n", 25_000).await;
    shop.insert(&shop.admin, "100000 + n * 1000", 15_000).await;
    shop.insert(&shop.admin, "9000000000000000000 + n", 9_980).await;
    shop.insert(&shop.admin, "-n * 7", 500).await;
    shop.insert(&shop.admin, "NULL", 20).await;
    shop.sql("ANALYZE $.products").await;
    // Rows between the others that are written before the plan: some are committed when half of the parts are read, some
    // when all are.
    let (late, last) = (connect(&shop.settings).await, connect(&shop.settings).await);
    for (session, number) in [(&late, "100500 + n * 100000"), (&last, "100501 + n * 100000")] {
        shop.on(session, "BEGIN").await;
        shop.insert(session, number, 100).await;
    }

    let (summary, messages) = shop.run().await.unwrap();
    assert_eq!((summary.outcome, summary.sequence.map(|sequence| sequence.0)), (Outcome::InParts, Some(1)));
    let mut parts: Vec<SplitMessage> = messages.into_iter().filter(|message| message.part.is_some()).collect();
    let count = parts.len();
    assert!((9..=10).contains(&count), "{count} parts for 50,500 rows");
    let (mut attempts, mut deaths, mut commits) = (0, 0, 0);
    let replayed = parts.clone();
    while let Some(message) = parts.pop() {
        attempts += 1;
        assert!(attempts < 500, "{} parts are left", parts.len());
        // A part takes more calls and wakings than such a death waits for, so one attempt of three is spared.
        let fate = if attempts % 3 == 0 { Death::Never } else { death(SEED, attempts) };
        match shop.serve(&message, fate).await {
            None => {
                deaths += 1;
                parts.insert(0, message);
            }
            Some(served) => commits += usize::from(matches!(served.unwrap(), Served::Committed(_))),
        }
        if parts.len() == count / 2 {
            // Done again, it does nothing.
            shop.on(&late, "COMMIT").await;
        }
        if attempts % 5 == 0 {
            shop.insert(&shop.admin, &format!("50000 + {attempts} * 10 + n"), 3).await;
        }
    }
    assert!(deaths >= 5, "only {deaths} of {attempts} attempts died");
    assert!(commits <= 1, "{commits} commits");
    for message in &replayed {
        assert_eq!(shop.serve(message, Death::Never).await.expect("alive").unwrap(), Served::Over);
    }

    let [commit] = &shop.lake.commits(shop.table()).unwrap()[..] else { panic!("one commit") };
    let rejected = commit.rejected.as_ref().expect("rows without a number");
    assert_eq!((rejected.rows, rejected.files.len()), (20, 1), "they belong to one part");
    let longest = commit.files.iter().map(|file| file.rows).max();
    assert!(longest < Some(SPLIT_ROWS * 5 / 4), "parts follow the rows: {longest:?}");
    let rows = shop.lake.committed_rows(shop.table()).unwrap().len();
    assert_eq!(rows, shop.loaded().len(), "no row is twice in the commit");
    shop.on(&last, "COMMIT").await;
    let missing = shop.numbers().await.difference(&shop.loaded()).count();
    assert!(missing >= 100, "{missing} rows are the next run's");

    let (next, _) = shop.run().await.unwrap();
    assert_eq!(next.outcome, Outcome::Committed);
    assert_eq!(shop.loaded(), shop.numbers().await);
    let (last, _) = shop.run().await.unwrap();
    assert_eq!(last.outcome, Outcome::NothingNew);
    shop.close().await;
}

#[tokio::test]
async fn a_table_that_is_made_anew_between_two_parts_ends_the_plan_and_is_read_from_the_beginning() {
    let shop = Shop::new("anew").await;
    shop.insert(&shop.admin, "n", 20_000).await;
    shop.sql("ANALYZE $.products").await;
    let (_, messages) = shop.run().await.unwrap();
    let parts: Vec<&SplitMessage> = messages.iter().filter(|message| message.part.is_some()).collect();
    shop.serve(parts[0], Death::Never).await.expect("alive").unwrap();
    shop.sql("DROP TABLE $.products").await;
    shop.create().await;
    shop.insert(&shop.admin, "n * 2", 1_000).await;
    let refused = shop.serve(parts[1], Death::Never).await.expect("alive").unwrap_err();
    assert_eq!(refused.kind(), Kind::Conflict, "{refused}");
    assert_eq!(shop.serve(parts[2], Death::Never).await.expect("alive").unwrap(), Served::Over);
    let (next, _) = shop.run().await.unwrap();
    assert_eq!((next.outcome, next.rows), (Outcome::Committed, 1_000));
    assert_eq!(shop.loaded(), shop.numbers().await);
    shop.close().await;
}

#[tokio::test]
async fn a_later_read_is_divided_too_and_reads_only_what_is_new() {
    let shop = Shop::new("later").await;
    shop.insert(&shop.admin, "n", 4_000).await;
    shop.sql("ANALYZE $.products").await;
    assert_eq!(shop.run().await.unwrap().0.outcome, Outcome::Committed);
    shop.insert(&shop.admin, "100000 + n", 30_000).await;
    shop.sql("ANALYZE $.products").await;
    let (summary, messages) = shop.run().await.unwrap();
    assert_eq!(summary.outcome, Outcome::InParts);
    for message in messages.iter().filter(|message| message.part.is_some()) {
        shop.serve(message, Death::Never).await.expect("alive").unwrap();
    }
    let commits = shop.lake.commits(shop.table()).unwrap();
    assert_eq!(commits.iter().map(|commit| commit.rows).collect::<Vec<_>>(), [4_000, 30_000]);
    assert_eq!(shop.loaded(), shop.numbers().await);
    assert_eq!(shop.run().await.unwrap().0.outcome, Outcome::NothingNew);
    shop.close().await;
}
