//! Messages to ourselves on SQS.

use std::time::Duration;

use aws_sdk_sqs::{Client, types::MessageAttributeValue};
use sluice_core::{
    Error, Hops, Result,
    hops::ATTRIBUTE,
    port::{Clock, DelayedQueue, SystemClock},
};

use crate::{SdkConfig, error::classify};

/// SQS delays a message by at most a quarter of an hour; a later wake-up looks again and delays again.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The function's own queue.
#[derive(Debug, Clone)]
pub struct SqsQueue {
    client: Client,
    url: String,
}

impl SqsQueue {
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        SqsQueue { client: Client::new(config), url: url.into() }
    }
}

impl DelayedQueue for SqsQueue {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        self.send_after(Hops::none(SystemClock.now()), body, delay).await
    }

    async fn send_after(&self, hops: Hops, body: &serde_json::Value, delay: Duration) -> Result<()> {
        // Rounded up: a message that comes early would only be sent again.
        let seconds = delay.min(LONGEST_DELAY).as_millis().div_ceil(1000) as i32;
        let count = MessageAttributeValue::builder().data_type("String").string_value(hops.next().to_string()).build();
        let count = count.map_err(|error| Error::internal("cannot encode a hop count").because(error))?;
        let send = self.client.send_message().queue_url(&self.url).message_body(body.to_string());
        send.message_attributes(ATTRIBUTE, count)
            .delay_seconds(seconds)
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(e, "cannot send a delayed message to the function's own queue".into()))
    }
}
