//! The shipped events, from handler to commit.

use std::{
    io::Write,
    sync::{Arc, Mutex},
};

use serde_json::{Value, json};
use sluice_core::{Kind, LakeId, Schedule, Sources, TableId, extract::Outcome, sources::Source};
use sluice_lambda::json_log;
use sluice_pipeline::{log, runs};
use sluice_testkit::{
    lake::{MemoryLake, OneSecret},
    ports::MemoryBus,
};

use super::*;
use crate::Config;
use crate::testing::serve;

async fn deps(secret: &'static str) -> Deps<MemoryLake, MemoryBus, OneSecret> {
    let (url, api) = serve().await;
    // 2026-10-30, an hour before the provisional event.
    api.lock().expect("not poisoned").latest = 1_793_347_200;
    let config = Config {
        lake_bucket: "lake".into(),
        lake_id: LakeId("test".into()),
        bus_name: "bus".into(),
        url,
        secret: "open-exchange-rates".into(),
        daily_share: 400,
        sources: Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources"),
    };
    let http = sluice_http::Client::new().expect("a client");
    Deps { config, store: MemoryLake::default(), bus: MemoryBus::default(), secrets: OneSecret(secret), http }
}

async fn run(deps: &Deps<MemoryLake, MemoryBus, OneSecret>, event: &str) -> Result<ExtractSummary> {
    let request = serde_json::from_str(event).expect("an event of the function's shape");
    handle(request, &Invocation::new("request", Duration::from_secs(300)), deps).await
}

const SECRET: &str = r#"{"app_id": "0123"}"#;
const FINAL: &str = include_str!("../../../../events/extract-exchange-rates/rates-final.json");
const PROVISIONAL: &str = include_str!("../../../../events/extract-exchange-rates/rates-provisional.json");
const RANGE: &str = include_str!("../../../../events/extract-exchange-rates/rates-range.json");
const CURRENCIES: &str = include_str!("../../../../events/extract-exchange-rates/currencies.json");
const UNKNOWN: &str = include_str!("../../../../events/extract-exchange-rates/unknown-table.json");

#[tokio::test]
async fn each_event_commits_once_and_its_replay_does_nothing() {
    let deps = deps(SECRET).await;
    for (event, days) in [(RANGE, 14), (FINAL, 365 - 14), (PROVISIONAL, 1)] {
        let first = run(&deps, event).await.expect("a commit");
        assert_eq!((first.outcome, first.rows), (Outcome::Committed, days * 4), "{event}");
        let replay = run(&deps, event).await.expect("a run");
        assert_eq!((replay.outcome, replay.rows), (Outcome::NothingNew, 0), "{event}");
    }
    let listed = run(&deps, CURRENCIES).await.expect("a commit");
    assert_eq!((listed.outcome, listed.rows), (Outcome::Committed, 2));
    let same = run(&deps, CURRENCIES).await.expect("a run");
    assert_eq!((same.outcome, same.rows), (Outcome::NothingNew, 0));
}

