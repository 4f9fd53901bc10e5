//! Slack's Web API by a bot token: one post for an alert, edited as it changes.

use serde::Deserialize;
use sluice_core::{Error, Kind, Result, Secret};
use sluice_http::{Request, Response, error};
use sluice_watch::alerts::{
    Message, Receipt,
    render::slack::{Call, calls},
};

use super::Post;

/// Slack's words for a message that can no longer be edited, and never again.
const CANNOT_EDIT: [&str; 4] = ["message_not_found", "cant_update_message", "edit_window_closed", "thread_not_found"];

pub(super) struct Slack<'a> {
    pub post: Post<'a>,
    pub url: &'a str,
    pub token: &'a Secret,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Answer {
    ok: bool,
    error: Option<String>,
    channel: Option<String>,
    ts: Option<String>,
}

enum Posted {
    At(Option<Receipt>),
    /// The post that was to be edited is gone.
    Gone,
}

impl Slack<'_> {
    pub(super) async fn send(&self, message: &Message, channel: &str) -> Result<Option<Receipt>> {
        let mut receipt = message.receipt.clone();
        for call in calls(message, channel) {
            match self.call(&call).await? {
                // The answer below a post has a time of its own, which is not the post's.
                Posted::At(at) => receipt = receipt.or(at),
                Posted::Gone => return self.post_again(message, channel).await,
            }
        }
        Ok(receipt)
    }

    async fn post_again(&self, message: &Message, channel: &str) -> Result<Option<Receipt>> {
        let new = Message { receipt: None, ..message.clone() };
        for call in calls(&new, channel) {
            if let Posted::At(at) = self.call(&call).await? {
                return Ok(at);
            }
        }
        Err(Error::unavailable("Slack has neither edited nor taken a post"))
    }

    async fn call(&self, call: &Call) -> Result<Posted> {
        let request = Request::post(format!("{}/{}", self.url, call.method)).bearer(self.token).json(&call.body)?;
        let response = match call.method {
            "chat.postMessage" => self.post.post(request, judge).await?,
            _ => self.post.deliver(request, judge).await?,
        };
        let answer: Answer = response.json()?;
        match answer.error {
            Some(word) if CANNOT_EDIT.contains(&word.as_str()) => Ok(Posted::Gone),
            _ => Ok(Posted::At(answer.channel.zip(answer.ts).map(|(channel, message)| Receipt { channel, message }))),
        }
    }
}

/// Slack says with status 200 that it has refused.
fn judge(response: &Response) -> Result<()> {
    if !response.is_success() {
        return Err(error::by_status(response, "Slack has not taken a message"));
    }
    error::whole_json(response)?;
    let answer: Answer = response.json()?;
    let word = answer.error.unwrap_or_default();
    if answer.ok || CANNOT_EDIT.contains(&word.as_str()) {
        return Ok(());
    }
    let kind = match word.as_str() {
        "ratelimited" | "rate_limited" => Kind::RateLimited,
        "internal_error" | "fatal_error" | "service_unavailable" | "request_timeout" => Kind::Unavailable,
        "invalid_auth" | "not_authed" | "token_revoked" | "token_expired" | "account_inactive" | "missing_scope"
        | "no_permission" => Kind::Auth,
        "channel_not_found" | "not_in_channel" | "is_archived" => Kind::Config,
        _ => Kind::InvalidData,
    };
    Err(Error::new(kind, "Slack has refused a message").with("error", word))
}
