//! What the warehouse is asked, and which of its refusals a page can show.

use std::{collections::BTreeMap, time::Instant};

use sluice_core::{Error, Kind, Result, Retry};
use sluice_pipeline::observe::{Observe, Question, TableLoads};
use tracing::warn;

use crate::lightdash::Query;

/// Rows, or in words that are fit for a page why there are none.
pub(super) type Answered<T> = std::result::Result<T, String>;

/// A warehouse that is asked as long as there is time.
pub struct Questions<'a, W> {
    pub warehouse: &'a W,
    /// No question begins after this.
    pub until: Instant,
}

impl<W: Observe> Questions<'_, W> {
    /// Fails where the warehouse is away or refuses the login: the same asked again may be answered, or nothing is.
    pub(super) async fn answers(&self) -> Result<()> {
        let question = Question { statement: Query::ANYTHING.to_owned(), role: None, rows: 1 };
        self.warehouse.ask(&question).await.map(drop)
    }

    pub(super) async fn rows(&self, statement: String, rows: u64) -> Result<Answered<Vec<Vec<Option<String>>>>> {
        let question = Question { statement, role: None, rows };
        self.asked(async || Ok(self.warehouse.ask(&question).await?.rows)).await
    }

    pub(super) async fn loads(&self) -> Result<Answered<BTreeMap<String, TableLoads>>> {
        self.asked(async || self.warehouse.loads().await).await
    }

    /// One question that fails costs its own place on the page and no other.
    async fn asked<T>(&self, ask: impl AsyncFnOnce() -> Result<T>) -> Result<Answered<T>> {
        if Instant::now() >= self.until {
            return Ok(Err("the time for the page was over before this was asked".to_owned()));
        }
        let error = match ask().await {
            Ok(answer) => return Ok(Ok(answer)),
            Err(error) => error,
        };
        // The log has the whole of it; its words may quote a row.
        warn!(error = error.chain(), error_kind = %error.kind(), "the warehouse does not answer a question");
        if may_be_away(&error) {
            self.answers().await?;
        }
        Ok(Err(match error.kind() {
            Kind::Timeout => "the warehouse took too long to answer".to_owned(),
            kind => format!("the warehouse refuses the query ({kind}); the log of the function says why"),
        }))
    }
}

/// Whether it could be the warehouse or the login rather than the question. A slow question is one of its own.
fn may_be_away(error: &Error) -> bool {
    match error.kind() {
        Kind::Timeout => false,
        Kind::Auth => true,
        _ => error.retry() != Retry::Permanent,
    }
}
