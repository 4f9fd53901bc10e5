use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::*;
use crate::{
    alerts::{Line, Message, Phase, Receipt, Sent},
    finding::Kind,
};

fn content(action: Action) -> Content {
    let opened_at: DateTime<Utc> = "2026-05-20T10:00:00Z".parse().expect("a time");
    Content {
        key: "shop/freshness/DLT.A.B//late".to_owned(),
        stack: "shop".to_owned(),
        title: "Late of DLT.A.B: 30 hours".to_owned(),
        severity: 1,
        phase: Phase::Open,
        action,
        lines: vec![Line {
            object: "DLT.A.B".to_owned(),
            kind: Kind::Late,
            observed: "the newest data came 30 hours ago".to_owned(),
            expected: "at most 2 hours & no <more>".to_owned(),
            id: "0a1b2c3d".to_owned(),
            resolved: false,
        }],
        more: 0,
        silences: vec!["ANALYTICS.MARTS.SALES".to_owned()],
        note: None,
        runbook: Some("https://docs.example.com/runbooks/an-extract-fails.html".to_owned()),
        mention: Some("<!here>".to_owned()),
        opened_at,
        at: opened_at,
    }
}

fn huge(action: Action) -> Content {
    let line = Line { observed: "ä".repeat(5_000), ..content(action).lines.remove(0) };
    Content {
        key: "k".repeat(400),
        title: "ö".repeat(3_000),
        lines: vec![line; 40],
        silences: vec!["DLT.A.B".to_owned(); 500],
        ..content(action)
    }
}

fn message(action: Action, receipt: Option<Receipt>) -> Message {
    let delivery = "shop/freshness#0".to_owned();
    Message { channel: "data-alerts".to_owned(), content: content(action), delivery, receipt, sent: Sent::default() }
}

fn receipt() -> Option<Receipt> {
    Some(Receipt { channel: "C024BE91L".to_owned(), message: "1700000000.000100".to_owned() })
}

#[test]
fn a_slack_alert_is_one_post_edited_with_reminders_below_it() {
    let posted = slack::calls(&message(Action::Open, None), "#data-alerts");
    assert_eq!((posted.len(), posted[0].method), (1, "chat.postMessage"));
    assert_eq!(posted[0].body["channel"], "#data-alerts");
    assert_eq!(posted[0].body["text"], "<!here> [shop] Severity 1: Late of DLT.A.B: 30 hours");
    let text = posted[0].body["blocks"].to_string();
    for part in ["at most 2 hours &amp; no &lt;more&gt;", "ANALYTICS.MARTS.SALES", "sluice alerts ack 0a1b2c3d"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let edited = slack::calls(&message(Action::Resolve, receipt()), "#data-alerts");
    assert_eq!((edited.len(), edited[0].method), (1, "chat.update"));
    // An edit needs the channel's id and the message's, as Slack has answered them.
    assert_eq!((&edited[0].body["channel"], &edited[0].body["ts"]), (&json!("C024BE91L"), &json!("1700000000.000100")));
    let reminded = slack::calls(&message(Action::Remind, receipt()), "#data-alerts");
    let methods: Vec<&str> = reminded.iter().map(|call| call.method).collect();
    assert_eq!(methods, ["chat.update", "chat.postMessage"]);
    assert_eq!(reminded[1].body["thread_ts"], "1700000000.000100");
}

#[test]
fn slack_never_gets_more_than_it_takes() {
    let body = slack::webhook(&huge(Action::Open));
    let blocks = body["blocks"].as_array().expect("blocks");
    let texts = || blocks.iter().filter_map(|block| block["text"]["text"].as_str()).map(|text| text.chars().count());
    assert!(blocks.len() <= 20 && texts().all(|count| count <= 3_000) && texts().sum::<usize>() < 10_000);
    assert!(texts().next().is_some_and(|header| header <= 150));
    assert!(body["text"].as_str().is_some_and(|text| text.chars().count() <= 4_000));
}

#[test]
fn pagerduty_has_one_key_from_trigger_to_resolve() {
    let event = |content: &Content| pagerduty::event(content, "R0UTINGKEY").expect("an event");
    let (open, resolved) = (event(&content(Action::Open)), event(&content(Action::Resolve)));
    assert_eq!((&open["event_action"], &resolved["event_action"]), (&json!("trigger"), &json!("resolve")));
    assert_eq!(open["dedup_key"], resolved["dedup_key"]);
    assert_eq!(open["payload"]["severity"], "critical");
    assert_eq!(open["payload"]["timestamp"], "2026-05-20T10:00:00Z");
    assert_eq!(resolved.get("payload"), None);
    assert_eq!(event(&content(Action::Acknowledge))["event_action"], "acknowledge");
    assert_eq!(pagerduty::event(&content(Action::Summary), "R"), None);
    let large = event(&huge(Action::Open));
    let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
    assert_eq!(length(&large["dedup_key"]), 255);
    assert!(length(&large["payload"]["summary"]) <= 1_024 && large.to_string().len() < 512 * 1024);
    let other = event(&Content { key: format!("{}x", "k".repeat(400)), ..huge(Action::Open) });
    assert_ne!(large["dedup_key"], other["dedup_key"]);
}

#[test]
fn a_topic_gets_a_plain_subject_and_all_details() {
    let mail = sns::notification(&content(Action::Open));
    assert_eq!(mail.subject, "shop: Severity 1: Late of DLT.A.B: 30 hours");
    assert!(mail.message.contains("the newest data came 30 hours ago") && mail.message.contains("an-extract-fails"));
    assert_eq!(mail.attributes[1], ("action", "open".to_owned()));
    let large = sns::notification(&Content { title: "x\ny ".repeat(50_000), ..huge(Action::Open) });
    assert!(large.subject.len() < 100 && large.subject.is_ascii() && !large.subject.contains('\n'));
    assert!(large.message.len() <= 256 * 1024);
}

#[test]
fn a_webhook_gets_the_whole_content() {
    let body = webhook::payload(&message(Action::Resolve, None));
    assert_eq!((&body["version"], &body["alert"]["action"]), (&json!(1), &json!("resolve")));
    assert_eq!(body["text"], "[shop] Resolved: Late of DLT.A.B: 30 hours");
}
