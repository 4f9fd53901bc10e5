use std::time::Duration;

use serde_json::{Value, json};
use sluice_testkit::generate::Contact;

use super::*;
use crate::vendors::testing::spawn;

const SECOND: i64 = 1_000_000;

fn contact(id: i64, modified: i64) -> Contact {
    Contact {
        id,
        email: Some(format!("C{id}@example.com")),
        firstname: None,
        lastname: Some("O'Brien".into()),
        lifecyclestage: Some("lead".into()),
        createdate: 1_500 * 1_000,
        lastmodifieddate: modified,
        archived: false,
        merged_ids: Vec::new(),
    }
}

fn config() -> HubSpotConfig {
    HubSpotConfig { searches_per_second: None, ..HubSpotConfig::new("pat-eu1-test") }
}

struct Server {
    url: String,
    _stop: watch::Sender<bool>,
}

impl Server {
    async fn start(state: &HubSpotState) -> Self {
        let shared = state.clone();
        let (url, stop) = spawn(|listener, stopped| serve(shared, listener, stopped)).await;
        Server { url, _stop: stop }
    }

    async fn call(&self, path: &str, body: Option<Value>) -> (u16, Value) {
        let url = format!("{}/crm/v3/{path}", self.url);
        let client = reqwest::Client::new();
        let request = match body {
            None => client.get(url),
            Some(body) => client.post(url).json(&body),
        };
        let response = request.header("authorization", "Bearer pat-eu1-test").send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn search(&self, body: Value) -> (u16, Value) {
        self.call("objects/contacts/search", Some(body)).await
    }
}

fn ids(body: &Value) -> Vec<&str> {
    body["results"].as_array().unwrap().iter().map(|record| record["id"].as_str().unwrap()).collect()
}

fn where_(property: &str, operator: &str, value: &str) -> Value {
    json!([{"filters": [{"propertyName": property, "operator": operator, "value": value, "highValue": "3000"}]}])
}

#[tokio::test]
async fn a_search_filters_sorts_and_pages() {
    let state = HubSpotState::new(config());
    state.load((1..=5).map(|id| contact(id, id * SECOND)).collect());
    let server = Server::start(&state).await;
    let sorts = json!([{"propertyName": "lastmodifieddate", "direction": "ASCENDING"}]);
    let page = async |after: &str| {
        let filters = where_("lastmodifieddate", "GTE", "2000");
        server.search(json!({"filterGroups": filters, "sorts": sorts, "limit": 3, "after": after})).await.1
    };
    let first = page("0").await;
    assert_eq!((first["total"].as_i64(), ids(&first)), (Some(4), vec!["2", "3", "4"]));
    assert_eq!(first["paging"]["next"]["after"], "3");
    let last = page("3").await;
    assert_eq!(ids(&last), ["5"]);
    assert!(last.get("paging").is_none());
}

#[tokio::test]
async fn operators_compare_numbers_times_and_texts_and_groups_are_alternatives() {
    let state = HubSpotState::new(config());
    state.load((1..=4).map(|id| contact(id, id * SECOND)).collect());
    let server = Server::start(&state).await;
    let cases = [
        (where_("lastmodifieddate", "BETWEEN", "2000"), vec!["3", "2"]),
        (where_("lastmodifieddate", "GT", "1970-01-01T00:00:03Z"), vec!["4"]),
        (where_("lastmodifieddate", "LT", "2000"), vec!["1"]),
        (where_("hs_object_id", "LTE", "2"), vec!["2", "1"]),
        (where_("email", "EQ", "c3@EXAMPLE.com"), vec!["3"]),
        (where_("firstname", "HAS_PROPERTY", ""), vec![]),
        (json!([where_("hs_object_id", "EQ", "1")[0], where_("hs_object_id", "EQ", "4")[0]]), vec!["4", "1"]),
    ];
    for (groups, expected) in cases {
        let (_, body) = server.search(json!({"filterGroups": groups})).await;
        assert_eq!(ids(&body), expected, "{groups}");
    }
}

#[tokio::test]
async fn records_carry_the_asked_properties_and_the_defaults_as_texts() {
    let state = HubSpotState::new(config());
    state.load(vec![Contact { merged_ids: vec![8, 9], ..contact(7, 2 * SECOND) }]);
    let server = Server::start(&state).await;
    let (_, body) = server.search(json!({"properties": ["hs_merged_object_ids", "nonsense"]})).await;
    let expected = json!({
        "id": "7", "createdAt": "1970-01-01T00:00:01.500Z", "updatedAt": "1970-01-01T00:00:02.000Z", "archived": false,
        "properties": {"createdate": "1970-01-01T00:00:01.500Z", "email": "C7@example.com", "firstname": null,
                       "hs_merged_object_ids": "8;9", "hs_object_id": "7",
                       "lastmodifieddate": "1970-01-01T00:00:02Z", "lastname": "O'Brien"},
    });
    assert_eq!(body["results"][0], expected);
}

#[tokio::test]
async fn a_search_cannot_page_past_the_cap() {
    let state = HubSpotState::new(HubSpotConfig { result_cap: 10, page_size: 4, ..config() });
    state.load((1..=12).map(|id| contact(id, SECOND)).collect());
    let server = Server::start(&state).await;
    let (_, body) = server.search(json!({"limit": 200, "after": "8"})).await;
    assert_eq!((ids(&body), &body["total"]), (vec!["4", "3"], &json!(12)));
    let (status, body) = server.search(json!({"after": body["paging"]["next"]["after"]})).await;
    assert_eq!((status, &body["category"]), (400, &json!("VALIDATION_ERROR")));
}

#[tokio::test]
async fn wrong_searches_are_refused() {
    let server = Server::start(&HubSpotState::new(config())).await;
    let rule = json!({"propertyName": "email", "direction": "ASCENDING"});
    let cases = [
        json!({"limit": 201}),
        json!({"limit": 0}),
        json!({"sorts": [rule, rule]}),
        json!({"sorts": [{"propertyName": "nope", "direction": "ASCENDING"}]}),
        json!({"filterGroups": where_("nope", "EQ", "1")}),
        json!({"filterGroups": where_("lastmodifieddate", "EQ", "soon")}),
        json!({"filterGroups": where_("email", "LIKE", "x")}),
        json!({"filterGroups": vec![where_("email", "EQ", "x")[0].clone(); 6]}),
        json!({"after": "x"}),
        json!({"filterGroups": where_("email", "EQ", &"x".repeat(3_000))}),
    ];
    for body in cases {
        let (status, answer) = server.search(body.clone()).await;
        assert_eq!((status, &answer["status"]), (400, &json!("error")), "{body}");
        assert!(answer["correlationId"].is_string() && answer["message"].is_string());
    }
}

#[tokio::test]
async fn what_other_clients_ask_is_answered_too() {
    let state = HubSpotState::new(config());
    state.load((1..=3).map(|id| contact(id, id * SECOND)).collect());
    let server = Server::start(&state).await;
    let alone = json!({"propertyName": "hs_object_id", "operator": "GTE", "value": 2});
    let (_, found) = server.call("objects/contact/search", Some(json!({"filters": [alone], "after": 1}))).await;
    assert_eq!(ids(&found), ["2"], "one group, an operand and an offset as numbers");
    let (_, listed) = server.call("objects/contact?limit=2&properties=email&properties=lifecyclestage", None).await;
    assert_eq!((ids(&listed), &listed["results"][0]["properties"]["lifecyclestage"]), (vec!["1", "2"], &json!("lead")));
    let (_, schemas) = server.call("schemas", None).await;
    assert_eq!(schemas, json!({"results": []}));
    let (status, none) =
        server.call("../v4/associations/contact/companies/batch/read", Some(json!({"inputs": []}))).await;
    assert_eq!((status, &none["results"]), (200, &json!([])));
    let (_, properties) = server.call("../../properties/v2/contact/properties", None).await;
    assert!(properties.as_array().is_some_and(|all| all.iter().any(|p| p["name"] == "email")));
}

#[tokio::test]
async fn what_is_not_there_is_refused_with_words_that_a_client_shows() {
    let server = Server::start(&HubSpotState::new(config())).await;
    let create = json!({"properties": {"email": "a@b.example"}});
    for (path, body) in [("objects/contacts/1", None), ("objects/contacts", Some(create)), ("objects/deals", None)] {
        let (status, refusal) = server.call(path, body).await;
        let message = refusal["message"].as_str().unwrap_or_default();
        assert!(status == 404 && message.starts_with("unsupported: ") && message.contains(path), "{path}: {refusal}");
        assert_eq!((&refusal["status"], &refusal["category"]), (&json!("error"), &json!("UNSUPPORTED")));
    }
}

#[tokio::test]
async fn only_the_token_gets_in() {
    let server = Server::start(&HubSpotState::new(config())).await;
    let response = reqwest::get(format!("{}/crm/v3/objects/contacts", server.url)).await.unwrap();
    assert_eq!(response.status(), 401);
    let body: Value = response.json().await.unwrap();
    assert_eq!(body["category"], "INVALID_AUTHENTICATION");
}

#[tokio::test]
async fn a_search_beyond_the_share_of_its_second_is_turned_away() {
    let state = HubSpotState::new(HubSpotConfig { searches_per_second: Some(1), ..config() });
    let server = Server::start(&state).await;
    assert_eq!(server.search(json!({})).await.0, 200);
    let (status, body) = server.search(json!({})).await;
    assert_eq!((status, &body["message"]), (429, &json!("You have reached your secondly limit.")));
    assert_eq!((&body["errorType"], &body["policyName"]), (&json!("RATE_LIMIT"), &json!("SECONDLY")));
    assert_eq!(server.call("properties/contacts", None).await.0, 200, "only searches count");
}

#[tokio::test]
async fn the_index_lags_behind_changes_but_the_list_does_not() {
    let state = HubSpotState::new(HubSpotConfig { index_lag: Duration::from_secs(3_600), ..config() });
    state.load(vec![contact(1, SECOND)]);
    state.upsert(contact(1, 9 * SECOND));
    state.upsert(contact(2, 9 * SECOND));
    let server = Server::start(&state).await;
    let (_, found) = server.search(json!({})).await;
    assert_eq!(ids(&found), ["1"]);
    assert_eq!(found["results"][0]["updatedAt"], "1970-01-01T00:00:01.000Z");
    let (_, listed) = server.call("objects/contacts", None).await;
    assert_eq!(ids(&listed), ["1", "2"]);
    assert_eq!(listed["results"][0]["updatedAt"], "1970-01-01T00:00:09.000Z");
}

#[tokio::test]
async fn a_contact_deleted_for_good_is_in_no_list_but_in_a_lagging_index() {
    for (lag, shown) in [(0, vec!["1"]), (3_600, vec!["2", "1"])] {
        let state = HubSpotState::new(HubSpotConfig { index_lag: Duration::from_secs(lag), ..config() });
        state.load(vec![contact(1, SECOND), contact(2, SECOND)]);
        state.erase(2);
        let server = Server::start(&state).await;
        assert_eq!(ids(&server.search(json!({})).await.1), shown);
        assert_eq!(ids(&server.call("objects/contacts", None).await.1), ["1"]);
        assert_eq!(ids(&server.call("objects/contacts?archived=true", None).await.1), [] as [&str; 0]);
        let body = json!({"inputs": [{"id": "2"}], "properties": [], "propertiesWithHistory": []});
        let (status, read) = server.call("objects/contacts/batch/read", Some(body)).await;
        assert_eq!((status, ids(&read)), (207, vec![]));
    }
}

#[tokio::test]
async fn the_list_pages_by_id_and_shows_either_live_or_archived_records() {
    let state = HubSpotState::new(config());
    state.load((1..=4).map(|id| Contact { archived: id == 2, ..contact(id, SECOND) }).collect());
    let server = Server::start(&state).await;
    let (_, first) = server.call("objects/contacts?limit=2", None).await;
    assert_eq!(ids(&first), ["1", "3"]);
    let after = first["paging"]["next"]["after"].as_str().unwrap();
    let (_, second) = server.call(&format!("objects/contacts?limit=2&after={after}"), None).await;
    assert_eq!(ids(&second), ["4"]);
    assert!(second.get("paging").is_none());
    let (_, archived) = server.call("objects/contacts?archived=true&properties=lifecyclestage", None).await;
    assert_eq!(ids(&archived), ["2"]);
    assert_eq!(archived["results"][0]["properties"]["lifecyclestage"], "lead");
    assert!(archived["results"][0]["archivedAt"].is_string());
    assert_eq!(server.call("objects/contacts?limit=101", None).await.0, 400);
}

#[tokio::test]
async fn merged_records_vanish_and_answer_with_their_survivor() {
    let state = HubSpotState::new(config());
    state.load((1..=3).map(|id| contact(id, SECOND)).collect());
    state.upsert(Contact { merged_ids: vec![2], ..contact(3, 2 * SECOND) });
    let server = Server::start(&state).await;
    assert_eq!(ids(&server.search(json!({})).await.1), ["3", "1"]);
    assert_eq!(ids(&server.call("objects/contacts?archived=true", None).await.1), [] as [&str; 0]);
    let read = async |inputs: Value| {
        let body = json!({"inputs": inputs, "properties": [], "propertiesWithHistory": []});
        server.call("objects/contacts/batch/read", Some(body)).await
    };
    let (status, body) = read(json!([{"id": "2"}, {"id": "1"}])).await;
    assert_eq!((status, ids(&body), &body["status"]), (200, vec!["3", "1"], &json!("COMPLETE")));
    let (status, body) = read(json!([{"id": "1"}, {"id": "44"}])).await;
    assert_eq!((status, ids(&body)), (207, vec!["1"]));
    assert_eq!(body["errors"][0]["context"]["ids"], json!(["44"]));
    assert_eq!(read(json!([{"id": "1"}, {"id": "1"}])).await.0, 400, "each id once");
}

#[tokio::test]
async fn the_emails_of_merged_records_are_additional_ones_of_the_survivor() {
    let state = HubSpotState::new(config());
    state.load((1..=4).map(|id| Contact { email: Some(format!("{id}@x.com")), ..contact(id, SECOND) }).collect());
    state.upsert(Contact { merged_ids: vec![2], email: Some("3@x.com".into()), ..contact(3, 2 * SECOND) });
    state.upsert(Contact { merged_ids: vec![3, 4], email: Some("1@x.com".into()), ..contact(1, 3 * SECOND) });
    let server = Server::start(&state).await;
    let (_, body) = server.search(json!({"properties": ["hs_additional_emails", "hs_merged_object_ids"]})).await;
    assert_eq!(ids(&body), ["1"]);
    assert_eq!(body["results"][0]["properties"]["hs_additional_emails"], "3@x.com;2@x.com;4@x.com");
    assert_eq!(
        body["results"][0]["properties"]["hs_merged_object_ids"], "3;2;4",
        "what a consumed one had consumed too"
    );
}

#[tokio::test]
async fn properties_are_described() {
    let server = Server::start(&HubSpotState::new(config())).await;
    let (_, body) = server.call("properties/contacts", None).await;
    let names: Vec<&str> = body["results"].as_array().unwrap().iter().map(|p| p["name"].as_str().unwrap()).collect();
    assert!(names.contains(&"hs_merged_object_ids") && names.contains(&"lastmodifieddate"));
    assert!(body["results"][0]["modificationMetadata"]["readOnlyValue"].is_boolean());
}

mod updates;
