//! The world, and what is observed in it on a morning.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Datelike, Days, Duration, NaiveDate, Utc};
use sluice_watch::{
    alerts::Upstream,
    baseline::{History, Mark},
    calendar::Calendar,
    finding::Finding,
    monitors::{
        self, Arrivals, ColumnFacts, Context, CostFacts, Currency, DbtFacts, FunctionFacts, Keys, LateRows, LoadFacts,
        Pair, Partition, PlatformFacts, Profile, ReportDelay, RowFacts, SecretFacts, Shape, Shares, TableFacts,
    },
    random::Random,
    settings::{Limits, TableSettings},
};

use super::tables::{self, Series};

/// The hour at which mornings are observed, UTC.
const MORNING: u32 = 6;

/// Days of history before the first one that is observed.
pub const LEARNED_DAYS: u64 = 120;

/// What is observed on a morning.
#[derive(Debug, Clone)]
pub struct Morning {
    pub now: DateTime<Utc>,
    pub day: NaiveDate,
    pub tables: Vec<(TableSettings, TableFacts)>,
    pub platform: PlatformFacts,
}

/// A day of a table as it really was.
#[derive(Debug, Clone)]
struct Played {
    rows: u64,
    nulls: BTreeMap<String, u64>,
    profile: Profile,
    /// From due to ended.
    minutes: f64,
}

#[derive(Debug, Clone)]
pub struct World {
    seed: u64,
    start: NaiveDate,
    calendar: Calendar,
    limits: Limits,
    pub series: Vec<Series>,
    played: Vec<BTreeMap<NaiveDate, Played>>,
}

impl World {
    /// A world of this many days that can be observed, after those that teach.
    pub fn new(seed: u64, first: NaiveDate, days: u64, calendar: Calendar) -> Self {
        let start = first - Days::new(LEARNED_DAYS);
        let series = tables::all();
        let all: Vec<NaiveDate> = start.iter_days().take((LEARNED_DAYS + days) as usize).collect();
        let play = |series: &Series| play(seed, start, &all, series, &calendar);
        let played = series.iter().map(play).collect();
        World { seed, start, calendar, limits: Limits::default(), series, played }
    }

    /// The morning after a day on which nothing went wrong.
    pub fn clean_morning(&self, day: NaiveDate) -> Morning {
        let now = (day + Days::new(1)).and_hms_opt(MORNING, 0, 0).unwrap_or_default().and_utc();
        let tables = self.series.iter().zip(&self.played);
        let tables = tables.map(|(series, played)| (series.settings.clone(), self.facts(series, played, day, now)));
        Morning { now, day, tables: tables.collect(), platform: self.platform(day, now) }
    }

    pub fn judge(&self, morning: &Morning) -> Vec<Finding> {
        let context = Context { calendar: &self.calendar, limits: &self.limits, now: morning.now, day: morning.day };
        monitors::judge(morning.tables.iter().map(|(settings, facts)| (settings, facts)), &morning.platform, &context)
    }

    /// What is made from what.
    pub fn upstream(&self) -> Upstream {
        let mut upstream = BTreeMap::new();
        for series in &self.series {
            upstream.insert(series.settings.table.clone(), BTreeSet::from([series.function.to_owned()]));
        }
        Upstream(upstream)
    }

    fn facts(
        &self,
        series: &Series,
        played: &BTreeMap<NaiveDate, Played>,
        day: NaiveDate,
        now: DateTime<Utc>,
    ) -> TableFacts {
        let Some(today) = played.get(&day) else { return TableFacts::default() };
        let settings = &series.settings;
        let mut random = Random::of(self.seed, &settings.table, i64::from(day.num_days_from_ce()) + 1_000_000);
        let rows = today.rows;
        let pair = |left, right| Pair { left, left_rows: Some(rows), right, right_rows: Some(rows) };
        let share = |chance: f64, random: &mut Random| Shares { all: rows, bad: random.of_many(rows, chance) };
        let names = ["id", "at", "email", "city", "price"].map(|name| (name.to_owned(), "text".to_owned()));
        TableFacts {
            arrivals: Some(Arrivals { newest: Some(arrival(series, today, now)) }),
            report: Some(ReportDelay {
                minutes: 40.0 * (0.15 * random.normal()).exp(),
                earlier_minutes: vec![45.0; 30],
            }),
            rows: Some(RowFacts { rows, history: history(played, day, |day| day.rows as f64) }),
            keys: Some(Keys { rows, keys: rows }),
            columns: self.columns(settings, played, today, day),
            shape: Some(Shape { contract: BTreeMap::from(names.clone()), found: BTreeMap::from(names) }),
            late_rows: Some(LateRows { rows, late: random.of_many(rows, 0.002) }),
            pairs: vec![pair("source", "commits"), pair("commits", "loads"), pair("loads", "table")],
            partitions: settings.is_streaming.then(|| (0..4).map(|at| partition(at, now, &mut random)).collect()),
            dead_letters: settings.is_streaming.then(|| share(0.001, &mut random)),
            rejects: Some(share(0.0001, &mut random)),
            loads: Some(LoadFacts { failed: 0, oldest_waiting: Some(now - Duration::minutes(4)) }),
        }
    }

    fn columns(
        &self,
        settings: &TableSettings,
        played: &BTreeMap<NaiveDate, Played>,
        today: &Played,
        day: NaiveDate,
    ) -> Vec<ColumnFacts> {
        let nulls = settings.null_columns.iter().map(|name| {
            let of = |day: &Played| day.nulls.get(name).copied().unwrap_or_default() as f64 / day.rows.max(1) as f64;
            ColumnFacts {
                name: name.clone(),
                rows: today.rows,
                nulls: today.nulls.get(name).copied(),
                null_history: history(played, day, of),
                ..ColumnFacts::default()
            }
        });
        let numbers = settings.distribution_columns.iter().map(|name| ColumnFacts {
            name: name.clone(),
            rows: today.rows,
            profile: Some(today.profile),
            earlier: played.range(..day).rev().take(90).map(|(day, played)| (*day, played.profile)).collect(),
            ..ColumnFacts::default()
        });
        nulls.chain(numbers).collect()
    }

