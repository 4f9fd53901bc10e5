//! One extract into a lake in memory.

use std::{collections::BTreeMap, time::Duration};

use extract_hubspot::Contacts;
use serde_json::{Value, json};
use sluice_core::{
    LakeId, Result, RunId, Secret, Sources, Table,
    extract::{ExtractRequest, ExtractSummary},
    port::SystemClock,
};
use sluice_http::RetryPolicy;
use sluice_hubspot::{Client, Credentials, DEFAULT_VERSION, HubspotConfig, Limits};
use sluice_local::vendors::hubspot::{HubSpotConfig, HubSpotState, serve};
use sluice_pipeline::extract;
use sluice_testkit::{lake::MemoryLake, ports::MemoryBus};
use tokio::{net::TcpListener, sync::watch};

pub(crate) const CONTACTS: &str = "AIRBYTE.HUBSPOT.CONTACTS";
pub(crate) const TOKEN: &str = "pat-na1-fake";

/// An extractor of one account.
pub(crate) struct Extractor {
    pub url: String,
    pub token: &'static str,
    pub limits: Limits,
    pub compare_every: Option<Duration>,
    pub version: &'static str,
    pub bus: MemoryBus,
    sources: Sources,
}

impl Extractor {
    pub(crate) fn new(url: String) -> Self {
        let sources = include_str!("../../../../platform/sources.yaml");
        Extractor {
            url,
            token: TOKEN,
            limits: Limits { contacts: usize::MAX, time: Duration::MAX },
            compare_every: Some(Duration::from_secs(7 * 24 * 60 * 60)),
            version: DEFAULT_VERSION,
            bus: MemoryBus::default(),
            sources: Sources::parse(sources).unwrap(),
        }
    }

    pub(crate) fn table(&self) -> &Table {
        self.sources.table(&CONTACTS.parse().unwrap()).unwrap()
    }

    /// One run; the lake says whether and when it dies.
    pub(crate) async fn run(&self, lake: &MemoryLake) -> Option<Result<ExtractSummary>> {
        let event = json!({"table": CONTACTS, "time": "2026-10-30T07:00:00Z"});
        self.run_event(lake, event).await
    }

    pub(crate) async fn run_event(&self, lake: &MemoryLake, event: Value) -> Option<Result<ExtractSummary>> {
        let request: ExtractRequest = serde_json::from_value(event).unwrap();
        let mut config = HubspotConfig::new(&self.url, Credentials { token: Secret::new(self.token) });
        (config.searches_per_second, config.requests_per_ten_seconds) = (0, 0);
        config.retries = RetryPolicy::without_waits(3);
        config.version = self.version.to_owned();
        let client = Client::new(sluice_http::Client::new().unwrap(), &config);
        let mut source = Contacts::new(lake, client, self.limits);
        source.compare_every = self.compare_every;
        let (lake_id, run_id) = (LakeId("test".into()), RunId(fresh_name()));
        let table = self.table();
        lake.until_death(extract::run(lake, &self.bus, &SystemClock, &mut source, &lake_id, table, &run_id, &request))
            .await
    }

    /// The contacts that the lake's commits load and that are not tombstones: id to e-mail and version in microseconds.
    pub(crate) fn live(&self, lake: &MemoryLake) -> BTreeMap<i64, (Option<String>, i64)> {
        let rows = lake.loaded(self.table()).unwrap().into_values();
        let number = |text: &Option<String>| text.as_deref().expect("a value").parse::<i64>().unwrap();
        rows.filter(|row| row["archived"].as_deref() == Some("false"))
            .map(|row| (number(&row["id"]), (row["email"].clone(), number(&row["lastmodifieddate"]))))
            .collect()
    }

    /// How many of the loaded contacts are tombstones.
    pub(crate) fn tombstones(&self, lake: &MemoryLake) -> usize {
        lake.loaded(self.table()).unwrap().len() - self.live(lake).len()
    }
}

fn fresh_name() -> String {
    use std::sync::atomic::{AtomicU64, Ordering};
    static RUNS: AtomicU64 = AtomicU64::new(1);
    format!("run-{}", RUNS.fetch_add(1, Ordering::Relaxed))
}

/// Serves the emulator, without its limit per second, until the sender is dropped.
pub(crate) async fn emulator() -> (HubSpotState, String, watch::Sender<bool>) {
    emulator_of(HubSpotConfig::new(TOKEN)).await
}

pub(crate) async fn emulator_of(config: HubSpotConfig) -> (HubSpotState, String, watch::Sender<bool>) {
    let state =
        HubSpotState::new(HubSpotConfig { searches_per_second: None, requests_per_ten_seconds: None, ..config });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(serve(state.clone(), listener, stopped));
    (state, url, stop)
}
