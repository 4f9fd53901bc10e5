//! Translates requests of CloudFormation and of the schedule into work on the account and back.

use chrono::Utc;
use serde_json::{Value, json};
use sluice_core::Result;
use sluice_http::Client;
use sluice_lambda::Invocation;

use crate::{
    answer::Unanswered,
    deps::{Deps, usable},
    event::{Continued, Event},
    look,
    request::answered,
};

/// Serves one request. A request of CloudFormation is answered also where there are no usable settings.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Result<Deps>) -> Result<Value> {
    invocation.is_one_run();
    let rest = match event {
        Event::Drift(_) => {
            let found = look::drift(usable(deps)?, invocation).await?;
            return Ok(json!(found));
        }
        Event::Resource(request) => Continued { request, since: Utc::now(), may_stand: None },
        Event::Continued(rest) => rest,
    };
    let _unanswered = Unanswered::of(&rest.request);
    let Some(answer) = answered(&rest, invocation, deps).await else { return Ok(json!({"answered": false})) };
    answer.send(&rest.request, &Client::new()?).await?;
    Ok(json!({"answered": true}))
}
