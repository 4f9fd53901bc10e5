use serde_json::{Value, json};

use super::*;
use crate::vendors::testing::spawn;

const APP_ID: &str = "0123456789abcdef0123456789abcdef";

fn state(quota: Option<u64>) -> RatesState {
    let mut rates = RateTable::default();
    // A Friday, and the Monday after it.
    for (date, gbp) in [("2026-10-23", 7_509_254_268), ("2026-10-26", 7_500_000_000)] {
        rates.insert(date.parse().unwrap(), "GBP", gbp);
        rates.insert(date.parse().unwrap(), "USD", 10_000_000_000);
        rates.insert(date.parse().unwrap(), "IDR", 182_167_744_834_000);
    }
    RatesState::new(RatesConfig { app_id: APP_ID.into(), rates, today: "2026-10-25".parse().unwrap(), quota })
}

async fn get(url: &str, path: &str) -> (u16, String) {
    let response = reqwest::get(format!("{url}/api/{path}")).await.unwrap();
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn rates_are_numbers_with_exactly_the_digits_of_the_table() {
    let (url, _stop) = spawn(|listener, stop| serve(state(None), listener, stop)).await;
    let (status, body) = get(&url, &format!("historical/2026-10-23.json?app_id={APP_ID}")).await;
    assert_eq!(status, 200);
    assert!(body.contains(r#""rates":{"GBP":0.7509254268,"IDR":18216.7744834,"USD":1}"#), "{body}");
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((&body["base"], &body["timestamp"]), (&json!("USD"), &json!(1_792_799_999)));
    let (_, body) = get(&url, &format!("historical/2026-10-23.json?app_id={APP_ID}&symbols=GBP,XYZ")).await;
    assert!(body.contains(r#""rates":{"GBP":0.7509254268}"#), "{body}");
}

#[tokio::test]
async fn latest_is_the_newest_day_up_to_today() {
    let state = state(None);
    let shared = state.clone();
    let (url, _stop) = spawn(|listener, stop| serve(shared, listener, stop)).await;
    let latest = format!("latest.json?app_id={APP_ID}");
    assert!(get(&url, &latest).await.1.contains("0.7509254268"), "on a Sunday those of Friday");
    state.set_today("2026-10-26".parse().unwrap());
    let (_, body) = get(&url, &latest).await;
    assert!(body.contains("\"timestamp\":1793005200") && body.contains("0.75,"), "on Monday its own: {body}");
}

#[tokio::test]
async fn refusals_have_the_vendors_bodies() {
    let (url, _stop) = spawn(|listener, stop| serve(state(None), listener, stop)).await;
    let id = format!("app_id={APP_ID}");
    let cases = [
        ("latest.json".to_owned(), 401, "missing_app_id"),
        ("latest.json?app_id=x".to_owned(), 401, "invalid_app_id"),
        (format!("historical/2026-10-24.json?{id}"), 400, "not_available"),
        (format!("historical/2026-10-26.json?{id}"), 400, "not_available"),
        (format!("historical/soon.json?{id}"), 400, "not_available"),
        (format!("latest.json?{id}&base=GBP"), 429, "not_allowed"),
        (format!("latest.json?{id}&base=ZZZ"), 400, "invalid_base"),
        (format!("time-series.json?{id}"), 404, "not_found"),
    ];
    for (path, status, message) in cases {
        let (got, body) = get(&url, &path).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(got, status, "{path}");
        assert_eq!(
            (&body["error"], &body["status"], &body["message"]),
            (&json!(true), &json!(status), &json!(message))
        );
        assert!(body["description"].is_string());
    }
    let posted = reqwest::Client::new().post(format!("{url}/api/latest.json?{id}")).send().await.unwrap();
    let posted: Value = serde_json::from_str(&posted.text().await.unwrap()).unwrap();
    assert_eq!(posted["message"], "not_found", "another method");
}

#[tokio::test]
async fn the_quota_ends_and_usage_is_free() {
    let state = state(Some(2));
    let shared = state.clone();
    let (url, _stop) = spawn(|listener, stop| serve(shared, listener, stop)).await;
    let latest = format!("latest.json?app_id={APP_ID}");
    assert_eq!(get(&url, &latest).await.0, 200);
    assert_eq!(get(&url, &latest).await.0, 200);
    let (status, body) = get(&url, &latest).await;
    assert!(status == 429 && body.contains("access_restricted"), "{status} {body}");
    let (status, body) = get(&url, &format!("usage.json?app_id={APP_ID}")).await;
    let usage: Value = serde_json::from_str::<Value>(&body).unwrap()["data"]["usage"].clone();
    assert_eq!((status, &usage["requests"], &usage["requests_remaining"]), (200, &json!(2), &json!(0)));
    assert_eq!(state.requests(), 2);
}

#[tokio::test]
async fn the_header_authorises_too_and_an_unchanged_body_is_not_sent_again() {
    let (url, _stop) = spawn(|listener, stop| serve(state(None), listener, stop)).await;
    let request = |tag: &str| {
        let request = reqwest::Client::new().get(format!("{url}/api/latest.json"));
        request.header("authorization", format!("Token {APP_ID}")).header("if-none-match", tag).send()
    };
    let first = request("none").await.unwrap();
    let tag = first.headers()["etag"].to_str().unwrap().to_owned();
    assert_eq!(first.status(), 200);
    let second = request(&tag).await.unwrap();
    assert_eq!(second.status(), 304);
    assert_eq!(second.text().await.unwrap(), "");
}

#[tokio::test]
async fn currencies_need_no_app_id() {
    let (url, _stop) = spawn(|listener, stop| serve(state(None), listener, stop)).await;
    let (status, body) = get(&url, "currencies.json").await;
    assert_eq!(status, 200);
    let names = r#"{"GBP":"British Pound Sterling","IDR":"Indonesian Rupiah","USD":"United States Dollar"}"#;
    assert_eq!(body, names);
}

#[tokio::test]
async fn faults_strike_the_next_requests_and_then_stop() {
    let (url, _stop) = spawn(|listener, stop| serve(state(None), listener, stop)).await;
    let client = reqwest::Client::new();
    let set = async |fault: Value| {
        let request = client.post(format!("{url}/_emulator/faults")).header("content-type", "application/json");
        assert_eq!(request.body(fault.to_string()).send().await.unwrap().status(), 204);
    };
    set(json!({"kind": "status", "status": 503, "retry_after": 7, "requests": 2, "path": "latest"})).await;
    assert_eq!(get(&url, "currencies.json").await.0, 200, "another path");
    let latest = format!("{url}/api/latest.json?app_id={APP_ID}");
    let failed = client.get(&latest).send().await.unwrap();
    assert_eq!((failed.status().as_u16(), failed.headers()["retry-after"].to_str().unwrap()), (503, "7"));
    assert_eq!(client.get(&latest).send().await.unwrap().status(), 503);
    set(json!({"kind": "html_page"})).await;
    let (status, page) = get(&url, "latest.json").await;
    assert!(status == 200 && page.starts_with("<html>"));
    set(json!({"kind": "truncated_json"})).await;
    let half = client.get(&latest).send().await.unwrap().text().await.unwrap();
    assert!(half.starts_with('{') && serde_json::from_str::<Value>(&half).is_err());
    let whole = client.get(&latest).send().await.unwrap().text().await.unwrap();
    assert!(whole.len() > half.len() && serde_json::from_str::<Value>(&whole).is_ok());
}
