//! From a request to its answer.

use std::{cell::RefCell, time::Instant};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use sluice_core::{
    LakeId,
    port::{DelayedQueue, Secrets},
};
use tracing::{error, info};

use crate::{
    auth::Guard,
    body::{self, Format, Limits},
    catalogue::{Catalogue, Missing},
    check::{self, Valid},
    cors::Origins,
    delivery::{Delivery, EventProducer, Reach, Via},
    event::{Request, Response},
    metrics::EventCounts,
    openapi,
    problem::{Problem, rejected},
    rate::Bucket,
};

/// Most rejected events that an answer tells of.
const REJECTED_TOLD: usize = 100;
/// When to try again while neither Kafka nor the outbox takes anything.
const RETRY_AFTER_SECONDS: &str = "10";

/// When to try again where only a deployment helps.
const RETRY_AFTER_DEPLOYMENT_SECONDS: &str = "300";

/// Why a topic takes no event.
fn absent(missing: Missing) -> Problem {
    match missing {
        Missing::Unknown => Problem::new(404, "Not found", "there is no such topic"),
        Missing::Unavailable => {
            let detail = "this topic takes no events, because its schema cannot be used; other topics take theirs";
            Problem::new(503, "Service unavailable", detail).header("retry-after", RETRY_AFTER_DEPLOYMENT_SECONDS)
        }
    }
}

/// What the addresses are for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Route<'a> {
    Health,
    Document,
    Events { topic: &'a str },
}

impl<'a> Route<'a> {
    fn of(path: &'a str) -> Option<Self> {
        match path {
            "/health" => Some(Route::Health),
            "/openapi.json" => Some(Route::Document),
            _ => {
                let topic = path.strip_prefix("/v1/events/")?;
                (!topic.is_empty() && !topic.contains('/')).then_some(Route::Events { topic })
            }
        }
    }

    fn methods(self) -> &'static str {
        match self {
            Route::Health | Route::Document => "GET, HEAD, OPTIONS",
            Route::Events { .. } => "POST, OPTIONS",
        }
    }
}

/// Everything that an answer needs.
pub struct Collector<K, Q, S> {
    pub lake_id: LakeId,
    pub catalogue: Catalogue,
    pub origins: Origins,
    pub limits: Limits,
    pub bucket: RefCell<Bucket>,
    pub guard: Guard<S>,
    pub delivery: Delivery<K, Q>,
    /// The OpenAPI document, as if it was asked for without a stage.
    pub document: Value,
}

impl<K: EventProducer, Q: DelayedQueue, S: Secrets> Collector<K, Q, S> {
    /// Answers any request. `time` becomes the time of the records. The counts are those of a request that may send to a
    /// topic, however it ends.
    pub async fn answer(
        &self,
        request: &Request,
        time: DateTime<Utc>,
        now: Instant,
    ) -> (Response, Option<EventCounts>) {
        let id = &request.request_context.request_id;
        let origin = request.header("origin");
        let mut counts = None;
        let response = match self.route(request, time, now, &mut counts).await {
            Ok(response) => response,
            Err(problem) => {
                let (status, detail) = (problem.status(), problem.detail().to_owned());
                if status >= 500 {
                    error!(status, detail, path = request.raw_path, "a request could not be served");
                } else {
                    info!(status, detail, path = request.raw_path, "a request was refused");
                }
                problem.response(id)
            }
        };
        let response = self.origins.open(origin, response);
        (response.with("x-request-id", id).with("x-content-type-options", "nosniff"), counts)
    }

    async fn route(
        &self,
        request: &Request,
        time: DateTime<Utc>,
        now: Instant,
        counts: &mut Option<EventCounts>,
    ) -> Result<Response, Problem> {
        let route = Route::of(request.path())
            .ok_or_else(|| Problem::new(404, "Not found", "there is nothing at this address; see /openapi.json"))?;
        match (request.method(), route) {
            ("OPTIONS", _) => self.options(request, route),
            ("GET", Route::Health) => Ok(self.health()),
            ("GET", Route::Document) => Ok(Response::json(200, &openapi::under(&self.document, request.base_path()))),
            ("HEAD", Route::Health | Route::Document) => Ok(Response { body: String::new(), ..self.health() }),
            ("POST", Route::Events { topic }) => self.collect(request, topic, time, now, counts).await,
            _ => Err(Problem::new(405, "Method not allowed", "this address does not take the method")
                .header("allow", route.methods())),
        }
    }

