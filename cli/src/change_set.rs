//! A change of a stack in two steps, so that what people have read is what is carried out.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::{
    Client,
    operation::describe_change_set::DescribeChangeSetOutput,
    types::{
        Capability, Change as Raw, ChangeAction, ChangeSetStatus, ChangeSetType, DeploymentMode, ExecutionStatus,
        Parameter, PolicyAction, Replacement, ResourceChange, StackResourceDriftStatus,
    },
};
use chrono::Utc;
use serde::Serialize;
use sluice_aws::classify;
use sluice_core::{Error, Kind};

use crate::{
    failure::{Failure, Outcome},
    stack::{self, Stack},
    stage::SCHEDULES,
};

/// How often a change set or a stack under way is looked at.
const POLL: Duration = Duration::from_secs(2);
/// Longer than any change set takes to be made.
const MAKING: u32 = 300;

/// Types that hold something no deployment brings back.
const HOLDING: [(&str, &str); 4] = [
    ("AWS::S3::Bucket", "its objects"),
    ("AWS::KMS::Key", "what it has encrypted"),
    ("AWS::SQS::Queue", "its messages"),
    ("AWS::SecretsManager::Secret", "its value"),
];

/// What happens to one resource.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Change {
    /// `add`, `change`, `remove` or `import`.
    pub action: &'static str,
    #[serde(rename = "type")]
    pub resource_type: String,
    pub resource: String,
    /// Of a change: which properties.
    pub fields: Vec<String>,
    /// `yes`, `perhaps` or nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub replaced: Option<&'static str>,
    /// What would be lost for good.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub loses: Option<&'static str>,
    /// What somebody has done to it outside of the stack: `deleted` or `changed`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_hand: Option<&'static str>,
}

impl Change {
    fn read(raw: &Raw) -> Option<Self> {
        let change = raw.resource_change()?;
        let by_hand = match change.resource_drift_status() {
            Some(StackResourceDriftStatus::Deleted) => Some("deleted"),
            Some(StackResourceDriftStatus::Modified) => Some("changed"),
            _ => None,
        };
        let action = match change.action()? {
            _ if by_hand == Some("deleted") => "add",
            ChangeAction::Add => "add",
            ChangeAction::Remove => "remove",
            ChangeAction::Import => "import",
            _ => "change",
        };
        let mut fields: Vec<String> = change.details().iter().filter_map(|detail| field(detail.target()?)).collect();
        fields.sort();
        fields.dedup();
        let replaced = match change.replacement() {
            Some(Replacement::True) => Some("yes"),
            Some(Replacement::Conditional) => Some("perhaps"),
            _ => None,
        };
        let resource_type = change.resource_type().unwrap_or_default().to_owned();
        let resource = change.logical_resource_id().unwrap_or_default().to_owned();
        let loses = loses(change, action, replaced == Some("yes"));
        Some(Change { action, resource_type, resource, fields, replaced, loses, by_hand })
    }

    fn sign(&self) -> char {
        match self.action {
            "add" => '+',
            "remove" => '-',
            "import" => '>',
            _ => '~',
        }
    }

    /// One change as people read it: what happens to what, and what it costs.
    pub(crate) fn line(&self) -> String {
        let mut text = format!("{} {} {}", self.sign(), self.resource_type, self.resource);
        if self.action == "change" && !self.fields.is_empty() {
            text.push_str(&format!(": {}", self.fields.join(", ")));
        }
        match self.replaced.filter(|_| self.action == "change") {
            Some("yes") => text.push_str(" (replaced)"),
            Some(_) => text.push_str(" (may be replaced)"),
            None => {}
        }
        if let Some(loses) = self.loses {
            text.push_str(&format!(" (loses {loses})"));
        }
        if let Some(by_hand) = self.by_hand {
            text.push_str(&format!(" (was {by_hand} by hand)"));
        }
        text
    }
}

fn field(target: &aws_sdk_cloudformation::types::ResourceTargetDefinition) -> Option<String> {
    let attribute = || target.attribute().map(|attribute| attribute.as_str().to_owned());
    target.name().map(str::to_owned).or_else(attribute)
}

