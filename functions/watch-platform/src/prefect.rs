//! Runs of the platform as flow runs of Prefect, where an address is set: for those whose other work is there and who look there.
//! Nothing here decides anything, and nothing waits for it: what Prefect does not take in time is a line of the log.

mod run;

use std::{
    collections::BTreeSet,
    time::{Duration, Instant},
};

use chrono::Utc;
use futures::{StreamExt, stream};
use serde::Deserialize;
use serde_json::{Value, json};
use sluice_aws::CachedSecrets;
use sluice_core::{Kind, LakeId, Result, port::Secrets, secret::with_secret};
use sluice_http::{Client, Request, Response, RetryPolicy, error::by_status};
use sluice_pipeline::watch::EndedExtract;
use tracing::warn;

pub use run::{FlowRun, State};

use crate::{
    event::News,
    keys::{self, Keys},
};

/// No request takes longer, and no news all in all.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);
const ALL_WITHIN: Duration = Duration::from_secs(10);

/// Runs that are told at once.
const AT_ONCE: usize = 8;

pub struct Prefect<'a, S = CachedSecrets> {
    pub http: &'a Client,
    pub secrets: &'a S,
    pub secret: &'a str,
    /// Whose runs they are: several platforms may tell one Prefect.
    pub lake: &'a LakeId,
}

impl<S: Secrets> Prefect<'_, S> {
    /// Tells what the bus has told.
    pub async fn news(&self, news: &News) {
        if let Some(run) = FlowRun::of_news(news) {
            self.tell(&run).await;
        }
    }

    /// Tells how extracts have ended. The tables that need not come again: all, where no Prefect is set up.
    pub async fn extracts(&self, extracts: &[EndedExtract]) -> BTreeSet<String> {
        let until = Instant::now() + ALL_WITHIN;
        let told = extracts.iter().map(async |ended| {
            let in_time = Instant::now() < until;
            (in_time && self.tell(&FlowRun::of_extract(ended)).await).then(|| ended.table.clone())
        });
        let told: Vec<Option<String>> = stream::iter(told).buffer_unordered(AT_ONCE).collect().await;
        told.into_iter().flatten().collect()
    }

    /// Whether the run need not come again: Prefect has taken it, or none is set up.
    async fn tell(&self, run: &FlowRun) -> bool {
        let told = with_secret(self.secrets, self.secret, async |keys: Keys| match &keys.prefect {
            Some(address) => Api { http: self.http, address, lake: self.lake }.tell(run).await,
            None => Ok(()),
        });
        match tokio::time::timeout(ALL_WITHIN, told).await {
            Ok(Ok(())) => return true,
            // A secret without a value is a platform whose runs are told to nobody.
            Ok(Err(error)) if error.kind() == Kind::NotFound && self.has_no_value().await => return true,
            Ok(Err(error)) => {
                warn!(run = run.name, error = error.chain(), error_kind = %error.kind(), "Prefect has not taken a run");
            }
            Err(_) => warn!(run = run.name, "Prefect has not taken a run in time"),
        }
        false
    }

    /// Prefect answers "not found" too, where its address is wrong.
    async fn has_no_value(&self) -> bool {
        self.secrets.get(self.secret).await.is_err_and(|error| error.kind() == Kind::NotFound)
    }
}

struct Api<'a> {
    http: &'a Client,
    address: &'a keys::Prefect,
    lake: &'a LakeId,
}

/// What of Prefect's answers is used.
#[derive(Debug, Deserialize)]
struct Made {
    id: String,
    #[serde(default)]
    state_type: Option<String>,
}

impl Api<'_> {
    /// A flow is found by its name, a run of it by its key: what comes twice is one run.
    async fn tell(&self, run: &FlowRun) -> Result<()> {
        let flow: Made = self.post("/flows/", &json!({"name": run.flow, "tags": ["sluice"]})).await?;
        let begin = json!({
            "flow_id": flow.id, "name": run.name, "tags": ["sluice", self.lake],
            "idempotency_key": format!("{}/{}", self.lake, run.key),
            "parameters": run.parameters, "state": {"type": "RUNNING"},
        });
        let made: Made = self.post("/flow_runs/", &begin).await?;
        let has_ended = made.state_type.as_deref().is_some_and(|state| ["COMPLETED", "FAILED"].contains(&state));
        if has_ended {
            return Ok(());
        }
        if !run.logs.is_empty() {
            let now = Utc::now().to_rfc3339();
            let line = |(level, message): &(u8, String)| json!({"name": "sluice", "level": level, "message": message, "timestamp": now, "flow_run_id": made.id});
            self.send("/logs/", &run.logs.iter().map(line).collect::<Vec<_>>()).await?;
        }
        if let Some(page) = &run.artifact {
            let artifact = json!({
                "key": run.artifact_key(), "type": "markdown", "description": run.name, "data": page, "flow_run_id": made.id,
            });
            self.send("/artifacts/", &artifact).await?;
        }
        if run.state == State::Running {
            return Ok(());
        }
        let state = json!({"state": {"type": run.state.as_str(), "message": run.message}, "force": true});
        self.send(&format!("/flow_runs/{}/set_state", made.id), &state).await.map(drop)
    }

    async fn post<T: serde::de::DeserializeOwned>(&self, path: &str, body: &Value) -> Result<T> {
        self.send(path, body).await?.json()
    }

    async fn send(&self, path: &str, body: &impl serde::Serialize) -> Result<Response> {
        let url = format!("{}{path}", self.address.api.trim_end_matches('/'));
        let mut request = Request::post(url).json(body)?;
        if let Some(key) = &self.address.key {
            request = request.bearer(key);
        }
        let accept = |response: &Response| match response.is_success() {
            true => Ok(()),
            false => Err(by_status(response, "Prefect has refused a request")),
        };
        let sent = self.http.send(&request.timeout(ANSWER_WITHIN), &RetryPolicy::twice(ANSWER_WITHIN), accept).await;
        // A refused key is as good as none: it is nobody's work that fails by it.
        sent.map_err(|error| if error.kind() == Kind::Auth { error.with("secret", "prefect.key") } else { error })
    }
}
