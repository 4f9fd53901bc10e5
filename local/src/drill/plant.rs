//! The faults of a drill, and what each changes in a day.

use anyhow::Result;
use chrono::TimeDelta;
use sluice_core::{RunId, Sequence, Sources, event::LoadFailed, sources::Monitor};

use super::tables::{self, CLICKS, ITEMS, LINES, ORDERS, RATES, SIGNALS, VISITS};

/// Of all that is made up.
pub(super) const SEED: u64 = 42;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    DropAtSource,
    LostOnTheWay,
    RowsTwice,
    NoRunForADay,
    TwentyPercentNulls,
    ColumnGone,
    FlatRate,
    AnotherUnit,
    OldRows,
    SlowToReport,
    DbtFails,
    DbtTakesTenTimes,
    CostTimesThree,
    SilentFunction,
    CommitThatFails,
    RejectedRows,
    DeadLetters,
    DeafChannel,
    StuckPartition,
    StreamBehind,
    OldSecret,
    WarehouseCostsThreeTimes,
    RowsRefusedOnTheWay,
}

impl Fault {
    pub(super) const ALL: &[Fault] = &[
        Fault::DropAtSource,
        Fault::LostOnTheWay,
        Fault::NoRunForADay,
        Fault::TwentyPercentNulls,
        Fault::ColumnGone,
        Fault::FlatRate,
        Fault::AnotherUnit,
        Fault::OldRows,
        Fault::SlowToReport,
        Fault::DbtFails,
        Fault::DbtTakesTenTimes,
        Fault::CostTimesThree,
        Fault::SilentFunction,
        Fault::CommitThatFails,
        Fault::RejectedRows,
        Fault::DeadLetters,
        Fault::RowsTwice,
        Fault::StuckPartition,
        Fault::StreamBehind,
        Fault::OldSecret,
        Fault::WarehouseCostsThreeTimes,
        Fault::RowsRefusedOnTheWay,
        Fault::DeafChannel,
    ];
}

/// A day's changes of one table or of the platform.
#[derive(Debug, Clone)]
pub(super) struct Plants {
    pub fault: Option<Fault>,
    pub monitor: Monitor,
    /// At which object and as what it must be told.
    pub object: String,
    pub kind: &'static str,
    pub deaf_channel: Option<&'static str>,
}

impl Plants {
    pub(super) fn none() -> Self {
        Plants { fault: None, monitor: Monitor::Alerts, object: String::new(), kind: "", deaf_channel: None }
    }

    pub(super) fn of(fault: Fault) -> Self {
        let (monitor, object, kind) = match fault {
            Fault::DropAtSource => (Monitor::Volume, CLICKS, "volume_drop"),
            Fault::LostOnTheWay => (Monitor::Reconciliation, LINES, "rows_differ"),
            Fault::RowsTwice => (Monitor::Duplicates, ITEMS, "duplicates"),
            Fault::NoRunForADay => (Monitor::Freshness, VISITS, "late"),
            Fault::TwentyPercentNulls => (Monitor::NullRate, ORDERS, "null_rise"),
            Fault::ColumnGone => (Monitor::Schema, ITEMS, "column_gone"),
            Fault::FlatRate => (Monitor::Distribution, RATES, "flat"),
            Fault::AnotherUnit => (Monitor::Distribution, LINES, "distribution_shift"),
            Fault::OldRows => (Monitor::LateArrival, ORDERS, "late_rows"),
            Fault::SlowToReport => (Monitor::EventToReport, CLICKS, "report_late"),
            Fault::DbtFails => (Monitor::Dbt, "dbt", "tests_failed"),
            Fault::DbtTakesTenTimes => (Monitor::DbtDuration, "dbt", "run_slow"),
            Fault::CostTimesThree => (Monitor::Cost, "dbt", "cost_rise"),
            Fault::SilentFunction => (Monitor::Silence, "extract-postgres", "silent"),
            Fault::CommitThatFails => (Monitor::Loads, ORDERS, "load_failed"),
            Fault::RejectedRows => (Monitor::Rejects, LINES, "rejects"),
            Fault::DeadLetters => (Monitor::DeadLetters, SIGNALS, "dead_letters"),
            Fault::StuckPartition => (Monitor::Lag, SIGNALS, "partition_stuck"),
            Fault::StreamBehind => (Monitor::Lag, SIGNALS, "lag"),
            Fault::OldSecret => (Monitor::Secrets, "drill/hubspot", "secret_old"),
            Fault::WarehouseCostsThreeTimes => (Monitor::Cost, "LOADING", "cost_rise"),
            Fault::RowsRefusedOnTheWay => (Monitor::Loads, SIGNALS, "load_failed"),
            Fault::DeafChannel => (Monitor::Alerts, "hook", "channel_failing"),
        };
        let object = match monitor {
            Monitor::Dbt
            | Monitor::DbtDuration
            | Monitor::Cost
            | Monitor::Secrets
            | Monitor::Silence
            | Monitor::Alerts => object.to_owned(),
            _ => tables::full_name(object),
        };
        let object = match fault {
            Fault::LostOnTheWay => format!("{object} commit and load"),
            Fault::TwentyPercentNulls => format!("{object} email"),
            Fault::FlatRate => format!("{object} rate"),
            Fault::AnotherUnit => format!("{object} price"),
            Fault::StuckPartition => format!("{object} partition 2"),
            Fault::StreamBehind => format!("{object} partition 0"),
            Fault::RowsRefusedOnTheWay => format!("{object} announced failures"),
            _ => object,
        };
        Plants {
            fault: Some(fault),
            monitor,
            object,
            kind,
            deaf_channel: (fault == Fault::DeafChannel).then_some("/hook"),
        }
    }

    /// The objects at which something is reported rightly, by the beginnings of their names.
    pub(super) fn objects(&self) -> Vec<String> {
        let mut objects = vec![self.object.split(' ').next().unwrap_or_default().to_owned()];
        if self.fault == Some(Fault::SilentFunction) {
            objects.extend(tables::POSTGRES.map(|(name, ..)| tables::full_name(name)));
        }
        objects
    }

    pub(super) fn is(&self, fault: Fault, table: &str) -> bool {
        self.fault == Some(fault) && self.object.starts_with(&tables::full_name(table))
    }

    /// How much longer ago than the others its day is: what a day cost arrives on the next.
    pub(super) fn arrives_after(&self) -> TimeDelta {
        TimeDelta::days(i64::from(self.fault == Some(Fault::WarehouseCostsThreeTimes)))
    }

    /// What the bus tells of it.
    pub(super) fn news(&self) -> Option<LoadFailed> {
        let table = tables::full_name(SIGNALS);
        let news = LoadFailed {
            id: format!("{table}#signals-0:7"),
            run_id: RunId("drill".into()),
            table: table.parse().ok()?,
            sequence: Sequence(7),
            kind: "InvalidData".into(),
            reason: "rows were refused".into(),
        };
        (self.fault == Some(Fault::RowsRefusedOnTheWay)).then_some(news)
    }

    /// The sources as the watcher reads them: with a column that the table lacks, where one is gone.
    pub(super) fn sources(&self, sources: &Sources) -> Result<Sources> {
        if self.fault != Some(Fault::ColumnGone) {
            return Ok(sources.clone());
        }
        Ok(Sources::parse(&tables::sources(Some(ITEMS)))?)
    }
}
