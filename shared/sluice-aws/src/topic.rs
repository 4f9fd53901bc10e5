//! A topic of SNS, for people.

use aws_sdk_sns::{Client, types::MessageAttributeValue};
use sluice_core::{Error, Result};

use crate::{SdkConfig, error::classify};

#[derive(Debug, Clone)]
pub struct Topic {
    client: Client,
    arn: String,
}

impl Topic {
    pub fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Topic { client: Client::new(config), arn: arn.into() }
    }

    /// The addresses that mails are to go to, and whether each has confirmed its subscription; before that it gets nothing.
    pub async fn mailed(&self) -> Result<Vec<(String, bool)>> {
        let asked = self.client.list_subscriptions_by_topic().topic_arn(&self.arn).into_paginator().items().send();
        let all: Vec<_> = asked
            .collect::<std::result::Result<_, _>>()
            .await
            .map_err(|error| classify(error, "cannot list the subscriptions of the topic".into()))?;
        let mailed = all.iter().filter(|one| one.protocol().is_some_and(|protocol| protocol.starts_with("email")));
        let confirmed = mailed.filter_map(|one| {
            Some((one.endpoint()?.to_owned(), one.subscription_arn().is_some_and(|arn| arn.starts_with("arn:"))))
        });
        Ok(confirmed.collect())
    }

    /// Accepted when it returns. A subscription may choose by the attributes; e-mail shows subject and message.
    pub async fn publish(&self, subject: &str, message: &str, attributes: &[(&str, String)]) -> Result<()> {
        let mut publish = self.client.publish().topic_arn(&self.arn).subject(subject).message(message);
        for (name, value) in attributes {
            let text = MessageAttributeValue::builder().data_type("String").string_value(value);
            let text = text.build().map_err(|error| Error::internal("an attribute has no type").because(error))?;
            publish = publish.message_attributes(*name, text);
        }
        publish.send().await.map(drop).map_err(|error| classify(error, "cannot publish to the topic".into()))
    }
}
