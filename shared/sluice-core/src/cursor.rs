//! Where an extract stands. Opaque to everything but the source that made it.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// A source's own JSON, kept in the commit: it moves only when data has become durable, in the same put.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Cursor(pub serde_json::Value);

impl Cursor {
    pub fn encode(position: &impl Serialize) -> Result<Self> {
        serde_json::to_value(position)
            .map(Cursor)
            .map_err(|error| Error::internal("cannot encode a cursor").because(error))
    }

    /// Fails when the cursor was written by a source of another kind or an incompatible version.
    pub fn decode<T: for<'de> Deserialize<'de>>(&self) -> Result<T> {
        T::deserialize(&self.0).map_err(|error| {
            Error::invalid_data("the cursor of the newest commit does not fit this source").because(error)
        })
    }
}