#[tokio::test]
async fn an_unknown_table_or_an_incomplete_secret_is_a_config_error() {
    for (secret, event) in [(SECRET, UNKNOWN), (r#"{"token": "0123"}"#, FINAL)] {
        let error = run(&deps(secret).await, event).await.expect_err("refused");
        assert_eq!(error.kind(), Kind::Config);
        assert!(!error.chain().contains("0123"), "{error:?}");
    }
    let error = run(&deps(r#"{"app_id": "9999"}"#).await, FINAL).await.expect_err("refused");
    assert_eq!(error.kind(), Kind::Auth);
}

#[tokio::test]
async fn a_full_refresh_of_a_range_reads_its_days_and_keeps_the_others() {
    let deps = deps(SECRET).await;
    run(&deps, FINAL).await.expect("the whole year");
    let refresh = FINAL.replacen('{', r#"{ "full_refresh": true, "from": "2026-10-01", "to": "2026-10-14","#, 1);
    let refreshed = run(&deps, &refresh).await.expect("a commit");
    assert_eq!((refreshed.outcome, refreshed.rows), (Outcome::Committed, 14 * 4));
    assert_eq!(refreshed.facts["requests_left_to_make"], 0);
    let done = &refreshed.cursor_to.as_ref().expect("a cursor").0["done"];
    assert_eq!(*done, serde_json::json!([["2025-10-30", "2026-10-29"]]));
    let next = run(&deps, FINAL).await.expect("a run");
    assert_eq!((next.outcome, next.rows), (Outcome::NothingNew, 0));
}

#[tokio::test]
async fn a_full_refresh_beyond_the_share_is_finished_by_the_runs_after_it() {
    let mut deps = deps(SECRET).await;
    run(&deps, FINAL).await.expect("the whole year");
    deps.config.daily_share = 5;
    let on = |day: &str| FINAL.replace("2026-10-30", day);
    let refresh =
        on("2026-10-31").replacen('{', r#"{ "full_refresh": true, "from": "2026-10-01", "to": "2026-10-14","#, 1);
    let summary = run(&deps, &refresh).await.expect("a commit");
    let mut left = vec![summary.facts["requests_left_to_make"].as_u64()];
    let again = run(&deps, &refresh).await.expect("a run");
    assert_eq!((again.outcome, &again.facts["stopped_by"]), (Outcome::NothingNew, &"the day's share".into()));
    // Each day brings a further one, and a share of its own.
    for day in ["2026-11-01", "2026-11-02", "2026-11-03"] {
        let summary = run(&deps, &on(day)).await.expect("a commit");
        assert_eq!(summary.outcome, Outcome::Committed);
        left.push(summary.facts["requests_left_to_make"].as_u64());
    }
    assert_eq!(left, [Some(9), Some(6), Some(2), Some(0)]);
    assert_eq!(run(&deps, &on("2026-11-03")).await.expect("a run").outcome, Outcome::NothingNew);
}

#[tokio::test]
async fn a_full_refresh_of_everything_forgets_the_days_and_not_what_was_spent() {
    let mut deps = deps(SECRET).await;
    deps.config.daily_share = 5;
    run(&deps, FINAL).await.expect("five days");
    let refresh = FINAL.replacen('{', r#"{ "full_refresh": true,"#, 1);
    let refreshed = run(&deps, &refresh).await.expect("a commit");
    assert_eq!((refreshed.outcome, refreshed.rows), (Outcome::Committed, 4), "yesterday's, which the schedule owes");
    let cursor = &refreshed.cursor_to.as_ref().expect("a cursor").0;
    assert_eq!(
        (&cursor["done"], &cursor["spent"]["requests"]),
        (&serde_json::json!([["2026-10-29", "2026-10-29"]]), &6.into())
    );
}

#[tokio::test]
async fn a_dry_run_names_the_days_and_asks_for_none() {
    let deps = deps(SECRET).await;
    let dry = RANGE.replacen('{', r#"{ "dry_run": true,"#, 1);
    let summary = run(&deps, &dry).await.expect("a dry run");
    let facts = summary.plan.expect("a plan").facts;
    assert_eq!((summary.outcome, &facts["requests_planned"]), (Outcome::DryRun, &serde_json::json!(14)));
    assert_eq!((&facts["first_day"], &facts["last_day"]), (&"2026-10-01".into(), &"2026-10-14".into()));
    assert!(deps.store.is_empty());
}

/// A secret that has been rotated: the old value is remembered until it is refused.
#[derive(Debug)]
struct Rotated {
    old: std::cell::Cell<bool>,
    values: [&'static str; 2],
}

impl Secrets for Rotated {
    async fn get(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new(self.values[usize::from(!self.old.get())]))
    }

    fn forget(&self, _: &str) {
        self.old.set(false);
    }
}

#[tokio::test]
async fn a_rotated_app_id_is_fetched_again_when_the_old_one_is_refused() {
    let Deps { config, store, bus, http, .. } = deps(SECRET).await;
    let secrets = Rotated { old: true.into(), values: [r#"{"app_id": "9999"}"#, SECRET] };
    let deps = Deps { config, store, bus, secrets, http };
    let request: ExtractRequest = serde_json::from_str(FINAL).expect("an event");
    let invocation = Invocation::new("request", Duration::from_secs(300));
    assert_eq!(handle(request, &invocation, &deps).await.expect("the new id").outcome, Outcome::Committed);
    assert!(!deps.secrets.old.get(), "the refused one is forgotten");
}

/// What a function has written to its log.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("unbroken").write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Wakes the function as the hour does, for both of its tables. The lines of its log.
async fn woken(deps: &Deps<MemoryLake, MemoryBus, OneSecret>, time: &str) -> Vec<Value> {
    let log = Log::default();
    let writer = log.clone();
    let capture = tracing::subscriber::set_default(json_log(move || writer.clone()));
    let event = serde_json::from_value(json!({"time": time, "due": true})).expect("an hour");
    let invocation = Invocation::new("request-1", Duration::from_secs(300));
    // How it ends is told by the lines.
    drop(super::serve(event, &invocation, deps).await);
    drop(capture);
    let lines = log.0.lock().expect("unbroken").clone();
    let lines = String::from_utf8(lines).expect("text");
    lines.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
}

#[tokio::test]
async fn a_runs_lines_its_commit_and_its_end_carry_one_id() {
    let mut deps = deps(SECRET).await;
    deps.config
        .sources
        .tables
        .retain(|table| matches!(table.source, Source::Currencies | Source::ExchangeRates { .. }));
    let tables = deps.config.sources.tables.iter_mut();
    let tables: Vec<TableId> =
        tables.map(|table| (table.schedule = Some(Schedule::Hourly), table.table.clone()).1).collect();
    assert_eq!(tables.len(), 2);
    let (night, next) = ("2026-10-30T00:15:00Z", "2026-10-31T00:15:00Z");
    for (outcome, time) in [("committed", night), ("nothing_new", night), ("failed", next)] {
        if outcome == "failed" {
            deps.secrets = OneSecret(r#"{"app_id": "9999"}"#);
        }
        let lines = woken(&deps, time).await;
        let mut ids = Vec::new();
        for table in &tables {
            let is_summary = |line: &&Value| line["message"] == "extract ended" && line["table"] == table.to_string();
            let summaries: Vec<&Value> = lines.iter().filter(is_summary).collect();
            let [summary] = summaries[..] else { panic!("{} summaries of {table}: {lines:?}", summaries.len()) };
            assert_eq!(summary["outcome"], outcome, "{summary}");
            let id = summary["span"]["run_id"].as_str().expect("an id").to_owned();
            let last = runs::last(&deps.store, table).await.expect("readable").expect("an end");
            assert_eq!(last.run_id.0, id, "{table}");
            if summary["outcome"] == "committed" {
                let commit = log::newest_commit(&deps.store, table).await.expect("readable").expect("a commit");
                assert_eq!(commit.run_id.0, id, "{table}");
                assert_eq!(summary["rows"], commit.rows);
            }
            if outcome == "failed" {
                assert_eq!((&summary["error_kind"], last.failure.expect("a failure").runs), (&json!("Auth"), 1));
            }
            ids.push(id);
        }
        assert_ne!(ids[0], ids[1], "two runs of one waking");
        assert!(lines.iter().all(|line| line["span"]["request_id"] == "request-1"), "{lines:?}");
    }
}
