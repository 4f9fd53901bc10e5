//! The source against an API of its own on this machine.

use std::time::{Duration, Instant};

use serde_json::json;
use sluice_core::{
    Cursor, Kind, Result, Retry, RunId, Secret, Sequence, Sources,
    extract::{ExtractRequest, ExtractRun, Extracted},
};
use sluice_http::RetryPolicy;
use sluice_pipeline::extract::Source;
use sluice_testkit::lake::MemoryLake;

use super::*;
use crate::testing::{APP_ID, Api, Shared, serve};

struct Stage {
    api: Shared,
    url: String,
    store: MemoryLake,
    sources: Sources,
    share: u64,
    time: Duration,
}

const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";

impl Stage {
    async fn new() -> Self {
        let (url, api) = serve().await;
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        Stage { api, url, store: MemoryLake::default(), sources, share: 1_000, time: Duration::MAX }
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
            aside: None,
        };
        let table = self.sources.table(&request.table).expect("a known table");
        let run_id = RunId("r".into());
        let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence(1), cursor };
        let http = sluice_http::Client::new().expect("a client");
        let client = Client::new(http, &self.url, Secret::new(APP_ID)).with_retries(RetryPolicy::without_waits(2));
        OpenExchangeRates { store: &self.store, client, share: self.share, time: self.time }.read(&run).await
    }

    fn asked(&self, prefix: &str) -> Vec<String> {
        self.api().paths.iter().filter(|path| path.starts_with(prefix)).cloned().collect()
    }
}

