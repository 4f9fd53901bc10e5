use chrono::Days;

use super::*;
use crate::{baseline::Mark, random::Random};

const TABLE: &str = "A.B.C";

fn monday() -> NaiveDate {
    "2026-03-02".parse().expect("a Monday")
}

/// Days of a shop: quiet weekends, growth, noise.
fn shop(rows: f64, noise: f64, days: u64, seed: u64) -> History {
    let mut random = Random::new(seed);
    let days = monday().iter_days().take(days as usize);
    days.map(|day| {
        let week = if day.weekday().num_days_from_monday() >= 5 { 0.5 } else { 1.0 };
        let growth = 1.05_f64.powf((day - monday()).num_days() as f64 / 30.0);
        let mean = rows * week * growth * (noise * random.normal()).exp();
        (day, random.count(mean) as f64)
    })
    .collect()
}

fn expected(history: &History, day: NaiveDate, value: f64) -> Expected {
    match judge(history, day, value, TABLE, &Calendar::default(), Measure::Count) {
        Judged::Expected(expected) => expected,
        other => panic!("{other:?}"),
    }
}

fn is_unusual(history: &History, day: NaiveDate, value: f64) -> bool {
    expected(history, day, value).is_unusual()
}

#[test]
fn a_quiet_saturday_is_usual_and_a_monday_like_it_is_not() {
    let history = shop(2_000.0, 0.04, 56, 1);
    let (monday, saturday) = (monday() + Days::new(56), monday() + Days::new(61));
    let of_monday = expected(&history, monday, 2_180.0);
    assert!(!of_monday.is_unusual() && (of_monday.value / 2_190.0 - 1.0).abs() < 0.05, "{of_monday:?}");
    assert!(!is_unusual(&history, saturday, 1_100.0));
    assert!(is_unusual(&history, monday, 1_100.0));
}

#[test]
fn the_judged_day_is_not_in_its_own_baseline() {
    let mut history = shop(2_000.0, 0.04, 56, 2);
    let day = monday() + Days::new(56);
    let before = expected(&history, day, 800.0);
    history.insert(day, 800.0, Mark::Good);
    history.insert(day + Days::new(1), 1.0, Mark::Good);
    assert_eq!(expected(&history, day, 800.0), before);
    assert!(before.is_unusual());
}

#[test]
fn too_few_days_judge_nothing_or_only_an_empty_day() {
    for (days, told) in [(13, "young"), (14, "empty"), (20, "empty"), (21, "all")] {
        let history = shop(500.0, 0.05, days, 3);
        let judged = judge(&history, monday() + Days::new(days), 0.0, TABLE, &Calendar::default(), Measure::Count);
        let found = match judged {
            Judged::TooYoung { days: known } if known as u64 == days => "young",
            Judged::OnlyEmpty { usual, .. } if usual > 100.0 => "empty",
            Judged::Expected(expected) if expected.is_unusual() => "all",
            other => panic!("{other:?}"),
        };
        assert_eq!(found, told, "{days} days");
    }
}

#[test]
fn unmasked_bad_days_blind_the_monitor_and_masked_ones_do_not() {
    let mut history = shop(2_000.0, 0.04, 56, 4);
    let day = monday() + Days::new(56);
    let told = [1, 2, 3, 4, 5, 6, 8, 9, 10, 11, 12, 13];
    for back in told {
        let bad = day - Days::new(back);
        let value = history.value(bad).expect("a day") * 0.4;
        history.insert(bad, value, Mark::Good);
    }
    let dropped = 2_190.0 * 0.4;
    assert!(!is_unusual(&history, day, dropped), "what masking is for");
    for back in told {
        history.mark(day - Days::new(back), Mark::Suspect);
    }
    assert!(is_unusual(&history, day, dropped));
}

#[test]
fn a_week_at_a_new_level_is_learned_and_the_old_one_is_then_unusual() {
    let mut history = shop(2_000.0, 0.04, 56, 5);
    let day = monday() + Days::new(63);
    for back in 1..=7 {
        let at = day - Days::new(back);
        let week = if at.weekday().num_days_from_monday() >= 5 { 0.5 } else { 1.0 };
        history.insert(at, 3_500.0 * week, Mark::Suspect);
    }
    assert!(!is_unusual(&history, day, 3_550.0));
    assert!(is_unusual(&history, day, 2_200.0));
}

