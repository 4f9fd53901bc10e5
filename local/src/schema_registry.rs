//! A Confluent schema registry on one machine, for topics in Avro.
//!
//! Kept from the real one: a schema has one id, whatever subjects it is in, and keeps it for ever; a subject's versions are counted
//! from 1; a schema is compatible that reads what the newest version has written (BACKWARD, the default); what is missing is a 404
//! with the registry's own code, what does not fit a 409, what is no schema a 422.
//! Left out: references, other formats than Avro, other levels of compatibility, deletion.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use anyhow::Context;
use apache_avro::{Schema, schema_compatibility::SchemaCompatibility};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tokio::{net::TcpListener, sync::watch};

/// What is kept in the file.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Kept {
    /// As they were registered; a schema's id is its place, counted from 1.
    schemas: Vec<String>,
    /// The ids of each subject's versions.
    subjects: BTreeMap<String, Vec<usize>>,
}

/// The registry. Records in Kafka name ids, so that these outlive the process.
#[derive(Debug)]
pub struct Registry {
    file: PathBuf,
    kept: Mutex<Kept>,
}

/// Why something was not done: the status and the registry's code.
struct Refused(StatusCode, u32, String);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"error_code": self.1, "message": self.2}))).into_response()
    }
}

type Answer = Result<Json<Value>, Refused>;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Given {
    schema: String,
    #[serde(default)]
    schema_type: Option<String>,
}

impl Registry {
    /// What the file holds; nothing where there is none.
    pub fn open(file: PathBuf) -> anyhow::Result<Self> {
        let kept = match fs::read(&file) {
            Ok(text) => {
                serde_json::from_slice(&text).with_context(|| format!("{} is no registry's", file.display()))?
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Kept::default(),
            Err(error) => return Err(error).with_context(|| format!("cannot read {}", file.display())),
        };
        Ok(Registry { file, kept: Mutex::new(kept) })
    }

    /// Answers until `stop` turns true or its sender is gone.
    pub async fn serve(self, listener: TcpListener, mut stop: watch::Receiver<bool>) -> anyhow::Result<()> {
        let stopped = async move {
            // An error means that nobody is left who could say stop.
            drop(stop.wait_for(|stop| *stop).await);
        };
        Ok(axum::serve(listener, self.router()).with_graceful_shutdown(stopped).await?)
    }

    fn router(self) -> Router {
        Router::new()
            .route("/schemas/ids/{id}", get(by_id))
            .route("/subjects", get(subjects))
            .route("/subjects/{subject}", post(find))
            .route("/subjects/{subject}/versions", get(versions).post(register))
            .route("/subjects/{subject}/versions/{version}", get(by_version))
            .route("/compatibility/subjects/{subject}/versions", post(compatible))
            .with_state(Arc::new(self))
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, kept: &Kept) -> Result<(), Refused> {
        let text = serde_json::to_vec_pretty(kept).map_err(io::Error::from);
        let beside = self.file.with_extension("draft");
        let written = text.and_then(|text| fs::write(&beside, text)).and_then(|()| fs::rename(&beside, &self.file));
        written.map_err(|error| Refused(StatusCode::INTERNAL_SERVER_ERROR, 50001, error.to_string()))
    }
}

impl Kept {
    fn subject(&self, subject: &str) -> Result<&Vec<usize>, Refused> {
        let versions = self.subjects.get(subject);
        versions.ok_or_else(|| missing(40401, format!("Subject '{subject}' not found.")))
    }

    fn text(&self, id: usize) -> Result<&String, Refused> {
        let text = id.checked_sub(1).and_then(|at| self.schemas.get(at));
        text.ok_or_else(|| missing(40403, format!("Schema {id} not found")))
    }

    /// The id of a schema that is written otherwise and means the same.
    fn id(&self, schema: &Schema) -> Option<usize> {
        let is_it = |text: &String| Schema::parse_str(text).is_ok_and(|known| known == *schema);
        self.schemas.iter().position(is_it).map(|at| at + 1)
    }

