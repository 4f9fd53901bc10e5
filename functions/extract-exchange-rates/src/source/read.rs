//! From the API's answers to rows of the table.

use chrono::{DateTime, NaiveDate, Utc};
use futures::{StreamExt, stream};
use serde_json::json;
use sluice_core::{
    Cell, ColumnType, Cursor, Error, Kind, Result, Retry, Schema,
    contract::decimal_from_text,
    extract::{ExtractRun, Extracted},
    port::ObjectStore,
    sources::Source as TableSource,
};
use sluice_parquet::TableWriter;
use sluice_pipeline::extract::Source;

use crate::source::{
    client::{Client, Rates},
    plan::{Ask, Plan, Position, Provisional},
};

/// Requests under way at one time: a year is filled in seconds, and the API sees no flood.
const CONCURRENT_REQUESTS: usize = 4;

/// The source of both tables.
#[derive(Debug)]
pub struct OpenExchangeRates<'a, S> {
    pub store: &'a S,
    pub client: Client,
    /// Requests that one run may spend.
    pub share: u64,
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
        let standing: Option<Position> = run.cursor.map(Cursor::decode).transpose()?;
        // Days done against another base say nothing about this one.
        let mut position = standing
            .filter(|position| position.base == base)
            .unwrap_or_else(|| Position { base: base.to_owned(), ..Position::default() });
        let plan = Plan::new(&position, run.request, first_date);
        if plan.is_empty() {
            return Ok(Extracted { cursor: run.cursor.cloned(), ..Extracted::default() });
        }
        let quota = self.client.quota().await?;
        let (asks, left) = plan.within(self.share, quota);
        if asks.is_empty() {
            return Err(Error::new(Kind::RateLimited, "the month's quota of requests is used up")
                .with_retry(Retry::Permanent)
                .with("requests_left_to_make", left));
        }

        let mut day_writer =
            DayWriter { writer: TableWriter::new(self.store, run)?, columns: &run.table.columns, days: 0 };
        let stopped_by = self.ask_all(&asks, base, run.request.time, &mut position, &mut day_writer).await?;

        let DayWriter { writer, days, .. } = day_writer;
        let (files, rejected) = writer.finish().await?;
        let mut facts = serde_json::Map::new();
        facts.insert("days".into(), days.into());
        facts.insert("requests_planned".into(), asks.len().into());
        facts.insert("requests_left_to_make".into(), left.into());
        facts.insert("quota_remaining_before".into(), quota.requests_remaining.into());
        if let Some(kind) = stopped_by {
            facts.insert("stopped_by".into(), kind.as_str().into());
        }
        Ok(Extracted { files, rejected, cursor: Some(Cursor::encode(&position)?), facts })
    }

    /// Asks and writes, in the plan's order. Days cost quota: when the API goes away after some have arrived, those are
    /// kept, and the rest stays a gap for the next run. Returns what ended the run early.
    async fn ask_all<W: ObjectStore>(
        &self,
        asks: &[Ask],
        base: &str,
        time: DateTime<Utc>,
        position: &mut Position,
        writer: &mut DayWriter<'_, W>,
    ) -> Result<Option<Kind>> {
        let mut answers = stream::iter(asks)
            .map(|ask| async move {
                let rates = match ask {
                    Ask::Final(day) => self.client.historical(*day, base).await,
                    Ask::Provisional => self.client.latest(base).await,
                };
                (*ask, rates)
            })
            .buffered(CONCURRENT_REQUESTS);
        while let Some((ask, rates)) = answers.next().await {
            let rates = match rates {
                Ok(rates) => rates,
                Err(error) if error.retry() == Retry::Exhausted && writer.days > 0 => {
                    tracing::warn!(
                        error = error.chain(),
                        days = writer.days,
                        "stopping early; the days so far are kept"
                    );
                    return Ok(Some(error.kind()));
                }
                Err(error) => return Err(error),
            };
            match (ask, rates) {
                (Ask::Final(day), Some(rates)) => {
                    writer.write(day, "final", &rates).await?;
                    position.unavailable.remove(&day);
                    position.done.insert(day);
                }
                (Ask::Final(day), None) => {
                    position.unavailable.entry(day).or_insert(time.date_naive());
                }
                (Ask::Provisional, Some(rates)) => {
                    let time = rates.time()?;
                    let provisional = Provisional { date: time.date_naive(), time };
                    if !position.done.contains(provisional.date) && position.provisional != Some(provisional) {
                        writer.write(provisional.date, "provisional", &rates).await?;
                        position.provisional = Some(provisional);
                    }
                }
                (Ask::Provisional, None) => {}
            }
        }
        Ok(None)
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
