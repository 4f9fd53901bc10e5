//! What the stack consists of, as CloudFormation knows it.

use std::{collections::BTreeMap, time::Duration};

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client,
    types::{ResourceStatus, StackEvent, StackResourceSummary},
};
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

impl Resource {
    /// `None` of one that is deleted: a stack whose creation was taken back still lists it.
    fn read(summary: &StackResourceSummary) -> Option<Self> {
        let part = |text: Option<&str>| text.unwrap_or_default().to_owned();
        (summary.resource_status() != Some(&ResourceStatus::DeleteComplete)).then(|| Resource {
            logical: part(summary.logical_resource_id()),
            physical: part(summary.physical_resource_id()),
            resource_type: part(summary.resource_type()),
        })
    }
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
            stack.resources.extend(page.stack_resource_summaries().iter().filter_map(Resource::read));
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
    let Some(status) = ended(aws, name, poll).await? else {
        return Err(
            Failure::from(Error::conflict(format!("{name} is gone"))).hint("deploy again; what holds data was kept")
        );
    };
    if ["CREATE_COMPLETE", "UPDATE_COMPLETE", "IMPORT_COMPLETE"].contains(&&*status) {
        return Stack::describe(aws, name).await;
    }
    let why = cause(aws, name).await?.map(|cause| format!(": {cause}")).unwrap_or_default();
    let next = match before_a_change(&status, false) {
        Some(next) => next,
        None if why.contains("NotFound") => {
            "somebody has deleted it: `sluice deploy --env STAGE --mend` makes it again, then deploy"
        }
        None if status == "UPDATE_ROLLBACK_COMPLETE" => {
            "the stack stands as before; fix what it names, then deploy again"
        }
        None => "fix what it names, then deploy again",
    };
    Err(Failure::from(Error::conflict(format!("{name} is {status}{why}"))).hint(next))
}

/// What has to be done before CloudFormation takes a change of a stack of that status; `None` where nothing has to.
pub(crate) fn before_a_change(status: &str, is_empty: bool) -> Option<&'static str> {
    match status {
        "CREATE_FAILED" | "ROLLBACK_COMPLETE" | "ROLLBACK_FAILED" | "DELETE_FAILED" => {
            Some("CloudFormation only lets it be deleted: `sluice destroy`, then fix what failed and deploy again")
        }
        // An import into a new stack: everything is outside of it again.
        "IMPORT_ROLLBACK_COMPLETE" if is_empty => Some("nothing is in it: `sluice destroy`, then deploy again"),
        "IMPORT_ROLLBACK_FAILED" => Some("fix what its events name, then `sluice destroy` and deploy again"),
        "UPDATE_ROLLBACK_FAILED" => {
            Some("`aws cloudformation continue-update-rollback` after what its events name is fixed")
        }
        status if status.ends_with("_IN_PROGRESS") => Some("somebody else is changing it: wait until that has ended"),
        _ => None,
    }
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
    let mut pages = Client::new(aws).describe_stack_events().stack_name(name).into_paginator().send();
    let mut events: Vec<StackEvent> = Vec::new();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(error, format!("cannot read the events of {name}")))?;
        events.extend_from_slice(page.stack_events());
        if page.stack_events().iter().any(|event| begins(event, name)) {
            break;
        }
    }
    Ok(first_failure(&events, name))
}

fn status_of(event: &StackEvent) -> &str {
    event.resource_status().map_or("", ResourceStatus::as_str)
}

/// The events of a change begin with one of the stack itself.
fn begins(event: &StackEvent, name: &str) -> bool {
    let begun = ["CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS", "IMPORT_IN_PROGRESS"];
    event.logical_resource_id() == Some(name) && begun.contains(&status_of(event))
}

/// Events come newest first.
fn first_failure(events: &[StackEvent], name: &str) -> Option<String> {
    let failed = |event: &&StackEvent| {
        // What was ended because of another is not the cause.
        let ended = event.resource_status_reason().is_some_and(|reason| reason.contains("cancelled"));
        event.logical_resource_id() != Some(name) && !ended && status_of(event).ends_with("_FAILED")
    };
    let event = events.iter().take_while(|event| !begins(event, name)).filter(failed).last()?;
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
    fn a_stack_that_cannot_be_changed_says_what_lets_it() {
        let next = |status| before_a_change(status, false);
        for status in ["CREATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE", "IMPORT_ROLLBACK_COMPLETE"] {
            assert_eq!(next(status), None, "{status}");
        }
        for status in ["ROLLBACK_COMPLETE", "CREATE_FAILED", "IMPORT_ROLLBACK_FAILED"] {
            assert!(next(status).is_some_and(|next| next.contains("sluice destroy")), "{status}");
        }
        assert!(before_a_change("IMPORT_ROLLBACK_COMPLETE", true).is_some_and(|next| next.contains("sluice destroy")));
        assert!(next("UPDATE_ROLLBACK_FAILED").is_some_and(|next| next.contains("continue-update-rollback")));
        assert!(next("UPDATE_IN_PROGRESS").is_some_and(|next| next.contains("wait")));
    }

    #[test]
    fn what_a_failed_creation_has_deleted_is_no_resource() {
        let summary = |status: ResourceStatus| {
            let of = StackResourceSummary::builder().logical_resource_id("Lake").physical_resource_id("s-lake");
            Resource::read(&of.resource_type("AWS::S3::Bucket").resource_status(status).build())
        };
        assert_eq!(summary(ResourceStatus::DeleteComplete), None);
        assert_eq!(summary(ResourceStatus::DeleteSkipped).expect("it stays").physical, "s-lake");
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
