//! One account behind the ports of the loops that load, dispatch, activate and watch.

use std::{sync::Arc, time::Duration};

use sluice_core::{LakeId, RunId, Sources, TableId, port::Secrets};
use sluice_http::Client;
use tokio::time::Instant;

use crate::{Account, Activations, Known, Loads, SnowflakeConfig, SnowflakeLedger, Snowpipe, SqlApi, Until, Watcher};

/// What a function holds between invocations. Nothing is called yet: the key and tokens are fetched on first use.
pub struct Snowflake<Sec> {
    statements: SqlApi<Sec>,
    pipe: Snowpipe<Sec>,
    known: Known,
}

impl<Sec: Secrets> Snowflake<Sec> {
    pub fn connect(config: SnowflakeConfig, secrets: Sec, http: Client) -> Self {
        let account = Arc::new(Account::new(config, secrets, http));
        let statements = SqlApi::new(Arc::clone(&account));
        Snowflake { statements, pipe: Snowpipe::new(account), known: Known::default() }
    }

    /// How long a statement may take when nobody names a deadline.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.statements = self.statements.with_wait(wait);
        self
    }

    /// See [`SqlApi::with_estimates`].
    #[must_use]
    pub fn with_estimates(mut self) -> Self {
        self.statements = self.statements.with_estimates();
        self
    }

    /// For an invocation that has this much time left.
    pub fn loads<'a>(&'a self, run_id: &'a RunId, within: Duration) -> Loads<'a, Until<'a, Sec>, Sec> {
        let statements = self.statements.until(Instant::now() + within);
        Loads { statements, pipe: &self.pipe, attempt: &run_id.0, known: &self.known }
    }

    /// The same for the loop that dispatches.
    pub fn ledger<'a>(
        &'a self,
        sources: &'a Sources,
        run_id: &'a RunId,
        within: Duration,
    ) -> SnowflakeLedger<'a, Until<'a, Sec>> {
        SnowflakeLedger { statements: self.statements.until(Instant::now() + within), sources, run_id }
    }

    /// The same for the loop that activates.
    pub fn activations<'a>(
        &'a self,
        lake_id: &'a LakeId,
        destination: &'a str,
        model: &'a TableId,
        run_id: &'a RunId,
        within: Duration,
    ) -> Activations<'a, Until<'a, Sec>> {
        let statements = self.statements.until(Instant::now() + within);
        Activations { statements, lake_id, destination, model, run_id }
    }

    /// The same for the function that watches.
    pub fn watcher<'a>(&'a self, lake_id: &'a LakeId, run_id: &'a RunId, within: Duration) -> Watcher<'a, Sec> {
        Watcher::new(&self.statements, lake_id, run_id, Instant::now() + within)
    }

    pub fn statements(&self) -> &SqlApi<Sec> {
        &self.statements
    }
}
