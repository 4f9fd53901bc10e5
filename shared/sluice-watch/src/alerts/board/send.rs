//! The messages that bring each channel from what it was sent to what is true.

use std::collections::BTreeSet;

use chrono::Duration;

use super::{Alert, Board, Message, Round, Sent};
use crate::{
    alerts::{
        content::{self, Action, Content, Phase},
        incident::{Incident, State},
        table::{Channel, ChannelKind},
    },
    finding::Kind,
};

/// Room for the number of silenced objects in an alert's revision.
const SILENCED: u64 = 1 << 16;

impl Board {
    pub(super) fn messages(&self, round: &Round<'_>) -> Vec<Message> {
        let mut messages = Vec::new();
        for (key, alert) in &self.alerts {
            let Some(view) = self.view(key, alert, round) else { continue };
            let targets = self.targets(&view, alert, round);
            // Who was told of the fault is reported of its end, also where its severity has changed since.
            let told = alert.sent.iter().filter(|(_, sent)| sent.revision > 0).map(|(name, _)| name.clone());
            for name in targets.union(&told.collect()) {
                let Some(channel) = round.table.channel(name) else { continue };
                let is_target = targets.contains(name);
                messages.extend(view.message(channel, alert.sent.get(name), is_target));
            }
        }
        let sent = Sent::default();
        messages.extend(self.summary.iter().map(|(channel, content)| Message {
            channel: channel.clone(),
            content: content.clone(),
            delivery: content.key.clone(),
            receipt: None,
            sent: sent.clone(),
        }));
        messages
    }

    fn view(&self, key: &str, alert: &Alert, round: &Round<'_>) -> Option<View> {
        let members = self.members(alert);
        let open: Vec<&Incident> = members.iter().copied().filter(|incident| !incident.is_resolved()).collect();
        let shown = if open.is_empty() { &members } else { &open };
        let first = shown.first()?;
        let phase = match &open[..] {
            [] => Phase::Resolved,
            open if open.iter().all(|incident| !incident.speaks() && incident.cause.is_none()) => Phase::Quiet,
            open if open.iter().all(|incident| matches!(incident.state, State::Acknowledged { .. })) => {
                Phase::Acknowledged
            }
            _ => Phase::Open,
        };
        let severity = shown.iter().map(|incident| incident.severity).min().unwrap_or(1);
        let of_severity = round.table.of_severity(severity);
        let silences = self.silenced(&alert.members);
        let changes = members.iter().map(|incident| incident.revision).sum::<u64>();
        let revision = changes * SILENCED + (silences.len() as u64).min(SILENCED - 1);
        let due = |hours: &u32| alert.opened_at + Duration::hours(i64::from(*hours)) <= round.now;
        let due_now = of_severity.map_or(0, |row| row.remind_hours.iter().filter(|hours| due(hours)).count());
        // Nobody is reminded of what another incident explains.
        let reminders = if open.iter().any(|incident| incident.speaks()) { due_now } else { 0 };
        let (lines, more) = Content::lines(&members);
        let page = content::runbook(first.kind());
        let runbook = page.map(|page| match &round.table.docs_url {
            Some(site) => format!("{site}/runbooks/{page}.html"),
            None => format!("docs/runbooks/{page}.md"),
        });
        let content = Content {
            key: key.to_owned(),
            stack: round.stack.to_owned(),
            title: Content::title(shown),
            severity,
            phase,
            action: Action::Open,
            lines,
            more,
            silences,
            note: match shown.iter().find_map(|incident| incident.cause.as_ref()) {
                Some(cause) => {
                    self.incidents.get(cause).map(|cause| format!("explained by: {}", Content::title(&[cause])))
                }
                None => Content::note(shown),
            },
            runbook,
            mention: of_severity.and_then(|row| row.mention.clone()),
            opened_at: alert.opened_at,
            at: round.now,
        };
        Some(View { content, revision, reminders, kind: first.kind() })
    }

