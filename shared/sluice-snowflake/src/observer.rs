//! The warehouse as a person sees it: the ledger, streaming tables and their channels.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use sluice_core::{
    LakeId, Result, Sequence, TableId,
    port::{Row, Secrets, Statements, required},
};
use sluice_http::Client;
use sluice_pipeline::{
    activate::State,
    observe::{
        Answer, Cost, CostsBy, DbtRun, Entry, Estimate, EstimatedWork, Latency, LoadFailure, LockWait, Observe, Pace,
        PartitionRows, Question, TableLoads, Unsent, Untaken, User,
    },
    stream::{Channel, ChannelStatus},
};
use sluice_watch::objectives::Fault;
use uuid::Uuid;

use crate::{
    Account, SnowflakeConfig, SqlApi, Streaming,
    answer::{optional, text, value},
    sql::{activations, costs, ledger, observe, session, watch},
};

/// A person waits this long for an answer to a question of their own.
const LONGEST_QUESTION: Duration = Duration::from_secs(1_800);

/// One lake's part of the warehouse.
pub struct Observer<Sec> {
    pub lake_id: LakeId,
    user: User,
    statements: SqlApi<Sec>,
    /// Of a session that names no role.
    without_role: SqlApi<Sec>,
    streaming: Streaming<Sec>,
    longest_question: Duration,
}

impl<Sec: Secrets> Observer<Sec> {
    pub fn connect(lake_id: LakeId, config: SnowflakeConfig, secrets: Sec, http: Client) -> Self {
        let user = User { name: config.user.clone(), role: config.role.clone() };
        let account = Arc::new(Account::new(config, secrets, http));
        let statements = || SqlApi::new(Arc::clone(&account));
        let (statements, without_role) = (statements().with_estimates(), statements().as_default_role());
        let (streaming, longest_question) = (Streaming::new(account), LONGEST_QUESTION);
        Observer { lake_id, user, statements, without_role, streaming, longest_question }
    }

    /// The same for a caller that has this long for each statement.
    #[must_use]
    pub fn with_longest(self, longest: Duration) -> Self {
        Observer { statements: self.statements.with_wait(longest), longest_question: longest, ..self }
    }

    pub(crate) async fn rows(&self, what: &str, statement: &str) -> Result<Vec<Row>> {
        self.statements.execute(statement, Uuid::new_v4(), &format!("sluice:{what}")).await
    }

    /// Runs a statement that may change something and may take this long. Each is a new request.
    pub(crate) async fn run(&self, what: &str, statement: &str, longest: Duration) -> Result<Vec<Row>> {
        let deadline = tokio::time::Instant::now() + longest;
        self.statements.execute_until(statement, Uuid::new_v4(), &format!("sluice:{what}"), deadline).await
    }

    /// See [`SqlApi::keep_estimate`].
    pub async fn keep_estimate(&self) {
        self.statements.keep_estimate().await;
    }
}

impl<Sec: Secrets> Observe for Observer<Sec> {
    async fn loads(&self) -> Result<BTreeMap<String, TableLoads>> {
        let mut tables: BTreeMap<String, TableLoads> = BTreeMap::new();
        for row in self.rows("status", &observe::load_states(&self.lake_id)).await? {
            let loads = tables.entry(required(&row, "table_name")?.to_owned()).or_default();
            let commits = value::<u64>(&row, "commits")?;
            match required(&row, "status")? {
                "loaded" => {
                    loads.loaded += commits;
                    loads.newest = loads.newest.max(Some(value(&row, "newest")?));
                }
                "failed" => loads.failed += commits,
                _ => {}
            }
        }
        Ok(tables)
    }

    async fn failures(&self) -> Result<BTreeMap<String, LoadFailure>> {
        let rows = self.rows("status", &observe::failures(&self.lake_id)).await?;
        let failure = |row: &Row| -> Result<(String, LoadFailure)> {
            let failure = LoadFailure {
                sequence: value(row, "sequence")?,
                reason: text(row, "reason"),
                at: optional(row, "loaded_at")?,
            };
            Ok((required(row, "table_name")?.to_owned(), failure))
        };
        rows.iter().map(failure).collect()
    }

