//! The views that people query are made when this version's are others than those that were made last.

use std::time::Duration;

use bytes::Bytes;
use sluice_core::{Result, RunId, lake, port::ObjectStore};
use tracing::{info, warn};

use crate::Deps;

/// No more of an invocation goes into them.
const MOST_TIME: Duration = Duration::from_secs(20);

/// No round waits for them: what could not be made is made in the next.
pub(crate) async fn keep(deps: &Deps, run_id: &RunId, within: Duration) {
    match make(deps, run_id, within).await {
        Ok(true) => info!("the views that people query were made"),
        Ok(false) => {}
        Err(error) => {
            warn!(error = error.chain(), error_kind = %error.kind(), "cannot make the views that people query")
        }
    }
}

async fn make(deps: &Deps, run_id: &RunId, within: Duration) -> Result<bool> {
    let warehouse = deps.warehouse.watcher(&deps.config.lake_id, run_id, within.min(MOST_TIME));
    let wanted = Bytes::from(warehouse.views());
    if deps.store.get(lake::WATCH_VIEWS_KEY).await?.is_some_and(|made| made == wanted) {
        return Ok(false);
    }
    warehouse.make_views().await?;
    deps.store.put(lake::WATCH_VIEWS_KEY, wanted).await?;
    Ok(true)
}
