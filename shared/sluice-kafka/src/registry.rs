//! A Confluent schema registry: schemas by id, asked once each.

use std::{cell::RefCell, collections::HashMap, rc::Rc};

use base64_simd::STANDARD;
use serde::Deserialize;
use sluice_core::{Error, Kind, Result, Secret, port::Secrets};
use sluice_http::{Client, Request, Response, RetryPolicy, error};

use crate::avro::WriterSchema;

const CONTENT_TYPE: &str = "application/vnd.schemaregistry.v1+json";
/// What the registry's own answer says of an id that it does not know; any other 404 is not the registry's.
const NO_SUCH_SCHEMA: i64 = 40_403;
/// Schemas that refer to schemas that refer to schemas, so deep and no deeper.
const MOST_REFERENCES: usize = 64;

/// Where the registry is and how to be let in.
#[derive(Debug, Clone)]
pub struct RegistryConfig {
    pub url: String,
    /// Name of the secret `{"api_key": …, "api_secret": …}`; none for a registry that asks for nothing.
    pub secret: Option<String>,
}

/// The registry's client. An id never changes its schema, so what was learnt is kept for the life of the instance.
pub struct Registry<Sec> {
    config: RegistryConfig,
    http: Client,
    secrets: Sec,
    retry: RetryPolicy,
    known: RefCell<HashMap<u32, Rc<WriterSchema>>>,
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
struct Credentials {
    api_key: String,
    api_secret: Secret,
}

impl<Sec: Secrets> Registry<Sec> {
    pub fn new(config: RegistryConfig, http: Client, secrets: Sec) -> Self {
        Registry { config, http, secrets, retry: RetryPolicy::default(), known: RefCell::default() }
    }

    #[must_use]
    pub fn with_retry(self, retry: RetryPolicy) -> Self {
        Registry { retry, ..self }
    }

    /// The schema of an id. The inner error is the reason why records of this id are bad: the registry does not know it, or
    /// it is no Avro schema that can be read. The outer one means that the registry could not be asked.
    pub async fn schema(&self, id: u32) -> Result<Result<Rc<WriterSchema>, String>> {
        let known = self.known.borrow().get(&id).cloned();
        if let Some(schema) = known {
            return Ok(Ok(schema));
        }
        let Some(answer) = self.get(&format!("schemas/ids/{id}")).await? else {
            // Not remembered: a schema may be registered late.
            return Ok(Err(format!("the schema registry does not know the schema id {id}")));
        };
        let kind = answer.schema_type.as_deref().unwrap_or("AVRO");
        if kind != "AVRO" {
            return Ok(Err(format!("schema {id} is {kind}, not AVRO")));
        }
        let references = self.references(&answer, id).await?;
        match WriterSchema::parse(&answer.schema, &references) {
            Ok(schema) => {
                let schema = Rc::new(schema);
                self.known.borrow_mut().insert(id, Rc::clone(&schema));
                Ok(Ok(schema))
            }
            Err(reason) => Ok(Err(format!("schema {id} cannot be used: {reason}"))),
        }
    }

    /// Every schema that this one refers to, however far.
    async fn references(&self, answer: &Answer, id: u32) -> Result<Vec<String>> {
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
                return Err(Error::unsupported("a schema refers to more schemas than this build follows")
                    .with("schema_id", id)
                    .with("most", MOST_REFERENCES));
            }
            let path = format!("subjects/{}/versions/{version}", segment(&subject));
            let referred = self.get(&path).await?.ok_or_else(|| {
                Error::not_found("a schema refers to one that the registry does not have")
                    .with("schema_id", id)
                    .with("subject", &subject)
                    .with("version", version)
            })?;
            open.extend(named(&referred));
            found.push(((subject, version), referred.schema));
        }
        Ok(found.into_iter().map(|(_, schema)| schema).collect())
    }

    /// `None` when the registry says that there is no such schema.
    async fn get(&self, path: &str) -> Result<Option<Answer>> {
        let url = format!("{}/{path}", self.config.url.trim_end_matches('/'));
        let mut request = Request::get(&url).header("accept", CONTENT_TYPE);
        if let Some(name) = &self.config.secret {
            request = request.secret_header("authorization", self.authorization(name).await?);
        }
        let answer = self.http.send(&request, &self.retry, classify).await;
        let answer = answer.map_err(|error| error.with("registry", &self.config.url))?;
        if answer.status == 404 { Ok(None) } else { answer.json().map(Some) }
    }

    async fn authorization(&self, name: &str) -> Result<Secret> {
        let secret = self.secrets.get(name).await?;
        // The parser's message is left out: it could show the secret.
        let Credentials { api_key, api_secret } = serde_json::from_str(secret.expose()).map_err(|_| {
            Error::config("the schema registry's secret is not {\"api_key\": …, \"api_secret\": …}")
                .with("secret", name)
        })?;
        let pair = format!("{api_key}:{}", api_secret.expose());
        Ok(Secret::new(format!("Basic {}", STANDARD.encode_to_string(pair))))
    }
}

/// What an answer means. A 404 is an answer only if the registry itself says what it lacks.
fn classify(response: &Response) -> Result<()> {
    #[derive(Deserialize)]
    struct Refusal {
        error_code: i64,
    }
    if response.is_success() {
        return error::whole_json(response);
    }
    let code = response.json::<Refusal>().ok().map(|refusal| refusal.error_code);
    if response.status == 404 && code.is_some_and(|code| (40_401..=NO_SUCH_SCHEMA).contains(&code)) {
        return Ok(());
    }
    let error = error::by_status(response, "cannot read a schema from the registry");
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
#[path = "registry_tests.rs"]
mod tests;
