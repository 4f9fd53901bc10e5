//! Messages to ourselves on SQS.

use std::time::Duration;

use aws_sdk_sqs::Client;
use sluice_core::{Result, port::Later};

use crate::{SdkConfig, error::classify};

/// SQS delays a message by at most a quarter of an hour; a later wake-up looks again and delays again.
const LONGEST_DELAY: Duration = Duration::from_secs(900);

/// The function's own queue.
#[derive(Debug, Clone)]
pub struct DelayQueue {
    client: Client,
    url: String,
}

impl DelayQueue {
    pub fn new(config: &SdkConfig, url: impl Into<String>) -> Self {
        DelayQueue { client: Client::new(config), url: url.into() }
    }
}

impl Later for DelayQueue {
    async fn send(&self, body: &serde_json::Value, delay: Duration) -> Result<()> {
        // Rounded up: a message that comes early would only be sent again.
        let seconds = delay.min(LONGEST_DELAY).as_millis().div_ceil(1000) as i32;
        let send = self.client.send_message().queue_url(&self.url).message_body(body.to_string());
        send.delay_seconds(seconds)
            .send()
            .await
            .map(drop)
            .map_err(|e| classify(e, "cannot send a delayed message to the function's own queue".into()))
    }
}