    fn platform(&self, day: NaiveDate, now: DateTime<Utc>) -> PlatformFacts {
        let minutes = |day: NaiveDate| {
            let mut random = Random::of(self.seed, "dbt", i64::from(day.num_days_from_ce()));
            8.0 * (0.2 * random.normal()).exp()
        };
        let before = || day.iter_days_back();
        let functions: BTreeSet<&str> = self.series.iter().map(|series| series.function).collect();
        let function = |name: &str| FunctionFacts {
            name: name.to_owned(),
            every_minutes: 60,
            newest_run: Some(now - Duration::minutes(41)),
            since: self.start.and_hms_opt(0, 0, 0).unwrap_or_default().and_utc(),
        };
        let secret = |(name, offset): (&str, i64)| SecretFacts {
            name: name.to_owned(),
            changed_at: Some(now - Duration::days(((day - self.start).num_days() + offset) % 80)),
            expires_at: None,
        };
        PlatformFacts {
            dbt: Some(DbtFacts {
                minutes: minutes(day),
                earlier_minutes: before().take(56).map(minutes).collect(),
                ..DbtFacts::default()
            }),
            costs: ["LOADING", "TRANSFORMING", "REPORTING"].map(|name| self.cost(name, day)).into(),
            secrets: Some([("hubspot", 3), ("postgres", 30), ("snowflake", 61)].map(secret).into()),
            functions: functions.into_iter().map(function).collect(),
            month: None,
        }
    }

    fn cost(&self, name: &str, day: NaiveDate) -> CostFacts {
        let credits = |day: NaiveDate| {
            let mut random = Random::of(self.seed, name, i64::from(day.num_days_from_ce()));
            let week = if day.weekday().num_days_from_monday() >= 5 { 0.6 } else { 1.0 };
            10.0 * week * 1.03_f64.powf((day - self.start).num_days() as f64 / 30.0) * (0.1 * random.normal()).exp()
        };
        let history = day.iter_days_back().take(LEARNED_DAYS as usize).map(|day| (day, credits(day))).collect();
        let (amount, currency) = (Some(credits(day)), Currency::Credits);
        CostFacts { object: name.to_owned(), day, amount, currency, history }
    }
}

/// The days before a day, nearest first.
trait DaysBack {
    fn iter_days_back(self) -> impl Iterator<Item = NaiveDate>;
}

impl DaysBack for NaiveDate {
    fn iter_days_back(self) -> impl Iterator<Item = NaiveDate> {
        (1..).map_while(move |back| self.checked_sub_days(Days::new(back)))
    }
}

fn play(
    seed: u64,
    start: NaiveDate,
    days: &[NaiveDate],
    series: &Series,
    calendar: &Calendar,
) -> BTreeMap<NaiveDate, Played> {
    let mut played = BTreeMap::new();
    let mut profile = Profile { mean: 100.0, minimum: 1.0, maximum: 900.0 };
    for day in days {
        let mut random = Random::of(seed, &series.settings.table, i64::from(day.num_days_from_ce()));
        let is_holiday = calendar.on(&series.settings.table, *day).is_some();
        let rows = series.draw(series.mean(start, *day, is_holiday), &mut random);
        let null = |name: &String, random: &mut Random| (name.clone(), random.of_many(rows, series.nulls));
        let nulls = series.settings.null_columns.iter().map(|name| null(name, &mut random)).collect();
        if !series.stands_still(*day, is_holiday) {
            // Prices wander a little, and a small day's mean strays more.
            let wander = 1.0 + 0.004 * random.normal();
            let stray = 1.0 + 0.5 * random.normal() / (rows.max(1) as f64).sqrt();
            let base = if series.noise == 0.0 { profile.mean * wander } else { 100.0 * wander * stray };
            let [minimum, maximum] = [1.0, 900.0].map(|end| end * (1.0 + 0.02 * random.normal()));
            profile = Profile { mean: base, minimum, maximum };
        }
        let minutes = 8.0 * (0.4 * random.normal()).exp();
        played.insert(*day, Played { rows, nulls, profile, minutes });
    }
    played
}

fn history(played: &BTreeMap<NaiveDate, Played>, day: NaiveDate, value: impl Fn(&Played) -> f64) -> History {
    let mut history = History::default();
    for (day, played) in played.range(day - Days::new(LEARNED_DAYS)..day) {
        history.insert(*day, value(played), Mark::Good);
    }
    history
}

/// When the newest data came, seen in the morning.
fn arrival(series: &Series, today: &Played, now: DateTime<Utc>) -> DateTime<Utc> {
    let ended = Duration::seconds((today.minutes * 60.0) as i64);
    match &series.settings.schedule {
        None => now - ended,
        Some(schedule) => {
            let hours = (1..=24).map(|back| now - Duration::hours(back)).find(|hour| schedule.is_due(*hour));
            (hours.unwrap_or(now) + Duration::minutes(15) + ended).min(now)
        }
    }
}

fn partition(number: u64, now: DateTime<Utc>, random: &mut Random) -> Partition {
    let newest_load = now - Duration::seconds(random.below(120) as i64);
    Partition { partition: number, newest_load, behind_minutes: 0.3, expected_rows: random.below(8) as f64 }
}
