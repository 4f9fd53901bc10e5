//! Snowpipe Streaming, high-performance REST: rows go straight into a table, in order, through a channel.
//!
//! A channel carries two tokens. The continuation token chains appends and dies when anybody opens the channel again;
//! the offset token travels with the rows and becomes durable in the very commit that makes them durable. An append
//! that is answered is not committed: only the channel's status tells what is.

mod rows;
mod wire;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use sluice_core::{
    Error, Kind, Result, RunId, Secret, TableId,
    port::{Secrets, Statements},
};
use sluice_http::{Request, Response};
use sluice_pipeline::stream::{Appended, Channel, ChannelStatus, Channels, Limits, Offsets, Opened};
use uuid::Uuid;

pub use rows::{LIMITS, compress};
pub use wire::Listed;

use crate::{
    SnowflakeConfig,
    answer::optional,
    auth::{Tokens, held},
    client::{SqlApi, signed},
    connection::{Account, segment},
    error,
    sql::ledger,
};

/// A scoped token is renewed this long before it ends.
const MARGIN: TimeDelta = TimeDelta::seconds(60);

/// The life of a scoped token that does not say when it ends.
const ASSUMED_LIFE: TimeDelta = TimeDelta::minutes(5);

/// The one question that goes to the table itself must leave most of an invocation for the rows.
const LONGEST_STATEMENT: Duration = Duration::from_secs(60);

/// Channels of the default pipe of each streaming table.
pub struct Streaming<Sec> {
    account: Arc<Account<Sec>>,
    scoped: Mutex<Option<Scoped>>,
    /// The names of open channels as Snowflake spells them: it finds a channel in any case, but lists it only in this.
    spelled: Mutex<HashMap<String, String>>,
}

/// Where rows go, and the token for there.
struct Scoped {
    host: String,
    token: Secret,
    renew_at: DateTime<Utc>,
}

impl<Sec: Secrets> Channels for Streaming<Sec> {
    fn limits(&self) -> Limits {
        LIMITS
    }

    async fn open(&self, channel: &Channel) -> Result<Opened> {
        let path = format!("/v2/streaming/{}/channels/{}", pipe_path(&channel.table), segment(&channel.name));
        let url = self.ingest_url(&path).await?;
        let build = |token: &_, _| {
            let request = scoped(Request::new(sluice_http::Method::Put, &url), token);
            request.query("requestId", Uuid::new_v4()).json(&serde_json::json!({}))
        };
        let answer = self.ask(build, wire::accept).await;
        let (continuation, listed) =
            answer.and_then(|answer| wire::opened(&answer)).map_err(|error| about(error, channel))?;
        let status = listed.status()?;
        if !listed.channel.is_empty() {
            held(&self.spelled).insert(channel.name.clone(), listed.channel);
        }
        Ok(Opened { continuation, status })
    }

    /// A lost answer is asked for again with the same continuation token, which Snowflake takes once: the second time it is
    /// stale.
    async fn append(&self, channel: &Channel, continuation: &str, rows: Bytes, offsets: Offsets) -> Result<Appended> {
        let body = rows::compress(&rows)?;
        if rows.len() > LIMITS.row_bytes || body.len() > LIMITS.packed_bytes {
            return Err(about(Error::unsupported("an append is larger than Snowflake takes"), channel)
                .with("raw_bytes", rows.len())
                .with("compressed_bytes", body.len()));
        }
        let (pipe, name) = (pipe_path(&channel.table), segment(&channel.name));
        let url = self.ingest_url(&format!("/v2/streaming/data/{pipe}/channels/{name}/rows")).await?;
        let build = |token: &_, _| {
            Ok(scoped(Request::post(&url), token)
                .query("continuationToken", continuation)
                .query("startOffsetToken", offsets.first)
                .query("endOffsetToken", offsets.last)
                .query("requestId", Uuid::new_v4())
                .header("content-encoding", "zstd")
                .header("x-snowflake-uncompressed-content-length", rows.len())
                .body(body.clone(), "application/x-ndjson"))
        };
        let answer = self.ask(build, wire::accept_append).await;
        answer.and_then(|answer| wire::appended(&answer, &channel.name)).map_err(|error| about(error, channel))
    }

    async fn status(&self, channel: &Channel) -> Result<ChannelStatus> {
        let spelled = held(&self.spelled).get(&channel.name).cloned();
        let name = spelled.as_deref().unwrap_or(&channel.name);
        let mut listed = self.list(&channel.table, &[name]).await?;
        // Both are mended by opening the channel, which the next delivery does.
        let about = |text| Error::new(Kind::Unavailable, text).with("channel", &channel.name);
        let listed = listed.remove(name).ok_or_else(|| about("the channel is gone"))?;
        if !listed.is_healthy() {
            return Err(about("the channel must be opened again").with("code", listed.code));
        }
        listed.status()
    }

    async fn max_loaded_offset(&self, channel: &Channel, run_id: &RunId) -> Result<Option<i64>> {
        let tag = format!("sluice:stream:{}:{run_id}", channel.name);
        self.highest(channel, &tag).await
    }
}

impl<Sec: Secrets> Streaming<Sec> {
    pub fn connect(config: SnowflakeConfig, secrets: Sec, http: sluice_http::Client) -> Self {
        Streaming::new(Arc::new(Account::new(config, secrets, http)))
    }

