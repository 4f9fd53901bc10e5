//! Times beyond the years of the contract, as PostgreSQL writes them: `20000-01-01`, `4713-01-01 BC`.
//!
//! They reach further than a calendar type does, and a person who looks for the row in the source searches for this text.

/// The days of 400 years, after which the calendar repeats.
const CYCLE: i64 = 146_097;
/// 1970-01-01, counted from 0000-03-01: a year that begins in March ends with its leap day.
const EPOCH: i64 = 719_468;

/// A day, counted from 1970-01-01.
pub(super) fn date(day: i64) -> String {
    let (year, rest) = parts(day);
    let (year, era) = era(year);
    format!("{year:04}-{rest}{era}")
}

/// A moment of that day.
pub(super) fn timestamp(day: i64, micros: i64) -> String {
    let (year, rest) = parts(day);
    let (year, era) = era(year);
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let fraction = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    let (hour, minute, second) = (seconds / 3_600, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{rest} {hour:02}:{minute:02}:{second:02}{}{era}", fraction.trim_end_matches('0'))
}

/// The year 0 is 1 BC.
fn era(year: i64) -> (i64, &'static str) {
    if year > 0 { (year, "") } else { (1 - year, " BC") }
}

/// The year, and month and day as text.
fn parts(day: i64) -> (i64, String) {
    let day = day + EPOCH;
    let (cycle, day) = (day.div_euclid(CYCLE), day.rem_euclid(CYCLE));
    // Each fourth year has a leap day, each hundredth has none, and each four hundredth has it again.
    let year = (day - day / 1_460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    // Five months in a row from March on have 153 days, over and over.
    let from_march = (5 * day + 2) / 153;
    let day = day - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    (400 * cycle + year + i64::from(month <= 2), format!("{month:02}-{day:02}"))
}
