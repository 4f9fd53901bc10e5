//! The API's four endpoints that the platform uses.

use std::{ops::RangeInclusive, time::Duration};

use chrono::{DateTime, NaiveDate, NaiveTime, TimeDelta, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use sluice_core::{Error, Kind, Result, Secret};
use sluice_http::{Request, Response, RetryPolicy};

use crate::source::{
    error::{classify, is_not_available},
    members::Members,
};

/// The base that every plan has; only a paid plan may name another one, and naming this one is an error on some.
pub(super) const DEFAULT_BASE: &str = "USD";

/// The account's status after repeated over-use.
const RESTRICTED: &str = "access_restricted";

/// Four attempts ride out a restart. The whole stays below the time that a run keeps back from asking, so that its last
/// requests end in time whatever they meet.
const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 4,
    total: Duration::from_secs(45),
    base: Duration::from_millis(250),
    cap: Duration::from_secs(5),
};

/// A client of the API for one application id.
#[derive(Debug, Clone)]
pub struct Client {
    http: sluice_http::Client,
    url: String,
    app_id: Secret,
    retries: RetryPolicy,
}

/// The rates of one answer.
#[derive(Debug)]
pub struct Rates {
    /// The time that the source puts on the rates.
    pub time: DateTime<Utc>,
    pub base: String,
    pub rates: Members,
}

/// From when to when the time of an answer can be.
pub(super) type Times = RangeInclusive<DateTime<Utc>>;

/// What the account may do, and what is left of its month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub quota: Quota,
    /// Whether the plan has other bases than the US dollar; `None` if it does not say.
    pub other_bases: Option<bool>,
}

/// What is left of the month's quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// `None` on an unlimited plan.
    pub requests_remaining: Option<u64>,
    pub days_remaining: u64,
}

impl Client {
    pub fn new(http: sluice_http::Client, url: &str, app_id: Secret) -> Self {
        Client { http, url: url.trim_end_matches('/').to_owned(), app_id, retries: RETRIES }
    }

    /// The same client with another time limit.
    #[must_use]
    pub fn with_retries(self, retries: RetryPolicy) -> Self {
        Client { retries, ..self }
    }

    /// Code to name. Free of quota.
    pub async fn currencies(&self) -> Result<Members> {
        self.get("currencies.json", None).await
    }

    /// Asking for the account is free of quota.
    pub async fn account(&self) -> Result<Account> {
        let Usage { data } = self.get("usage.json", None).await?;
        if data.status == RESTRICTED {
            return Err(
                Error::new(Kind::Auth, "the account is restricted; see its dashboard").with("path", "usage.json")
            );
        }
        Ok(Account {
            quota: Quota {
                // Unlimited plans answer -1.
                requests_remaining: u64::try_from(data.usage.requests_remaining).ok(),
                days_remaining: data.usage.days_remaining,
            },
            other_bases: data.plan.features.base,
        })
    }

    /// The rates as they are now; `None` when the source has none.
    pub async fn latest(&self, base: &str, times: &Times) -> Result<Option<Rates>> {
        self.rates("latest.json", base, times).await
    }

    /// The end-of-day rates of a date; `None` when the source has none. Their time lies on that date; its end may be
    /// written as the first moment of the next one.
    pub async fn historical(&self, date: NaiveDate, base: &str) -> Result<Option<Rates>> {
        let begin = date.and_time(NaiveTime::MIN).and_utc();
        self.rates(&format!("historical/{date}.json"), base, &(begin..=begin + TimeDelta::days(1))).await
    }

    async fn rates(&self, path: &str, base: &str, times: &Times) -> Result<Option<Rates>> {
        let response = self.send(path, Some(base)).await?;
        if is_not_available(&response) {
            return Ok(None);
        }
        let RatesAnswer { timestamp, base: received, rates } = decode(&response, path)?;
        if received != base {
            return Err(Error::new(Kind::SchemaMismatch, "the rates are against another base than the table's")
                .with("expected", base)
                .with("received", received));
        }
        if rates.is_empty() {
            return Ok(None);
        }
        let Some(time) = DateTime::from_timestamp(timestamp, 0).filter(|time| times.contains(time)) else {
            let what = "the rates' timestamp, in Unix seconds, is not of the time asked for";
            return Err(Error::new(Kind::SchemaMismatch, what)
                .with("path", path)
                .with("from", times.start().to_rfc3339())
                .with("to", times.end().to_rfc3339())
                .with("received", timestamp));
        };
        Ok(Some(Rates { time, base: received, rates }))
    }

    async fn get<T: DeserializeOwned>(&self, path: &str, base: Option<&str>) -> Result<T> {
        decode(&self.send(path, base).await?, path)
    }

    async fn send(&self, path: &str, base: Option<&str>) -> Result<Response> {
        // The id travels in a header: an address ends up in logs along the way.
        let authorization = Secret::new(format!("Token {}", self.app_id.expose()));
        let mut request = Request::get(format!("{}/{path}", self.url)).secret_header("authorization", authorization);
        if let Some(base) = base.filter(|base| *base != DEFAULT_BASE) {
            request = request.query("base", base);
        }
        self.http.send(&request, &self.retries, |response| classify(response, path)).await
    }
}

fn decode<T: DeserializeOwned>(response: &Response, path: &str) -> Result<T> {
    response.json().map_err(|error| {
        Error::new(Kind::SchemaMismatch, "the API's answer does not have its documented shape")
            .with("path", path)
            .because(error)
    })
}

#[derive(Deserialize)]
struct RatesAnswer {
    /// Unix seconds.
    timestamp: i64,
    base: String,
    rates: Members,
}

#[derive(Deserialize)]
struct Usage {
    data: UsageData,
}

#[derive(Deserialize)]
struct UsageData {
    #[serde(default)]
    status: String,
    #[serde(default)]
    plan: UsagePlan,
    usage: UsageNumbers,
}

#[derive(Default, Deserialize)]
struct UsagePlan {
    #[serde(default)]
    features: UsageFeatures,
}

#[derive(Default, Deserialize)]
struct UsageFeatures {
    base: Option<bool>,
}

#[derive(Deserialize)]
struct UsageNumbers {
    requests_remaining: i64,
    #[serde(default)]
    days_remaining: u64,
}
