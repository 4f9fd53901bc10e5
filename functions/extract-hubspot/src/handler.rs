//! One event: find the table, read from its cursor on, commit.

use std::time::Duration;

use sluice_aws::{CachedSecrets, EventBus, S3Lake, sdk_config};
use sluice_core::{
    Error, Result,
    drift::Observed,
    extract::{ExtractRequest, ExtractRun, ExtractSummary, Extracted, Plan},
    port::{Bus, ObjectStore, Secrets, SystemClock},
    sources::Source as TableSource,
    with_secret,
};
use sluice_hubspot::{Account, Client, Credentials, HubspotConfig, Limits, Read};
use sluice_lambda::Invocation;
use sluice_parquet::TableWriter;
use sluice_pipeline::extract::{self, Source};

use crate::Config;

/// Contacts held in memory by one run, archived and rejected ones included: some 150 MB as rows, some 300 MB were every
/// one rejected, of the function's 1,024. A larger account takes several runs to read for the first time.
const CONTACTS_PER_RUN: usize = 200_000;

/// Time kept back from searching: for the archive's list, which needs ten requests per thousand contacts deleted in 90
/// days, for the file and for the commit.
const RESERVE: Duration = Duration::from_secs(90);

/// What the function holds between invocations.
#[derive(Debug)]
pub struct Deps<L, B, K> {
    pub config: Config,
    pub store: L,
    pub bus: B,
    pub secrets: K,
    pub http: sluice_http::Client,
}

impl Deps<S3Lake, EventBus, CachedSecrets> {
    pub async fn connect(config: Config) -> Result<Self> {
        let sdk = sdk_config().await;
        Ok(Deps {
            store: S3Lake::new(&sdk, &config.lake_bucket),
            bus: EventBus::new(&sdk, &config.bus_name),
            secrets: CachedSecrets::new(&sdk),
            http: sluice_http::Client::new()?,
            config,
        })
    }
}

/// Serves one schedule or one call by hand.
pub async fn handle(
    request: ExtractRequest,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Secrets>,
) -> Result<ExtractSummary> {
    let Deps { config, store, bus, secrets, http } = deps;
    let table = config.sources.table(&request.table)?;
    with_secret(secrets, &config.secret, async |credentials: Credentials| {
        let client = Client::new(http.clone(), &HubspotConfig::new(&config.url, credentials));
        let limits = Limits { contacts: CONTACTS_PER_RUN, time: invocation.time_left(RESERVE) };
        let mut source = Contacts::new(store, client, limits);
        let (lake, run_id) = (&config.lake_id, &invocation.run_id);
        extract::run(store, bus, &SystemClock, &mut source, lake, table, run_id, &request).await
    })
    .await
}

/// HubSpot as the extract loop sees it: what was read becomes data files.
#[derive(Debug)]
pub struct Contacts<'a, S> {
    store: &'a S,
    client: Client,
    limits: Limits,
    /// What was observed before the read, which needs it too.
    account: Option<Account>,
}

impl<'a, S> Contacts<'a, S> {
    pub fn new(store: &'a S, client: Client, limits: Limits) -> Self {
        Contacts { store, client, limits, account: None }
    }
}

fn only_hubspots(run: &ExtractRun<'_>) -> Result<()> {
    match run.table.source {
        TableSource::HubspotContacts => Ok(()),
        _ => Err(Error::unsupported("the table does not come from HubSpot").with("table", &run.table.table)),
    }
}

impl<S: ObjectStore> Source for Contacts<'_, S> {
    async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
        only_hubspots(run)?;
        let account = match self.account.take() {
            Some(account) => account,
            None => self.client.account().await?,
        };
        let columns = &run.table.columns;
        let Read { rows, unfit, cursor, facts } =
            sluice_hubspot::read(&self.client, &account, columns, run.cursor, run.request.time, self.limits).await?;
        let mut writer = TableWriter::new(self.store, run)?;
        for row in &rows {
            writer.push(&row.cells()).await?;
        }
        for unfit in &unfit {
            writer.reject(&unfit.original, &unfit.reason).await?;
        }
        let (files, rejected) = writer.finish().await?;
        Ok(Extracted { files, rejected, cursor, facts })
    }

    async fn plan(&mut self, run: &ExtractRun<'_>) -> Result<Plan> {
        let rows = sluice_hubspot::count(&self.client, &run.table.columns, run.cursor).await?;
        Ok(Plan { rows, ..Plan::default() })
    }

    async fn observe(&mut self, run: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
        only_hubspots(run)?;
        let account = self.client.account().await?;
        let observed = account.observed(&run.table.columns);
        self.account = Some(account);
        Ok(Some(observed))
    }
}

#[cfg(test)]
mod tests;
