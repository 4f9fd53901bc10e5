//! What has ended since the last round is told, oldest first. What was told is marked, so that a round goes on where the last one
//! came to.

use std::collections::BTreeMap;

use chrono::{DateTime, Days, NaiveDate, NaiveTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sluice_core::{
    Commit, Error, Kind, Loader, Result, RunId, Sequence, Sources, Table, TableId, lake,
    port::{Clock, ObjectStore},
};
use tracing::warn;

use super::{
    Names,
    events::{self, LoadFact},
};
use crate::{dispatch, log, runs, why::Lineage};

/// Of a table whose runs were not told for long the oldest are left out.
const MOST_COMMITS: u64 = 50;

/// What the ledger says.
pub trait LoadFacts {
    /// How the newest loads of a table ended, by sequence; those that have not ended are not among them.
    fn load_facts(&self, table: &TableId, limit: usize) -> impl Future<Output = Result<BTreeMap<u64, LoadFact>>>;
}

/// Where events go.
pub trait Sink {
    /// Taken when it returns.
    fn send(&self, event: &Value) -> impl Future<Output = Result<()>>;
}

pub struct Teller<'a, S, W, T, K> {
    pub store: &'a S,
    pub warehouse: &'a W,
    pub sink: &'a T,
    pub clock: &'a K,
    pub sources: &'a Sources,
    pub lineage: &'a Lineage,
    pub names: &'a Names,
    /// Nothing is sent later.
    pub until: DateTime<Utc>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Told {
    pub events: usize,
    /// Events that the other side will never take.
    pub refused: usize,
    /// Why the round ended before everything was told.
    pub stopped_by: Option<String>,
}

/// What was told, kept in the lake.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Marks {
    tables: BTreeMap<TableId, Mark>,
    dbt: Option<u64>,
    /// The day up to which streams were told.
    streams: Option<NaiveDate>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Mark {
    commit: u64,
    load: u64,
    failed_run: Option<RunId>,
}

impl<S: ObjectStore, W: LoadFacts, T: Sink, K: Clock> Teller<'_, S, W, T, K> {
    /// Tells what has ended. What it could not tell is due again.
    pub async fn tell(&self) -> Result<Told> {
        let mut marks = self.marks().await?;
        let before = marks.clone();
        let mut told = Told::default();
        let ended = self.everything(&mut marks, &mut told).await;
        if let Err(error) = ended {
            told.stopped_by = Some(error.chain());
        }
        if marks != before {
            let encoded = |error| Error::internal("cannot encode what was told of runs").because(error);
            let body = serde_json::to_vec(&marks).map_err(encoded)?;
            self.store.put(lake::OPENLINEAGE_MARKS_KEY, body.into()).await?;
        }
        Ok(told)
    }

    async fn marks(&self) -> Result<Marks> {
        let Some(body) = self.store.get(lake::OPENLINEAGE_MARKS_KEY).await? else { return Ok(Marks::default()) };
        let broken = |error| Error::invalid_data("what was told of runs cannot be read").because(error);
        serde_json::from_slice(&body).map_err(|error| broken(error).with("key", lake::OPENLINEAGE_MARKS_KEY))
    }

    async fn everything(&self, marks: &mut Marks, told: &mut Told) -> Result<()> {
        for table in self.sources.tables.iter().filter(|table| table.loader != Loader::Streaming) {
            let mark = marks.tables.entry(table.table.clone()).or_default();
            self.commits(table, mark, told).await?;
        }
        self.dbt(&mut marks.dbt, told).await?;
        self.streams(&mut marks.streams, told).await
    }

    async fn commits(&self, table: &Table, mark: &mut Mark, told: &mut Told) -> Result<()> {
        let newest = log::newest_commit(self.store, &table.table).await?;
        let newest_sequence = newest.as_ref().map_or(0, |commit| commit.sequence.0);
        mark.commit = mark.commit.max(newest_sequence.saturating_sub(MOST_COMMITS));
        mark.load = mark.load.max(newest_sequence.saturating_sub(MOST_COMMITS));
        while mark.commit < newest_sequence {
            if let Some(commit) = self.commit(table, mark.commit + 1, newest.as_ref()).await? {
                self.send(&events::extracted(self.names, table, &commit), told).await?;
            }
            mark.commit += 1;
        }
        if let Some(last) = runs::last(self.store, &table.table).await?
            && mark.failed_run.as_ref() != Some(&last.run_id)
            && let Some(failed) = events::extract_failed(self.names, table, &last)
        {
            self.send(&failed, told).await?;
            mark.failed_run = Some(last.run_id);
        }
        if mark.load == mark.commit {
            return Ok(());
        }
        let loads = self.warehouse.load_facts(&table.table, MOST_COMMITS as usize).await?;
        while mark.load < mark.commit {
            let sequence = mark.load + 1;
            match (loads.get(&sequence), self.commit(table, sequence, newest.as_ref()).await?) {
                (Some(load), Some(commit)) => {
                    self.send(&events::loaded(self.names, table, &commit, load), told).await?;
                }
                (_, None) => {}
                // It has not ended, or the ledger is behind.
                (None, Some(_)) => break,
            }
            mark.load = sequence;
        }
        Ok(())
    }

    /// A commit with rows of a source; a reset has none, and one that was erased cannot be told of.
    async fn commit(&self, table: &Table, sequence: u64, newest: Option<&Commit>) -> Result<Option<Commit>> {
        let commit = match newest {
            Some(newest) if newest.sequence.0 == sequence => Some(newest.clone()),
            _ => log::find_commit(self.store, &table.table, Sequence(sequence)).await?,
        };
        if commit.is_none() {
            warn!(table = %table.table, sequence, "no events are made of a commit that is gone");
        }
        Ok(commit.filter(|commit| commit.reset.is_none()))
    }

    /// Runs of dbt are numbered without a gap. On a platform that has had many before, the newest is the first to be told.
    async fn dbt(&self, mark: &mut Option<u64>, told: &mut Told) -> Result<()> {
        let Some(newest) = dispatch::newest_claim(self.store).await? else { return Ok(()) };
        let mut next = mark.map_or(newest.number, |mark| mark + 1);
        while next <= newest.number {
            let Some(end) = dispatch::end_of(self.store, next).await? else { return Ok(()) };
            self.send(&events::transformed(self.names, self.lineage, &end), told).await?;
            *mark = Some(next);
            next += 1;
        }
        Ok(())
    }

    /// A stream has no runs that end: each day of it is one.
    async fn streams(&self, mark: &mut Option<NaiveDate>, told: &mut Told) -> Result<()> {
        let today = self.clock.now().date_naive();
        let yesterday = today - Days::new(1);
        if mark.is_some_and(|mark| mark >= yesterday) {
            return Ok(());
        }
        let midnight = |day: NaiveDate| day.and_time(NaiveTime::MIN).and_utc();
        for table in self.sources.tables.iter().filter(|table| table.loader == Loader::Streaming) {
            self.send(&events::streamed(self.names, table, midnight(yesterday), midnight(today)), told).await?;
        }
        *mark = Some(yesterday);
        Ok(())
    }

    async fn send(&self, events: &[Value], told: &mut Told) -> Result<()> {
        for event in events {
            if self.clock.now() >= self.until {
                return Err(Error::new(Kind::Timeout, "the round had no time left for more events"));
            }
            match self.sink.send(event).await {
                Ok(()) => told.events += 1,
                // One that is refused must not hold up those after it.
                Err(error) if error.is_final() => {
                    warn!(error = error.chain(), job = %event["job"]["name"], "an OpenLineage event was refused");
                    told.refused += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
