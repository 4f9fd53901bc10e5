//! Whether data comes when it should: freshness, the way from event to report, and late rows.

use chrono::{DateTime, Duration, Timelike, Utc};
use sluice_core::{Schedule, sources::Monitor};

use super::Context;
use crate::{
    baseline::delay,
    finding::{Kind, Unit, Verdict},
    settings::TableSettings,
};

/// No learned limit is shorter.
const LEAST_MINUTES: f64 = 30.0;

/// From event to report nothing is reported that takes less, unless the table says so.
const DEFAULT_REPORT_MINUTES: f64 = 1440.0;

/// Fewer late rows are never told, however small the day.
const LEAST_LATE_ROWS: u64 = 3;

/// Functions are woken at this minute of the hour.
const WAKING_MINUTE: i64 = 15;

/// A schedule's rarest waking is weekly.
const HOURS_BACK: i64 = 24 * 8;

/// When a table's data came.
#[derive(Debug, Clone, Default)]
pub struct Arrivals {
    /// The end of the newest run that succeeded, with or without new rows; of a stream, the newest row's append.
    pub newest: Option<DateTime<Utc>>,
}

/// How long events took from their time until readers saw them.
#[derive(Debug, Clone, Default)]
pub struct ReportDelay {
    /// Of the newest run that was published, in minutes: the 95th percentile.
    pub minutes: f64,
    /// The same of earlier runs.
    pub earlier_minutes: Vec<f64>,
}

/// Rows of the newest day that came long after their time.
#[derive(Debug, Clone, Copy)]
pub struct LateRows {
    pub rows: u64,
    pub late: u64,
}

pub(super) fn freshness(
    settings: &TableSettings,
    arrivals: Option<&Arrivals>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    if settings.schedule.is_none() && !settings.is_streaming && settings.freshness_minutes.is_none() {
        return;
    }
    let verdict = match arrivals {
        None => Verdict::missing("the time of the newest run was not observed"),
        Some(Arrivals { newest: None }) => Verdict::missing("no run has succeeded yet"),
        Some(Arrivals { newest: Some(newest) }) => {
            let limit = Limit::of(settings, *newest, context.now);
            let age = minutes(context.now - *newest);
            if limit.is_over(age) {
                let observed = format!("the newest data came {} ago", Unit::Minutes.show(age));
                Verdict::breached(Kind::Late, age, observed, limit.says)
            } else {
                Verdict::Healthy
            }
        }
    };
    add(Monitor::Freshness, None, verdict);
}

/// The age from which on a table is late.
struct Limit {
    minutes: f64,
    says: String,
}

impl Limit {
    fn of(settings: &TableSettings, newest: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        if let Some(minutes) = settings.freshness_minutes {
            return Limit { minutes, says: format!("at most {}", Unit::Minutes.show(minutes)) };
        }
        let grace = settings.grace_minutes;
        let Some(schedule) = &settings.schedule else {
            return Limit { minutes: grace, says: format!("a pause of at most {}", Unit::Minutes.show(grace)) };
        };
        // The oldest waking that the newest data has not answered.
        match first_due_after(schedule, newest, now) {
            Some(due) => Limit {
                minutes: minutes(due - newest) + grace,
                says: format!("due at {}, at most {} later", due.format("%F %H:%M"), Unit::Minutes.show(grace)),
            },
            None => Limit { minutes: f64::INFINITY, says: String::new() },
        }
    }

    fn is_over(&self, age: f64) -> bool {
        age > self.minutes
    }
}

/// The first waking after a time, up to now. Of a time long past, one of the last week's.
fn first_due_after(schedule: &Schedule, after: DateTime<Utc>, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    let hour = now.with_minute(0)?.with_second(0)?.with_nanosecond(0)?;
    let wakings = (0..=HOURS_BACK).rev().map(|back| hour - Duration::hours(back));
    let due = wakings.filter(|hour| schedule.is_due(*hour)).map(|hour| hour + Duration::minutes(WAKING_MINUTE));
    due.into_iter().find(|due| *due > after && *due <= now)
}

pub(super) fn event_to_report(
    settings: &TableSettings,
    report: Option<&ReportDelay>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let verdict = match report {
        None => Verdict::missing("the delay from event to report was not observed"),
        Some(report) => {
            let learned = || delay::limit_minutes(&report.earlier_minutes, LEAST_MINUTES, DEFAULT_REPORT_MINUTES);
            let limit = settings.event_to_report_minutes.unwrap_or_else(learned);
            if report.minutes > limit {
                let observed = format!("events took {} to the report", Unit::Minutes.show(report.minutes));
                let expected = format!("at most {}", Unit::Minutes.show(limit));
                Verdict::breached(Kind::ReportLate, report.minutes, observed, expected)
            } else {
                Verdict::Healthy
            }
        }
    };
    add(Monitor::EventToReport, None, verdict);
}

pub(super) fn late_rows(
    settings: &TableSettings,
    rows: Option<&LateRows>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let verdict = match rows {
        None => Verdict::missing("late rows were not counted"),
        Some(LateRows { rows, late }) => {
            let percent = 100.0 * *late as f64 / (*rows).max(1) as f64;
            if percent >= settings.late_percent && *late >= LEAST_LATE_ROWS {
                let observed = format!("{late} of {rows} rows came more than {} hours late", settings.late_hours);
                let expected = format!("less than {} %", settings.late_percent);
                Verdict::breached(Kind::LateRows, percent, observed, expected)
            } else {
                Verdict::Healthy
            }
        }
    };
    add(Monitor::LateArrival, None, verdict);
}

fn minutes(duration: Duration) -> f64 {
    duration.num_seconds() as f64 / 60.0
}
