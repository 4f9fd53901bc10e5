//! How many rows a day should bring: trend, weekday and place in the month, and how far a day may be off.
//!
//! Counts are taken as a negative binomial: the larger of what days really differ by and what counting alone makes them
//! differ by, unless days are far more regular than counts, as those of a timetable are. Everything is a median, so that one bad day in the window moves nothing.

use chrono::{Datelike, NaiveDate};
use serde::{Deserialize, Serialize};

use super::history::{History, NEEDED_DAYS, NEEDED_DAYS_FOR_EMPTY};
use crate::{
    calendar::{Calendar, EventKind},
    numbers::{median, quantile, spread},
};

/// A day is reported beyond this many deviations.
const THRESHOLD: f64 = 3.5;

/// A series whose own days stray further is reported beyond this many times its own 98th percentile.
const OWN_THRESHOLD: f64 = 1.2;

/// The trend is at most this much a day, as a difference of logarithms.
const STEEPEST: f64 = 0.02;

/// The newest week moves the level by half of its residual, and at most by this.
const NEWEST_MOVES: f64 = 0.1;

/// No series is trusted to stray less than this.
const LEAST_SPREAD: f64 = 0.03;

/// Days that stray by less than this share of what counting explains are more regular than counts.
const REGULAR: f64 = 1.5;

/// No counts are trusted to be more regular, as a share of the variance of counting.
const MOST_REGULAR: f64 = 0.02;

/// Of a table that has brought no rows for weeks nothing is known of how regular its rows are.
const NEARLY_NONE: f64 = 1.0;

/// How much wider the band is on a day of the calendar.
const CALENDAR_WIDTH: f64 = 3.0;

/// What such a day strays by at least: it may be half of what is usual, or double, however calm the series is.
const CALENDAR_SPREAD: f64 = 0.25;

/// What makes the scale of small counts even.
const SHIFT: f64 = 0.375;

/// Variance of a median, against that of one value.
const MEDIAN_VARIANCE: f64 = 1.57;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Rows: small numbers stray by counting alone.
    Count,
    /// Credits or an amount of money.
    Amount,
}

/// What a day should be. `low` and `high` are the ends of the band in which nothing is reported.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Expected {
    pub value: f64,
    pub low: f64,
    pub high: f64,
    /// Deviations from what was expected, and how many are told.
    pub score: f64,
    pub threshold: f64,
}

impl Expected {
    pub fn is_unusual(&self) -> bool {
        self.score.abs() > self.threshold
    }

    /// The change against what was expected, in per cent.
    pub fn change_percent(&self, value: f64) -> f64 {
        100.0 * (value - self.value) / self.value.max(0.5)
    }

    /// The smallest drop that is surely told, in per cent.
    pub fn sees_drop_percent(&self) -> f64 {
        100.0 * (1.0 - self.low.max(0.0) / self.value.max(0.5)).clamp(0.0, 1.0)
    }
}

/// What the days before say of a day.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Judged {
    Expected(Expected),
    /// Too few days for more than whether it is empty; how many there are, and what is usual.
    OnlyEmpty {
        days: usize,
        usual: f64,
    },
    TooYoung {
        days: usize,
    },
}

/// Judges the value of one day by the days before it.
pub fn judge(
    history: &History,
    judged: NaiveDate,
    value: f64,
    table: &str,
    calendar: &Calendar,
    measure: Measure,
) -> Judged {
    let groups = history.teaching(judged, table, calendar);
    let days = groups.iter().map(Vec::len).sum();
    if days < NEEDED_DAYS_FOR_EMPTY {
        return Judged::TooYoung { days };
    }
    if days < NEEDED_DAYS {
        let values: Vec<f64> = groups.iter().flatten().map(|(_, value)| *value).collect();
        return Judged::OnlyEmpty { days, usual: median(&values).unwrap_or_default() };
    }
    let points = groups.iter().fold(Vec::new(), |points, group| {
        moved(points, group.iter().map(|(day, value)| Point::of(judged, *day, *value)).collect())
    });
    let fit = Fit::of(&points);
    let month = Month::of(&history.in_earlier_months(judged, table, calendar), fit.spread);
    let is_event = calendar.on(table, judged).is_some_and(|event| event.kind != EventKind::Gap);
    let month = if is_event { Month { offset: 0.0, is_doubtful: true } } else { month };
    Judged::Expected(fit.expected(judged, value, &month, measure))
}

