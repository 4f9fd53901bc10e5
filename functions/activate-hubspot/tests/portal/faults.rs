//! Faults in every batch: lost answers, gateways, limits.

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
