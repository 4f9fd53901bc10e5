//! From the API's answers to rows of the table.

use std::time::{Duration, Instant};

use chrono::{NaiveDate, NaiveTime, TimeDelta};
use futures::{StreamExt, stream};
use serde_json::json;
use sluice_core::{
    Cell, ColumnType, Cursor, Error, Kind, Result, Retry, Schema,
    extract::{ExtractRequest, ExtractRun, Extracted, Plan as Preview},
    lake, number,
    port::ObjectStore,
    sources::Source as TableSource,
};
use sluice_parquet::TableWriter;
use sluice_pipeline::{extract::Source, log};

use crate::source::{
    client::{Account, Client, DEFAULT_BASE, Rates, Times},
    members::Member,
    plan::{Allowed, Ask, Codes, Plan, Position, Provisional, QUOTA},
};

/// Requests under way at one time: a year is filled in seconds, and the API sees no flood.
const CONCURRENT_REQUESTS: usize = 4;

/// Days that one run may leave out because their answers cannot be read.
const MAX_UNREADABLE: usize = 3;

/// This many days in a row without an answer, whatever was tried for each, are the API's being away and not a fault of some
/// days.
const UNANSWERED_IN_A_ROW: usize = 3;

/// The latest rates may be newer than the run's time by the waiting of its event and the difference of two clocks.
const LATEST_MAY_BE_AHEAD: TimeDelta = TimeDelta::days(1);

/// What ended a run early when it was no error.
const OUT_OF_TIME: &str = "the run's time";

/// The source of both tables.
#[derive(Debug)]
pub struct OpenExchangeRates<'a, S> {
    pub store: &'a S,
    pub client: Client,
    /// Requests that the runs of one day (UTC) may spend.
    pub share: u64,
    /// For how long it may begin to ask.
    pub time: Duration,
}

impl<S: ObjectStore> Source for OpenExchangeRates<'_, S> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        match &run.table.source {
            TableSource::Currencies => self.currencies(run).await,
            TableSource::ExchangeRates { base, first_date } => self.rates(run, base, *first_date).await,
            _ => {
                Err(Error::unsupported("the table does not come from Open Exchange Rates")
                    .with("table", &run.table.table))
            }
        }
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Preview> {
        let TableSource::ExchangeRates { base, first_date } = &run.table.source else { return Ok(Preview::default()) };
        let position = self.standing(run, base).await?;
        let quota = self.client.account().await?.quota;
        let spent = position.spent_on(run.request.time.date_naive());
        let plan = Plan::new(&position, run.request, *first_date);
        let Allowed { asks, left, cut_by } = plan.within(self.share, spent, quota);
        let days = asks.iter().filter_map(|ask| if let Ask::Final(day) = ask { Some(day) } else { None });
        let mut facts = serde_json::Map::new();
        facts.insert("requests_planned".into(), asks.len().into());
        facts.insert("requests_left_to_make".into(), left.into());
        facts.insert("first_day".into(), json!(days.clone().min()));
        facts.insert("last_day".into(), json!(days.max()));
        facts.insert("quota_remaining_before".into(), quota.requests_remaining.into());
        if let Some(why) = cut_by {
            facts.insert("stopped_by".into(), why.into());
        }
        // How many currencies a day has is known when it has been read.
        Ok(Preview { rows: None, facts })
    }
}