/// What is lost when the resource goes, unless its policy keeps it.
fn loses(change: &ResourceChange, action: &str, replaced: bool) -> Option<&'static str> {
    let goes = action == "remove" || (action == "change" && replaced);
    let kept = matches!(
        change.policy_action(),
        Some(PolicyAction::Retain | PolicyAction::ReplaceAndRetain | PolicyAction::ReplaceAndSnapshot)
    );
    let of = |(known, what): &(&str, &'static str)| (change.resource_type() == Some(known)).then_some(*what);
    HOLDING.iter().find_map(of).filter(|_| goes && !kept)
}

/// A change set that CloudFormation has made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct ChangeSet {
    #[serde(rename = "change_set")]
    pub arn: String,
    #[serde(skip)]
    pub stack: String,
    /// How it leaves the stack's schedules.
    #[serde(skip)]
    pub schedules: bool,
    pub changes: Vec<Change>,
}

impl ChangeSet {
    /// One that makes again what somebody has deleted and sets back what was changed; the template stays the stack's. The account
    /// is looked at again, because the trust of the lake's reader is among what is set back, and with it the policies of queues are
    /// written again, of which CloudFormation cannot see whether they are there. `None` where nothing differs.
    pub(crate) async fn of_drift(aws: &SdkConfig, stack: &Stack, role: Option<&str>) -> Outcome<Option<Self>> {
        let now = Utc::now().format("%Y%m%dT%H%M%SZ").to_string();
        let parameter = |key: &String| {
            let parameter = Parameter::builder().parameter_key(key);
            match key.as_str() {
                "AccountRevision" => parameter.parameter_value(&now).build(),
                _ => parameter.use_previous_value(true).build(),
            }
        };
        let create = Client::new(aws)
            .create_change_set()
            .stack_name(&stack.name)
            .change_set_name(format!("sluice-mend-{now}"))
            .change_set_type(ChangeSetType::Update)
            .deployment_mode(DeploymentMode::RevertDrift)
            .use_previous_template(true)
            .set_parameters(Some(stack.parameters.keys().map(parameter).collect()))
            .capabilities(Capability::CapabilityNamedIam)
            .capabilities(Capability::CapabilityAutoExpand)
            .set_role_arn(role.map(str::to_owned));
        let made = create.send().await;
        let made = made.map_err(|error| classify(error, format!("cannot compare {} with the account", stack.name)))?;
        let changes = Self::read(aws, &stack.name, made.id().unwrap_or_default()).await?;
        if changes.changes.iter().all(|change| change.by_hand.is_none()) {
            changes.forget(aws).await?;
            return Ok(None);
        }
        Ok(Some(changes))
    }

    /// Waits until it is made.
    pub(crate) async fn read(aws: &SdkConfig, stack: &str, arn: &str) -> Outcome<Self> {
        let client = Client::new(aws);
        for _ in 0..MAKING {
            let (found, raw) = described(&client, stack, arn).await?;
            match found.status() {
                Some(ChangeSetStatus::CreateInProgress | ChangeSetStatus::CreatePending) => {}
                Some(ChangeSetStatus::CreateComplete) => return Ok(Self::of(&found, arn, &raw)),
                other => {
                    let status = other.map_or("unknown", ChangeSetStatus::as_str);
                    let reason = found.status_reason().unwrap_or("no reason given");
                    let error = Error::config(format!("the change set is {status}: {reason}"));
                    return Err(Failure::from(error).hint("fix what it names; nothing was changed"));
                }
            }
            tokio::time::sleep(POLL).await;
        }
        Err(Error::new(Kind::Timeout, "CloudFormation is still making the change set after ten minutes").into())
    }

    /// One that was read before and is to be carried out: it must be there, and nothing may have come between.
    pub(crate) async fn read_again(aws: &SdkConfig, stack: &str, arn: &str) -> Outcome<Self> {
        let client = Client::new(aws);
        let again = "plan again with `sluice diff --save`";
        let (found, raw) = described(&client, stack, arn).await.map_err(|failure| match failure.kind() {
            Kind::NotFound => {
                Failure::from(Error::conflict("the change set is gone: it was carried out or deleted")).hint(again)
            }
            _ => failure,
        })?;
        match found.execution_status() {
            Some(ExecutionStatus::Available) => Ok(Self::of(&found, arn, &raw)),
            status => {
                let status = status.map_or("unknown", ExecutionStatus::as_str);
                let text = format!("the change set is {status}: the stack has changed since it was read");
                Err(Failure::from(Error::conflict(text)).hint(again))
            }
        }
    }

