//! Writing to contacts that are there: their properties' definitions, what they hold, and batches of changes.
//!
//! A batch names records by their id, so that it can create none, and gives each a trace, so that an answer in parts says
//! of which record each part is. HubSpot takes no condition and knows no request again: a batch is sent once, and what
//! became of it where no answer came is for the caller to read.
//!
//! API: <https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch/post-crm-v3-objects-contacts-batch-update>

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use sluice_core::{Error, Result};
use sluice_http::{Request, Response, retry};

use crate::{
    client::{Client, LIST_PAGE, decode},
    error::{classify, is_word},
};

/// The most records of a batch.
pub const BATCH: usize = LIST_PAGE;

/// HubSpot's own word for a record that is not there.
const NOT_FOUND: &str = "OBJECT_NOT_FOUND";

/// A property of contacts as far as writing is concerned.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Definition {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub field_type: String,
    pub options: Vec<PropertyOption>,
    /// Its options are kept elsewhere, so that the list is not all of them.
    pub external_options: bool,
    pub calculated: bool,
    pub archived: bool,
    modification_metadata: Modification,
}

impl Definition {
    pub fn is_read_only(&self) -> bool {
        self.calculated || self.modification_metadata.read_only_value
    }
}

#[derive(Debug, Clone, Deserialize)]
pub struct PropertyOption {
    pub value: String,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Modification {
    read_only_value: bool,
}

/// A contact that was read by its id.
#[derive(Debug, Clone, PartialEq)]
pub enum ByThatId {
    Contact {
        properties: Map<String, Value>,
        changed_at: Option<DateTime<Utc>>,
    },
    /// Another record has it now.
    Merged,
}

/// What became of one record of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Written { at: Option<DateTime<Utc>> },
    Refused { reason: String },
    Gone,
}

