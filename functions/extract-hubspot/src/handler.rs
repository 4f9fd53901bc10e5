//! One event: find the table, read from its cursor on, commit.

use std::time::Duration;

use sluice_core::{
    Result,
    extract::{ExtractRequest, ExtractSummary},
    functions::EXTRACT_HUBSPOT,
    port::{Bus, ObjectStore, Secrets, SystemClock},
    sources::Source as TableSource,
    with_secret,
};
use sluice_hubspot::{Client, Credentials, HubspotConfig, Limits};
use sluice_lambda::{ExtractAnswer, ExtractEvent, Invocation, each_due};
use sluice_pipeline::extract;

use crate::{Contacts, Deps};

/// Contacts held in memory by one run, archived and rejected ones included: some 150 MB as rows, some 300 MB were every
/// one rejected, of the function's 1,024. A larger account takes several runs to read for the first time.
const CONTACTS_PER_RUN: usize = 200_000;

/// Time kept back from searching: for the archive's list, which needs ten requests per thousand contacts deleted in 90
/// days, for the file and for the commit.
const RESERVE: Duration = Duration::from_secs(90);

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves one event: a run by its table's name, or the runs that are due.
pub async fn serve(
    event: ExtractEvent,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Secrets>,
) -> Result<ExtractAnswer> {
    let is_ours = |source: &TableSource| source.is_of(&EXTRACT_HUBSPOT);
    let run = async |request, invocation: &_| handle(request, invocation, deps).await;
    each_due(event, &deps.config.sources, is_ours, &deps.store, invocation, run).await
}

/// Runs one extract of one table.
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

#[cfg(test)]
mod tests;
