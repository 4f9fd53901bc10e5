//! What days cost, once a day: measured when their figures may have arrived, kept for people, judged when they are complete.
//!
//! A warehouse tells what each query cost hours later, and what it has told of a day still changes on the next. So each
//! measure takes the last days again, and a day is judged on the second after it.

use std::collections::BTreeMap;

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
    observed,
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

/// Measures and judges once a day; between, the last findings stand.
pub(super) async fn findings<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    state: &mut State,
    context: &Context<'_>,
) -> Vec<Finding> {
    let today = context.now.date_naive();
    if state.costs.day == Some(today) || watch.left(super::FOR_MESSAGES).is_zero() {
        return state.costs.findings.clone();
    }
    let days = if state.costs.day.is_some() { LATER_DAYS } else { FIRST_DAYS };
    let from = today - Days::new(days);
    let prices = &watch.table.prices;
    let of_warehouse = watch.warehouse.measure_costs(from, today, prices, context.now).await;
    let beside = async {
        let used = watch.platform.used(from, today).await?;
        if used.is_empty() { Ok(()) } else { watch.warehouse.keep_costs(&used, prices, context.now).await }
    };
    let outcomes = [(WAREHOUSE, of_warehouse), (FUNCTIONS, beside.await)];
    let all = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
    let mut findings: Vec<Finding> =
        outcomes.into_iter().map(|(what, outcome)| is_measured(what, outcome, context)).collect();
    let day = today - Days::new(JUDGED_AFTER_DAYS);
    let costs = observed("what days cost", watch.warehouse.costs(day - Days::new(HISTORY_DAYS)).await);
    if let Some(costs) = &costs {
        let judged = monitors::judge_costs(&facts(costs, day, &state.marks), &month(costs, day), context);
        state.marks.note(&judged, day);
        findings.extend(judged);
    }
    if all && costs.is_some() {
        state.costs.day = Some(today);
    }
    state.costs.findings = findings;
    state.costs.findings.clone()
}

/// What could not be measured is missing until it is.
fn is_measured(what: &'static str, outcome: Result<()>, context: &Context<'_>) -> Finding {
    let verdict = match outcome {
        Ok(()) => Verdict::Healthy,
        Err(error) => {
            warn!(what, error = error.chain(), error_kind = %error.kind(), "not measured");
            Verdict::missing(format!("they were not measured ({})", error.kind()))
        }
    };
    Finding { monitor: Monitor::Cost, object: Object::whole(what), at: context.now, verdict }
}

/// Each object that costs anything, with its days, but the remainder, which is nobody's. A day without a figure cost nothing.
fn facts(costs: &[CostDay], day: NaiveDate, marks: &Marks) -> Vec<CostFacts> {
    let Some(first) = costs.iter().map(|cost| cost.day).min() else { return Vec::new() };
    let mut objects: BTreeMap<&str, (Currency, BTreeMap<NaiveDate, f64>)> = BTreeMap::new();
    for cost in costs.iter().filter(|cost| cost.day <= day && cost.object != REMAINDER) {
        let (currency, amount) = match cost.credits {
            Some(credits) => (Currency::Credits, credits),
            None => (Currency::Dollars, cost.dollars),
        };
        let (_, days) = objects.entry(&cost.object).or_insert((currency, BTreeMap::new()));
        *days.entry(cost.day).or_default() += amount;
    }
    objects.retain(|_, (_, days)| days.values().any(|amount| *amount >= LEAST));
    let of = |(object, (currency, mut days)): (&str, (Currency, BTreeMap<NaiveDate, f64>))| {
        for day in first.iter_days().take_while(|at| *at <= day) {
            days.entry(day).or_default();
        }
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
        CostDay { day: day(number), object: object.to_owned(), credits, dollars }
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
}
