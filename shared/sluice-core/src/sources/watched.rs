//! What the block `monitors` of an entry must keep: its columns are there, and each setting has an effect.

use super::{
    Loader,
    entry::Entry,
    monitors::{Monitor, MonitorsEntry},
};
use crate::{
    ColumnType,
    judge::Report,
    yaml::{At, Place},
};

/// Each setting with the monitor that it is for.
const SETTINGS: [(&str, Monitor); 12] = [
    ("freshness_minutes", Monitor::Freshness),
    ("event_to_report_minutes", Monitor::EventToReport),
    ("volume_change_percent", Monitor::Volume),
    ("minimum_rows_per_day", Monitor::Volume),
    ("maximum_rows_per_day", Monitor::Volume),
    ("null_columns", Monitor::NullRate),
    ("null_change_points", Monitor::NullRate),
    ("distribution_columns", Monitor::Distribution),
    ("late_hours", Monitor::LateArrival),
    ("late_percent", Monitor::LateArrival),
    ("lag_minutes", Monitor::Lag),
    ("rejected_percent", Monitor::Rejects),
];

pub(super) fn judge(entry: &Entry, report: &mut Report) {
    let Some(block) = &entry.monitors else { return };
    let mut tell = |place: Place, text: String| report.add(place, format!("{}: monitors: {text}", entry.name));
    for (at, monitor) in block.off.iter().enumerate() {
        if block.off[..at].iter().any(|earlier| earlier.value == monitor.value) {
            tell(monitor.place, format!("`off` has '{}' twice; keep one", monitor.value));
        }
    }
    for (name, monitor) in SETTINGS {
        let Some(place) = block.place(name) else { continue };
        let both = [monitor, if monitor == Monitor::Rejects { Monitor::DeadLetters } else { monitor }];
        if both.iter().all(|monitor| block.off.iter().any(|off| off.value == *monitor)) {
            tell(place, format!("`{name}` has no effect, because {monitor} is off; keep one"));
        }
    }
    let is_streaming = entry.loader.as_ref().map(|loader| loader.value == Loader::Streaming);
    if let (Some(place), Some(false)) = (block.place("lag_minutes"), is_streaming) {
        tell(place, "`lag_minutes` has no effect: only a streaming table has a lag; leave it out".to_owned());
    }
    let values = block.values();
    for name in ["event_to_report_minutes", "late_hours", "late_percent"] {
        if let (Some(place), None) = (block.place(name), &block.event_time) {
            tell(place, format!("`{name}` has no effect without `event_time`, the column of an event's time"));
        }
    }
    if let (Some(low), Some(high), Some(place)) =
        (values.minimum_rows_per_day, values.maximum_rows_per_day, block.place("maximum_rows_per_day"))
        && low > high
    {
        tell(place, "no day's rows lie between `minimum_rows_per_day` and `maximum_rows_per_day`".to_owned());
    }
    for name in ["late_percent", "rejected_percent"] {
        let value = if name == "late_percent" { values.late_percent } else { values.rejected_percent };
        if let (Some(place), Some(101..)) = (block.place(name), value) {
            tell(place, format!("`{name}` is a share and at most 100"));
        }
    }
    columns(entry, block, report);
}

fn columns(entry: &Entry, block: &MonitorsEntry, report: &mut Report) {
    if entry.columns.is_none() {
        return;
    }
    let number = |kind| matches!(kind, ColumnType::Bigint | ColumnType::Decimal(..));
    let time = |kind| matches!(kind, ColumnType::Timestamp | ColumnType::Date);
    for name in &block.distribution_columns {
        column(entry, "distribution_columns", name, number, "a bigint or decimal", report);
    }
    if let Some(name) = &block.event_time {
        column(entry, "event_time", name, time, "a timestamp or date", report);
    }
    for name in &block.null_columns {
        column(entry, "null_columns", name, |_| true, "", report);
        if entry.column(&name.value).is_some_and(|column| column.required) {
            let text = format!("`null_columns`: '{}' is required and never null; leave it out", name.value);
            report.add(name.place, format!("{}: monitors: {text}", entry.name));
        }
    }
}

fn column(
    entry: &Entry,
    setting: &str,
    name: &At<String>,
    fits: impl Fn(ColumnType) -> bool,
    wanted: &str,
    report: &mut Report,
) {
    let text = match entry.column(&name.value) {
        None => format!("`{setting}`: '{}' is none of its columns", name.value),
        Some(column) => match &column.column_type {
            Some(kind) if !fits(kind.value) => {
                format!("`{setting}`: '{}' is a {} and must be {wanted}", name.value, kind.value)
            }
            _ => return,
        },
    };
    report.add(name.place, format!("{}: monitors: {text}", entry.name));
}
