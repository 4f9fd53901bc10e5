//! Faults, as they show in what is observed.

use chrono::{DateTime, Days, Duration, NaiveDate, Utc};
use sluice_watch::monitors::{ColumnFacts, SecretFacts, TableFacts};

use super::days::{Morning, World};

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FaultKind {
    /// Rows are missing that the source never had.
    DropAtSource,
    /// Rows of the source do not reach the commit.
    DropOnTheWay,
    /// Rows come twice.
    Double,
    Late,
    Nulls,
    ColumnGone,
    /// A rate that no longer changes.
    Flat,
    StuckPartition,
    DbtFails,
    Cost,
    SilentFunction,
    LoadFails,
    DeadLetters,
    Rejects,
    LateRows,
    OldSecret,
    /// Numbers in another unit.
    Shift,
}

impl FaultKind {
    /// Those that a drill plants, with the size that it plants: a factor, a share or hours.
    pub const PLANTED: [(FaultKind, f64); 11] = [
        (FaultKind::DropAtSource, 0.6),
        (FaultKind::DropOnTheWay, 0.6),
        (FaultKind::Double, 2.0),
        (FaultKind::Late, 30.0),
        (FaultKind::Nulls, 0.2),
        (FaultKind::ColumnGone, 1.0),
        (FaultKind::Flat, 1.0),
        (FaultKind::StuckPartition, 1.0),
        (FaultKind::DbtFails, 1.0),
        (FaultKind::Cost, 3.0),
        (FaultKind::SilentFunction, 1.0),
    ];

