//! The bus on EventBridge.

use aws_sdk_eventbridge::{Client, types::PutEventsRequestEntry};
use sluice_core::{Error, Result, event::Announcement, port::Bus};

use crate::{SdkConfig, error::classify};

/// The platform's own bus.
#[derive(Debug, Clone)]
pub struct EventBus {
    client: Client,
    name: String,
}

impl EventBus {
    pub fn new(config: &SdkConfig, name: impl Into<String>) -> Self {
        EventBus { client: Client::new(config), name: name.into() }
    }
}

impl Bus for EventBus {
    async fn announce(&self, announcement: Announcement) -> Result<()> {
        let entry = PutEventsRequestEntry::builder()
            .event_bus_name(&self.name)
            .source(announcement.source)
            .detail_type(announcement.detail_type)
            .detail(announcement.detail.to_string())
            .build();
        let attempt = format!("cannot announce {} on the bus", announcement.detail_type);
        let answer = self.client.put_events().entries(entry).send().await.map_err(|e| classify(e, attempt.clone()))?;
        // The call succeeds even when the bus refuses the entry.
        match answer.entries().first().and_then(|entry| entry.error_code()) {
            None => Ok(()),
            Some(code) => Err(Error::unavailable(attempt).with("code", code)),
        }
    }
}
