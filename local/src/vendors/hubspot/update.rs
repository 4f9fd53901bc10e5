//! Batches of changes: <https://developers.hubspot.com/docs/api-reference/crm-contacts-v3/batch/post-crm-v3-objects-contacts-batch-update>.
//!
//! A record is changed whole or not at all. With a trace in every input the answer is in parts; without, one that is wrong
//! refuses the batch. A body without `inputs` is answered like a batch of nothing, which HubSpot does.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, NaiveDate};
use serde::Deserialize;
use serde_json::{Value, json};

use super::record::{Property, STAGES, find, property, render};
use super::refusal::{MAX_BATCH, Refusal, correlation_id, invalid, now};
use super::state::{Account, HubSpotState};

#[derive(Deserialize)]
struct Request {
    inputs: Option<Vec<Input>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Input {
    id: String,
    properties: BTreeMap<String, Option<String>>,
    #[serde(default)]
    id_property: Option<String>,
    #[serde(default)]
    object_write_trace_id: Option<String>,
}

/// Why a record is not changed.
struct Wrong {
    category: &'static str,
    code: &'static str,
    message: String,
}

pub(super) async fn batch_update(State(state): State<HubSpotState>, body: String) -> Result<Response, Refusal> {
    let request: Request = serde_json::from_str(&body)
        .map_err(|error| invalid(format!("Invalid input JSON on line {}: {error}", error.line())))?;
    let inputs = request.inputs.unwrap_or_default();
    let mut account = state.lock();
    check_batch(&inputs)?;
    let traces: HashSet<&String> = inputs.iter().filter_map(|input| input.object_write_trace_id.as_ref()).collect();
    let in_parts = traces.len() == inputs.len() && !account.config.refuses_whole_batches;
    let judged: Vec<Result<i64, Wrong>> = inputs.iter().map(|input| judge(&account, input)).collect();
    if let Some(wrong) = judged.iter().find_map(|judged| judged.as_ref().err()).filter(|_| !in_parts) {
        return Err(Refusal(StatusCode::BAD_REQUEST, wrong.category, wrong.message.clone()));
    }
    let (mut results, mut errors) = (Vec::new(), Vec::new());
    for (input, judged) in inputs.iter().zip(judged) {
        match judged {
            Ok(id) => results.push(change(&mut account, id, input)?),
            Err(wrong) => errors.push(error(input, &wrong)),
        }
    }
    let mut answer = json!({"status": "COMPLETE", "results": results, "startedAt": now(), "completedAt": now()});
    if errors.is_empty() {
        return Ok(Json(answer).into_response());
    }
    answer["numErrors"] = json!(errors.len());
    answer["errors"] = Value::from(errors);
    Ok((StatusCode::MULTI_STATUS, Json(answer)).into_response())
}

fn check_batch(inputs: &[Input]) -> Result<(), Refusal> {
    let distinct: BTreeSet<&str> = inputs.iter().map(|input| input.id.as_str()).collect();
    if inputs.len() > MAX_BATCH || distinct.len() < inputs.len() {
        return Err(invalid(format!("a batch takes at most {MAX_BATCH} inputs, each id once")));
    }
    if inputs.iter().any(|input| input.id_property.is_some()) {
        return Err(invalid("Unable to perform update/upsert by non-unique 0-1 property"));
    }
    Ok(())
}

/// The record that an input changes.
fn judge(account: &Account, input: &Input) -> Result<i64, Wrong> {
    let gone = || {
        let message = "Could not get some CONTACT objects, they may be deleted or not exist.".to_owned();
        Wrong { category: "OBJECT_NOT_FOUND", code: "OBJECT_NOT_FOUND", message }
    };
    let id: i64 = input.id.parse().map_err(|_| gone())?;
    let found = account.find(id).filter(|contact| !contact.archived).ok_or_else(gone)?;
    if found.id != id && !account.config.merged_ids_are_written {
        return Err(gone());
    }
    for (name, value) in &input.properties {
        let wrong = |code, message: String| Wrong { category: "VALIDATION_ERROR", code, message };
        let property =
            find(name).ok_or_else(|| wrong("PROPERTY_DOESNT_EXIST", format!("Property \"{name}\" does not exist")))?;
        if property.read_only {
            return Err(wrong("READ_ONLY_VALUE", format!("\"{name}\" is a read only property")));
        }
        let value = value.as_deref().unwrap_or_default();
        let code = refused(property, value);
        if let Some(code) = code {
            return Err(wrong(code, format!("{value} was not valid for {name}")));
        }
    }
    Ok(found.id)
}

/// Why a property does not take a value. An empty one clears.
fn refused(property: &Property, value: &str) -> Option<&'static str> {
    let number = |text: &str| {
        let digits = text.strip_prefix('-').unwrap_or(text);
        !digits.is_empty()
            && digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
            && digits.matches('.').count() <= 1
    };
    let fits = match property.kind {
        _ if value.is_empty() => return None,
        "number" => number(value),
        "bool" => value == "true" || value == "false",
        "date" => value.parse::<NaiveDate>().is_ok(),
        "datetime" => value.parse::<i64>().is_ok() || DateTime::parse_from_rfc3339(value).is_ok(),
        "enumeration" => property.options.contains(&value),
        _ => value.chars().count() <= 65_536,
    };
    match property.kind {
        _ if fits => None,
        "number" => Some("INVALID_LONG"),
        "enumeration" => Some("INVALID_OPTION"),
        _ => Some("INVALID_VALUE"),
    }
}

/// Writes one record's values and shows it.
fn change(account: &mut Account, id: i64, input: &Input) -> Result<Value, Refusal> {
    let failed = |error: anyhow::Error| Refusal(StatusCode::INTERNAL_SERVER_ERROR, "ERROR", format!("{error:#}"));
    let mut values: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &input.properties {
        let value = normalised(name, value.as_deref().unwrap_or_default());
        let ignored = account.config.ignores_writes || name == "lifecyclestage" && is_backwards(account, id, &value);
        if !ignored {
            values.insert(name.clone(), value);
        }
    }
    account.write(id, values).map_err(failed)?;
    let contact = account.find(id).ok_or_else(|| invalid("the contact is gone"))?;
    let mut record = render(account, contact, input.properties.keys());
    if let Some(trace) = &input.object_write_trace_id {
        record["objectWriteTraceId"] = json!(trace);
    }
    Ok(record)
}

/// Numbers come back without zeros that mean nothing.
fn normalised(name: &str, value: &str) -> String {
    match find(name) {
        Some(property) if property.kind == "number" && value.contains('.') => {
            value.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => value.to_owned(),
    }
}

fn is_backwards(account: &Account, id: i64, value: &str) -> bool {
    let at = |stage: &str| STAGES.iter().position(|known| *known == stage);
    let now = account.find(id).and_then(|contact| property(account, contact, "lifecyclestage"));
    !value.is_empty() && now.as_deref().and_then(at) > at(value)
}

fn error(input: &Input, wrong: &Wrong) -> Value {
    let context = match &input.object_write_trace_id {
        Some(trace) => json!({"objectWriteTraceId": [trace], "ids": [input.id]}),
        None => json!({"ids": [input.id]}),
    };
    json!({
        "status": "error", "id": correlation_id(), "category": wrong.category, "message": wrong.message,
        "context": context, "links": {}, "errors": [{"message": wrong.message, "code": wrong.code, "context": {}}],
    })
}