#[tokio::test]
async fn currencies_are_the_whole_list() {
    let stage = Stage::new().await;
    let extracted = stage.run(CURRENCIES, "2026-01-05T00:30:00Z", "", None).await.expect("a run");
    let again = stage.run(CURRENCIES, "2026-01-06T00:30:00Z", "", None).await.expect("a run");
    assert_eq!((extracted.rows(), again.rows(), &extracted.cursor), (2, 2, &again.cursor));
    let other = r#"{"EUR": "Euro", "SLE": "Sierra Leonean Leone"}"#;
    stage.api().faults.insert("currencies.json".into(), (200, other.into()));
    let changed = stage.run(CURRENCIES, "2026-01-07T00:30:00Z", "", None).await.expect("a run");
    assert_ne!(changed.cursor, again.cursor);

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
async fn the_runs_of_one_day_share_its_share_and_the_next_day_has_its_own() {
    let mut stage = Stage::new().await;
    stage.share = 3;
    let first = stage.run(RATES, "2026-01-11T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    let cursor = first.cursor.as_ref().expect("a cursor");
    assert_eq!(cursor.0["spent"], json!({"day": "2026-01-11", "requests": 3}));
    assert_eq!(first.facts["stopped_by"], "the day's share");

    let second = stage.run(RATES, "2026-01-11T05:15:00Z", "2026-01-01..", Some(cursor)).await.expect("a run");
    assert_eq!((second.rows(), second.cursor.as_ref()), (0, Some(cursor)), "nothing is left of the day's share");
    assert_eq!(
        (&second.facts["requests_left_to_make"], &second.facts["stopped_by"]),
        (&json!(7), &json!("the day's share"))
    );
    assert_eq!(stage.asked("historical/").len(), 3);

    stage.api().latest = "2026-01-11T08:59:00Z".parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp();
    let third = stage.run(RATES, "2026-01-11T09:15:00Z", "2026-01-01..", Some(cursor)).await.expect("a run");
    assert_eq!(third.rows(), 4, "the schedule's own request is kept back by no backfill");
    let cursor = third.cursor.expect("a cursor");
    assert_eq!(cursor.0["spent"]["requests"], 4);

    let next = stage.run(RATES, "2026-01-12T00:15:00Z", "2026-01-01..", Some(&cursor)).await.expect("a run");
    let cursor = next.cursor.expect("a cursor");
    assert_eq!(cursor.0["done"], json!([["2026-01-06", "2026-01-11"]]));
    assert_eq!(cursor.0["spent"], json!({"day": "2026-01-12", "requests": 3}));
}

#[tokio::test]
async fn a_run_reads_the_newest_days_first_and_an_empty_quota_is_an_error() {
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
    let broken = |day: u32| (format!("historical/2026-01-{day:02}.json"), (503, "<html>".to_owned()));
    stage.api().faults.extend((1..=18).map(broken));
    let part = stage.run(RATES, "2026-01-21T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!(part.cursor.expect("a cursor").0["done"], json!([["2026-01-19", "2026-01-20"]]));
    assert_eq!(part.facts["stopped_by"], "Unavailable");
    let asked: std::collections::BTreeSet<String> = stage.asked("historical/").into_iter().collect();
    assert!(asked.len() <= 2 + 3 + 4, "an API that is away is not asked for every day: {asked:?}");

    stage.api().faults.extend((19..=20).map(broken));
    let error = stage.run(RATES, "2026-01-21T00:15:00Z", "2026-01-01..", None).await.expect_err("nothing arrived");
    assert_eq!((error.kind(), error.retry()), (Kind::Unavailable, Retry::Exhausted));
}

#[tokio::test]
async fn a_day_that_is_never_answered_keeps_no_other_one_out() {
    for fault in [(503, "<html>"), (504, ""), (200, "<!DOCTYPE html>"), (200, r#"{"timestamp": 1767398399, "ba"#)] {
        let stage = Stage::new().await;
        stage.api().unavailable.insert("2026-01-09".into());
        let broken = |day: u32| (format!("historical/2026-01-{day:02}.json"), (fault.0, fault.1.to_owned()));
        // The newest, two neighbours, and the last one.
        stage.api().faults.extend([20, 12, 11, 1].map(broken));
        let part = stage.run(RATES, "2026-01-21T00:15:00Z", "2026-01-01..", None).await.expect("a run");
        let cursor = part.cursor.expect("a cursor");
        assert_eq!(
            cursor.0["done"],
            json!([["2026-01-02", "2026-01-08"], ["2026-01-10", "2026-01-10"], ["2026-01-13", "2026-01-19"]]),
            "{fault:?}"
        );
        assert_eq!((&part.facts["days_unanswered"], part.facts.get("stopped_by")), (&json!(4), None), "{fault:?}");
        assert_eq!(part.facts["requests_left_to_make"], 4);

        stage.api().faults.clear();
        let rest = stage.run(RATES, "2026-01-21T00:15:00Z", "2026-01-01..", Some(&cursor)).await.expect("a run");
        assert_eq!(rest.rows(), 4 * 4, "the gaps are found again");
    }
}

#[tokio::test]
async fn rates_of_another_day_are_refused_and_the_other_days_are_read() {
    let seconds = |text: &str| text.parse::<chrono::DateTime<chrono::Utc>>().expect("a time").timestamp();
    for (timestamp, is_good) in [
        (seconds("2026-01-03T00:00:00Z"), true),
        (seconds("2026-01-04T00:00:00Z"), true),
        (seconds("2026-01-04T00:00:01Z"), false),
        (seconds("2026-01-02T23:59:59Z"), false),
        (seconds("2026-01-03T12:00:00Z") * 1_000, false),
        (i64::MAX, false),
    ] {
        let stage = Stage::new().await;
        let body = format!(r#"{{"timestamp": {timestamp}, "base": "USD", "rates": {{"EUR": 0.9}}}}"#);
        stage.api().faults.insert("historical/2026-01-03.json".into(), (200, body));
        let part = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("the other days");
        let (rows, unreadable) = if is_good { (3 * 4 + 1, None) } else { (3 * 4, Some(1)) };
        let told = part.facts.get("days_unreadable").and_then(serde_json::Value::as_u64);
        assert_eq!((part.rows(), told), (rows, unreadable), "{timestamp}");
    }

    let now = "2026-01-02T09:00:00Z";
    for (timestamp, is_good) in [
        (seconds("2026-01-02T08:59:00Z"), true),
        (seconds("2025-12-31T22:00:00Z"), true),
        (seconds("2026-01-03T08:59:00Z"), true),
        (seconds("2026-01-03T09:00:01Z"), false),
        (seconds("2025-10-29T23:59:59Z"), false),
        (seconds(now) * 1_000, false),
    ] {
        let stage = Stage::new().await;
        stage.api().latest = timestamp;
        let part = stage.run(RATES, now, "2026-01-01..", None).await.expect("the final rates");
        assert_eq!(part.facts.contains_key("days_unreadable"), !is_good, "latest of {timestamp}");
        assert_eq!(part.rows(), if is_good { 2 * 4 } else { 4 }, "latest of {timestamp}");
    }
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

/// The reasons in the reject file of a run.
fn reasons(stage: &Stage, extracted: &Extracted) -> Vec<String> {
    let path = &extracted.rejected.as_ref().expect("rejected rows").path;
    let body = stage.store.objects().remove(path).expect("a reject file");
    let lines = String::from_utf8(zstd::stream::decode_all(&body[..]).expect("zstd")).expect("text");
    let reason = |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("json")["reason"].clone();
    lines.lines().map(|line| reason(line).as_str().expect("a reason").to_owned()).collect()
}

#[tokio::test]
async fn a_rate_that_is_no_price_of_a_currency_is_rejected_alone() {
    let cases: [(&str, u64, &[&str]); 11] = [
        (r#""GBP": 0, "USD": 1"#, 1, &["rate: is not above 0"]),
        (r#""GBP": 4e-11, "USD": 1"#, 1, &["rate: is not above 0"]),
        (r#""GBP": -0.00000000001, "USD": 1"#, 1, &["rate: is not above 0"]),
        (r#""GBP": 5e-11, "USD": 1"#, 2, &[]),
        (r#""GBP": 1e-400, "USD": 1"#, 1, &["rate: is not above 0"]),
        (r#""GBP": 1e999999999, "USD": 1"#, 1, &["rate: does not fit its column"]),
        (r#""GBP": "0.79", "USD": 1"#, 1, &["rate: is not a number"]),
        (r#""GBP": {"a": [0.79]}, "USD": 1"#, 1, &["rate: is not a number"]),
        (r#""GBP": 0.79, "USD": 1, "GBP": 0.8"#, 1, &["target_currency: stands more than once"; 2]),
        (r#""GBP": 0.79, "USD": 1, " gbp": 0.79"#, 1, &["target_currency: stands more than once"; 2]),
        (r#""": 0.79, "USD": 1, "  ": 2"#, 1, &["target_currency: is empty"; 2]),
    ];
    for (rates, rows, expected) in cases {
        let stage = Stage::new().await;
        let body = format!(r#"{{"timestamp": 1767312000, "base": "USD", "rates": {{{rates}}}}}"#);
        stage.api().faults.insert("historical/2026-01-01.json".into(), (200, body));
        let run = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await.expect("a run");
        let found = if expected.is_empty() { Vec::new() } else { reasons(&stage, &run) };
        assert_eq!(
            (run.rows(), found),
            (rows, expected.iter().map(|reason| (*reason).to_owned()).collect()),
            "{rates}"
        );
    }
}

#[tokio::test]
async fn a_currency_without_a_code_or_listed_twice_is_rejected_alone() {
    let stage = Stage::new().await;
    let listed = r#"{"": "Nothing", "EUR": "Euro", "GBP": "Pound", "GBP": "Sterling", "JPY": null}"#;
    stage.api().faults.insert("currencies.json".into(), (200, listed.into()));
    let run = stage.run(CURRENCIES, "2026-01-05T00:30:00Z", "", None).await.expect("a run");
    assert_eq!(run.rows(), 1);
    let twice = "code: stands more than once";
    assert_eq!(reasons(&stage, &run), ["code: is empty", twice, twice, "name: is not a text"]);
}

#[tokio::test]
async fn a_run_whose_time_is_over_commits_what_it_has_and_the_next_one_goes_on() {
    let mut stage = Stage::new().await;
    stage.time = Duration::ZERO;
    let first = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert_eq!((first.rows(), &first.facts["requests_left_to_make"]), (4, &json!(3)));
    assert_eq!(first.facts["stopped_by"], "the run's time");
    stage.time = Duration::MAX;
    let rest = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", first.cursor.as_ref()).await.expect("a run");
    assert_eq!((rest.rows(), &rest.facts["requests_left_to_make"]), (3 * 4, &json!(0)));
    assert_eq!(stage.asked("historical/").len(), 4, "no day is asked for twice");
}

#[tokio::test]
async fn days_that_have_arrived_are_kept_when_the_account_is_cut_off() {
    for body in [r#"{"message": "access_restricted"}"#, r#"{"message": "invalid_app_id"}"#] {
        let stage = Stage::new().await;
        let status = if body.contains("app_id") { 401 } else { 429 };
        stage.api().faults.insert("historical/2026-01-02.json".into(), (status, body.into()));
        let part = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("three days");
        let done = &part.cursor.as_ref().expect("a cursor").0["done"];
        let under_way_is_kept = json!([["2026-01-01", "2026-01-01"], ["2026-01-03", "2026-01-04"]]);
        assert_eq!(
            (done, &part.facts["stopped_by"]),
            (&under_way_is_kept, &json!(if status == 401 { "Auth" } else { "RateLimited" }))
        );
        let error = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", part.cursor.as_ref()).await;
        assert_eq!(error.expect_err("nothing arrived").retry(), Retry::Permanent);
    }
}

#[tokio::test]
async fn a_day_that_cannot_be_read_keeps_no_other_one_out() {
    let stage = Stage::new().await;
    let broken = (200, r#"{"rates": []}"#.to_owned());
    stage.api().faults.insert("historical/2026-01-03.json".into(), broken.clone());
    let part = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", None).await.expect("three days");
    assert_eq!((part.rows(), &part.facts["days_unreadable"]), (3 * 4, &json!(1)));
    let cursor = part.cursor.expect("a cursor");
    assert_eq!(cursor.0["done"], json!([["2026-01-01", "2026-01-02"], ["2026-01-04", "2026-01-04"]]));
    let error = stage.run(RATES, "2026-01-05T00:15:00Z", "2026-01-01..", Some(&cursor)).await.expect_err("the gap");
    assert_eq!(error.kind(), Kind::SchemaMismatch);

    let days = (1..=20).map(|day| (format!("historical/2026-01-{day:02}.json"), broken.clone()));
    stage.api().faults.extend(days);
    stage.api().paths.clear();
    stage.run(RATES, "2026-01-21T00:15:00Z", "2026-01-01..", None).await.expect_err("another API");
    let asked = stage.asked("historical/").len();
    assert!(asked <= 3 + 4 + 1, "a changed API does not cost the whole share: {asked} requests");
}

#[tokio::test]
async fn another_base_is_refused_before_a_request_unless_the_plan_has_it() {
    let mut stage = Stage::new().await;
    let yaml = include_str!("../../../../platform/sources.yaml").replace("base: USD", "base: EUR");
    stage.sources = Sources::parse(&yaml).expect("valid sources");
    stage.api().other_bases = Some(false);
    let error = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await.expect_err("refused");
    assert_eq!((error.kind(), error.retry()), (Kind::Auth, Retry::Permanent));
    assert!(error.to_string().contains("USD"), "{error}");
    assert_eq!(stage.asked("historical/").len(), 0);

    stage.api().other_bases = Some(true);
    stage.api().base = "EUR".into();
    let extracted = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await.expect("a larger plan");
    assert_eq!(extracted.rows(), 4);

    stage.sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    stage.api().base = "USD".into();
    let cursor = extracted.cursor.as_ref();
    let again = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", cursor).await.expect("a run");
    assert_eq!(again.rows(), 4, "days done against another base are not done against this one");
}

#[tokio::test]
async fn a_currency_that_appears_or_vanishes_changes_rows_and_is_told() {
    let stage = Stage::new().await;
    let first = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await.expect("a run");
    assert!(!first.facts.contains_key("currencies_appeared"));
    let body = r#"{"timestamp": 1767398399, "base": "USD", "rates": {"EUR": 0.9, "SLE": 22.7, "USD": 1}}"#;
    stage.api().faults.insert("historical/2026-01-02.json".into(), (200, body.into()));
    let second = stage.run(RATES, "2026-01-03T00:15:00Z", "2026-01-01..", first.cursor.as_ref()).await.expect("a run");
    assert_eq!((second.rows(), second.rejected.is_none()), (3, true));
    assert_eq!(second.facts["currencies_appeared"], json!(["SLE"]));
    assert_eq!(second.facts["currencies_vanished"], json!(["BTC", "IDR"]));
}

#[tokio::test]
async fn a_restricted_account_fails_before_it_asks_for_rates() {
    let stage = Stage::new().await;
    stage.api().status = "access_restricted".into();
    let error = stage.run(RATES, "2026-01-02T00:15:00Z", "2026-01-01..", None).await.expect_err("restricted");
    assert_eq!((error.kind(), stage.asked("historical/").len()), (Kind::Auth, 0));
}
