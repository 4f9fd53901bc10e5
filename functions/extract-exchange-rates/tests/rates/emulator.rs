//! The emulator with faults on demand: what each fault ends as, and that nothing is lost or taken twice.

use std::time::Duration;

use chrono::NaiveDate;
use serde_json::{Value, json};
use sluice_core::{Kind, Retry, extract::Outcome};
use sluice_local::vendors::open_exchange_rates::{RatesConfig, RatesState};
use sluice_testkit::{generate::RateTable, lake::MemoryLake};
use tokio::sync::watch;

use crate::support::{APP_ID, CURRENCIES, Extractor, RATES, emulator, loaded};

struct Stage {
    state: RatesState,
    extractor: Extractor,
    lake: MemoryLake,
    _stop: watch::Sender<bool>,
}

/// Four weekdays and a weekend.
const EVENT: &str = "2025-11-05T00:15:00Z";

impl Stage {
    async fn new(quota: Option<u64>) -> Self {
        let today: NaiveDate = "2025-11-05".parse().unwrap();
        let config = RatesConfig { app_id: APP_ID.into(), rates: RateTable::invented(), today, quota };
        let (state, url, _stop) = emulator(config).await;
        Stage { state, extractor: Extractor::new(url), lake: MemoryLake::default(), _stop }
    }

    async fn fault(&self, fault: Value) {
        let url = self.extractor.url.replace("/api", "/_emulator/faults");
        assert!(reqwest::Client::new().post(url).json(&fault).send().await.unwrap().status().is_success());
    }

    async fn run(&self) -> sluice_core::Result<sluice_core::extract::ExtractSummary> {
        self.extractor.run(&self.lake, json!({"table": RATES, "time": EVENT})).await.expect("alive")
    }

    fn days(&self) -> usize {
        let loaded = loaded(&self.lake, self.extractor.table(RATES), "final");
        loaded.into_keys().map(|(day, _)| day).collect::<std::collections::BTreeSet<_>>().len()
    }
}

#[tokio::test]
async fn a_healthy_run_asks_once_for_each_day_and_its_replay_for_none() {
    let stage = Stage::new(Some(1_000)).await;
    let first = stage.run().await.expect("a run");
    assert_eq!((stage.days(), stage.state.requests()), (4, 6), "one request per day, weekend days included");
    assert_eq!(first.facts["requests_left_to_make"], 0);
    stage.run().await.expect("a replay");
    assert_eq!(stage.state.requests(), 8, "only the two days without data are asked for again");
}

#[tokio::test]
async fn faults_that_pass_are_ridden_out() {
    for fault in [
        json!({"kind": "status", "status": 503, "requests": 2, "path": "historical"}),
        json!({"kind": "status", "status": 500, "requests": 1, "path": "usage"}),
        json!({"kind": "status", "status": 429, "retry_after": 0, "requests": 2, "path": "historical"}),
        json!({"kind": "html_page", "requests": 2, "path": "historical"}),
        json!({"kind": "truncated_json", "requests": 2, "path": "historical"}),
    ] {
        let stage = Stage::new(None).await;
        stage.fault(fault.clone()).await;
        let summary = stage.run().await.unwrap_or_else(|error| panic!("{fault}: {error:?}"));
        assert_eq!((summary.outcome, stage.days()), (Outcome::Committed, 4), "{fault}");
    }
}

