//! From the API's answers to rows of the table.

use std::time::{Duration, Instant};

use chrono::NaiveDate;
use futures::{StreamExt, stream};
use serde_json::json;
use sluice_core::{
    Cell, ColumnType, Cursor, Error, Kind, Result, Retry, Schema,
    contract::decimal_from_text,
    extract::{ExtractRequest, ExtractRun, Extracted, Plan as Preview},
    port::ObjectStore,
    sources::Source as TableSource,
};
use sluice_parquet::TableWriter;
use sluice_pipeline::{extract::Source, log};

use crate::source::{
    client::{Account, Client, DEFAULT_BASE, Rates},
    plan::{Ask, Codes, Plan, Position, Provisional},
};

/// Requests under way at one time: a year is filled in seconds, and the API sees no flood.
const CONCURRENT_REQUESTS: usize = 4;

/// Days that one run may leave out because their answers cannot be read.
const MAX_UNREADABLE: usize = 3;

/// What ended a run early when it was no error.
const OUT_OF_TIME: &str = "the run's time";

/// The source of both tables.
#[derive(Debug)]
pub struct OpenExchangeRates<'a, S> {
    pub store: &'a S,
    pub client: Client,
    /// Requests that one run may spend.
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
        let (asks, left) = Plan::new(&position, run.request, *first_date).within(self.share, quota);
        let days = asks.iter().filter_map(|ask| if let Ask::Final(day) = ask { Some(day) } else { None });
        let mut facts = serde_json::Map::new();
        facts.insert("requests_planned".into(), asks.len().into());
        facts.insert("requests_left_to_make".into(), left.into());
        facts.insert("first_day".into(), json!(days.clone().min()));
        facts.insert("last_day".into(), json!(days.max()));
        facts.insert("quota_remaining_before".into(), quota.requests_remaining.into());
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
        for (code, name) in &listed {
            let row = in_order(columns, |column| match column {
                "code" => Some(Cell::Text(code)),
                "name" => Some(Cell::Text(name)),
                _ => None,
            })?;
            writer.push(&row).await?;
        }
        let (files, rejected) = writer.finish().await?;
        Ok(Extracted { files, rejected, cursor: None, facts: serde_json::Map::new() })
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
        let (asks, left) = plan.within(self.share, quota);
        if asks.is_empty() {
            return Err(Error::new(Kind::RateLimited, "the month's quota of requests is used up")
                .with_retry(Retry::Permanent)
                .with("requests_left_to_make", left));
        }

        let writer = TableWriter::new(self.store, run)?;
        let mut progress = Progress {
            writer: DayWriter { writer, columns: &run.table.columns, days: 0 },
            today: run.request.time.date_naive(),
            codes_before: position.codes.clone(),
            answers: 0,
            unreadable: 0,
        };
        let stopped_by = self.ask_all(&asks, base, &mut position, &mut progress).await?;

        let mut facts = progress.facts(&position);
        facts.insert("requests_planned".into(), asks.len().into());
        facts.insert("requests_left_to_make".into(), (left + asks.len() - progress.answers).into());
        facts.insert("quota_remaining_before".into(), quota.requests_remaining.into());
        if let Some(why) = stopped_by {
            facts.insert("stopped_by".into(), why.into());
        }
        let (files, rejected) = progress.writer.writer.finish().await?;
        Ok(Extracted { files, rejected, cursor: Some(Cursor::encode(&position)?), facts })
    }

    /// Where the run starts. A full refresh of a range forgets that range and no other day.
    async fn standing(&self, run: &ExtractRun<'_>, base: &str) -> Result<Position> {
        let ExtractRequest { full_refresh, from, to, .. } = *run.request;
        let ranged_refresh = full_refresh && (from.is_some() || to.is_some());
        let cursor = match run.cursor {
            None if ranged_refresh => {
                log::newest_commit(self.store, &run.table.table).await?.and_then(|commit| commit.cursor_to)
            }
            cursor => cursor.cloned(),
        };
        let standing: Option<Position> = cursor.as_ref().map(Cursor::decode).transpose()?;
        // Days done against another base say nothing about this one.
        let mut position = standing
            .filter(|position| position.base == base)
            .unwrap_or_else(|| Position { base: base.to_owned(), ..Position::default() });
        if ranged_refresh {
            position.forget(from, to);
        }
        Ok(position)
    }

    /// Asks and writes, in the plan's order, as long as the run's time allows. Days cost quota: whatever ends the run
    /// early, those that have arrived are kept, and the rest stays a gap for the next run. Returns what ended it.
    async fn ask_all<W: ObjectStore>(
        &self,
        asks: &[Ask],
        base: &str,
        position: &mut Position,
        progress: &mut Progress<'_, W>,
    ) -> Result<Option<&'static str>> {
        let start = Instant::now();
        // A request that is under way is waited for; the time bounds which ones begin.
        let in_time = asks.iter().enumerate().take_while(|(i, _)| *i == 0 || start.elapsed() < self.time);
        let mut answers = stream::iter(in_time)
            .map(|(_, ask)| async move {
                let rates = match ask {
                    Ask::Final(day) => self.client.historical(*day, base).await,
                    Ask::Provisional => self.client.latest(base).await,
                };
                (*ask, rates)
            })
            .buffered(CONCURRENT_REQUESTS);
        let mut first_unreadable = None;
        while let Some((ask, rates)) = answers.next().await {
            let error = match rates {
                Ok(rates) => {
                    progress.take(ask, rates, position).await?;
                    continue;
                }
                Err(error) => error,
            };
            // One day that cannot be read must not keep the others out. Several are a change of the API.
            let about_one_day = matches!(error.kind(), Kind::SchemaMismatch | Kind::InvalidData);
            if about_one_day && progress.unreadable < MAX_UNREADABLE {
                tracing::warn!(error = error.chain(), "a day cannot be read and stays a gap");
                progress.unreadable += 1;
                first_unreadable.get_or_insert(error);
                continue;
            }
            if progress.writer.days == 0 {
                return Err(error);
            }
            tracing::warn!(
                error = error.chain(),
                days = progress.writer.days,
                "stopping early; the days so far are kept"
            );
            return Ok(Some(error.kind().as_str()));
        }
        drop(answers);
        match first_unreadable {
            Some(error) if progress.writer.days == 0 => Err(error),
            _ if progress.answers + progress.unreadable < asks.len() => Ok(Some(OUT_OF_TIME)),
            _ => Ok(None),
        }
    }
}

