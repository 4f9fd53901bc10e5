//! The channels of the alert table: which are set up, and how each is sent a message.

mod pagerduty;
mod slack;
mod webhook;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sluice_aws::Topic;
use sluice_core::{Error, Kind, Result, Secret, port::Secrets, secret::with_secret};
use sluice_http::{Client, Request, Response, RetryPolicy, error::never_arrived, retry};
use sluice_pipeline::watch::Channels;
use sluice_watch::alerts::{Channel, ChannelKind, Message, Receipt, Table, render::sns};
use tracing::warn;

use crate::{config::ChannelSettings, keys::Keys};

/// An answer that takes longer is none: a channel must not use up the round of the others.
pub const ANSWER_WITHIN: Duration = Duration::from_secs(4);

impl Keys {
    fn reach(&self, channel: &Channel, topic: Option<&Topic>) -> bool {
        match channel.kind {
            ChannelKind::Slack => self.slack_token.is_some(),
            ChannelKind::PagerDuty => self.routing_keys.contains_key(&channel.name),
            ChannelKind::SlackWebhook | ChannelKind::Webhook => self.urls.contains_key(&channel.name),
            ChannelKind::Sns => topic.is_some(),
        }
    }
}

pub struct Senders<'a, S> {
    pub table: &'a Table,
    pub settings: &'a ChannelSettings,
    pub http: &'a Client,
    pub secrets: &'a S,
    pub topic: Option<&'a Topic>,
    pub answer_within: Duration,
}

/// AWS's own clients wait for an answer as long as the function lives: then nothing of a round would be remembered.
pub(crate) async fn within<T>(time: Duration, asked: impl Future<Output = Result<T>>) -> Result<T> {
    let late = |_| Error::new(Kind::Timeout, "no answer came in time").with("seconds", time.as_secs());
    tokio::time::timeout(time, asked).await.map_err(late)?
}

impl<S: Secrets> Channels for Senders<'_, S> {
    async fn available(&self) -> Result<BTreeSet<String>> {
        let read = with_secret(self.secrets, &self.settings.secret, async |keys: Keys| Ok(keys));
        let keys = within(self.answer_within, read).await;
        let keys = keys.unwrap_or_else(|error| {
            // A secret without a value is a platform whose alerts go to the topic alone.
            if error.kind() != Kind::NotFound {
                warn!(error = error.chain(), "the secret of the channels cannot be used; alerts go to the topic");
            }
            Keys::default()
        });
        let set_up = self.table.channels.iter().filter(|channel| keys.reach(channel, self.topic));
        Ok(set_up.map(|channel| channel.name.clone()).collect())
    }

    async fn send(&self, message: &Message) -> Result<Option<Receipt>> {
        within(self.answer_within * 3, self.deliver(message)).await
    }
}

impl<S: Secrets> Senders<'_, S> {
    async fn deliver(&self, message: &Message) -> Result<Option<Receipt>> {
        let channel = self.table.channel(&message.channel);
        let channel = channel.ok_or_else(|| Error::internal("the message is for a channel that the table lacks"))?;
        if channel.kind == ChannelKind::Sns {
            let topic = self.topic.ok_or_else(|| unset(channel))?;
            let notification = sns::notification(&message.content);
            topic.publish(&notification.subject, &notification.message, &notification.attributes).await?;
            return Ok(None);
        }
        let post = Post { http: self.http, answer_within: self.answer_within };
        with_secret(self.secrets, &self.settings.secret, async |keys: Keys| {
            let key = |keys: &BTreeMap<String, Secret>| keys.get(&channel.name).cloned().ok_or_else(|| unset(channel));
            match channel.kind {
                ChannelKind::Slack => {
                    let token = keys.slack_token.clone().ok_or_else(|| unset(channel))?;
                    let slack = slack::Slack { post, url: &self.settings.slack, token: &token };
                    slack.send(message, channel.channel.as_deref().unwrap_or(&channel.name)).await
                }
                ChannelKind::PagerDuty => {
                    let url = keys.urls.get(&channel.name).map_or(pagerduty::URL, Secret::expose);
                    pagerduty::send(post, url, message, &key(&keys.routing_keys)?).await
                }
                kind => webhook::send(post, &key(&keys.urls)?, message, kind).await,
            }
        })
        .await
    }
}

fn unset(channel: &Channel) -> Error {
    Error::config("the channel's address or key is not set; see the README of watch-platform")
        .with("channel", &channel.name)
}

/// The way to the services.
#[derive(Clone, Copy)]
struct Post<'a> {
    http: &'a Client,
    answer_within: Duration,
}

impl Post<'_> {
    /// Sends once more where that can help, within seconds. What is not taken then is due again in the next round.
    async fn deliver(&self, request: Request, classify: impl Fn(&Response) -> Result<()>) -> Result<Response> {
        self.http.send(&request.timeout(self.answer_within), &RetryPolicy::twice(self.answer_within), classify).await
    }

    /// The same for what people would see twice: only what has surely not been taken is sent once more.
    async fn post(&self, request: Request, classify: impl Fn(&Response) -> Result<()>) -> Result<Response> {
        let request = request.timeout(self.answer_within);
        retry(&RetryPolicy::twice(self.answer_within), async |_| {
            self.http.attempt(&request, &classify).await.map_err(|error| {
                let is_untaken = error.kind() == Kind::RateLimited || never_arrived(&error);
                if is_untaken { error } else { error.exhausted() }
            })
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_gives_no_answer_ends_in_time_and_is_a_timeout() {
        let never = within(Duration::from_secs(30), std::future::pending::<Result<()>>()).await;
        assert_eq!(never.expect_err("no answer").kind(), Kind::Timeout);
        assert_eq!(within(Duration::from_secs(30), async { Ok(7) }).await.expect("an answer"), 7);
    }
}
