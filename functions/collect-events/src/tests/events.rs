use std::time::Duration;

use serde_json::{Value, json};

use super::world::{KEY, World, json_of, post, purchase, request};
use crate::{event::Request, metrics::EventCounts};

#[test]
fn an_event_goes_to_its_topic_keyed_by_its_customer_and_as_it_was_written() {
    let world = World::new();
    let body = purchase(1).to_string().replace("\"quantity\":1", "\"quantity\": 1, \"discount\": 0.10");
    let response = world.answer(&post(&body));
    assert_eq!(response.status_code, 202);
    let expected = json!({"accepted": 1, "event_ids": ["00000000-0000-4000-8000-000000000001"], "via": "kafka"});
    assert_eq!(json_of(&response), expected);
    let records = world.kafka.0.records.borrow();
    assert_eq!(records[0].1.value.as_deref(), Some(body.as_bytes()));
    assert_eq!(records[0].1.key.as_deref(), Some(b"c1@example.com".as_slice()));
}

/// JSON Schema, which the OpenAPI document speaks, takes 7842.0 for an integer; so does the stream.
#[test]
fn a_whole_number_with_a_point_is_an_integer_and_stays_as_it_was_written() {
    let world = World::new();
    let body = purchase(1).to_string().replace("\"quantity\":1", "\"quantity\":7842.0");
    assert_eq!(world.answer(&post(&body)).status_code, 202);
    assert_eq!(world.kafka.0.records.borrow()[0].1.value.as_deref(), Some(body.as_bytes()));
}

#[test]
fn an_event_without_an_id_gets_one_that_the_answer_names() {
    let world = World::new();
    let mut event = purchase(1);
    event.as_object_mut().expect("an object").remove("event_id");
    let response = json_of(&world.post(&event));
    let id = response["event_ids"][0].as_str().expect("an id");
    assert!(uuid::Uuid::parse_str(id).is_ok());
    assert_eq!(world.records()[0].1["event_id"], id);
    assert_eq!(world.records()[0].1["customer_email"], "c1@example.com");
}

#[test]
fn a_batch_is_taken_as_an_array_or_as_lines_in_order() {
    let world = World::new();
    assert_eq!(world.post(&json!([purchase(1), purchase(2)])).status_code, 202);
    let lines = format!("{}\n\n{}\n", purchase(3), purchase(4));
    let mut request = post(&lines);
    request.headers.insert("content-type".into(), "application/x-ndjson".into());
    assert_eq!(json_of(&world.answer(&request))["accepted"], 2);
    let keys: Vec<Option<String>> = world.records().into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [1, 2, 3, 4].map(|n| Some(format!("c{n}@example.com"))));
}

fn with(field: &str, value: Value) -> Value {
    let mut event = purchase(9);
    event[field] = value;
    event
}

/// Every way to break the contract: the pointer names the field, and nothing of the batch is accepted.
#[test]
fn a_bad_batch_is_refused_whole_and_each_bad_field_is_named() {
    let missing = |field: &str| {
        let mut event = purchase(9);
        event.as_object_mut().expect("an object").remove(field);
        event
    };
    for (event, pointers) in [
        (missing("customer_email"), vec!["/customer_email"]),
        (missing("quantity"), vec!["/quantity"]),
        (json!({}), vec!["/customer_email", "/product_id", "/quantity", "/purchase_ts", "/schema_version"]),
        (with("event_id", json!("no-uuid")), vec!["/event_id"]),
        (with("event_id", Value::Null), vec!["/event_id"]),
        (with("quantity", json!(0)), vec!["/quantity"]),
        (with("quantity", json!(-1)), vec!["/quantity"]),
        (with("quantity", json!(100_001)), vec!["/quantity"]),
        (with("quantity", json!(i64::MAX)), vec!["/quantity"]),
        (with("quantity", json!("1")), vec!["/quantity"]),
        (with("quantity", json!(1.5)), vec!["/quantity"]),
        (with("product_id", json!(9_223_372_036_854_775_808_u64)), vec!["/product_id"]),
        (with("purchase_ts", json!("2025-10-31 00:00:00")), vec!["/purchase_ts"]),
        (with("purchase_ts", json!(1_761_868_800)), vec!["/purchase_ts"]),
        (with("purchase_ts", json!("9999-12-31T23:59:59-01:00")), vec!["/purchase_ts"]),
        (with("customer_email", json!({"a": 1})), vec!["/customer_email"]),
        (with("note", json!("x".repeat(100_000))), vec![""]),
        (json!("text"), vec![""]),
        (json!([]), vec![""]),
    ] {
        let world = World::new();
        let response = world.post(&json!([purchase(1), event, purchase(2)]));
        assert_eq!(response.status_code, 400, "{event}");
        assert_eq!(response.headers["content-type"], "application/problem+json");
        let problem = json_of(&response);
        assert_eq!(problem["rejected"][0]["event"], 1, "{event}");
        let mut told: Vec<&str> = Vec::new();
        for error in problem["rejected"][0]["errors"].as_array().expect("errors") {
            told.push(error["pointer"].as_str().expect("a pointer"));
        }
        assert_eq!(told, pointers, "{event}");
        assert!(!response.body.contains("no-uuid"), "a value is quoted: {}", response.body);
        assert!(world.records().is_empty(), "{event}");
    }
    let twice = purchase(1).to_string().replacen('{', "{\"quantity\":5,", 1);
    let problem = json_of(&World::new().answer(&post(&twice)));
    assert_eq!(problem["rejected"][0]["errors"][0]["pointer"], "/quantity", "a field that stands twice");
}

