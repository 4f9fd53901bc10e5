//! Faults in every batch: lost answers, gateways, limits.

use serde_json::json;
use sluice_local::vendors::hubspot::HubSpotConfig;
use sluice_pipeline::activate::Status;

use crate::support::{Stage, allowed};

fn config() -> HubSpotConfig {
    HubSpotConfig { requests_per_ten_seconds: None, ..HubSpotConfig::new("pat-na1-reader") }
}

#[tokio::test]
async fn an_answer_lost_in_any_batch_is_read_back_and_nothing_is_sent_twice() {
    for fault in [
        r#""kind": "truncated_json""#,
        r#""kind": "status", "status": 502, "body": "<html>bad gateway</html>""#,
        r#""kind": "status", "status": 504"#,
        r#""kind": "status", "status": 423"#,
        r#""kind": "html_page""#,
        r#""kind": "status", "status": 400, "body": "<html>bad request</html>""#,
        r#""kind": "status", "status": 400, "body": "{\"message\": \"Bad Request\"}""#,
    ] {
        for batch in 0..5 {
            let stage = Stage::new(config(), 420).await;
            stage.fault(&format!(r#"{{{fault}, "path": "/batch/update", "after": {batch}}}"#)).await;
            let report = stage.run(&allowed()).await;
            assert_eq!((report.status, report.written), (Status::Waiting, batch * 100), "{fault}: {report:?}");
            let report = stage.run(&allowed()).await;
            assert_eq!(report.status, Status::Completed, "{fault}: {report:?}");
            let lost = if fault.contains("truncated") { 420 - batch * 100 } else { 0 }.min(100);
            assert_eq!(report.already_held, lost, "{fault}: only an answer was lost");
            stage.assert_whole();
        }
    }
}

/// The requests of a run, in their order.
const REQUESTS: [&str; 4] = ["/account-info/", "/properties/", "/batch/read", "/batch/update"];

#[tokio::test]
async fn whatever_request_is_refused_the_run_ends_and_keeps_what_was_allowed() {
    for path in REQUESTS {
        for (status, body, ends) in [
            (429, json!({"policyName": "DAILY"}), Status::Waiting),
            (503, json!({}), Status::Waiting),
            (401, json!({"category": "INVALID_AUTHENTICATION"}), Status::Stopped),
            (403, json!({"category": "MISSING_SCOPES"}), Status::Stopped),
            (404, json!({"category": "OBJECT_NOT_FOUND"}), Status::Stopped),
        ] {
            let what = format!("{status} of {path}");
            let stage = Stage::new(config(), 120).await;
            let fault =
                json!({"kind": "status", "status": status, "requests": 2, "path": path, "body": body.to_string()});
            stage.fault(&fault.to_string()).await;
            let report = stage.run(&allowed()).await;
            assert_eq!((report.status, report.written), (ends, 0), "{what}: {report:?}");
            let sent = stage.queue.sent.borrow().first().map(|(body, _)| body.clone());
            assert_eq!(sent.is_some(), ends == Status::Waiting, "{what}");
            stage.forget_faults().await;
            let rest = sent.map_or_else(allowed, |body| serde_json::from_value(body).expect("a request"));
            let report = stage.run(&rest).await;
            assert_eq!((report.status, report.written), (Status::Completed, 120), "{what}: {report:?}");
            stage.assert_whole();
        }
    }
}

#[tokio::test]
async fn an_answer_that_says_nothing_of_contacts_marks_none_as_gone() {
    for (body, ends) in [("{}", Status::Stopped), (r#"{"results": []}"#, Status::Waiting)] {
        let stage = Stage::new(config(), 30).await;
        let fault = json!({"kind": "status", "status": 200, "requests": 10, "path": "/batch/read", "body": body});
        stage.fault(&fault.to_string()).await;
        let report = stage.run(&allowed()).await;
        assert_eq!((report.status, report.gone), (ends, 0), "{body}: {report:?}");
        assert!(stage.tables.entries.borrow().is_empty(), "{body}");
        stage.forget_faults().await;
        assert_eq!(stage.run(&allowed()).await.written, 30);
    }
}

#[tokio::test]
async fn a_limit_of_ten_seconds_is_waited_for_and_one_of_a_day_ends_the_run() {
    let stage = Stage::new(config(), 120).await;
    let limited = |policy: &str, requests: u32| {
        let body = format!(r#"{{\"category\": \"RATE_LIMITS\", \"policyName\": \"{policy}\"}}"#);
        format!(
            r#"{{"kind": "status", "status": 429, "path": "/batch/update", "requests": {requests}, "body": "{body}"}}"#
        )
    };
    stage.fault(&limited("DAILY", 1)).await;
    let report = stage.run(&allowed()).await;
    assert_eq!((report.status, report.written), (Status::Waiting, 0), "{report:?}");
    assert_eq!(stage.queue.sent.borrow().len(), 1, "a later run goes on");
    stage.fault(&limited("TEN_SECONDLY_ROLLING", 1)).await;
    let report = stage.run(&allowed()).await;
    assert_eq!((report.status, report.written), (Status::Completed, 120), "{report:?}");
    stage.assert_whole();
}
