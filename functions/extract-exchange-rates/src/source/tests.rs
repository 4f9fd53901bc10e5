//! The source against an API of its own on this machine.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_core::{
    Cursor, Kind, Result, Retry, RunId, Secret, Sequence, Sources,
    extract::{ExtractRequest, ExtractRun, Extracted},
};
use sluice_http::RetryPolicy;
use sluice_pipeline::extract::Source;

use super::*;
use crate::testing::{APP_ID, Api, Memory, Shared, serve};

struct Stage {
    api: Shared,
    url: String,
    store: Memory,
    sources: Sources,
    share: u64,
}

const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";

impl Stage {
    async fn new() -> Self {
        let (url, api) = serve().await;
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        Stage { api, url, store: Memory::default(), sources, share: 1_000 }
    }

    fn api(&self) -> std::sync::MutexGuard<'_, Api> {
        self.api.lock().expect("not poisoned")
    }

    /// One run; the second string is `from..to`, or empty.
    async fn run(&self, table: &str, time: &str, range: &str, cursor: Option<&Cursor>) -> Result<Extracted> {
        let day = |text: &str| text.parse().ok();
        let (from, to) = range.split_once("..").map_or((None, None), |(from, to)| (day(from), day(to)));
        let table = table.parse().expect("a table");
        let request = ExtractRequest {
            time: time.parse().expect("a time"),
            table,
            full_refresh: false,
            from,
            to,
            from_cursor: None,
            dry_run: false,
        };
        let table = self.sources.table(&request.table).expect("a known table");
        let run_id = RunId("r".into());
        let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence(1), cursor };
        let http = sluice_http::Client::new().expect("a client");
        let client = Client::new(http, &self.url, Secret::new(APP_ID)).with_retries(RetryPolicy::without_waits(2));
        OpenExchangeRates { store: &self.store, client, share: self.share }.read(&run).await
    }

    fn asked(&self, prefix: &str) -> Vec<String> {
        self.api().paths.iter().filter(|path| path.starts_with(prefix)).cloned().collect()
    }
}

#[tokio::test]
async fn currencies_are_the_whole_list() {
    let stage = Stage::new().await;
    let extracted = stage.run(CURRENCIES, "2026-01-05T00:30:00Z", "", None).await.expect("a run");
    assert_eq!((extracted.rows(), extracted.cursor), (2, None));

    stage.api().faults.insert("currencies.json".into(), (200, "{}".into()));
    let error = stage.run(CURRENCIES, "2026-01-05T00:30:00Z", "", None).await.expect_err("an empty list");
    assert_eq!(error.kind(), Kind::InvalidData);
}

#[tokio::test]
async fn days_are_read_once_and_a_second_run_finds_nothing() {
    let stage = Stage::new().await;
    let first = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!((first.rows(), first.rejected.is_none()), (4 * 4, true));
    assert_eq!(stage.asked("historical/").len(), 4);
    assert_eq!(stage.asked("usage.json").len(), 1);

    let again = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", first.cursor.as_ref()).await.expect("a run");
    assert!(again.files.is_empty());
    assert_eq!(again.cursor, first.cursor);
    assert_eq!(stage.asked("").len(), 5);
}

#[tokio::test]
async fn a_year_is_filled_in_one_run() {
    let stage = Stage::new().await;
    let start = Instant::now();
    let extracted = stage.run(RATES, "2026-10-31T00:15:00Z", "", None).await.expect("a run");
    assert_eq!(extracted.rows(), 366 * 4);
    let cursor = serde_json::to_value(&extracted.cursor).expect("json");
    assert_eq!(cursor["done"], json!([["2025-10-30", "2026-10-30"]]));
    assert!(start.elapsed() < Duration::from_secs(10), "took {:?}", start.elapsed());
}