#[test]
fn bodies_that_cannot_be_read_have_their_own_answers() {
    let world = World::new();
    let mut wrong_type = post(&purchase(1).to_string());
    wrong_type.headers.insert("content-type".into(), "text/plain".into());
    let batch: Vec<Value> = (0..51).map(purchase).collect();
    for (request, status) in [
        (post("{\"a\":"), 400),
        (post(""), 400),
        (post("[]"), 400),
        (wrong_type, 415),
        (post(&"x".repeat(300_001)), 413),
        (post(&Value::from(batch).to_string()), 413),
    ] {
        let response = world.answer(&request);
        assert_eq!(response.status_code, status, "{:.40?}", request.body);
        let problem = json_of(&response);
        assert_eq!(problem["status"], status);
        assert_eq!(problem["instance"], "urn:request:r-1");
        assert_eq!(response.headers["x-request-id"], "r-1");
    }
}

#[test]
fn too_many_events_wait_for_as_long_as_the_answer_says() {
    let world = World::new();
    let batch: Value = (0..50).map(purchase).collect();
    for _ in 0..4 {
        assert_eq!(world.post(&batch).status_code, 202);
    }
    let response = world.post(&batch);
    assert_eq!((response.status_code, response.headers["retry-after"].as_str()), (429, "1"));
    world.pass(Duration::from_secs(1));
    assert_eq!(world.post(&batch).status_code, 202);
    assert_eq!(world.records().len(), 250);
}

#[test]
fn each_request_to_a_topic_counts_what_became_of_its_events() {
    let world = World::new();
    let counted = |request: &Request| world.answer_and_count(request).1;
    let counts = |accepted, rejected, throttled, in_outbox| {
        Some(EventCounts { topic: "purchases".into(), accepted, rejected, throttled, in_outbox })
    };
    let body = |events: Value| post(&events.to_string());
    assert_eq!(counted(&body(json!([purchase(1), purchase(2)]))), counts(2, 0, 0, 0));
    assert_eq!(counted(&body(json!([purchase(1), {}, 7]))), counts(0, 2, 0, 0));
    assert_eq!(counted(&post("{broken")), counts(0, 0, 0, 0));
    world.kafka.0.away.set(true);
    assert_eq!(counted(&body(purchase(3))), counts(1, 0, 0, 1));
    world.outbox.away.set(true);
    assert_eq!(counted(&body(purchase(4))), counts(0, 0, 0, 0));
    // What is left of the burst of two hundred, and more.
    let batch: Value = (0..50).map(purchase).collect();
    for _ in 0..3 {
        counted(&body(batch.clone()));
    }
    assert_eq!(counted(&body(batch)), counts(0, 0, 50, 0));
    // Clients that may not send, or send to nowhere, make no metric: anybody could make thousands.
    let nowhere = request("POST", "/v1/events/clicks", &[("x-api-key", KEY)]);
    for request in [nowhere, request("POST", "/v1/events/purchases", &[]), request("GET", "/health", &[])] {
        assert_eq!(counted(&request), None, "{}", request.raw_path);
    }
}

