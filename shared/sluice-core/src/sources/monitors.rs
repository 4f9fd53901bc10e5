//! What is watched, and what an entry changes in it: the block `monitors`.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{
    judge::{Count, Fields, List, Report},
    yaml::{At, Node, Place},
};

macro_rules! monitors {
    ($($(#[$says:meta])* $monitor:ident $name:literal,)*) => {
        /// One thing that is watched, by the name that settings, findings and alerts have for it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[cfg_attr(test, derive(schemars::JsonSchema))]
        pub enum Monitor {
            $($(#[$says])* #[serde(rename = $name)] $monitor,)*
        }

        impl Monitor {
            pub const ALL: &'static [Monitor] = &[$(Monitor::$monitor,)*];

            pub fn as_str(self) -> &'static str {
                match self { $(Monitor::$monitor => $name,)* }
            }
        }
    };
}

monitors! {
    /// How old the newest commit or row is.
    Freshness "freshness",
    /// How long an event takes from its time to the report.
    EventToReport "event_to_report",
    /// How many rows a day brings.
    Volume "volume",
    /// Which share of a column has no value.
    NullRate "null_rate",
    /// Rows whose key another row has.
    Duplicates "duplicates",
    /// Where a column's numbers lie, and whether they still change.
    Distribution "distribution",
    /// The columns and their types.
    Schema "schema",
    /// Rows that come long after their time.
    LateArrival "late_arrival",
    /// Rows of the source, the commit, the load and the table.
    Reconciliation "reconciliation",
    /// How far a stream is behind its topic.
    Lag "lag",
    /// Records that broke their contract on the way.
    DeadLetters "dead_letters",
    /// Rows that broke their contract in a run.
    Rejects "rejects",
    /// Commits that do not load.
    Loads "loads",
    /// Runs and tests of dbt.
    Dbt "dbt",
    /// How long a run of dbt takes.
    DbtDuration "dbt_duration",
    /// What a day costs.
    Cost "cost",
    /// How old keys and secrets are.
    Secrets "secrets",
    /// Runs that are due and do not happen.
    Silence "silence",
    /// Whether alerts reach their channels.
    Alerts "alerts",
}

impl Monitor {
    /// Whether it judges tables, so that an entry may turn it off.
    pub fn is_of_tables(self) -> bool {
        !matches!(
            self,
            Monitor::Dbt | Monitor::DbtDuration | Monitor::Cost | Monitor::Secrets | Monitor::Silence | Monitor::Alerts
        )
    }
}

impl fmt::Display for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What monitors do differently for one table. What is left out has the default of its kind of source.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(default, deny_unknown_fields)]
pub struct Monitors {
    /// Monitors that do not judge this table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub off: Vec<Monitor>,
    /// The table is late when its newest commit, or row of a stream, is older.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub freshness_minutes: Option<u32>,
    /// The column that says when a row's event happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_time: Option<String>,
    /// An event is late in the report when it takes longer.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub event_to_report_minutes: Option<u32>,
    /// A smaller change of a day's rows is never told, in per cent.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volume_change_percent: Option<u32>,
    /// A day with fewer rows is told, whatever was learned.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub minimum_rows_per_day: Option<u32>,
    /// A day with more rows is told, whatever was learned.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maximum_rows_per_day: Option<u32>,
    /// The columns whose share of nulls is watched; without it all that may be null.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub null_columns: Vec<String>,
    /// A smaller change of a share of nulls is never told, in points of a hundred.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub null_change_points: Option<u32>,
    /// The columns of numbers whose distribution is watched.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub distribution_columns: Vec<String>,
    /// A row is late when it loads this long after its event.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_hours: Option<u32>,
    /// Late rows are told from this share of a day's rows.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late_percent: Option<u32>,
    /// The stream is behind when its oldest unread record is older.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lag_minutes: Option<u32>,
    /// Records or rows that broke the contract are told from this share.
    #[cfg_attr(test, schemars(range(min = 1)))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected_percent: Option<u32>,
}

impl Monitors {
    pub fn is_default(&self) -> bool {
        *self == Monitors::default()
    }
}

/// The block and where each of its settings stands.
#[derive(Debug)]
pub(super) struct MonitorsEntry {
    monitors: Monitors,
    pub off: Vec<At<Monitor>>,
    pub null_columns: List,
    pub distribution_columns: List,
    pub event_time: Option<At<String>>,
    given: Vec<(&'static str, Place)>,
}

impl MonitorsEntry {
    pub(super) fn read(entry: &str, node: &Node, report: &mut Report) -> Option<Self> {
        let mut fields = Fields::of(format!("{entry}: monitors"), node, report)?;
        let mut given = Vec::new();
        let off = words(&mut fields, "off", report);
        let freshness_minutes = count("freshness_minutes", &mut fields, &mut given, report);
        let event_time = fields.optional::<String>("event_time", report);
        let event_to_report_minutes = count("event_to_report_minutes", &mut fields, &mut given, report);
        let volume_change_percent = count("volume_change_percent", &mut fields, &mut given, report);
        let minimum_rows_per_day = count("minimum_rows_per_day", &mut fields, &mut given, report);
        let maximum_rows_per_day = count("maximum_rows_per_day", &mut fields, &mut given, report);
        let null_columns = texts("null_columns", &mut fields, &mut given, report);
        let null_change_points = count("null_change_points", &mut fields, &mut given, report);
        let distribution_columns = texts("distribution_columns", &mut fields, &mut given, report);
        let late_hours = count("late_hours", &mut fields, &mut given, report);
        let late_percent = count("late_percent", &mut fields, &mut given, report);
        let lag_minutes = count("lag_minutes", &mut fields, &mut given, report);
        let rejected_percent = count("rejected_percent", &mut fields, &mut given, report);
        fields.end(report);
        let plain = |list: &List| list.iter().map(|item| item.value.clone()).collect();
        let monitors = Monitors {
            off: off.iter().map(|monitor| monitor.value).collect(),
            freshness_minutes,
            event_time: event_time.as_ref().map(|name| name.value.clone()),
            event_to_report_minutes,
            volume_change_percent,
            minimum_rows_per_day,
            maximum_rows_per_day,
            null_columns: plain(&null_columns),
            null_change_points,
            distribution_columns: plain(&distribution_columns),
            late_hours,
            late_percent,
            lag_minutes,
            rejected_percent,
        };
        Some(MonitorsEntry { monitors, off, null_columns, distribution_columns, event_time, given })
    }

    /// Where a setting stands, if it is given.
    pub(super) fn place(&self, setting: &str) -> Option<Place> {
        self.given.iter().find(|(name, _)| *name == setting).map(|(_, place)| *place)
    }

    pub(super) fn values(&self) -> &Monitors {
        &self.monitors
    }

    pub(super) fn monitors(self) -> Monitors {
        self.monitors
    }
}

type Given = Vec<(&'static str, Place)>;

fn count(name: &'static str, fields: &mut Fields<'_>, given: &mut Given, report: &mut Report) -> Option<u32> {
    let count = fields.optional::<Count>(name, report)?;
    given.push((name, count.place));
    Some(count.value.0)
}

fn texts(name: &'static str, fields: &mut Fields<'_>, given: &mut Given, report: &mut Report) -> List {
    let Some(list) = fields.list(name, report) else { return List::new() };
    given.push((name, list.place));
    if list.value.is_empty() {
        fields.tell(list.place, format_args!("`{name}` names no column; name one or leave it out"), report);
    }
    list.value
}

fn words(fields: &mut Fields<'_>, name: &'static str, report: &mut Report) -> Vec<At<Monitor>> {
    let Some(list) = fields.list(name, report) else { return Vec::new() };
    let mut monitors = Vec::new();
    for At { value, place } in list.value {
        let of_tables = || Monitor::ALL.iter().copied().filter(|monitor| monitor.is_of_tables());
        match of_tables().find(|monitor| monitor.as_str() == value) {
            Some(monitor) => monitors.push(At { value: monitor, place }),
            None => {
                let known = of_tables().map(Monitor::as_str).collect::<Vec<_>>().join(", ");
                fields.tell(
                    place,
                    format_args!("`{name}`: '{value}' is no monitor of a table; known are {known}"),
                    report,
                );
            }
        }
    }
    monitors
}
