//! What has changed about a source's column, and what follows from it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What has changed about a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChangeKind {
    New,
    Dropped,
    Widened,
    Narrowed,
    /// Another type altogether.
    Changed,
    /// Values may be missing now.
    Nullable,
}

/// What the run does about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// The contract holds all the same.
    Fits,
    /// The column is left out.
    Ignored,
    /// The commit carries the change and the raw table follows.
    Evolved,
    /// The column is null from here on; the raw table keeps it and what it holds.
    Nulled,
    /// Rows whose value does not fit go to the reject file.
    Rejected,
    /// The run stops.
    Failed,
}

/// How much a person should care.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Info,
    Warning,
    Error,
}

/// One difference between a source and its contract, or between a source and what it was at the newest commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    pub kind: ChangeKind,
    pub column: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    pub action: Action,
    /// Of a dropped column the new one that it was probably renamed to, and the other way round.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub likely_pair: Option<String>,
    /// Why the contract's mode alone did not decide.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl Change {
    pub fn severity(&self) -> Severity {
        match self.action {
            Action::Fits => Severity::Info,
            Action::Ignored | Action::Evolved | Action::Nulled | Action::Rejected => Severity::Warning,
            Action::Failed => Severity::Error,
        }
    }

    /// The same difference where the source has not changed: how the contract and the source disagree.
    pub fn misfit(&self) -> String {
        let Change { column, from, to, .. } = self;
        let reason = self.reason.as_ref().map(|reason| format!(": {reason}")).unwrap_or_default();
        match (from, to) {
            (Some(from), Some(to)) => format!("'{column}' is {to} in the source and {from} in the entry{reason}"),
            (None, Some(to)) => format!("the source has '{column}' ({to}), and the entry does not{reason}"),
            (_, None) => format!("the source has no '{column}'{reason}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            ChangeKind::New => "is new",
            ChangeKind::Dropped => "is gone",
            ChangeKind::Widened => "is wider",
            ChangeKind::Narrowed => "is narrower",
            ChangeKind::Changed => "has another type",
            ChangeKind::Nullable => "may be null",
        };
        write!(f, "'{}' {kind}", self.column)?;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, " ({from} to {to})")?,
            (Some(one), None) | (None, Some(one)) => write!(f, " ({one})")?,
            (None, None) => {}
        }
        if let Some(pair) = &self.likely_pair {
            write!(f, ", probably renamed: '{pair}'")?;
        }
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}
