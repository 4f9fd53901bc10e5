//! The shipped events, from handler to commit.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    extract::State,
    http::{HeaderMap, StatusCode},
    routing::{get, post},
};
use bytes::Bytes;
use serde_json::{Value, json};
use sluice_core::{
    Kind, LakeId, Secret, Sources,
    event::Announcement,
    extract::Outcome,
    port::{PutIfAbsent, Stored},
};

use super::*;

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
    let names = names.iter().chain(&["hs_merged_object_ids"]);
    Json(json!({"results": names.map(|name| json!({"name": name})).collect::<Vec<_>>()}))
}

fn contact(id: u32, created: &str) -> Value {
    let properties = json!({"email": "a@b.c", "createdate": created, "lastmodifieddate": "2026-10-01T00:00:00.123Z"});
    json!({"id": id.to_string(), "properties": properties, "archived": false})
}

#[derive(Debug, Default)]
struct Memory(RefCell<BTreeMap<String, Bytes>>);

impl ObjectStore for Memory {
    async fn put(&self, key: &str, body: Bytes) -> Result<Stored> {
        self.0.borrow_mut().insert(key.to_owned(), body);
        Ok(Stored { checksum: "c".into() })
    }

    async fn put_if_absent(&self, key: &str, body: Bytes) -> Result<PutIfAbsent> {
        if self.0.borrow().contains_key(key) {
            return Ok(PutIfAbsent::Exists);
        }
        self.put(key, body).await.map(PutIfAbsent::Stored)
    }

    async fn get(&self, key: &str) -> Result<Option<Bytes>> {
        Ok(self.0.borrow().get(key).cloned())
    }

    async fn first_key(&self, prefix: &str) -> Result<Option<String>> {
        Ok(self.0.borrow().keys().find(|key| key.starts_with(prefix)).cloned())
    }
}

/// A bus that remembers.
#[derive(Debug, Default)]
struct Announced(RefCell<Vec<Announcement>>);

impl Bus for Announced {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        self.0.borrow_mut().push(announcement);
        Ok(())
    }
}

#[derive(Debug)]
struct OneSecret(&'static str);

impl Secrets for OneSecret {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.0))
    }
}

async fn deps(secret: &'static str) -> (Deps<Memory, Announced, OneSecret>, Contacts) {
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
        secret: "hubspot".into(),
        sources: Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources"),
    };
    let http = sluice_http::Client::new().expect("a client");
    (Deps { config, store: Memory::default(), bus: Announced::default(), secrets: OneSecret(secret), http }, contacts)
}

async fn run(deps: &Deps<Memory, Announced, OneSecret>, event: &str) -> Result<ExtractSummary> {
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
        assert!(deps.store.0.borrow().is_empty());
    }
}
