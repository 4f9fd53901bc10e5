//! A probe of the channels of alerts: what the watcher sends by itself, with its own role.

use std::collections::BTreeSet;

use sluice_aws::Topic;
use sluice_pipeline::watch::State;

use super::finding::Finding;
use crate::{failure::Outcome, platform::Platform};

/// The summary of a day has reached each channel, the encrypted topic among them.
pub(super) async fn sent(platform: &Platform) -> Outcome<Finding> {
    let state = State::read(&platform.store()?).await?;
    Ok(judge(state.board.waiting()))
}

/// Who is to hear of alarms by mail has said yes to it.
pub(super) async fn confirmed(platform: &Platform) -> Outcome<Finding> {
    let topic = Topic::new(&platform.place.aws, platform.stack.resource("Alarms")?);
    let pending = topic.unconfirmed().await?.join(", ");
    if pending.is_empty() {
        return Ok(Finding::AsWanted("no address of the topic of alarms waits to be confirmed".to_owned()));
    }
    Ok(Finding::Otherwise {
        seen: format!("{pending} has not confirmed, and gets nothing"),
        fix: "follow the link of the mail `AWS Notification - Subscription Confirmation`".to_owned(),
    })
}

fn judge(waiting: Option<BTreeSet<&str>>) -> Finding {
    let Some(waiting) = waiting else {
        let hour = "the hour of `summary` in platform/alerts.yaml";
        return Finding::Unseen(format!("the watcher has sent no summary yet; one comes each day after {hour}"));
    };
    if waiting.is_empty() {
        return Finding::AsWanted("each channel that is set up has taken the last summary".to_owned());
    }
    let names = waiting.into_iter().collect::<Vec<_>>().join(", ");
    Finding::Otherwise {
        seen: format!("not taken by {names}"),
        fix: "`sluice logs watch-platform` says why; the topic asks for rights on it and on the lake's key".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_that_has_not_taken_the_summary_is_named() {
        assert!(matches!(judge(None), Finding::Unseen(_)));
        assert!(matches!(judge(Some(BTreeSet::new())), Finding::AsWanted(_)));
        let Finding::Otherwise { seen, .. } = judge(Some(BTreeSet::from(["mail", "hook"]))) else {
            panic!("nothing waits")
        };
        assert_eq!(seen, "not taken by hook, mail");
    }
}
