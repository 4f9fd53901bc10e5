//! The dispatch loop's ledger: what the warehouse holds, asked over the SQL API.

use sluice_core::{
    Loader, Result, RunId, Sources,
    port::{Row, Statements, required},
};
use sluice_pipeline::dispatch::{Claim, End, Ledger, Positions};
use uuid::Uuid;

use crate::{answer::value, sql::ledger};

/// One invocation's view of the ledger.
pub struct SnowflakeLedger<'a, S> {
    pub statements: S,
    pub sources: &'a Sources,
    /// The run that asks.
    pub run_id: &'a RunId,
}

impl<S: Statements> SnowflakeLedger<'_, S> {
    async fn execute(&self, run_id: &RunId, statement: &str) -> Result<Vec<Row>> {
        self.statements.execute(statement, Uuid::new_v4(), &format!("sluice:dispatch:{run_id}")).await
    }
}

impl<S: Statements> Ledger for SnowflakeLedger<'_, S> {
    /// Tables with commits by how many of them are loaded, streaming tables by their row count. A table without rows
    /// or loads is not there yet.
    async fn positions(&self) -> Result<Positions> {
        let mut positions = Positions::new();
        for row in self.execute(self.run_id, &ledger::positions()).await? {
            positions.insert(required(&row, "table_name")?.parse()?, value(&row, "position")?);
        }
        for table in self.sources.tables.iter().filter(|table| table.loader == Loader::Streaming) {
            let rows = self.execute(self.run_id, &ledger::streaming_position(&table.table)).await?;
            let count = rows.first().map_or(Ok(0), |row| value::<u64>(row, "position"))?;
            if count > 0 {
                positions.insert(table.table.clone(), count);
            }
        }
        Ok(positions)
    }

    async fn record(&self, claim: &Claim, end: &End) -> Result<()> {
        let report = &end.report;
        let failed = report.failed_nodes();
        let run = ledger::DbtRun {
            number: claim.number,
            run_id: &claim.run_id.0,
            dbt_run_id: &end.dbt_run_id,
            status: end.status.as_str(),
            selectors: &claim.selectors.join(" "),
            cause: &claim.cause,
            reason: end.reason.as_deref(),
            full_refresh: claim.full_refresh,
            attempts: report.attempts,
            models: report.models,
            tests: report.tests,
            skipped: report.skipped,
            rows: report.rows,
            failures: failed.len() as u64,
            failed: &failed.join(" "),
            seconds: report.seconds,
            credits: report.credits,
            started_at: claim.claimed_at,
            finished_at: end.ended_at,
        };
        self.execute(&claim.run_id, &ledger::dbt_run(&run)).await.map(drop)
    }
}
