//! The senders against servers that were written from the vendors' documentation alone.

use std::{
    cell::{Cell, RefCell},
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sluice_core::{Error, Kind, Result, Secret, port::Secrets, sources::Monitor};
use sluice_http::{Client, Request};
use sluice_pipeline::watch::Channels;
use sluice_testkit::fake::Fake;
use sluice_watch::{
    Finding, Object, Verdict,
    alerts::{Board, Message, Round, Table, Upstream},
};
use watch_platform::{channels::Senders, config::ChannelSettings};

const TOKEN: &str = "xoxb-1-1-fake";
const ROUTING_KEY: &str = "0123456789abcdef0123456789abcdef";

/// What a channel may take in these tests.
const ANSWER_WITHIN: Duration = Duration::from_millis(1_500);

/// One secret, which may be rotated.
struct Vault {
    values: RefCell<Vec<Option<String>>>,
    reads: Cell<usize>,
}

impl Secrets for Vault {
    async fn get(&self, name: &str) -> Result<Secret> {
        self.reads.set(self.reads.get() + 1);
        let values = self.values.borrow();
        let value = values.first().cloned().flatten().map(Secret::new);
        value.ok_or_else(|| Error::not_found("the secret has no value").with("secret", name))
    }

    fn forget(&self, _: &str) {
        let mut values = self.values.borrow_mut();
        if values.len() > 1 {
            values.remove(0);
        }
    }
}

struct Stage {
    fake: Fake,
    table: Table,
    settings: ChannelSettings,
    http: Client,
    vault: Vault,
    board: Board,
    now: DateTime<Utc>,
}

impl Stage {
    fn new() -> Self {
        let fake = Fake::start("alert_channels").expect("a fake");
        let settings =
            ChannelSettings { secret: "sluice/alerts".into(), slack: format!("{}/api", fake.url), topic_arn: None };
        let vault = Vault { values: RefCell::new(vec![Some(keys(TOKEN, &fake.url))]), reads: Cell::new(0) };
        let table = Table::parse(include_str!("../../../platform/alerts.yaml")).expect("the shipped table");
        let table = Table { summary: None, canary: None, ..table };
        let now = "2026-03-03T09:00:00Z".parse().expect("a time");
        Stage { fake, table, settings, http: Client::new().expect("a client"), vault, board: Board::default(), now }
    }

    fn senders(&self) -> Senders<'_, Vault> {
        Senders {
            table: &self.table,
            settings: &self.settings,
            http: &self.http,
            secrets: &self.vault,
            topic: None,
            answer_within: ANSWER_WITHIN,
        }
    }

    /// The messages of a round in which dbt has failed, or not.
    fn round(&mut self, failed: bool) -> Vec<Message> {
        self.now += chrono::Duration::minutes(5);
        let verdict = match failed {
            true => Verdict::breached(sluice_watch::Kind::RunFailed, 1.0, "the run failed", "a run that succeeds"),
            false => Verdict::Healthy,
        };
        let finding = Finding { monitor: Monitor::Dbt, object: Object::whole("dbt"), at: self.now, verdict };
        let available = BTreeSet::from(["page", "data-critical", "hook"].map(str::to_owned));
        self.board.round(&Round {
            stack: "sluice",
            table: &self.table,
            upstream: &Upstream::default(),
            available: &available,
            calendar: &sluice_watch::Calendar::default(),
            findings: &[finding],
            commands: &[],
            now: self.now,
        })
    }

    /// Sends all, and says which channels took theirs.
    async fn send(&mut self, messages: &[Message]) -> Vec<(String, Result<()>)> {
        let mut ends = Vec::new();
        for message in messages {
            let sent = self.senders().send(message).await;
            let end = sent.map(|receipt| self.board.delivered(message, receipt));
            ends.push((message.channel.clone(), end));
        }
        ends
    }

    async fn ask(&self, path: &str, body: &Value) {
        let request = Request::post(format!("{}{path}", self.fake.url)).json(body).expect("a request");
        assert!(self.http.send_once(&request).await.expect("an answer").is_success());
    }

    async fn seen(&self) -> Value {
        self.http.send_once(&Request::get(format!("{}/seen", self.fake.url))).await.unwrap().json().unwrap()
    }
}

