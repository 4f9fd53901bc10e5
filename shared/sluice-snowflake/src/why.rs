//! The warehouse as a trace asks it: as a person's own questions, which only read.

use sluice_core::{Result, port::Secrets};
use sluice_pipeline::{
    observe::{Answer, Observe, Question},
    why::{Inquiry, Traces},
};

use crate::{Observer, sql::why};

impl<Sec: Secrets> Traces for Observer<Sec> {
    async fn answer(&self, inquiry: &Inquiry<'_>, role: Option<&str>, rows: u64) -> Result<Answer> {
        let statement = why::inquiry(inquiry);
        self.ask(&Question { statement, role: role.map(str::to_owned), rows }).await
    }
}
