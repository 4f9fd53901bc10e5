//! The emulator with faults on demand: what each fault ends as, and that nothing is lost or taken twice.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use sluice_core::{Kind, Retry, extract::Outcome};
use sluice_local::vendors::hubspot::HubSpotState;
use sluice_testkit::{
    generate::{Contact, RateTable, Scale, generate},
    lake::MemoryLake,
};
use tokio::sync::watch;

use crate::support::{Extractor, emulator};

struct Stage {
    extractor: Extractor,
    lake: MemoryLake,
    contacts: Vec<Contact>,
    _state: HubSpotState,
    _stop: watch::Sender<bool>,
}

impl Stage {
    async fn new() -> Self {
        let (_state, url, _stop) = emulator().await;
        let scale = Scale { contacts: 1_500, ..Scale::times(0.0) };
        let contacts = generate(7, scale, RateTable::invented()).contacts;
        _state.load(contacts.clone());
        Stage { extractor: Extractor::new(url), lake: MemoryLake::default(), contacts, _state, _stop }
    }

    async fn fault(&self, fault: Value) {
        let url = format!("{}/_emulator/faults", self.extractor.url);
        assert!(reqwest::Client::new().post(url).json(&fault).send().await.unwrap().status().is_success());
    }

    fn expected(&self) -> BTreeMap<i64, (Option<String>, i64)> {
        let merged: Vec<i64> = self.contacts.iter().flat_map(|contact| contact.merged_ids.clone()).collect();
        let live = self.contacts.iter().filter(|contact| !contact.archived && !merged.contains(&contact.id));
        live.map(|contact| (contact.id, (contact.email.clone(), contact.lastmodifieddate))).collect()
    }
}

#[tokio::test]
async fn every_contact_is_loaded_once_archived_and_merged_ones_as_tombstones() {
    let stage = Stage::new().await;
    let first = stage.extractor.run(&stage.lake).await.unwrap().expect("a run");
    assert_eq!(first.rows as usize, stage.contacts.len());
    assert_eq!(stage.extractor.live(&stage.lake), stage.expected());
    assert_eq!(stage.extractor.tombstones(&stage.lake), stage.contacts.len() - stage.expected().len());
    assert_eq!(first.facts["properties_mapped"], 12);
    let replay = stage.extractor.run(&stage.lake).await.unwrap().expect("a run");
    assert_eq!(replay.outcome, Outcome::NothingNew);
    assert!(stage.extractor.bus.announced.borrow().is_empty(), "the account is what its contract says");
}

#[tokio::test]
async fn faults_that_pass_are_ridden_out() {
    for fault in [
        json!({"kind": "status", "status": 502, "requests": 2, "path": "search"}),
        json!({"kind": "status", "status": 429, "retry_after": 0, "requests": 2, "path": "search"}),
        json!({"kind": "html_page", "requests": 2, "path": "properties"}),
        json!({"kind": "truncated_json", "requests": 2, "path": "search"}),
    ] {
        let stage = Stage::new().await;
        stage.fault(fault.clone()).await;
        stage.extractor.run(&stage.lake).await.unwrap().unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert_eq!(stage.extractor.live(&stage.lake), stage.expected(), "{fault}");
    }
}

#[tokio::test]
async fn faults_that_stay_end_the_run_with_a_kind_and_write_nothing() {
    let status = |status: u16, body: &str| json!({"kind": "status", "status": status, "body": body, "requests": 99});
    for (fault, expected) in [
        (status(401, r#"{"category": "INVALID_AUTHENTICATION"}"#), (Kind::Auth, Retry::Permanent)),
        (status(403, r#"{"category": "MISSING_SCOPES"}"#), (Kind::Auth, Retry::Permanent)),
        (status(429, r#"{"policyName": "DAILY"}"#), (Kind::RateLimited, Retry::Permanent)),
        (status(503, "<html>"), (Kind::Unavailable, Retry::Exhausted)),
        (status(504, ""), (Kind::Timeout, Retry::Exhausted)),
        (json!({"kind": "html_page", "requests": 99}), (Kind::Unavailable, Retry::Exhausted)),
        (json!({"kind": "truncated_json", "requests": 99}), (Kind::Unavailable, Retry::Exhausted)),
    ] {
        let stage = Stage::new().await;
        stage.fault(fault.clone()).await;
        let error = stage.extractor.run(&stage.lake).await.unwrap().expect_err("a fault that stays");
        assert_eq!((error.kind(), error.retry()), expected, "{fault}");
        assert!(stage.lake.is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_token_that_was_rotated_away_is_refused_and_not_shown() {
    let mut stage = Stage::new().await;
    stage.extractor.token = "pat-na1-rotated";
    let error = stage.extractor.run(&stage.lake).await.unwrap().expect_err("refused");
    assert_eq!(error.kind(), Kind::Auth);
    assert!(!format!("{error:?}").contains("rotated"), "{error:?}");
}