    /// Others that monitors see.
    pub const OTHERS: [(FaultKind, f64); 6] = [
        (FaultKind::LoadFails, 1.0),
        (FaultKind::DeadLetters, 0.05),
        (FaultKind::Rejects, 0.3),
        (FaultKind::LateRows, 0.3),
        (FaultKind::OldSecret, 120.0),
        (FaultKind::Shift, 100.0),
    ];
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Fault {
    pub kind: FaultKind,
    pub size: f64,
    /// Which of the world's tables, warehouses or functions.
    pub at: usize,
}

impl Fault {
    /// The objects that it is seen at, the one that is at fault first; empty where the world has none for it.
    pub fn objects(&self, world: &World) -> Vec<String> {
        let table = |fits: &dyn Fn(&super::Series) -> bool| {
            let all: Vec<&super::Series> = world.series.iter().filter(|series| fits(series)).collect();
            let found = all.get(self.at % all.len().max(1));
            found.map(|series| series.settings.table.clone()).into_iter().collect::<Vec<_>>()
        };
        match self.kind {
            // A change that the size of the table or its noise hides is found by exact checks or not at all.
            FaultKind::DropAtSource => table(&|series| series.rows >= 200.0 && series.noise > 0.0),
            FaultKind::DropOnTheWay | FaultKind::Double | FaultKind::ColumnGone => table(&|_| true),
            FaultKind::Late => table(&|series| !series.settings.is_streaming),
            FaultKind::Rejects | FaultKind::LoadFails => table(&|series| !series.settings.is_streaming),
            FaultKind::Nulls => table(&|series| !series.settings.null_columns.is_empty() && series.rows >= 100.0),
            FaultKind::LateRows => table(&|series| series.settings.event_time.is_some()),
            FaultKind::Flat => table(&|series| series.noise == 0.0),
            FaultKind::Shift => table(&|series| !series.settings.is_streaming && series.noise > 0.0),
            FaultKind::StuckPartition | FaultKind::DeadLetters => table(&|series| series.settings.is_streaming),
            FaultKind::DbtFails => vec!["dbt".to_owned()],
            FaultKind::Cost => vec![["LOADING", "TRANSFORMING", "REPORTING"][self.at % 3].to_owned()],
            FaultKind::OldSecret => vec!["hubspot".to_owned()],
            FaultKind::SilentFunction => {
                let functions: std::collections::BTreeSet<&str> =
                    world.series.iter().map(|series| series.function).collect();
                let name = functions.iter().nth(self.at % functions.len().max(1)).copied().unwrap_or_default();
                let fed = world.series.iter().filter(|series| series.function == name);
                std::iter::once(name.to_owned()).chain(fed.map(|series| series.settings.table.clone())).collect()
            }
        }
    }
}

impl World {
    /// The morning after a day, with faults planted.
    pub fn morning(&self, day: NaiveDate, faults: &[Fault]) -> Morning {
        let mut morning = self.clean_morning(day);
        faults.iter().for_each(|fault| plant(fault, &mut morning, self));
        morning
    }
}

fn plant(fault: &Fault, morning: &mut Morning, world: &World) {
    let objects = fault.objects(world);
    let (now, day) = (morning.now, morning.day);
    let platform = &mut morning.platform;
    match fault.kind {
        FaultKind::DbtFails => platform.dbt.iter_mut().for_each(|dbt| dbt.failed = true),
        FaultKind::Cost => {
            let costs = platform.costs.iter_mut().filter(|cost| objects.contains(&cost.object));
            costs.for_each(|cost| cost.amount = cost.amount.map(|amount| amount * fault.size));
        }
        FaultKind::OldSecret => platform
            .secrets
            .iter_mut()
            .flatten()
            .filter(|secret| objects.contains(&secret.name))
            .for_each(|secret: &mut SecretFacts| secret.changed_at = Some(now - Duration::days(fault.size as i64))),
        FaultKind::SilentFunction => {
            let silent = Some(now - Duration::hours(8));
            let functions = platform.functions.iter_mut().filter(|function| objects[0] == function.name);
            functions.for_each(|function| function.newest_run = silent);
        }
        _ => {}
    }
    let of_tables = morning.tables.iter_mut().filter(|(settings, _)| objects.contains(&settings.table));
    for (settings, facts) in of_tables {
        match fault.kind {
            FaultKind::SilentFunction => {
                facts.arrivals.iter_mut().for_each(|arrivals| arrivals.newest = Some(now - Duration::hours(8)));
            }
            FaultKind::Flat => {
                let column = facts.columns.iter_mut().find(|column| column.profile.is_some());
                column.into_iter().for_each(|column| stand_still(column, day));
            }
            FaultKind::StuckPartition => {
                let partition = facts.partitions.iter_mut().flatten().next();
                if let Some(partition) = partition {
                    (partition.newest_load, partition.expected_rows) = (now - Duration::minutes(40), 60.0);
                }
            }
            kind => in_table(kind, fault.size, facts, now),
        }
        if fault.kind == FaultKind::ColumnGone {
            let gone = "price";
            facts.columns.retain(|column| column.name != gone || settings.distribution_columns.is_empty());
        }
    }
}

fn in_table(kind: FaultKind, size: f64, facts: &mut TableFacts, now: DateTime<Utc>) {
    let rows = facts.rows.as_ref().map_or(0, |rows| rows.rows);
    let set_rows = |facts: &mut TableFacts, count: u64| {
        facts.rows.iter_mut().for_each(|rows| rows.rows = count);
    };
    match kind {
        FaultKind::DropAtSource => {
            let left = (rows as f64 * (1.0 - size)).round() as u64;
            set_rows(facts, left);
            facts.keys.iter_mut().for_each(|keys| (keys.rows, keys.keys) = (left, left));
            facts.pairs.iter_mut().for_each(|pair| (pair.left_rows, pair.right_rows) = (Some(left), Some(left)));
        }
        FaultKind::DropOnTheWay => {
            let left = (rows as f64 * (1.0 - size)).round() as u64;
            set_rows(facts, left);
            facts.pairs.iter_mut().for_each(|pair| {
                pair.right_rows = Some(left);
                if pair.left != "source" {
                    pair.left_rows = Some(left);
                }
            });
        }
        FaultKind::Double => {
            let all = (rows as f64 * size).round() as u64;
            set_rows(facts, all);
            facts.keys.iter_mut().for_each(|keys| keys.rows = all);
            facts.pairs.iter_mut().for_each(|pair| (pair.left_rows, pair.right_rows) = (Some(all), Some(all)));
        }
        FaultKind::Late => {
            let newest = now - Duration::minutes((size * 60.0) as i64);
            facts.arrivals.iter_mut().for_each(|arrivals| arrivals.newest = Some(newest));
        }
        FaultKind::Nulls => {
            let column = facts.columns.iter_mut().find(|column| column.nulls.is_some());
            column.into_iter().for_each(|column| {
                let more = (column.rows as f64 * size).round() as u64;
                column.nulls = column.nulls.map(|nulls| (nulls + more).min(column.rows));
            });
        }
        FaultKind::ColumnGone => {
            facts.shape.iter_mut().for_each(|shape| drop(shape.found.remove("price")));
        }
        FaultKind::LoadFails => facts.loads.iter_mut().for_each(|loads| loads.failed = size as u64),
        FaultKind::DeadLetters => {
            facts.dead_letters.iter_mut().for_each(|letters| letters.bad = (letters.all as f64 * size) as u64);
        }
        FaultKind::Rejects => {
            facts.rejects.iter_mut().for_each(|rejects| rejects.bad = (rejects.all as f64 * size) as u64);
        }
        FaultKind::LateRows => {
            facts.late_rows.iter_mut().for_each(|late| late.late = (late.rows as f64 * size) as u64);
        }
        FaultKind::Shift => {
            let profiles = facts.columns.iter_mut().filter_map(|column| column.profile.as_mut());
            profiles.for_each(|profile| profile.mean *= size);
        }
        _ => {}
    }
}

/// The day has the numbers of the day before.
fn stand_still(column: &mut ColumnFacts, day: NaiveDate) {
    if let Some(before) = column.earlier.get(&(day - Days::new(1))) {
        column.profile = Some(*before);
    }
}
