//! Against a fake in Python that was written from the vendor's documentation alone.

use serde_json::{Value, json};
use sluice_core::{Kind, extract::Outcome};
use sluice_testkit::{fake::Fake, lake::MemoryLake};

use crate::support::{CURRENCIES, Extractor, RATES, loaded};

struct Stage {
    fake: Fake,
    extractor: Extractor,
    lake: MemoryLake,
}

impl Stage {
    fn new() -> Self {
        let fake = Fake::start("open_exchange_rates").expect("a fake");
        let mut extractor = Extractor::new(format!("{}/api", fake.url));
        extractor.app_id = "00000000000000000000000000000000";
        Stage { fake, extractor, lake: MemoryLake::default() }
    }

    async fn run(&self, event: Value) -> sluice_core::Result<sluice_core::extract::ExtractSummary> {
        self.extractor.run(&self.lake, event).await.expect("alive")
    }

    async fn requests(&self) -> Vec<String> {
        reqwest::get(format!("{}/requests", self.fake.url)).await.unwrap().json().await.unwrap()
    }

    async fn fault(&self, fault: Value) {
        let client = reqwest::Client::new();
        assert!(
            client.post(format!("{}/faults", self.fake.url)).json(&fault).send().await.unwrap().status().is_success()
        );
    }
}

fn event(time: &str) -> Value {
    json!({"table": RATES, "time": time, "from": "2026-01-01"})
}

fn day(text: &str) -> i32 {
    text.parse::<chrono::NaiveDate>().unwrap().to_epoch_days()
}

#[tokio::test]
async fn rates_arrive_exactly_long_and_once_each() {
    let stage = Stage::new();
    let summary = stage.run(event("2026-01-20T09:00:00Z")).await.expect("a run");
    assert_eq!((summary.outcome, summary.rows, summary.rejected), (Outcome::Committed, 20 * 7, 0));
    let table = stage.extractor.table(RATES);
    let (finals, provisional) = (loaded(&stage.lake, table, "final"), loaded(&stage.lake, table, "provisional"));
    assert_eq!((finals.len(), provisional.len()), (19 * 7, 7));
    let rate = |text: &str, code: &str| finals.get(&(day(text), code.to_owned())).copied();
    // 3.6725; 1; an exponent, rounded half up at the tenth decimal; three decimals.
    assert_eq!(rate("2026-01-05", "AED"), Some(36_725_000_000));
    assert_eq!(rate("2026-01-05", "USD"), Some(10_000_000_000));
    let bitcoin = rate("2026-01-05", "BTC").expect("a rate");
    assert_eq!(bitcoin % 10_000, 554, "digits of n.05538428e-06 at ten decimals: {bitcoin}");
    assert_eq!((rate("2026-01-09", "VEF"), rate("2026-01-09", "SLE")), (Some(2_484_876_422_410_000), None));
    assert_eq!((rate("2026-01-10", "VEF"), rate("2026-01-10", "SLE")), (None, Some(227_000_000_000)));

    let asked = stage.requests().await;
    let days = asked.iter().filter(|path| path.contains("historical")).count();
    let distinct: std::collections::BTreeSet<&String> = asked.iter().collect();
    assert_eq!((days, asked.len(), distinct.len()), (19, 21, 21), "one request each: {asked:?}");
}

#[tokio::test]
async fn a_new_currency_is_told_by_the_run_that_meets_it() {
    let stage = Stage::new();
    stage.run(event("2026-01-10T00:15:00Z")).await.expect("nine days");
    let next = stage.run(event("2026-01-11T00:15:00Z")).await.expect("the tenth");
    assert_eq!((next.rows, &next.facts["currencies_appeared"]), (7, &json!(["SLE"])));
    assert_eq!(next.facts["currencies_vanished"], json!(["VEF"]));
}

#[tokio::test]
async fn faults_are_ridden_out_or_named() {
    for (fault, expected) in [
        (json!({"path": "historical", "status": 502, "body": "<html>", "times": 2}), None),
        (json!({"path": "usage", "status": 200, "body": "{\"status\": 200, \"da", "times": 1}), None),
        (json!({"path": "historical", "status": 429, "headers": {"Retry-After": "0"}, "times": 1}), None),
        (json!({"path": "historical", "status": 302, "headers": {"Location": "/"}, "times": 99}), Some(Kind::Config)),
        (json!({"path": "historical", "status": 200, "body": "[]", "times": 99}), Some(Kind::SchemaMismatch)),
        (json!({"path": "usage", "status": 200, "body": "{}", "times": 99}), Some(Kind::SchemaMismatch)),
    ] {
        let stage = Stage::new();
        stage.fault(fault.clone()).await;
        let end = stage.run(event("2026-01-03T00:15:00Z")).await;
        assert_eq!(end.as_ref().err().map(sluice_core::Error::kind), expected, "{fault}: {end:?}");
    }
    let mut stage = Stage::new();
    stage.extractor.app_id = "11111111111111111111111111111111";
    let error = stage.run(event("2026-01-03T00:15:00Z")).await.expect_err("a wrong id");
    assert_eq!(error.kind(), Kind::Auth);
    assert!(stage.requests().await.iter().all(|path| !path.contains("1111")), "the id is in no address");
}

#[tokio::test]
async fn the_list_of_currencies_arrives_with_its_names() {
    let stage = Stage::new();
    let summary = stage.run(json!({"table": CURRENCIES, "time": "2026-01-03T00:30:00Z"})).await.expect("a run");
    let loaded = stage.lake.loaded(stage.extractor.table(CURRENCIES)).unwrap();
    assert_eq!((summary.rows, loaded[&vec!["VEF".to_owned()]]["name"].as_deref()), (8, Some("Bolívar")));
}