impl<S: ObjectStore> OpenExchangeRates<'_, S> {
    async fn currencies(&self, run: &ExtractRun<'_>) -> Result<Extracted> {
        let columns = &run.table.columns;
        let listed = self.client.currencies().await?;
        if listed.is_empty() {
            // The rows replace the table: an empty list is more likely a fault of the source than the end of money.
            return Err(Error::invalid_data("the API lists no currency; the table stays as it is"));
        }
        let mut writer = TableWriter::new(self.store, run)?;
        for Member { code, value, fault } in listed.judged() {
            let name = match fault {
                Some(fault) => Err(format!("code: {fault}")),
                None => serde_json::from_str::<String>(value).map_err(|_| "name: is not a text".to_owned()),
            };
            let name = match &name {
                Ok(name) => name,
                Err(reason) => {
                    writer.reject(&json!({"code": code, "name": value}), reason).await?;
                    continue;
                }
            };
            let row = in_order(columns, |column| match column {
                "code" => Some(Cell::Text(code)),
                "name" => Some(Cell::Text(name)),
                _ => None,
            })?;
            writer.push(&row).await?;
        }
        let (files, rejected) = writer.finish().await?;
        // What tells this list from another: a run that finds the same one commits nothing.
        let mut members: Vec<(&str, &str)> = listed.judged().map(|member| (member.code, member.value)).collect();
        members.sort_unstable();
        let parts: Vec<&[u8]> = members.iter().flat_map(|(code, name)| [code.as_bytes(), name.as_bytes()]).collect();
        let again: Vec<&[u8]> = parts.iter().rev().copied().collect();
        let digest = lake::digest(&parts) + &lake::digest(&again);
        let cursor = Some(Cursor::encode(&json!({ "list": digest }))?);
        let whole_since = Some(run.sequence);
        Ok(Extracted { files, rejected, cursor, whole_since, ..Extracted::default() })
    }

    async fn rates(&self, run: &ExtractRun<'_>, base: &str, first_date: NaiveDate) -> Result<Extracted> {
        let mut position = self.standing(run, base).await?;
        let plan = Plan::new(&position, run.request, first_date);
        if plan.is_empty() {
            return Ok(Extracted { cursor: run.cursor.cloned(), ..Extracted::default() });
        }
        let Account { quota, other_bases } = self.client.account().await?;
        if base != DEFAULT_BASE && other_bases == Some(false) {
            return Err(Error::new(
                Kind::Auth,
                "the plan has no other base than USD; take USD as the table's base and divide in a model, or a larger plan",
            )
            .with("base", base));
        }
        let today = run.request.time.date_naive();
        let Allowed { asks, left, cut_by } = plan.within(self.share, position.spent_on(today), quota);
        if asks.is_empty() && cut_by == Some(QUOTA) {
            return Err(Error::new(Kind::RateLimited, "the month's quota of requests is used up")
                .with_retry(Retry::Permanent)
                .with("requests_left_to_make", left));
        }

        let writer = TableWriter::new(self.store, run)?;
        let mut progress = Progress {
            writer: DayWriter { writer, columns: &run.table.columns, days: 0 },
            today,
            codes_before: position.codes.clone(),
            asked: 0,
            answers: 0,
            unreadable: 0,
            unanswered: 0,
            unanswered_in_a_row: 0,
        };
        let before = position.clone();
        let times = first_date.and_time(NaiveTime::MIN).and_utc()..=run.request.time + LATEST_MAY_BE_AHEAD;
        let stopped_by = self.ask_all(&asks, base, &times, &mut position, &mut progress).await?.or(cut_by);
        // A run that has learned nothing commits nothing, not even what it has spent.
        if progress.writer.days > 0 || position != before {
            position.spend(today, progress.asked as u64);
        }

        let mut facts = progress.facts(&position);
        facts.insert("requests_planned".into(), asks.len().into());
        facts.insert("requests_left_to_make".into(), (left + asks.len() - progress.answers).into());
        facts.insert("quota_remaining_before".into(), quota.requests_remaining.into());
        if let Some(why) = stopped_by {
            facts.insert("stopped_by".into(), why.into());
        }
        let (files, rejected) = progress.writer.writer.finish().await?;
        // When the share allows no request, an earlier cursor stands as it is, also under a full refresh.
        let cursor = if asks.is_empty() { run.cursor.cloned() } else { Some(Cursor::encode(&position)?) };
        Ok(Extracted { files, rejected, cursor, facts, whole_since: None })
    }

    /// Where the run starts. A full refresh of a range forgets that range and no other day; none forgets what was spent.
    async fn standing(&self, run: &ExtractRun<'_>, base: &str) -> Result<Position> {
        let ExtractRequest { full_refresh, from, to, .. } = *run.request;
        let whole_refresh = full_refresh && from.is_none() && to.is_none();
        let cursor = match run.cursor {
            None if full_refresh => {
                log::newest_commit(self.store, &run.table.table).await?.and_then(|commit| commit.cursor_to)
            }
            cursor => cursor.cloned(),
        };
        let decoded = cursor.as_ref().map(Cursor::decode::<Position>).transpose();
        // A cursor that cannot be read is mended by reading everything again.
        let standing = if whole_refresh { decoded.unwrap_or_default() } else { decoded? };
        let spent = standing.as_ref().and_then(|position| position.spent);
        // Days done against another base say nothing about this one.
        let mut position = standing
            .filter(|position| position.base == base && !whole_refresh)
            .unwrap_or_else(|| Position { base: base.to_owned(), ..Position::default() });
        if full_refresh {
            position.forget(from, to);
        }
        Ok(Position { spent, ..position })
    }

    /// Asks and writes, in the plan's order, as long as the run's time allows. Days cost quota: whatever ends the run
    /// early, those that have arrived or are under way are kept, and the rest stays a gap for the next run. Returns what
    /// ended it.
    async fn ask_all<W: ObjectStore>(
        &self,
        asks: &[Ask],
        base: &str,
        latest: &Times,
        position: &mut Position,
        progress: &mut Progress<'_, W>,
    ) -> Result<Option<&'static str>> {
        let start = Instant::now();
        let is_ending = std::cell::Cell::new(false);
        // A request that is under way is waited for; the time and the end bound which ones begin.
        let may_begin = |at: usize| !is_ending.get() && (at == 0 || start.elapsed() < self.time);
        let mut answers = stream::iter(asks.iter().enumerate().take_while(|(at, _)| may_begin(*at)))
            .map(|(_, ask)| async move {
                let rates = match ask {
                    Ask::Final(day) => self.client.historical(*day, base).await,
                    Ask::Provisional => self.client.latest(base, latest).await,
                };
                (*ask, rates)
            })
            .buffered(CONCURRENT_REQUESTS);
        let (mut first_left_out, mut ended_by) = (None, None);
        while let Some((ask, rates)) = answers.next().await {
            progress.asked += 1;
            match rates {
                Ok(rates) => progress.take(ask, rates, position).await?,
                Err(error) if progress.leaves_out(&error) => {
                    tracing::warn!(error = error.chain(), ?ask, "a day does not arrive and stays a gap");
                    first_left_out.get_or_insert(error);
                }
                Err(error) => {
                    is_ending.set(true);
                    tracing::warn!(error = error.chain(), ?ask, "stopping early; the days so far are kept");
                    ended_by.get_or_insert(error);
                }
            }
        }
        drop(answers);
        let ended = ended_by.as_ref().map(|error: &Error| error.kind().as_str());
        match ended_by.or(first_left_out) {
            Some(error) if progress.answers == 0 => Err(error),
            _ if ended.is_none() && progress.asked < asks.len() => Ok(Some(OUT_OF_TIME)),
            _ => Ok(ended),
        }
    }
}