    fn options(&self, request: &Request, route: Route<'_>) -> Result<Response, Problem> {
        let origin = request.header("origin");
        if origin.is_none() || request.header("access-control-request-method").is_none() {
            return Ok(Response::empty(204).with("allow", route.methods()));
        }
        self.known_origin(origin)?;
        Ok(self.origins.preflight(route.methods()))
    }

    /// Alive; what the last request has seen of Kafka, and which topics take no events. It asks nobody: anybody may ask it.
    fn health(&self) -> Response {
        let kafka = match self.delivery.reach() {
            Reach::Untried => "untried",
            Reach::Reached => "reached",
            Reach::Away { .. } => "away",
        };
        let unavailable: Vec<&str> = self.catalogue.unavailable().collect();
        Response::json(200, &json!({"status": "ok", "kafka": kafka, "topics_unavailable": unavailable}))
    }

    fn known_origin(&self, origin: Option<&str>) -> Result<(), Problem> {
        if self.origins.allow(origin) {
            return Ok(());
        }
        Err(Problem::new(403, "Forbidden", "pages of this origin may not send events"))
    }

    async fn collect(
        &self,
        request: &Request,
        topic: &str,
        time: DateTime<Utc>,
        now: Instant,
        counts: &mut Option<EventCounts>,
    ) -> Result<Response, Problem> {
        self.known_origin(request.header("origin"))?;
        let caller = self.guard.admit(request, topic, now).await?;
        let topic = self.catalogue.get(topic).map_err(absent)?;
        let counts = counts.insert(EventCounts { topic: topic.name.clone(), ..EventCounts::default() });
        let format = Format::of(request)?;
        let text = body::text(request, self.limits)?;
        let events = body::events(&text, format, self.limits)?;
        self.bucket.borrow_mut().take(events.len(), now).map_err(|wait| {
            counts.throttled = events.len() as u64;
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            Problem::new(429, "Too many requests", "events come faster than this instance takes them")
                .header("retry-after", seconds.max(1).to_string())
        })?;

        let (mut valid, mut faulty): (Vec<Valid>, Vec<Value>) = (Vec::new(), Vec::new());
        for (index, event) in events.iter().enumerate() {
            match check::check(topic, event, || uuid::Uuid::now_v7().to_string()) {
                Ok(event) => valid.push(event),
                Err(faults) => faulty.push(rejected(index, &faults)),
            }
        }
        if !faulty.is_empty() {
            counts.rejected = faulty.len() as u64;
            let detail =
                format!("{} of {} events break the topic's contract; none was accepted", faulty.len(), events.len());
            faulty.truncate(REJECTED_TOLD);
            return Err(Problem::bad_request(detail).member("rejected", faulty));
        }
        let ids: Vec<String> = valid.iter().map(|event| event.id.clone()).collect();
        let via = self.delivery.deliver(&topic.name, valid, time, now).await.map_err(|error| {
            error!(topic = topic.name, error = error.chain(), error_kind = %error.kind(), "neither Kafka nor the outbox");
            Problem::new(503, "Service unavailable", "the events could not be kept; send them again with these ids")
                .header("retry-after", RETRY_AFTER_SECONDS)
                .member("event_ids", json!(ids))
        })?;
        counts.accepted = ids.len() as u64;
        counts.in_outbox = if via == Via::Outbox { counts.accepted } else { 0 };
        info!(topic = topic.name, caller, accepted = ids.len(), via = via.as_str(), "events accepted");
        Ok(Response::json(202, &json!({"accepted": ids.len(), "event_ids": ids, "via": via.as_str()})))
    }
}
