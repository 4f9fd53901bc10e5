//! What the stack consists of, as CloudFormation knows it.

use std::collections::BTreeMap;

use aws_config::SdkConfig;
use aws_sdk_cloudformation::Client;
use sluice_aws::classify;
use sluice_core::Error;

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
    fn what_the_stack_lacks_is_named() {
        let stack = Stack { name: "s".into(), ..Stack::default() };
        assert!(stack.output("LakeBucket").expect_err("no output").text().contains("output=LakeBucket"));
        assert!(stack.resource("Lake").expect_err("no resource").text().contains("resource=Lake"));
        let gone = not_there(Error::internal("x").because("Stack with id s does not exist"), "s");
        assert_eq!(gone.kind(), sluice_core::Kind::NotFound);
    }
}
