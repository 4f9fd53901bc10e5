//! A Confluent schema registry: schemas by id, asked once each.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use base64_simd::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use serde::Deserialize;
use sluice_core::{
    Kind, Result, Secret,
    port::{Clock, Secrets, SystemClock},
    with_secret,
};
use sluice_http::{Client, Request, Response, RetryPolicy, error};

use crate::avro::WriterSchema;

mod subjects;

pub(crate) use subjects::subject;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// What the registry's own answer says of an id that it does not know; any other 404 is not the registry's.
const NO_SUCH_SCHEMA: i64 = 40_403;
/// Schemas that refer to schemas that refer to schemas, so deep and no deeper.
const MOST_REFERENCES: usize = 64;
/// What the registry does not have is asked for again after this: a schema may be registered late. Not sooner: a batch may
/// hold thousands of records of one id.
const MISSING_FOR: TimeDelta = TimeDelta::seconds(30);

/// Where the registry is and how to be let in.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    pub url: String,
    /// Name of the secret `{"api_key": …, "api_secret": …}`; none, or `{}` in it, for a registry that asks for nothing.
    pub secret: Option<String>,
}

/// The registry's client. An id never changes its schema, so what was learnt is kept for the life of the instance, good or
/// bad; only what was missing is asked for again.
pub struct Registry<Sec, Clo = SystemClock> {
    config: RegistryConfig,
    http: Client,
    secrets: Sec,
    clock: Clo,
    retry: RetryPolicy,
    known: RefCell<HashMap<u32, Known>>,
}

/// What was learnt of an id.
struct Known {
    schema: Result<Rc<WriterSchema>, String>,
    /// When the registry lacked it, or something that it refers to.
    missing_at: Option<DateTime<Utc>>,
}

impl Known {
    fn counts(&self, now: DateTime<Utc>) -> bool {
        // A clock that was set back must not lengthen it.
        self.missing_at.is_none_or(|at| (now - at).abs() < MISSING_FOR)
    }
}

/// Why the records of an id are bad.
enum Flaw {
    /// The registry may have it later.
    Missing(String),
    /// The schema is what it is.
    Lasting(String),
}

