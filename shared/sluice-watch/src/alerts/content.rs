//! What a message says, before a channel's form: counts, times and names, never a row's value.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::incident::{Incident, Says, State};
use crate::finding::Kind;

/// This many lines are shown; the rest is counted.
const MOST_LINES: usize = 10;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    Open,
    Acknowledged,
    /// Open, and nothing is sent.
    Quiet,
    Resolved,
}

/// What a message is for its reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    Open,
    Change,
    Remind,
    Acknowledge,
    Resolve,
    /// The daily summary.
    Summary,
}

/// One incident in a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Line {
    pub object: String,
    pub kind: Kind,
    pub observed: String,
    pub expected: String,
    pub id: String,
    pub resolved: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Content {
    /// The alert's key, the same in all its messages.
    pub key: String,
    pub stack: String,
    pub title: String,
    pub severity: u8,
    pub phase: Phase,
    pub action: Action,
    pub lines: Vec<Line>,
    /// Lines that are not shown.
    pub more: usize,
    /// What this fault explains, and is not told for itself.
    pub silences: Vec<String>,
    /// Who works on it, or until when it is muted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub runbook: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mention: Option<String>,
    pub opened_at: DateTime<Utc>,
    pub at: DateTime<Utc>,
}

impl Content {
    /// What is wrong in one line.
    pub(super) fn title(members: &[&Incident]) -> String {
        match members {
            [] => "nothing".to_owned(),
            [one] if one.kind() == Kind::Canary => "test of the alert channels".to_owned(),
            [one] => {
                let size = one.kind().unit().show(one.breach.size);
                format!("{} of {}: {size}", words(one.kind()), one.object)
            }
            [first, ..] => {
                let objects: std::collections::BTreeSet<&str> =
                    members.iter().map(|incident| incident.object.name.as_str()).collect();
                format!("{} of {} objects in {} checks", words(first.kind()), objects.len(), members.len())
            }
        }
    }

    pub(super) fn lines(members: &[&Incident]) -> (Vec<Line>, usize) {
        let line = |incident: &&Incident| Line {
            object: incident.object.to_string(),
            kind: incident.kind(),
            observed: incident.breach.observed.clone(),
            expected: incident.breach.expected.clone(),
            id: incident.id(),
            resolved: incident.is_resolved(),
        };
        let lines: Vec<Line> = members.iter().take(MOST_LINES).map(line).collect();
        (lines, members.len().saturating_sub(MOST_LINES))
    }

    pub(super) fn note(members: &[&Incident]) -> Option<String> {
        let note = |incident: &&Incident| match &incident.state {
            State::Acknowledged { by } => Some(match incident.says() {
                None => format!("{by} works on it"),
                Some(Says::Fault) => format!("{by} works on it: it is a fault"),
                Some(Says::Expected) => format!("{by}: this is how it is now"),
            }),
            State::Muted { by, until } => Some(format!("{by} has muted it until {}", until.format("%F %H:%M"))),
            State::Open | State::Resolved { .. } => None,
        };
        members.iter().find_map(note)
    }
}

/// A kind as a title begins.
fn words(kind: Kind) -> String {
    let text = kind.as_str().replace('_', " ");
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().collect::<String>() + letters.as_str()).unwrap_or_default()
}

/// The page that says what to do, below `docs/`.
pub(super) fn runbook(kind: Kind) -> Option<&'static str> {
    let page = match kind {
        Kind::Late | Kind::Silent | Kind::ColumnGone | Kind::ColumnRetyped | Kind::ColumnAdded | Kind::Rejects => {
            "an-extract-fails"
        }
        Kind::LoadFailed | Kind::LoadWaiting => "a-commit-does-not-load",
        Kind::RunFailed | Kind::TestsFailed | Kind::RunSlow | Kind::ReportLate => "a-dbt-run-fails",
        Kind::Lag | Kind::PartitionStuck => "the-stream-falls-behind",
        Kind::DeadLetters => "records-are-dead-letters",
        Kind::VolumeDrop
        | Kind::VolumeRise
        | Kind::NullRise
        | Kind::Duplicates
        | Kind::DistributionShift
        | Kind::Flat
        | Kind::LateRows
        | Kind::RowsDiffer => "the-numbers-are-wrong",
        Kind::SecretOld | Kind::SecretExpires => "rotate-a-secret",
        Kind::ChannelFailing => "news-is-lost",
        Kind::CostRise | Kind::Budget | Kind::NoData | Kind::Canary => return None,
    };
    Some(page)
}
