//! A seeded portal whose contacts are created, changed, merged, archived and restored while they are read, behind an index
//! that lags: whatever the order of events, the union of the runs is the portal.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use chrono::{DateTime, SecondsFormat};
use serde_json::{Value, json};
use sluice_core::{Cell, Cursor, Schema, Secret, Sequence};
use sluice_http::RetryPolicy;

use crate::{Client, Credentials, HubspotConfig, Limits, read};

/// The index shows a change this late at most; the extractor allows for 120 s.
const MAX_LAG_MILLIS: i64 = 100_000;

const PAGE: usize = 15;

#[derive(Debug, Clone, PartialEq)]
struct Record {
    id: i64,
    modified: i64,
    email: String,
    archived_at: Option<i64>,
    merged: BTreeSet<i64>,
}

#[derive(Debug)]
struct Portal {
    random: fastrand::Rng,
    /// HubSpot's clock, in milliseconds. It moves with every request and every change.
    clock: i64,
    /// Nothing changes any more.
    quiet: bool,
    next_id: i64,
    records: BTreeMap<i64, Record>,
    /// When the search shows what of a record; `None` shows it no longer.
    index: BTreeMap<i64, Vec<(i64, Option<Record>)>>,
}

type Shared = Arc<Mutex<Portal>>;

fn lock(portal: &Shared) -> MutexGuard<'_, Portal> {
    portal.lock().expect("not poisoned")
}

impl Portal {
    fn new(seed: u64) -> Self {
        let random = fastrand::Rng::with_seed(seed);
        let (records, index) = (BTreeMap::new(), BTreeMap::new());
        let mut portal = Portal { random, clock: 1_767_225_600_000, quiet: false, next_id: 1, records, index };
        (0..100).for_each(|_| portal.change());
        portal
    }

    fn put(&mut self, record: Record) {
        let shown = record.archived_at.is_none().then(|| record.clone());
        self.show(record.id, shown);
        self.records.insert(record.id, record);
    }

    fn show(&mut self, id: i64, record: Option<Record>) {
        let changes = self.index.entry(id).or_default();
        let earliest = changes.last().map_or(0, |(at, _)| *at);
        changes.push((earliest.max(self.clock + self.random.i64(0..MAX_LAG_MILLIS)), record));
    }

    fn create(&mut self) {
        let id = self.next_id;
        self.next_id += self.random.i64(1..4);
        let email = format!("{id}@example.com");
        self.put(Record { id, modified: self.clock, email, archived_at: None, merged: BTreeSet::new() });
    }

    fn pick(&mut self, archived: bool) -> Option<Record> {
        let ids: Vec<i64> =
            self.records.values().filter(|r| r.archived_at.is_some() == archived).map(|record| record.id).collect();
        let at = self.random.usize(0..ids.len().max(1));
        self.records.get(ids.get(at)?).cloned()
    }

    fn change(&mut self) {
        self.clock += self.random.i64(1..3_000);
        let now = self.clock;
        match self.random.u8(0..100) {
            0..40 => self.create(),
            // An import: many records, one millisecond.
            40..43 => (0..self.random.usize(20..70)).for_each(|_| self.create()),
            43..75 => {
                let Some(record) = self.pick(false) else { return };
                let email = format!("{}.{now}@example.com", record.id);
                self.put(Record { modified: now, email, ..record });
            }
            75..85 => {
                let Some(record) = self.pick(false) else { return };
                self.put(Record { archived_at: Some(now), ..record });
            }
            85..90 => {
                let Some(record) = self.pick(true) else { return };
                self.put(Record { archived_at: None, modified: now, ..record });
            }
            _ => {
                let (Some(mut survivor), Some(consumed)) = (self.pick(false), self.pick(false)) else { return };
                if survivor.id == consumed.id {
                    return;
                }
                survivor.merged.extend(&consumed.merged);
                survivor.merged.insert(consumed.id);
                self.records.remove(&consumed.id);
                self.show(consumed.id, None);
                self.put(Record { modified: now, ..survivor });
            }
        }
    }

