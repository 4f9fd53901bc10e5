//! PagerDuty's Events API v2.

use sluice_core::{Result, Secret};
use sluice_http::{Request, Response, error};
use sluice_watch::alerts::{Message, Receipt, render::pagerduty::event};

use super::Post;

/// Where an account takes events that names no address of its own.
pub(super) const URL: &str = "https://events.pagerduty.com";

pub(super) async fn send(post: Post<'_>, url: &str, message: &Message, key: &Secret) -> Result<Option<Receipt>> {
    let Some(event) = event(&message.content, key.expose()) else { return Ok(None) };
    let request = Request::post(format!("{url}/v2/enqueue")).json(&event)?;
    post.deliver(request, judge).await.map(|_| None)
}

/// 202 is taken; 400 is a mistake of ours or a wrong key, which no repetition mends.
fn judge(response: &Response) -> Result<()> {
    match response.status {
        202 => Ok(()),
        _ => Err(error::by_status(response, "PagerDuty has not taken an event")),
    }
}
