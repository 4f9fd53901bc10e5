//! The requests that reading contacts takes.

use chrono::DateTime;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, json};
use sluice_core::{Error, Kind, Result, Secret};
use sluice_http::{RateLimit, Request, Response, RetryPolicy};

use crate::{
    config::HubspotConfig,
    error::classify,
    properties::{Account, Property},
};

/// The most that a page of the search may hold.
pub(crate) const SEARCH_PAGE: usize = 200;

/// The most that a page of the list may hold, and a question for contacts by id.
pub(crate) const LIST_PAGE: usize = 100;

/// A client of one account. Searches have a limit per second of their own; all else shares the token's limit per ten
/// seconds.
#[derive(Debug)]
pub struct Client {
    pub(crate) http: sluice_http::Client,
    url: String,
    version: String,
    pub(crate) token: Secret,
    pub(crate) retries: RetryPolicy,
    searches: RateLimit,
    pub(crate) others: RateLimit,
}

/// What a search looks for. It never pages by offset; see `read`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Find {
    /// Changed at or after this time, the oldest change first.
    ChangedSince { millis: i64 },
    /// Changed in exactly this millisecond and with a higher id, the lowest id first.
    ChangedAt { millis: i64, after_id: i64 },
}

/// A page of records, and where the next one begins.
#[derive(Debug, Deserialize)]
pub(crate) struct Page {
    /// All results of a search, also those on later pages; a list has none.
    #[serde(default)]
    pub total: Option<u64>,
    pub results: Vec<Record>,
    #[serde(default)]
    paging: Option<Paging>,
}

#[derive(Debug, Deserialize)]
struct Paging {
    #[serde(default)]
    next: Option<Next>,
}

#[derive(Debug, Deserialize)]
struct Next {
    after: String,
}

/// One contact as HubSpot sends it.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    pub id: String,
    #[serde(default)]
    pub properties: Map<String, Value>,
    #[serde(default)]
    pub archived: bool,
    #[serde(default)]
    pub archived_at: Option<String>,
}

impl Page {
    /// The cursor of the next page; `None` on the last one.
    pub(crate) fn next(&self) -> Option<&str> {
        Some(self.paging.as_ref()?.next.as_ref()?.after.as_str())
    }
}

impl Client {
    pub fn new(http: sluice_http::Client, config: &HubspotConfig) -> Self {
        Client {
            http,
            url: config.url.clone(),
            version: config.version.clone(),
            token: config.token.clone(),
            retries: config.retries,
            searches: config.search_limit(),
            others: config.other_limit(),
        }
    }

    /// The first page of a search.
    pub(crate) async fn search(&self, find: Find, properties: &[&str]) -> Result<Page> {
        let filter = |property: &str, operator: &str, value: i64| json!({"propertyName": property, "operator": operator, "value": value.to_string()});
        let (filters, sort) = match find {
            Find::ChangedSince { millis } => (vec![filter("lastmodifieddate", "GTE", millis)], "lastmodifieddate"),
            Find::ChangedAt { millis, after_id } => {
                let mut at = filter("lastmodifieddate", "BETWEEN", millis);
                at["highValue"] = json!(millis.to_string());
                (vec![at, filter("hs_object_id", "GT", after_id)], "hs_object_id")
            }
        };
        let body = json!({
            "filterGroups": [{"filters": filters}],
            "sorts": [{"propertyName": sort, "direction": "ASCENDING"}],
            "properties": properties,
            "limit": SEARCH_PAGE,
        });
        self.searches.acquire().await;
        let attempted = "search contacts";
        decode(
            &self.send(Request::post(self.path("objects", "contacts/search")).json(&body)?, attempted).await?,
            attempted,
        )
    }

    /// A page of the contacts that were deleted in the last 90 days.
    pub(crate) async fn archived(&self, after: Option<&str>, properties: &[&str]) -> Result<Page> {
        self.list(true, after, properties, "list archived contacts").await
    }

    /// A page of the contacts that are there, by id. It does not come from the search's index.
    pub(crate) async fn live(&self, after: Option<&str>, properties: &[&str]) -> Result<Page> {
        self.list(false, after, properties, "list contacts").await
    }

    async fn list(&self, archived: bool, after: Option<&str>, properties: &[&str], attempted: &str) -> Result<Page> {
        let mut request = Request::get(self.path("objects", "contacts"))
            .query("archived", archived)
            .query("limit", LIST_PAGE)
            .query("properties", properties.join(","));
        if let Some(after) = after {
            request = request.query("after", after);
        }
        self.others.acquire().await;
        decode(&self.send(request, attempted).await?, attempted)
    }

    /// Those of at most a hundred contacts that are there, or that are archived. One that was merged into another comes as
    /// that one; one that does not exist does not come.
    pub(crate) async fn find(&self, ids: &[i64], archived: bool, properties: &[&str]) -> Result<Vec<Record>> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id.to_string()})).collect();
        let body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        let request = Request::post(self.path("objects", "contacts/batch/read")).query("archived", archived);
        self.others.acquire().await;
        let attempted = "look for contacts by id";
        let page: Page = decode(&self.send(request.json(&body)?, attempted).await?, attempted)?;
        Ok(page.results)
    }

    /// The properties of contacts, and what the answer says about the account. A run asks once, before anything else.
    pub async fn account(&self) -> Result<Account> {
        #[derive(Deserialize)]
        struct Properties {
            results: Vec<Property>,
        }
        self.others.acquire().await;
        let attempted = "list the properties of contacts";
        let response = self.send(Request::get(self.path("properties", "contacts")), attempted).await?;
        let Properties { results } = decode(&response, attempted)?;
        let date = response.header("date").and_then(|date| DateTime::parse_from_rfc2822(date).ok());
        Ok(Account {
            properties: results.into_iter().map(|property| (property.name.clone(), property)).collect(),
            now: date.map(|date| date.timestamp_micros()),
            requests_left_today: response
                .header("x-hubspot-ratelimit-daily-remaining")
                .and_then(|number| number.parse().ok()),
        })
    }

    /// A version of numbers stands before the API's name, one of dates behind it.
    pub(crate) fn path(&self, api: &str, path: &str) -> String {
        match self.version.starts_with('v') {
            true => format!("{}/crm/{}/{api}/{path}", self.url, self.version),
            false => format!("{}/crm/{api}/{}/{path}", self.url, self.version),
        }
    }

    /// Of the account itself, where every version stands behind the API's name.
    pub(crate) fn account_path(&self, path: &str) -> String {
        format!("{}/account-info/{}/{path}", self.url, self.version)
    }

    pub(crate) async fn send(&self, request: Request, attempted: &str) -> Result<Response> {
        let request = request.bearer(&self.token);
        self.http.send(&request, &self.retries, |response| classify(response, attempted)).await
    }
}

pub(crate) fn decode<T: DeserializeOwned>(response: &Response, attempted: &str) -> Result<T> {
    response.json().map_err(|error| {
        Error::new(Kind::SchemaMismatch, "HubSpot's answer does not have its documented shape")
            .with("attempted", attempted)
            .because(error)
    })
}
