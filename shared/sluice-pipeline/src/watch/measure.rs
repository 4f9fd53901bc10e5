//! What is measured in tables, one statement for each, and which tables are due for it.

use std::collections::BTreeMap;

use chrono::{Days, Duration, NaiveDate};
use futures::{StreamExt, stream};
use sluice_core::{
    Disposition, Loader, Result, Table, lake,
    port::{Clock, Listing, ObjectStore},
    sources::{Monitor, Source},
};
use sluice_watch::{
    Finding, Object,
    monitors::{self, ColumnFacts, Context, Keys, LateRows, Pair, ReportDelay, RowFacts, Shape, TableFacts},
    settings::TableSettings,
};

use super::{
    Channels, FOR_MESSAGES, Report, Watch,
    live::{Live, MEASURED, history, settings},
    observed,
    port::{Day, Measured, Observations, Surroundings},
    state::{Cached, Letters, Marks, State, check, minutes_to_next_try},
};

/// History is read for this many tables at once: it is what fills the memory.
const CHUNK: usize = 40;

/// This many tables are measured at once.
const AT_ONCE: usize = 10;

/// Days that teach a month's place, a weekday and a level.
const HISTORY_DAYS: u64 = 120;

/// How far back a table without kept days is read.
const FIRST_DAYS: u64 = 60;

/// What is wrong is measured again after this many minutes, a table with new loads after an hour.
const BAD_AGAIN_MINUTES: i64 = 15;
const LOADED_AGAIN_MINUTES: i64 = 60;

/// What is common to the tables of a chunk.
struct Known {
    shapes: Option<BTreeMap<String, Shape>>,
    loaded: Option<BTreeMap<String, BTreeMap<NaiveDate, u64>>>,
    kept: Option<BTreeMap<String, BTreeMap<NaiveDate, Day>>>,
}

/// Measures the tables that are due while there is time; the others keep their findings.
pub(super) async fn due_tables<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    state: &mut State,
    live: &Live,
    context: &Context<'_>,
    fresh: bool,
    report: &mut Report,
) {
    let is_due = |table: &&Table| {
        let cached = state.measured.get(&table.table.to_string());
        fresh || cached.is_none_or(|cached| is_due(cached, table, live.position(table), &state.marks, context))
    };
    let (mut due, resting): (Vec<&Table>, Vec<&Table>) = watch.sources.tables.iter().partition(is_due);
    due.extend(with_new_letters(watch.store, &resting, state, context).await);
    for chunk in due.chunks(CHUNK) {
        if watch.left(FOR_MESSAGES).is_zero() {
            report.postponed += chunk.len();
            continue;
        }
        let from = context.day - Days::new(HISTORY_DAYS);
        let (shapes, loaded, kept) = futures::join!(
            watch.warehouse.shapes(chunk),
            watch.warehouse.loaded_days(chunk, from),
            watch.warehouse.history(chunk, from)
        );
        let known = Known {
            shapes: observed("columns", shapes),
            loaded: observed("days of the ledger", loaded),
            kept: observed("days that were measured", kept),
        };
        let (known, marks, letters) = (&known, &state.marks, &state.letters);
        let measures = chunk.iter().map(async |table| {
            let is_late = watch.left(FOR_MESSAGES).is_zero();
            let measured =
                if is_late { None } else { Some(measured(watch, table, known, marks, letters, context).await) };
            (*table, measured)
        });
        // In any order: a table that hangs keeps no other one waiting.
        let ended: Vec<_> = stream::iter(measures).buffer_unordered(AT_ONCE).collect().await;
        for (table, measured) in ended {
            let Some((findings, letters)) = measured else {
                report.postponed += 1;
                continue;
            };
            state.marks.note(&findings, context.day);
            state.letters.extend(letters);
            let name = table.table.to_string();
            let earlier = state.measured.get(&name).map_or(0, |cached| cached.failures);
            let mut cached =
                Cached { day: context.day, at: context.now, position: live.position(table), failures: 0, findings };
            if cached.is_missing() {
                cached.failures = earlier.saturating_add(1);
            }
            state.measured.insert(name, cached);
            report.measured += 1;
        }
    }
}

