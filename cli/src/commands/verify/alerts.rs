//! A probe of the channels of alerts: what the watcher sends by itself, with its own role.

use std::collections::BTreeSet;

use chrono::{NaiveDate, TimeDelta, Utc};
use sluice_aws::Topic;
use sluice_pipeline::watch::State;

use super::finding::Finding;
use crate::{failure::Outcome, platform::Platform};

/// The summary of a day has reached each channel, the encrypted topic among them.
pub(super) async fn sent(platform: &Platform) -> Outcome<Finding> {
    let state = State::read(&platform.store()?).await?;
    Ok(judge(state.board.summary(), Utc::now().date_naive()))
}

/// Who is to hear of alarms by mail has said yes to it.
pub(super) async fn confirmed(platform: &Platform) -> Outcome<Finding> {
    let topic = Topic::new(&platform.place.aws, platform.stack.resource("Alarms")?);
    Ok(judge_mailed(&topic.mailed().await?))
}

fn judge_mailed(mailed: &[(String, bool)]) -> Finding {
    let of = |wanted: bool| {
        let of = mailed.iter().filter(|(_, is_confirmed)| *is_confirmed == wanted);
        of.map(|(address, _)| address.as_str()).collect::<Vec<_>>().join(", ")
    };
    let (confirmed, pending) = (of(true), of(false));
    if !pending.is_empty() {
        return Finding::Otherwise {
            seen: format!("{pending} has not confirmed, and gets nothing"),
            fix: "follow the link of the mail `AWS Notification - Subscription Confirmation`".to_owned(),
        };
    }
    if confirmed.is_empty() {
        // SNS deletes a subscription that nobody confirms within days, and CloudFormation does not make it again.
        return Finding::Otherwise {
            seen: "no address is subscribed to the topic of alarms".to_owned(),
            fix: "set AlarmEmail where it is empty; else `aws sns subscribe --protocol email`, and follow the mail's link"
                .to_owned(),
        };
    }
    Finding::AsWanted(format!("{confirmed} has confirmed"))
}

fn judge(summary: Option<(NaiveDate, BTreeSet<&str>)>, today: NaiveDate) -> Finding {
    let Some((day, waiting)) = summary else {
        let hour = "the hour of `summary` in platform/alerts.yaml";
        return Finding::Unseen(format!("the watcher has sent no summary yet; one comes each day after {hour}"));
    };
    if today - day > TimeDelta::days(1) {
        return Finding::Otherwise {
            seen: format!("the watcher has sent no summary since {day}"),
            fix:
                "`sluice logs watch-platform` says why no round ends; or platform/alerts.yaml has no `summary` any more"
                    .to_owned(),
        };
    }
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
        let today = NaiveDate::MIN + TimeDelta::days(2);
        let of = |days: i64, waiting: &[&'static str]| {
            judge(Some((today - TimeDelta::days(days), waiting.iter().copied().collect())), today)
        };
        assert!(matches!(judge(None, today), Finding::Unseen(_)));
        assert!(matches!(of(1, &[]), Finding::AsWanted(_)), "today's hour has not come");
        let seen = |finding| if let Finding::Otherwise { seen, .. } = finding { seen } else { panic!("{finding:?}") };
        assert_eq!(seen(of(0, &["mail", "hook"])), "not taken by hook, mail");
        assert!(seen(of(2, &[])).starts_with("the watcher has sent no summary since"));
    }

    #[test]
    fn where_nobody_has_confirmed_nobody_gets_mails() {
        let of = |mailed: &[(&str, bool)]| {
            judge_mailed(&mailed.iter().map(|(address, is_ours)| ((*address).to_owned(), *is_ours)).collect::<Vec<_>>())
        };
        assert!(matches!(of(&[("a@b.c", true)]), Finding::AsWanted(_)));
        for mailed in [&[][..], &[("a@b.c", false)], &[("a@b.c", true), ("d@b.c", false)]] {
            assert!(matches!(of(mailed), Finding::Otherwise { .. }), "{mailed:?}");
        }
    }
}
