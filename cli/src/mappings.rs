//! The event sources of the stream: how records of each topic reach the streaming function, and switching that on and off.

use aws_config::SdkConfig;
use aws_sdk_lambda::Client;
use sluice_aws::classify;
use sluice_core::{Table, sources::Source};

use crate::{failure::Outcome, stack::Stack};

/// How the stream's mappings begin in the template: one for each topic, whatever cluster it is on.
const STREAM_SOURCE: &str = "StreamKafkaSource";

/// An event source mapping of the streaming function.
#[derive(Debug, Clone)]
pub(crate) struct Mapping {
    client: Client,
    id: String,
    /// Its name in the template.
    pub name: String,
    pub topics: Vec<String>,
    /// Whether it polls, or is on its way there.
    pub enabled: bool,
    /// What it says of the last batch, where that was not served.
    pub problem: Option<String>,
}

impl Mapping {
    /// None where the stack has none: without Kafka, and on one machine, where a poller takes their place.
    pub(crate) async fn list(aws: &SdkConfig, stack: &Stack) -> Outcome<Vec<Mapping>> {
        let client = Client::new(aws);
        let mut mappings = Vec::new();
        for resource in stack.of_type("AWS::Lambda::EventSourceMapping") {
            if !resource.logical.starts_with(STREAM_SOURCE) || resource.physical.is_empty() {
                continue;
            }
            let get = client.get_event_source_mapping().uuid(&resource.physical).send().await;
            let attempt = || format!("cannot read the event source mapping {}", resource.logical);
            let found = get.map_err(|error| classify(error, attempt()))?;
            mappings.push(Mapping {
                client: client.clone(),
                id: resource.physical.clone(),
                name: resource.logical.clone(),
                topics: found.topics().to_vec(),
                enabled: is_enabled(found.state().unwrap_or_default()),
                problem: problem(found.last_processing_result().unwrap_or_default()),
            });
        }
        Ok(mappings)
    }

    /// Whether it brings a table's records.
    pub(crate) fn serves(&self, table: &Table) -> bool {
        matches!(&table.source, Source::Kafka { topic, .. } if self.topics.contains(topic))
    }

    pub(crate) async fn switch(&self, enabled: bool) -> Outcome {
        let update = self.client.update_event_source_mapping().uuid(&self.id).enabled(enabled).send().await;
        update.map_err(|error| classify(error, format!("cannot change the event source mapping {}", self.name)))?;
        Ok(())
    }
}

fn is_enabled(state: &str) -> bool {
    !matches!(state, "Disabled" | "Disabling")
}

/// Lambda says `OK`, `No records processed`, or `PROBLEM: …`.
fn problem(result: &str) -> Option<String> {
    result.starts_with("PROBLEM").then(|| result.to_owned())
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

    #[test]
    fn a_mapping_whose_batches_fail_has_a_problem() {
        assert_eq!(problem("OK"), None);
        assert_eq!(problem("No records processed"), None);
        assert_eq!(problem("PROBLEM: Function call failed").as_deref(), Some("PROBLEM: Function call failed"));
    }
}