/// What became of a batch.
#[derive(Debug)]
pub enum Updated {
    /// By id; one that HubSpot says nothing of is missing.
    Each(BTreeMap<String, Answer>),
    /// Refused as it is: nothing was written.
    Refused {
        reason: String,
    },
    /// Nothing was written, for another reason than its content.
    Unsent(Error),
    Unknown(Error),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Batch {
    /// Of none it is empty, and never missing.
    results: Vec<Written>,
    #[serde(default)]
    errors: Vec<Failed>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    id: String,
    #[serde(default)]
    properties: Map<String, Value>,
    #[serde(default)]
    updated_at: Option<DateTime<Utc>>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Failed {
    category: String,
    context: Context,
    errors: Vec<Detail>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Context {
    ids: Vec<String>,
    object_write_trace_id: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Detail {
    code: Option<String>,
}

impl Failed {
    /// Something in between, such as a proxy, refuses without a category: it knows nothing of the records.
    fn is_hubspots(&self) -> bool {
        is_word(&self.category)
    }

    /// In HubSpot's own words; a message could quote a value.
    fn reason(&self) -> String {
        let codes = self.errors.iter().filter_map(|detail| detail.code.as_deref());
        let words: Vec<&str> =
            std::iter::once(self.category.as_str()).chain(codes).filter(|word| is_word(word)).collect();
        words.join(" ")
    }
}

impl Client {
    /// The number of the account that the token is of.
    pub async fn portal_id(&self) -> Result<u64> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Details {
            portal_id: u64,
        }
        let attempted = "read the account's details";
        self.others.acquire().await;
        let Details { portal_id } =
            decode(&self.send(Request::get(self.account_path("details")), attempted).await?, attempted)?;
        Ok(portal_id)
    }

    /// The definition of every property of contacts, by name.
    pub async fn definitions(&self) -> Result<BTreeMap<String, Definition>> {
        #[derive(Deserialize)]
        struct Properties {
            results: Vec<Definition>,
        }
        let attempted = "list the properties of contacts";
        self.others.acquire().await;
        let Properties { results } =
            decode(&self.send(Request::get(self.path("properties", "contacts")), attempted).await?, attempted)?;
        Ok(results.into_iter().map(|definition| (definition.name.clone(), definition)).collect())
    }

    /// At most a batch of contacts by id; one that is not there, or is archived, is missing. Fails where HubSpot does not say
    /// so of one: nobody looks again for what is taken to be gone.
    pub async fn by_id(&self, ids: &[String], properties: &BTreeSet<String>) -> Result<BTreeMap<String, ByThatId>> {
        let asked: Vec<&str> = ids.iter().map(String::as_str).collect();
        let Read { mut found, missing } = self.read_batch(&asked, properties).await?;
        let mut contacts = BTreeMap::new();
        for id in ids.iter().filter(|id| !missing.contains(*id)) {
            let contact = match found.remove(id) {
                Some(contact) => Some(contact),
                None => self.alone(id, properties).await?,
            };
            contacts.extend(contact.map(|contact| (id.clone(), contact)));
        }
        Ok(contacts)
    }

    /// A contact of which a batch says nothing: one that was merged comes as its survivor, and a batch does not tell of which.
    async fn alone(&self, id: &str, properties: &BTreeSet<String>) -> Result<Option<ByThatId>> {
        let Read { found, missing } = self.read_batch(&[id], properties).await?;
        match found.into_iter().next() {
            Some((own, contact)) if own == id => Ok(Some(contact)),
            Some(_) => Ok(Some(ByThatId::Merged)),
            None if missing.contains(id) => Ok(None),
            None => Err(Error::unavailable("HubSpot does not say whether a contact is there").with("contact", id)),
        }
    }

    async fn read_batch(&self, ids: &[&str], properties: &BTreeSet<String>) -> Result<Read> {
        let inputs: Vec<Value> = ids.iter().map(|id| json!({"id": id})).collect();
        let body = json!({"inputs": inputs, "properties": properties, "propertiesWithHistory": []});
        let request =
            Request::post(self.path("objects", "contacts/batch/read")).query("archived", false).json(&body)?;
        let attempted = "read contacts by id";
        self.others.acquire().await;
        read(decode(&self.send(request, attempted).await?, attempted)?)
    }

    /// Sends a batch of changes, once. Only what HubSpot has refused to take up, because of its limit of some seconds, is
    /// sent again.
    pub async fn update(&self, changes: &[(&str, &BTreeMap<String, String>)]) -> Updated {
        let input = |(id, properties): &(&str, &BTreeMap<String, String>)| json!({"id": id, "properties": properties, "objectWriteTraceId": id});
        let inputs: Vec<Value> = changes.iter().map(input).collect();
        let attempted = "update contacts";
        let request = Request::post(self.path("objects", "contacts/batch/update")).json(&json!({"inputs": inputs}));
        let request = match request {
            Ok(request) => request.bearer(&self.token),
            Err(error) => return Updated::Unsent(error),
        };
        let sent = retry(&self.retries, async |_| {
            self.others.acquire().await;
            let response = match self.http.send_once(&request).await {
                Ok(response) => response,
                Err(error) => return Ok(Updated::Unknown(error.with("attempted", attempted))),
            };
            match classify(&response, attempted) {
                Ok(()) => Ok(each(&response, attempted)),
                Err(error) if response.status == 429 && error.is_transient() => Err(match response.retry_after() {
                    Some(wait) => error.after(wait),
                    None => error,
                }),
                Err(error) => Ok(refused(&response, error)),
            }
        });
        sent.await.unwrap_or_else(Updated::Unsent)
    }
}

/// Contacts by their own ids, and the ids of those that are not there.
struct Read {
    found: BTreeMap<String, ByThatId>,
    missing: BTreeSet<String>,
}

fn read(Batch { results, errors }: Batch) -> Result<Read> {
    if let Some(failed) = errors.iter().find(|failed| failed.category != NOT_FOUND) {
        return Err(Error::unavailable("HubSpot did not read some contacts").with("category", failed.reason()));
    }
    let contact =
        |read: Written| (read.id, ByThatId::Contact { properties: read.properties, changed_at: read.updated_at });
    let missing = errors.into_iter().flat_map(|failed| failed.context.ids);
    Ok(Read { found: results.into_iter().map(contact).collect(), missing: missing.collect() })
}

/// What an answer says of each record.
fn each(response: &Response, attempted: &str) -> Updated {
    let Batch { results, errors } = match decode(response, attempted) {
        Ok(batch) => batch,
        Err(error) => return Updated::Unknown(error),
    };
    let written = results.into_iter().map(|written| {
        (written.object_write_trace_id.unwrap_or(written.id), Answer::Written { at: written.updated_at })
    });
    let mut answers: BTreeMap<String, Answer> = written.collect();
    for failed in errors.into_iter().filter(Failed::is_hubspots) {
        let reason = failed.reason();
        let Context { ids, object_write_trace_id } = failed.context;
        for id in ids.into_iter().chain(object_write_trace_id) {
            let answer = match failed.category.as_str() {
                NOT_FOUND => Answer::Gone,
                _ => Answer::Refused { reason: reason.clone() },
            };
            answers.insert(id, answer);
        }
    }
    Updated::Each(answers)
}

/// What a refusal of a whole batch means.
fn refused(response: &Response, error: Error) -> Updated {
    match response.status {
        400 | 409 | 422 => match response.json::<Failed>() {
            Ok(failed) if failed.is_hubspots() => Updated::Refused { reason: failed.reason() },
            _ => {
                let error = Error::unavailable("a batch was refused without one of HubSpot's categories");
                Updated::Unknown(error.with("status", response.status))
            }
        },
        401 | 403 | 404 | 429 => Updated::Unsent(error),
        // A lock, a move, a gateway: some of it may be written.
        _ => Updated::Unknown(error),
    }
}

#[cfg(test)]
mod tests;