/// The old days together with a new normal: they are moved to its level, and keep their weekdays.
fn moved(mut points: Vec<Point>, run: Vec<Point>) -> Vec<Point> {
    if points.len() >= NEEDED_DAYS_FOR_EMPTY {
        let old = Fit::of(&points);
        let steps: Vec<f64> = run.iter().map(|point| point.x - old.level(point.weekday, point.t)).collect();
        let step = median(&steps).unwrap_or_default();
        points.iter_mut().for_each(|point| point.x += step);
    }
    points.extend(run);
    points
}

#[derive(Debug, Clone, Copy)]
struct Point {
    /// Days from the judged one, below zero.
    t: f64,
    weekday: usize,
    /// The logarithm of the value.
    x: f64,
}

impl Point {
    fn of(judged: NaiveDate, day: NaiveDate, value: f64) -> Self {
        let weekday = day.weekday().num_days_from_monday() as usize;
        Point { t: (day - judged).num_days() as f64, weekday, x: (value.max(0.0) + 0.5).ln() }
    }
}

/// Trend, weekdays and spread of a window.
struct Fit {
    slope: f64,
    weekdays: [Option<f64>; 7],
    overall: f64,
    newest: f64,
    /// How many points each weekday's level is of.
    points: [usize; 7],
    all: usize,
    spread: f64,
    /// The 98th percentile of the points' own absolute residuals.
    strays: f64,
}

impl Fit {
    fn of(points: &[Point]) -> Self {
        let slope = slope(points);
        let level = |of: &[Point]| median(&of.iter().map(|point| point.x - slope * point.t).collect::<Vec<_>>());
        let of_weekday = |weekday: usize| -> Vec<Point> {
            points.iter().copied().filter(|point| point.weekday == weekday).collect()
        };
        let groups: [Vec<Point>; 7] = std::array::from_fn(of_weekday);
        let mut fit = Fit {
            slope,
            weekdays: std::array::from_fn(|at| if groups[at].len() >= 3 { level(&groups[at]) } else { None }),
            overall: level(points).unwrap_or_default(),
            newest: 0.0,
            points: std::array::from_fn(|at| groups[at].len()),
            all: points.len(),
            spread: 0.0,
            strays: 0.0,
        };
        let residuals: Vec<f64> = points.iter().map(|point| point.x - fit.level(point.weekday, point.t)).collect();
        let newest = residuals[residuals.len().saturating_sub(7)..].to_vec();
        fit.newest = (median(&newest).unwrap_or_default() / 2.0).clamp(-NEWEST_MOVES, NEWEST_MOVES);
        // Eight numbers were learned from these very points, which made them stray less.
        let freed = points.len() as f64 / (points.len() as f64 - 8.0).max(1.0);
        fit.spread = spread(&residuals) * freed.sqrt();
        let absolute: Vec<f64> = residuals.iter().map(|residual| residual.abs()).collect();
        fit.strays = quantile(&absolute, 0.98).unwrap_or_default();
        fit
    }

    fn level(&self, weekday: usize, t: f64) -> f64 {
        self.weekdays[weekday].unwrap_or(self.overall) + self.slope * t
    }