    /// Why the subject does not take the schema.
    fn fault(&self, subject: &str, schema: &Schema) -> Result<Option<String>, Refused> {
        let Some(newest) = self.subjects.get(subject).and_then(|versions| versions.last()) else { return Ok(None) };
        let newest = parsed(self.text(*newest)?)?;
        Ok(SchemaCompatibility::can_read(&newest, schema).err().map(|error| error.to_string()))
    }
}

fn missing(code: u32, text: String) -> Refused {
    Refused(StatusCode::NOT_FOUND, code, text)
}

fn parsed(text: &str) -> Result<Schema, Refused> {
    Schema::parse_str(text)
        .map_err(|error| Refused(StatusCode::UNPROCESSABLE_ENTITY, 42201, format!("Invalid schema: {error}")))
}

fn given(given: &Given) -> Result<Schema, Refused> {
    match given.schema_type.as_deref() {
        None | Some("AVRO") => parsed(&given.schema),
        Some(other) => {
            Err(Refused(StatusCode::UNPROCESSABLE_ENTITY, 42201, format!("this registry knows AVRO and not {other}")))
        }
    }
}

async fn by_id(State(registry): State<Arc<Registry>>, Path(id): Path<usize>) -> Answer {
    Ok(Json(json!({"schema": registry.kept().text(id)?})))
}

async fn subjects(State(registry): State<Arc<Registry>>) -> Json<Value> {
    Json(json!(registry.kept().subjects.keys().collect::<Vec<_>>()))
}

async fn versions(State(registry): State<Arc<Registry>>, Path(subject): Path<String>) -> Answer {
    let count = registry.kept().subject(&subject)?.len();
    Ok(Json(json!((1..=count).collect::<Vec<_>>())))
}

async fn by_version(State(registry): State<Arc<Registry>>, Path((subject, version)): Path<(String, String)>) -> Answer {
    let kept = registry.kept();
    let ids = kept.subject(&subject)?;
    let number = if version == "latest" { Some(ids.len()) } else { version.parse().ok() };
    let id = number.and_then(|number: usize| ids.get(number.checked_sub(1)?)).copied();
    let id = id.ok_or_else(|| missing(40402, format!("Version {version} not found.")))?;
    Ok(Json(json!({"subject": subject, "id": id, "version": number, "schema": kept.text(id)?})))
}

async fn find(State(registry): State<Arc<Registry>>, Path(subject): Path<String>, Json(wanted): Json<Given>) -> Answer {
    let schema = given(&wanted)?;
    let kept = registry.kept();
    let ids = kept.subject(&subject)?;
    let found = kept.id(&schema).and_then(|id| Some((id, ids.iter().position(|version| *version == id)? + 1)));
    let (id, version) = found.ok_or_else(|| missing(40403, "Schema not found".to_owned()))?;
    Ok(Json(json!({"subject": subject, "id": id, "version": version, "schema": kept.text(id)?})))
}

async fn compatible(
    State(registry): State<Arc<Registry>>,
    Path(subject): Path<String>,
    Json(wanted): Json<Given>,
) -> Answer {
    let fault = registry.kept().fault(&subject, &given(&wanted)?)?;
    Ok(Json(json!({"is_compatible": fault.is_none(), "messages": fault.into_iter().collect::<Vec<_>>()})))
}

async fn register(
    State(registry): State<Arc<Registry>>,
    Path(subject): Path<String>,
    Json(wanted): Json<Given>,
) -> Answer {
    let schema = given(&wanted)?;
    let mut kept = registry.kept();
    let known = kept.id(&schema);
    let is_there = known.is_some_and(|id| kept.subjects.get(&subject).is_some_and(|ids| ids.contains(&id)));
    if !is_there && let Some(fault) = kept.fault(&subject, &schema)? {
        let text = format!("Schema being registered is incompatible with an earlier schema: {fault}");
        return Err(Refused(StatusCode::CONFLICT, 409, text));
    }
    let id = known.unwrap_or_else(|| {
        kept.schemas.push(wanted.schema.clone());
        kept.schemas.len()
    });
    if !is_there {
        kept.subjects.entry(subject).or_default().push(id);
        registry.write(&kept)?;
    }
    Ok(Json(json!({"id": id})))
}
