use super::*;

fn answer(status: u16, body: &Value) -> Updated {
    let response = Response::new(status, body.to_string());
    match classify(&response, "update contacts") {
        Ok(()) => each(&response, "update contacts"),
        Err(error) => refused(&response, error),
    }
}

#[test]
fn an_answer_in_parts_says_of_each_record_what_became_of_it() {
    let body = json!({
        "status": "COMPLETE",
        "results": [
            {"id": "1", "properties": {}, "updatedAt": "2026-01-31T12:00:00.000Z"},
            {"id": "9", "objectWriteTraceId": "2", "properties": {}},
        ],
        "numErrors": 2,
        "errors": [
            {"category": "VALIDATION_ERROR", "message": "jane@example.com", "context": {"objectWriteTraceId": ["3"]},
             "errors": [{"code": "INVALID_OPTION", "message": "jane"}]},
            {"category": "OBJECT_NOT_FOUND", "context": {"ids": ["4"]}},
            {"message": "of 5 nobody says why", "context": {"ids": ["5"]}},
        ],
    });
    let Updated::Each(answers) = answer(207, &body) else { panic!("parts") };
    let at = "2026-01-31T12:00:00Z".parse().ok();
    let reason = "VALIDATION_ERROR INVALID_OPTION".to_owned();
    let expected = [
        ("1", Answer::Written { at }),
        ("2", Answer::Written { at: None }),
        ("3", Answer::Refused { reason }),
        ("4", Answer::Gone),
    ];
    assert_eq!(answers, expected.map(|(id, answer)| (id.to_owned(), answer)).into());
}

#[test]
fn only_a_refusal_that_hubspot_explains_means_that_nothing_was_written() {
    let kind = |status, body: Value| match answer(status, &body) {
        Updated::Each(_) => "each",
        Updated::Refused { .. } => "refused",
        Updated::Unsent(_) => "unsent",
        Updated::Unknown(_) => "unknown",
    };
    for (status, expected) in [
        (200, "each"),
        (400, "refused"),
        (401, "unsent"),
        (403, "unsent"),
        (404, "unsent"),
        (409, "refused"),
        (423, "unknown"),
        (429, "unsent"),
        (477, "unknown"),
        (500, "unknown"),
        (502, "unknown"),
        (504, "unknown"),
    ] {
        assert_eq!(kind(status, json!({"results": [], "category": "VALIDATION_ERROR"})), expected, "{status}");
        let of_a_proxy = if expected == "refused" { "unknown" } else { expected };
        assert_eq!(kind(status, json!({"results": [], "message": "Bad Request"})), of_a_proxy, "{status}");
    }
    let page = Response::new(400, "<html>");
    let error = classify(&page, "update contacts").expect_err("refused");
    assert!(matches!(refused(&page, error), Updated::Unknown(error) if error.is_transient()));
    assert!(matches!(each(&Response::new(200, "{\"results\": 1}"), "update contacts"), Updated::Unknown(_)));
}

#[test]
fn a_definition_says_whether_its_property_can_be_written() {
    let definition = |text: Value| serde_json::from_value::<Definition>(text).expect("a definition");
    let plain = definition(json!({"name": "a", "type": "number", "modificationMetadata": {"readOnlyValue": false}}));
    assert!(!plain.is_read_only());
    assert!(definition(json!({"name": "a", "calculated": true})).is_read_only());
    assert!(definition(json!({"name": "a", "modificationMetadata": {"readOnlyValue": true}})).is_read_only());
}

#[test]
fn only_what_hubspot_says_is_not_there_is_missing() {
    let parsed = |body: Value| serde_json::from_value::<Batch>(body).map_err(|error| error.to_string());
    let gone = |category: &str| json!({"results": [], "errors": [{"category": category, "context": {"ids": ["7"]}}]});
    let read = read(parsed(gone("OBJECT_NOT_FOUND")).expect("a batch")).expect("an answer");
    assert!(read.found.is_empty() && read.missing.contains("7"));
    for other in ["", "INTERNAL_ERROR"] {
        let error = super::read(parsed(gone(other)).expect("a batch")).map(|read| read.missing).expect_err(other);
        assert!(error.is_transient(), "{error}");
    }
    assert!(parsed(json!({})).is_err(), "an answer of nothing is none");
}