fn keys(token: &str, url: &str) -> String {
    let hook = format!("{url}/hook");
    let urls = json!({"hook": hook, "page": url});
    json!({"slack_token": token, "routing_keys": {"page": ROUTING_KEY}, "urls": urls}).to_string()
}

fn list(value: &Value) -> &Vec<Value> {
    value.as_array().expect("a list")
}

#[tokio::test]
async fn an_incident_is_one_post_edited_one_page_and_two_calls_of_a_hook() {
    let mut stage = Stage::new();
    for failed in [true, true, false, false] {
        let messages = stage.round(failed);
        for (channel, end) in stage.send(&messages).await {
            assert!(end.is_ok(), "{channel}: {end:?}");
        }
    }
    let seen = stage.seen().await;
    let slack: Vec<&str> = list(&seen["slack"]).iter().filter_map(|call| call["method"].as_str()).collect();
    assert_eq!(slack, ["chat.postMessage", "chat.update"]);
    assert_eq!(list(&seen["posts"]).len(), 1);
    assert!(seen["posts"][0]["text"].as_str().expect("a text").contains("Resolved"), "{}", seen["posts"]);
    let actions: Vec<&str> = list(&seen["pagerduty"]).iter().filter_map(|it| it["event_action"].as_str()).collect();
    assert_eq!(actions, ["trigger", "resolve"]);
    assert_eq!(seen["incidents"].as_object().expect("incidents").len(), 1, "one key");
    let hooks: Vec<&str> = list(&seen["webhook"]).iter().filter_map(|it| it["alert"]["action"].as_str()).collect();
    assert_eq!(hooks, ["open", "resolve"]);
}

#[tokio::test]
async fn a_post_that_somebody_has_deleted_is_posted_again() {
    let mut stage = Stage::new();
    let messages = stage.round(true);
    stage.send(&messages).await;
    stage.ask("/forget-posts", &json!({})).await;
    stage.round(false);
    let messages = stage.round(false);
    let ends = stage.send(&messages).await;
    assert!(ends.iter().all(|(_, end)| end.is_ok()), "{ends:?}");
    let posts = stage.seen().await["posts"].clone();
    assert!(posts[0]["text"].as_str().expect("a text").contains("Resolved"), "{posts}");
}

