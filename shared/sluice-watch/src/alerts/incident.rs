//! One fault from its opening to its end.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::sources::Monitor;

use crate::{
    baseline::Mark,
    finding::{Breach, Kind, Object, Origin},
};

/// An incident is resolved after this many good rounds in a row.
const GOOD_ROUNDS: u32 = 2;

/// A size that has grown by this factor is reported again.
const GROWN: f64 = 2.0;

/// What a person says of the days that were told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Says {
    Fault,
    /// This is how it is now.
    Expected,
}

impl Says {
    pub fn mark(self) -> Mark {
        match self {
            Says::Fault => Mark::Fault,
            Says::Expected => Mark::Expected,
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Open,
    /// Somebody works on it; no reminders.
    Acknowledged {
        by: String,
    },
    /// Nothing is sent until then.
    Muted {
        by: String,
        until: DateTime<Utc>,
    },
    Resolved {
        at: DateTime<Utc>,
    },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Stack, monitor, object and kind.
    pub key: String,
    pub monitor: Monitor,
    pub origin: Origin,
    pub object: Object,
    /// As it was seen last.
    pub breach: Breach,
    pub severity: u8,
    pub state: State,
    /// What a person says of the days that it told. It stands until something else is said, whatever becomes of the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    says: Option<Says>,
    pub opened_at: DateTime<Utc>,
    pub seen_at: DateTime<Utc>,
    /// Grows with each change that people should see.
    pub revision: u64,
    good_rounds: u32,
    told_size: f64,
    /// The key of the incident that explains it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<String>,
    /// Rounds that it still has to last to be told, after what explained it was resolved.
    #[serde(default)]
    pub held_rounds: u32,
}

impl Incident {
    pub(super) fn open(
        key: String,
        monitor: Monitor,
        origin: Origin,
        object: Object,
        breach: Breach,
        severity: u8,
        now: DateTime<Utc>,
    ) -> Self {
        let told_size = breach.size;
        Incident {
            key,
            monitor,
            origin,
            object,
            breach,
            severity,
            state: State::Open,
            says: None,
            opened_at: now,
            seen_at: now,
            revision: 1,
            good_rounds: 0,
            told_size,
            cause: None,
            held_rounds: 0,
        }
    }

    pub fn kind(&self) -> Kind {
        self.breach.kind
    }

    /// What commands name it by.
    pub fn id(&self) -> String {
        short_id(&self.key)
    }

    /// The state in one word.
    pub fn state_name(&self) -> &'static str {
        match (&self.state, self.says) {
            (State::Open, _) => "open",
            (State::Acknowledged { .. }, Some(Says::Fault)) => "confirmed",
            (State::Acknowledged { .. }, Some(Says::Expected)) => "expected",
            (State::Acknowledged { .. }, None) => "acknowledged",
            (State::Muted { .. }, _) => "muted",
            (State::Resolved { .. }, _) => "resolved",
        }
    }

    pub fn is_resolved(&self) -> bool {
        matches!(self.state, State::Resolved { .. })
    }

    pub fn is_muted(&self) -> bool {
        matches!(self.state, State::Muted { .. })
    }

    /// The fault was there in this round.
    pub(super) fn seen(&mut self, breach: Breach, severity: u8, now: DateTime<Utc>) {
        let worse = severity < self.severity;
        let grown = breach.size >= self.told_size * GROWN && breach.size > self.told_size;
        if severity != self.severity || grown {
            self.revision += 1;
            self.told_size = breach.size;
        }
        if worse && matches!(self.state, State::Acknowledged { .. }) {
            self.state = State::Open;
        }
        (self.breach, self.severity, self.seen_at, self.good_rounds) = (breach, severity, now, 0);
    }

    /// The check was good in this round.
    pub(super) fn good(&mut self, now: DateTime<Utc>) {
        self.good_rounds += 1;
        if self.good_rounds >= GOOD_ROUNDS || self.kind() == Kind::Canary {
            self.change(State::Resolved { at: now });
        }
    }

    pub(super) fn acknowledge(&mut self, by: &str, says: Option<Says>) {
        if !self.is_resolved() {
            let is_news = says.is_some_and(|says| self.says.replace(says) != Some(says));
            let state = State::Acknowledged { by: by.to_owned() };
            self.revision += u64::from(is_news || self.state != state);
            self.state = state;
        }
    }

    /// What a person says of the days that it told, and of those that it still tells.
    pub fn says(&self) -> Option<Says> {
        self.says.filter(|_| !self.is_resolved())
    }

    /// Who has its state by a word.
    pub fn by(&self) -> Option<&str> {
        match &self.state {
            State::Acknowledged { by, .. } | State::Muted { by, .. } => Some(by),
            State::Open | State::Resolved { .. } => None,
        }
    }

    pub(super) fn mute(&mut self, by: &str, until: DateTime<Utc>, now: DateTime<Utc>) {
        if !self.is_resolved() && until > now {
            self.change(State::Muted { by: by.to_owned(), until });
        }
    }

    /// Time has passed: a mute may have ended.
    pub(super) fn tick(&mut self, now: DateTime<Utc>) {
        if matches!(&self.state, State::Muted { until, .. } if *until <= now) {
            self.change(State::Open);
        }
        self.held_rounds = self.held_rounds.saturating_sub(1);
    }

    /// What explains it has changed.
    pub(super) fn explain(&mut self, cause: Option<String>, held_rounds: u32) {
        if self.cause != cause {
            if self.cause.is_some() && cause.is_none() {
                self.held_rounds = held_rounds;
            }
            self.cause = cause;
            self.revision += 1;
        }
    }

    /// Whether people are told of it at all.
    pub(super) fn speaks(&self) -> bool {
        self.cause.is_none() && self.held_rounds == 0 && !self.is_muted()
    }

    fn change(&mut self, state: State) {
        if self.state != state {
            self.state = state;
            self.revision += 1;
        }
    }
}

/// A short name of a key, the same in every process: FNV-1a in eight digits.
pub(super) fn short_id(key: &str) -> String {
    let hash = key
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
    format!("{:08x}", (hash ^ (hash >> 32)) as u32)
}
