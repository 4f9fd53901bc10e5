use std::{fs, path::Path};

use serde_json::{Value, json};
use sluice_core::Sources;

use super::world::{KEY, World, json_of, purchase, request};
use crate::{catalogue::Catalogue, event::Request};

/// The shipped topic and these, each with its column `event_id` of this type and with this schema, if any.
fn world(topics: &[(&str, &str, Option<&str>)]) -> World {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../platform");
    let folder = std::env::temp_dir().join(format!("topics-{}", uuid::Uuid::now_v7()));
    fs::create_dir_all(folder.join("schemas")).expect("a folder");
    fs::copy(shipped.join("schemas/purchases.json"), folder.join("schemas/purchases.json")).expect("a copy");
    let mut text = fs::read_to_string(shipped.join("sources.yaml")).expect("the sources");
    for (topic, id, schema) in topics {
        text.push_str(&format!(
            "
  - table: STREAMING.PUBLIC.{}
    description: One row per event.
    source: {{ kind: kafka, topic: {topic} }}
    loader: streaming
    disposition: append
    columns: [{{ name: event_id, type: {id}, required: true }}]
",
            topic.to_uppercase()
        ));
        if let Some(schema) = schema {
            fs::write(folder.join("schemas").join(format!("{topic}.json")), schema).expect("a schema");
        }
    }
    let world = World::of(Catalogue::read(&Sources::parse(&text).expect("valid sources"), &folder));
    fs::remove_dir_all(&folder).expect("the folder goes");
    world
}

fn to(topic: &str, event: &Value) -> Request {
    let headers = [("content-type", "application/json"), ("x-api-key", KEY)];
    Request { body: Some(event.to_string()), ..request("POST", &format!("/v1/events/{topic}"), &headers) }
}

#[test]
fn a_topic_whose_schema_cannot_be_used_is_away_alone() {
    let event = json!({"event_id": "1"});
    for (id, schema) in [
        ("text", None),
        ("text", Some("{")),
        ("text", Some("{\"type\": \"no such type\"}")),
        ("text", Some("{\"x-kafka-key\": \"nothing\"}")),
        ("bigint", Some("{}")),
    ] {
        let world = world(&[("orders", id, schema), ("clicks", "text", Some("{}"))]);
        let refused = world.answer(&to("orders", &event));
        assert_eq!(refused.status_code, 503, "{schema:?}");
        assert_eq!(refused.headers["content-type"], "application/problem+json");
        assert!(refused.headers["retry-after"].parse::<u32>().is_ok());
        assert!(json_of(&refused)["detail"].as_str().is_some_and(|detail| detail.contains("its schema")), "{schema:?}");
        assert_eq!(world.answer(&to("clicks", &event)).status_code, 202, "{schema:?}");
        assert_eq!(world.post(&purchase(1)).status_code, 202, "{schema:?}");
        assert_eq!(world.answer(&to("nothing", &event)).status_code, 404);
        let health = json_of(&world.answer(&request("GET", "/health", &[])));
        assert_eq!(health["topics_unavailable"], json!(["orders"]));
        let document = json_of(&world.answer(&request("GET", "/openapi.json", &[])));
        let paths: Vec<&String> = document["paths"].as_object().expect("paths").keys().collect();
        assert!(
            paths.iter().any(|path| path.ends_with("/clicks")) && !paths.iter().any(|path| path.ends_with("/orders"))
        );
    }
}

#[test]
fn outbox_events_of_a_topic_that_is_away_are_kept_aside() {
    let good = world(&[("orders", "text", Some("{}"))]);
    good.kafka.0.away.set(true);
    assert_eq!(good.answer(&to("orders", &json!({"event_id": "1"}))).status_code, 202);
    let kept = good.outbox.messages.borrow().clone();
    let broken = world(&[("orders", "text", None)]);
    assert!(broken.deliver(kept.iter().map(String::as_str)).is_empty());
    assert_eq!(*broken.dead.messages.borrow(), kept);
}