#[test]
fn the_name_of_a_stage_is_no_part_of_the_address() {
    let sample = include_str!("../../../../events/collect-events/one-purchase-named-stage.json");
    let mut sample: Request = serde_json::from_str(sample).expect("a request");
    sample.headers.insert("x-api-key".into(), KEY.into());
    let world = World::new();
    assert_eq!(world.answer(&sample).status_code, 202);
    assert_eq!(world.records().len(), 1);
    for (stage, raw, path) in [
        ("", "/health", "/health"),
        ("$default", "/health", "/health"),
        ("$default", "/$default/health", "/$default/health"),
        ("prod", "/prod/health", "/health"),
        ("prod", "/prod/prod/health", "/prod/health"),
        ("prod", "/health", "/health"),
        ("prod", "/production/health", "/production/health"),
        ("prod", "/prod", "/prod"),
    ] {
        let mut request = request("GET", raw, &[]);
        request.request_context.stage = stage.into();
        assert_eq!(request.path(), path, "{stage} {raw}");
    }
}

#[test]
fn the_document_names_the_base_path_that_it_was_asked_under() {
    let world = World::new();
    for (stage, raw, base_path) in [
        ("", "/openapi.json", "/"),
        ("$default", "/openapi.json", "/"),
        ("prod", "/prod/openapi.json", "/prod"),
        ("prod", "/openapi.json", "/"),
    ] {
        let mut request = request("GET", raw, &[]);
        request.request_context.stage = stage.into();
        let document = json_of(&world.answer(&request));
        assert_eq!(document["servers"], json!([{ "url": base_path }]), "{stage} {raw}");
        assert!(document["paths"].get("/v1/events/purchases").is_some(), "{stage} {raw}");
    }
}

#[test]
fn the_other_addresses_answer_and_wrong_methods_are_named() {
    let world = World::new();
    let answer = |method: &str, path: &str| world.answer(&request(method, path, &[]));
    assert_eq!(
        json_of(&answer("GET", "/health")),
        json!({"status": "ok", "kafka": "untried", "topics_unavailable": []})
    );
    assert_eq!((answer("HEAD", "/health").status_code, answer("HEAD", "/health").body), (200, String::new()));
    for path in ["/", "/v1/events", "/v1/events/", "/v1/events/a/b", "/V1/events/purchases"] {
        assert_eq!(answer("POST", path).status_code, 404, "{path}");
    }
    for (method, path, allow) in [
        ("GET", "/v1/events/purchases", "POST, OPTIONS"),
        ("DELETE", "/v1/events/purchases", "POST, OPTIONS"),
        ("TRACE", "/health", "GET, HEAD, OPTIONS"),
        ("POST", "/openapi.json", "GET, HEAD, OPTIONS"),
    ] {
        let response = answer(method, path);
        assert_eq!((response.status_code, response.headers["allow"].as_str()), (405, allow), "{method} {path}");
    }
    let options = answer("OPTIONS", "/v1/events/purchases");
    assert_eq!((options.status_code, options.headers["allow"].as_str()), (204, "POST, OPTIONS"));
}

#[test]
fn the_document_has_a_path_and_a_schema_for_every_topic_and_no_open_end() {
    let world = World::new();
    let document = json_of(&world.answer(&request("GET", "/openapi.json", &[])));
    assert_eq!(document["openapi"], "3.1.0");
    let topics: Vec<String> = world.collector.catalogue.topics().map(|topic| topic.name.clone()).collect();
    assert!(topics.contains(&"purchases".to_owned()));
    for topic in &topics {
        let post = &document["paths"][format!("/v1/events/{topic}")]["post"];
        let body = &post["requestBody"]["content"]["application/json"]["schema"]["oneOf"];
        assert_eq!(body[0]["$ref"], format!("#/components/schemas/{topic}"));
        assert_eq!(body[1]["$ref"], format!("#/components/schemas/{topic}Batch"));
        let batch = &document["components"]["schemas"][format!("{topic}Batch")];
        assert_eq!((&batch["items"]["$ref"], &batch["maxItems"]), (&body[0]["$ref"], &json!(50)));
        let required = document["components"]["schemas"][topic.as_str()]["required"].as_array().expect("required");
        assert!(!required.contains(&json!("event_id")) && !required.is_empty());
        // The document in the repository points to the same file.
        assert!(include_str!("../../openapi.yaml").contains(&format!("platform/schemas/{topic}.json")), "{topic}");
    }
    let text = document.to_string();
    for reference in text.split("\"$ref\":\"").skip(1) {
        let pointer = reference.split('"').next().and_then(|r| r.strip_prefix('#')).expect("within the document");
        assert!(document.pointer(pointer).is_some(), "{pointer} leads nowhere");
    }
}
