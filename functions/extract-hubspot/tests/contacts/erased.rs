//! Contacts that are gone for good, contacts that the search shows late or never, and runs that find nothing new.

use std::time::Duration;

use serde_json::json;
use sluice_core::extract::{ExtractSummary, Outcome};
use sluice_local::vendors::hubspot::{HubSpotConfig, HubSpotState};
use sluice_testkit::{generate::Contact, lake::MemoryLake};
use tokio::sync::watch;

use crate::support::{Extractor, TOKEN, emulator_of};

/// 2026-01-01, in microseconds.
const START: i64 = 1_767_225_600_000_000;

fn contact(id: i64, seconds: i64) -> Contact {
    Contact {
        id,
        email: Some(format!("{id}@example.com")),
        firstname: Some("Ada".into()),
        lastname: None,
        lifecyclestage: None,
        createdate: START,
        lastmodifieddate: START + seconds * 1_000_000,
        archived: false,
        merged_ids: Vec::new(),
    }
}

struct Stage {
    extractor: Extractor,
    state: HubSpotState,
    lake: MemoryLake,
    _stop: watch::Sender<bool>,
}

impl Stage {
    async fn new(config: HubSpotConfig, contacts: i64) -> Self {
        let (state, url, _stop) = emulator_of(config).await;
        state.load((1..=contacts).map(|id| contact(id * 10, id)).collect());
        Stage { extractor: Extractor::new(url), state, lake: MemoryLake::default(), _stop }
    }

    async fn run(&self) -> ExtractSummary {
        self.extractor.run(&self.lake).await.expect("alive").expect("a run")
    }

    /// A run for which it is time to compare.
    async fn compare(&mut self) -> ExtractSummary {
        self.extractor.compare_every = Some(Duration::ZERO);
        let summary = self.run().await;
        self.extractor.compare_every = None;
        summary
    }

    fn live(&self) -> Vec<i64> {
        self.extractor.live(&self.lake).into_keys().collect()
    }
}

#[tokio::test]
async fn a_contact_deleted_for_good_becomes_a_tombstone_without_its_data() {
    let mut stage = Stage::new(HubSpotConfig::new(TOKEN), 250).await;
    assert_eq!(stage.run().await.rows, 250);
    for id in [10, 1_230, 2_500] {
        stage.state.erase(id);
    }
    stage.state.upsert(Contact { archived: true, ..contact(20, 900) });
    stage.state.upsert(Contact { merged_ids: vec![40], ..contact(30, 901) });
    let changed = stage.run().await;
    assert_eq!(changed.rows, 3, "the archived one, the survivor and what it consumed");
    assert_eq!(stage.live().len(), 248, "no list tells of the others");

    let compared = stage.compare().await;
    assert_eq!(
        (compared.rows, &compared.facts["vanished"], &compared.facts["compared_pages"]),
        (3, &json!(3), &json!(3))
    );
    let live = stage.live();
    assert_eq!(live.len(), 245);
    assert!(![10, 20, 40, 1_230, 2_500].iter().any(|id| live.contains(id)), "{live:?}");
    let rows = stage.lake.loaded(stage.extractor.table()).unwrap();
    let gone: Vec<_> = rows.into_values().filter(|row| row["id"].as_deref() == Some("1230")).collect();
    assert_eq!((&gone[0]["archived"], &gone[0]["email"], &gone[0]["firstname"]), (&Some("true".into()), &None, &None));
    assert_eq!(stage.run().await.outcome, Outcome::NothingNew);
    assert_eq!(stage.compare().await.rows, 0, "each is buried once");
}

