//! One invocation: its identity, its deadline, its span, and how its error reaches Lambda.

use std::time::{Duration, SystemTime};

use lambda_runtime::{Context, Diagnostic, LambdaEvent, service_fn};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::value::RawValue;
use sluice_core::{Error, Kind, Result, RunId};
use tracing::{Instrument, Span, field};

use crate::{MainResult, hint};

/// The longest that Lambda lets an invocation take.
const LONGEST: Duration = Duration::from_secs(900);

/// What a handler may know of the invocation that it serves.
#[derive(Debug, Clone)]
pub struct Invocation {
    /// Fresh for every invocation, also for a retry of the same event: files of two attempts never share a name.
    pub run_id: RunId,
    pub request_id: String,
    deadline: SystemTime,
}

impl Invocation {
    /// An invocation that may take this long.
    pub fn new(request_id: impl Into<String>, time: Duration) -> Self {
        Invocation {
            run_id: RunId(uuid::Uuid::now_v7().to_string()),
            request_id: request_id.into(),
            deadline: SystemTime::now() + time,
        }
    }

    fn of(context: &Context) -> Self {
        let given = Duration::from_millis(context.deadline);
        // Lambda says until when there is time, `cargo lambda watch` for how long.
        let begin = if given <= LONGEST { SystemTime::now() } else { SystemTime::UNIX_EPOCH };
        Invocation { deadline: begin + given, ..Self::new(&context.request_id, Duration::ZERO) }
    }

    /// The same invocation for another run: the same deadline, an id of its own.
    pub fn another_run(&self) -> Self {
        Invocation { run_id: RunId(uuid::Uuid::now_v7().to_string()), ..self.clone() }
    }

    /// The whole invocation is one run: its lines in the log carry the run's id.
    pub fn is_one_run(&self) {
        Span::current().record("run_id", field::display(&self.run_id));
    }

    /// The span of a run beside others in one invocation.
    pub fn run_span(&self) -> Span {
        tracing::info_span!("run", run_id = %self.run_id, request_id = self.request_id)
    }

    /// What is left until Lambda ends the process, less a reserve for finishing.
    pub fn time_left(&self, reserve: Duration) -> Duration {
        self.deadline.duration_since(SystemTime::now()).unwrap_or_default().saturating_sub(reserve)
    }
}

/// Serves events until Lambda stops the process.
pub async fn run<E: DeserializeOwned, R: Serialize>(handler: impl AsyncFn(E, &Invocation) -> Result<R>) -> MainResult {
    let handler = &handler;
    run_on_text(async move |text: Box<str>, invocation: &Invocation| {
        let event = parse(&text)?;
        drop(text);
        handler(event, invocation).await
    })
    .await
}

/// [`run`] for a function that reads the event's text itself, because its events are megabytes long.
pub async fn run_on_text<R: Serialize>(handler: impl AsyncFn(Box<str>, &Invocation) -> Result<R>) -> MainResult {
    let handler = &handler;
    lambda_runtime::run(service_fn(async move |event: LambdaEvent<Box<RawValue>>| {
        let invocation = Invocation::of(&event.context);
        // The run's id comes in when the invocation turns out to be one run: an hour's waking runs several tables.
        let span = tracing::info_span!("invocation", run_id = field::Empty, request_id = invocation.request_id);
        // Boxed: a handler's future nests every client below it, deeper than the compiler lays out at once.
        let answer = Box::pin(handler(event.payload.into(), &invocation));
        answer.instrument(span.clone()).await.map_err(|error| span.in_scope(|| diagnose(&error)))
    }))
    .await
}

fn parse<E: DeserializeOwned>(text: &str) -> Result<E> {
    serde_json::from_str(text).map_err(|error| {
        Error::new(Kind::InvalidData, "the event does not have the shape that this function takes").because(error)
    })
}

/// Logs the whole chain once, with the operator's hint, and gives Lambda a stable error type. A hint of the error's own
/// goes to the invoker, too: nothing else there can know it.
fn diagnose(error: &Error) -> Diagnostic {
    let hint = hint(error);
    tracing::error!(error = error.chain(), error_kind = %error.kind(), retry = ?error.retry(), hint, "invocation failed");
    Diagnostic { error_type: error.kind().as_str().to_owned(), error_message: error.answer() }
}

#[cfg(test)]
mod tests {
    use sluice_core::error::apart;

    use super::*;

    #[test]
    fn the_time_left_is_told_as_lambda_and_as_cargo_lambda_tell_it() {
        let left = |deadline: Duration| {
            let mut context = Context::default();
            context.deadline = u64::try_from(deadline.as_millis()).unwrap();
            Invocation::of(&context).time_left(Duration::from_secs(5)).as_secs_f64().round()
        };
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(left(now + Duration::from_secs(65)), 60.0);
        assert_eq!(left(Duration::from_secs(600)), 595.0);
        assert_eq!(left(now - Duration::from_secs(1)), 0.0);
    }

    #[test]
    fn an_errors_own_hint_reaches_the_invoker() {
        let refused = Error::conflict("nothing was begun").with_hint("wait, then run again");
        let Diagnostic { error_type, error_message } = diagnose(&refused);
        assert_eq!(error_type, "Conflict");
        assert_eq!(apart(&error_message), ("nothing was begun", Some("wait, then run again")));
        assert_eq!(diagnose(&Error::conflict("lost")).error_message, "lost");
    }
}
