//! What days cost, once a day: measured when the bill may have them, kept for people, judged when they are complete.
//!
//! A warehouse tells what each query cost hours later, and what it has told of a day still changes on the next. So each
//! measure takes the last days again, and a day is judged on the second after it.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{Datelike, Days, NaiveDate};
use sluice_core::{
    Result,
    port::{Clock, Listing, ObjectStore},
    sources::Monitor,
};
use sluice_watch::{
    Finding, Object, Verdict,
    monitors::{self, Context, CostFacts, Currency, Month},
};
use tracing::warn;

use super::{
    Channels, Watch,
    live::history,
    port::{CostDay, Observations, REMAINDER, Surroundings},
    state::{Marks, State, check},
};

/// Days of the first measure, which teach, and of each later one.
const FIRST_DAYS: u64 = 60;
const LATER_DAYS: u64 = 4;

/// Days that a day is compared with.
const HISTORY_DAYS: u64 = 120;

/// The day before is still growing.
const JUDGED_AFTER_DAYS: u64 = 2;

/// An object that has cost less on each of its days is not judged: a hundredth of a credit, or a cent.
const LEAST: f64 = 0.01;

/// What is measured, each with its own answer whether it was.
const WAREHOUSE: &str = "costs of the warehouse";
const FUNCTIONS: &str = "costs of functions and lake";
const JUDGED: &str = "costs of days";

/// Measures and judges once a day, each part by itself: one that fails repeats no other. Between, the last findings stand.
pub(super) async fn findings<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    state: &mut State,
    context: &Context<'_>,
) -> Vec<Finding> {
    let (now, today, prices) = (context.now, context.now.date_naive(), &watch.table.prices);
    let is_due = |part: &&str| state.cost_parts.get(*part).is_none_or(|known| known.is_due(now));
    let due: Vec<&str> = [WAREHOUSE, FUNCTIONS, JUDGED].into_iter().filter(is_due).collect();
    if due.is_empty() || watch.left(super::FOR_MESSAGES).is_zero() {
        return all(state);
    }
    let from = |state: &State, part| first_day(state.cost_parts.get(part).and_then(|known| known.day), today);
    if due.contains(&WAREHOUSE) {
        let measured = watch.warehouse.measure_costs(from(state, WAREHOUSE), today, prices, now).await;
        note(state, WAREHOUSE, measured.map(|()| Vec::new()), context);
    }
    if due.contains(&FUNCTIONS) {
        let first = from(state, FUNCTIONS);
        let kept = async {
            let used = watch.platform.used(first, today).await?;
            if used.is_empty() { Ok(()) } else { watch.warehouse.keep_costs(&used, prices, now).await }
        };
        let kept = kept.await;
        note(state, FUNCTIONS, kept.map(|()| Vec::new()), context);
    }
    let day = today - Days::new(JUDGED_AFTER_DAYS);
    let costs = watch.warehouse.costs(day - Days::new(HISTORY_DAYS)).await;
    let judged = costs.map(|costs| {
        let judged = monitors::judge_costs(&facts(&costs, day, &state.marks), &month(&costs, day), context);
        state.marks.note(&judged, day);
        judged
    });
    note(state, JUDGED, judged, context);
    all(state)
}

fn all(state: &State) -> Vec<Finding> {
    state.cost_parts.values().flat_map(|part| part.findings.clone()).collect()
}

/// The first measure takes days that teach, a later one also the days on which nobody measured.
fn first_day(measured: Option<NaiveDate>, today: NaiveDate) -> NaiveDate {
    let earliest = today - Days::new(FIRST_DAYS);
    measured.map_or(earliest, |day| earliest.max(day - Days::new(LATER_DAYS - 1)))
}

/// Keeps what a part has come to, with whether it was measured: what could not be measured is missing until it is.
fn note(state: &mut State, what: &'static str, outcome: Result<Vec<Finding>>, context: &Context<'_>) {
    let part = state.cost_parts.entry(what.to_owned()).or_default();
    part.tried_at = Some(context.now);
    let (verdict, judged) = match outcome {
        Ok(judged) => {
            (part.day, part.failures) = (Some(context.now.date_naive()), 0);
            (Verdict::Healthy, judged)
        }
        Err(error) => {
            part.failures += 1;
            warn!(what, error = error.chain(), error_kind = %error.kind(), "not measured");
            (Verdict::missing(format!("they were not measured ({})", error.kind())), Vec::new())
        }
    };
    let own = Finding { monitor: Monitor::Cost, object: Object::whole(what), at: context.now, verdict };
    part.findings = std::iter::once(own).chain(judged).collect();
}

/// Who tells of costs, and whether in credits: what it has in dollars may arrive later.
type Source = (String, bool);