/// What a run has got so far.
struct Progress<'a, S: ObjectStore> {
    writer: DayWriter<'a, S>,
    today: NaiveDate,
    codes_before: Option<Codes>,
    /// Requests that were answered with rates, or with there being none.
    answers: usize,
    unreadable: usize,
}

impl<S: ObjectStore> Progress<'_, S> {
    async fn take(&mut self, ask: Ask, rates: Option<Rates>, position: &mut Position) -> Result<()> {
        self.answers += 1;
        match (ask, rates) {
            (Ask::Final(day), Some(rates)) => {
                self.writer.write(day, "final", &rates).await?;
                position.unavailable.remove(&day);
                position.done.insert(day);
                if position.codes.as_ref().is_none_or(|codes| codes.day < day) {
                    position.codes = Some(Codes::new(day, rates.rates.keys().map(String::as_str)));
                }
            }
            (Ask::Final(day), None) => {
                position.unavailable.entry(day).or_insert(self.today);
            }
            (Ask::Provisional, Some(rates)) => {
                let time = rates.time()?;
                let provisional = Provisional { date: time.date_naive(), time };
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
        if self.unreadable > 0 {
            facts.insert("days_unreadable".into(), self.unreadable.into());
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
        let time = rates.time()?;
        let scale = match self.columns.position("rate").map(|at| self.columns.columns()[at].column_type) {
            Some(ColumnType::Decimal(_, scale)) => scale,
            _ => return Err(Error::new(Kind::SchemaMismatch, "the table has no decimal column 'rate'")),
        };
        for (target, text) in &rates.rates {
            let Some(rate) = decimal_from_text(text.get(), scale) else {
                let original = json!({
                    "rate_date": day, "base_currency": rates.base, "target_currency": target, "rate": text.get(),
                    "rate_kind": kind, "source_timestamp": time,
                });
                self.writer.reject(&original, "rate: is not a number that fits").await?;
                continue;
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