    async fn untaken(&self) -> Result<BTreeMap<String, Untaken>> {
        let rows = self.rows("status", &observe::untaken(&self.lake_id)).await?;
        let untaken = |row: &Row| -> Result<(String, Untaken)> {
            let untaken = Untaken {
                sequence: value(row, "sequence")?,
                reason: required(row, "reason")?.to_owned(),
                at: optional(row, "loaded_at")?,
            };
            Ok((required(row, "table_name")?.to_owned(), untaken))
        };
        rows.iter().map(untaken).collect()
    }

    async fn recent(&self, table: &TableId, limit: usize) -> Result<BTreeMap<u64, Entry>> {
        let rows = self.rows("runs", &observe::recent_loads(&self.lake_id, table, limit)).await?;
        rows.iter().map(|row| Ok((value(row, "sequence")?, entry_of(row)?))).collect()
    }

    async fn entry(&self, table: &TableId, sequence: Sequence) -> Result<Option<Entry>> {
        let rows = self.rows("run", &ledger::entry(&self.lake_id, table, sequence)).await?;
        rows.first().map(entry_of).transpose()
    }

    async fn costs(&self, from: NaiveDate, by: CostsBy, limit: usize) -> Result<Vec<Cost>> {
        let cost = |row: &Row| {
            Ok(Cost {
                name: text(row, "grouped").unwrap_or_default(),
                credits: optional(row, "credits")?,
                dollars: value(row, "dollars")?,
            })
        };
        self.rows("costs", &costs::by(from, by, limit)).await?.iter().map(cost).collect()
    }

    async fn faults(&self, since: DateTime<Utc>) -> Result<Vec<Fault>> {
        let fault = |row: &Row| {
            Ok(Fault {
                kind: required(row, "kind")?.to_owned(),
                object: required(row, "object")?.to_owned(),
                from: value(row, "opened_at")?,
                to: optional(row, "resolved_at")?,
            })
        };
        self.rows("alerts", &watch::faults(since)).await?.iter().map(fault).collect()
    }

    async fn estimate(&self, from: NaiveDate) -> Result<Estimate> {
        let rows = self.rows("costs", &costs::estimated(from)).await?;
        let work = |row: &Row| {
            let (runs, credits) = (value(row, "runs")?, value(row, "credits")?);
            Ok(EstimatedWork { work: required(row, "work")?.to_owned(), runs, credits })
        };
        let billed_until = rows.first().map_or(Ok(None), |row| optional(row, "day"))?;
        Ok(Estimate { billed_until, works: rows.iter().map(work).collect::<Result<_>>()? })
    }

    async fn last_dbt_run(&self) -> Result<Option<DbtRun>> {
        let rows = self.rows("status", &observe::dbt_runs(1)).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        Ok(Some(DbtRun {
            number: value(row, "number")?,
            status: text(row, "status").unwrap_or_default(),
            selectors: text(row, "selectors").unwrap_or_default(),
            started_at: optional(row, "started_at")?,
            finished_at: optional(row, "finished_at")?,
        }))
    }

    async fn partitions(&self, table: &TableId) -> Result<Vec<PartitionRows>> {
        let rows = self.rows("status", &observe::partitions(table)).await?;
        let partition = |row: &Row| {
            Ok(PartitionRows {
                topic: required(row, "topic")?.to_owned(),
                partition: value(row, "number")?,
                rows: value(row, "row_count")?,
                highest_offset: value(row, "highest")?,
                newest_event: optional(row, "newest_event")?,
                newest_row: optional(row, "newest_row")?,
            })
        };
        rows.iter().map(partition).collect()
    }