/// What a run has got so far.
struct Progress<'a, S: ObjectStore> {
    writer: DayWriter<'a, S>,
    today: NaiveDate,
    codes_before: Option<Codes>,
    /// Requests that were made.
    asked: usize,
    /// Requests that were answered with rates, or with there being none.
    answers: usize,
    unreadable: usize,
    unanswered: usize,
    unanswered_in_a_row: usize,
}

impl<S: ObjectStore> Progress<'_, S> {
    /// Whether only the day is left out and the run goes on: one day must not keep the others out. Several that cannot be
    /// read are a change of the API, several in a row without an answer are its being away, and a refusal is for all days.
    fn leaves_out(&mut self, error: &Error) -> bool {
        match error.kind() {
            Kind::SchemaMismatch | Kind::InvalidData => {
                self.unanswered_in_a_row = 0;
                self.unreadable += 1;
                self.unreadable <= MAX_UNREADABLE
            }
            Kind::Unavailable | Kind::Timeout if error.retry() == Retry::Exhausted => {
                self.unanswered += 1;
                self.unanswered_in_a_row += 1;
                self.unanswered_in_a_row < UNANSWERED_IN_A_ROW
            }
            _ => false,
        }
    }

    async fn take(&mut self, ask: Ask, rates: Option<Rates>, position: &mut Position) -> Result<()> {
        self.answers += 1;
        self.unanswered_in_a_row = 0;
        match (ask, rates) {
            (Ask::Final(day), Some(rates)) => {
                self.writer.write(day, "final", &rates).await?;
                position.unavailable.remove(&day);
                position.done.insert(day);
                if position.codes.as_ref().is_none_or(|codes| codes.day < day) {
                    position.codes = Some(Codes::new(day, rates.rates.codes()));
                }
            }
            (Ask::Final(day), None) => {
                position.unavailable.entry(day).or_insert(self.today);
            }
            (Ask::Provisional, Some(rates)) => {
                let provisional = Provisional { date: rates.time.date_naive(), time: rates.time };
                if !position.done.contains(provisional.date) && position.provisional != Some(provisional) {
                    self.writer.write(provisional.date, "provisional", &rates).await?;
                    position.provisional = Some(provisional);
                }
            }
            (Ask::Provisional, None) => {}
        }
        Ok(())
    }

    fn facts(&self, position: &Position) -> serde_json::Map<String, serde_json::Value> {
        let mut facts = serde_json::Map::new();
        facts.insert("days".into(), self.writer.days.into());
        for (name, days) in [("days_unreadable", self.unreadable), ("days_unanswered", self.unanswered)] {
            if days > 0 {
                facts.insert(name.into(), days.into());
            }
        }
        if let (Some(before), Some(now)) = (&self.codes_before, &position.codes) {
            let (appeared, vanished) = before.changes(now);
            for (name, codes) in [("currencies_appeared", appeared), ("currencies_vanished", vanished)] {
                if !codes.is_empty() {
                    facts.insert(name.into(), codes.into());
                }
            }
        }
        facts
    }
}

