//! What columns hold: the share without a value, where numbers lie, and which columns there are.

use std::collections::BTreeMap;

use chrono::{Datelike, NaiveDate};
use sluice_core::sources::Monitor;

use super::Context;
use crate::{
    baseline::{
        History, Mark,
        history::{NEEDED_DAYS, NEEDED_DAYS_FOR_EMPTY},
        level, share,
    },
    finding::{Kind, Verdict, Why, short},
    settings::TableSettings,
};

/// A smaller change of a column's mean is never reported, in per cent.
const LEAST_SHIFT_PERCENT: f64 = 10.0;

/// This many earlier days of the same weekday must have changed before a day that does not is reported.
const CHANGED_WEEKDAYS: usize = 3;

/// One column on the newest complete day, and before.
#[derive(Debug, Clone, Default)]
pub struct ColumnFacts {
    pub name: String,
    pub rows: u64,
    pub nulls: Option<u64>,
    /// Shares of nulls, from 0 to 1.
    pub null_history: History,
    pub profile: Option<Profile>,
    /// Profiles of earlier days.
    pub earlier: BTreeMap<NaiveDate, Profile>,
    /// What a person says of them.
    pub marks: BTreeMap<NaiveDate, Mark>,
}

/// Where a day's numbers lie.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Profile {
    pub mean: f64,
    pub minimum: f64,
    pub maximum: f64,
}

/// The columns that a table should have and those it has, each with its type.
#[derive(Debug, Clone, Default)]
pub struct Shape {
    pub contract: BTreeMap<String, String>,
    pub found: BTreeMap<String, String>,
}

pub(super) fn nulls(
    settings: &TableSettings,
    columns: &[ColumnFacts],
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    for name in &settings.null_columns {
        let facts = columns.iter().find(|column| column.name == *name);
        let verdict = match facts.and_then(|facts| facts.nulls.map(|nulls| (facts, nulls))) {
            None => Verdict::missing("nulls were not counted"),
            // A day without rows has no share; that it has none is for the volume to tell.
            Some((facts, _)) if facts.rows == 0 => Verdict::Healthy,
            Some((facts, nulls)) => null_rate(settings, facts, nulls, context),
        };
        add(Monitor::NullRate, Some(name), verdict);
    }
}

fn null_rate(settings: &TableSettings, facts: &ColumnFacts, nulls: u64, context: &Context<'_>) -> Verdict {
    let ColumnFacts { rows, null_history, .. } = facts;
    match share::judge(null_history, context.day, nulls, *rows, &settings.table, context.calendar) {
        Err(days) => Verdict::Degraded(Why::Learning { days, needed: NEEDED_DAYS_FOR_EMPTY }),
        Ok(expected) if expected.is_unusual(settings.null_change_points) => {
            let observed = format!("{nulls} of {rows} rows have no value");
            let usual = format!("{} % as before", short(100.0 * expected.share));
            Verdict::breached(Kind::NullRise, expected.change_points, observed, usual)
        }
        Ok(_) => Verdict::Healthy,
    }
}

pub(super) fn distribution(
    settings: &TableSettings,
    columns: &[ColumnFacts],
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Option<&str>, Verdict),
) {
    for name in &settings.distribution_columns {
        let facts = columns.iter().find(|column| column.name == *name);
        let verdict = match facts.and_then(|facts| facts.profile.map(|profile| (facts, profile))) {
            None if facts.is_some_and(|facts| facts.rows == 0) => Verdict::Healthy,
            None => Verdict::missing("its numbers were not observed"),
            Some((facts, profile)) => {
                flat(facts, profile, settings, context).unwrap_or_else(|| shift(facts, profile, settings, context))
            }
        };
        add(Monitor::Distribution, Some(name), verdict);
    }
}