#[tokio::test]
async fn provisional_rates_land_under_their_own_date_until_it_is_final() {
    let stage = Stage::new().await;
    stage.api().latest = "2026-01-02T08:59:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp();
    let morning = stage.run(RATES, "2026-01-02T09:00:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!(morning.rows(), 2 * 4);
    let cursor = morning.cursor.expect("a cursor");
    assert_eq!(cursor.0["provisional"]["date"], "2026-01-02");

    let replay = stage.run(RATES, "2026-01-02T09:00:00Z", "2026-01-01..", Some(&cursor)).await.expect("a run");
    assert_eq!((replay.rows(), replay.cursor.as_ref()), (0, Some(&cursor)));

    let night = stage.run(RATES, "2026-01-03T00:15:00Z", "2026-01-01..", Some(&cursor)).await.expect("a run");
    assert_eq!(stage.asked("latest.json").len(), 2, "no provisional rates just after midnight");
    let stale = stage.run(RATES, "2026-01-03T09:00:00Z", "2026-01-01..", night.cursor.as_ref()).await.expect("a run");
    assert_eq!((night.rows(), stale.rows()), (4, 0), "a final day takes no provisional rates");
}

#[tokio::test]
async fn a_day_without_data_is_remembered_and_does_not_stop_the_run() {
    let stage = Stage::new().await;
    stage.api().unavailable.insert("2026-01-02".into());
    let first = stage.run(RATES, "2026-01-04T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    let cursor = first.cursor.as_ref().expect("a cursor");
    assert_eq!(first.rows(), 2 * 4);
    assert_eq!(cursor.0["unavailable"], json!({"2026-01-02": "2026-01-04"}));

    let in_vain = stage.run(RATES, "2026-01-04T00:15:00Z", "2026-01-01..", Some(cursor)).await.expect("a run");
    assert_eq!((in_vain.rows(), in_vain.cursor.as_ref()), (0, Some(cursor)));

    stage.api().unavailable.clear();
    let filled = stage.run(RATES, "2026-01-04T00:15:00Z", "2026-01-01..", Some(cursor)).await.expect("a run");
    assert_eq!(filled.rows(), 4);
    assert_eq!(filled.cursor.expect("a cursor").0["unavailable"], json!(null));
}

#[tokio::test]
async fn a_run_spends_its_share_on_the_newest_days_and_an_empty_quota_is_an_error() {
    let mut stage = Stage::new().await;
    stage.share = 3;
    let part = stage.run(RATES, "2026-01-11T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!(part.cursor.expect("a cursor").0["done"], json!([["2026-01-08", "2026-01-10"]]));
    assert_eq!(part.facts["requests_left_to_make"], 7);

    stage.api().remaining = 0;
    let error = stage.run(RATES, "2026-01-11T00:15:00Z", "2026-01-01..", None).await.expect_err("no quota");
    assert_eq!((error.kind(), error.retry()), (Kind::RateLimited, Retry::Permanent));
}

#[tokio::test]
async fn days_that_have_arrived_are_kept_when_the_api_goes_away() {
    let stage = Stage::new().await;
    let broken = |day: &str| (format!("historical/{day}.json"), (503, "<html>".to_owned()));
    stage.api().faults.extend([broken("2026-01-02"), broken("2026-01-01")]);
    let part = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!(part.cursor.expect("a cursor").0["done"], json!([["2026-01-03", "2026-01-04"]]));
    assert_eq!(part.facts["stopped_by"], "Unavailable");

    stage.api().faults.extend([broken("2026-01-04")]);
    let error = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect_err("nothing arrived");
    assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Exhausted));
}

#[tokio::test]
async fn a_refusal_or_another_shape_fails_the_run_and_a_bad_rate_only_its_row() {
    let rates = |base: &str, rate: &str| {
        let text = format!(r#"{{"timestamp": 1767312000, "base": "{base}", "rates": {{"EUR": {rate}, "USD": 1}}}}"#);
        (200, text)
    };
    for (fault, expected) in [
        (rates("EUR", "1"), Some(Kind::SchemaMismatch)),
        ((200, r#"{"rates": []}"#.into()), Some(Kind::SchemaMismatch)),
        ((429, r#"{"message": "not_allowed"}"#.into()), Some(Kind::Auth)),
        ((200, r#"{"timestamp": 1767312000, "ba"#.into()), Some(Kind::Unavailable)),
        (rates("USD", "-1"), None),
        (rates("USD", "1e20"), None),
        (rates("USD", "\"0.9\""), None),
        (rates("USD", "null"), None),
    ] {
        let stage = Stage::new().await;
        stage.api().faults.insert("historical/2026-01-01.json".into(), fault.clone());
        match stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await {
            Ok(extracted) => {
                assert_eq!(expected, None, "{fault:?}");
                assert_eq!((extracted.rows(), extracted.rejected.map(|r| r.rows)), (1, Some(1)), "{fault:?}");
            }
            Err(error) => assert_eq!(Some(error.kind()), expected, "{fault:?}"),
        }
    }
}
