//! The shipped events, from handler to commit.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use serde_json::{Value, json};
use sluice_core::{Kind, LakeId, Secret, Sources, extract::Outcome};
use sluice_hubspot::DEFAULT_VERSION;
use sluice_testkit::{
    lake::{MemoryLake, OneSecret},
    ports::MemoryBus,
};

use super::*;
use crate::Config;

type Contacts = Arc<Mutex<Vec<Value>>>;

async fn search(State(contacts): State<Contacts>, headers: HeaderMap) -> Result<Json<Value>, StatusCode> {
    if headers.get("authorization").is_none_or(|value| value != "Bearer pat-eu1-x") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let contacts = contacts.lock().expect("not poisoned").clone();
    Ok(Json(json!({"total": contacts.len(), "results": contacts})))
}

async fn properties() -> Json<Value> {
    let names = ["email", "firstname", "lastname", "lifecyclestage", "createdate", "lastmodifieddate"];
    let names = names.iter().chain(&["hs_merged_object_ids", "hs_additional_emails"]);
    Json(json!({"results": names.map(|name| json!({"name": name})).collect::<Vec<_>>()}))
}

fn contact(id: u32, created: &str) -> Value {
    let properties = json!({"email": "a@b.c", "createdate": created, "lastmodifieddate": "2026-10-01T00:00:00.123Z"});
    json!({"id": id.to_string(), "properties": properties, "archived": false})
}

async fn deps(secret: &'static str) -> (Deps<MemoryLake, MemoryBus, OneSecret>, Contacts) {
    let contacts = Contacts::new(Mutex::new(vec![contact(1, "2026-01-01T00:00:00Z"), contact(2, "some day")]));
    let router = Router::new()
        .route("/crm/v3/objects/contacts/search", post(search))
        .route("/crm/v3/objects/contacts", get(async || Json(json!({"results": []}))))
        .route("/crm/v3/properties/contacts", get(properties))
        .with_state(contacts.clone());
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let config = Config {
        lake_bucket: "lake".into(),
        lake_id: LakeId("test".into()),
        bus_name: "bus".into(),
        url,
        version: DEFAULT_VERSION.into(),
        secret: "hubspot".into(),
        compare_days: 7,
        sources: Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources"),
    };
    let http = sluice_http::Client::new().expect("a client");
    let store = MemoryLake::default();
    (Deps { config, store, bus: MemoryBus::default(), secrets: OneSecret(secret), http }, contacts)
}

async fn run(deps: &Deps<MemoryLake, MemoryBus, OneSecret>, event: &str) -> Result<ExtractSummary> {
    let request = serde_json::from_str(event).expect("an event of the function's shape");
    handle(request, &Invocation::new("request", Duration::from_secs(300)), deps).await
}

const SECRET: &str = r#"{"token": "pat-eu1-x"}"#;
const SCHEDULED: &str = include_str!("../../../../events/extract-hubspot/scheduled.json");
const FULL_REFRESH: &str = include_str!("../../../../events/extract-hubspot/full-refresh.json");
const UNKNOWN: &str = include_str!("../../../../events/extract-hubspot/unknown-table.json");

#[tokio::test]
async fn a_schedule_commits_what_is_new_and_its_replay_does_nothing() {
    let (deps, contacts) = deps(SECRET).await;
    let first = run(&deps, SCHEDULED).await.expect("a commit");
    assert_eq!((first.outcome, first.rows, first.rejected), (Outcome::Committed, 1, 1));
    let replay = run(&deps, SCHEDULED).await.expect("a run");
    assert_eq!((replay.outcome, replay.rows, replay.rejected), (Outcome::NothingNew, 0, 0));

    contacts.lock().expect("not poisoned").push(contact(3, "2026-02-01T00:00:00Z"));
    let second = run(&deps, SCHEDULED).await.expect("a commit");
    assert_eq!((second.outcome, second.rows, second.sequence.map(|s| s.0)), (Outcome::Committed, 1, Some(2)));
    let refresh = run(&deps, FULL_REFRESH).await.expect("a commit");
    assert_eq!((refresh.rows, refresh.rejected), (2, 1));
}

#[tokio::test]
async fn a_dry_run_counts_and_writes_nothing() {
    let (deps, _) = deps(SECRET).await;
    let dry = SCHEDULED.replacen('{', r#"{ "dry_run": true,"#, 1);
    let summary = run(&deps, &dry).await.expect("a dry run");
    assert_eq!((summary.outcome, summary.rows), (Outcome::DryRun, 2));
    assert!(deps.store.is_empty());
}

#[tokio::test]
async fn what_an_operator_must_correct_fails_before_anything_is_written() {
    for (secret, event, expected) in [
        (SECRET, UNKNOWN, Kind::Config),
        (r#"{"app_id": "pat-eu1-x"}"#, SCHEDULED, Kind::Config),
        (r#"{"token": "pat-eu1-revoked"}"#, SCHEDULED, Kind::Auth),
    ] {
        let (deps, _) = deps(secret).await;
        let error = run(&deps, event).await.expect_err("refused");
        assert_eq!(error.kind(), expected);
        assert!(!error.chain().contains("pat-eu1"), "{error:?}");
        assert!(deps.store.is_empty());
    }
}

/// A secret that has been rotated: the old value is remembered until it is refused.
#[derive(Debug)]
struct Rotated {
    old: std::cell::Cell<bool>,
    values: [&'static str; 2],
}

impl Secrets for Rotated {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.values[usize::from(!self.old.get())]))
    }

    fn forget(&self, _: &str) {
        self.old.set(false);
    }
}

#[tokio::test]
async fn a_rotated_token_is_fetched_again_when_the_old_one_is_refused() {
    let (Deps { config, store, bus, http, .. }, _) = deps(SECRET).await;
    let secrets = Rotated { old: true.into(), values: [r#"{"token": "pat-eu1-old"}"#, SECRET] };
    let deps = Deps { config, store, bus, secrets, http };
    let request: ExtractRequest = serde_json::from_str(SCHEDULED).expect("an event");
    let invocation = Invocation::new("request", Duration::from_secs(300));
    assert_eq!(handle(request, &invocation, &deps).await.expect("the new token").outcome, Outcome::Committed);
    assert!(!deps.secrets.old.get(), "the refused one is forgotten");
}