/// A day that repeats the day before, on a weekday on which none did so far.
fn flat(facts: &ColumnFacts, profile: Profile, settings: &TableSettings, context: &Context<'_>) -> Option<Verdict> {
    let repeats = |day: NaiveDate, profile: Profile| Some(facts.earlier.get(&day.pred_opt()?)? == &profile);
    if !repeats(context.day, profile)? || context.calendar.on(&settings.table, context.day).is_some() {
        return None;
    }
    let same_weekday = facts.earlier.range(..context.day).filter(|(day, _)| day.weekday() == context.day.weekday());
    let outside = same_weekday.filter(|(day, _)| context.calendar.on(&settings.table, **day).is_none());
    let known: Vec<bool> = outside.filter_map(|(day, profile)| repeats(*day, *profile)).collect();
    let newest = known.iter().rev().skip_while(|repeated| **repeated);
    if newest.clone().count() < CHANGED_WEEKDAYS || newest.clone().any(|repeated| *repeated) {
        return None;
    }
    let days = facts.earlier.range(..context.day).rev().take_while(|(_, earlier)| **earlier == profile).count();
    let observed = format!("mean, minimum and maximum are those of the {days} days before");
    let weekday = context.day.format("%A");
    Some(Verdict::breached(Kind::Flat, days as f64, observed, format!("a change on each {weekday} so far")))
}

fn shift(facts: &ColumnFacts, profile: Profile, settings: &TableSettings, context: &Context<'_>) -> Verdict {
    let mut means: History = facts.earlier.iter().map(|(day, profile)| (*day, profile.mean)).collect();
    facts.marks.iter().for_each(|(day, mark)| means.mark(*day, *mark));
    match level::judge(&means, context.day, profile.mean, &settings.table, context.calendar) {
        Err(days) => Verdict::Degraded(Why::Learning { days, needed: NEEDED_DAYS }),
        Ok(expected) if expected.is_unusual(LEAST_SHIFT_PERCENT) => {
            let observed = format!("the mean has moved by {} %", short(expected.change_percent));
            let size = expected.change_percent.abs();
            Verdict::breached(Kind::DistributionShift, size, observed, "a mean near that of the last week")
        }
        Ok(_) => Verdict::Healthy,
    }
}

pub(super) fn schema(shape: Option<&Shape>, add: &mut impl FnMut(Monitor, Option<&str>, Verdict)) {
    add(Monitor::Schema, None, shape.map_or_else(|| Verdict::missing("its columns were not observed"), Shape::verdict));
}

impl Shape {
    /// The worst difference is the kind; the text tells all of them.
    fn verdict(&self) -> Verdict {
        let Shape { contract, found } = self;
        let gone = contract.keys().filter(|name| !found.contains_key(*name));
        let added = found.keys().filter(|name| !contract.contains_key(*name));
        let retyped = contract.iter().filter(|(name, kind)| found.get(*name).is_some_and(|found| found != *kind));
        let groups: [(Kind, &str, Vec<&String>); 3] = [
            (Kind::ColumnGone, "gone", gone.collect()),
            (Kind::ColumnRetyped, "of another type", retyped.map(|(name, _)| name).collect()),
            (Kind::ColumnAdded, "new", added.collect()),
        ];
        let Some((kind, _, worst)) = groups.iter().find(|(_, _, names)| !names.is_empty()) else {
            return Verdict::Healthy;
        };
        let told = groups.iter().filter(|(_, _, names)| !names.is_empty());
        let told: Vec<String> = told.map(|(_, word, names)| format!("{word}: {}", list(names))).collect();
        Verdict::breached(*kind, worst.len() as f64, told.join("; "), "the columns of the contract")
    }
}

fn list(names: &[&String]) -> String {
    const MOST: usize = 10;
    let shown: Vec<&str> = names.iter().take(MOST).map(|name| name.as_str()).collect();
    let more = if names.len() > MOST { format!(" and {} more", names.len() - MOST) } else { String::new() };
    shown.join(", ") + &more
}
