//! One event: find the table, read from its cursor on, commit.

use std::time::{Duration, Instant};

use sluice_aws::{CachedSecrets, EventBus, S3Lake, sdk_config};
use sluice_core::{
    Error, Kind, Result,
    drift::Observed,
    extract::{ExtractRequest, ExtractRun, ExtractSummary, Extracted, Plan},
    lake,
    port::{Bus, ObjectStore, Secrets, SystemClock},
    sources::Source as TableSource,
    with_secret,
};
use sluice_hubspot::{Account, Client, Comparing, Credentials, HubspotConfig, IdStore, Limits, Read};
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

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

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
        let account = HubspotConfig { version: config.version.clone(), ..HubspotConfig::new(&config.url, credentials) };
        let client = Client::new(http.clone(), &account);
        let limits = Limits { contacts: CONTACTS_PER_RUN, time: invocation.time_left(RESERVE) };
        let mut source = Contacts::new(store, client, limits);
        source.compare_every = (config.compare_days > 0).then(|| DAY * config.compare_days);
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
    /// From one comparison with the account's list to the next; `None`: never.
    pub compare_every: Option<Duration>,
    started: Instant,
    /// What was observed before the read, which needs it too.
    account: Option<Account>,
}

impl<'a, S> Contacts<'a, S> {
    pub fn new(store: &'a S, client: Client, limits: Limits) -> Self {
        Contacts { store, client, limits, compare_every: None, started: Instant::now(), account: None }
    }
}

/// The ids of live contacts, among the files of the run that wrote them.
struct Ids<'a, S> {
    store: &'a S,
    key: String,
}

impl<S: ObjectStore> IdStore for Ids<'_, S> {
    async fn load(&self, name: &str) -> Result<Vec<u8>> {
        let missing = || Error::new(Kind::NotFound, "the lake lacks the ids of known contacts").with("key", name);
        self.store.get(name).await?.map(Vec::from).ok_or_else(missing)
    }

    async fn keep(&self, ids: Vec<u8>) -> Result<String> {
        self.store.put(&self.key, ids.into()).await?;
        Ok(self.key.clone())
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
        let time = run.request.time;
        let read = sluice_hubspot::read(&self.client, &account, columns, run.cursor, time, self.limits).await?;
        let ids = Ids { store: self.store, key: lake::ids_key(&run.table.table, run.run_id) };
        let left = self.limits.time.saturating_sub(self.started.elapsed());
        let comparing = Comparing { every: self.compare_every, time: left };
        let Read { rows, unfit, cursor, facts } =
            sluice_hubspot::compare(&self.client, &account, columns, run.cursor, read, time, comparing, &ids).await?;
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
