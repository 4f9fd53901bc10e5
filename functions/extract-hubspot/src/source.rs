//! HubSpot as the extract loop sees it: what was read becomes data files of the lake.

use std::time::{Duration, Instant};

use sluice_core::{
    Error, Kind, Result,
    drift::Observed,
    extract::{ExtractRun, Extracted, Plan},
    functions::EXTRACT_HUBSPOT,
    lake,
    port::ObjectStore,
};
use sluice_hubspot::{Account, Client, Comparing, IdStore, Limits, Read};
use sluice_parquet::TableWriter;
use sluice_pipeline::extract::Source;

/// The account's contacts.
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
    if run.table.source.is_of(&EXTRACT_HUBSPOT) {
        return Ok(());
    }
    Err(Error::unsupported("the table does not come from HubSpot").with("table", &run.table.table))
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
        let begin = (run.cursor, run.sequence);
        let read = sluice_hubspot::read(&self.client, &account, columns, begin, time, self.limits).await?;
        let ids = Ids { store: self.store, key: lake::ids_key(&run.table.table, run.run_id) };
        let left = self.limits.time.saturating_sub(self.started.elapsed());
        let comparing = Comparing { every: self.compare_every, time: left };
        let Read { rows, invalid, cursor, whole_since, facts } =
            sluice_hubspot::compare(&self.client, &account, columns, run.cursor, read, time, comparing, &ids).await?;
        let mut writer = TableWriter::new(self.store, run)?;
        for row in &rows {
            writer.push(&row.cells()).await?;
        }
        for invalid in &invalid {
            writer.reject(&invalid.original, &invalid.reason).await?;
        }
        let (files, rejected) = writer.finish().await?;
        Ok(Extracted { files, rejected, cursor, whole_since, facts })
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
