//! For a person or a command beside the running stack: asks the warehouse, whose file the stack holds, and the poller,
//! and restarts parts to see how the platform bears it.

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result, bail};
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use serde_json::{Value, json};
use sluice_local::kafka_poller::Poller;
use snowflake_emulator::Emulator;
use tokio::{
    net::TcpListener,
    sync::{Mutex, mpsc, watch},
};

use crate::{
    creation,
    machine::{processes::Part, registry::Registry, services, state::Folders},
    topics::Topics,
};

/// How long the warehouse is away when it is restarted.
const OUTAGE: Duration = Duration::from_secs(1);

/// What can be asked and restarted.
pub(crate) struct Control {
    pub warehouse: Emulator,
    pub broker: Arc<Broker>,
    pub topics: Topics,
    /// Tell the pollers to begin again.
    pub restart_pollers: Vec<mpsc::Sender<()>>,
    /// Takes what the platform cannot go on with.
    pub failed: mpsc::Sender<anyhow::Error>,
}

/// The Kafka broker's process, which may be another one from one moment to the next.
pub(crate) struct Broker {
    pub folders: Folders,
    pub registry: Arc<Registry>,
    pub port: u16,
    pub part: Mutex<Option<Part>>,
}

impl Broker {
    /// Ends the process and starts another one on the same data, if that is all that was read from it. The broker writes
    /// what it holds when it is asked to end.
    async fn restart(&self, topics: &Topics) -> Result<()> {
        self.stop().await;
        creation::check(&self.folders, &self.registry, &topics.positions()).await?;
        let (part, _) = services::kafka(&self.folders, &self.registry, self.port).await?;
        *self.part.lock().await = Some(part);
        Ok(())
    }

    pub(crate) async fn stop(&self) {
        if let Some(part) = self.part.lock().await.take() {
            part.stop().await;
        }
    }
}

/// Serves until `stop` turns true or its sender is gone.
pub(crate) async fn serve(control: Control, listener: TcpListener, mut stop: watch::Receiver<bool>) -> Result<()> {
    let router = Router::new()
        .route("/sql", post(sql))
        .route("/positions/{topic}", get(positions))
        .route("/restart/{part}", post(restart))
        .layer(middleware::from_fn(no_pages))
        .with_state(Arc::new(control));
    let stopped = async move {
        // An error means that nobody is left who could say stop.
        drop(stop.wait_for(|stop| *stop).await);
    };
    Ok(axum::serve(listener, router).with_graceful_shutdown(stopped).await?)
}

/// A web page that is open in a browser on this machine must not reach this.
async fn no_pages(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return StatusCode::FORBIDDEN.into_response();
    }
    next.run(request).await
}

struct Refused(StatusCode, anyhow::Error);

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"detail": format!("{:#}", self.1)}))).into_response()
    }
}

/// Runs the body, a query in DuckDB's SQL; the rows as lists of texts. Refused while dbt has the file.
async fn sql(State(control): State<Arc<Control>>, query: String) -> Result<Json<Value>, Refused> {
    let rows = control.warehouse.query(&query).await;
    rows.map(|rows| Json(json!(rows))).map_err(|error| Refused(StatusCode::SERVICE_UNAVAILABLE, error))
}

/// The first offset of each partition that the function has not finished, and why partitions do not go on; none of a topic
/// that nobody polls.
async fn positions(State(control): State<Arc<Control>>, Path(topic): Path<String>) -> Json<Value> {
    let poller = control.topics.of(&topic);
    let positions = poller.map(Poller::positions).unwrap_or_default();
    let stalled = poller.map(Poller::stalled).unwrap_or_default();
    Json(json!({"topic": topic, "positions": positions, "stalled": stalled}))
}

async fn restart(State(control): State<Arc<Control>>, Path(part): Path<String>) -> Result<StatusCode, Refused> {
    let restarted = control.restart(&part).await;
    restarted.map(|()| StatusCode::NO_CONTENT).map_err(|error| Refused(StatusCode::BAD_REQUEST, error))
}

impl Control {
    async fn restart(&self, part: &str) -> Result<()> {
        match part {
            "kafka" => match self.broker.restart(&self.topics).await {
                Ok(()) => Ok(()),
                Err(error) => {
                    let answer = format!("{error:#}");
                    self.failed.send(error).await.context("the platform has ended")?;
                    bail!("{answer}")
                }
            },
            "poller" => {
                for restart in &self.restart_pollers {
                    restart.send(()).await.context("a poller has ended")?;
                }
                Ok(())
            }
            "snowflake" => self.warehouse.restart(OUTAGE).await,
            _ => bail!("{part} cannot be restarted; kafka, poller and snowflake can"),
        }
    }
}
