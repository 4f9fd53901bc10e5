//! Baselines on series that others can judge: `tests/watch/judge.py` looks at what is recorded here.
//!
//! `judged.json` has played series with what was made of them; `flights.csv` has real ones, departures from New York in 2013,
//! by day, airport and carrier. Recorded again by UPDATE_SNAPSHOTS=1.

#![allow(clippy::expect_used, clippy::panic, reason = "a test's own functions may fail it")]

use std::{collections::BTreeMap, fs, path::PathBuf};

use chrono::{Datelike, Days, NaiveDate};
use serde_json::{Value, json};
use sluice_watch::{
    Calendar,
    baseline::{
        History,
        volume::{self, Expected, Judged, Measure},
    },
    random::Random,
};

/// The first day of a real series that is judged.
const FIRST_JUDGED: usize = 70;

const HOLIDAYS: &str = "
events:
  - { name: New Year, kind: holiday, day: 01-01, days_before: 2, days_after: 2 }
  - { name: Presidents, kind: holiday, day: monday 3 february, days_before: 2, days_after: 2 }
  - { name: Memorial, kind: holiday, day: monday last may, days_before: 2, days_after: 2 }
  - { name: Independence, kind: holiday, day: 07-04, days_before: 2, days_after: 2 }
  - { name: Labor, kind: holiday, day: monday 1 september, days_before: 2, days_after: 2 }
  - { name: Thanksgiving, kind: holiday, day: thursday 4 november, days_before: 2, days_after: 3 }
  - { name: Christmas, kind: holiday, day: 12-25, days_before: 2, days_after: 2 }
";

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/watch")
}

fn expected(history: &History, day: NaiveDate, value: f64, calendar: &Calendar) -> Expected {
    match volume::judge(history, day, value, "T", calendar, Measure::Count) {
        Judged::Expected(expected) => expected,
        other => panic!("{day}: {other:?}"),
    }
}

fn round(number: f64) -> f64 {
    (number * 1e6).round() / 1e6
}

/// A played series of 56 days and what was made of the next one, as it was, dropped and doubled.
fn played(seed: u64) -> Value {
    let mut random = Random::new(seed);
    let first: NaiveDate = "2026-03-02".parse().expect("a Monday");
    let rows = 10_f64.powf(2.3 + 3.0 * random.share());
    let noise = 0.03 + 0.03 * random.share();
    let (weekend, growth) = (1.0 - 0.6 * random.share(), 1.0 + 0.08 * random.share());
    let mut draw = |day: NaiveDate| {
        let week = if day.weekday().num_days_from_monday() >= 5 { weekend } else { 1.0 };
        let mean = rows * week * growth.powf((day - first).num_days() as f64 / 30.0);
        let stray = (noise * random.normal()).exp();
        random.count(mean * stray) as f64
    };
    let days: Vec<f64> = first.iter_days().take(57).map(&mut draw).collect();
    let history: History = first.iter_days().zip(days[..56].iter().copied()).collect();
    let judged = first + Days::new(56);
    let usual = expected(&history, judged, days[56], &Calendar::default());
    let alarms: Vec<bool> = [1.0, 0.4, 2.0]
        .iter()
        .map(|factor| expected(&history, judged, (days[56] * factor).round(), &Calendar::default()).is_unusual())
        .collect();
    json!({
        "first": first, "days": days, "expected": round(usual.value), "low": round(usual.low),
        "high": round(usual.high), "threshold": round(usual.threshold), "alarms": alarms,
    })
}

fn flights() -> BTreeMap<String, Vec<(NaiveDate, f64)>> {
    let text = fs::read_to_string(folder().join("flights.csv")).expect("the series");
    let mut lines = text.lines();
    let names: Vec<&str> = lines.next().expect("a header").split(',').skip(1).collect();
    let mut series: BTreeMap<String, Vec<(NaiveDate, f64)>> = BTreeMap::new();
    for line in lines {
        let (day, counts) = line.split_once(',').expect("a day");
        for (name, count) in names.iter().zip(counts.split(',')) {
            let day = (day.parse().expect("a date"), count.parse().expect("a count"));
            series.entry((*name).to_owned()).or_default().push(day);
        }
    }
    series
}

/// Days that are told of each series, and how many of the judged days would be told if 60 % were missing.
fn judged_flights(calendar: &Calendar) -> (BTreeMap<String, Vec<NaiveDate>>, usize, usize) {
    let (mut told, mut dropped, mut all) = (BTreeMap::new(), 0, 0);
    for (name, days) in flights() {
        let history: History = days.iter().copied().collect();
        let mut of_series = Vec::new();
        for (day, count) in &days[FIRST_JUDGED..] {
            let is_told = |value: f64| {
                let expected = expected(&history, *day, value, calendar);
                expected.is_unusual() && expected.change_percent(value).abs() > 10.0
            };
            if is_told(*count) {
                of_series.push(*day);
            }
            if all % 5 == 0 && calendar.on("T", *day).is_none() {
                dropped += usize::from(is_told((count * 0.4).round()));
            }
            all += usize::from(calendar.on("T", *day).is_none());
        }
        told.insert(name, of_series);
    }
    (told, dropped, all.div_ceil(5))
}

#[test]
fn what_independent_libraries_judge_is_what_is_made_now() {
    let path = folder().join("judged.json");
    let made: Vec<Value> = (0..60).map(played).collect();
    let lines: Vec<String> = made.iter().map(Value::to_string).collect();
    let text = format!("[\n{}\n]\n", lines.join(",\n"));
    if std::env::var_os("UPDATE_SNAPSHOTS").is_some() {
        fs::write(&path, &text).expect("a writable file");
    }
    let kept = fs::read_to_string(&path).unwrap_or_default();
    assert!(text == kept, "{} differs; UPDATE_SNAPSHOTS=1 writes it", path.display());
}

#[test]
fn real_days_raise_few_alarms_and_holidays_fewer() {
    let calendar = Calendar::parse(HOLIDAYS).expect("a calendar");
    let (told, found, dropped) = judged_flights(&calendar);
    let alarms: usize = told.values().map(Vec::len).sum();
    let years = told.len() as f64 * (365 - FIRST_JUDGED) as f64 / 365.0;
    assert!(told.len() >= 10 && alarms as f64 / years <= 3.5, "{alarms} in {years} series-years: {told:?}");
    assert!(found as f64 >= 0.95 * dropped as f64, "{found} of {dropped} drops of 60 %");
    let (unaware, _, _) = judged_flights(&Calendar::default());
    let more: usize = unaware.values().map(Vec::len).sum();
    assert!(more > alarms + 10, "without holidays {more}, with them {alarms}");
}