#[tokio::test]
async fn faults_that_stay_end_the_run_with_a_kind_and_write_nothing() {
    let refusal =
        |message: &str| json!({"error": true, "status": 0, "message": message, "description": "d"}).to_string();
    let status = |status: u16, body: String| json!({"kind": "status", "status": status, "body": body, "requests": 99});
    for (fault, expected) in [
        (status(503, "<html>".into()), (Kind::Unavailable, Retry::Exhausted)),
        (status(504, String::new()), (Kind::Timeout, Retry::Exhausted)),
        (status(401, refusal("invalid_app_id")), (Kind::Auth, Retry::Permanent)),
        (status(403, refusal("not_allowed")), (Kind::Auth, Retry::Permanent)),
        (status(403, refusal("access_restricted")), (Kind::Auth, Retry::Permanent)),
        (status(429, refusal("not_allowed")), (Kind::Auth, Retry::Permanent)),
        (status(429, refusal("access_restricted")), (Kind::RateLimited, Retry::Permanent)),
        (status(429, "slow down".into()), (Kind::RateLimited, Retry::Exhausted)),
        (json!({"kind": "html_page", "requests": 99}), (Kind::Unavailable, Retry::Exhausted)),
        (json!({"kind": "truncated_json", "requests": 99}), (Kind::Unavailable, Retry::Exhausted)),
    ] {
        let stage = Stage::new(None).await;
        stage.fault(fault.clone()).await;
        let error = stage.run().await.expect_err("a fault that stays");
        assert_eq!((error.kind(), error.retry()), expected, "{fault}");
        assert!(sluice_lambda::hint(&error).len() > 20);
        assert!(stage.lake.is_empty(), "{fault}");
    }
}

#[tokio::test]
async fn a_retry_after_beyond_the_runs_time_limit_is_not_waited_for() {
    let stage = Stage::new(None).await;
    stage.fault(json!({"kind": "status", "status": 429, "retry_after": 3600, "requests": 99})).await;
    let error = stage.run().await.expect_err("an hour");
    assert_eq!((error.kind(), error.retry_after()), (Kind::RateLimited, Some(Duration::from_secs(3_600))));
}

#[tokio::test]
async fn a_backfill_leaves_the_schedules_share_of_the_month_alone() {
    let stage = Stage::new(Some(3)).await;
    // The account says that 29 days are left, for which the schedule's requests stay untouched.
    let first = stage.run().await.expect("yesterday's rates");
    assert_eq!((stage.days(), &first.facts["requests_planned"]), (1, &json!(1)));
    let error = stage.run().await.expect_err("only the reserve is left");
    assert_eq!((error.kind(), error.retry()), (Kind::RateLimited, Retry::Permanent));
}

#[tokio::test]
async fn another_base_than_the_dollar_is_refused_by_the_plan_and_costs_nothing() {
    let mut stage = Stage::new(Some(1_000)).await;
    let yaml = include_str!("../../../../platform/sources.yaml").replace("base: USD", "base: GBP");
    stage.extractor.sources = sluice_core::Sources::parse(&yaml).unwrap();
    let error = stage.run().await.expect_err("a free plan");
    assert_eq!((error.kind(), error.retry(), stage.state.requests()), (Kind::Auth, Retry::Permanent, 0));
    assert!(error.to_string().contains("USD"), "{error}");
}

#[tokio::test]
async fn currencies_replace_the_list() {
    let stage = Stage::new(None).await;
    let event = json!({"table": CURRENCIES, "time": EVENT});
    let summary = stage.extractor.run(&stage.lake, event).await.expect("alive").expect("a run");
    let loaded = stage.lake.loaded(stage.extractor.table(CURRENCIES)).unwrap();
    assert_eq!((summary.rows, loaded.len()), (4, 4));
    assert_eq!(loaded[&vec!["JPY".to_owned()]]["name"].as_deref(), Some("Japanese Yen"));
}

#[tokio::test]
async fn what_a_run_writes_lies_where_the_loader_looks_and_nowhere_else() {
    let stage = Stage::new(None).await;
    stage.run().await.expect("a run");
    let table = "SNOWPIPE/OPEN_EXCHANGE_RATES/EXCHANGE_RATES";
    let keys = stage.lake.keys();
    assert_eq!(keys.len(), 2, "{keys:?}");
    assert!(keys[0].starts_with(&format!("raw/{table}/data/")) && keys[0].ends_with(".parquet"), "{keys:?}");
    // The notification of the load queue: prefix raw/, suffix .json.
    assert!(keys[1].starts_with(&format!("raw/{table}/log/")) && keys[1].ends_with(".json"), "{keys:?}");
}
