//! What the stack consists of, as CloudFormation knows it.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{Client, types::StackEvent};
use sluice_aws::classify;
use sluice_core::{Error, Kind};
use tokio::time::Instant;

use crate::failure::{Failure, Outcome};

/// One resource of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Resource {
    /// Its name in the template.
    pub logical: String,
    /// Its name or id in the account.
    pub physical: String,
    pub resource_type: String,
}

/// A deployed stack.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Stack {
    pub name: String,
    pub status: String,
    /// Against being deleted.
    pub is_protected: bool,
    pub outputs: BTreeMap<String, String>,
    pub parameters: BTreeMap<String, String>,
    pub resources: Vec<Resource>,
}

impl Stack {
    pub(crate) async fn describe(aws: &SdkConfig, name: &str) -> Outcome<Self> {
        let client = Client::new(aws);
        let attempt = || format!("cannot describe the stack {name}");
        let described = client.describe_stacks().stack_name(name).send().await;
        let described = described.map_err(|error| not_there(classify(error, attempt()), name))?;
        let found = described.stacks().first().ok_or_else(|| Error::not_found(attempt()))?;
        let outputs = found.outputs().iter().filter_map(|output| {
            Some((output.output_key().map(str::to_owned)?, output.output_value().map(str::to_owned)?))
        });
        let parameters = found.parameters().iter().filter_map(|parameter| {
            Some((parameter.parameter_key().map(str::to_owned)?, parameter.parameter_value().map(str::to_owned)?))
        });
        let mut stack = Stack {
            name: name.to_owned(),
            status: found.stack_status().map(|status| status.as_str().to_owned()).unwrap_or_default(),
            is_protected: found.enable_termination_protection().unwrap_or_default(),
            outputs: outputs.collect(),
            parameters: parameters.collect(),
            resources: Vec::new(),
        };
        let mut pages = client.list_stack_resources().stack_name(name).into_paginator().send();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| classify(error, format!("cannot list the resources of {name}")))?;
            for resource in page.stack_resource_summaries() {
                stack.resources.push(Resource {
                    logical: resource.logical_resource_id().unwrap_or_default().to_owned(),
                    physical: resource.physical_resource_id().unwrap_or_default().to_owned(),
                    resource_type: resource.resource_type().unwrap_or_default().to_owned(),
                });
            }
        }
        Ok(stack)
    }

    pub(crate) fn output(&self, name: &str) -> Outcome<&str> {
        self.outputs.get(name).map(String::as_str).ok_or_else(|| {
            Failure::from(
                Error::not_found("the stack has no such output").with("stack", &self.name).with("output", name),
            )
            .hint("deploy this checkout's template to the stack")
        })
    }

    /// The value that the stack was deployed with.
    pub(crate) fn parameter(&self, name: &str) -> Outcome<&str> {
        self.parameters.get(name).map(String::as_str).ok_or_else(|| {
            let error = Error::not_found("the stack has no such parameter").with("stack", &self.name);
            Failure::from(error.with("parameter", name)).hint("deploy this checkout's template to the stack")
        })
    }

    /// The physical name of a resource; `None` where the stack's parameters leave it out.
    pub(crate) fn find(&self, logical: &str) -> Option<&str> {
        let resource = self.resources.iter().find(|resource| resource.logical == logical)?;
        (!resource.physical.is_empty()).then_some(resource.physical.as_str())
    }

    pub(crate) fn resource(&self, logical: &str) -> Outcome<&str> {
        self.find(logical).ok_or_else(|| {
            Failure::from(
                Error::not_found("the stack has no such resource").with("stack", &self.name).with("resource", logical),
            )
            .hint("is this a Sluice stack, deployed from this checkout's template?")
        })
    }

    pub(crate) fn of_type<'a>(&'a self, resource_type: &'a str) -> impl Iterator<Item = &'a Resource> {
        self.resources.iter().filter(move |resource| resource.resource_type == resource_type)
    }
}

/// A deletion is refused until somebody takes the protection off.
pub(crate) async fn protect(aws: &SdkConfig, name: &str) -> Outcome {
    let sent = Client::new(aws).update_termination_protection().stack_name(name).enable_termination_protection(true);
    sent.send().await.map_err(|error| classify(error, format!("cannot protect the stack {name}")))?;
    Ok(())
}

/// Longer than any change of a stack takes.
const LONGEST: Duration = Duration::from_secs(7_200);

/// How a stack is; `None` where there is none of that name.
pub(crate) async fn status(aws: &SdkConfig, name: &str) -> Outcome<Option<String>> {
    let described = Client::new(aws).describe_stacks().stack_name(name).send().await;
    match described.map_err(|error| not_there(classify(error, format!("cannot describe the stack {name}")), name)) {
        Ok(found) => {
            let status = found.stacks().first().and_then(|stack| stack.stack_status());
            Ok(status.map(|status| status.as_str().to_owned()).filter(|status| status != "DELETE_COMPLETE"))
        }
        Err(failure) if failure.kind() == Kind::NotFound => Ok(None),
        Err(failure) => Err(failure),
    }
}

