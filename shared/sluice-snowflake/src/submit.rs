//! Statements that nobody waits for: handed in, looked at from time to time, cancelled.

use std::time::Duration;

use serde::Deserialize;
use sluice_core::{
    Result,
    port::{Progress, Secrets, Submissions},
};
use sluice_http::{Request, Response, RetryPolicy};
use uuid::Uuid;

use crate::{
    client::{Body, SqlApi, answered, fits, handle, signed},
    error,
    rows::ResultSet,
};

/// The longest that a request of this kind may take: none of them waits for a statement.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// The codes of a statement that somebody or a time limit has ended.
const ENDED_FROM_OUTSIDE: [&str; 2] = ["000604", "000630"];

impl<Sec: Secrets> Submissions for SqlApi<Sec> {
    async fn submit(&self, statement: &str, request: Uuid, tag: &str, limit: Duration) -> Result<String> {
        fits(statement)?;
        let account = self.account();
        let url = format!("{}/api/v2/statements", account.base);
        let body = Body::new(account, statement, tag, limit);
        let build = |token: &_, resend: bool| {
            let request = signed(Request::post(&url), token).query("requestId", request).query("retry", resend);
            request.query("async", true).timeout(ANSWERED_WITHIN).json(&body)
        };
        // Sent once: that a statement still under way is known by its request id is not documented.
        let policy = RetryPolicy::once(ANSWERED_WITHIN);
        let answer = account.send(&account.keys, &policy, build, answered).await?;
        match answer.status {
            200 | 202 => handle(&answer),
            _ => Err(error::of_response(&answer)),
        }
    }

    async fn look(&self, handle: &str) -> Result<Progress> {
        let account = self.account();
        let url = format!("{}/api/v2/statements/{handle}", account.base);
        let build = |token: &_, _| Ok(signed(Request::get(&url), token).timeout(ANSWERED_WITHIN));
        let answer = account.send(&account.keys, &account.pace.retry, build, answered).await?;
        match answer.status {
            200 => {
                let result: ResultSet = answer.json()?;
                Ok(Progress::Ended(result.result_set_meta_data.rows(result.data)?))
            }
            202 => Ok(Progress::UnderWay),
            _ => failure(&answer),
        }
    }

    async fn cancel(&self, handle: &str) -> Result<()> {
        let account = self.account();
        let url = format!("{}/api/v2/statements/{handle}/cancel", account.base);
        let build = |token: &_, _| Ok(signed(Request::post(&url), token).timeout(ANSWERED_WITHIN));
        // 422 says that there is nothing left to cancel.
        account.send(&account.keys, &account.pace.retry, build, answered).await.map(drop)
    }
}

fn failure(answer: &Response) -> Result<Progress> {
    #[derive(Deserialize)]
    struct Refusal {
        code: serde_json::Value,
    }
    let code = answer.json::<Refusal>().ok().map(|refusal| error::word(&refusal.code)).unwrap_or_default();
    if ENDED_FROM_OUTSIDE.contains(&code.as_str()) {
        return Ok(Progress::Cancelled);
    }
    Ok(Progress::Failed { reason: error::of_response(answer).to_string() })
}