fn is_due(cached: &Cached, table: &Table, position: Option<u64>, marks: &Marks, context: &Context<'_>) -> bool {
    let age = context.now - cached.at;
    let is_older = |minutes: i64| age >= Duration::minutes(minutes);
    if cached.is_missing() {
        // Where the whole warehouse was away, it is back as soon as its ledger answers.
        let is_back = cached.position.is_none() && position.is_some();
        return is_back || is_older(minutes_to_next_try(cached.failures));
    }
    // Loads are in the ledger, and wait for its answer. Nothing but the table knows what a stream has brought.
    let may_have_changed = match position {
        None => table.loader == Loader::Streaming,
        known => known != cached.position,
    };
    let is_bad = cached.findings.iter().any(|finding| finding.breach().is_some() && !marks.is_expected(finding));
    cached.day != context.day
        || is_bad && is_older(BAD_AGAIN_MINUTES)
        || may_have_changed && is_older(LOADED_AGAIN_MINUTES)
}

/// Streams whose rows are the same, and whose topics have new dead letters or cannot be asked for them. They are asked once an hour: the
/// lake answers where measuring would start the warehouse.
async fn with_new_letters<'t>(
    store: &impl Listing,
    resting: &[&'t Table],
    state: &mut State,
    context: &Context<'_>,
) -> Vec<&'t Table> {
    let hour = Duration::minutes(LOADED_AGAIN_MINUTES);
    let (measured, letters) = (&mut state.measured, &state.letters);
    let is_asked = |table: &Table| {
        let cached = measured.get(&table.table.to_string());
        cached.is_some_and(|cached| !cached.is_missing() && context.now - cached.at >= hour)
    };
    let of_topic = |table: &&'t Table| match &table.source {
        Source::Kafka { topic, .. } if is_asked(table) && !settings(table).off.contains(&Monitor::DeadLetters) => {
            Some((*table, letters.get(topic), topic))
        }
        _ => None,
    };
    let asked: Vec<_> = resting.iter().filter_map(of_topic).collect();
    let counts = asked.iter().map(async |(table, known, topic)| {
        let counted = observed("dead letters", count_letters(store, topic, *known, context).await);
        (*table, counted.is_some_and(|counted| known.is_some_and(|known| known.highest == counted.highest)))
    });
    let counted: Vec<_> = stream::iter(counts).buffered(AT_ONCE).collect().await;
    let (same, new): (Vec<_>, Vec<_>) = counted.into_iter().partition(|(_, is_same)| *is_same);
    for (table, _) in same {
        measured.entry(table.table.to_string()).and_modify(|cached| cached.at = context.now);
    }
    new.into_iter().map(|(table, _)| table).collect()
}

/// The findings of one table, and how its topic's dead letters stand.
async fn measured<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    table: &Table,
    known: &Known,
    marks: &Marks,
    letters: &BTreeMap<String, Letters>,
    context: &Context<'_>,
) -> (Vec<Finding>, Option<(String, Letters)>) {
    let name = table.table.to_string();
    let mut settings = of_measures(table);
    let kept = known.kept.as_ref().map(|kept| kept.get(&name).cloned().unwrap_or_default());
    let from = kept.as_ref().map_or(context.day, |kept| first_unmeasured(kept, context.day));
    let measured = observed("a table", watch.warehouse.measure(table, &settings, from).await);
    let letters = match &table.source {
        Source::Kafka { topic, .. } => {
            let counted = count_letters(watch.store, topic, letters.get(topic), context).await;
            observed("dead letters", counted).map(|letters| (topic.clone(), letters))
        }
        _ => None,
    };
    let shape = known.shapes.as_ref().and_then(|shapes| shapes.get(&name).cloned());
    let mut facts = TableFacts { shape, ..TableFacts::default() };
    if let (Some(mut measured), Some(mut days)) = (measured, kept) {
        add_empty_days(&mut measured, &days, from, context.day);
        keep(watch, table, &measured, &days, context.day).await;
        days.extend(measured.days.clone());
        let loaded = known.loaded.as_ref().map(|loaded| loaded.get(&name).cloned().unwrap_or_default());
        facts = OfTable { table, settings: &settings, days: &days, marks, context }.facts(facts, &measured, loaded);
        let today = days.get(&context.now.date_naive()).map_or(0, |day| day.rows);
        facts.dead_letters = letters.as_ref().map(|(_, letters)| letters.share(today));
    }
    if facts.pairs.is_empty() {
        settings.off.push(Monitor::Reconciliation);
    }
    let mut findings = Vec::new();
    monitors::judge_table(&settings, &facts, context, &mut findings);
    (findings, letters)
}

