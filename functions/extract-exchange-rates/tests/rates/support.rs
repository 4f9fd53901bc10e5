//! One extract into a lake in memory.

use std::{collections::BTreeMap, time::Duration};

use extract_exchange_rates::source::{Client, OpenExchangeRates};
use serde_json::Value;
use sluice_core::{
    LakeId, Result, RunId, Secret, Sources, Table,
    extract::{ExtractRequest, ExtractSummary},
    port::SystemClock,
};
use sluice_http::RetryPolicy;
use sluice_local::vendors::open_exchange_rates::{RatesConfig, RatesState, serve};
use sluice_pipeline::extract;
use sluice_testkit::{lake::MemoryLake, ports::MemoryBus};
use tokio::{net::TcpListener, sync::watch};

pub(crate) const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
pub(crate) const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";
pub(crate) const APP_ID: &str = "0123456789abcdef0123456789abcdef";

/// An extractor of one account.
pub(crate) struct Extractor {
    pub url: String,
    pub app_id: &'static str,
    pub share: u64,
    pub retries: RetryPolicy,
    pub sources: Sources,
}

impl Extractor {
    pub(crate) fn new(url: String) -> Self {
        let sources = include_str!("../../../../platform/sources.yaml");
        Extractor {
            url,
            app_id: APP_ID,
            share: 1_000,
            retries: RetryPolicy::without_waits(3),
            sources: Sources::parse(sources).unwrap(),
        }
    }

    pub(crate) fn table(&self, table: &str) -> &Table {
        self.sources.table(&table.parse().unwrap()).unwrap()
    }

    /// One run of an event; the lake says whether and when it dies.
    pub(crate) async fn run(&self, lake: &MemoryLake, event: Value) -> Option<Result<ExtractSummary>> {
        let request: ExtractRequest = serde_json::from_value(event).unwrap();
        let table = self.sources.table(&request.table).unwrap();
        let client = Client::new(sluice_http::Client::new().unwrap(), &self.url, Secret::new(self.app_id))
            .with_retries(self.retries);
        let mut source = OpenExchangeRates { store: lake, client, share: self.share, time: Duration::MAX };
        let run_id = RunId(fresh_name());
        let lake_id = LakeId("test".into());
        let bus = MemoryBus::default();
        lake.until_death(extract::run(lake, &bus, &SystemClock, &mut source, &lake_id, table, &run_id, &request)).await
    }
}

fn fresh_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RUNS: AtomicU64 = AtomicU64::new(1);
    format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}

/// Serves the emulator until the sender is dropped.
pub(crate) async fn emulator(config: RatesConfig) -> (RatesState, String, watch::Sender<bool>) {
    let state = RatesState::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(state.clone(), listener, stopped));
    (state, url, stop)
}

/// The rates of a kind that the lake's commits load: days since 1970 and currency to the unscaled rate.
pub(crate) fn loaded(lake: &MemoryLake, table: &Table, kind: &str) -> BTreeMap<(i32, String), i128> {
    let value = |row: &BTreeMap<String, Option<String>>, column: &str| row[column].clone().expect("a value");
    let rows = lake.loaded(table).unwrap().into_values().filter(|row| value(row, "rate_kind") == kind);
    rows.map(|row| {
        let day = value(&row, "rate_date").parse().unwrap();
        ((day, value(&row, "target_currency")), value(&row, "rate").parse().unwrap())
    })
    .collect()
}