/// Each object that costs anything, with its days, but the remainder, which is nobody's. A day without a value of it cost nothing
/// where its source has told of the day, and has not arrived where it has not.
fn facts(costs: &[CostDay], day: NaiveDate, marks: &Marks) -> Vec<CostFacts> {
    let costs = || costs.iter().filter(|cost| cost.day <= day);
    let source = |cost: &CostDay| (cost.source.clone(), cost.credits.is_some());
    let mut arrived: BTreeMap<Source, BTreeSet<NaiveDate>> = BTreeMap::new();
    for cost in costs() {
        arrived.entry(source(cost)).or_default().insert(cost.day);
    }
    let mut objects: BTreeMap<&str, (Source, BTreeMap<NaiveDate, f64>)> = BTreeMap::new();
    for cost in costs().filter(|cost| cost.object != REMAINDER) {
        let (_, days) = objects.entry(&cost.object).or_insert_with(|| (source(cost), BTreeMap::new()));
        *days.entry(cost.day).or_default() += cost.credits.unwrap_or(cost.dollars);
    }
    objects.retain(|_, (_, days)| days.values().any(|amount| *amount >= LEAST));
    let of = |(object, (source, mut days)): (&str, (Source, BTreeMap<NaiveDate, f64>))| {
        for day in arrived.get(&source).into_iter().flatten() {
            days.entry(*day).or_default();
        }
        let currency = if source.1 { Currency::Credits } else { Currency::Dollars };
        let history = history(&days, day, &marks.of(&check(Monitor::Cost, object)));
        CostFacts { object: object.to_owned(), day, amount: days.get(&day).copied(), currency, history }
    };
    objects.into_iter().map(of).collect()
}

/// Nothing has arrived of a month that begins with days that are not complete yet.
fn month(costs: &[CostDay], day: NaiveDate) -> Month {
    let of_month =
        |cost: &&CostDay| cost.day.month() == day.month() && cost.day.year() == day.year() && cost.day <= day;
    let of_month: Vec<&CostDay> = costs.iter().filter(of_month).collect();
    let credits: f64 = of_month.iter().filter_map(|cost| cost.credits).sum();
    let dollars: f64 = of_month.iter().map(|cost| cost.dollars).sum();
    let arrived = !of_month.is_empty();
    Month { day, credits: arrived.then_some(credits), dollars: arrived.then_some(dollars) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, number).expect("a day")
    }

    fn cost(number: u32, object: &str, credits: Option<f64>, dollars: f64) -> CostDay {
        let source = if object.starts_with("Extract") { "aws" } else { "snowflake" }.to_owned();
        CostDay { day: day(number), source, object: object.to_owned(), credits, dollars }
    }

    #[test]
    fn an_object_is_judged_by_all_its_days_and_what_costs_nothing_by_none() {
        let costs = [
            cost(1, "LOADING", Some(1.0), 2.0),
            cost(1, "TINY", Some(0.001), 0.002),
            cost(3, "LOADING", Some(4.0), 8.0),
            cost(3, "LOADING", Some(1.0), 2.0),
            cost(3, "ExtractPostgres", None, 0.5),
            cost(3, REMAINDER, Some(0.5), 1.0),
            cost(4, "LOADING", Some(9.0), 18.0),
        ];
        let facts = facts(&costs, day(3), &Marks::default());
        let told: Vec<_> = facts.iter().map(|it| (it.object.as_str(), it.amount, it.currency)).collect();
        assert_eq!(
            told,
            [("ExtractPostgres", Some(0.5), Currency::Dollars), ("LOADING", Some(5.0), Currency::Credits)]
        );
        let month = month(&costs, day(3));
        let cents = |amount: Option<f64>| amount.map(|amount| (100.0 * amount).round());
        assert_eq!((cents(month.credits), cents(month.dollars)), (Some(650.0), Some(1_350.0)));
        assert_eq!(super::month(&costs, NaiveDate::from_ymd_opt(2026, 4, 1).expect("a day")).credits, None);
    }

    #[test]
    fn a_day_of_which_its_source_has_told_nothing_is_no_cheap_one() {
        let costs = [
            cost(1, "LOADING", Some(2.0), 4.0),
            cost(1, "ExtractPostgres", None, 0.5),
            cost(2, "LOADING", Some(2.0), 4.0),
            cost(2, "tables and stages", None, 0.5),
            cost(3, "LOADING", Some(2.0), 4.0),
            cost(3, "TRANSFORMING", Some(2.0), 4.0),
            cost(3, "tables and stages", None, 0.5),
        ];
        let facts = facts(&costs, day(3), &Marks::default());
        let told: Vec<_> = facts.iter().map(|it| (it.object.as_str(), it.amount)).collect();
        let of_snowflake = [("LOADING", Some(2.0)), ("TRANSFORMING", Some(2.0)), ("tables and stages", Some(0.5))];
        assert_eq!(told, [&[("ExtractPostgres", None)], &of_snowflake[..]].concat());
        assert_eq!((facts[0].history.value(day(2)), facts[2].history.value(day(2))), (None, Some(0.0)));
    }
}