    fn of(found: &DescribeChangeSetOutput, arn: &str, raw: &[Raw]) -> Self {
        let mut changes: Vec<Change> = raw.iter().filter_map(Change::read).collect();
        // What is lost is read first.
        let order = ["remove", "change", "add", "import"];
        changes.sort_by_key(|change| {
            let place = order.iter().position(|action| *action == change.action);
            (change.loses.is_none(), place, change.replaced != Some("yes"), change.line())
        });
        let is_on =
            |one: &Parameter| (one.parameter_key(), one.parameter_value()) == (Some(SCHEDULES), Some("ENABLED"));
        ChangeSet {
            arn: arn.to_owned(),
            stack: found.stack_name().unwrap_or_default().to_owned(),
            schedules: found.parameters().iter().any(is_on),
            changes,
        }
    }

    pub(crate) fn to_text(&self) -> String {
        let count = |action: &str| self.changes.iter().filter(|change| change.action == action).count();
        let mut text = format!(
            "{}: {} to add, {} to change, {} to remove\n",
            self.stack,
            count("add"),
            count("change"),
            count("remove")
        );
        for change in &self.changes {
            text.push_str(&format!("  {}\n", change.line()));
        }
        text
    }

    /// Carries it out, waits, and says how the stack is then.
    pub(crate) async fn execute(&self, aws: &SdkConfig) -> Outcome<Stack> {
        let execute = Client::new(aws).execute_change_set().stack_name(&self.stack).change_set_name(&self.arn);
        let sent = execute.send().await;
        sent.map_err(|error| classify(error, format!("cannot carry out the change set of {}", self.stack)))?;
        stack::settled(aws, &self.stack, POLL).await
    }

    /// Deletes it, and what nobody can use beside it.
    pub(crate) async fn forget(&self, aws: &SdkConfig) -> Outcome {
        delete(&Client::new(aws), &self.arn, &self.stack).await?;
        tidy(aws, &self.stack).await
    }
}

async fn delete(client: &Client, arn: &str, stack: &str) -> Outcome {
    let deleted = client.delete_change_set().stack_name(stack).change_set_name(arn).send().await;
    Ok(deleted.map(drop).map_err(|error| classify(error, format!("cannot delete the change set of {stack}")))?)
}

/// Deletes what nobody can use: change sets that have failed, of which CloudFormation keeps each, and then the empty stack that
/// the last change set of a new stack leaves behind. Who may not delete a stack leaves that one.
pub(crate) async fn tidy(aws: &SdkConfig, stack: &str) -> Outcome {
    let client = Client::new(aws);
    let Some(status) = stack::status(aws, stack).await? else { return Ok(()) };
    let mut is_empty = status == "REVIEW_IN_PROGRESS";
    let mut pages = client.list_change_sets().stack_name(stack).into_paginator().send();
    while let Some(page) = pages.next().await {
        let page = page.map_err(|error| classify(error, format!("cannot list the change sets of {stack}")))?;
        for found in page.summaries() {
            match (found.status(), found.change_set_id()) {
                (Some(ChangeSetStatus::Failed), Some(arn)) => delete(&client, arn, stack).await?,
                (Some(ChangeSetStatus::DeletePending | ChangeSetStatus::DeleteInProgress), _) => {}
                _ => is_empty = false,
            }
        }
    }
    if !is_empty {
        return Ok(());
    }
    let deleted = client.delete_stack().stack_name(stack).send().await;
    match deleted.map_err(|error| classify(error, format!("cannot delete the empty stack {stack}"))) {
        Err(error) if error.kind() != Kind::Auth => Err(error.into()),
        _ => Ok(()),
    }
}

/// The change set with all its pages of changes. Rights are judged by the stack, so that each request names it.
async fn described(client: &Client, stack: &str, arn: &str) -> Outcome<(DescribeChangeSetOutput, Vec<Raw>)> {
    let mut changes = Vec::new();
    let mut next = None;
    loop {
        let describe = client.describe_change_set().stack_name(stack).change_set_name(arn);
        let asked = describe.set_next_token(next).send().await;
        let found = asked.map_err(|error| classify(error, format!("cannot describe the change set {arn}")))?;
        changes.extend_from_slice(found.changes());
        next = found.next_token().map(str::to_owned);
        if next.is_none() {
            return Ok((found, changes));
        }
    }
}

#[cfg(test)]
mod tests {
    use aws_sdk_cloudformation::types::{ResourceAttribute, ResourceChangeDetail, ResourceTargetDefinition};

