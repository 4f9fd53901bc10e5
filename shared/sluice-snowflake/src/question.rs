//! A person's own question, over the SQL API.

use sluice_core::{Result, port::Secrets};
use sluice_pipeline::observe::{Answer, Question};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{client::SqlApi, sql::read_only};

/// In the query history, and for those who keep such statements apart from the platform's own.
const TAG: &str = "sluice:query";

impl<Sec: Secrets> SqlApi<Sec> {
    /// Asks, and reads no more rows than wanted. Nobody waits longer, so Snowflake ends the statement then.
    pub async fn ask(&self, question: &Question, deadline: Instant) -> Result<Answer> {
        let statement = read_only::statement(&question.statement)?;
        let shape = |body: &mut crate::client::Body<'_>| {
            if question.role.is_some() {
                body.set_role(question.role.clone());
            }
            body.limit_rows(question.rows);
            body.limit_time(deadline.saturating_duration_since(Instant::now()));
        };
        let answer = self.submit_shaped(statement, Uuid::new_v4(), TAG, deadline, shape).await?;
        let (meta_data, data) = self.collect(answer, deadline).await?;
        let mut rows = data.into_iter().map(|cells| meta_data.cells(cells)).collect::<Result<Vec<_>>>()?;
        rows.truncate(usize::try_from(question.rows).unwrap_or(usize::MAX));
        Ok(Answer { columns: meta_data.columns(), rows })
    }
}
