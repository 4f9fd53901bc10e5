//! What is watched how: the defaults of each kind of source, and what a table or the platform changes.

use serde::{Deserialize, Serialize};
use sluice_core::{
    ColumnType, Loader, Schedule, Table,
    judge::{Count, Fields, Report},
    sources::{Monitor, Source},
};

/// The settings of one table, defaults filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct TableSettings {
    pub table: String,
    pub off: Vec<Monitor>,
    pub schedule: Option<Schedule>,
    pub is_streaming: bool,
    pub has_key: bool,
    pub freshness_minutes: Option<f64>,
    /// How long after it was due a run may end; of a stream, how long it may pause.
    pub grace_minutes: f64,
    pub event_time: Option<String>,
    pub event_to_report_minutes: Option<f64>,
    pub volume_change_percent: f64,
    pub minimum_rows_per_day: Option<f64>,
    pub maximum_rows_per_day: Option<f64>,
    pub null_columns: Vec<String>,
    pub null_change_points: f64,
    pub distribution_columns: Vec<String>,
    pub late_hours: f64,
    pub late_percent: f64,
    pub lag_minutes: f64,
    pub rejected_percent: f64,
}

impl TableSettings {
    pub fn of(table: &Table) -> Self {
        let own = &table.monitors;
        let minutes = |minutes: Option<u32>| minutes.map(f64::from);
        let or = |own: Option<u32>, default: f64| own.map_or(default, f64::from);
        let is_streaming = table.loader == Loader::Streaming;
        let columns = table.columns.columns();
        let may_be_null = columns.iter().filter(|column| !column.required).map(|column| column.name.clone());
        let is_rate = |source: &Source| matches!(source, Source::ExchangeRates { .. });
        let decimals = columns.iter().filter(|column| matches!(column.column_type, ColumnType::Decimal(..)));
        TableSettings {
            table: table.table.to_string(),
            off: own.off.clone(),
            schedule: table.schedule.clone(),
            is_streaming,
            has_key: !table.key.is_empty(),
            freshness_minutes: minutes(own.freshness_minutes),
            grace_minutes: match table.source {
                Source::Kafka { .. } => 1440.0,
                Source::Currencies | Source::ExchangeRates { .. } => 120.0,
                _ => 60.0,
            },
            event_time: own.event_time.clone(),
            event_to_report_minutes: minutes(own.event_to_report_minutes),
            volume_change_percent: or(own.volume_change_percent, 10.0),
            minimum_rows_per_day: minutes(own.minimum_rows_per_day),
            maximum_rows_per_day: minutes(own.maximum_rows_per_day),
            null_columns: if own.null_columns.is_empty() { may_be_null.collect() } else { own.null_columns.clone() },
            null_change_points: or(own.null_change_points, 0.5),
            // Rates that stand still are the fault that nothing else sees.
            distribution_columns: if own.distribution_columns.is_empty() && is_rate(&table.source) {
                decimals.map(|column| column.name.clone()).collect()
            } else {
                own.distribution_columns.clone()
            },
            late_hours: or(own.late_hours, 24.0),
            late_percent: or(own.late_percent, 5.0),
            lag_minutes: or(own.lag_minutes, 15.0),
            rejected_percent: or(own.rejected_percent, 1.0),
        }
    }

    pub fn judges(&self, monitor: Monitor) -> bool {
        !self.off.contains(&monitor)
    }
}

/// The platform's own limits: the block `limits` of `platform/alerts.yaml`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub secret_age_days: u32,
    pub secret_expiry_days: u32,
    pub dbt_minutes: u32,
    pub load_waiting_minutes: u32,
    /// A smaller rise of a day's cost is never reported.
    pub cost_change_percent: u32,
    /// What a month may cost; nothing is judged without it.
    pub budget_credits_per_month: Option<u32>,
    /// The same with AWS, at the prices of the file.
    pub budget_dollars_per_month: Option<u32>,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            secret_age_days: 90,
            secret_expiry_days: 14,
            dbt_minutes: 60,
            load_waiting_minutes: 60,
            cost_change_percent: 30,
            budget_credits_per_month: None,
            budget_dollars_per_month: None,
        }
    }
}

impl Limits {
    pub(crate) fn read(mut fields: Fields<'_>, report: &mut Report) -> Self {
        let usual = Limits::default();
        let mut count = |name: &'static str| fields.optional::<Count>(name, report).map(|count| count.value.0);
        let limits = Limits {
            secret_age_days: count("secret_age_days").unwrap_or(usual.secret_age_days),
            secret_expiry_days: count("secret_expiry_days").unwrap_or(usual.secret_expiry_days),
            dbt_minutes: count("dbt_minutes").unwrap_or(usual.dbt_minutes),
            load_waiting_minutes: count("load_waiting_minutes").unwrap_or(usual.load_waiting_minutes),
            cost_change_percent: count("cost_change_percent").unwrap_or(usual.cost_change_percent),
            budget_credits_per_month: count("budget_credits_per_month"),
            budget_dollars_per_month: count("budget_dollars_per_month"),
        };
        fields.end(report);
        limits
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;

    use super::*;

    fn settings() -> Vec<TableSettings> {
        let shipped = Sources::parse(include_str!("../../../platform/sources.yaml")).expect("valid sources");
        shipped.tables.iter().map(TableSettings::of).collect()
    }

    #[test]
    fn every_shipped_table_is_watched_without_a_setting() {
        let all = settings();
        let of = |name: &str| all.iter().find(|table| table.table.ends_with(name)).expect("a table");
        assert_eq!(of("PRODUCTS").null_columns, ["product_name", "price_usd"]);
        assert_eq!(of("EXCHANGE_RATES").distribution_columns, ["rate"]);
        assert_eq!(of("CONTACTS").grace_minutes, 60.0);
        let purchases = of("PURCHASES");
        assert!(purchases.is_streaming && purchases.has_key && purchases.schedule.is_none());
        assert_eq!((purchases.lag_minutes, purchases.rejected_percent), (15.0, 1.0));
    }
}