/// Writes a day's rates as one row per target currency.
struct DayWriter<'a, S: ObjectStore> {
    writer: TableWriter<'a, S>,
    columns: &'a Schema,
    days: u64,
}

impl<S: ObjectStore> DayWriter<'_, S> {
    async fn write(&mut self, day: NaiveDate, kind: &str, rates: &Rates) -> Result<()> {
        let time = rates.time;
        let scale = match self.columns.position("rate").map(|at| self.columns.columns()[at].column_type) {
            Some(ColumnType::Decimal(_, scale)) => scale,
            _ => return Err(Error::new(Kind::SchemaMismatch, "the table has no decimal column 'rate'")),
        };
        for Member { code: target, value, fault } in rates.rates.judged() {
            // A rate is a quotient anyway: it is rounded here, once, and the contract judges what would be loaded.
            let rate = match fault {
                Some(fault) => Err(format!("target_currency: {fault}")),
                None => number::rounded(value, scale).map_err(|invalid| format!("rate: {}", invalid.rule())),
            };
            let rate = match rate {
                Ok(rate) => rate,
                Err(reason) => {
                    let original = json!({
                        "rate_date": day, "base_currency": rates.base, "target_currency": target, "rate": value,
                        "rate_kind": kind, "source_timestamp": time,
                    });
                    self.writer.reject(&original, &reason).await?;
                    continue;
                }
            };
            let row = in_order(self.columns, |column| match column {
                "rate_date" => Some(Cell::Date(day.to_epoch_days())),
                "base_currency" => Some(Cell::Text(&rates.base)),
                "target_currency" => Some(Cell::Text(target)),
                "rate" => Some(Cell::Decimal(rate)),
                "rate_kind" => Some(Cell::Text(kind)),
                "source_timestamp" => Some(Cell::Timestamp(time.timestamp_micros())),
                _ => None,
            })?;
            self.writer.push(&row).await?;
        }
        self.days += 1;
        Ok(())
    }
}

/// One row's cells in the order of the table's columns. A column that this source does not have is a mistake in
/// `sources.yaml`, not a column of nulls.
fn in_order<'a>(columns: &Schema, cell: impl Fn(&str) -> Option<Cell<'a>>) -> Result<Vec<Cell<'a>>> {
    let of_column = |name: &str| {
        cell(name).ok_or_else(|| {
            Error::new(Kind::SchemaMismatch, "the table has a column that Open Exchange Rates does not give")
                .with("column", name)
        })
    };
    columns.columns().iter().map(|column| of_column(&column.name)).collect()
}
