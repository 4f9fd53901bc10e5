//! One event: find the table, read from its cursor on, commit.

use std::time::Duration;

use serde::Deserialize;
use sluice_core::{
    Result, Secret,
    extract::{ExtractRequest, ExtractSummary},
    functions::EXTRACT_EXCHANGE_RATES,
    port::{Bus, ObjectStore, Secrets, SystemClock},
    sources::Source as TableSource,
    with_secret,
};
use sluice_lambda::{ExtractAnswer, ExtractEvent, Invocation, each_due};
use sluice_pipeline::extract;

use crate::{
    Deps,
    source::{Client, OpenExchangeRates},
};

/// Time kept back from asking: for the requests that are under way then, for the file and for the commit.
const RESERVE: Duration = Duration::from_secs(50);

/// The secret's JSON.
#[derive(Deserialize)]
struct Credentials {
    app_id: Secret,
}

/// Serves one event: a run by its table's name, or the runs that are due.
pub async fn serve(
    event: ExtractEvent,
    invocation: &Invocation,
    deps: &Deps<impl ObjectStore, impl Bus, impl Secrets>,
) -> Result<ExtractAnswer> {
    let is_ours = |source: &TableSource| source.is_of(&EXTRACT_EXCHANGE_RATES);
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
    with_secret(secrets, &config.secret, async |Credentials { app_id }| {
        let client = Client::new(http.clone(), &config.url, app_id);
        let time = invocation.time_left(RESERVE);
        let mut source = OpenExchangeRates { store, client, share: config.daily_share, time };
        let (lake, run_id) = (&config.lake_id, &invocation.run_id);
        extract::run(store, bus, &SystemClock, &mut source, lake, table, run_id, &request).await
    })
    .await
}

#[cfg(test)]
mod tests;
