//! Runs that die at random points, alone and two at once: in the end the table is the source.

use std::collections::BTreeMap;

use chrono::{Days, NaiveDate};
use futures::join;
use serde_json::{Value, json};
use sluice_core::extract::Outcome;
use sluice_local::vendors::open_exchange_rates::RatesConfig;
use sluice_testkit::{
    generate::RateTable,
    lake::{Death, MemoryLake, death},
};

use crate::support::{APP_ID, Extractor, RATES, emulator, loaded};

const SEED: u64 = 20_251_030;

fn event(day: NaiveDate) -> Value {
    json!({"table": RATES, "time": format!("{day}T09:00:00Z")})
}

/// What the source has for the days before `today`.
fn source(rates: &RateTable, today: NaiveDate) -> BTreeMap<(i32, String), i128> {
    let days = rates.dates().filter(|day| *day < today);
    let of_day = |day: NaiveDate| {
        rates.day(day).into_iter().flatten().map(move |(code, rate)| ((day.to_epoch_days(), code.clone()), *rate))
    };
    days.flat_map(of_day).collect()
}

#[tokio::test]
async fn killed_a_hundred_times_and_two_at_once_the_table_equals_the_source() {
    let rates = RateTable::invented();
    let mut today: NaiveDate = "2025-11-20".parse().unwrap();
    let config = RatesConfig { app_id: APP_ID.into(), rates: rates.clone(), today, quota: None };
    let (state, url, _stop) = emulator(config).await;
    let mut extractor = Extractor::new(url);
    extractor.share = 7;

    let (lake, mut deaths, mut round) = (MemoryLake::default(), 0, 0);
    while deaths < 100 {
        assert!(round < 400, "only {deaths} of {round} runs died");
        // Each day has a share of its own.
        today = today + Days::new(1);
        state.set_today(today);
        let one = lake.run(death(SEED, round));
        if round % 4 == 3 {
            let other = lake.run(death(!SEED, round));
            let ends = join!(extractor.run(&one, event(today)), extractor.run(&other, event(today)));
            deaths += usize::from(ends.0.is_none()) + usize::from(ends.1.is_none());
        } else {
            deaths += usize::from(extractor.run(&one, event(today)).await.is_none());
        }
        round += 1;
    }

    extractor.share = 1_000;
    let mut outcome = Outcome::Committed;
    for _ in 0..200 {
        outcome = extractor.run(&lake.run(Death::Never), event(today)).await.unwrap().expect("a run").outcome;
        if outcome == Outcome::NothingNew {
            break;
        }
    }
    assert_eq!(outcome, Outcome::NothingNew);
    let table = extractor.table(RATES);
    let expected = source(&rates, today);
    assert_eq!(loaded(&lake, table, "final"), expected);
    let is_final = |row: &BTreeMap<String, Option<String>>| row["rate_kind"].as_deref() == Some("final");
    let committed = lake.committed_rows(table).unwrap().into_iter().filter(is_final).count();
    assert_eq!(committed, expected.len(), "no day is committed twice");
}

#[tokio::test]
async fn of_two_runs_at_once_one_commits_and_the_other_conflicts_or_is_empty() {
    let today: NaiveDate = "2025-11-20".parse().unwrap();
    let config = RatesConfig { app_id: APP_ID.into(), rates: RateTable::invented(), today, quota: None };
    let (_, url, _stop) = emulator(config).await;
    let extractor = Extractor::new(url);
    let lake = MemoryLake::default();
    let (one, other) = (lake.run(Death::Never), lake.run(Death::Never));
    let (one, other) = join!(extractor.run(&one, event(today)), extractor.run(&other, event(today)));
    let (won, lost): (Vec<_>, Vec<_>) =
        [one, other].map(|end| end.expect("alive")).into_iter().partition(Result::is_ok);
    assert_eq!(won.len(), 1);
    assert_eq!(lost[0].as_ref().unwrap_err().kind(), sluice_core::Kind::Conflict);
    assert_eq!(lake.commits(extractor.table(RATES)).unwrap().len(), 1);
}
