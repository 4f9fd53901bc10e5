//! The API's four endpoints that the platform uses.

use std::{collections::BTreeMap, time::Duration};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sluice_core::{Error, Kind, Result, Secret};
use sluice_http::{Request, Response, RetryPolicy};

use crate::source::error::{classify, is_not_available};

/// The base that every plan has; only a paid plan may name another one, and naming this one is an error on some.
pub const DEFAULT_BASE: &str = "USD";

/// The account's status after repeated over-use.
const RESTRICTED: &str = "access_restricted";

/// Four attempts ride out a restart. The whole stays far below the function's time, whatever each of a run's requests
/// meets, because a run stops at the first one that is used up.
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
#[derive(Debug, Deserialize)]
pub struct Rates {
    /// Unix seconds.
    timestamp: i64,
    pub base: String,
    /// The rates as written: a JSON number read as a float would lose digits.
    pub rates: BTreeMap<String, Box<RawValue>>,
}

impl Rates {
    /// The time that the source puts on the rates.
    pub fn time(&self) -> Result<DateTime<Utc>> {
        DateTime::from_timestamp(self.timestamp, 0)
            .ok_or_else(|| Error::new(Kind::SchemaMismatch, "the rates' timestamp is not in Unix seconds"))
    }
}

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

    /// The same client with another patience.
    #[must_use]
    pub fn with_retries(self, retries: RetryPolicy) -> Self {
        Client { retries, ..self }
    }

    /// Code to name. Free of quota.
    pub async fn currencies(&self) -> Result<BTreeMap<String, String>> {
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
    pub async fn latest(&self, base: &str) -> Result<Option<Rates>> {
        self.rates("latest.json", base).await
    }

    /// The end-of-day rates of a date; `None` when the source has none.
    pub async fn historical(&self, date: NaiveDate, base: &str) -> Result<Option<Rates>> {
        self.rates(&format!("historical/{date}.json"), base).await
    }

    async fn rates(&self, path: &str, base: &str) -> Result<Option<Rates>> {
        let response = self.send(path, Some(base)).await?;
        if is_not_available(&response) {
            return Ok(None);
        }
        let rates: Rates = decode(&response, path)?;
        if rates.base != base {
            return Err(Error::new(Kind::SchemaMismatch, "the rates are against another base than the table's")
                .with("expected", base)
                .with("received", rates.base));
        }
        Ok(if rates.rates.is_empty() { None } else { Some(rates) })
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
