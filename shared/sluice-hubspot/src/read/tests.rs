//! Reading against an account of its own on this machine.

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use axum::{
    Json, Router,
    extract::{Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use sluice_core::{Cell, Retry, Secret};
use sluice_http::RetryPolicy;

use super::*;
use crate::{HubspotConfig, config::Credentials};

mod portal;

#[derive(Debug, Clone)]
struct Contact {
    id: i64,
    modified: String,
    archived_at: Option<String>,
    /// Its creation cannot be read, so that it is no row.
    invalid: bool,
}

/// An account: `page` is the most results of one answer, `hidden` is what the index does not show yet.
#[derive(Debug, Default)]
struct Account {
    contacts: Vec<Contact>,
    page: usize,
    hidden: BTreeSet<i64>,
    missing_property: Option<&'static str>,
    /// Status and body of the next answers.
    refusals: Vec<(u16, &'static str)>,
    /// From this search on, counted from 1, every answer is this refusal.
    refuse_from: Option<(usize, (u16, &'static str))>,
    /// After this many pages of the archive the next one is refused.
    lists_until: Option<usize>,
    /// Status and body of the list's next answers.
    list_refusals: Vec<(u16, &'static str)>,
    /// A contact that changes after the first search.
    changes_meanwhile: Option<Contact>,
    searches: Vec<Value>,
    lists: usize,
}

type Shared = Arc<Mutex<Account>>;

fn lock(account: &Shared) -> MutexGuard<'_, Account> {
    account.lock().expect("not poisoned")
}

fn millis(contact: &Contact) -> i64 {
    DateTime::parse_from_rfc3339(&contact.modified).map_or(0, |time| time.timestamp_millis())
}

fn record(contact: &Contact) -> Value {
    let mut record = json!({
        "id": contact.id.to_string(), "archived": contact.archived_at.is_some(),
        "properties": {
            "email": format!("{}@example.com", contact.id),
            "createdate": if contact.invalid { "once" } else { "2026-01-01T00:00:00Z" },
            "lastmodifieddate": contact.modified, "hs_merged_object_ids": null,
        },
    });
    if let Some(at) = &contact.archived_at {
        record["archivedAt"] = json!(at);
    }
    record
}

async fn search(State(account): State<Shared>, Json(request): Json<Value>) -> Response {
    let mut account = lock(&account);
    account.searches.push(request.clone());
    let late = account.refuse_from.filter(|(from, _)| account.searches.len() >= *from).map(|(_, refusal)| refusal);
    if let Some((status, body)) = account.refusals.pop().or(late) {
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    let operand = |filter: &Value, key: &str| filter[key].as_str().and_then(|text| text.parse::<i64>().ok());
    let filters = request["filterGroups"][0]["filters"].as_array().expect("filters").clone();
    let holds = |contact: &Contact, filter: &Value| {
        let low = operand(filter, "value").expect("a number");
        match (filter["propertyName"].as_str(), filter["operator"].as_str()) {
            (Some("lastmodifieddate"), Some("GTE")) => millis(contact) >= low,
            (Some("lastmodifieddate"), Some("BETWEEN")) => {
                (low..=operand(filter, "highValue").expect("a number")).contains(&millis(contact))
            }
            (Some("hs_object_id"), Some("GT")) => contact.id > low,
            other => panic!("an unexpected filter: {other:?}"),
        }
    };
    let shown = |c: &&Contact| c.archived_at.is_none() && !account.hidden.contains(&c.id);
    let mut found: Vec<&Contact> =
        account.contacts.iter().filter(shown).filter(|c| filters.iter().all(|filter| holds(c, filter))).collect();
    match request["sorts"][0]["propertyName"].as_str() {
        Some("hs_object_id") => found.sort_by_key(|contact| contact.id),
        // What the sort does not tell apart comes in the order that a client would least like.
        _ => found.sort_by_key(|contact| (millis(contact), std::cmp::Reverse(contact.id))),
    }
    let page = account.page.min(request["limit"].as_u64().expect("a limit") as usize);
    let mut answer = json!({
        "total": found.len(), "results": found.iter().take(page).map(|contact| record(contact)).collect::<Vec<_>>(),
    });
    if found.len() > page {
        answer["paging"] = json!({"next": {"after": page.to_string()}});
    }
    if let Some(changed) = account.changes_meanwhile.take() {
        account.contacts.retain(|contact| contact.id != changed.id);
        account.contacts.push(changed);
    }
    Json(answer).into_response()
}

#[derive(serde::Deserialize)]
struct ListQuery {
    archived: bool,
    limit: usize,
    after: Option<usize>,
}

async fn list(State(account): State<Shared>, Query(query): Query<ListQuery>) -> Response {
    let mut account = lock(&account);
    if account.lists_until.is_some_and(|pages| account.lists >= pages) {
        return StatusCode::BAD_GATEWAY.into_response();
    }
    if let Some((status, body)) = account.list_refusals.pop() {
        return (StatusCode::from_u16(status).expect("a status"), body).into_response();
    }
    account.lists += 1;
    let archived: Vec<&Contact> =
        account.contacts.iter().filter(|c| c.archived_at.is_some() == query.archived).collect();
    let start = query.after.unwrap_or_default();
    let end = (start + query.limit.min(account.page)).min(archived.len());
    let mut answer = json!({"results": archived[start..end].iter().map(|c| record(c)).collect::<Vec<_>>()});
    if end < archived.len() {
        answer["paging"] = json!({"next": {"after": end.to_string(), "link": "https://elsewhere"}});
    }
    Json(answer).into_response()
}

async fn properties(State(account): State<Shared>) -> Json<Value> {
    let missing = lock(&account).missing_property;
    let all = ["email", "createdate", "lastmodifieddate", "hs_merged_object_ids", "hs_object_id"];
    let listed: Vec<Value> = all.iter().filter(|n| Some(**n) != missing).map(|n| json!({"name": n})).collect();
    Json(json!({ "results": listed }))
}

struct Stage {
    account: Shared,
    client: Client,
    columns: Schema,
    limits: Limits,
}

const NO_LIMIT: Limits = Limits { contacts: usize::MAX, time: Duration::MAX };

impl Stage {
    async fn new(contacts: Vec<Contact>) -> Self {
        let account = Shared::new(Mutex::new(Account { contacts, page: 200, ..Account::default() }));
        let router = Router::new()
            .route("/crm/v3/objects/contacts/search", post(search))
            .route("/crm/v3/objects/contacts", get(list))
            .route("/crm/v3/properties/contacts", get(properties))
            .with_state(account.clone());
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let mut config = HubspotConfig::new(&url, Credentials { token: Secret::new("pat-eu1-x") });
        config.searches_per_second = 0;
        config.requests_per_ten_seconds = 0;
        config.retries = RetryPolicy::without_waits(3);
        let columns = json!([
            {"name": "id", "type": "bigint", "required": true},
            {"name": "email", "type": "text"},
            {"name": "createdate", "type": "timestamp", "required": true},
            {"name": "lastmodifieddate", "type": "timestamp", "required": true},
            {"name": "archived", "type": "boolean", "required": true},
            {"name": "merged_ids", "type": "text"},
        ]);
        Stage {
            account,
            client: Client::new(sluice_http::Client::new().expect("a client"), &config),
            columns: serde_json::from_value(columns).expect("columns"),
            limits: NO_LIMIT,
        }
    }

    async fn read(&self, cursor: Option<&Cursor>) -> Result<Read> {
        let time = "2026-06-01T00:00:00Z".parse().expect("a time");
        let account = self.client.account().await?;
        read(&self.client, &account, &self.columns, (cursor, Sequence(1)), time, self.limits).await
    }

    fn account(&self) -> MutexGuard<'_, Account> {
        lock(&self.account)
    }

    fn put(&self, contact: Contact) {
        let mut account = self.account();
        account.contacts.retain(|known| known.id != contact.id);
        account.contacts.push(contact);
    }

    /// How often the search was asked since the last time that somebody wanted to know.
    fn searches(&self) -> usize {
        std::mem::take(&mut self.account().searches).len()
    }
}

/// A contact that was last changed this many milliseconds into the year.
fn contact(id: i64, after_millis: i64) -> Contact {
    let at = DateTime::from_timestamp_millis(1_767_225_600_000 + after_millis).expect("a time");
    let modified = at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    Contact { id, modified, archived_at: None, invalid: false }
}

fn ids(read: &Read) -> Vec<i64> {
    read.rows.iter().map(|row| row.id).collect()
}

fn all(last: i64) -> Vec<i64> {
    (1..=last).collect()
}

#[tokio::test]
async fn every_contact_is_read_once_with_one_request_per_page() {
    let stage = Stage::new((1..=1_000).map(|id| contact(id, id * 10)).collect()).await;
    let read = stage.read(None).await.expect("a run");
    assert_eq!((ids(&read), read.invalid.len()), (all(1_000), 0));
    // A page shares its last millisecond's contact with the one before: 200, then 199 new ones each.
    assert_eq!(stage.searches(), 6);
    assert_eq!(read.facts["searches"], 6);
    assert_eq!(read.rows[0].cells()[1], Cell::Text("1@example.com"));
}

#[tokio::test]
async fn a_run_after_nothing_happened_finds_nothing_and_keeps_the_cursor() {
    let stage = Stage::new((1..=300).map(|id| contact(id, id * 1_000)).collect()).await;
    let first = stage.read(None).await.expect("a run");
    let second = stage.read(first.cursor.as_ref()).await.expect("a run");
    assert_eq!((second.rows.len(), &second.cursor), (0, &first.cursor));

    stage.put(contact(5, 400_000));
    let third = stage.read(second.cursor.as_ref()).await.expect("a run");
    assert_eq!(ids(&third), [5]);
}

#[tokio::test]
async fn more_contacts_than_a_search_can_page_through_share_one_millisecond() {
    let mut contacts: Vec<Contact> = (1..=10_450).map(|id| contact(id, 5_000)).collect();
    contacts.extend((10_451..=10_500).map(|id| contact(id, 1_000)));
    contacts.extend((10_501..=10_700).map(|id| contact(id, 9_000 + id)));
    let stage = Stage::new(contacts).await;
    let read = stage.read(None).await.expect("a run");
    assert_eq!(ids(&read), all(10_700));
    assert!(stage.searches() < 60, "no page is read again and again");
}

#[tokio::test]
async fn a_contact_that_changes_while_pages_are_read_hides_no_other_one() {
    let stage = Stage::new((1..=400).map(|id| contact(id, id * 10)).collect()).await;
    stage.account().changes_meanwhile = Some(contact(1, 50_000));
    let read = stage.read(None).await.expect("a run");
    assert_eq!(ids(&read), all(400));
    let newest = (1_767_225_600_000 + 50_000) * 1_000;
    assert_eq!(read.rows[0].cells()[3], Cell::Timestamp(newest), "the newest version is kept");
}

#[tokio::test]
async fn a_change_that_the_index_shows_late_is_found_by_the_next_run() {
    let stage = Stage::new(vec![contact(1, 100_000), contact(2, 200_000)]).await;
    stage.account().hidden.insert(1);
    let first = stage.read(None).await.expect("a run");
    assert_eq!(ids(&first), [2]);
    stage.account().hidden.clear();
    let second = stage.read(first.cursor.as_ref()).await.expect("a run");
    assert_eq!(ids(&second), [1]);
    let third = stage.read(second.cursor.as_ref()).await.expect("a run");
    assert_eq!((third.rows.len(), third.cursor), (0, second.cursor));
}

#[tokio::test]
async fn an_archived_contact_becomes_a_tombstone_once() {
    let stage = Stage::new((1..=250).map(|id| contact(id, id)).collect()).await;
    let first = stage.read(None).await.expect("a run");
    for id in 1..=220 {
        let archived_at = Some("2026-02-01T00:00:00.000Z".to_owned());
        stage.put(Contact { archived_at, ..contact(id, id) });
    }
    let second = stage.read(first.cursor.as_ref()).await.expect("a run");
    assert_eq!(ids(&second), all(220));
    assert_eq!(stage.account().lists, 1 + 3, "the list has pages of 100");
    let february = 1_769_904_000_000_000;
    assert_eq!(second.rows[0].cells()[3..5], [Cell::Timestamp(february), Cell::Boolean(true)]);

    let third = stage.read(second.cursor.as_ref()).await.expect("a run");
    assert_eq!((third.rows.len(), third.cursor), (0, second.cursor));
    let everything = stage.read(None).await.expect("a full refresh");
    assert_eq!(ids(&everything), all(250));
}

#[tokio::test]
async fn a_bad_record_is_set_aside_once_and_stops_nothing() {
    let stage = Stage::new((1..=450).map(|id| contact(id, id * 10)).collect()).await;
    stage.put(Contact { modified: "soon".into(), ..contact(7, 0) });
    let read = stage.read(None).await.expect("a run");
    assert_eq!(read.rows.len(), 449);
    let [invalid] = &read.invalid[..] else { panic!("{:?}", read.invalid) };
    assert_eq!(
        (invalid.reason.as_str(), &invalid.original["id"]),
        ("lastmodifieddate: is not a timestamp", &json!("7"))
    );
}

#[tokio::test]
async fn a_run_that_reaches_its_limit_is_continued_by_the_next_ones() {
    let mut stage = Stage::new((1..=1_000).map(|id| contact(id, id * 10)).collect()).await;
    stage.put(Contact { archived_at: Some("2026-02-01T00:00:00Z".into()), ..contact(1_000, 1) });
    for limits in [Limits { contacts: 300, ..NO_LIMIT }, Limits { time: Duration::ZERO, ..NO_LIMIT }] {
        stage.limits = limits;
        let (mut cursor, mut found, mut runs) = (None, Vec::new(), 0);
        loop {
            let read = stage.read(cursor.as_ref()).await.expect("a run");
            found.extend(ids(&read));
            runs += 1;
            let stopped = read.facts["stopped_early"] == true;
            cursor = read.cursor;
            assert_eq!(cursor.as_ref().map(|cursor| cursor.0["behind"] == true), Some(stopped));
            assert_eq!(read.whole_since, (!stopped).then_some(Sequence(1)), "whole once its end is reached");
            if !stopped {
                break;
            }
        }
        assert_eq!(found, all(1_000));
        assert!((3..=6).contains(&runs), "{runs} runs");
    }
}

#[tokio::test]
async fn rejected_and_archived_contacts_count_towards_the_limit_of_a_run() {
    let rejected = |id| Contact { invalid: true, ..contact(id, id * 10) };
    let archived = |id| Contact { archived_at: Some("2026-02-01T00:00:00Z".into()), ..contact(id, id) };
    let buried = |id| Contact { invalid: true, ..archived(id) };
    // What one page may bring on top of the limit.
    for (contacts, page) in [
        ((1..=1_000).map(rejected).collect::<Vec<_>>(), 200),
        ((1..=1_000).map(archived).collect(), 100),
        ((1..=1_000).map(buried).collect(), 100),
    ] {
        let mut stage = Stage::new(contacts).await;
        stage.limits = Limits { contacts: 300, ..NO_LIMIT };
        let (mut cursor, mut met, mut runs) = (None, BTreeSet::new(), 0);
        loop {
            let read = stage.read(cursor.as_ref()).await.expect("a run");
            let held = read.rows.len() + read.invalid.len();
            assert!(held < 300 + page, "{held} contacts are held in memory");
            met.extend(read.rows.iter().map(|row| row.id.to_string()));
            met.extend(read.invalid.iter().filter_map(|invalid| invalid.original["id"].as_str().map(str::to_owned)));
            runs += 1;
            cursor = read.cursor;
            if read.facts["stopped_early"] == false {
                break;
            }
        }
        assert_eq!(met.len(), 1_000, "none is lost");
        assert!((3..=4).contains(&runs), "{runs} runs");
    }
}

#[tokio::test]
async fn a_502_is_tried_again_and_a_refusal_ends_the_run() {
    let daily = (429, r#"{"policyName": "DAILY"}"#);
    let away = (502, "<html>");
    let stage = Stage::new(vec![contact(1, 1)]).await;
    stage.account().refusals = vec![away, away];
    assert_eq!(ids(&stage.read(None).await.expect("a run")), [1]);
    assert_eq!(stage.searches(), 3);

    for (refusals, searches, expected) in [
        (vec![daily], 1, (Kind::RateLimited, Retry::Permanent)),
        (vec![(401, "{}")], 1, (Kind::Auth, Retry::Permanent)),
        (vec![(403, "{}")], 1, (Kind::Auth, Retry::Permanent)),
        (vec![away; 3], 3, (Kind::Unavailable, Retry::Exhausted)),
        (vec![(200, r#"{"total": 1}"#)], 1, (Kind::SchemaMismatch, Retry::Permanent)),
    ] {
        stage.account().refusals = refusals.clone();
        let error = stage.read(None).await.expect_err("refused");
        assert_eq!((error.kind(), error.retry()), expected, "{refusals:?}");
        assert_eq!(stage.searches(), searches, "{refusals:?}");
    }
}

#[tokio::test]
async fn changes_read_before_hubspot_failed_are_kept_and_not_read_again() {
    let stage = Stage::new((1..=1_000).map(|id| contact(id, id * 10)).collect()).await;
    for (fault, word) in [((429, r#"{"policyName": "DAILY"}"#), "RateLimited"), ((502, "<html>"), "Unavailable")] {
        stage.account().refuse_from = Some((3, fault));
        let first = stage.read(None).await.expect("two pages");
        assert_eq!((ids(&first), first.facts["stopped_by"].as_str()), (all(399), Some(word)));
        stage.account().refuse_from = None;
        stage.searches();
        let second = stage.read(first.cursor.as_ref()).await.expect("the rest");
        assert_eq!(ids(&second), (400..=1_000).collect::<Vec<_>>());
        assert_eq!(stage.searches(), 4, "no page is asked for again");
    }
}

#[tokio::test]
async fn the_archive_is_read_on_by_the_next_run_when_hubspot_stops_answering() {
    let archived = |id| Contact { archived_at: Some("2026-02-01T00:00:00.000Z".into()), ..contact(id, id) };
    let stage = Stage::new((1..=250).map(archived).collect()).await;
    stage.account().lists_until = Some(2);
    let first = stage.read(None).await.expect("two pages of the archive");
    assert_eq!((ids(&first), first.facts["archive_pages"].as_u64()), (all(200), Some(2)));
    stage.account().lists_until = None;
    let second = stage.read(first.cursor.as_ref()).await.expect("the rest");
    assert_eq!((ids(&second), second.facts["archive_pages"].as_u64()), ((201..=250).collect(), Some(1)));
    let third = stage.read(second.cursor.as_ref()).await.expect("nothing");
    assert_eq!((third.rows.len(), third.cursor), (0, second.cursor));
}

#[tokio::test]
async fn the_archive_begins_again_only_where_hubspot_refuses_its_place() {
    let archived = |id| Contact { archived_at: Some("2026-02-01T00:00:00.000Z".into()), ..contact(id, id) };
    let stage = Stage::new((1..=250).map(archived).collect()).await;
    stage.account().lists_until = Some(2);
    let first = stage.read(None).await.expect("two pages of the archive");
    stage.account().lists_until = None;
    // Something between us and HubSpot answers: the place is kept.
    for of_a_proxy in [(405, ""), (404, "<html>")] {
        stage.account().list_refusals = vec![of_a_proxy];
        assert!(!stage.read(first.cursor.as_ref()).await.expect_err("no answer of HubSpot's").is_final());
    }
    let second = stage.read(first.cursor.as_ref()).await.expect("the rest");
    assert_eq!(ids(&second), (201..=250).collect::<Vec<_>>());
    stage.account().list_refusals = vec![(400, r#"{"category": "VALIDATION_ERROR"}"#)];
    let again = stage.read(first.cursor.as_ref()).await.expect("the whole archive");
    assert_eq!(ids(&again), all(250));
}

#[tokio::test]
async fn a_change_from_the_future_does_not_carry_the_cursor_past_the_present() {
    let stage = Stage::new(vec![contact(1, 1_000)]).await;
    let future = Contact { modified: "2099-01-01T00:00:00Z".into(), ..contact(2, 0) };
    stage.put(future);
    let first = stage.read(None).await.expect("a run");
    assert_eq!(ids(&first), [1, 2]);
    let now = chrono::Utc::now() + chrono::TimeDelta::seconds(5);
    stage.put(Contact { modified: now.to_rfc3339(), ..contact(3, 0) });
    let second = stage.read(first.cursor.as_ref()).await.expect("a run");
    assert_eq!(ids(&second), [3], "found although a later time has been seen, and nothing is taken twice");
}

#[tokio::test]
async fn no_page_is_asked_for_twice() {
    let stage = Stage::new((1..=2_000).map(|id| contact(id, id / 300)).collect()).await;
    stage.read(None).await.expect("a run");
    let asked = std::mem::take(&mut stage.account().searches);
    let distinct: BTreeSet<String> = asked.iter().map(Value::to_string).collect();
    assert_eq!(distinct.len(), asked.len());
    // Seven milliseconds of 300 contacts: a page that shows the millisecond and two that read it by id.
    assert!(asked.len() <= 7 * 3 + 1, "{} searches", asked.len());
}

#[tokio::test]
async fn a_column_without_its_property_is_drift() {
    let stage = Stage::new(Vec::new()).await;
    stage.account().missing_property = Some("hs_merged_object_ids");
    let error = stage.read(None).await.expect_err("drift");
    assert_eq!(error.kind(), Kind::SchemaMismatch);
    assert!(error.to_string().contains("hs_merged_object_ids"), "{error}");
}

#[tokio::test]
async fn an_empty_account_and_a_cursor_of_another_source_are_told_apart() {
    let stage = Stage::new(Vec::new()).await;
    let empty = stage.read(None).await.expect("a run");
    assert_eq!((empty.rows.len(), empty.cursor), (0, None));
    let error = stage.read(Some(&Cursor(json!({"audit_id": 7})))).await.expect_err("not ours");
    assert_eq!(error.kind(), Kind::InvalidData);
}
