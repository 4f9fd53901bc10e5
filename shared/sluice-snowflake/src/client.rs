//! The SQL API, version 2: a statement goes in, its rows come out, however long it takes.
//!
//! Any answer may be 202, so every statement can be waited for. A lost answer is asked for again with the same request
//! id and `retry=true`, which Snowflake answers from the first run if that one has succeeded; what makes a repeated
//! load harmless is the ledger, not this. A statement that has failed is never sent again here: only its caller knows
//! whether that would be right.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Kind, Result,
    port::{Row, Secrets, Statements},
    time,
};
use sluice_http::{Request, Response, RetryPolicy};
use tokio::time::Instant;
use uuid::Uuid;

use crate::{
    auth::held,
    connection::{Account, Pace},
    error,
    rows::{self, Cells, MetaData, ResultSet},
    sql::{STATEMENT_BYTES, costs},
};

/// How long [`Statements::execute`] waits for a statement unless told otherwise.
const DEFAULT_WAIT: Duration = Duration::from_secs(600);

/// A statement whose function has died goes on this long and no longer, also one that waits for a lock.
const ABANDONED_AFTER: Duration = Duration::from_secs(3_600);

/// Snowflake holds a request for 45 seconds before it answers 202.
const HELD_FOR: Duration = Duration::from_secs(60);

/// No more of a function's time goes into an estimate.
const ESTIMATE_WITHIN: Duration = Duration::from_secs(3);

/// Runs statements, each in a session of its own.
pub struct SqlApi<Sec> {
    account: Arc<Account<Sec>>,
    wait: Duration,
    names_role: bool,
    /// Seconds of statements by their tags, of which no estimate is kept yet; `None` where nobody keeps one.
    spent: Option<Mutex<BTreeMap<String, f64>>>,
}

impl<Sec: Secrets> SqlApi<Sec> {
    pub fn new(account: Arc<Account<Sec>>) -> Self {
        SqlApi { account, wait: DEFAULT_WAIT, names_role: true, spent: None }
    }

    pub(crate) fn warehouse(&self) -> &str {
        &self.account.warehouse
    }

    pub(crate) fn account(&self) -> &Account<Sec> {
        &self.account
    }

    /// How long a statement may take when its caller names no deadline.
    #[must_use]
    pub fn with_wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Notes what statements take, for a caller of [`Self::keep_estimate`].
    #[must_use]
    pub fn with_estimates(mut self) -> Self {
        self.spent = Some(Mutex::default());
        self
    }

    /// Names no role: statements run as the user's default one, as Snowpipe's API does.
    #[must_use]
    pub fn as_default_role(mut self) -> Self {
        self.names_role = false;
        self
    }

