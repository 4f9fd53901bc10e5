//! What wakes the function: the hour, a person with one table, or its own messages about partitioned reads.

use aws_lambda_events::sqs::{SqsBatchResponse, SqsEvent};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, split::SplitMessage};
use sluice_lambda::{ExtractAnswer, ExtractEvent};

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    /// From the function's own queue.
    Batch(SqsEvent),
    Extract(ExtractEvent),
}

/// What the function answers to each.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Answer {
    Batch(SqsBatchResponse),
    Extract(ExtractAnswer),
}

/// Reads a message's body.
pub fn parse(body: &str) -> Result<SplitMessage> {
    serde_json::from_str(body)
        .map_err(|error| Error::invalid_data("the message is not about a partitioned read").because(error).as_final())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_event_is_known_and_a_message_names_a_plan() {
        let event = |text: &str| serde_json::from_str::<Event>(text).unwrap();
        assert!(matches!(event(r#"{"time": "2026-10-05T00:15:00Z", "due": true}"#), Event::Extract(_)));
        assert!(matches!(event(r#"{"time": "2026-10-05T00:15:00Z", "table": "A.B.C"}"#), Event::Extract(_)));
        let Event::Batch(batch) = event(include_str!("../../../events/extract-postgres/part.json")) else {
            panic!("a batch");
        };
        let message = parse(batch.records[0].body.as_deref().unwrap()).unwrap();
        assert_eq!((message.number, message.part), (1, Some(0)));
        assert_eq!(parse(r#"{"table": "A.B.C", "number": 2}"#).unwrap().part, None);
        for body in ["", "{}", r#"{"table": "A.B.C"}"#, r#"{"table": "A.B.C", "number": 1, "parts": 2}"#] {
            assert!(parse(body).is_err(), "{body}");
        }
    }
}
