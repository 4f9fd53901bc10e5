//! Against a fake in Python that was written from HubSpot's documentation alone.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::{Value, json};
use sluice_core::{Kind, extract::Outcome};
use sluice_hubspot::Limits;
use sluice_testkit::{fake::Fake, lake::MemoryLake};

use crate::support::Extractor;

struct Stage {
    fake: Fake,
    extractor: Extractor,
    lake: MemoryLake,
}

/// 2026-01-01, in milliseconds.
const START: i64 = 1_767_225_600_000;

fn contact(id: i64, after: i64) -> Value {
    json!({"id": id, "modified": START + after, "properties": {"email": format!("{id}@example.com")}})
}

impl Stage {
    fn new() -> Self {
        let fake = Fake::start("hubspot").expect("a fake");
        Stage { extractor: Extractor::new(fake.url.clone()), lake: MemoryLake::default(), fake }
    }

    async fn post(&self, path: &str, body: Value) {
        let client = reqwest::Client::new();
        let answer = client.post(format!("{}/{path}", self.fake.url)).json(&body).send().await.unwrap();
        assert!(answer.status().is_success());
    }

    async fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        reqwest::get(format!("{}/{path}", self.fake.url)).await.unwrap().json().await.unwrap()
    }

    async fn run(&self) -> sluice_core::Result<sluice_core::extract::ExtractSummary> {
        self.extractor.run(&self.lake).await.expect("alive")
    }

    /// What is live in the portal, as the table should have it.
    async fn truth(&self) -> BTreeMap<i64, (Option<String>, i64)> {
        let truth: BTreeMap<String, Value> = self.get("truth").await;
        let live = truth.into_iter().filter(|(_, contact)| contact["archived"].is_null());
        let email = |contact: &Value| contact["email"].as_str().map(str::to_owned);
        live.map(|(id, c)| (id.parse().unwrap(), (email(&c), c["modified"].as_i64().unwrap() * 1_000))).collect()
    }

    /// What has been asked; no request may stand there twice.
    async fn asked(&self) -> Vec<String> {
        let asked: Vec<String> = self.get("requests").await;
        let distinct: BTreeSet<&String> = asked.iter().collect();
        assert_eq!(distinct.len(), asked.len(), "a page was asked for twice");
        asked
    }
}

impl Stage {
    /// What has been announced of drift since the last question: each change in words, with what was done about it.
    fn told(&self) -> Vec<Vec<String>> {
        let word = |value: &Value| value.as_str().unwrap().to_owned();
        let change = |change: &Value| {
            format!("{} {} {}", word(&change["column"]), word(&change["kind"]), word(&change["action"]))
        };
        let told = self.extractor.bus.announced.take();
        assert!(told.iter().all(|event| event.detail_type == "DriftDetected"), "{told:?}");
        told.iter().map(|event| event.detail["changes"].as_array().unwrap().iter().map(change).collect()).collect()
    }
}

#[tokio::test]
async fn changed_properties_are_told_once_and_only_unreadable_ones_stop_a_run() {
    let stage = Stage::new();
    stage.post("seed", (1..=3).map(|id| contact(id, id)).collect()).await;
    assert_eq!(stage.run().await.expect("a run").rows, 3);
    assert!(stage.told().is_empty(), "what was there before was left out on purpose");

    stage.post("properties", json!({"badge": "string", "hs_novelty": "number"})).await;
    let news = stage.run().await.expect("a run");
    assert_eq!((news.outcome, news.rows), (Outcome::Committed, 0), "the commit keeps the news");
    assert_eq!(stage.told(), [["badge new ignored"]], "HubSpot's own novelties are nobody's news");
    assert_eq!(stage.run().await.expect("a run").outcome, Outcome::NothingNew);
    assert!(stage.told().is_empty());

    stage.post("properties", json!({"lifecyclestage": null, "firstname": "enumeration"})).await;
    assert_eq!(stage.run().await.expect("a run").outcome, Outcome::Committed);
    let told = stage.told().concat();
    assert!(told.contains(&"lifecyclestage dropped nulled".to_owned()), "{told:?}");
    assert!(told.iter().any(|change| change.starts_with("firstname") && change.ends_with("fits")), "{told:?}");

    stage.post("properties", json!({"createdate": "bool"})).await;
    let before = stage.lake.keys();
    let stopped = stage.run().await.expect_err("no boolean is a timestamp");
    assert_eq!(stopped.kind(), Kind::SchemaMismatch);
    assert!(stopped.to_string().contains("'createdate' has another type (datetime to bool)"), "{stopped}");
    assert_eq!(stage.lake.keys(), before);
    assert!(stage.told().concat().contains(&"createdate changed failed".to_owned()));

    stage.post("properties", json!({"createdate": "datetime", "lastmodifieddate": null})).await;
    assert_eq!(stage.run().await.expect_err("the version is gone").kind(), Kind::SchemaMismatch);
    let asked: Vec<String> = stage.get("requests").await;
    let lists = asked.iter().filter(|request| request.contains("/crm/v3/properties/contacts")).count();
    assert_eq!(lists, 6, "one list of properties a run");
}

