//! Queues and a function that answer over HTTP as AWS does.

use std::sync::{Arc, Mutex};

use aws_config::{BehaviorVersion, Region};
use axum::{
    Json, Router,
    body::Bytes,
    extract::State,
    http::{HeaderMap, Uri},
};
use serde_json::json;
use sluice_local::function_url::Lambda;

use super::*;

/// Bodies by queue; a message's handle is its body.
#[derive(Default)]
struct Aws {
    dead: Vec<String>,
    outbox: Vec<String>,
    closed: Vec<&'static str>,
}

type Shared = Arc<Mutex<Aws>>;

async fn answer(State(aws): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Json<Value> {
    let mut aws = aws.lock().expect("not poisoned");
    let asked: Value = serde_json::from_slice(&body).expect("JSON");
    let text = |name: &str| asked[name].as_str().unwrap_or_default().to_owned();
    let target = headers.get("x-amz-target").map(|target| target.to_str().expect("text"));
    Json(match target {
        None => {
            assert!(uri.path().ends_with(&format!("/{STACK}-CollectEvents/invocations")), "{uri}");
            let health = json!({"status": "ok", "topics_unavailable": aws.closed});
            json!({"statusCode": 200, "body": health.to_string()})
        }
        Some("AmazonSQS.GetQueueUrl") => json!({"QueueUrl": text("QueueName")}),
        Some("AmazonSQS.ReceiveMessage") => {
            assert_eq!(text("QueueUrl"), format!("{STACK}-spool-dead"));
            let message = |body: &String| json!({"MessageId": body, "ReceiptHandle": body, "Body": body});
            json!({"Messages": aws.dead.iter().map(message).collect::<Vec<_>>()})
        }
        Some("AmazonSQS.SendMessage") => {
            assert_eq!(text("QueueUrl"), format!("{STACK}-spool"));
            aws.outbox.push(text("MessageBody"));
            json!({"MessageId": "m", "MD5OfMessageBody": "d"})
        }
        Some("AmazonSQS.DeleteMessage") => {
            aws.dead.retain(|body| *body != text("ReceiptHandle"));
            json!({})
        }
        Some(other) => panic!("{other} was not expected"),
    })
}

/// What serves, and what is asked of it.
struct Stage {
    aws: Shared,
    sqs: aws_sdk_sqs::Client,
    sources: Sources,
    functions: Functions,
}

impl Stage {
    async fn new(dead: &[&str]) -> Self {
        let aws = Shared::default();
        aws.lock().expect("not poisoned").dead = dead.iter().map(|body| (*body).to_owned()).collect();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = Router::new().fallback(answer).with_state(aws.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        let credentials = aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test");
        let config = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(&url)
            .credentials_provider(credentials)
            .load()
            .await;
        Stage {
            aws,
            sqs: aws_sdk_sqs::Client::new(&config),
            sources: Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources"),
            functions: Functions::new(Lambda::at(url).expect("a client"), STACK),
        }
    }

    fn unserved(&self) -> Unserved<'_> {
        Unserved { sqs: self.sqs.clone(), sources: &self.sources, functions: &self.functions }
    }

    fn aws(&self) -> std::sync::MutexGuard<'_, Aws> {
        self.aws.lock().expect("not poisoned")
    }
}

const PURCHASES: &str = r#"{"topic": "purchases", "events": [{"event_id": "a"}]}"#;
const ORDERS: &str = r#"{"topic": "orders", "events": [{"event_id": "b"}, {"event_id": "c"}]}"#;

#[tokio::test]
async fn dead_letters_go_back_when_their_topic_takes_events_again() {
    let stage = Stage::new(&[PURCHASES, ORDERS, "garbage"]).await;
    stage.aws().closed = vec!["purchases"];
    stage.unserved().send_back().await.expect("a look");
    assert!(stage.aws().outbox.is_empty(), "the topic cannot be served yet");
    stage.aws().closed.clear();
    stage.unserved().send_back().await.expect("a look");
    let aws = stage.aws();
    assert_eq!(
        (&aws.outbox[..], &aws.dead[..]),
        (&[PURCHASES.to_owned()][..], &[ORDERS, "garbage"].map(str::to_owned)[..])
    );
}

#[tokio::test]
async fn each_topic_that_takes_no_events_is_told_with_what_waits() {
    let stage = Stage::new(&[ORDERS, "garbage"]).await;
    stage.aws().closed = vec!["purchases"];
    let problems = stage.unserved().problems().await.expect("a look");
    let parts =
        ["no events of the topic 'purchases'", "cannot be read", "2 accepted events of the topic 'orders' wait"];
    assert_eq!(problems.len(), parts.len(), "{problems:?}");
    for (problem, part) in problems.iter().zip(parts) {
        assert!(problem.contains(part), "{problem}");
    }
    assert_eq!(stage.aws().dead.len(), 2, "looking takes nothing away");
}