/// Waits until the stack changes no more; it must then be as it was wanted.
pub(crate) async fn settled(aws: &SdkConfig, name: &str, poll: Duration) -> Outcome<Stack> {
    let status = ended(aws, name, poll).await?.unwrap_or_else(|| "gone".to_owned());
    if ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"].contains(&&*status) {
        return Stack::describe(aws, name).await;
    }
    let why = cause(aws, name).await?.map(|cause| format!(": {cause}")).unwrap_or_default();
    let stands = if status == "ROLLBACK_COMPLETE" {
        "`sluice destroy` removes what is left, then deploy again"
    } else if why.contains("NotFound") {
        "somebody has deleted it: `sluice deploy --env STAGE --mend` makes it again, then deploy"
    } else {
        "the stack stands as before; fix what it names, then deploy again"
    };
    Err(Failure::from(Error::conflict(format!("{name} is {status}{why}"))).hint(stands))
}

/// Waits until the stack changes no more, and says how it is then; `None` where it is gone.
pub(crate) async fn ended(aws: &SdkConfig, name: &str, poll: Duration) -> Outcome<Option<String>> {
    let deadline = Instant::now() + LONGEST;
    while Instant::now() < deadline {
        // First, because a change that was just ordered may not have begun.
        tokio::time::sleep(poll).await;
        match status(aws, name).await? {
            Some(status) if status.ends_with("_IN_PROGRESS") => {}
            status => return Ok(status),
        }
    }
    let error = Error::new(Kind::Timeout, format!("{name} is still changing after two hours"));
    Err(Failure::from(error).hint("its events in CloudFormation say what it waits for"))
}

/// Why the last change of the stack failed: the first resource of it that did.
pub(crate) async fn cause(aws: &SdkConfig, name: &str) -> Outcome<Option<String>> {
    let events = Client::new(aws).describe_stack_events().stack_name(name).send().await;
    let events = events.map_err(|error| classify(error, format!("cannot read the events of {name}")))?;
    Ok(first_failure(events.stack_events(), name))
}

/// Events come newest first; those of a change begin with one of the stack itself.
fn first_failure(events: &[StackEvent], name: &str) -> Option<String> {
    let status = |event: &StackEvent| event.resource_status().map(|status| status.as_str().to_owned());
    let of_stack = |event: &StackEvent| event.logical_resource_id() == Some(name);
    let begins = |event: &&StackEvent| {
        let begun = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
        of_stack(event) && status(event).is_some_and(|status| begun.contains(&&*status))
    };
    let failed = |event: &&StackEvent| {
        // What was ended because of another is not the cause.
        let ended = event.resource_status_reason().is_some_and(|reason| reason.contains("cancelled"));
        !of_stack(event) && !ended && status(event).is_some_and(|status| status.ends_with("_FAILED"))
    };
    let event = events.iter().take_while(|event| !begins(event)).filter(failed).last()?;
    let part = |text: Option<&str>| text.unwrap_or("unknown").to_owned();
    let resource = format!("{} ({})", part(event.logical_resource_id()), part(event.resource_type()));
    Some(format!("{resource}: {}", part(event.resource_status_reason())))
}

/// CloudFormation answers 400 for a stack that does not exist; its text is the only mark.
fn not_there(error: Error, name: &str) -> Failure {
    if error.chain().contains("does not exist") {
        return Failure::from(Error::not_found("there is no such stack").with("stack", name))
            .hint("look at the name, the account and the region (`aws cloudformation list-stacks`)");
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_is_the_first_resource_that_failed_in_the_last_change() {
        let event = |resource: &str, status: &str, reason: &str| {
            StackEvent::builder()
                .logical_resource_id(resource)
                .resource_type("AWS::SQS::Queue")
                .resource_status(status.into())
                .resource_status_reason(reason)
                .build()
        };
        let mut events = vec![
            event("s", "UPDATE_ROLLBACK_COMPLETE", ""),
            event("Other", "CREATE_FAILED", "Resource creation cancelled"),
            event("LoadDead", "UPDATE_FAILED", "later"),
            event("Load", "CREATE_FAILED", "a queue of that name exists"),
            event("s", "UPDATE_IN_PROGRESS", "User Initiated"),
            event("Old", "CREATE_FAILED", "of the change before"),
        ];
        let found = first_failure(&events, "s");
        assert_eq!(found.as_deref(), Some("Load (AWS::SQS::Queue): a queue of that name exists"));
        events.drain(1..4);
        assert_eq!(first_failure(&events, "s"), None);
    }

    #[test]
    fn what_the_stack_lacks_is_named() {
        let stack = Stack { name: "s".into(), ..Stack::default() };
        assert!(stack.output("LakeBucket").expect_err("no output").text().contains("output=LakeBucket"));
        assert!(stack.resource("Lake").expect_err("no resource").text().contains("resource=Lake"));
        let gone = not_there(Error::internal("x").because("Stack with id s does not exist"), "s");
        assert_eq!(gone.kind(), sluice_core::Kind::NotFound);
    }
}