    async fn pace(&self, table: &TableId) -> Result<Pace> {
        let row = self.rows("status", &observe::pace(table)).await?.into_iter().next().unwrap_or_default();
        // A sum over no row is NULL, which some warehouses make of a count, too.
        let rows = |column: &str| optional(&row, column).map(Option::unwrap_or_default);
        let percentile = |name: &str| optional(&row, name);
        let latency_ms = match (percentile("p50")?, percentile("p95")?, percentile("p99")?) {
            (Some(p50), Some(p95), Some(p99)) => Some(Latency { p50, p95, p99 }),
            _ => None,
        };
        Ok(Pace { recent_rows: rows("recent_rows")?, hour_rows: rows("hour_rows")?, latency_ms })
    }

    async fn channels(&self, channels: &[Channel]) -> Result<BTreeMap<String, Result<ChannelStatus>>> {
        let Some(Channel { table, .. }) = channels.first() else { return Ok(BTreeMap::new()) };
        // A channel is listed only as Snowflake spells it, which may be in upper case.
        let upper: Vec<String> = channels.iter().map(|channel| channel.name.to_uppercase()).collect();
        let plain = channels.iter().map(|channel| channel.name.as_str());
        let names: Vec<&str> = plain.chain(upper.iter().map(String::as_str)).collect();
        let mut listed = self.streaming.list(table, &names).await?;
        let found = channels.iter().zip(&upper).filter_map(|(Channel { name, .. }, upper)| {
            let listed = listed.remove(name).or_else(|| listed.remove(upper))?;
            Some((name.clone(), listed.status()))
        });
        Ok(found.collect())
    }

    async fn max_loaded_offset(&self, channel: &Channel) -> Result<Option<i64>> {
        let tag = format!("sluice:status:{}", channel.name);
        self.streaming.highest(channel, &tag).await
    }

    async fn unsent(&self, destination: &str) -> Result<Vec<Unsent>> {
        let rows = self.rows("activations", &activations::failures(&self.lake_id, destination)).await?;
        let unsent = |row: &Row| {
            Ok(Unsent {
                record: required(row, "record_id")?.to_owned(),
                state: State::parse(required(row, "state")?)?,
                reason: text(row, "reason").unwrap_or_default(),
                at: optional(row, "changed_at")?,
            })
        };
        rows.iter().map(unsent).collect()
    }

    async fn ask(&self, question: &Question) -> Result<Answer> {
        self.statements.ask(question, tokio::time::Instant::now() + self.longest_question).await
    }

    fn user(&self) -> &User {
        &self.user
    }

    async fn default_role(&self) -> Result<Option<String>> {
        let asked = self.without_role.execute(session::ROLE, Uuid::new_v4(), "sluice:doctor");
        Ok(asked.await?.first().and_then(|row| text(row, "role_name")))
    }

    async fn lock_wait(&self) -> Result<LockWait> {
        let rows = self.rows("doctor", session::LOCK_TIMEOUT).await?;
        lock_wait_of(&rows.into_iter().next().unwrap_or_default())
    }
}

fn lock_wait_of(row: &Row) -> Result<LockWait> {
    let level = text(row, "level").filter(|level| !level.is_empty()).map(|level| level.to_lowercase());
    Ok(LockWait { limit: Duration::from_secs(value(row, "value")?), level })
}

fn entry_of(row: &Row) -> Result<Entry> {
    Ok(Entry {
        status: required(row, "status")?.to_owned(),
        rows: value(row, "rows_loaded")?,
        reason: text(row, "reason"),
        at: optional(row, "loaded_at")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_timeout_is_read_and_an_empty_answer_is_none() {
        let wait = |cells: &[(&str, &str)]| {
            let cell = |(name, value): &(&str, &str)| ((*name).to_owned(), Some((*value).to_owned()));
            lock_wait_of(&cells.iter().map(cell).collect())
        };
        let limit = Duration::from_secs(240);
        let set = wait(&[("value", "240"), ("level", "USER")]).expect("a wait");
        assert_eq!(set, LockWait { limit, level: Some("user".into()) });
        assert_eq!(wait(&[("value", "240"), ("level", "")]).expect("a wait"), LockWait { limit, level: None });
        assert!(wait(&[]).is_err());
    }
}
