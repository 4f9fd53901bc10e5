//! What an activation asks of the model, of its ledger and of the destination.

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result};

/// The values of a record by property; `None` is no value.
pub type Values = BTreeMap<String, Option<String>>;

/// A row of the model: what a record of the destination is to hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The destination's own id of the record.
    pub id: String,
    pub values: Values,
    /// Why nothing may be sent of it.
    pub suppressed: Option<String>,
    /// What an extract has seen there last.
    pub seen: Option<Seen>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// The record's last change by the destination's own clock.
    pub at: DateTime<Utc>,
    pub values: Values,
}

/// How much there is of a model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub rows: u64,
    pub columns: u64,
}

/// The published model: it holds only what has passed its tests.
pub trait Model {
    fn size(&self) -> impl Future<Output = Result<Size>>;

    fn rows(&self) -> impl Future<Output = Result<Vec<Wanted>>>;
}

/// How a record stands in the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It was about to be sent; whether it arrived is unknown.
    Sending,
    /// The destination has confirmed what it holds.
    Held,
    /// The destination does not take these values.
    Refused,
    /// The destination has no such record.
    Gone,
}

impl State {
    pub fn as_str(self) -> &'static str {
        match self {
            State::Sending => "sending",
            State::Held => "held",
            State::Refused => "refused",
            State::Gone => "gone",
        }
    }

    pub fn parse(text: &str) -> Result<Self> {
        [State::Sending, State::Held, State::Refused, State::Gone]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| Error::internal("the ledger of activations holds an unknown state"))
    }
}

/// What the ledger says of one record. It keeps digests: what people are worth stands in the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub state: State,
    /// By property, of the state's values: those held, sent or refused.
    pub digests: BTreeMap<String, String>,
    /// Why it is refused, gone or still to be sent.
    pub reason: Option<String>,
    pub attempts: u32,
    /// When the destination says that it has them.
    pub written_at: Option<DateTime<Utc>>,
}

/// What a destination is known to hold.
pub trait Ledger {
    /// How many entries there are.
    fn count(&self) -> impl Future<Output = Result<u64>>;

    /// By id.
    fn entries(&self) -> impl Future<Output = Result<BTreeMap<String, Entry>>>;

    /// Durable when it returns. An id that is there is replaced; no other is touched.
    fn keep(&self, entries: &[(String, Entry)]) -> impl Future<Output = Result<()>>;
}

/// The values that a property takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Number,
    Boolean,
    Date,
    Time,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub kind: FieldKind,
    /// The only values that it takes, where it is a choice.
    pub options: Option<BTreeSet<String>>,
}

/// One record as the destination holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Another than was asked for where records were merged.
    pub id: String,
    pub values: Values,
    pub changed_at: Option<DateTime<Utc>>,
}

/// What is to be sent of one record: only the properties that differ, and the empty text for one that is to be cleared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub id: String,
    pub values: BTreeMap<String, String>,
}

/// What became of one record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Written { at: Option<DateTime<Utc>> },
    Refused { reason: String },
    Gone { reason: String },
}

/// What became of a batch.
#[derive(Debug)]
pub enum Sent {
    /// By id. A record that is missing has an unknown outcome.
    Each(BTreeMap<String, Outcome>),
    /// Nothing was written, because of one of the records.
    Refused { reason: String },
    /// Nothing was written, whatever the records hold: the same may be sent later.
    Unsent(Error),
    /// Some of it may be written.
    Unknown(Error),
}

/// Where the values go. It never creates a record.
pub trait Destination {
    /// The most records of a batch.
    fn batch(&self) -> usize;

    /// Which account it is: what the ledger holds is of one.
    fn account(&self) -> impl Future<Output = Result<String>>;

    /// What these properties take. Fails, naming each, where one is not there or cannot be written.
    fn fields(&self, properties: &BTreeSet<String>) -> impl Future<Output = Result<BTreeMap<String, Field>>>;

    /// At most a batch of records, by the id that was asked for; one that is not there is absent. `None` where the
    /// destination cannot be read: it must then take the same twice.
    fn read(
        &self,
        ids: &[String],
        properties: &BTreeSet<String>,
    ) -> impl Future<Output = Result<Option<BTreeMap<String, Found>>>>;

    /// Sends at most a batch, once: a batch whose answer is lost is not sent again here.
    fn write(&self, changes: &[Change]) -> impl Future<Output = Sent>;
}
