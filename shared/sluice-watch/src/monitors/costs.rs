//! What a day costs compared with what is usual, and a month compared with its budget.

use chrono::{Datelike, NaiveDate};
use sluice_core::sources::Monitor;

use super::Context;
use crate::{
    baseline::{
        History,
        history::NEEDED_DAYS,
        volume::{self, Judged, Measure},
    },
    finding::{Kind, Object, Verdict, Why, short},
};

/// A budget is not projected from fewer days of a month.
const BUDGET_DAYS: u32 = 5;

/// What one object cost on a day whose figures are complete: a warehouse, a service, a function, dbt's runs.
#[derive(Debug, Clone)]
pub struct CostFacts {
    pub object: String,
    pub day: NaiveDate,
    /// `None` when the figures have not arrived.
    pub amount: Option<f64>,
    pub currency: Currency,
    pub history: History,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Currency {
    Credits,
    Dollars,
}

impl Currency {
    fn as_str(self) -> &'static str {
        match self {
            Currency::Credits => "credits",
            Currency::Dollars => "dollars",
        }
    }
}

/// What the month has cost up to a day whose figures are complete, all objects together.
#[derive(Debug, Clone)]
pub struct Month {
    pub day: NaiveDate,
    pub credits: Option<f64>,
    pub dollars: Option<f64>,
}

pub(super) fn judge(
    costs: &[CostFacts],
    month: Option<&Month>,
    context: &Context<'_>,
    add: &mut impl FnMut(Monitor, Object, Verdict),
) {
    for cost in costs {
        add(Monitor::Cost, Object::whole(&cost.object), cost.verdict(context));
    }
    let Some(month) = month else { return };
    let limits = context.limits;
    for (budget, spent, currency) in [
        (limits.budget_credits_per_month, month.credits, Currency::Credits),
        (limits.budget_dollars_per_month, month.dollars, Currency::Dollars),
    ] {
        if let Some(budget) = budget {
            let object = Object::part("platform", format_args!("budget in {}", currency.as_str()));
            add(Monitor::Cost, object, pace(spent, f64::from(budget), currency, month.day));
        }
    }
}

impl CostFacts {
    fn verdict(&self, context: &Context<'_>) -> Verdict {
        let currency = self.currency.as_str();
        let Some(amount) = self.amount else {
            return Verdict::missing(format!("the {currency} of {} have not arrived", self.day));
        };
        match volume::judge(&self.history, self.day, amount, &self.object, context.calendar, Measure::Amount) {
            Judged::Expected(expected) => {
                let change = expected.change_percent(amount);
                if expected.is_unusual() && change > f64::from(context.limits.cost_change_percent) {
                    let observed = format!("{} {currency} on {}", short(amount), self.day);
                    let usual = format!("{} to {}", short(expected.low), short(expected.high));
                    Verdict::breached(Kind::CostRise, change, observed, usual)
                } else {
                    Verdict::Healthy
                }
            }
            Judged::OnlyEmpty { days, .. } | Judged::TooYoung { days } => {
                Verdict::Degraded(Why::Learning { days, needed: NEEDED_DAYS })
            }
        }
    }
}

/// Where the month leads to if days go on as they did.
fn pace(spent: Option<f64>, budget: f64, currency: Currency, at: NaiveDate) -> Verdict {
    let currency = currency.as_str();
    let Some(spent) = spent else { return Verdict::missing(format!("the month's {currency} have not arrived")) };
    let (day, days) = (at.day(), f64::from(at.num_days_in_month()));
    let projected = if day < BUDGET_DAYS { spent } else { spent * days / f64::from(day) };
    if projected <= budget {
        return Verdict::Healthy;
    }
    let observed = format!("{} {currency} so far, {} at the month's end", short(spent), short(projected));
    Verdict::breached(
        Kind::Budget,
        100.0 * projected / budget,
        observed,
        format!("{} {currency} a month", short(budget)),
    )
}