    /// The same API for a caller that must be done by then: a function with this much time left.
    pub fn until(&self, deadline: Instant) -> Until<'_, Sec> {
        Until { api: self, deadline }
    }

    /// Runs the statement and waits for it until the deadline. A statement that is still running then goes on without
    /// us: its transaction ends one way or the other, and the next delivery finds out which.
    pub async fn execute_until(
        &self,
        statement: &str,
        request: Uuid,
        tag: &str,
        deadline: Instant,
    ) -> Result<Vec<Row>> {
        self.execute_shaped(statement, request, tag, deadline, |_| ()).await
    }

    /// The same for what its caller does again later: Snowflake ends the statement at the deadline too, so that those of many
    /// callers do not pile up in the warehouse.
    pub(crate) async fn execute_or_end(
        &self,
        statement: &str,
        request: Uuid,
        tag: &str,
        deadline: Instant,
    ) -> Result<Vec<Row>> {
        let left = deadline.saturating_duration_since(Instant::now());
        self.execute_shaped(statement, request, tag, deadline, |body| body.limit_time(left)).await
    }

    /// The same as another role of the user, and in another warehouse; "" is none, where a statement needs none.
    pub(crate) async fn execute_as(
        &self,
        role: &str,
        warehouse: &str,
        statement: &str,
        request: Uuid,
        tag: &str,
        deadline: Instant,
    ) -> Result<Vec<Row>> {
        let shape = |body: &mut Body<'_>| {
            body.role = Some(role.to_owned().into());
            body.warehouse = warehouse.to_owned().into();
        };
        self.execute_shaped(statement, request, tag, deadline, shape).await
    }

    async fn execute_shaped(
        &self,
        statement: &str,
        request: Uuid,
        tag: &str,
        deadline: Instant,
        shape: impl FnOnce(&mut Body<'_>),
    ) -> Result<Vec<Row>> {
        let begun = Instant::now();
        let answer = self.submit_shaped(statement, request, tag, deadline, shape).await?;
        let (meta_data, data) = self.collect(answer, deadline).await?;
        if let Some(spent) = &self.spent {
            *held(spent).entry(tag.to_owned()).or_default() += begun.elapsed().as_secs_f64();
        }
        tracing::debug!(%request, rows = data.len(), "the statement has ended");
        meta_data.rows(data)
    }

    /// Forgets what was spent: answers from the result cache cost nothing.
    pub fn forget_estimate(&self) {
        drop(self.take_spent());
    }

    fn take_spent(&self) -> BTreeMap<String, f64> {
        self.spent.as_ref().map(|spent| std::mem::take(&mut *held(spent))).unwrap_or_default()
    }

    /// Keeps an estimate of what was spent since the last call, best effort: the day's measure comes later, and it is exact.
    /// It is an INSERT, which starts the warehouse: not for a caller that has only asked what may not have changed.
    pub async fn keep_estimate(&self) {
        let spent = self.take_spent();
        if spent.is_empty() {
            return;
        }
        let statement = costs::estimate(&self.account.warehouse, &spent);
        let deadline = Instant::now() + ESTIMATE_WITHIN;
        let keep = async {
            let limit = |body: &mut Body<'_>| body.limit_time(ESTIMATE_WITHIN);
            let answer = self.submit_shaped(&statement, Uuid::new_v4(), "sluice:costs", deadline, limit).await?;
            self.collect(answer, deadline).await
        };
        if let Err(error) = Box::pin(keep).await {
            tracing::info!(error = error.chain(), "no estimate of costs is kept");
        }
    }

    /// Waits until the statement has ended, and fetches all of its answer.
    pub(crate) async fn collect(&self, answer: Response, deadline: Instant) -> Result<(MetaData, Vec<Cells>)> {
        let result = self.finish(answer, deadline).await?;
        if result.code == "391908" {
            return Err(error::classify(200, Some(&result.code), None, "the result is too large"));
        }
        let mut found = result.data;
        for number in result.result_set_meta_data.further_partitions() {
            let part = self.get(&result.statement_handle, Some(number), deadline).await?;
            if part.status != 200 {
                return Err(error::of_response(&part).with("partition", number));
            }
            found.extend(rows::partition(&part)?);
        }
        Ok((result.result_set_meta_data, found))
    }

    pub(crate) async fn submit_shaped(
        &self,
        statement: &str,
        request: Uuid,
        tag: &str,
        deadline: Instant,
        shape: impl FnOnce(&mut Body<'_>),
    ) -> Result<Response> {
        fits(statement)?;
        let url = format!("{}/api/v2/statements", self.account.base);
        let mut body = Body::new(&self.account, statement, tag, ABANDONED_AFTER);
        body.role = body.role.filter(|_| self.names_role);
        shape(&mut body);
        let build = |token: &_, resend: bool| {
            let request = signed(Request::post(&url), token).query("requestId", request).query("retry", resend);
            request.timeout(HELD_FOR).json(&body)
        };
        self.account.send(&self.account.keys, &self.policy(deadline), build, answered).await
    }

    /// Waits until the statement has ended.
    async fn finish(&self, mut answer: Response, deadline: Instant) -> Result<ResultSet> {
        let Pace { poll, poll_cap, .. } = self.account.pace;
        let begun = Instant::now();
        let mut known = None;
        loop {
            match answer.status {
                200 => return answer.json(),
                202 => {}
                // What fails while we wait may come without its handle.
                _ => return Err(with_handle(error::of_response(&answer), known.as_deref())),
            }
            let handle = handle(&answer)?;
            let wait = time::until_next_look(begun.elapsed(), poll, poll_cap);
            if Instant::now() + wait >= deadline {
                return Err(Error::new(Kind::Timeout, "the statement is still running").with("handle", handle));
            }
            tokio::time::sleep(wait).await;
            answer = self.get(&handle, None, deadline).await?;
            known = Some(handle);
        }
    }

    async fn get(&self, handle: &str, partition: Option<usize>, deadline: Instant) -> Result<Response> {
        let url = format!("{}/api/v2/statements/{handle}", self.account.base);
        let build = |token: &_, _| {
            let request = signed(Request::get(&url), token);
            Ok(match partition {
                Some(number) => request.query("partition", number),
                None => request,
            }
            .timeout(HELD_FOR))
        };
        self.account
            .send(&self.account.keys, &self.policy(deadline), build, answered)
            .await
            .map_err(|error| with_handle(error, Some(handle)))
    }

    fn policy(&self, deadline: Instant) -> RetryPolicy {
        RetryPolicy { total: deadline.saturating_duration_since(Instant::now()), ..self.account.pace.retry }
    }
}

impl<Sec: Secrets> Statements for SqlApi<Sec> {
    async fn execute(&self, statement: &str, request: Uuid, tag: &str) -> Result<Vec<Row>> {
        self.execute_until(statement, request, tag, Instant::now() + self.wait).await
    }
}

/// [`SqlApi`] with a deadline; see [`SqlApi::until`].
pub struct Until<'a, Sec> {
    api: &'a SqlApi<Sec>,
    deadline: Instant,
}

