//! A request of CloudFormation is answered whatever becomes of it.

// The future of a request holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

use std::{
    io::{Read, Write},
    net::TcpListener,
    sync::mpsc::{Receiver, channel},
    thread,
    time::Duration,
};

use provision_warehouse::{
    answer::{Unanswered, instead_of_silence},
    event::Event,
    serve,
};
use serde_json::{Value, json};
use sluice_core::Error;
use sluice_lambda::Invocation;
use tokio::sync::Mutex;

/// A process serves one request at a time.
static TURN: Mutex<()> = Mutex::const_new(());

/// What the answer's address gets: head and body of each request.
fn address() -> (String, Receiver<(String, Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("http://{}/answer?X-Amz-Signature=s%2Bs", listener.local_addr().expect("an address"));
    let (sender, received) = channel();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let (mut text, mut piece) = (Vec::new(), [0; 4096]);
            let (head, body) = loop {
                let length = stream.read(&mut piece).expect("bytes");
                text.extend_from_slice(&piece[..length]);
                let read = String::from_utf8_lossy(&text).into_owned();
                let Some((head, body)) = read.split_once("\r\n\r\n") else { continue };
                let whole = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
                if body.len() >= whole.expect("a length") {
                    break (head.to_owned(), serde_json::from_str(body).expect("JSON"));
                }
            };
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").expect("sent");
            sender.send((head, body)).expect("somebody waits");
        }
    });
    (url, received)
}

fn request(kind: &str, url: &str) -> Value {
    json!({
        "RequestType": kind, "RequestId": "r-1", "StackId": "stack", "ResponseURL": url, "ResourceType": "Custom::WarehouseAccount",
        "LogicalResourceId": "Account", "ResourceProperties": {"ServiceToken": "arn", "SchedulesEnabled": "ENABLED"},
    })
}

/// Serves a request where the settings are unusable; what CloudFormation gets.
async fn answered(kind: &str) -> (String, Value) {
    let _turn = TURN.lock().await;
    let (url, received) = address();
    let event: Event = serde_json::from_value(request(kind, &url)).expect("an event");
    let invocation = Invocation::new("request", Duration::from_secs(60));
    let unusable = Err(Error::config("the environment is not usable: SLUICE_STAGE is not set"));
    serve(event, &invocation, &unusable).await.expect("answered");
    received.recv_timeout(Duration::from_secs(30)).expect("an answer")
}

#[tokio::test]
async fn a_function_without_settings_answers_why() {
    for kind in ["Create", "Update"] {
        let (head, body) = answered(kind).await;
        assert!(head.starts_with("PUT /answer?X-Amz-Signature=s%2Bs HTTP/1.1"), "{head}");
        // The address is signed for a request without one.
        assert!(head.lines().all(|line| line.strip_prefix("content-type: ").is_none_or(str::is_empty)), "{head}");
        assert_eq!(body["Status"], "FAILED");
        assert!(body["Reason"].as_str().is_some_and(|reason| reason.contains("SLUICE_STAGE is not set")), "{body}");
    }
}

#[tokio::test]
async fn a_deletion_asks_nothing_and_keeps_the_account() {
    let (_, body) = answered("Delete").await;
    assert_eq!((&body["Status"], &body["PhysicalResourceId"]), (&json!("SUCCESS"), &json!("warehouse-account")));
}

#[tokio::test]
async fn a_request_of_another_type_is_refused_and_not_left_open() {
    let (_, body) = answered("Import").await;
    assert!(
        body["Status"] == "FAILED" && body["Reason"].as_str().is_some_and(|text| text.contains("Import")),
        "{body}"
    );
}

#[test]
fn a_panic_is_an_answer() {
    let _turn = TURN.blocking_lock();
    instead_of_silence();
    let (url, received) = address();
    let request = serde_json::from_value(request("Create", &url)).expect("a request");
    let ended = thread::spawn(move || {
        let _unanswered = Unanswered::of(&request);
        panic!("an assumption was wrong")
    });
    assert!(ended.join().is_err());
    let (_, body) = received.recv_timeout(Duration::from_secs(30)).expect("an answer");
    assert!(
        body["Status"] == "FAILED" && body["Reason"].as_str().is_some_and(|text| text.contains("answers.rs")),
        "{body}"
    );
}

#[test]
fn the_schedules_event_and_the_rest_of_a_request_are_told_apart() {
    let parsed = |event: Value| serde_json::from_value::<Event>(event);
    assert!(matches!(parsed(json!({"drift": true})), Ok(Event::Drift(_))));
    let rest = json!({"request": request("Create", "http://127.0.0.1:9/"), "since": "2026-01-05T00:00:00Z"});
    assert!(matches!(parsed(rest), Ok(Event::Continued(_))));
    let found = json!({"request": request("Update", "http://127.0.0.1:9/"), "since": "2026-01-05T00:00:00Z", "may_stand": true});
    assert!(matches!(parsed(found), Ok(Event::Continued(rest)) if rest.may_stand == Some(true)));
    assert!(matches!(parsed(request("Update", "http://127.0.0.1:9/")), Ok(Event::Resource(_))));
    assert!(parsed(json!({"time": "2026-01-05T00:00:00Z"})).is_err());
}