    /// One request arrives: time passes, things happen, and now and then the answer is a fault.
    fn request(&mut self) -> Option<Response> {
        self.clock += self.random.i64(50..400);
        if self.quiet {
            return None;
        }
        (0..self.random.usize(0..3)).for_each(|_| self.change());
        match self.random.u8(0..40) {
            0 => Some((StatusCode::BAD_GATEWAY, "<html>").into_response()),
            1 => Some((StatusCode::TOO_MANY_REQUESTS, r#"{"policyName": "DAILY"}"#).into_response()),
            2 => Some((StatusCode::OK, r#"{"results": [{"id": "#).into_response()),
            _ => None,
        }
    }

    fn searchable(&self) -> impl Iterator<Item = &Record> {
        let shown = |changes: &'_ Vec<(i64, Option<Record>)>| changes.iter().rposition(|(at, _)| *at <= self.clock);
        self.index.values().filter_map(move |changes| changes[shown(changes)?].1.as_ref())
    }

    fn answer(&self, body: Value) -> Response {
        let date = time(self.clock).format("%a, %d %b %Y %H:%M:%S GMT").to_string();
        ([("date", date)], Json(body)).into_response()
    }
}

fn time(millis: i64) -> DateTime<chrono::Utc> {
    DateTime::from_timestamp_millis(millis).expect("a time")
}

fn text(millis: i64) -> String {
    time(millis).to_rfc3339_opts(SecondsFormat::Millis, true)
}

fn render(record: &Record) -> Value {
    let merged: Vec<String> = record.merged.iter().map(ToString::to_string).collect();
    let mut rendered = json!({"id": record.id.to_string(), "archived": record.archived_at.is_some(), "properties": {
        "email": record.email, "lastmodifieddate": text(record.modified), "hs_merged_object_ids": merged.join(";"),
    }});
    if let Some(at) = record.archived_at {
        rendered["archivedAt"] = json!(text(at));
    }
    rendered
}

async fn search(State(portal): State<Shared>, Json(request): Json<Value>) -> Response {
    let mut portal = lock(&portal);
    if let Some(fault) = portal.request() {
        return fault;
    }
    let number = |value: &Value| value.as_str().expect("a text").parse::<i64>().expect("a number");
    let filters = &request["filterGroups"][0]["filters"];
    let at = number(&filters[0]["value"]);
    let exact = filters[0]["operator"] == "BETWEEN";
    let mut found: Vec<&Record> = match exact {
        true => portal.searchable().filter(|r| r.modified == at && r.id > number(&filters[1]["value"])).collect(),
        false => portal.searchable().filter(|r| r.modified >= at).collect(),
    };
    found.sort_by_key(|record| if exact { (0, record.id) } else { (record.modified, -record.id) });
    let results: Vec<Value> = found.iter().take(PAGE).map(|record| render(record)).collect();
    let mut answer = json!({"total": found.len(), "results": results});
    if found.len() > PAGE {
        answer["paging"] = json!({"next": {"after": PAGE.to_string()}});
    }
    portal.answer(answer)
}

#[derive(serde::Deserialize)]
struct ListQuery {
    #[serde(default)]
    after: i64,
}

/// The archive by id; a cursor is the id after which a page begins.
async fn list(State(portal): State<Shared>, Query(query): Query<ListQuery>) -> Response {
    let mut portal = lock(&portal);
    if let Some(fault) = portal.request() {
        return fault;
    }
    let found: Vec<&Record> =
        portal.records.values().filter(|r| r.archived_at.is_some() && r.id > query.after).collect();
    let results: Vec<Value> = found.iter().take(PAGE).map(|record| render(record)).collect();
    let mut answer = json!({ "results": results });
    if found.len() > PAGE {
        answer["paging"] = json!({"next": {"after": found[PAGE - 1].id.to_string()}});
    }
    portal.answer(answer)
}

async fn properties(State(portal): State<Shared>) -> Response {
    let mut portal = lock(&portal);
    portal.clock += 100;
    let names = ["email", "lastmodifieddate", "hs_merged_object_ids"];
    portal.answer(json!({"results": names.map(|name| json!({"name": name, "type": "string"}))}))
}

/// The table after the loads so far: of two rows of one contact the newer version wins, of equal ones the later load.
#[derive(Debug, Default)]
struct Table(BTreeMap<i64, (i64, bool, Option<String>)>);

impl Table {
    fn load(&mut self, read: &crate::Read, taken: &mut BTreeSet<(i64, i64)>) {
        for row in &read.rows {
            let [Cell::Bigint(id), email, Cell::Timestamp(version), Cell::Boolean(archived)] = row.cells()[..] else {
                panic!("another shape: {row:?}")
            };
            let email = if let Cell::Text(email) = email { Some(email.to_owned()) } else { None };
            // A tombstone of a merge is written again with each change of its survivor.
            let fresh = taken.insert((id, version));
            assert!(fresh || archived, "contact {id} is taken twice in one version");
            if self.0.get(&id).is_none_or(|known| version >= known.0) {
                self.0.insert(id, (version, archived, email));
            }
        }
    }

    fn live(&self) -> BTreeMap<i64, (i64, String)> {
        let live = self.0.iter().filter(|(_, row)| !row.1);
        live.map(|(id, (version, _, email))| (*id, (version / 1_000, email.clone().unwrap_or_default()))).collect()
    }
}

async fn serve(portal: Shared) -> Client {
    let router = Router::new()
        .route("/crm/v3/objects/contacts/search", post(search))
        .route("/crm/v3/objects/contacts", get(list))
        .route("/crm/v3/properties/contacts", get(properties))
        .with_state(portal);
    let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    tokio::spawn(async move { axum::serve(listener, router).await });
    let mut config = HubspotConfig::new(&url, Credentials { token: Secret::new("t") });
    (config.searches_per_second, config.requests_per_ten_seconds) = (0, 0);
    config.retries = RetryPolicy::without_waits(2);
    Client::new(sluice_http::Client::new().expect("a client"), &config)
}

fn columns() -> Schema {
    let columns = json!([
        {"name": "id", "type": "bigint", "required": true}, {"name": "email", "type": "text"},
        {"name": "lastmodifieddate", "type": "timestamp", "required": true},
        {"name": "archived", "type": "boolean", "required": true},
    ]);
    serde_json::from_value(columns).expect("columns")
}

async fn union_of_runs_is_the_portal(seed: u64) {
    let portal = Shared::new(Mutex::new(Portal::new(seed)));
    let client = serve(portal.clone()).await;
    let mut dice = fastrand::Rng::with_seed(seed ^ 0x5EED);
    let (mut table, mut taken) = (Table::default(), BTreeSet::new());
    let mut cursor: Option<Cursor> = None;
    let mut settled = 0;
    for run in 1..=60 {
        let ending = run > 20;
        let now = {
            let mut portal = lock(&portal);
            portal.quiet = ending;
            portal.clock += if ending { 200_000 } else { dice.i64(0..300_000) };
            portal.clock
        };
        // The event's time and HubSpot's clock need not agree.
        let time = time(now + dice.i64(-400_000..400_000));
        let contacts = if ending { usize::MAX } else { [20, 60, usize::MAX][dice.usize(0..3)] };
        let limits = Limits { contacts, time: Duration::MAX };
        let Ok(account) = client.account().await else { continue };
        let Ok(found) = read(&client, &account, &columns(), (cursor.as_ref(), Sequence(run)), time, limits).await
        else {
            continue;
        };
        // Now and then the function dies before its commit.
        if !ending && dice.u8(0..5) == 0 {
            continue;
        }
        table.load(&found, &mut taken);
        let moved = found.cursor.is_some() && found.cursor != cursor;
        cursor = found.cursor.or(cursor);
        settled = if ending && !moved { settled + 1 } else { 0 };
        if settled == 2 {
            break;
        }
    }
    assert_eq!(settled, 2, "seed {seed}: the runs come to an end");
    let live =
        lock(&portal).records.values().filter(|record| record.archived_at.is_none()).cloned().collect::<Vec<_>>();
    let expected: BTreeMap<i64, (i64, String)> =
        live.into_iter().map(|record| (record.id, (record.modified, record.email))).collect();
    assert_eq!(table.live(), expected, "seed {seed}");
}

#[tokio::test]
async fn whatever_happens_while_it_is_read_the_union_of_the_runs_is_the_portal() {
    for seed in 0..40 {
        union_of_runs_is_the_portal(seed).await;
    }
}
