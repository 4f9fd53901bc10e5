//! What a monitor says of an object.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::sources::Monitor;

/// Who speaks in an alert: the first column of the alert table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    Data,
    Stream,
    Loads,
    Dbt,
    Cost,
    Secrets,
    Functions,
    Watch,
}

impl Origin {
    pub const ALL: [(Origin, &str); 8] = [
        (Origin::Data, "data"),
        (Origin::Stream, "stream"),
        (Origin::Loads, "loads"),
        (Origin::Dbt, "dbt"),
        (Origin::Cost, "cost"),
        (Origin::Secrets, "secrets"),
        (Origin::Functions, "functions"),
        (Origin::Watch, "watch"),
    ];

    pub fn as_str(self) -> &'static str {
        Origin::ALL.iter().find(|(origin, _)| *origin == self).map_or("", |(_, name)| name)
    }

    pub fn of(monitor: Monitor) -> Origin {
        match monitor {
            Monitor::Freshness
            | Monitor::EventToReport
            | Monitor::Volume
            | Monitor::NullRate
            | Monitor::Duplicates
            | Monitor::Distribution
            | Monitor::Schema
            | Monitor::LateArrival
            | Monitor::Reconciliation
            | Monitor::Rejects => Origin::Data,
            Monitor::Lag | Monitor::DeadLetters => Origin::Stream,
            Monitor::Loads => Origin::Loads,
            Monitor::Dbt | Monitor::DbtDuration => Origin::Dbt,
            Monitor::Cost => Origin::Cost,
            Monitor::Secrets => Origin::Secrets,
            Monitor::Silence => Origin::Functions,
            Monitor::Alerts => Origin::Watch,
        }
    }
}

/// What a size counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Percent,
    /// Points of a hundred, between two shares.
    Points,
    Minutes,
    Days,
    /// Rows, tests, commits, runs, columns or messages.
    Count(&'static str),
}

impl Unit {
    /// A size in words.
    pub fn show(self, size: f64) -> String {
        match self {
            Unit::Percent => format!("{} %", short(size)),
            Unit::Points => format!("{} points", short(size)),
            Unit::Minutes if size >= 48.0 * 60.0 => format!("{} days", short(size / 1440.0)),
            Unit::Minutes if size >= 120.0 => format!("{} hours", short(size / 60.0)),
            Unit::Minutes => format!("{} minutes", short(size)),
            Unit::Days => format!("{} days", short(size)),
            Unit::Count(what) => format!("{} {what}", short(size)),
        }
    }
}

/// A number as people read it: whole from 10 on, one digit below.
pub fn short(number: f64) -> String {
    let digits = usize::from(number.abs() < 10.0 && (number - number.round()).abs() >= 0.05);
    format!("{number:.digits$}")
}

macro_rules! kinds {
    ($($kind:ident $name:literal $unit:expr,)*) => {
        /// What is wrong: the third column of the alert table.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Kind {
            $(#[serde(rename = $name)] $kind,)*
        }

        impl Kind {
            pub const ALL: &'static [Kind] = &[$(Kind::$kind,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Kind::$kind => $name,)* }
            }

            /// What its size counts.
            pub fn unit(self) -> Unit {
                match self { $(Kind::$kind => $unit,)* }
            }
        }
    };
}

kinds! {
    Late "late" Unit::Minutes,
    ReportLate "report_late" Unit::Minutes,
    VolumeDrop "volume_drop" Unit::Percent,
    VolumeRise "volume_rise" Unit::Percent,
    NullRise "null_rise" Unit::Points,
    Duplicates "duplicates" Unit::Count("rows"),
    DistributionShift "distribution_shift" Unit::Percent,
    Flat "flat" Unit::Days,
    ColumnGone "column_gone" Unit::Count("columns"),
    ColumnAdded "column_added" Unit::Count("columns"),
    ColumnRetyped "column_retyped" Unit::Count("columns"),
    LateRows "late_rows" Unit::Percent,
    RowsDiffer "rows_differ" Unit::Count("rows"),
    Lag "lag" Unit::Minutes,
    PartitionStuck "partition_stuck" Unit::Minutes,
    DeadLetters "dead_letters" Unit::Percent,
    Rejects "rejects" Unit::Percent,
    LoadFailed "load_failed" Unit::Count("commits"),
    LoadWaiting "load_waiting" Unit::Minutes,
    RunFailed "run_failed" Unit::Count("runs"),
    TestsFailed "tests_failed" Unit::Count("tests"),
    RunSlow "run_slow" Unit::Minutes,
    CostRise "cost_rise" Unit::Percent,
    Budget "budget" Unit::Percent,
    SecretOld "secret_old" Unit::Days,
    SecretExpires "secret_expires" Unit::Days,
    Silent "silent" Unit::Count("runs"),
    NoData "no_data" Unit::Count("rounds"),
    ChannelFailing "channel_failing" Unit::Count("messages"),
    Canary "canary" Unit::Count("messages"),
}