impl<Sec: Secrets> Statements for Until<'_, Sec> {
    async fn execute(&self, statement: &str, request: Uuid, tag: &str) -> Result<Vec<Row>> {
        self.api.execute_until(statement, request, tag, self.deadline).await
    }
}

/// What a statement's request holds.
#[derive(Serialize)]
pub(crate) struct Body<'a> {
    statement: &'a str,
    /// Snowflake ends the statement itself after this many seconds.
    timeout: u64,
    /// Left out where there is none yet: SHOW and DDL need no warehouse.
    #[serde(skip_serializing_if = "str::is_empty")]
    warehouse: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<Cow<'a, str>>,
    parameters: Parameters<'a>,
}

#[derive(Serialize)]
struct Parameters<'a> {
    query_tag: &'a str,
    /// Whatever the account says: every time that we write or compare is in UTC.
    timezone: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rows_per_resultset: Option<u64>,
}

impl<'a> Body<'a> {
    pub(crate) fn new<Sec>(account: &'a Account<Sec>, statement: &'a str, tag: &'a str, limit: Duration) -> Self {
        let Account { warehouse, role, .. } = account;
        let parameters = Parameters { query_tag: tag, timezone: "UTC", rows_per_resultset: None };
        Body { statement, timeout: limit.as_secs(), warehouse: warehouse.into(), role: Some(role.into()), parameters }
    }

    /// Runs as another role than the account's.
    pub(crate) fn set_role(&mut self, role: Option<String>) {
        self.role = role.map(Cow::from);
    }

    /// Snowflake ends the statement after this long; no limit is below a second, since 0 is the longest one.
    pub(crate) fn limit_time(&mut self, longest: Duration) {
        self.timeout = longest.as_secs().max(1);
    }

    /// The answer ends after this many rows, however many there are.
    pub(crate) fn limit_rows(&mut self, rows: u64) {
        self.parameters.rows_per_resultset = Some(rows);
    }
}

/// Refuses what Snowflake would refuse, before it is sent.
pub(crate) fn fits(statement: &str) -> Result<()> {
    if statement.len() > STATEMENT_BYTES {
        let error = Error::internal("a statement is longer than Snowflake takes");
        return Err(error.with("bytes", statement.len()).with("limit", STATEMENT_BYTES));
    }
    Ok(())
}

/// A request with the headers that every call of the account's own API needs.
pub(crate) fn signed(request: Request, token: &sluice_core::Secret) -> Request {
    request
        .bearer(token)
        .header("x-snowflake-authorization-token-type", "KEYPAIR_JWT")
        .header("accept", "application/json")
}

/// 422 is an answer: the statement has failed, and sending it again is not ours to decide.
pub(crate) fn answered(response: &Response) -> Result<()> {
    match response.status {
        200 | 202 | 422 => Ok(()),
        _ => Err(error::of_response(response)),
    }
}

/// The statement's handle, which becomes part of an address.
pub(crate) fn handle(answer: &Response) -> Result<String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Status {
        statement_handle: String,
    }
    let Status { statement_handle } = answer.json()?;
    if statement_handle.is_empty() || !statement_handle.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    {
        return Err(Error::invalid_data("the warehouse's answer names a statement that is no handle"));
    }
    Ok(statement_handle)
}

fn with_handle(error: Error, handle: Option<&str>) -> Error {
    match handle {
        Some(handle) => error.with("handle", handle),
        None => error,
    }
}