#[tokio::test]
async fn a_channel_that_is_down_slow_or_refusing_says_so_within_seconds() {
    let down = json!({"status": 503, "body": "<html>"});
    let slow = json!({"status": 200, "body": "ok", "seconds": 4});
    let cases: [(&str, &str, Value, Kind); 9] = [
        ("data-critical", "/api", down.clone(), Kind::Unavailable),
        ("data-critical", "/api", slow.clone(), Kind::Timeout),
        (
            "data-critical",
            "/api",
            json!({"status": 200, "body": r#"{"ok":false,"error":"is_archived"}"#}),
            Kind::Config,
        ),
        ("page", "/v2", down.clone(), Kind::Unavailable),
        ("page", "/v2", slow.clone(), Kind::Timeout),
        ("page", "/v2", json!({"status": 400, "body": r#"{"status":"invalid event"}"#}), Kind::InvalidData),
        ("hook", "/hook", down, Kind::Unavailable),
        ("hook", "/hook", slow, Kind::Timeout),
        ("hook", "/hook", json!({"status": 410, "body": "gone"}), Kind::NotFound),
    ];
    let mut stage = Stage::new();
    let messages = stage.round(true);
    for (channel, path, mut fault, kind) in cases {
        fault["path"] = path.into();
        fault["times"] = 1.into();
        stage.ask("/faults", &fault).await;
        // An event of PagerDuty has a key and may be sent twice.
        if channel == "page" && (kind == Kind::Unavailable || kind == Kind::Timeout) {
            stage.ask("/faults", &fault).await;
        }
        let message = messages.iter().find(|message| message.channel == channel).expect("a message");
        let began = Instant::now();
        let error = stage.senders().send(message).await.expect_err(channel);
        assert!(began.elapsed() < ANSWER_WITHIN * 3, "{channel} {kind:?}: {:?}", began.elapsed());
        assert_eq!(error.kind(), kind, "{channel}: {}", error.chain());
        for secret in [TOKEN, ROUTING_KEY] {
            assert!(!error.chain().contains(secret), "{}", error.chain());
        }
    }
    // Nothing was recorded, so all is due again; now everything works.
    let messages = stage.round(true);
    let ends = stage.send(&messages).await;
    assert!(ends.len() == 3 && ends.iter().all(|(_, end)| end.is_ok()), "{ends:?}");
}

#[tokio::test]
async fn what_people_would_see_twice_is_not_sent_again_for_a_lost_answer() {
    let mut stage = Stage::new();
    let messages = stage.round(true);
    for path in ["/api", "/hook"] {
        stage.ask("/faults", &json!({"path": path, "status": 503, "acts": true, "times": 1})).await;
    }
    for channel in ["data-critical", "hook"] {
        let message = messages.iter().find(|message| message.channel == channel).expect("a message");
        assert_eq!(stage.senders().send(message).await.expect_err(channel).kind(), Kind::Unavailable);
    }
    let seen = stage.seen().await;
    assert_eq!((list(&seen["posts"]).len(), list(&seen["webhook"]).len()), (1, 1));
    // It is due again in the next round, under the same name.
    let messages = stage.round(true);
    stage.send(&messages).await;
    let seen = stage.seen().await;
    let deliveries: BTreeSet<&str> = list(&seen["webhook"]).iter().filter_map(|it| it["delivery"].as_str()).collect();
    assert_eq!((list(&seen["webhook"]).len(), deliveries.len()), (2, 1));
    for failed in [false, false] {
        let messages = stage.round(failed);
        stage.send(&messages).await;
    }
    let seen = stage.seen().await;
    let deliveries: BTreeSet<&str> = list(&seen["webhook"]).iter().filter_map(|it| it["delivery"].as_str()).collect();
    assert_eq!(deliveries.len(), 2, "the end has a name of its own");
}

#[tokio::test]
async fn a_connection_that_did_not_come_about_has_surely_brought_nothing() {
    let mut stage = Stage::new();
    let messages = stage.round(true);
    let slack = messages.iter().find(|message| message.channel == "data-critical").expect("a message");
    // Nobody listens there.
    stage.settings.slack = "http://127.0.0.1:1/api".into();
    let error = stage.senders().send(slack).await.expect_err("no connection");
    assert!(sluice_http::error::never_arrived(&error), "{}", error.chain());
    stage.settings.slack = format!("{}/api", stage.fake.url);
    stage.ask("/faults", &json!({"path": "/api", "status": 503, "times": 1})).await;
    let error = stage.senders().send(slack).await.expect_err("an answer");
    assert!(!sluice_http::error::never_arrived(&error), "{}", error.chain());
}

#[tokio::test]
async fn a_limited_rate_is_waited_for_as_slack_asks() {
    let mut stage = Stage::new();
    let messages = stage.round(true);
    let slack = messages.iter().find(|message| message.channel == "data-critical").expect("a message");
    let fault = json!({"path": "/api", "status": 429, "body": r#"{"ok":false,"error":"ratelimited"}"#,
        "headers": {"retry-after": "1"}, "times": 1});
    stage.ask("/faults", &fault).await;
    let began = Instant::now();
    assert!(stage.senders().send(slack).await.expect("taken").is_some());
    assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
}

#[tokio::test]
async fn a_token_that_slack_refuses_is_read_again_once() {
    let mut stage = Stage::new();
    let messages = stage.round(true);
    let slack = messages.iter().find(|message| message.channel == "data-critical").expect("a message");
    stage.vault.values.borrow_mut().insert(0, Some(keys("xoxb-old", &stage.fake.url)));
    assert!(stage.senders().send(slack).await.expect("taken").is_some());
    stage.vault.values.replace(vec![Some(keys("xoxb-old", &stage.fake.url))]);
    let error = stage.senders().send(slack).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Auth, "{}", error.chain());
}

#[tokio::test]
async fn a_channel_without_its_part_of_the_secret_is_left_out() {
    let stage = Stage::new();
    let names = async || stage.senders().available().await.expect("names").into_iter().collect::<Vec<_>>();
    assert_eq!(names().await, ["data-alerts", "data-critical", "hook", "page"]);
    for (secret, expected) in [
        (Some(json!({"slack_token": TOKEN}).to_string()), vec!["data-alerts", "data-critical"]),
        (Some("{}".to_owned()), vec![]),
        (Some("not JSON".to_owned()), vec![]),
        (None, vec![]),
    ] {
        stage.vault.values.replace(vec![secret]);
        assert_eq!(names().await, expected);
    }
}
