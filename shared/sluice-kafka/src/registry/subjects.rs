//! Schemas by subject: whether the registry has one, whether it would take it, and giving it one.

use serde::{Deserialize, de::DeserializeOwned};
use serde_json::json;
use sluice_core::{
    Error, Kind, Result,
    port::{Clock, Secrets},
};
use sluice_http::{Request, Response, error};

use super::{CONTENT_TYPE, Refusal, Registry, judged, segment};

/// The subject of the schema that a topic's values are written with, as producers name it unless told otherwise.
pub(crate) fn subject(topic: &str) -> String {
    format!("{topic}-value")
}

impl<Sec: Secrets, Clo: Clock> Registry<Sec, Clo> {
    /// Whether the subject has this Avro schema, in any of its versions.
    pub async fn has(&self, subject: &str, schema: &str) -> Result<bool> {
        #[derive(Deserialize)]
        struct Found {}
        let found: Option<Found> = self.post(&format!("subjects/{}", segment(subject)), schema).await?;
        Ok(found.is_some())
    }

    /// Why the subject would not take this Avro schema beside those that it has, by the compatibility that is set for it. Empty
    /// where it would.
    pub async fn faults(&self, subject: &str, schema: &str) -> Result<Vec<String>> {
        #[derive(Deserialize)]
        struct Judged {
            is_compatible: bool,
            #[serde(default)]
            messages: Vec<String>,
        }
        let path = format!("compatibility/subjects/{}/versions?verbose=true", segment(subject));
        // A subject that is not there yet takes any.
        let Some(judged) = self.post::<Judged>(&path, schema).await? else { return Ok(Vec::new()) };
        Ok(match (judged.is_compatible, judged.messages.is_empty()) {
            (true, _) => Vec::new(),
            (false, true) => vec!["the registry does not say why".to_owned()],
            (false, false) => judged.messages,
        })
    }

    /// Gives the subject this Avro schema as its newest version; one that it has already stays as it is.
    pub async fn register(&self, subject: &str, schema: &str) -> Result<u32> {
        #[derive(Deserialize)]
        struct Registered {
            id: u32,
        }
        let path = format!("subjects/{}/versions", segment(subject));
        let registered: Option<Registered> = self.post(&path, schema).await?;
        let lost = || Error::not_found("the registry does not know where to put the schema").with("subject", subject);
        registered.map(|registered| registered.id).ok_or_else(lost)
    }

    /// `None` when the registry says that it has no such thing.
    async fn post<T: DeserializeOwned>(&self, path: &str, schema: &str) -> Result<Option<T>> {
        let body = json!({"schema": schema}).to_string();
        let request = Request::post(self.url(path)).body(body, CONTENT_TYPE);
        let answer = self.send(request, taken).await?;
        if answer.status == 404 { Ok(None) } else { answer.json().map(Some) }
    }
}

/// What an answer means to somebody who has a schema: what the registry says of it is theirs to read.
fn taken(response: &Response) -> Result<()> {
    let refusal = || response.json::<Refusal>().ok();
    match (response.status, refusal()) {
        (409 | 422, Some(refusal)) => {
            let error = Error::new(Kind::Config, "the registry does not take the schema");
            Err(error.with("error_code", refusal.error_code).because(refusal.message))
        }
        (403, _) => Err(error::by_status(response, "the registry's user may not write")),
        _ => judged(response, "the registry has not answered about a schema"),
    }
}
