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
    use std::{
        io::{BufRead, BufReader, Read, Write},
        net::{Ipv4Addr, TcpListener, TcpStream},
        sync::{Arc, Mutex},
        thread,
    };

    use aws_config::{BehaviorVersion, Region};
    use sluice_core::Sources;

    use super::*;
    use crate::stack::Resource;

    /// One request: its line and its body.
    fn received(stream: &TcpStream) -> String {
        let mut reader = BufReader::new(stream);
        let (mut first, mut length) = (String::new(), 0);
        reader.read_line(&mut first).expect("a request");
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).expect("a header");
            let line = line.trim().to_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().expect("a length");
            }
            if line.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).expect("a body");
        let line: Vec<&str> = first.split_whitespace().take(2).collect();
        format!("{} {}", line.join(" "), String::from_utf8_lossy(&body))
    }

    /// Lambda's address and what it is asked: it has a mapping of each topic, whose id is the topic. That of orders is off.
    fn lambda() -> (String, Arc<Mutex<Vec<String>>>) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a listener");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let request = received(&stream);
                let (topic, state, result) = match request.contains("orders") {
                    true => ("orders", "Disabled", "PROBLEM: Function call failed"),
                    false => ("purchases", "Enabled", "OK"),
                };
                kept.lock().expect("the requests").push(request);
                let body = format!(
                    r#"{{"UUID": "{topic}", "Topics": ["{topic}"], "State": "{state}", "LastProcessingResult": "{result}"}}"#
                );
                let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\nconnection: close";
                write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("answered");
            }
        });
        (address, asked)
    }

    #[tokio::test]
    async fn a_tables_mapping_is_found_by_its_topic_and_switched() {
        let (address, asked) = lambda();
        let aws = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::from_static("us-east-1"))
            .endpoint_url(address)
            .credentials_provider(aws_sdk_s3::config::Credentials::new("test", "test", None, None, "test"))
            .load()
            .await;
        let resource = |logical: &str, physical: &str, resource_type: &str| Resource {
            logical: logical.to_owned(),
            physical: physical.to_owned(),
            resource_type: resource_type.to_owned(),
        };
        let mapping = "AWS::Lambda::EventSourceMapping";
        let resources = vec![
            resource("StreamKafkaSourceOfPurchases", "purchases", mapping),
            resource("StreamKafkaSourceOfOrders", "orders", mapping),
            resource("StreamKafkaSourceOfUnmade", "", mapping),
            resource("LoadCommitsQueue", "queue", mapping),
            resource("StreamKafkaSourcePolicy", "policy", "AWS::IAM::Policy"),
        ];
        let stack = Stack { resources, ..Stack::default() };
        let mappings = Mapping::list(&aws, &stack).await.expect("the mappings");
        let told = |mapping: &Mapping| (mapping.name.clone(), mapping.enabled, mapping.problem.is_some());
        assert_eq!(
            mappings.iter().map(told).collect::<Vec<_>>(),
            [
                ("StreamKafkaSourceOfPurchases".to_owned(), true, false),
                ("StreamKafkaSourceOfOrders".to_owned(), false, true)
            ]
        );

        let sources = Sources::parse(include_str!("../../platform/sources.yaml")).expect("valid sources");
        let purchases = sources.topic("purchases").expect("a table");
        let serving: Vec<&Mapping> = mappings.iter().filter(|mapping| mapping.serves(purchases)).collect();
        let [only] = serving[..] else { panic!("{serving:?}") };
        assert_eq!(only.topics, ["purchases"]);
        let products = sources.table(&"DLT.APPLICATION_DATA.PRODUCTS".parse().expect("a name")).expect("a table");
        assert!(!mappings.iter().any(|mapping| mapping.serves(products)));

        only.switch(false).await.expect("switched");
        let asked = asked.lock().expect("the requests");
        assert_eq!(asked.len(), 3, "{asked:?}");
        assert!(asked[2].starts_with("PUT ") && asked[2].contains("/event-source-mappings/purchases"), "{asked:?}");
        assert!(asked[2].ends_with(r#"{"Enabled":false}"#), "{asked:?}");
    }

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