impl Kind {
    /// Who tells it; `None` for what every monitor may have to tell.
    pub fn origin(self) -> Option<Origin> {
        let origin = match self {
            Kind::Lag | Kind::PartitionStuck | Kind::DeadLetters => Origin::Stream,
            Kind::LoadFailed | Kind::LoadWaiting => Origin::Loads,
            Kind::RunFailed | Kind::TestsFailed | Kind::RunSlow => Origin::Dbt,
            Kind::CostRise | Kind::Budget => Origin::Cost,
            Kind::SecretOld | Kind::SecretExpires => Origin::Secrets,
            Kind::Silent => Origin::Functions,
            Kind::ChannelFailing | Kind::Canary => Origin::Watch,
            Kind::NoData => return None,
            Kind::Late
            | Kind::ReportLate
            | Kind::VolumeDrop
            | Kind::VolumeRise
            | Kind::NullRise
            | Kind::Duplicates
            | Kind::DistributionShift
            | Kind::Flat
            | Kind::ColumnGone
            | Kind::ColumnAdded
            | Kind::ColumnRetyped
            | Kind::LateRows
            | Kind::RowsDiffer
            | Kind::Rejects => Origin::Data,
        };
        Some(origin)
    }

    /// Whether days teach what is usual of it.
    pub fn is_learned(self) -> bool {
        let volume = matches!(self, Kind::VolumeDrop | Kind::VolumeRise | Kind::CostRise);
        volume || matches!(self, Kind::NullRise | Kind::DistributionShift)
    }

    /// Of faults of one object the one with the lower rank explains those with a higher one; `None` explains nothing.
    pub fn rank(self) -> Option<u8> {
        match self {
            Kind::Silent => Some(0),
            Kind::RunFailed | Kind::LoadFailed | Kind::ColumnGone | Kind::PartitionStuck => Some(1),
            Kind::LoadWaiting | Kind::Lag => Some(2),
            Kind::Late => Some(3),
            Kind::RowsDiffer => Some(4),
            Kind::VolumeDrop => Some(5),
            _ => None,
        }
    }

    /// Whether a fault upstream, or one of lower rank of the same object, can be all that is behind it.
    pub fn is_effect(self) -> bool {
        matches!(
            self,
            Kind::Late
                | Kind::ReportLate
                | Kind::VolumeDrop
                | Kind::LoadWaiting
                | Kind::TestsFailed
                | Kind::NoData
                | Kind::RowsDiffer
                | Kind::NullRise
                | Kind::DistributionShift
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What was judged: a table, a mart, a function, a warehouse, and of it perhaps a column or a partition.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Object {
    pub name: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
}

impl Object {
    pub fn whole(name: impl fmt::Display) -> Self {
        Object { name: name.to_string(), part: None }
    }

    pub fn part(name: impl fmt::Display, part: impl fmt::Display) -> Self {
        Object { name: name.to_string(), part: Some(part.to_string()) }
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.part {
            None => f.write_str(&self.name),
            Some(part) => write!(f, "{} {part}", self.name),
        }
    }
}

/// A fault and its size. The texts hold counts and times, never a row's value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Breach {
    pub kind: Kind,
    /// In the unit of the kind.
    pub size: f64,
    pub observed: String,
    pub expected: String,
}

/// Why a monitor could not judge.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    /// What it needs was not observed.
    Missing(String),
    /// It has too few days yet; nothing is wrong.
    Learning { days: usize, needed: usize },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    Healthy,
    Breached(Breach),
    /// Not judged, and therefore not healthy.
    Degraded(Why),
}

/// One check of one round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Finding {
    pub monitor: Monitor,
    pub object: Object,
    pub at: DateTime<Utc>,
    pub verdict: Verdict,
}

impl Finding {
    pub fn breach(&self) -> Option<&Breach> {
        match &self.verdict {
            Verdict::Breached(breach) => Some(breach),
            _ => None,
        }
    }
}

impl Verdict {
    pub fn breached(kind: Kind, size: f64, observed: impl Into<String>, expected: impl Into<String>) -> Self {
        Verdict::Breached(Breach { kind, size, observed: observed.into(), expected: expected.into() })
    }

    pub fn missing(what: impl Into<String>) -> Self {
        Verdict::Degraded(Why::Missing(what.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_monitor_has_an_origin_and_every_origin_a_name() {
        for monitor in Monitor::ALL {
            assert!(!Origin::of(*monitor).as_str().is_empty(), "{monitor}");
        }
        assert_eq!(Origin::Watch.as_str(), "watch");
    }

    #[test]
    fn a_size_is_shown_in_the_unit_people_use() {
        for (unit, size, shown) in [
            (Unit::Minutes, 45.0, "45 minutes"),
            (Unit::Minutes, 1800.0, "30 hours"),
            (Unit::Minutes, 4320.0, "3 days"),
            (Unit::Percent, 61.7, "62 %"),
            (Unit::Percent, 2.54, "2.5 %"),
            (Unit::Count("tests"), 3.0, "3 tests"),
        ] {
            assert_eq!(unit.show(size), shown);
        }
    }

    #[test]
    fn a_kinds_name_is_the_word_of_its_serialisation() {
        for kind in Kind::ALL {
            assert_eq!(serde_json::to_value(kind).expect("JSON"), kind.as_str());
        }
    }
}
