//! What may arrive: a run of dbt that has succeeded, our own messages, and what a person requests.

use aws_lambda_events::sqs::SqsEvent;
use serde::Deserialize;
use sluice_core::{Error, Result, TableId, event::DbtRun};
use sluice_pipeline::activate::Request;

/// The function's event: a batch from the queue, or a person's request, whose answer tells what it came to.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    Batch(SqsEvent),
    Request(Request),
}

/// What a message's body requests for; `None` when the run of dbt has not built the model.
pub fn parse(body: &str, model: &TableId) -> Result<Option<Request>> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Body {
        Announcement { detail: DbtRun },
        Request(Request),
    }
    let unknown = || Error::invalid_data("the message is neither a RunSucceeded event nor one of ours").as_final();
    match serde_json::from_str(body).map_err(|error| unknown().because(error))? {
        Body::Request(request) => Ok(Some(request)),
        Body::Announcement { detail } => {
            let built = |name: &String| name.eq_ignore_ascii_case(&model.table);
            let cause = format!("dbt run {}", detail.number);
            Ok(detail.built.iter().any(built).then(|| Request { cause, ..Request::default() }))
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_run_that_has_built_the_model_wakes() {
        let model: TableId = "ANALYTICS.REPORTING.CUSTOMER_ACTIVATION".parse().expect("a table");
        let run = |built: &[&str]| {
            let detail = json!({"id": "r", "run_id": "r", "number": 7, "selectors": [], "built": built});
            json!({"source": "sluice.dbt", "detail-type": "RunSucceeded", "detail": detail}).to_string()
        };
        let parsed = |body: &str| parse(body, &model);
        let request = parsed(&run(&["sales", "customer_activation"])).expect("a request").expect("the model is built");
        assert_eq!((request.cause.as_str(), request.allow, request.dry_run), ("dbt run 7", false, false));
        assert_eq!(parsed(&run(&["sales"])).expect("an event"), None);
        let own = parsed(r#"{"cause": "ada", "allow": true}"#).expect("a request").expect("ours");
        assert!(own.allow && !own.retry);
        for body in ["", "{}", r#"{"cause": "ada", "alow": true}"#, r#"{"detail": {"id": "x"}}"#] {
            let refused = parsed(body).expect_err(body);
            assert!(refused.is_final(), "{body}");
        }
    }
}