#[test]
fn the_first_of_a_month_is_compared_with_other_firsts() {
    let mut history = shop(2_000.0, 0.04, 121, 6);
    let firsts: Vec<NaiveDate> = history.before("2027-01-01".parse().expect("a date")).map(|(day, _)| day).collect();
    for day in firsts.into_iter().filter(|day| day.day() == 1) {
        let value = history.value(day).expect("a day") * 1.6;
        history.insert(day, value, Mark::Good);
    }
    let first: NaiveDate = "2026-07-01".parse().expect("a Wednesday");
    let usual = expected(&history, first, 3_900.0);
    assert!(!usual.is_unusual() && usual.value > 3_300.0, "{usual:?}");
    assert!(is_unusual(&history, first, 2_400.0), "an ordinary Wednesday is a drop on a first");
    assert!(is_unusual(&history, "2026-07-02".parse().expect("a date"), 3_900.0));
}

#[test]
fn on_a_holiday_the_band_is_wider_and_the_day_teaches_nothing() {
    let calendar = Calendar::parse("events: [{ name: H, kind: holiday, day: 04-27 }]").expect("a calendar");
    let history = shop(2_000.0, 0.04, 56, 7);
    let day = monday() + Days::new(56);
    let band = |calendar: &Calendar| match judge(&history, day, 1_500.0, TABLE, calendar, Measure::Count) {
        Judged::Expected(expected) => expected,
        other => panic!("{other:?}"),
    };
    let (usual, holiday) = (band(&Calendar::default()), band(&calendar));
    assert!(usual.is_unusual() && !holiday.is_unusual());
    assert!(holiday.high - holiday.value > 2.0 * (usual.high - usual.value));
}

#[test]
fn a_small_table_is_told_by_its_counts_and_its_band_reaches_zero() {
    let history = shop(20.0, 0.05, 56, 8);
    let day = monday() + Days::new(56);
    assert!(!is_unusual(&history, day, 12.0) && is_unusual(&history, day, 120.0));
    let tiny = expected(&history, day, 20.0);
    assert!(tiny.sees_drop_percent() > 50.0 && tiny.low >= 0.0, "{tiny:?}");
}

#[test]
fn a_small_table_that_is_regular_is_told_by_its_own_days() {
    let days = monday().iter_days().take(56).enumerate();
    let history: History = days.map(|(at, day)| (day, [17.0, 18.0, 17.0, 16.0][at % 4])).collect();
    let day = monday() + Days::new(56);
    assert!(is_unusual(&history, day, 7.0) && !is_unusual(&history, day, 16.0));
}

#[test]
fn a_table_without_rows_for_weeks_may_get_a_few_and_not_many() {
    let history: History = monday().iter_days().take(60).map(|day| (day, 0.0)).collect();
    let day = monday() + Days::new(60);
    for (rows, told) in [(0.0, false), (1.0, false), (3.0, false), (50.0, true)] {
        assert_eq!(is_unusual(&history, day, rows), told, "{rows}");
    }
}

/// Whatever the numbers are: the band holds the expected value, a value inside of it is usual, and one outside is not.
#[test]
fn the_band_and_the_score_say_the_same() {
    for seed in 0..200 {
        let mut random = Random::new(seed);
        let rows = 10_f64.powf(1.0 + 5.0 * random.share());
        let days = 21 + random.below(100) as u64;
        let history = shop(rows, 0.2 * random.share(), days, seed);
        let day = monday() + Days::new(days);
        let base = expected(&history, day, 0.0);
        assert!(base.low <= base.value && base.value <= base.high && base.high.is_finite(), "{seed} {base:?}");
        for value in [base.value, base.low * 1.001 + 0.001, base.high * 0.999] {
            assert!(!is_unusual(&history, day, value), "{seed} {value} {base:?}");
        }
        for value in [base.low * 0.98 - 0.01, base.high * 1.02 + 0.01] {
            assert!(value < 0.0 || is_unusual(&history, day, value), "{seed} {value} {base:?}");
        }
    }
}