/// The day after the newest that is kept, however long nobody measured.
fn first_unmeasured(kept: &BTreeMap<NaiveDate, Day>, day: NaiveDate) -> NaiveDate {
    let earliest = day - Days::new(FIRST_DAYS);
    kept.keys().next_back().map_or(earliest, |newest| *newest + Days::new(1)).clamp(earliest, day)
}

/// A measured day without rows is a day of no rows, from the first day of the table on. A day that nobody measured is none.
fn add_empty_days(measured: &mut Measured, kept: &BTreeMap<NaiveDate, Day>, from: NaiveDate, day: NaiveDate) {
    let known = kept.keys().next().into_iter().chain(measured.days.keys().next());
    let Some(first) = known.min().copied() else { return };
    for at in first.max(from).iter_days().take_while(|at| *at <= day) {
        measured.days.entry(at).or_default();
    }
}

/// The settings of a table with everything off that is judged in each round.
fn of_measures(table: &Table) -> TableSettings {
    let mut settings = settings(table);
    let live = Monitor::ALL.iter().copied().filter(|monitor| !MEASURED.contains(monitor));
    settings.off.extend(live.filter(|monitor| *monitor != Monitor::Reconciliation));
    settings
}

/// Keeps complete days that are not kept as they are.
async fn keep<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings>(
    watch: &Watch<'_, S, W, C, K, P>,
    table: &Table,
    measured: &Measured,
    kept: &BTreeMap<NaiveDate, Day>,
    day: NaiveDate,
) {
    let complete = measured.days.range(..=day).filter(|(day, now)| kept.get(day) != Some(now));
    let new: BTreeMap<NaiveDate, Day> = complete.map(|(day, now)| (*day, now.clone())).collect();
    if !new.is_empty() {
        observed("that days are kept", watch.warehouse.keep(&table.table, &new).await);
    }
}

/// Counts the letters after the highest known offset of each partition. Those of the first look are of days before it.
async fn count_letters(
    store: &impl Listing,
    topic: &str,
    earlier: Option<&Letters>,
    context: &Context<'_>,
) -> Result<Letters> {
    let day = context.now.date_naive();
    let known = earlier.map(|earlier| &earlier.highest);
    let known = |partition: i32| known.and_then(|known| known.get(&partition)).copied().unwrap_or(-1);
    let mut letters = earlier.cloned().unwrap_or_default();
    if letters.day != day {
        (letters.day, letters.today) = (day, 0);
    }
    let prefix = lake::dead_letter_prefix(topic);
    let mut after = prefix.clone();
    loop {
        let page = store.keys_after(&prefix, &after).await?;
        let Some(last) = page.last() else { return Ok(letters) };
        let places = page.iter().filter_map(|key| lake::dead_letter_place(topic, key));
        for (partition, offset) in places.filter(|(partition, offset)| *offset > known(*partition)) {
            letters.today += u64::from(earlier.is_some());
            letters.highest.entry(partition).and_modify(|highest| *highest = offset.max(*highest)).or_insert(offset);
        }
        // Of a partition only the first page is listed again, and what is new.
        after = match lake::dead_letter_place(topic, last) {
            Some((partition, offset)) if offset < known(partition) => {
                lake::dead_letters_until(topic, partition, known(partition))
            }
            _ => last.clone(),
        };
    }
}

