//! The outbox: what waits in a queue while Kafka is away, as messages that the queue takes.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_core::{Error, Result};
use sluice_kafka::Message;

use crate::{catalogue::Topic, check::Valid};

/// SQS takes 262,144 bytes; a little stays free for what it counts beside the body.
pub const MESSAGE_BYTES: usize = 256_000;

/// One message of the outbox.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutboxMessage {
    pub topic: String,
    /// When the events were accepted, which becomes the records' time.
    pub accepted_at: DateTime<Utc>,
    /// Each event as text: put in as JSON, a number could lose digits on the way.
    pub events: Vec<String>,
}

/// Packs the events into as few messages as hold them.
pub fn pack(topic: &str, accepted_at: DateTime<Utc>, events: &[Valid]) -> Result<Vec<Value>> {
    let mut messages = Vec::new();
    let empty = || OutboxMessage { topic: topic.to_owned(), accepted_at, events: Vec::new() };
    let envelope = encode(&empty())?.to_string().len();
    let (mut message, mut size) = (empty(), envelope);
    for event in events {
        let text = sendable(&event.text);
        // Its own size as a JSON string, and a comma.
        let bytes = Value::from(text.as_str()).to_string().len() + 1;
        if size + bytes > MESSAGE_BYTES && !message.events.is_empty() {
            messages.push(encode(&std::mem::replace(&mut message, empty()))?);
            size = envelope;
        }
        size += bytes;
        message.events.push(text);
    }
    if !message.events.is_empty() {
        messages.push(encode(&message)?);
    }
    Ok(messages)
}

/// SQS refuses two characters that JSON may hold as they are; both can stand in a JSON string only, and be escaped
/// there.
fn sendable(text: &str) -> String {
    text.replace('\u{fffe}', "\\ufffe").replace('\u{ffff}', "\\uffff")
}

pub fn encode(message: &OutboxMessage) -> Result<Value> {
    serde_json::to_value(message)
        .map_err(|error| Error::internal("cannot encode a message of the outbox").because(error))
}

impl OutboxMessage {
    pub fn parse(body: &str) -> Result<Self> {
        serde_json::from_str(body).map_err(|error| {
            // serde's message may quote a value: keep only where it stopped.
            let unread = Error::invalid_data("a message of the outbox is not one that this function wrote");
            unread.with("line", error.line()).with("column", error.column())
        })
    }

    /// The records that the events would have been.
    pub fn into_records(self, topic: &Topic) -> Vec<Message> {
        let key = |text: &str| topic.key_of(&serde_json::from_str(text).ok()?);
        let accepted_at = self.accepted_at;
        self.events.into_iter().map(|text| record(key(&text), text, accepted_at)).collect()
    }
}

pub fn record(key: Option<String>, text: String, accepted_at: DateTime<Utc>) -> Message {
    let value = Some(Bytes::from(text));
    Message { key: key.map(Bytes::from), value, headers: Default::default(), timestamp: accepted_at }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(text: String) -> Valid {
        Valid { id: "1".into(), key: None, text }
    }

    #[test]
    fn messages_fit_the_queue_and_hold_every_event_in_order() {
        // Worst cases: everything escaped twice, characters that the queue refuses, and many small ones.
        let mut events = vec![event(format!("{{\"a\":\"{}\"}}", "\\\"".repeat(45_000)))];
        events.push(event(format!("{{\"a\":\"{}\"}}", "\u{ffff}".repeat(33_000))));
        events.extend((0..5_000).map(|n| event(format!("{{\"n\":{n}.10}}"))));
        assert!(events.iter().all(|event| event.text.len() <= crate::check::EVENT_BYTES));
        let messages = pack("t", DateTime::UNIX_EPOCH, &events).expect("packed");
        let mut back = Vec::new();
        for message in &messages {
            let body = message.to_string();
            assert!(body.len() <= MESSAGE_BYTES, "{} bytes", body.len());
            assert!(!body.contains(['\u{fffe}', '\u{ffff}']));
            back.extend(OutboxMessage::parse(&body).expect("parses").events);
        }
        assert_eq!(back.len(), events.len());
        for (back, sent) in back.iter().zip(&events) {
            let value = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
            assert!(*back == sent.text || value(back) == value(&sent.text));
        }
        assert!(messages.len() <= 4, "{} messages", messages.len());
        assert!(pack("t", DateTime::UNIX_EPOCH, &[]).expect("packed").is_empty());
    }
}
