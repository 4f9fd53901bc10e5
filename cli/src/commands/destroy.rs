//! `sluice destroy`: a stage's stack goes; what holds data stays, and is named before and after.

use std::collections::BTreeMap;

use aws_sdk_cloudformation::{Client, types::TemplateStage};
use serde::Serialize;
use serde_json::Value;
use sluice_aws::classify;
use sluice_core::{Error, Kind};

use crate::{
    args::{DestroyArgs, Target},
    commands::deploy::Asked,
    confirm,
    failure::{Failure, Outcome},
    output,
    progress::Progress,
    stack::{self, Resource, Stack},
    warehouse::account::PROVISIONER_SECRET,
};

const POLL: std::time::Duration = std::time::Duration::from_secs(2);

/// What stays of a stack, and how much goes.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct Parting {
    stack: String,
    account: String,
    deleted: bool,
    kept: Vec<Staying>,
    /// How many resources of each type go.
    gone: BTreeMap<String, usize>,
}

#[derive(Debug, PartialEq, Eq, Serialize)]
struct Staying {
    #[serde(rename = "type")]
    resource_type: String,
    resource: String,
    /// What it is called in the account.
    name: String,
}

pub(super) async fn run(target: &Target, args: &DestroyArgs, progress: &Progress, json: bool) -> Outcome {
    let asked = Asked::of(target, &args.stage, progress, json).await?;
    let (aws, name) = (&asked.place.aws, &asked.stage.stack);
    let account = asked.account().await?;
    let client = Client::new(aws);
    let stack = progress.spin("looking at the stack", Stack::describe(aws, name)).await?;
    let template = client.get_template().stack_name(name).template_stage(TemplateStage::Processed).send().await;
    let template = template.map_err(|error| classify(error, format!("cannot read the template of {name}")))?;
    let mut parting = parting(&stack, &account, template.template_body().unwrap_or_default())?;
    if args.dry_run {
        return output::print(json, &parting, render);
    }
    if stack.is_protected {
        return Err(protected(name));
    }
    agreed(args, &parting)?;
    let deleted = client.delete_stack().stack_name(name).send().await;
    deleted.map_err(|error| classify(error, format!("cannot delete the stack {name}")))?;
    if let Some(status) = progress.spin("deleting the stack", stack::ended(aws, name, POLL)).await? {
        let why = stack::cause(aws, name).await?.map(|cause| format!(": {cause}")).unwrap_or_default();
        let error = Error::conflict(format!("{name} is {status}{why}"));
        return Err(Failure::from(error).hint("fix what it names, then destroy again; what holds data is still there"));
    }
    parting.deleted = true;
    output::print(json, &parting, render)
}

fn agreed(args: &DestroyArgs, parting: &Parting) -> Outcome {
    let name = &parting.stack;
    match &args.confirm {
        Some(typed) if typed == name => Ok(()),
        Some(typed) => Err(Failure::usage(format!("--confirm says {typed}, and the stack is {name}"))),
        None => match confirm::confirm_name(render(parting).trim_end(), name)? {
            true => Ok(()),
            false => Err(confirm::declined()),
        },
    }
}

fn protected(name: &str) -> Failure {
    Failure::from(Error::new(Kind::Conflict, format!("{name} is protected against deletion"))).hint(format!(
        "`aws cloudformation update-termination-protection --no-enable-termination-protection --stack-name {name}`"
    ))
}

/// `template` is the deployed one, in JSON: transforms are expanded.
fn parting(stack: &Stack, account: &str, template: &str) -> Outcome<Parting> {
    let unusable = |error| Error::internal("CloudFormation has no expanded template of the stack").because(error);
    let template: Value = serde_json::from_str(template).map_err(unusable)?;
    let stays = |resource: &Resource| {
        let policy = template["Resources"][&resource.logical]["DeletionPolicy"].as_str();
        policy.is_some_and(|policy| policy.starts_with("Retain"))
    };
    let (staying, going): (Vec<&Resource>, Vec<&Resource>) =
        stack.resources.iter().partition(|resource| stays(resource));
    let mut gone = BTreeMap::new();
    for resource in going {
        *gone.entry(resource.resource_type.clone()).or_default() += 1;
    }
    let kept = staying.into_iter().map(|resource| Staying {
        resource_type: resource.resource_type.clone(),
        resource: resource.logical.clone(),
        name: resource.physical.clone(),
    });
    Ok(Parting { stack: stack.name.clone(), account: account.to_owned(), deleted: false, kept: kept.collect(), gone })
}

fn render(parting: &Parting) -> String {
    let Parting { stack, account, deleted, kept, gone } = parting;
    let (goes, stays) = if *deleted { ("is gone", "What stays") } else { ("would go", "What would stay") };
    let mut text = format!("{stack} in account {account} {goes}: {} resources\n", gone.values().sum::<usize>());
    for (resource_type, count) in gone {
        text.push_str(&format!("  - {count:>3} {resource_type}\n"));
    }
    text.push_str(&format!("\n{stays}, with its data:\n"));
    for Staying { resource_type, resource, name } in kept {
        text.push_str(&format!("    {resource_type} {resource}: {name}\n"));
    }
    text.push_str(&format!(
        "    {stack}/{PROVISIONER_SECRET}, and everything in Snowflake\n\n`sluice deploy` of this stage takes it up again.\n"
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resource(resource_type: &str, logical: &str) -> Resource {
        Resource {
            logical: logical.to_owned(),
            physical: format!("s-{logical}"),
            resource_type: resource_type.to_owned(),
        }
    }

    fn parted() -> Parting {
        let stack = Stack {
            name: "s".to_owned(),
            resources: vec![
                resource("AWS::S3::Bucket", "Lake"),
                resource("AWS::SQS::Queue", "Load"),
                resource("AWS::SQS::Queue", "Dispatch"),
            ],
            ..Stack::default()
        };
        let template = r#"{"Resources": {"Lake": {"DeletionPolicy": "RetainExceptOnCreate"}, "Load": {"DeletionPolicy": "Delete"}}}"#;
        parting(&stack, "123456789012", template).expect("a parting")
    }

    #[test]
    fn what_the_template_retains_stays_and_the_rest_is_counted() {
        let text = render(&parted());
        assert!(
            text.starts_with("s in account 123456789012 would go: 2 resources\n  -   2 AWS::SQS::Queue\n"),
            "{text}"
        );
        assert!(text.contains("    AWS::S3::Bucket Lake: s-Lake\n"), "{text}");
        assert!(render(&Parting { deleted: true, ..parted() }).contains("is gone"));
        let stack = Stack { name: "s".to_owned(), ..Stack::default() };
        assert!(parting(&stack, "1", "Resources: {}").is_err(), "YAML is no expanded template");
    }

    #[test]
    fn another_name_than_the_stacks_destroys_nothing() {
        let stage = crate::args::StageArgs { env: "dev".to_owned(), config: None };
        let args =
            |confirm: &str| DestroyArgs { stage: stage.clone(), confirm: Some(confirm.to_owned()), dry_run: false };
        assert!(agreed(&args("s"), &parted()).is_ok());
        assert_eq!(agreed(&args("sluice-prod"), &parted()).expect_err("another").exit_code(), 2);
    }

    #[test]
    fn a_protected_stack_says_how_its_protection_is_taken_off() {
        let text = protected("s").text();
        assert!(text.contains("s is protected") && text.contains("--no-enable-termination-protection"), "{text}");
    }
}