#[tokio::test]
async fn a_portal_beyond_the_search_cap_is_read_with_one_request_per_page() {
    let stage = Stage::new();
    // 10,300 contacts of one import in one millisecond, and others around them.
    let import = (1..=10_300).map(|id| contact(id, 50_000));
    let others = (10_301..=10_900).map(|id| contact(id, if id % 2 == 0 { id } else { 100_000 + id }));
    stage.post("seed", import.chain(others).collect()).await;
    let summary = stage.run().await.expect("a run");
    assert_eq!((summary.rows, summary.rejected), (10_900, 0));
    assert_eq!(stage.extractor.live(&stage.lake), stage.truth().await);
    assert_eq!(summary.facts["properties_unmapped_custom"], json!(["favourite_colour", "shoe_size"]));
    let searches = stage.asked().await.iter().filter(|request| request.contains("search")).count();
    // 53 pages of the import and the one that shows it; 300 before and 300 after in two pages each.
    assert!(searches <= 53 + 1 + 4, "{searches} searches");
    assert_eq!(stage.run().await.expect("a run").outcome, Outcome::NothingNew);
}

#[tokio::test]
async fn contacts_that_change_during_a_read_are_neither_lost_nor_doubled() {
    let stage = Stage::new();
    stage.post("seed", (1..=2_000).map(|id| contact(id, id * 10)).collect()).await;
    // One of these happens after each search: the read contact moves behind, a later one comes forward, is archived,
    // is consumed by another one, and a new one comes.
    let changes = (0..8_i64).flat_map(|n| {
        let at = 100_000 + n * 1_000;
        let mut archived = contact(1_500 + n, (1_500 + n) * 10);
        archived["archived"] = json!(START + at);
        let mut survivor = contact(900 + n, at + 3);
        survivor["merged"] = json!([100 + n, 1_900 + n]);
        [contact(1 + n, at), archived, survivor, contact(3_000 + n, at + 4)]
    });
    stage.post("meanwhile", changes.collect()).await;
    // Each run searches at least once, so that all of it has happened after this many.
    for _ in 0..32 {
        stage.run().await.expect("a run");
    }
    assert_eq!(stage.run().await.expect("a run").outcome, Outcome::NothingNew);
    let truth = stage.truth().await;
    assert_eq!(truth.len(), 2_000 + 8 - 8 - 16);
    assert_eq!(stage.extractor.live(&stage.lake), truth);
    assert_eq!(stage.extractor.tombstones(&stage.lake), 8 + 16);
}

#[tokio::test]
async fn a_days_limit_in_the_middle_costs_no_page_twice() {
    let mut stage = Stage::new();
    stage.post("seed", (1..=1_000).map(|id| contact(id, id * 10)).collect()).await;
    let daily = json!({"status": "error", "policyName": "DAILY", "errorType": "RATE_LIMIT"}).to_string();
    stage.post("faults", json!([{"path": "search", "status": 429, "body": daily, "after": 2, "times": 1}])).await;
    let part = stage.run().await.expect("two pages");
    assert_eq!((part.rows, &part.facts["stopped_by"]), (399, &json!("RateLimited")));
    assert_eq!(part.facts["requests_left_today"], 249_000);
    stage.run().await.expect("the rest");
    assert_eq!(stage.extractor.live(&stage.lake).len(), 1_000);
    assert_eq!(stage.lake.committed_rows(stage.extractor.table()).unwrap().len(), 1_000);

    stage.extractor.token = "pat-na1-other";
    assert_eq!(stage.run().await.expect_err("refused").kind(), Kind::Auth);
}

#[tokio::test]
async fn a_short_run_goes_on_where_the_last_stopped_within_a_millisecond() {
    let mut stage = Stage::new();
    let archived = (2_001..=2_250).map(|id| {
        let mut contact = contact(id, 10);
        contact["archived"] = json!(START + id);
        contact
    });
    stage.post("seed", (1..=2_000).map(|id| contact(id, 5_000)).chain(archived).collect()).await;
    stage.extractor.limits = Limits { contacts: usize::MAX, time: Duration::ZERO };
    let mut runs = 1;
    while stage.run().await.expect("a run").facts["stopped_early"] == true {
        runs += 1;
        assert!(runs < 30, "the runs come to an end");
    }
    assert_eq!(runs, 10, "a page of the millisecond each");
    stage.extractor.limits.time = Duration::MAX;
    assert_eq!(stage.run().await.expect("a run").outcome, Outcome::NothingNew);
    assert_eq!(stage.extractor.live(&stage.lake), stage.truth().await);
    assert_eq!(stage.lake.committed_rows(stage.extractor.table()).unwrap().len(), 2_250, "each contact once");
}