impl Flaw {
    fn of(self, id: u32) -> Self {
        let unusable = |reason| format!("schema {id} cannot be used: {reason}");
        match self {
            Flaw::Missing(reason) => Flaw::Missing(unusable(reason)),
            Flaw::Lasting(reason) => Flaw::Lasting(unusable(reason)),
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
    #[serde(default)]
    references: Option<Vec<Reference>>,
}

#[derive(Deserialize)]
struct Reference {
    subject: String,
    version: i64,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Credentials {
    Key {
        api_key: String,
        api_secret: Secret,
    },
    /// `{}`: the registry asks for nothing.
    Nothing(Nothing),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Nothing {}

impl<Sec: Secrets> Registry<Sec> {
    pub fn new(config: RegistryConfig, http: Client, secrets: Sec) -> Self {
        let (clock, retry) = (SystemClock, RetryPolicy::default());
        Registry { config, http, secrets, clock, retry, known: RefCell::default() }
    }
}

impl<Sec: Secrets, Clo: Clock> Registry<Sec, Clo> {
    #[must_use]
    pub fn with_clock<C: Clock>(self, clock: C) -> Registry<Sec, C> {
        let Registry { config, http, secrets, retry, known, .. } = self;
        Registry { config, http, secrets, clock, retry, known }
    }

    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Registry { retry, ..self }
    }

    /// The schema of an id. The inner error is the reason why records of this id are bad: the registry does not know it, or
    /// it is no Avro schema that can be read. The outer one means that the registry could not be asked.
    pub async fn schema(&self, id: u32) -> Result<Result<Rc<WriterSchema>, String>> {
        let now = self.clock.now();
        let known = self.known.borrow().get(&id).filter(|known| known.counts(now)).map(|known| known.schema.clone());
        if let Some(schema) = known {
            return Ok(schema);
        }
        let (schema, missing_at) = match self.ask(id).await? {
            Ok(schema) => (Ok(Rc::new(schema)), None),
            Err(Flaw::Lasting(reason)) => (Err(reason), None),
            Err(Flaw::Missing(reason)) => (Err(reason), Some(self.clock.now())),
        };
        let mut known = self.known.borrow_mut();
        // Ids out of broken records may all differ: those whose time is over do not fill the memory.
        known.retain(|_, known| known.counts(now));
        known.insert(id, Known { schema: schema.clone(), missing_at });
        Ok(schema)
    }

    async fn ask(&self, id: u32) -> Result<Result<WriterSchema, Flaw>> {
        let Some(answer) = self.get(&format!("schemas/ids/{id}")).await? else {
            return Ok(Err(Flaw::Missing(format!("the schema registry does not know the schema id {id}"))));
        };
        let kind = answer.schema_type.as_deref().unwrap_or("AVRO");
        if kind != "AVRO" {
            return Ok(Err(Flaw::Lasting(format!("schema {id} is {kind}, not AVRO"))));
        }
        let references = self.references(&answer).await?;
        let parsed =
            references.and_then(|references| WriterSchema::parse(&answer.schema, &references).map_err(Flaw::Lasting));
        Ok(parsed.map_err(|flaw| flaw.of(id)))
    }

    /// Every schema that this one refers to, however far.
    async fn references(&self, answer: &Answer) -> Result<Result<Vec<String>, Flaw>> {
        let mut found: Vec<((String, i64), String)> = Vec::new();
        let named = |answer: &Answer| -> Vec<(String, i64)> {
            answer.references.iter().flatten().map(|reference| (reference.subject.clone(), reference.version)).collect()
        };
        let mut open = named(answer);
        while let Some((subject, version)) = open.pop() {
            if found.iter().any(|(known, _)| *known == (subject.clone(), version)) {
                continue;
            }
            if found.len() == MOST_REFERENCES {
                return Ok(Err(Flaw::Lasting(format!("it refers to more than {MOST_REFERENCES} schemas"))));
            }
            let path = format!("subjects/{}/versions/{version}", segment(&subject));
            let Some(referred) = self.get(&path).await? else {
                let reason = format!("it refers to version {version} of {subject}, which the registry does not have");
                return Ok(Err(Flaw::Missing(reason)));
            };
            open.extend(named(&referred));
            found.push(((subject, version), referred.schema));
        }
        Ok(Ok(found.into_iter().map(|(_, schema)| schema).collect()))
    }

    /// `None` when the registry says that there is no such schema.
    async fn get(&self, path: &str) -> Result<Option<Answer>> {
        let answer = self.send(Request::get(self.url(path)), classify).await?;
        if answer.status == 404 { Ok(None) } else { answer.json().map(Some) }
    }

    fn url(&self, path: &str) -> String {
        format!("{}/{path}", self.config.url.trim_end_matches('/'))
    }

    async fn send(&self, request: Request, classify: impl Fn(&Response) -> Result<()>) -> Result<Response> {
        let request = request.header("accept", CONTENT_TYPE);
        let answer = match &self.config.secret {
            None => self.http.send(&request, &self.retry, classify).await,
            Some(name) => {
                with_secret(&self.secrets, name, async |credentials: Credentials| {
                    let request = match credentials.authorization() {
                        Some(authorization) => request.clone().secret_header("authorization", authorization),
                        None => request.clone(),
                    };
                    self.http.send(&request, &self.retry, &classify).await
                })
                .await
            }
        };
        answer.map_err(|error| error.with("registry", &self.config.url))
    }
}

impl Credentials {
    fn authorization(&self) -> Option<Secret> {
        let Credentials::Key { api_key, api_secret } = self else { return None };
        let pair = format!("{api_key}:{}", api_secret.expose());
        Some(Secret::new(format!("Basic {}", STANDARD.encode_to_string(pair))))
    }
}

/// What the registry says when it does not do what it was asked.
#[derive(Deserialize)]
struct Refusal {
    error_code: i64,
    #[serde(default)]
    message: String,
}

/// What an answer means. A 404 is an answer only if the registry itself says what it lacks.
fn classify(response: &Response) -> Result<()> {
    judged(response, "cannot read a schema from the registry")
}

fn judged(response: &Response, attempt: &str) -> Result<()> {
    if response.is_success() {
        return error::whole_json(response);
    }
    let code = response.json::<Refusal>().ok().map(|refusal| refusal.error_code);
    if response.status == 404 && code.is_some_and(|code| (40_401..=NO_SUCH_SCHEMA).contains(&code)) {
        return Ok(());
    }
    let error = error::by_status(response, attempt);
    let error = error.with("error_code", code.unwrap_or_default());
    Err(if error.kind() == Kind::NotFound {
        error.because("the address is not a schema registry's; check its path")
    } else {
        error
    })
}

/// A path segment, percent-encoded: subjects may hold slashes.
fn segment(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

#[cfg(test)]
mod tests;
