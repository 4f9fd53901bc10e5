//! Batches of changes, their limits, and what an account remembers of them.

use super::*;

const WRITER: &str = "pat-eu1-writer";

fn writable() -> HubSpotConfig {
    HubSpotConfig { writer: Some(WRITER.into()), ..config() }
}

/// Three contacts; the second is archived, the third was merged into the first.
fn account(config: HubSpotConfig) -> HubSpotState {
    let state = HubSpotState::new(config);
    let archived = Contact { archived: true, ..contact(2, SECOND) };
    state.load(vec![
        contact(3, SECOND),
        archived,
        Contact { merged_ids: vec![3], ..contact(1, SECOND) },
        contact(4, SECOND),
    ]);
    state
}

async fn update(server: &Server, body: &Value) -> (u16, Value, reqwest::header::HeaderMap) {
    send(server, "batch/update", body, WRITER).await
}

async fn send(server: &Server, path: &str, body: &Value, token: &str) -> (u16, Value, reqwest::header::HeaderMap) {
    let url = format!("{}/crm/v3/objects/contacts/{path}", server.url);
    let request = reqwest::Client::new().post(url).bearer_auth(token).json(body);
    let response = request.send().await.unwrap();
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    (status, response.json().await.unwrap(), headers)
}

fn input(id: &str, property: &str, value: &str) -> Value {
    json!({"id": id, "properties": {property: value}, "objectWriteTraceId": format!("t{id}")})
}

#[tokio::test]
async fn a_batch_with_traces_is_answered_record_by_record() {
    let state = account(writable());
    let server = Server::start(&state).await;
    let inputs = json!({"inputs": [
        input("1", "lifetime_value", "12.50"), input("2", "total_orders", "1"), input("3", "total_orders", "1"),
        input("4", "customer_tier", "gold"), input("9", "total_orders", "1"),
    ]});
    let (status, body, _) = update(&server, &inputs).await;
    assert_eq!((status, ids(&body), &body["numErrors"]), (207, vec!["1"], &json!(4)));
    assert_eq!(body["results"][0]["objectWriteTraceId"], "t1");
    assert_eq!(body["results"][0]["properties"]["lifetime_value"], "12.5", "numbers come back in another form");
    let told: Vec<_> = body["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| {
            let trace = error["context"]["objectWriteTraceId"][0].as_str().unwrap();
            (trace, error["category"].as_str().unwrap(), error["errors"][0]["code"].as_str().unwrap())
        })
        .collect();
    let gone = |trace| (trace, "OBJECT_NOT_FOUND", "OBJECT_NOT_FOUND");
    assert_eq!(told, [gone("t2"), gone("t3"), ("t4", "VALIDATION_ERROR", "INVALID_OPTION"), gone("t9")]);
    assert_eq!(state.value(1, "lifetime_value").as_deref(), Some("12.5"));
    assert_eq!(state.history().len(), 1);
}

#[tokio::test]
async fn a_wrong_input_without_a_trace_refuses_its_whole_batch() {
    let state = account(writable());
    let server = Server::start(&state).await;
    let plain = |id: &str, property: &str, value: &str| json!({"id": id, "properties": {property: value}});
    for wrong in [
        plain("4", "nonsense", "1"),
        plain("4", "createdate", "2026-01-31T00:00:00Z"),
        plain("4", "hs_object_id", "7"),
        plain("4", "total_orders", "1,000"),
        plain("4", "total_orders", "1e3"),
    ] {
        let (status, body, _) = update(&server, &json!({"inputs": [plain("1", "total_orders", "1"), wrong]})).await;
        assert_eq!((status, &body["category"]), (400, &json!("VALIDATION_ERROR")), "{wrong}");
    }
    let by_email = json!({"id": "1", "idProperty": "hs_object_id", "properties": {"total_orders": "1"}});
    assert_eq!(update(&server, &json!({"inputs": [by_email]})).await.0, 400);
    assert_eq!(
        update(&server, &json!({"inputs": [plain("1", "total_orders", "1"), plain("1", "total_orders", "2")]})).await.0,
        400
    );
    let many: Vec<Value> = (0..101).map(|id| input(&id.to_string(), "total_orders", "1")).collect();
    assert_eq!(update(&server, &json!({"inputs": many})).await.0, 400);
    let (status, body, _) = update(&server, &json!([plain("1", "total_orders", "1")])).await;
    assert_eq!(status, 400, "{body}");
    let (status, body, _) = update(&server, &json!({"contacts": []})).await;
    assert_eq!((status, &body["results"]), (200, &json!([])), "success, and nothing is written");
    assert!(state.history().is_empty());
}

