//! An activation of an emulated account, with a model and a ledger in memory.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use activate_hubspot::Portal;
use chrono::{DateTime, Utc};
use sluice_core::{Result, RunId, functions::HUBSPOT, port::SystemClock};
use sluice_http::RetryPolicy;
use sluice_hubspot::{Client, HubspotConfig};
use sluice_local::vendors::hubspot::{HubSpotConfig, HubSpotState, serve};
use sluice_pipeline::activate::{Activate, Activated, Entry, Ledger, Model, Policy, Report, Request, Size, Wanted};
use sluice_testkit::{
    generate::Contact,
    lake::{MemoryLake, OneSecret},
    ports::{MemoryBus, MemoryQueue},
};
use tokio::{net::TcpListener, sync::watch};

const WRITER: &str = "pat-na1-writer";
const SECRET: &str = r#"{"token": "pat-na1-writer"}"#;

#[derive(Default)]
pub(crate) struct Tables {
    pub rows: RefCell<Vec<Wanted>>,
    pub entries: RefCell<BTreeMap<String, Entry>>,
}

impl Model for Tables {
    async fn size(&self) -> Result<Size> {
        Ok(Size { rows: self.rows.borrow().len() as u64, columns: 4 })
    }

    async fn rows(&self) -> Result<Vec<Wanted>> {
        Ok(self.rows.borrow().clone())
    }
}

impl Ledger for Tables {
    async fn count(&self) -> Result<u64> {
        Ok(self.entries.borrow().len() as u64)
    }

    async fn entries(&self) -> Result<BTreeMap<String, Entry>> {
        Ok(self.entries.borrow().clone())
    }

    async fn keep(&self, entries: &[(String, Entry)]) -> Result<()> {
        self.entries.borrow_mut().extend(entries.iter().cloned());
        Ok(())
    }
}

pub(crate) struct Stage {
    pub state: HubSpotState,
    pub url: String,
    pub tables: Tables,
    pub lake: MemoryLake,
    pub bus: MemoryBus,
    pub queue: MemoryQueue,
    /// 0 turns the client's own limit off.
    pub requests_per_ten_seconds: u32,
    runs: RefCell<u32>,
    _stop: watch::Sender<bool>,
}

impl Stage {
    /// An account of so many contacts, and a model that wants three properties of each.
    pub(crate) async fn new(config: HubSpotConfig, contacts: i64) -> Self {
        let state = HubSpotState::new(HubSpotConfig { writer: Some(WRITER.into()), ..config });
        state.load((1..=contacts).map(contact).collect());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(serve(state.clone(), listener, stopped));
        let tables = Tables::default();
        *tables.rows.borrow_mut() = (1..=contacts).map(|id| wanted(id, "low")).collect();
        Stage {
            state,
            url,
            tables,
            lake: MemoryLake::default(),
            bus: MemoryBus::default(),
            queue: MemoryQueue::default(),
            requests_per_ten_seconds: 0,
            runs: RefCell::default(),
            _stop: stop,
        }
    }

    /// Makes the next requests to a path fail.
    pub(crate) async fn fault(&self, fault: &str) {
        let set = reqwest::Client::new().post(self.faults()).header("content-type", "application/json");
        let answer = set.body(fault.to_owned()).send().await.expect("an answer");
        assert!(answer.status().is_success(), "{fault}");
    }

    pub(crate) async fn forget_faults(&self) {
        let answer = reqwest::Client::new().delete(self.faults()).send().await.expect("an answer");
        assert!(answer.status().is_success());
    }

    fn faults(&self) -> String {
        format!("{}/_emulator/faults", self.url)
    }

    pub(crate) async fn run(&self, request: &Request) -> Report {
        let secret = OneSecret(SECRET);
        let portal = Portal::new(&secret, "hubspot-activate", |credentials| {
            let mut config = HubspotConfig::new(&self.url, credentials);
            config.requests_per_ten_seconds = self.requests_per_ten_seconds;
            if self.requests_per_ten_seconds == 0 {
                config.retries = RetryPolicy::without_waits(2);
            }
            Client::new(sluice_http::Client::new().expect("a client"), &config)
        });
        *self.runs.borrow_mut() += 1;
        let run_id = RunId(format!("run-{}", self.runs.borrow()));
        let activate = Activate {
            destination_name: HUBSPOT,
            store: &self.lake,
            model: &self.tables,
            ledger: &self.tables,
            destination: &portal,
            bus: &self.bus,
            queue: &self.queue,
            clock: &SystemClock,
            policy: Policy {
                most_rows: 20_000,
                most_percent: 50,
                most_values: 1_000_000,
                canary: 100,
                part: 1_000,
                clear: BTreeSet::new(),
                claim: Duration::ZERO,
                time: Duration::from_secs(600),
            },
        };
        match activate.handle(request, &run_id).await.expect("an end") {
            Activated::Ended(report) => *report,
            other => panic!("no other run is there: {other:?}"),
        }
    }

    /// Each contact holds the model, and no value was written twice.
    pub(crate) fn assert_whole(&self) {
        for row in self.tables.rows.borrow().iter() {
            for (property, value) in &row.values {
                let held = self.state.value(row.id.parse().expect("a number"), property);
                assert_eq!(held, value.clone(), "{property} of {}", row.id);
            }
        }
        let history = self.state.history();
        let distinct: BTreeSet<_> = history.iter().map(|write| (write.id, &write.property, &write.value)).collect();
        assert_eq!(distinct.len(), history.len(), "a value was written twice");
    }
}

pub(crate) fn allowed() -> Request {
    Request { cause: "test".into(), allow: true, ..Request::default() }
}

pub(crate) fn wanted(id: i64, tier: &str) -> Wanted {
    let values =
        [("total_orders", id.to_string()), ("lifetime_value", format!("{id}.25")), ("customer_tier", tier.to_owned())];
    let values = values.into_iter().map(|(name, value)| (name.to_owned(), Some(value))).collect();
    Wanted { id: id.to_string(), values, ..Wanted::default() }
}

pub(crate) fn contact(id: i64) -> Contact {
    let created = DateTime::<Utc>::UNIX_EPOCH.timestamp_micros() + 1_500_000;
    Contact {
        id,
        email: Some(format!("c{id}@example.com")),
        firstname: None,
        lastname: None,
        lifecyclestage: None,
        createdate: created,
        lastmodifieddate: created,
        archived: false,
        merged_ids: Vec::new(),
    }
}
