//! The tables that are played: of several sizes, weeks, months and noises.

use chrono::{Datelike, NaiveDate};
use sluice_core::{Schedule, sources::Monitor};
use sluice_watch::{random::Random, settings::TableSettings};

/// One table's nature.
#[derive(Debug, Clone)]
pub struct Series {
    pub settings: TableSettings,
    /// Rows of an ordinary day at the beginning.
    pub rows: f64,
    /// By how much days differ beyond counting, as a share.
    pub noise: f64,
    pub growth_per_month: f64,
    /// By how much weekends are smaller.
    pub weekend: f64,
    /// By how much the first day of a month is larger.
    pub month_start: f64,
    /// What a holiday leaves.
    pub holiday: f64,
    /// The usual share of nulls of its columns that may be null.
    pub nulls: f64,
    /// The function that brings its rows.
    pub function: &'static str,
}

impl Series {
    pub(super) fn mean(&self, start: NaiveDate, day: NaiveDate, is_holiday: bool) -> f64 {
        let months = (day - start).num_days() as f64 / 30.0;
        let week = if day.weekday().num_days_from_monday() >= 5 { 1.0 - self.weekend } else { 1.0 };
        let month = if day.day() == 1 { 1.0 + self.month_start } else { 1.0 };
        let holiday = if is_holiday { self.holiday } else { 1.0 };
        self.rows * (1.0 + self.growth_per_month).powf(months) * week * month * holiday
    }

    pub(super) fn draw(&self, mean: f64, random: &mut Random) -> u64 {
        if self.noise == 0.0 {
            return mean.round() as u64;
        }
        let stray = (self.noise * random.normal() - self.noise.powi(2) / 2.0).exp();
        random.count(mean * stray)
    }

    /// Whether a day repeats the rates of the day before, as markets do that are closed.
    pub(super) fn stands_still(&self, day: NaiveDate, is_holiday: bool) -> bool {
        self.noise == 0.0 && (day.weekday().num_days_from_monday() >= 5 || is_holiday)
    }
}

/// Twelve tables, two of them streams and one of rates.
pub(super) fn all() -> Vec<Series> {
    let hourly = Some(Schedule::Hourly);
    let daily = Some(Schedule::Daily(vec![3]));
    let pg = "extract-postgres";
    let crm = "extract-hubspot";
    vec![
        batch("ORDERS_TINY", 20.0, 0.05, 0.0, 0.2, hourly.clone(), pg),
        batch("ORDERS_SMALL", 200.0, 0.10, 0.02, 0.3, hourly.clone(), pg),
        batch("ORDERS", 2_000.0, 0.04, 0.05, 0.4, hourly.clone(), pg),
        batch("LINES", 20_000.0, 0.05, 0.10, 0.4, daily.clone(), pg),
        batch("CLICKS", 200_000.0, 0.03, 0.03, 0.0, daily.clone(), pg),
        batch("VISITS", 1_000_000.0, 0.12, -0.02, 0.5, daily.clone(), pg),
        batch("CONTACTS", 800.0, 0.15, 0.04, 0.6, hourly.clone(), crm),
        batch("DEALS", 120.0, 0.08, 0.0, 0.7, hourly, crm),
        batch("TICKETS", 5_000.0, 0.06, 0.06, 0.1, daily, crm),
        rates(),
        stream("PURCHASES", 50_000.0),
        stream("SIGNALS", 3_000.0),
    ]
}

fn batch(
    name: &str,
    rows: f64,
    noise: f64,
    growth_per_month: f64,
    weekend: f64,
    schedule: Option<Schedule>,
    function: &'static str,
) -> Series {
    let settings = TableSettings {
        table: format!("DRILL.PUBLIC.{name}"),
        off: Vec::new(),
        schedule,
        is_streaming: false,
        has_key: true,
        freshness_minutes: None,
        grace_minutes: 60.0,
        event_time: Some("at".to_owned()),
        event_to_report_minutes: None,
        volume_change_percent: 10.0,
        minimum_rows_per_day: None,
        maximum_rows_per_day: None,
        null_columns: vec!["email".to_owned(), "city".to_owned()],
        null_change_points: 0.5,
        distribution_columns: vec!["price".to_owned()],
        late_hours: 24.0,
        late_percent: 5.0,
        lag_minutes: 15.0,
        rejected_percent: 1.0,
    };
    let month_start = if rows > 1_000.0 { 0.5 } else { 0.0 };
    Series { settings, rows, noise, growth_per_month, weekend, month_start, holiday: 0.5, nulls: 0.02, function }
}

fn rates() -> Series {
    let daily = Some(Schedule::Daily(vec![0]));
    let mut series = batch("RATES", 170.0, 0.0, 0.0, 0.0, daily, "extract-exchange-rates");
    series.settings.event_time = None;
    series.settings.null_columns.clear();
    Series { month_start: 0.0, holiday: 1.0, ..series }
}

fn stream(name: &str, rows: f64) -> Series {
    let mut series = batch(name, rows, 0.06, 0.05, 0.2, None, "stream-kafka");
    series.settings.is_streaming = true;
    series.settings.grace_minutes = 1440.0;
    series.settings.off = vec![Monitor::Distribution];
    series
}
