//! The sender of OpenLineage events against servers that were written from the vendors' documentation alone.

use std::cell::Cell;

use serde_json::{Value, json};
use sluice_core::{Error, Kind, Result, Secret, port::Secrets};
use sluice_http::{Client, Request};
use sluice_testkit::fake::Fake;
use watch_platform::openlineage::{post, send};

const TOKEN: &str = "eyJ-fake";

/// The events that the client of OpenLineage has judged.
const EVENTS: &str = include_str!("../../../shared/sluice-pipeline/src/openlineage/events.ndjson");

fn events() -> Vec<Value> {
    EVENTS.lines().map(|line| serde_json::from_str(line).expect("an event")).collect()
}

fn job(event: &Value) -> String {
    format!("{} {}", event["job"]["name"].as_str().unwrap_or_default(), event["eventType"].as_str().unwrap_or_default())
}

struct Stage {
    fake: Fake,
    http: Client,
}

impl Stage {
    fn new() -> Self {
        Stage { fake: Fake::start("openlineage").expect("a fake"), http: Client::new().expect("a client") }
    }

    async fn seen(&self) -> Vec<String> {
        let answer = self.http.send_once(&Request::get(format!("{}/seen", self.fake.url))).await.expect("an answer");
        answer.json().expect("a list")
    }

    async fn spoil(&self, fault: Value) {
        let request = Request::post(format!("{}/faults", self.fake.url)).json(&fault).expect("JSON");
        self.http.send_once(&request).await.expect("planted");
    }
}

#[tokio::test]
async fn marquez_takes_every_event_in_its_order() {
    let stage = Stage::new();
    let url = format!("{}/marquez", stage.fake.url);
    for event in events() {
        post(&stage.http, &url, None, &event).await.expect("taken");
    }
    assert_eq!(stage.seen().await, events().iter().map(job).collect::<Vec<_>>());
}

#[tokio::test]
async fn what_openmetadata_says_in_its_body_counts_and_not_its_status() {
    let stage = Stage::new();
    let url = format!("{}/openmetadata", stage.fake.url);
    let complete = |name: &str| {
        let found = events().into_iter().find(|event| event["job"]["name"] == name && event["eventType"] == "COMPLETE");
        found.expect("an event")
    };
    let model = complete("dbt.fct_purchases");
    let refused = post(&stage.http, &url, None, &model).await.expect_err("without a token");
    assert_eq!(refused.kind(), Kind::Auth);
    let token = Secret::new(TOKEN);
    post(&stage.http, &url, Some(&token), &model).await.expect("tables that it knows");
    let unknown = complete("extract.DLT.APPLICATION_DATA.PRODUCTS");
    let refused = post(&stage.http, &url, Some(&token), &unknown).await.expect_err("a table that it does not know");
    assert!(refused.is_final(), "it would be sent for ever: {refused:?}");
    assert_eq!(stage.seen().await, [job(&model)]);
}

#[tokio::test]
async fn what_is_away_for_a_moment_is_asked_again_and_a_refusal_is_not() {
    let stage = Stage::new();
    let url = format!("{}/marquez", stage.fake.url);
    let event = &events()[0];
    stage.spoil(json!({"status": 503, "times": 1})).await;
    post(&stage.http, &url, None, event).await.expect("the second time");
    stage.spoil(json!({"status": 503, "times": 2})).await;
    let away = post(&stage.http, &url, None, event).await.expect_err("away");
    assert!(!away.is_final(), "the next round would not send it: {away:?}");
    stage.spoil(json!({"status": 400, "times": 1})).await;
    let refused = post(&stage.http, &url, None, event).await.expect_err("refused");
    assert!(refused.is_final(), "{refused:?}");
    assert_eq!(stage.seen().await.len(), 1);
}

/// A cache that holds a token of before its rotation.
struct Rotated(Cell<&'static str>);

impl Secrets for Rotated {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(json!({"openlineage_token": self.0.get()}).to_string()))
    }

    fn forget(&self, _: &str) {
        self.0.set(TOKEN);
    }
}

/// Secrets Manager, which answers with this.
struct Away(Kind);

impl Secrets for Away {
    async fn get(&self, _: &str) -> Result<Secret> {
        Err(Error::new(self.0, "cannot read the secret"))
    }
}

#[tokio::test]
async fn a_token_that_was_rotated_is_read_again_after_its_refusal() {
    let stage = Stage::new();
    let url = format!("{}/openmetadata", stage.fake.url);
    let known = |event: &Value| event["job"]["name"] == "dbt.fct_purchases" && event["eventType"] == "COMPLETE";
    let event = events().into_iter().find(known).expect("an event");
    send(&stage.http, &url, (&Rotated(Cell::new("eyJ-old")), "alerts"), &event).await.expect("taken with the new one");
    assert_eq!(stage.seen().await, [job(&event)]);
}

#[tokio::test]
async fn only_a_secret_without_a_value_means_that_no_token_is_wanted() {
    let stage = Stage::new();
    let url = format!("{}/marquez", stage.fake.url);
    let event = &events()[0];
    let away = send(&stage.http, &url, (&Away(Kind::Unavailable), "alerts"), event).await.expect_err("no secret");
    assert_eq!((away.kind(), stage.seen().await.len()), (Kind::Unavailable, 0), "it is sent in the next round");
    send(&stage.http, &url, (&Away(Kind::NotFound), "alerts"), event).await.expect("taken without a token");
    assert_eq!(stage.seen().await.len(), 1);
}