#[tokio::test]
async fn a_stage_moves_forward_only_and_an_empty_value_clears() {
    let state = account(writable());
    let server = Server::start(&state).await;
    for (value, expected) in
        [("customer", Some("customer")), ("lead", Some("customer")), ("", None), ("lead", Some("lead"))]
    {
        let (status, _, _) = update(&server, &json!({"inputs": [input("4", "lifecyclestage", value)]})).await;
        assert_eq!((status, state.value(4, "lifecyclestage").as_deref()), (200, expected), "{value}");
    }
}

#[tokio::test]
async fn a_written_contact_has_changed_and_comes_up_in_a_search_with_its_values() {
    let state = account(writable());
    let server = Server::start(&state).await;
    update(&server, &json!({"inputs": [input("4", "total_orders", "7")]})).await;
    let filters = where_("lastmodifieddate", "GT", "1000");
    let (_, body) = server.search(json!({"filterGroups": filters, "properties": ["total_orders"]})).await;
    assert_eq!((ids(&body), &body["results"][0]["properties"]["total_orders"]), (vec!["4"], &json!("7")));
    let asked =
        json!({"inputs": [{"id": "4"}], "properties": ["total_orders"], "propertiesWithHistory": ["total_orders"]});
    let (_, read, _) = send(&server, "batch/read", &asked, WRITER).await;
    let version = &read["results"][0]["propertiesWithHistory"]["total_orders"][0];
    assert_eq!((&version["value"], &version["sourceType"]), (&json!("7"), &json!("INTEGRATION")));
}

#[tokio::test]
async fn the_limits_are_an_apps_own_and_told_with_every_answer() {
    let state = account(HubSpotConfig { requests_per_ten_seconds: Some(2), requests_per_day: Some(4), ..writable() });
    let server = Server::start(&state).await;
    let one = json!({"inputs": [input("4", "total_orders", "7")]});
    let (status, _, headers) = update(&server, &one).await;
    let header = |name: &str| headers[name].to_str().unwrap().to_owned();
    assert_eq!(
        (status, header("x-hubspot-ratelimit-max"), header("x-hubspot-ratelimit-remaining")),
        (200, "2".into(), "1".into())
    );
    assert_eq!(
        (header("x-hubspot-ratelimit-daily-remaining"), header("x-hubspot-ratelimit-interval-milliseconds")),
        ("3".into(), "10000".into())
    );
    update(&server, &one).await;
    let (status, body, _) = update(&server, &one).await;
    assert_eq!((status, &body["policyName"]), (429, &json!("TEN_SECONDLY_ROLLING")));
    assert_eq!(server.call("objects/contacts", None).await.0, 200, "another app has its own");
    let (status, body, _) = update(&server, &one).await;
    assert_eq!((status, &body["policyName"], &body["errorType"]), (429, &json!("DAILY"), &json!("RATE_LIMIT")));
}

#[tokio::test]
async fn a_survivor_comes_once_however_many_of_its_ids_are_asked_for() {
    let state = account(writable());
    let server = Server::start(&state).await;
    let asked = json!({"inputs": [{"id": "3"}, {"id": "1"}, {"id": "4"}], "properties": ["email"]});
    let (status, body, _) = send(&server, "batch/read", &asked, WRITER).await;
    assert_eq!((status, ids(&body)), (200, vec!["1", "4"]));
}

#[tokio::test]
async fn the_account_tells_its_number_in_every_version() {
    let state = account(HubSpotConfig { portal_id: 7, ..writable() });
    let server = Server::start(&state).await;
    for version in ["v3", "2026-03"] {
        let url = format!("{}/account-info/{version}/details", server.url);
        let answer = reqwest::Client::new().get(url).bearer_auth(WRITER).send().await.unwrap();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(body["portalId"], 7, "{version}");
    }
}

#[tokio::test]
async fn an_app_that_only_reads_may_not_write() {
    let state = account(writable());
    let server = Server::start(&state).await;
    let one = json!({"inputs": [input("4", "total_orders", "7")]});
    let (status, body, _) = send(&server, "batch/update", &one, "pat-eu1-test").await;
    assert_eq!((status, &body["category"]), (403, &json!("MISSING_SCOPES")));
}

#[tokio::test]
async fn what_was_written_outlives_the_process() {
    let path = std::env::temp_dir().join(format!("sluice-hubspot-{}.ndjson", std::process::id()));
    drop(std::fs::remove_file(&path));
    let state = account(writable());
    state.keep_in(&path).unwrap();
    let server = Server::start(&state).await;
    update(&server, &json!({"inputs": [input("4", "total_orders", "7")]})).await;
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap() + "{\"id\": 4, \"prop").unwrap();
    let again = account(writable());
    again.keep_in(&path).unwrap();
    again.type_in(4, "total_orders", "8").unwrap();
    let third = account(writable());
    third.keep_in(&path).unwrap();
    assert_eq!((third.value(4, "total_orders").as_deref(), third.history().len()), (Some("8"), 2));
    std::fs::remove_file(&path).unwrap();
}
