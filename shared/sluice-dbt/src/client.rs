//! The client: start, list, cancel, artifacts.

use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use sluice_core::{Kind, Result, Secret, env::Env, port::Secrets, with_secret};
use sluice_http::{Client, Request, Response, RetryPolicy};
use sluice_pipeline::dispatch::{JobRun, JobState, Jobs};

use crate::error::classify;

/// Which job of which account, and where.
#[derive(Debug, Clone)]
pub struct DbtCloudConfig {
    /// The account's own URL: dbt's regions have no common one.
    pub url: String,
    pub account_id: u64,
    pub job_id: u64,
    /// The name of the secret that holds `{"token": …}`.
    pub secret: String,
}

impl DbtCloudConfig {
    pub fn from_env(env: &mut Env) -> Self {
        DbtCloudConfig {
            url: env.required("SLUICE_DBT_URL").trim_end_matches('/').to_owned(),
            account_id: env.required_parsed("SLUICE_DBT_ACCOUNT_ID"),
            job_id: env.required_parsed("SLUICE_DBT_JOB_ID"),
            secret: env.required("SLUICE_DBT_SECRET"),
        }
    }
}

/// One job of dbt Cloud.
#[derive(Debug)]
pub struct DbtCloud<'a, S> {
    http: &'a Client,
    secrets: &'a S,
    config: &'a DbtCloudConfig,
}

impl<'a, S: Secrets> DbtCloud<'a, S> {
    pub fn new(http: &'a Client, secrets: &'a S, config: &'a DbtCloudConfig) -> Self {
        DbtCloud { http, secrets, config }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/api/v2/accounts/{}/{path}", self.config.url, self.config.account_id)
    }

    async fn send(&self, attempt: &str, request: Request, policy: &RetryPolicy) -> Result<Response> {
        #[derive(Deserialize)]
        struct Token {
            token: Secret,
        }
        // A refusal has done nothing, so that even a start may be sent again with a new token.
        with_secret(self.secrets, &self.config.secret, async |Token { token }| {
            let token = Secret::new(format!("Token {}", token.expose()));
            let request = request.clone().secret_header("authorization", token).header("accept", "application/json");
            self.http.send(&request, policy, |response| classify(attempt, response)).await
        })
        .await
    }
}

#[derive(Deserialize)]
struct Envelope<T> {
    data: T,
}

#[derive(Deserialize)]
struct Run {
    id: u64,
    status: u8,
    #[serde(default)]
    status_message: Option<String>,
    #[serde(default)]
    trigger: Option<Trigger>,
}

#[derive(Deserialize)]
struct Trigger {
    #[serde(default)]
    cause: Option<String>,
}

impl From<Run> for JobRun {
    fn from(run: Run) -> Self {
        let state = match run.status {
            10 => JobState::Succeeded,
            20 => JobState::Failed { reason: run.status_message.unwrap_or_else(|| "no reason given".into()) },
            30 => JobState::Cancelled,
            _ => JobState::UnderWay,
        };
        JobRun { id: run.id.to_string(), cause: run.trigger.and_then(|t| t.cause).unwrap_or_default(), state }
    }
}

/// How many of the job's newest runs are searched for a claim's own; a claim is followed within minutes.
const RECENT: u32 = 50;

impl<S: Secrets> Jobs for DbtCloud<'_, S> {
    async fn start(&self, cause: &str, steps: &[String]) -> Result<JobRun> {
        #[derive(Serialize)]
        struct Body<'a> {
            cause: &'a str,
            steps_override: &'a [String],
        }
        let url = self.url(&format!("jobs/{}/run/", self.config.job_id));
        let request = Request::post(url).json(&Body { cause, steps_override: steps })?;
        let once = RetryPolicy::once(Duration::from_secs(60));
        let response = self.send("cannot start the dbt job", request, &once).await?;
        let Envelope::<Run> { data } = response.json()?;
        Ok(JobRun { cause: cause.to_owned(), ..data.into() })
    }

    async fn recent(&self, cause: &str) -> Result<Vec<JobRun>> {
        let request = Request::get(self.url("runs/"))
            .query("job_definition_id", self.config.job_id)
            .query("order_by", "-id")
            .query("limit", RECENT)
            .query("include_related", "trigger");
        let response = self.send("cannot list the dbt job's runs", request, &RetryPolicy::default()).await?;
        let Envelope::<Vec<Run>> { data } = response.json()?;
        Ok(data.into_iter().map(JobRun::from).filter(|run| run.cause.starts_with(cause)).collect())
    }

    async fn cancel(&self, id: &str) -> Result<()> {
        let request = Request::post(self.url(&format!("runs/{id}/cancel/")));
        self.send("cannot cancel the dbt run", request, &RetryPolicy::default()).await.map(drop)
    }

    async fn artifact(&self, id: &str, name: &str) -> Result<Option<Bytes>> {
        let request = Request::get(self.url(&format!("runs/{id}/artifacts/{name}")));
        match self.send("cannot get an artifact of the dbt run", request, &RetryPolicy::default()).await {
            Ok(response) => Ok(Some(response.body)),
            Err(error) if error.kind() == Kind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests;
