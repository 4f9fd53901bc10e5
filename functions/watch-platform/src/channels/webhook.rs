//! Addresses that are secrets themselves: Slack's incoming webhooks, and any other.

use sluice_core::{Result, Secret};
use sluice_http::{Request, Response, error};
use sluice_watch::alerts::{
    ChannelKind, Message, Receipt,
    render::{slack, webhook},
};

use super::Post;

pub(super) async fn send(
    post: Post<'_>,
    url: &Secret,
    message: &Message,
    kind: ChannelKind,
) -> Result<Option<Receipt>> {
    let body = match kind {
        ChannelKind::SlackWebhook => slack::webhook(&message.content),
        _ => webhook::payload(message),
    };
    post.post(Request::post(url.expose()).json(&body)?, judge).await.map(|_| None)
}

fn judge(response: &Response) -> Result<()> {
    if response.is_success() { Ok(()) } else { Err(error::by_status(response, "the webhook has not taken a message")) }
}
