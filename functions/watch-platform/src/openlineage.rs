//! Tells of runs that have ended, after the round that watches. Whatever becomes of it is no fault of the round.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use serde::Deserialize;
use serde_json::Value;
use sluice_core::{
    Error, Kind, Result, RunId, Secret, lake,
    port::{ObjectStore, Secrets, SystemClock},
    secret::with_secret,
};
use sluice_http::{Client, Request, Response, RetryPolicy, error};
use sluice_pipeline::openlineage::{
    Names,
    round::{Sink, Teller},
};
use tracing::{info, warn};

use crate::{
    Deps,
    config::{Destination, OpenLineage},
    keys::Keys,
};

/// An answer that takes longer is none.
const ANSWER_WITHIN: Duration = Duration::from_secs(4);

/// No more of an invocation goes into events.
const MOST_TIME: Duration = Duration::from_secs(20);

/// Tells what has ended since the last time, as far as the time goes.
pub(crate) async fn tell(deps: &Deps, settings: &OpenLineage, run_id: &RunId, within: Duration) {
    let config = &deps.config;
    let names = Names {
        stack: config.lake_id.0.clone(),
        bucket: config.lake_bucket.clone(),
        warehouse: config.warehouse.namespace(),
        sources: settings.namespaces.clone(),
    };
    let within = within.min(MOST_TIME);
    let teller = Teller {
        store: &deps.store,
        warehouse: &deps.warehouse.watcher(&config.lake_id, run_id, within),
        sink: &To { deps, destination: &settings.destination },
        clock: &SystemClock,
        sources: &config.sources,
        lineage: &settings.lineage,
        names: &names,
        until: Utc::now() + within,
    };
    match teller.tell().await {
        Ok(told) => match &told.stopped_by {
            None => info!(events = told.events, refused = told.refused, "OpenLineage events were sent"),
            Some(reason) => {
                warn!(events = told.events, reason, "OpenLineage events are left; the next round sends them")
            }
        },
        Err(error) => warn!(error = error.chain(), error_kind = %error.kind(), "no OpenLineage events could be made"),
    }
}

struct To<'a> {
    deps: &'a Deps,
    destination: &'a Destination,
}

impl Sink for To<'_> {
    async fn send(&self, event: &Value) -> Result<()> {
        match self.destination {
            Destination::Lake => keep(&self.deps.store, event).await,
            Destination::Url(url) => {
                let secret = &self.deps.config.channels.secret;
                let send = async |keys: Keys| post(&self.deps.http, url, keys.openlineage_token.as_ref(), event).await;
                match self.deps.secrets.get(secret).await {
                    // Most of those who take events want no token, and a secret without a value has none.
                    Err(error) if error.kind() == Kind::NotFound => send(Keys::default()).await,
                    _ => with_secret(&self.deps.secrets, secret, send).await,
                }
            }
        }
    }
}

/// The same event has the same name.
async fn keep(store: &impl ObjectStore, event: &Value) -> Result<()> {
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
    let key = lake::openlineage_key(&text("/eventTime"), &text("/run/runId"), &text("/eventType"));
    store.put(&key, Bytes::from(event.to_string())).await.map(drop)
}

/// One event in one request. OpenMetadata answers 200 and says in the body what it did not take.
pub async fn post(http: &Client, url: &str, token: Option<&Secret>, event: &Value) -> Result<()> {
    let mut request = Request::post(url).json(event)?.timeout(ANSWER_WITHIN);
    if let Some(token) = token {
        request = request.bearer(token);
    }
    let patience = RetryPolicy {
        attempts: 2,
        total: ANSWER_WITHIN * 2,
        base: Duration::from_millis(500),
        cap: Duration::from_secs(1),
    };
    http.send(&request, &patience, judge).await.map(drop)
}

fn judge(response: &Response) -> Result<()> {
    if !response.is_success() {
        let error = error::by_status(response, "an OpenLineage event was not taken");
        // The same event again would be refused again; an address or a token that is wrong is mended.
        return Err(if error.kind() == Kind::InvalidData { error.as_final() } else { error });
    }
    #[derive(Deserialize)]
    struct Answer {
        status: Option<String>,
    }
    // Others answer with nothing, or with a text.
    match response.json::<Answer>().ok().and_then(|answer| answer.status) {
        Some(status) if status.eq_ignore_ascii_case("failure") => {
            Err(Error::invalid_data("an OpenLineage event was not taken; see its datasets")
                .with("status", status)
                .as_final())
        }
        _ => Ok(()),
    }
}
