//! Slack: by a bot token a post and its edits, by a webhook single messages.

use serde_json::{Value, json};

use super::{body, cut, headline};
use crate::alerts::{
    board::Message,
    content::{Action, Content},
};

/// The most characters of a section's text.
const SECTION: usize = 3_000;

/// The most characters of all blocks: above about 13,000 Slack refuses a message, though each section is within its limit.
const ALL: usize = 9_000;

/// The most characters of a header.
const HEADER: usize = 150;

/// A call of Slack's Web API.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `chat.postMessage` or `chat.update`.
    pub method: &'static str,
    pub body: Value,
}

/// What to call for a message. `channel` is the channel's name in the table.
pub fn calls(message: &Message, channel: &str) -> Vec<Call> {
    let content = &message.content;
    let Some(receipt) = &message.receipt else {
        return vec![Call { method: "chat.postMessage", body: with(parts(content), &[("channel", channel)]) }];
    };
    let place = [("channel", receipt.channel.as_str()), ("ts", receipt.message.as_str())];
    let edit = Call { method: "chat.update", body: with(parts(content), &place) };
    if content.action != Action::Remind {
        return vec![edit];
    }
    // An edit wakes nobody: a reminder is an answer below the message, shown in the channel too.
    let mut answer = json!({"text": mentioned(content), "reply_broadcast": true});
    answer = with(answer, &[("channel", receipt.channel.as_str()), ("thread_ts", receipt.message.as_str())]);
    vec![edit, Call { method: "chat.postMessage", body: answer }]
}

/// The body for an incoming webhook, which takes text and blocks and can edit nothing.
pub fn webhook(content: &Content) -> Value {
    parts(content)
}

fn parts(content: &Content) -> Value {
    let mut left = ALL;
    let mut section = |text: String| {
        let text = cut(&text, SECTION.min(left));
        left -= text.chars().count().min(left);
        json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
    };
    let title = cut(&format!("{} {}", mark(content), headline(content)), HEADER);
    let mut blocks = vec![json!({"type": "header", "text": {"type": "plain_text", "text": title}})];
    let lines: Vec<String> = body(content).iter().map(|line| escaped(line)).collect();
    if let Some(mention) = &content.mention {
        blocks.push(section(mention.clone()));
    }
    if !lines.is_empty() {
        blocks.push(section(lines.join("\n")));
    }
    let times = format!("opened {}, now {}", content.opened_at.format("%F %H:%M"), content.at.format("%F %H:%M UTC"));
    blocks.push(json!({"type": "context", "elements": [{"type": "mrkdwn", "text": times}]}));
    json!({"text": mentioned(content), "blocks": blocks})
}

/// The text that notifications show.
fn mentioned(content: &Content) -> String {
    let headline = escaped(&cut(&headline(content), SECTION));
    content.mention.as_ref().map_or_else(|| headline.clone(), |mention| format!("{mention} {headline}"))
}

fn mark(content: &Content) -> &'static str {
    match (content.action, content.severity) {
        (Action::Resolve, _) => "🟢",
        (Action::Acknowledge, _) => "🔵",
        (Action::Summary, _) => "📋",
        (_, 1) => "🔴",
        (_, 2) => "🟠",
        _ => "🟡",
    }
}

/// Slack reads `&`, `<` and `>` as its own.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

fn with(mut value: Value, fields: &[(&str, &str)]) -> Value {
    for (name, text) in fields {
        value[*name] = json!(text);
    }
    value
}
