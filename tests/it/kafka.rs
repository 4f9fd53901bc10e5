//! What lets the stream read: each mapping its own topic, and nothing before schedules run.

use serde_json::{Value, json};

use crate::expanded::{list, of_type, properties, resource};

/// The texts of all `!Sub` in a value.
fn texts(value: &Value) -> Vec<&str> {
    match value {
        Value::Array(members) => members.iter().flat_map(texts).collect(),
        Value::Object(members) => members
            .iter()
            .flat_map(
                |(key, member)| if key == "Fn::Sub" { member.as_str().into_iter().collect() } else { texts(member) },
            )
            .collect(),
        _ => Vec::new(),
    }
}

#[test]
fn a_mapping_reads_when_schedules_run() {
    for mapping in of_type("::EventSourceMapping") {
        assert_eq!(properties(mapping)["Enabled"], json!({ "Fn::If": ["WithSchedules", true, false] }), "{mapping}");
    }
}

/// A cluster that others share has topics of theirs.
#[test]
fn the_stream_may_read_its_own_topics_alone() {
    let mappings = of_type("::EventSourceMapping");
    assert_eq!(mappings.len(), 2);
    for mapping in mappings {
        let topic = properties(mapping)["Topics"][0].as_str().expect("a topic");
        let policy = mapping.replace("StreamKafkaSourceOf", "ReadTopicOf");
        assert_eq!(resource(&policy)["Condition"], "WithKafkaIam");
        let [statement] = list(&properties(&policy)["PolicyDocument"]["Statement"]) else { panic!("{policy}") };
        let named = texts(&statement["Resource"]);
        assert_eq!(named.len(), 4, "{named:?}");
        for text in named {
            let is_own = text.ends_with(&format!("Arn}}/{topic}")) || text.ends_with(&format!("-stream-{topic}"));
            assert!(is_own, "{policy} reaches {text}");
        }
    }
    let shared = properties("StreamKafkaSourcePolicy").to_string();
    assert!(!shared.contains(":topic/") && !shared.contains("ReadData"), "{shared}");
}

/// In any network: Lambda places pollers with the function's role, which its code has too.
#[test]
fn the_streams_code_may_not_do_what_lambda_does_to_place_pollers() {
    let statements = list(&properties("StreamKafkaSourcePolicy")["PolicyDocument"]["Statement"]);
    let denied = statements.iter().find(|one| one["Sid"] == "NotByCode").expect("a denial");
    let by_code = json!({ "Null": { "lambda:SourceFunctionArn": "false" } });
    assert_eq!(
        (&denied["Effect"], &denied["Action"], &denied["Condition"]),
        (&json!("Deny"), &json!("ec2:*"), &by_code)
    );
}
