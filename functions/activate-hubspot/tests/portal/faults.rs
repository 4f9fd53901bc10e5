//! Faults in every batch: lost answers, gateways, limits.

use sluice_local::vendors::hubspot::HubSpotConfig;
use sluice_pipeline::activate::Status;

use crate::support::{Stage, allowed};

fn config() -> HubSpotConfig {
    HubSpotConfig { requests_per_ten_seconds: None, ..HubSpotConfig::new("pat-na1-reader") }
}

#[tokio::test]
async fn an_answer_that_is_lost_in_any_batch_is_read_back_and_nothing_is_sent_twice() {
    for fault in [
        r#"{"kind": "truncated_json", "path": "/batch/update"}"#,
        r#"{"kind": "status", "status": 502, "path": "/batch/update", "body": "<html>bad gateway</html>"}"#,
        r#"{"kind": "status", "status": 504, "path": "/batch/update"}"#,
        r#"{"kind": "status", "status": 423, "path": "/batch/update"}"#,
        r#"{"kind": "html_page", "path": "/batch/update"}"#,
    ] {
        let stage = Stage::new(config(), 420).await;
        // A fault in every second batch: each run gets one batch further at least.
        let mut runs = 0;
        loop {
            runs += 1;
            assert!(runs < 12, "{fault}: no end");
            if runs % 2 == 1 && runs < 8 {
                stage.fault(fault).await;
            }
            let report = stage.run(&allowed()).await;
            if report.status == Status::Completed {
                break;
            }
            assert_eq!(report.status, Status::Waiting, "{fault}: {report:?}");
        }
        assert!(runs > 2, "{fault}: {runs} runs");
        stage.assert_whole();
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
    assert_eq!(stage.queue.0.borrow().len(), 1, "a later run goes on");
    stage.fault(&limited("TEN_SECONDLY_ROLLING", 1)).await;
    let report = stage.run(&allowed()).await;
    assert_eq!((report.status, report.written), (Status::Completed, 120), "{report:?}");
    stage.assert_whole();
}
