//! PagerDuty, Events API v2: one alert for one key, triggered, acknowledged and resolved.

use serde_json::{Value, json};

use super::{body, cut, headline};
use crate::alerts::{
    content::{Action, Content},
    short_id,
};

/// The most characters of a key and of a summary.
const KEY: usize = 255;
const SUMMARY: usize = 1_024;

/// The event of a message; `None` for a summary, which wakes nobody.
pub fn event(content: &Content, routing_key: &str) -> Option<Value> {
    let action = match content.action {
        Action::Open | Action::Change | Action::Remind => "trigger",
        Action::Acknowledge => "acknowledge",
        Action::Resolve => "resolve",
        Action::Summary => return None,
    };
    let mut event = json!({
        "routing_key": routing_key,
        "event_action": action,
        "dedup_key": key(&content.key),
    });
    if action == "trigger" {
        let first = content.lines.first();
        event["client"] = json!("Sluice");
        event["payload"] = json!({
            "summary": cut(&headline(content), SUMMARY),
            "source": first.map_or(content.stack.as_str(), |line| line.object.as_str()),
            "severity": severity(content.severity),
            "timestamp": content.opened_at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            "component": content.stack,
            "class": first.map_or("", |line| line.kind.as_str()),
            "custom_details": {"details": body(content)},
        });
        if let Some(page) = content.runbook.as_ref().filter(|page| page.starts_with("https://")) {
            event["links"] = json!([{"href": page, "text": "Runbook"}]);
        }
    }
    Some(event)
}

/// The key as it is, or its beginning and its id where it is too long.
fn key(key: &str) -> String {
    if key.chars().count() <= KEY {
        return key.to_owned();
    }
    let beginning: String = key.chars().take(KEY - 9).collect();
    format!("{beginning}#{}", short_id(key))
}

fn severity(severity: u8) -> &'static str {
    match severity {
        1 => "critical",
        2 => "error",
        3 => "warning",
        _ => "info",
    }
}
