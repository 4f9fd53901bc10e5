//! What may arrive on the dispatch queue, parsed once: bus events, our own messages, schedules' and people's requests.

use aws_lambda_events::sqs::SqsEvent;
use chrono::{DateTime, Utc};
use serde::Deserialize;
use sluice_core::{Error, Result, event::TableLoaded};
use sluice_pipeline::dispatch::Message;

/// The function's event: a batch from the queue, or a schedule's request to look whether something was missed.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    Batch(SqsEvent),
    Sweep(Sweep),
}

/// `{"sweep": true}`, or with `"force": true` to build everything although no data is new.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    pub sweep: bool,
    #[serde(default)]
    pub force: bool,
}

impl Sweep {
    pub fn message(&self) -> Message {
        Message::Wake { cause: "sweep".into(), force: self.force, resume: true }
    }
}

/// `{"full_refresh": true}`, from a schedule with its own time: a message that is delivered twice is known by that.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FullRefresh {
    full_refresh: bool,
    #[serde(default)]
    at: Option<DateTime<Utc>>,
}

/// `{"cancel": 7}`: stop run 7.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Cancel {
    cancel: u64,
}

/// Reads a message's body. Of an announcement only the table and sequence are used, and only to say why we woke.
pub fn parse(body: &str) -> Result<Message> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Own(Message),
        Announcement { detail: TableLoaded },
        Sweep(Sweep),
        FullRefresh(FullRefresh),
        Cancel(Cancel),
    }
    let unknown = || {
        Error::invalid_data("the message is neither a TableLoaded event nor a run request nor one of ours").as_final()
    };
    match serde_json::from_str(body).map_err(|error| unknown().because(error))? {
        Body::Own(message) => Ok(message),
        Body::Announcement { detail } => Ok(Message::Wake { cause: why(&detail), force: false, resume: false }),
        Body::Sweep(sweep) if sweep.sweep => Ok(sweep.message()),
        Body::FullRefresh(request) if request.full_refresh => Ok(Message::FullRefresh { at: request.at }),
        Body::Sweep(_) | Body::FullRefresh(_) => Err(unknown()),
        Body::Cancel(Cancel { cancel }) => Ok(Message::Cancel { number: cancel }),
    }
}

/// Why an announcement wakes us. A stream's id names each partition with its offset: they are counted instead.
fn why(loaded: &TableLoaded) -> String {
    match loaded.id.split(',').count() {
        1 => format!("{} loaded", loaded.id),
        partitions => format!("{} loaded from {partitions} partitions", loaded.table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_message_is_known_and_others_are_named() {
        let loaded = r#"{"version":"0","source":"sluice.warehouse","detail-type":"TableLoaded","detail":{"id":"A.B.C#3",
            "run_id":"r","lake_id":"l","table":"A.B.C","sequence":3,"rows":5}}"#;
        let streamed = loaded.replace("A.B.C#3", "A.B.C#t-0:7,t-1:9,t-2:1");
        let counted = Message::Wake { cause: "A.B.C loaded from 3 partitions".into(), force: false, resume: false };
        let cases = [
            (streamed.as_str(), Some(counted)),
            (loaded, Some(Message::Wake { cause: "A.B.C#3 loaded".into(), force: false, resume: false })),
            (r#"{"dispatch":"follow","number":4}"#, Some(Message::Follow { number: 4 })),
            (r#"{"sweep":true}"#, Some(Message::Wake { cause: "sweep".into(), force: false, resume: true })),
            (r#"{"full_refresh":true}"#, Some(Message::FullRefresh { at: None })),
            (
                r#"{"full_refresh":true,"at":"1970-01-01T00:00:00Z"}"#,
                Some(Message::FullRefresh { at: Some(DateTime::UNIX_EPOCH) }),
            ),
            (r#"{"dispatch":"full_refresh","at":null}"#, Some(Message::FullRefresh { at: None })),
            (r#"{"cancel":7}"#, Some(Message::Cancel { number: 7 })),
            (r#"{"dispatch":"cancel","number":7}"#, Some(Message::Cancel { number: 7 })),
            (r#"{"full_refresh":false}"#, None),
            (r#"{"cancel":"everything"}"#, None),
            (r#"{"sweep":false}"#, None),
            (r#"{"detail":{"id":"x"}}"#, None),
            ("", None),
        ];
        for (body, expected) in cases {
            assert_eq!(parse(body).ok(), expected, "{body}");
        }
    }
}
