//! Translates requests of CloudFormation and of the schedule into work on the account and back.

use std::time::Duration;

use aws_sdk_lambda::{primitives::Blob, types::InvocationType};
use chrono::{TimeDelta, Utc};
use serde_json::{Value, json};
use sluice_aws::{EventBus, FreshSecrets, S3Lake, classify};
use sluice_core::{Error, Kind, Result};
use sluice_http::Client;
use sluice_lambda::Invocation;

use crate::{
    Config,
    answer::{Answer, Unanswered},
    config::{Connection, Warehouse},
    event::{Continued, Event},
    look,
    provision::{self, Outcome, provision},
    trust::LakeReader,
};

/// CloudFormation waits an hour for an answer; one more invocation must not outlast that.
const LONGEST: TimeDelta = TimeDelta::minutes(42);
/// Kept of an invocation's time for the answer itself.
const FOR_ANSWER: Duration = Duration::from_secs(15);

/// What the function holds between invocations.
pub struct Deps {
    pub config: Config,
    pub(crate) store: S3Lake,
    pub(crate) bus: EventBus,
    pub(crate) secrets: FreshSecrets,
    pub(crate) http: Client,
    pub(crate) api: Warehouse,
    pub(crate) reader: LakeReader,
    lambda: aws_sdk_lambda::Client,
}

impl Deps {
    /// Builds the clients. Nothing is called yet: secrets and tokens are fetched on first use.
    pub async fn connect(config: Config) -> Result<Self> {
        let aws = sluice_aws::sdk_config().await;
        let http = Client::new()?;
        let connection = Connection::new(config.provisioner.clone(), FreshSecrets::new(&aws), http.clone());
        Ok(Deps {
            store: S3Lake::new(&aws, &config.lake_bucket),
            bus: EventBus::new(&aws, &config.bus_name),
            secrets: FreshSecrets::new(&aws),
            api: Warehouse::new(connection.into()),
            reader: LakeReader::new(&aws, &config.reader_role),
            lambda: aws_sdk_lambda::Client::new(&aws),
            http,
            config,
        })
    }

    /// Goes on in an invocation of its own.
    async fn go_on(&self, rest: &Continued) -> Result<()> {
        let invoke =
            self.lambda.invoke().function_name(&self.config.own_function).invocation_type(InvocationType::Event);
        let invoked = invoke.payload(Blob::new(json!(rest).to_string())).send().await;
        tracing::info!(since = %rest.since, "the rest is for another invocation");
        invoked.map(drop).map_err(|error| classify(error, "cannot go on in another invocation".into()))
    }
}

/// Serves one request. A request of CloudFormation is answered also where there are no usable settings.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Result<Deps>) -> Result<Value> {
    invocation.is_one_run();
    let rest = match event {
        Event::Drift(_) => {
            let found = look::drift(usable(deps)?, invocation).await?;
            return Ok(json!(found));
        }
        Event::Resource(request) => Continued { request, since: Utc::now() },
        Event::Continued(rest) => rest,
    };
    let _unanswered = Unanswered::of(&rest.request);
    let Some(answer) = answered(&rest, invocation, deps).await else { return Ok(json!({"answered": false})) };
    answer.send(&rest.request, &Client::new()?).await?;
    Ok(json!({"answered": true}))
}

/// The answer; `None` where another invocation gives it.
async fn answered(rest: &Continued, invocation: &Invocation, deps: &Result<Deps>) -> Option<Answer> {
    let is_new = match rest.request.request_type.as_str() {
        "Delete" => return Some(Answer::Kept),
        "Create" => true,
        "Update" => false,
        other => return Some(Answer::Failed(format!("there is no request of the type '{other}'"))),
    };
    let deps = match usable(deps) {
        Ok(deps) => deps,
        Err(error) => return Some(Answer::Failed(error.chain())),
    };
    let working = tokio::time::timeout(invocation.time_left(FOR_ANSWER), Box::pin(provision(deps, is_new, invocation)));
    let reason = match working.await {
        Ok(Outcome::Ended(answer)) => return Some(answer),
        Ok(Outcome::Unfinished(reason)) => reason,
        Err(_) => "a statement took longer than the invocation".to_owned(),
    };
    let too_long = || Error::new(Kind::Timeout, format!("the account is not provisioned within the time: {reason}"));
    let went_on = if Utc::now() - rest.since < LONGEST { deps.go_on(rest).await } else { Err(too_long()) };
    went_on.err().map(|error| provision::refusal(&error, is_new))
}

fn usable(deps: &Result<Deps>) -> Result<&Deps> {
    deps.as_ref().map_err(|error| Error::config(error.chain()))
}