    use super::*;

    fn raw(action: ChangeAction, resource_type: &str, resource: &str) -> ResourceChange {
        ResourceChange::builder().action(action).resource_type(resource_type).logical_resource_id(resource).build()
    }

    fn line(change: ResourceChange) -> String {
        Change::read(&Raw::builder().resource_change(change).build()).expect("a change").line()
    }

    fn detail(name: Option<&str>) -> ResourceChangeDetail {
        let target = ResourceTargetDefinition::builder().attribute(ResourceAttribute::Metadata);
        ResourceChangeDetail::builder().target(target.set_name(name.map(str::to_owned)).build()).build()
    }

    #[test]
    fn a_change_names_its_action_its_resource_and_what_it_loses() {
        assert_eq!(line(raw(ChangeAction::Add, "AWS::SQS::Queue", "One")), "+ AWS::SQS::Queue One");
        let mut changed = raw(ChangeAction::Modify, "AWS::Lambda::Function", "Two");
        changed.details =
            Some(vec![detail(Some("Timeout")), detail(Some("Code")), detail(Some("Timeout")), detail(None)]);
        assert_eq!(line(changed.clone()), "~ AWS::Lambda::Function Two: Code, Metadata, Timeout");
        changed.replacement = Some(Replacement::Conditional);
        assert!(line(changed.clone()).ends_with("(may be replaced)"));
        changed.replacement = Some(Replacement::True);
        assert!(line(changed).ends_with("(replaced)"));
    }

    #[test]
    fn a_queue_that_goes_loses_its_messages_unless_its_policy_keeps_it() {
        let mut gone = raw(ChangeAction::Remove, "AWS::SQS::Queue", "One");
        gone.policy_action = Some(PolicyAction::Delete);
        assert_eq!(line(gone.clone()), "- AWS::SQS::Queue One (loses its messages)");
        gone.policy_action = Some(PolicyAction::Retain);
        assert_eq!(line(gone), "- AWS::SQS::Queue One");
        let mut replaced = raw(ChangeAction::Modify, "AWS::S3::Bucket", "Lake");
        replaced.replacement = Some(Replacement::True);
        assert_eq!(line(replaced), "~ AWS::S3::Bucket Lake (replaced) (loses its objects)");
        let mut perhaps = raw(ChangeAction::Modify, "AWS::S3::Bucket", "Lake");
        perhaps.replacement = Some(Replacement::Conditional);
        let told = line(perhaps);
        assert_eq!(told, "~ AWS::S3::Bucket Lake (may be replaced)", "as every value that is known later says");
        assert_eq!(line(raw(ChangeAction::Remove, "AWS::IAM::Role", "Role")), "- AWS::IAM::Role Role");
    }

    #[test]
    fn what_was_deleted_by_hand_is_added_and_what_was_changed_is_changed() {
        let mut deleted = raw(ChangeAction::Modify, "AWS::SQS::Queue", "One");
        deleted.resource_drift_status = Some(StackResourceDriftStatus::Deleted);
        assert_eq!(line(deleted), "+ AWS::SQS::Queue One (was deleted by hand)");
        let mut changed = raw(ChangeAction::Modify, "AWS::IAM::Role", "Role");
        changed.resource_drift_status = Some(StackResourceDriftStatus::Modified);
        assert_eq!(line(changed.clone()), "~ AWS::IAM::Role Role (was changed by hand)");
        changed.resource_drift_status = Some(StackResourceDriftStatus::InSync);
        assert_eq!(line(changed), "~ AWS::IAM::Role Role");
    }

    #[test]
    fn what_is_lost_is_read_first_and_every_change_is_counted() {
        let one =
            |action, resource_type, name| Raw::builder().resource_change(raw(action, resource_type, name)).build();
        let changes = [
            one(ChangeAction::Add, "AWS::SQS::Queue", "New"),
            one(ChangeAction::Modify, "AWS::IAM::Role", "Role"),
            one(ChangeAction::Remove, "AWS::SQS::Queue", "Old"),
        ];
        let found = DescribeChangeSetOutput::builder().stack_name("s").build();
        let text = ChangeSet::of(&found, "arn", &changes).to_text();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "s: 1 to add, 1 to change, 1 to remove");
        assert_eq!(lines[1], "  - AWS::SQS::Queue Old (loses its messages)");
        assert_eq!(lines[3], "  + AWS::SQS::Queue New");
    }
}
