//! From a request of CloudFormation to its answer, in one invocation or in several.

use std::time::Duration;

use aws_sdk_lambda::{primitives::Blob, types::InvocationType};
use chrono::{TimeDelta, Utc};
use serde_json::json;
use sluice_aws::classify;
use sluice_core::{Error, Kind, Result, Secret};
use sluice_lambda::Invocation;

use crate::{
    answer::Answer,
    config::account::{Keys, KeysInSecret},
    deps::{Deps, usable},
    event::Continued,
    provision::{self, Outcome, provision},
};

/// The template lets CloudFormation wait half an hour for an answer; one more invocation must not outlast that.
const LONGEST: TimeDelta = TimeDelta::minutes(12);
/// Kept of an invocation's time for the answer itself.
const FOR_ANSWER: Duration = Duration::from_secs(15);

/// The answer; `None` where another invocation gives it.
pub(crate) async fn answered(rest: &Continued, invocation: &Invocation, deps: &Result<Deps>) -> Option<Answer> {
    match rest.request.request_type.as_str() {
        "Delete" => return Some(Answer::Kept),
        "Create" | "Update" => {}
        other => return Some(Answer::Failed(format!("there is no request of the type '{other}'"))),
    }
    let deps = match usable(deps) {
        Ok(deps) => deps,
        Err(error) => return Some(Answer::Failed(error.chain())),
    };
    let may_stand = match rest.may_stand {
        Some(found) => found,
        None => deps.may_stand(&rest.request.request_type).await,
    };
    let rest = &Continued { may_stand: Some(may_stand), ..rest.clone() };
    let working =
        tokio::time::timeout(invocation.time_left(FOR_ANSWER), Box::pin(provision(deps, may_stand, invocation)));
    let answer = match working.await {
        Ok(Outcome::Ended(answer)) => Some(answer),
        Ok(Outcome::Unfinished(reason)) => go_on(deps, rest, may_stand, &reason).await,
        Err(_) => go_on(deps, rest, may_stand, "a statement took longer than the invocation").await,
    };
    match answer {
        Some(Answer::Failed(text)) if deps.is_taken_back(&rest.request.stack_id).await => Some(Answer::Behind(text)),
        answer => answer,
    }
}

/// Leaves the rest to another invocation; the answer where there can be none.
async fn go_on(deps: &Deps, rest: &Continued, may_stand: bool, reason: &str) -> Option<Answer> {
    let too_long = || Error::new(Kind::Timeout, format!("the account is not provisioned within the time: {reason}"));
    let went_on = if Utc::now() - rest.since < LONGEST { deps.invoke_itself(rest).await } else { Err(too_long()) };
    went_on.err().map(|error| provision::refusal(&error, may_stand))
}

impl Deps {
    async fn invoke_itself(&self, rest: &Continued) -> Result<()> {
        let invoke =
            self.lambda.invoke().function_name(&self.config.own_function).invocation_type(InvocationType::Event);
        let invoked = invoke.payload(Blob::new(json!(rest).to_string())).send().await;
        tracing::info!(since = %rest.since, "the rest is for another invocation");
        invoked.map(drop).map_err(|error| classify(error, "cannot go on in another invocation".into()))
    }

    /// Whether the stack may stand without an account.
    async fn may_stand(&self, request_type: &str) -> bool {
        let config = &self.config.loader;
        let keys = KeysInSecret { secrets: &self.secrets, config, http: &self.http };
        may_stand(request_type, &keys.current().await)
    }

    /// Whether the deployment is being taken back: a failure then would leave the stack in a state that only a person can end.
    async fn is_taken_back(&self, stack_id: &str) -> bool {
        match self.cloudformation.describe_stacks().stack_name(stack_id).send().await {
            Ok(described) => described
                .stacks()
                .first()
                .and_then(|stack| stack.stack_status())
                .is_some_and(|status| status.as_str().contains("ROLLBACK")),
            Err(error) => {
                let error = classify(error, "cannot tell whether the deployment is being taken back".into());
                tracing::warn!(error = error.chain(), "the failure is answered as it is");
                false
            }
        }
    }
}

/// A service that loads has its key: a platform runs, and a deployment that cannot reach its account must not switch it off.
fn may_stand(request_type: &str, loader_key: &Result<Option<Secret>>) -> bool {
    match loader_key {
        Ok(key) => key.is_none(),
        Err(_) => request_type == "Create",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_stands_without_an_account_until_its_loader_has_a_key() {
        let unknown = || Err(Error::unavailable("cannot read the secret"));
        for (request_type, key, stands) in [
            ("Create", Ok(None), true),
            ("Update", Ok(None), true),
            ("Create", Ok(Some(Secret::new("pem"))), false),
            ("Update", Ok(Some(Secret::new("pem"))), false),
            ("Create", unknown(), true),
            ("Update", unknown(), false),
        ] {
            assert_eq!(may_stand(request_type, &key), stands, "{request_type}");
        }
    }
}