#[tokio::test]
async fn a_comparison_that_was_cut_short_is_continued_by_the_next_run() {
    let mut stage = Stage::new(HubSpotConfig { page_size: 20, ..HubSpotConfig::new(TOKEN) }, 400).await;
    stage.run().await;
    [1_900, 3_500].into_iter().for_each(|id| stage.state.erase(id));
    let fault = json!({"kind": "status", "status": 429, "body": r#"{"policyName": "DAILY"}"#, "path": "batch/read"});
    let faults = format!("{}/_emulator/faults", stage.extractor.url);
    assert!(reqwest::Client::new().post(faults).json(&fault).send().await.unwrap().status().is_success());
    let cut = stage.compare().await;
    assert_eq!(
        (&cut.facts["comparison_stopped_by"], &cut.facts["compared_pages"]),
        (&json!("RateLimited"), &json!(10))
    );
    assert_eq!(stage.live().len(), 400);

    stage.extractor.compare_every = Some(Duration::from_secs(7 * 24 * 60 * 60));
    let rest = stage.run().await;
    assert_eq!((&rest.facts["compared_pages"], &rest.facts["vanished"]), (&json!(11), &json!(2)));
    assert_eq!(stage.live().len(), 398);
    assert_eq!(stage.run().await.outcome, Outcome::NothingNew);
}

#[tokio::test]
async fn the_contacts_of_another_account_bury_none_of_this_one() {
    for ours in [2, 30, 900] {
        let mut stage = Stage::new(HubSpotConfig::new(TOKEN), ours).await;
        stage.run().await;
        let (other, url, _stop) = emulator_of(HubSpotConfig::new(TOKEN)).await;
        other.load((1..=5).map(|id| contact(id * 7_001, 10)).collect());
        let own = std::mem::replace(&mut stage.extractor.url, url);
        let compared = stage.compare().await;
        assert_eq!(compared.facts["comparison_stopped_by"], "Conflict", "of {ours}");
        let live = stage.live();
        assert!((1..=ours).all(|id| live.contains(&(id * 10))), "of {ours}");
        stage.extractor.url = own;
        stage.state.erase(10);
        stage.compare().await;
        assert!(!stage.live().contains(&10), "of {ours}");
    }
}

#[tokio::test]
async fn a_contact_that_the_index_has_never_shown_is_found_in_the_list() {
    let lagging = HubSpotConfig { index_lag: Duration::from_secs(3_600), ..HubSpotConfig::new(TOKEN) };
    let mut stage = Stage::new(lagging, 5).await;
    assert_eq!(stage.run().await.rows, 5);
    stage.state.upsert(contact(25, 30));
    let now = now();
    stage.state.upsert(Contact { email: Some("new@example.com".into()), lastmodifieddate: now, ..contact(30, 0) });
    assert_eq!(stage.run().await.outcome, Outcome::NothingNew, "the search does not show them");
    stage.compare().await;
    assert_eq!(stage.live(), [10, 20, 25, 30, 40, 50]);
    assert_eq!(stage.extractor.live(&stage.lake)[&30].0.as_deref(), Some("new@example.com"));
}

fn now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_micros()).unwrap() / 1_000 * 1_000
}

#[tokio::test]
async fn many_contacts_of_one_time_are_committed_once() {
    let stage = Stage::new(HubSpotConfig::new(TOKEN), 0).await;
    stage.state.load((1..=2_500).map(|id| contact(id, 0)).collect());
    assert_eq!(stage.run().await.rows, 2_500);
    for _ in 0..2 {
        let next = stage.run().await;
        assert_eq!((next.outcome, next.rows), (Outcome::NothingNew, 0));
    }
    stage.state.upsert(contact(30_000, 0));
    assert_eq!(stage.run().await.rows, 1, "one that shows late, of the same time");
    assert_eq!(stage.run().await.outcome, Outcome::NothingNew);
}

#[tokio::test]
async fn the_dated_versions_of_the_api_are_read_alike() {
    let mut stage = Stage::new(HubSpotConfig::new(TOKEN), 5).await;
    stage.extractor.version = "2026-09";
    assert_eq!(stage.run().await.rows, 5);
    stage.state.erase(30);
    stage.compare().await;
    assert_eq!(stage.live(), [10, 20, 40, 50]);
}