    /// The objects that the members of an alert explain.
    fn silenced(&self, members: &BTreeSet<String>) -> Vec<String> {
        let of = |incident: &&Incident| {
            !incident.is_resolved() && incident.cause.as_ref().is_some_and(|cause| members.contains(cause))
        };
        let objects: BTreeSet<String> =
            self.incidents.values().filter(of).map(|incident| incident.object.name.clone()).collect();
        objects.into_iter().collect()
    }

    /// The channels of an alert. What none of them can take goes to the topic.
    fn targets(&self, view: &View, alert: &Alert, round: &Round<'_>) -> BTreeSet<String> {
        let own = match view.kind {
            Kind::Canary => round.table.canary.as_ref().map(|daily| daily.channels.clone()).unwrap_or_default(),
            _ => round.table.of_severity(view.content.severity).map(|row| row.channels.clone()).unwrap_or_default(),
        };
        if own.is_empty() {
            return BTreeSet::new();
        }
        // A channel is not asked to tell that it is failing itself.
        let is_about = |name: &String| {
            let mut members = alert.members.iter().filter_map(|key| self.incidents.get(key));
            view.kind == Kind::ChannelFailing && members.any(|incident| incident.object.name == *name)
        };
        let can = |name: &String| round.available.contains(name) && !is_about(name);
        let able: BTreeSet<String> = own.into_iter().filter(can).collect();
        if !able.is_empty() {
            return able;
        }
        let topics = round.table.channels.iter().filter(|channel| channel.kind == ChannelKind::Sns);
        topics.map(|channel| channel.name.clone()).filter(can).collect()
    }
}

/// An alert as it is.
struct View {
    content: Content,
    revision: u64,
    reminders: usize,
    kind: Kind,
}

impl View {
    /// What a channel is sent, if anything.
    fn message(&self, channel: &Channel, sent: Option<&Sent>, is_target: bool) -> Option<Message> {
        let nothing = Sent::default();
        let sent = sent.unwrap_or(&nothing);
        let action = self.action(channel.kind, sent, is_target)?;
        let reminders = if action == Action::Acknowledge { sent.reminders } else { self.reminders };
        let content = Content { action, ..self.content.clone() };
        // Only a message that names somebody for the first time, or again after hours, calls them.
        let calls = matches!(action, Action::Open | Action::Remind);
        Some(Message {
            channel: channel.name.clone(),
            // What the channel took last changes only with what it takes.
            delivery: format!("{}#{}", content.key, sent.revision),
            content: Content { mention: content.mention.clone().filter(|_| calls), ..content },
            receipt: sent.receipt.clone().filter(|_| action != Action::Open),
            sent: Sent {
                revision: self.revision,
                reminders,
                severity: self.content.severity,
                resolved: action == Action::Resolve,
                receipt: None,
            },
        })
    }

    fn action(&self, kind: ChannelKind, sent: &Sent, is_target: bool) -> Option<Action> {
        let was_told = sent.revision > 0 && !sent.resolved;
        match self.content.phase {
            Phase::Resolved => was_told.then_some(Action::Resolve),
            Phase::Quiet => None,
            _ if !was_told => is_target.then_some(Action::Open),
            phase => {
                let edits = matches!(kind, ChannelKind::Slack | ChannelKind::PagerDuty);
                let changed = self.revision != sent.revision;
                let worse = self.content.severity < sent.severity;
                let is_reminder = phase == Phase::Open && self.reminders > sent.reminders;
                if worse && (edits || kind == ChannelKind::Sns) {
                    Some(Action::Change)
                } else if phase == Phase::Acknowledged && changed && edits {
                    Some(Action::Acknowledge)
                } else if is_reminder && matches!(kind, ChannelKind::Slack | ChannelKind::Sns) {
                    Some(Action::Remind)
                } else if changed && edits {
                    Some(Action::Change)
                } else {
                    None
                }
            }
        }
    }
}
