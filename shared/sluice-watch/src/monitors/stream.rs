//! How a stream follows its topic.

use chrono::{DateTime, Utc};
use sluice_core::sources::Monitor;

use super::{Context, loads::Shares};
use crate::{
    finding::{Kind, Unit, Verdict},
    settings::TableSettings,
};

/// A partition is stuck when its committed offset has not moved in this many samples while its topic grew in most of them.
const SAMPLES: usize = 6;
const GROWING_SAMPLES: usize = 5;

/// One partition of a topic.
#[derive(Debug, Clone, Default)]
pub struct Partition {
    pub partition: u64,
    /// The time of the oldest record that is not committed; `None` when all are.
    pub oldest_unread: Option<DateTime<Utc>>,
    /// Pairs of the topic's latest and the stream's committed offset, a minute apart, oldest first.
    pub offsets: Vec<(u64, u64)>,
}

pub(super) fn lag(
    settings: &TableSettings,
    partitions: Option<&[Partition]>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    let Some(partitions) = partitions.filter(|partitions| !partitions.is_empty()) else {
        add(Monitor::Lag, None, Verdict::missing("the topic's offsets were not observed"));
        return;
    };
    for partition in partitions {
        let part = format!("partition {}", partition.partition);
        add(Monitor::Lag, Some(&part), partition.verdict(settings, context));
    }
}

impl Partition {
    fn verdict(&self, settings: &TableSettings, context: &Context<'_>) -> Verdict {
        let Some((latest, committed)) = self.offsets.last() else {
            return Verdict::missing("the partition's offsets were not observed");
        };
        let waiting = latest.saturating_sub(*committed);
        let age = self.oldest_unread.map_or(0.0, |oldest| (context.now - oldest).num_seconds().max(0) as f64 / 60.0);
        let observed = format!("{waiting} records wait, the oldest for {}", Unit::Minutes.show(age));
        if self.is_stuck() {
            return Verdict::breached(Kind::PartitionStuck, age, observed, "a committed offset that moves");
        }
        if waiting > 0 && age > settings.lag_minutes {
            let expected = format!("at most {}", Unit::Minutes.show(settings.lag_minutes));
            return Verdict::breached(Kind::Lag, age, observed, expected);
        }
        Verdict::Healthy
    }

    fn is_stuck(&self) -> bool {
        let Some(from) = self.offsets.len().checked_sub(SAMPLES + 1) else { return false };
        let pairs = || self.offsets[from..].windows(2).map(|pair| (pair[0], pair[1]));
        let stands = pairs().all(|((_, before), (_, after))| before == after);
        let growing = pairs().filter(|((before, _), (after, _))| after > before).count();
        stands && growing >= GROWING_SAMPLES
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
