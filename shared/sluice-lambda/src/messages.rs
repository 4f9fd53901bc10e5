//! A batch of queue messages: each has its own fate.

use aws_lambda_events::sqs::{BatchItemFailure, SqsBatchResponse, SqsEvent, SqsMessage};
use futures::{StreamExt, stream};
use sluice_core::{Error, Kind, Result};

use crate::{Action, hint, policy};

/// So many messages of a batch are handled side by side; they wait for the warehouse, not for the processor.
const SIDE_BY_SIDE: usize = 4;

/// Handles every message; one that fails takes no other with it. Returns the ones to be redelivered.
pub async fn each_message(event: SqsEvent, handle: impl AsyncFn(&str) -> Result<()>) -> SqsBatchResponse {
    let handle = &handle;
    let failed = stream::iter(event.records)
        .map(async |message: SqsMessage| {
            let id = message.message_id.unwrap_or_default();
            let error = Box::pin(handle(message.body.as_deref().unwrap_or_default())).await.err()?;
            let redelivered = may_succeed(&error);
            tracing::error!(
                message_id = id,
                error = error.chain(),
                error_kind = %error.kind(),
                redelivered,
                hint = hint(&error),
                "a message failed"
            );
            redelivered.then(|| {
                let mut failure = BatchItemFailure::default();
                failure.item_identifier = id;
                failure
            })
        })
        .buffer_unordered(SIDE_BY_SIDE)
        .filter_map(async |failure| failure)
        .collect()
        .await;
    let mut response = SqsBatchResponse::default();
    response.batch_item_failures = failed;
    response
}

/// Whether another delivery may end otherwise. A kind alone never makes a message vanish: an answer that is garbage is
/// InvalidData too, and the next one may be whole. Another run's work is done, whoever says so.
fn may_succeed(error: &Error) -> bool {
    let acknowledged = policy(error.kind()).action == Action::Acknowledge;
    !(acknowledged && (error.is_final() || error.kind() == Kind::Conflict))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_messages_that_can_still_succeed_are_redelivered() {
        let message = |id: &str, body: &str| {
            serde_json::from_value::<SqsMessage>(serde_json::json!({"messageId": id, "body": body})).expect("a message")
        };
        let mut event = SqsEvent::default();
        event.records = ["ok", "away", "broken", "garbled", "taken"]
            .iter()
            .zip(1..)
            .map(|(body, id)| message(&id.to_string(), body))
            .collect();
        let response = futures::executor::block_on(each_message(event, async |body| match body {
            "away" => Err(Error::unavailable("the warehouse is away")),
            "broken" => Err(Error::invalid_data("the commit is truncated").as_final()),
            "garbled" => Err(Error::invalid_data("the answer's body is not JSON")),
            "taken" => Err(Error::conflict("another run has committed first")),
            _ => Ok(()),
        }));
        let ids: Vec<&str> = response.batch_item_failures.iter().map(|f| f.item_identifier.as_str()).collect();
        assert_eq!(ids, ["2", "4"]);
    }
}
