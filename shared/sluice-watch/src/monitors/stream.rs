//! How a stream follows its topic.

use chrono::{DateTime, Utc};
use sluice_core::sources::Monitor;

use super::{Context, loads::Shares};
use crate::{
    finding::{Kind, Unit, Verdict, short},
    settings::TableSettings,
};

/// A partition is stuck when by its share this many rows would have come since its newest, and none has: of a partition that goes
/// on, chance brings that once in e^20.
const EXPECTED_ROWS: f64 = 20.0;

/// A pause that is shorter is never told.
const LEAST_PAUSE_MINUTES: f64 = 15.0;

/// What was loaded longer ago says nothing about how far behind the stream is now.
const RECENT_MINUTES: f64 = 60.0;

/// One partition of a topic, by its rows of the last days.
#[derive(Debug, Clone)]
pub struct Partition {
    pub partition: u64,
    /// When its newest row was appended.
    pub newest_load: DateTime<Utc>,
    /// How old its newest record was then.
    pub behind_minutes: f64,
    /// Rows that by its share of the topic would have come since.
    pub expected_rows: f64,
}

pub(super) fn lag(
    settings: &TableSettings,
    partitions: Option<&[Partition]>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let Some(partitions) = partitions else {
        add(Monitor::Lag, None, Verdict::missing("the rows of the topic's partitions were not observed"));
        return;
    };
    for partition in partitions {
        let part = format!("partition {}", partition.partition);
        add(Monitor::Lag, Some(&part), partition.verdict(settings, context));
    }
}

impl Partition {
    fn verdict(&self, settings: &TableSettings, context: &Context<'_>) -> Verdict {
        let pause = (context.now - self.newest_load).num_seconds().max(0) as f64 / 60.0;
        if self.expected_rows >= EXPECTED_ROWS && pause >= LEAST_PAUSE_MINUTES {
            let observed = format!("no row for {}", Unit::Minutes.show(pause));
            let expected = format!("some {} rows, by its share of the topic", short(self.expected_rows));
            return Verdict::breached(Kind::PartitionStuck, pause, observed, expected);
        }
        if pause <= RECENT_MINUTES && self.behind_minutes > settings.lag_minutes {
            let observed = format!("its newest record was loaded {} late", Unit::Minutes.show(self.behind_minutes));
            let expected = format!("at most {}", Unit::Minutes.show(settings.lag_minutes));
            return Verdict::breached(Kind::Lag, self.behind_minutes, observed, expected);
        }
        Verdict::Healthy
    }
}

pub(super) fn dead_letters(
    settings: &TableSettings,
    letters: Option<Shares>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let verdict = match letters {
        None => Verdict::missing("dead letters were not counted"),
        Some(letters) => letters.verdict(Kind::DeadLetters, "records", settings.rejected_percent),
    };
    add(Monitor::DeadLetters, None, verdict);
}
