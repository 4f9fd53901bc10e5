//! All incidents and what each channel was last sent, and one round over them.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use super::{
    causes::Upstream,
    content::{Action, Content},
    incident::{Incident, Says},
    table::Table,
};
use crate::{calendar::Calendar, finding::Finding};

mod daily;
mod intake;
mod send;

/// Where a message was posted: a channel's id and the message's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipt {
    pub channel: String,
    pub message: String,
}

/// What one channel was sent of an alert.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// The alert's revision that was delivered; 0 before the first.
    pub revision: u64,
    pub reminders: usize,
    pub severity: u8,
    pub resolved: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
}

/// One incident, or several of one kind that opened together, as channels see them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    pub members: BTreeSet<String>,
    pub opened_at: DateTime<Utc>,
    pub sent: BTreeMap<String, Sent>,
}

/// What people say.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Command {
    /// By an incident's id or key.
    Acknowledge {
        incident: String,
        by: String,
        says: Option<Says>,
    },
    Mute {
        incident: String,
        by: String,
        until: DateTime<Utc>,
    },
}

/// One message to one channel.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The name of the channel in the table.
    pub channel: String,
    pub content: Content,
    /// The same as often as this is sent, so that who has taken it and whose answer was lost can leave it out.
    pub delivery: String,
    /// The message that this one edits or answers, where the channel can.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// What is recorded when it was delivered.
    pub sent: Sent,
}

/// Everything that is remembered between rounds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Board {
    pub incidents: BTreeMap<String, Incident>,
    pub alerts: BTreeMap<String, Alert>,
    /// For each check that could not judge, in how many rounds in a row.
    missing: BTreeMap<String, u32>,
    /// Messages in a row that a channel has not taken.
    failing: BTreeMap<String, u32>,
    summary_day: Option<NaiveDate>,
    canary_day: Option<NaiveDate>,
    /// Channels that have not had the last summary yet.
    summary: BTreeMap<String, Content>,
    /// How the checks of the last round ended.
    pub checks: Checks,
}

/// Checks of a round.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checks {
    pub healthy: usize,
    pub breached: usize,
    pub missing: usize,
    pub learning: usize,
}

/// What a round is given.
#[derive(Debug, Clone, Copy)]
pub struct Round<'a> {
    pub stack: &'a str,
    pub table: &'a Table,
    pub upstream: &'a Upstream,
    /// Channels whose secret or address is set.
    pub available: &'a BTreeSet<String>,
    pub calendar: &'a Calendar,
    pub findings: &'a [Finding],
    pub commands: &'a [Command],
    pub now: DateTime<Utc>,
}

impl Board {
    /// Takes a round in, and answers with the messages that are due.
    pub fn round(&mut self, round: &Round<'_>) -> Vec<Message> {
        self.forget_what_has_ended();
        self.incidents.values_mut().for_each(|incident| incident.tick(round.now));
        self.obey(round);
        self.take_in(round);
        self.canary(round);
        self.explain(round);
        self.gather(round);
        self.summarise(round);
        let messages = self.messages(round);
        // A channel that nothing waits for fails nobody.
        self.failing.retain(|channel, _| messages.iter().any(|message| message.channel == *channel));
        messages
    }

    /// A channel has taken a message.
    pub fn delivered(&mut self, message: &Message, receipt: Option<Receipt>) {
        self.failing.remove(&message.channel);
        if message.content.action == Action::Summary {
            self.summary.remove(&message.channel);
            return;
        }
        let Some(alert) = self.alerts.get_mut(&message.content.key) else { return };
        let kept = receipt.or_else(|| message.receipt.clone());
        alert.sent.insert(message.channel.clone(), Sent { receipt: kept, ..message.sent.clone() });
    }

    /// A channel has not taken a message; it is due again in the next round.
    pub fn failed(&mut self, message: &Message) {
        *self.failing.entry(message.channel.clone()).or_default() += 1;
    }

    /// The incident of a key, or of an id that no other open one has.
    pub fn find(&self, incident: &str) -> Option<&Incident> {
        self.incidents.get(incident).or_else(|| {
            let mut same = self.incidents.values().filter(|found| found.id() == incident);
            let (first, another) = (same.next()?, same.find(|found| !found.is_resolved()));
            if first.is_resolved() { another.or(Some(first)) } else { another.is_none().then_some(first) }
        })
    }

    /// The incident that a command is about; none where days teach nothing of which it says something.
    pub fn meant(&self, command: &Command) -> Option<&Incident> {
        let (Command::Acknowledge { incident, .. } | Command::Mute { incident, .. }) = command;
        let says = matches!(command, Command::Acknowledge { says: Some(_), .. });
        self.find(incident).filter(|found| !says || found.kind().is_learned())
    }

    /// The day of the last summary, and the channels that have not taken what they were last sent; `None` before the first.
    pub fn summary(&self) -> Option<(NaiveDate, BTreeSet<&str>)> {
        Some((self.summary_day?, self.failing.keys().chain(self.summary.keys()).map(String::as_str).collect()))
    }

    fn members<'b>(&'b self, alert: &'b Alert) -> Vec<&'b Incident> {
        alert.members.iter().filter_map(|key| self.incidents.get(key)).collect()
    }

    /// Removes alerts whose end every channel knows, and resolved incidents that no alert tells.
    fn forget_what_has_ended(&mut self) {
        let incidents = &self.incidents;
        let ended = |key: &String| incidents.get(key).is_none_or(Incident::is_resolved);
        self.alerts.retain(|_, alert| {
            let told = alert.sent.values().filter(|sent| sent.revision > 0).all(|sent| sent.resolved);
            !(told && alert.members.iter().all(ended))
        });
        let told: BTreeSet<&String> = self.alerts.values().flat_map(|alert| &alert.members).collect();
        self.incidents.retain(|key, incident| !incident.is_resolved() || told.contains(key));
    }
}
