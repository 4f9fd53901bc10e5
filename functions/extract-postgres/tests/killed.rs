//! Runs that die at random points, alone and two at once, while rows are written: in the end the table is the source.
//! Against a real PostgreSQL whose URL is in `SLUICE_TEST_POSTGRES`.

use std::{collections::BTreeMap, time::Duration};

use extract_postgres::{
    config::Config,
    handler::{Deps, handle},
};
use futures::join;
use sluice_core::{
    LakeId, Result, Sources,
    extract::{ExtractRequest, ExtractSummary},
};
use sluice_lambda::Invocation;
use sluice_postgres::Options;
use sluice_testkit::lake::{Death, MemoryBus, MemoryLake, MemoryQueue, OneSecret, death};
use tokio_postgres::{Client, NoTls, config::Host};

const VARIABLE: &str = "SLUICE_TEST_POSTGRES";

/// The number of the other tests of this function: whoever holds it is the only one with transactions in flight.
const LOCK: i64 = 5_702_887;

const SCHEDULED: &str = include_str!("../../../events/extract-postgres/scheduled.json");
const SEED: u64 = 20_251_101;

struct Shop {
    admin: Client,
    schema: String,
    secret: &'static str,
    sources: Sources,
}

impl Shop {
    async fn new() -> Self {
        let url = std::env::var(VARIABLE).unwrap_or_else(|_| {
            panic!(
                "{VARIABLE} is not set: it must hold the URL of a PostgreSQL server for tests; `make test` starts one"
            )
        });
        let settings: tokio_postgres::Config = url.parse().expect("a PostgreSQL URL");
        let (admin, connection) = settings.connect(NoTls).await.unwrap_or_else(|e| panic!("{VARIABLE}: {e:?}"));
        tokio::spawn(connection);
        admin.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await.unwrap();
        let schema = format!("test_{}_killed", std::process::id());
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
        let yaml =
            include_str!("../../../platform/sources.yaml").replace("schema: raw_data", &format!("schema: {schema}"));
        Shop { admin, schema, secret: secret.to_string().leak(), sources: Sources::parse(&yaml).unwrap() }
    }

    async fn insert(&self, rows: u64) {
        let insert = format!(
            "INSERT INTO {}.products (product_id, product_name, price_usd, operation, valid_ts) \
             SELECT n, 'product ' || n, n * 0.25, 'INSERT', timestamp '2026-10-01' FROM generate_series(1, {rows}) AS n",
            self.schema
        );
        self.admin.batch_execute(&insert).await.unwrap();
    }

    async fn run(&self, lake: &MemoryLake, death: Death) -> Option<Result<ExtractSummary>> {
        let deps = Deps {
            store: lake.run(death),
            bus: MemoryBus::default(),
            queue: MemoryQueue::default(),
            secrets: OneSecret(self.secret),
            config: Config {
                lake_bucket: "lake".into(),
                lake_id: LakeId("test".into()),
                bus_name: "bus".into(),
                queue_url: "queue".into(),
                secret: "postgres".into(),
                options: Options::default(),
                sources: self.sources.clone(),
            },
        };
        let request: ExtractRequest = serde_json::from_str(SCHEDULED).unwrap();
        let invocation = Invocation::new("request", Duration::from_secs(60));
        deps.store.until_death(handle(request, &invocation, &deps)).await
    }

    /// Each row's id and price at four decimals, as the database has it.
    async fn rows(&self) -> BTreeMap<i64, i64> {
        let select = format!("SELECT audit_id, (price_usd * 10000)::bigint FROM {}.products", self.schema);
        let rows = self.admin.query(&select, &[]).await.unwrap();
        rows.iter().map(|row| (row.get(0), row.get(1))).collect()
    }
}

#[tokio::test]
async fn killed_a_hundred_times_and_two_at_once_the_table_equals_the_source() {
    let shop = Shop::new().await;
    let (lake, mut deaths, mut round) = (MemoryLake::default(), 0, 0);
    while deaths < 100 {
        assert!(round < 400, "only {deaths} of {round} runs died");
        shop.insert(round % 17).await;
        if round % 4 == 3 {
            let ends = join!(shop.run(&lake, death(SEED, round)), shop.run(&lake, death(!SEED, round)));
            deaths += usize::from(ends.0.is_none()) + usize::from(ends.1.is_none());
        } else {
            deaths += usize::from(shop.run(&lake, death(SEED, round)).await.is_none());
        }
        round += 1;
    }
    shop.run(&lake, Death::Never).await.expect("alive").expect("a run");

    let table = shop.sources.table(&"DLT.APPLICATION_DATA.PRODUCTS".parse().unwrap()).unwrap();
    let loaded = lake.loaded(table).unwrap().into_values();
    let number = |text: &Option<String>| text.as_deref().expect("a value").parse::<i64>().unwrap();
    let loaded: BTreeMap<i64, i64> = loaded.map(|row| (number(&row["audit_id"]), number(&row["price_usd"]))).collect();
    let expected = shop.rows().await;
    assert!(expected.len() > 500, "only {} rows", expected.len());
    assert_eq!(loaded, expected);
    shop.admin.batch_execute(&format!("DROP SCHEMA {} CASCADE", shop.schema)).await.unwrap();
}
