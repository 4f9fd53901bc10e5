//! The shop's database in a schema of the test's own, the lake in memory, and the function between them.

use std::time::Duration;

use extract_postgres::{
    Deps,
    config::Config,
    handler::{handle, part},
};
use sluice_core::{
    Hops, LakeId, Result, Sources, Table,
    extract::{ExtractRequest, ExtractSummary},
    port::{Clock, SystemClock},
    split::SplitMessage,
};
use sluice_lambda::Invocation;
use sluice_pipeline::split::Outcome as Served;
use sluice_postgres::Options;
use sluice_testkit::{
    lake::{Death, MemoryLake, OneSecret},
    ports::{MemoryBus, MemoryQueue},
};
use tokio_postgres::{Client, Config as Settings, NoTls, config::Host};

const VARIABLE: &str = "SLUICE_TEST_POSTGRES";

/// Any number, the same for all tests on a server: the test that holds it is the only one with transactions in flight.
const LOCK: i64 = 5_702_887;

pub(crate) const SCHEDULED: &str = include_str!("../../../../events/extract-postgres/scheduled.json");

/// Prices are floats, as in the published guide's database.
pub(crate) const WITH_KEY: &str = "CREATE TABLE $.products (audit_id bigserial PRIMARY KEY, product_id bigint, \
                            product_name text, price_usd float, operation text, valid_ts timestamp)";

pub(crate) type ShopDeps = Deps<MemoryLake, MemoryBus, MemoryQueue, OneSecret>;

pub(crate) struct Shop {
    settings: Settings,
    pub admin: Client,
    schema: String,
    secret: &'static str,
    pub sources: Sources,
    pub options: Options,
    pub lake: MemoryLake,
}

impl Shop {
    /// `create` makes the table, `$` standing for the test's schema.
    pub(crate) async fn new(name: &str, create: &str) -> Self {
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
            include_str!("../../../../platform/sources.yaml").replace("schema: raw_data", &format!("schema: {schema}"));
        let sources = Sources::parse(&yaml).unwrap();
        let (options, lake) = (Options::default(), MemoryLake::default());
        let shop = Shop { settings, admin, schema, secret, sources, options, lake };
        shop.sql("CREATE SCHEMA $").await;
        shop.sql(create).await;
        shop
    }

    /// Another session, for a transaction that stays open.
    pub(crate) async fn session(&self) -> Client {
        connect(&self.settings).await
    }

    /// Runs statements, `$` standing for the test's schema.
    pub(crate) async fn sql(&self, statements: &str) {
        self.on(&self.admin, statements).await;
    }

    pub(crate) async fn on(&self, client: &Client, statements: &str) {
        let statements = statements.replace('$', &self.schema);
        client.batch_execute(&statements).await.unwrap_or_else(|e| panic!("{statements}: {e:?}"));
    }

    pub(crate) async fn query(&self, select: &str) -> Vec<tokio_postgres::Row> {
        self.admin.query(&select.replace('$', &self.schema), &[]).await.unwrap()
    }

    pub(crate) fn table(&self) -> &Table {
        self.sources.table(&"DLT.APPLICATION_DATA.PRODUCTS".parse().unwrap()).unwrap()
    }

    pub(crate) fn deps(&self, death: Death) -> ShopDeps {
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
                options: self.options,
                sources: self.sources.clone(),
            },
        }
    }

    /// Hands an event to an invocation; `None` when that dies.
    pub(crate) async fn invoke(&self, event: &str, deps: &ShopDeps) -> Option<Result<ExtractSummary>> {
        let request: ExtractRequest = serde_json::from_str(event).unwrap();
        deps.store.until_death(handle(request, &invocation(), deps)).await
    }

    /// Delivers the message of a part to an invocation; `None` when that dies.
    pub(crate) async fn serve(&self, message: &SplitMessage, death: Death) -> Option<Result<Served>> {
        let deps = self.deps(death);
        deps.store.until_death(part(message, Hops::none(SystemClock.now()), &invocation(), &deps)).await
    }

    pub(crate) async fn close(self) {
        self.sql("DROP SCHEMA $ CASCADE").await;
    }
}

fn invocation() -> Invocation {
    Invocation::new("request", Duration::from_secs(60))
}

async fn connect(settings: &Settings) -> Client {
    let (client, connection) = settings.connect(NoTls).await.unwrap_or_else(|e| panic!("{VARIABLE}: {e:?}"));
    tokio::spawn(connection);
    client
}