    pub fn new(account: Arc<Account<Sec>>) -> Self {
        Streaming { account, scoped: Mutex::default(), spelled: Mutex::default() }
    }

    /// The highest offset among the channel's rows, asked for under a tag.
    pub(crate) async fn highest(&self, channel: &Channel, tag: &str) -> Result<Option<i64>> {
        let statements = SqlApi::new(Arc::clone(&self.account)).with_wait(LONGEST_STATEMENT);
        let statement = ledger::max_loaded_offset(&channel.table, &channel.name);
        let rows = statements.execute(&statement, Uuid::new_v4(), tag).await?;
        rows.first().map_or(Ok(None), |row| optional(row, "position"))
    }

    /// How the channels stand, by name; a channel that does not exist is absent. Names count with their case here, so
    /// they must be as [`Listed::channel`] spells them.
    pub async fn list(&self, table: &TableId, channels: &[&str]) -> Result<BTreeMap<String, Listed>> {
        #[derive(Serialize)]
        struct Names<'a> {
            channel_names: &'a [&'a str],
        }
        let url = self.ingest_url(&format!("/v2/streaming/{}:bulk-channel-status", pipe_path(table))).await?;
        let build = |token: &_, _| scoped(Request::post(&url), token).json(&Names { channel_names: channels });
        let answer = self.ask(build, wire::accept).await;
        answer.and_then(|answer| wire::listed(&answer)).map_err(|error| error.with("table", table))
    }

    async fn ask(
        &self,
        build: impl Fn(&Secret, bool) -> Result<Request>,
        classify: impl Fn(&Response) -> Result<()>,
    ) -> Result<Response> {
        let answer = self.account.send(self, &self.account.pace.retry, build, classify).await;
        // A refusal may come with another status than 401: what we hold is in doubt all the same.
        if answer.as_ref().is_err_and(|error| error.kind() == Kind::Auth) {
            self.forget();
        }
        answer
    }

    async fn ingest_url(&self, path: &str) -> Result<String> {
        self.token().await?;
        let host = held(&self.scoped).as_ref().map(|scoped| scoped.host.clone());
        // A forgotten token between the two lines takes the host with it; the caller's loop comes again.
        let host = host.ok_or_else(|| Error::unavailable("the streaming token was dropped while it was used"))?;
        let scheme = if self.account.base.starts_with("http://") { "http" } else { "https" };
        Ok(format!("{scheme}://{host}{path}"))
    }

    async fn exchange(&self, now: DateTime<Utc>) -> Result<Scoped> {
        let account = &*self.account;
        let url = format!("{}/v2/streaming/hostname", account.base);
        let build = |token: &_, _| Ok(signed(Request::get(&url), token));
        let answer = account.send(&account.keys, &account.pace.retry, build, successful).await?;
        let host = wire::hostname(&answer)?;

        // Without a role the token has the user's default one, whatever its other statements run as.
        let url = format!("{}/oauth/token", account.base);
        let build = |token: &Secret, _| {
            let form = form_urlencoded::Serializer::new(String::new())
                .append_pair("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer")
                .append_pair("scope", &format!("{host} session:role:{}", account.role))
                .append_pair("assertion", token.expose())
                .finish();
            let request = Request::post(&url).header("accept", "application/json");
            Ok(request.body(form, "application/x-www-form-urlencoded"))
        };
        let answer = account.send(&account.keys, &account.pace.retry, build, successful).await?;
        let token = wire::token(&answer)?;
        let ends = wire::expiry(&token).unwrap_or(now + ASSUMED_LIFE);
        Ok(Scoped { host, token, renew_at: ends - MARGIN })
    }

    async fn token_at(&self, now: DateTime<Utc>) -> Result<Secret> {
        let known =
            held(&self.scoped).as_ref().filter(|scoped| now < scoped.renew_at).map(|scoped| scoped.token.clone());
        if let Some(token) = known {
            return Ok(token);
        }
        let scoped = self.exchange(now).await.map_err(|error| {
            Error::new(error.kind(), "cannot get a token for streaming").with_retry(error.retry()).because(error)
        })?;
        let token = scoped.token.clone();
        *held(&self.scoped) = Some(scoped);
        Ok(token)
    }
}

impl<Sec: Secrets> Tokens for Streaming<Sec> {
    async fn token(&self) -> Result<Secret> {
        self.token_at(Utc::now()).await
    }

    fn forget(&self) {
        *held(&self.scoped) = None;
    }
}

fn scoped(request: Request, token: &Secret) -> Request {
    request.bearer(token).header("x-snowflake-authorization-token-type", "OAUTH").header("accept", "application/json")
}

fn successful(response: &Response) -> Result<()> {
    if response.is_success() { Ok(()) } else { Err(error::of_response(response)) }
}

/// The table's default pipe, which Snowflake makes by itself.
fn pipe_path(table: &TableId) -> String {
    format!(
        "databases/{}/schemas/{}/pipes/{}",
        segment(&table.database),
        segment(&table.schema),
        segment(&format!("{}-STREAMING", table.table))
    )
}

fn about(error: Error, channel: &Channel) -> Error {
    error.with("table", &channel.table).with("channel", &channel.name)
}