/// One table with what is known of its days.
struct OfTable<'a> {
    table: &'a Table,
    settings: &'a TableSettings,
    days: &'a BTreeMap<NaiveDate, Day>,
    marks: &'a Marks,
    context: &'a Context<'a>,
}

impl OfTable<'_> {
    fn facts(&self, facts: TableFacts, measured: &Measured, loaded: Option<BTreeMap<NaiveDate, u64>>) -> TableFacts {
        let OfTable { table, settings, days, context, .. } = self;
        let today = days.get(&context.day).cloned().unwrap_or_default();
        let rows = match table.loader {
            Loader::Streaming => Some(days.iter().map(|(day, known)| (*day, known.rows)).collect()),
            _ => loaded.as_ref().map(|loaded| filled(loaded, context.day)),
        };
        let delay = |day: &Day| day.delay_seconds.map(|seconds| seconds as f64 / 60.0);
        TableFacts {
            rows: rows.map(|rows| self.volume(&rows)),
            keys: measured.keys.map(|keys| Keys { rows: measured.rows, keys }),
            columns: settings
                .null_columns
                .iter()
                .chain(&settings.distribution_columns)
                .map(|c| self.column(c))
                .collect(),
            late_rows: Some(LateRows { rows: today.rows, late: today.late.unwrap_or_default() }),
            report: Some(ReportDelay {
                minutes: delay(&today).unwrap_or_default(),
                earlier_minutes: days.range(..context.day).filter_map(|(_, day)| delay(day)).collect(),
            }),
            pairs: self.loaded_and_there(&today, loaded.as_ref()).into_iter().collect(),
            ..facts
        }
    }

    fn volume(&self, rows: &BTreeMap<NaiveDate, u64>) -> RowFacts {
        let day = self.context.day;
        let days = rows.iter().map(|(day, rows)| (*day, *rows as f64)).collect();
        let history = history(&days, day, &self.marks.of(&check(Monitor::Volume, &self.settings.table)));
        RowFacts { rows: rows.get(&day).copied().unwrap_or_default(), history }
    }

    fn column(&self, name: &str) -> ColumnFacts {
        let day = self.context.day;
        let of = |known: &Day| known.columns.get(name).copied();
        let today = self.days.get(&day).filter(|today| today.rows > 0);
        let object = Object::part(&self.settings.table, name);
        let filled = self.days.iter().filter(|(_, known)| known.rows > 0);
        let shares = filled.filter_map(|(day, known)| Some((*day, of(known)?.nulls as f64 / known.rows as f64)));
        ColumnFacts {
            name: name.to_owned(),
            rows: today.map_or(0, |today| today.rows),
            nulls: today.map_or(Some(0), |today| of(today).map(|column| column.nulls)),
            null_history: history(&shares.collect(), day, &self.marks.of(&check(Monitor::NullRate, &object))),
            profile: today.and_then(of).and_then(|column| column.profile),
            earlier: self.days.range(..day).filter_map(|(day, known)| Some((*day, of(known)?.profile?))).collect(),
            marks: self.marks.said(&check(Monitor::Distribution, &object)),
        }
    }

    /// A table that only grows holds on a day what its loads of that day brought.
    fn loaded_and_there(&self, today: &Day, loaded: Option<&BTreeMap<NaiveDate, u64>>) -> Option<Pair> {
        let grows = self.table.loader != Loader::Streaming && self.table.disposition == Disposition::Append;
        let left_rows = Some(loaded?.get(&self.context.day).copied().unwrap_or_default());
        grows.then_some(Pair { left: "load", left_rows, right: "table", right_rows: Some(today.rows) })
    }
}

/// The ledger knows of every day: one on which nothing was loaded is a day of no rows, from the first one on.
fn filled(loaded: &BTreeMap<NaiveDate, u64>, day: NaiveDate) -> BTreeMap<NaiveDate, u64> {
    let first = loaded.keys().next().copied().unwrap_or(day);
    let all = first.iter_days().take_while(|at| *at <= day);
    all.map(|at| (at, loaded.get(&at).copied().unwrap_or_default())).collect()
}