    fn expected(&self, judged: NaiveDate, value: f64, month: &Month, measure: Measure) -> Expected {
        let weekday = judged.weekday().num_days_from_monday() as usize;
        let mu = ((self.level(weekday, 0.0) + self.newest + month.offset).exp() - 0.5).max(0.5);
        let scale = Scale::of(self.spread, mu, measure);
        let counted = if self.weekdays[weekday].is_some() { self.points[weekday] } else { self.all };
        let own = scale.deviation(mu);
        let width = if month.is_doubtful { CALENDAR_WIDTH.max(CALENDAR_SPREAD / own) } else { 1.0 };
        let deviation = (1.0 + MEDIAN_VARIANCE / counted.max(1) as f64).sqrt() * width;
        let score = (scale.stable(value) - scale.stable(mu)) / deviation;
        let threshold = THRESHOLD.max(OWN_THRESHOLD * self.strays / own);
        let reach = threshold * deviation;
        Expected {
            value: mu,
            low: scale.unstable(scale.stable(mu) - reach).min(mu),
            high: scale.unstable(scale.stable(mu) + reach),
            score,
            threshold,
        }
    }
}

/// A scale on which one deviation is one, whatever the size.
struct Scale {
    /// Variance beyond counting, as a share of the square of the mean.
    phi: f64,
    /// What of the variance of counting there is; `None` for amounts.
    counting: Option<f64>,
}

impl Scale {
    fn of(spread: f64, mu: f64, measure: Measure) -> Self {
        let variance = spread.powi(2);
        let counting = match measure {
            Measure::Count => {
                let regular = if mu <= NEARLY_NONE { 1.0 } else { MOST_REGULAR };
                Some((REGULAR.powi(2) * variance * mu).clamp(regular, 1.0))
            }
            Measure::Amount => None,
        };
        let phi = (variance - counting.unwrap_or_default() / mu).max(LEAST_SPREAD.powi(2));
        Scale { phi, counting }
    }

    /// As a share of the mean.
    fn deviation(&self, mu: f64) -> f64 {
        (self.phi + self.counting.unwrap_or_default() / mu).sqrt()
    }

    fn stable(&self, value: f64) -> f64 {
        let root = self.phi.sqrt();
        match self.counting {
            Some(counting) => 2.0 / root * (self.phi * (value.max(0.0) / counting + SHIFT)).sqrt().asinh(),
            None => (value.max(0.0) + 0.5).ln() / root,
        }
    }

    fn unstable(&self, scaled: f64) -> f64 {
        let root = self.phi.sqrt();
        match self.counting {
            Some(_) if scaled <= 0.0 => 0.0,
            Some(counting) => (counting * ((scaled * root / 2.0).sinh().powi(2) / self.phi - SHIFT)).max(0.0),
            None => ((scaled * root).exp() - 0.5).max(0.0),
        }
    }
}

/// The median slope over pairs of the same weekday, which the week's shape cannot tilt.
fn slope(points: &[Point]) -> f64 {
    let mut slopes = Vec::with_capacity(points.len() * 4);
    for (at, later) in points.iter().enumerate() {
        let pairs = points[..at].iter().filter(|earlier| earlier.weekday == later.weekday);
        slopes.extend(pairs.map(|earlier| (later.x - earlier.x) / (later.t - earlier.t)));
    }
    median(&slopes).unwrap_or_default().clamp(-STEEPEST, STEEPEST)
}

/// What the place in the month does.
struct Month {
    offset: f64,
    /// The day may be like any other, or not.
    is_doubtful: bool,
}

impl Month {
    /// Two earlier months that agree are a habit, and one alone is a reason for doubt.
    fn of(earlier: &[f64], spread: f64) -> Self {
        let unusual = 3.0 * spread.max(LEAST_SPREAD);
        let middle = median(earlier).unwrap_or_default();
        let agree = earlier.iter().all(|offset| offset.signum() == middle.signum() && offset.abs() > unusual / 2.0);
        let is_special = agree && middle.abs() > unusual;
        Month {
            offset: if is_special && earlier.len() > 1 { middle } else { 0.0 },
            is_doubtful: is_special && earlier.len() == 1,
        }
    }
}

#[cfg(test)]
mod tests;
