//! The event source of the stream: how records reach the streaming function, and switching that on and off.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use sluice_aws::classify;

use crate::{failure::Outcome, stack::Stack};

/// The stream's mapping in the template. It takes all topics, so that all streaming tables share it.
const STREAM_SOURCE: &str = "StreamKafkaSource";

/// The event source mapping of the streaming function.
pub struct Mapping {
    client: Client,
    id: String,
}

impl Mapping {
    /// `None` where the stack has none: without Kafka, and on one machine, where a poller stands in.
    pub fn of(aws: &SdkConfig, stack: &Stack) -> Option<Self> {
        Some(Mapping { client: Client::new(aws), id: stack.find(STREAM_SOURCE)?.to_owned() })
    }

    /// Whether it polls, or is on its way there.
    pub async fn enabled(&self) -> Outcome<bool> {
        let get = self.client.get_event_source_mapping().uuid(&self.id).send().await;
        let found = get.map_err(|error| classify(error, "cannot read the stream's event source mapping".into()))?;
        Ok(is_enabled(found.state().unwrap_or_default()))
    }

    pub async fn switch(&self, enabled: bool) -> Outcome {
        let update = self.client.update_event_source_mapping().uuid(&self.id).enabled(enabled).send().await;
        update.map_err(|error| classify(error, "cannot change the stream's event source mapping".into()))?;
        Ok(())
    }
}

fn is_enabled(state: &str) -> bool {
    !matches!(state, "Disabled" | "Disabling")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapping_on_its_way_counts_as_there() {
        for (state, enabled) in [
            ("Enabled", true),
            ("Enabling", true),
            ("Updating", true),
            ("Creating", true),
            ("Disabled", false),
            ("Disabling", false),
        ] {
            assert_eq!(is_enabled(state), enabled, "{state}");
        }
    }
}
