//! `sluice activate`: what a published model changes in HubSpot; and, for `rejects` and `retry`, what it does not take.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_core::{
    Error,
    functions::{ACTIVATE_HUBSPOT, HUBSPOT},
};
use sluice_pipeline::{
    activate::{self, Report, Status, Switch},
    observe::Unsent,
};

use crate::{
    args::{ActivateArgs, RejectsArgs},
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    output::{self, Side, WIDTH, age, shortened, thousands},
    warehouse::Observe,
};

pub(super) async fn run(context: &Context<'_>, args: &ActivateArgs) -> Outcome {
    if args.stop.is_some() || args.go_on {
        return switch(context, args).await;
    }
    let plan = ask(context, &json!({"cause": "sluice activate", "dry_run": true}), "comparing").await?;
    if args.dry_run || plan.changed == 0 {
        return output::print(context.json, &plan, render);
    }
    if !args.yes {
        confirm::agreed("an activation", &render(&plan), "Send this to HubSpot?")?;
    }
    send(context, false).await
}

/// What was refused or gone is tried again, with all else that differs.
pub(super) async fn retry(context: &Context<'_>) -> Outcome {
    send(context, true).await
}

async fn send(context: &Context<'_>, retry: bool) -> Outcome {
    let by = context.platform.caller().await?;
    let request = json!({"cause": format!("sluice activate by {by}"), "allow": true, "retry": retry});
    let report = ask(context, &request, "sending").await?;
    output::print(context.json, &report, render)
}

async fn ask(context: &Context<'_>, request: &Value, doing: &'static str) -> Outcome<Report> {
    let answer = context.progress.spin(doing, context.platform.invoke(ACTIVATE_HUBSPOT.logical, request)).await?;
    if answer["outcome"] == "deferred" {
        return Err(Failure::from(Error::conflict("another activation is under way; this one goes on behind it"))
            .hint("`sluice status` shows how it ended"));
    }
    let unread = |error| Error::internal("the function answered something else").because(error);
    Ok(serde_json::from_value(answer).map_err(unread)?)
}

async fn switch(context: &Context<'_>, args: &ActivateArgs) -> Outcome {
    let by = context.platform.caller().await?;
    let (stopped, reason) = (args.stop.is_some(), args.stop.clone().unwrap_or_default());
    let to = Switch { stopped, by, at: Utc::now(), reason };
    activate::switch(&context.platform.store()?, HUBSPOT, &to).await?;
    output::print(context.json, &to, |to| match to.stopped {
        true => "nothing more is sent to HubSpot; a run under way ends within its part".to_owned(),
        false => "activations may send again; the next dbt run is followed by one".to_owned(),
    })
}

/// How the last activation ended, and whether one may send.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct State {
    pub last: Option<Report>,
    pub stopped: Option<Switch>,
}

pub(super) async fn state(context: &Context<'_>) -> Outcome<Option<State>> {
    let store = context.platform.store()?;
    let state =
        State { last: activate::last(&store, HUBSPOT).await?, stopped: activate::stopped(&store, HUBSPOT).await? };
    Ok(Some(state).filter(|state| state.last.is_some() || state.stopped.is_some()))
}

/// A few lines of the platform's status.
pub(super) fn in_status(state: &State, now: DateTime<Utc>) -> String {
    let mut lines = Vec::new();
    if let Some(report) = &state.last {
        lines.push(format!("activation: {} {} ago", outcome(report), age(now, report.ended_at)));
        lines.push(proof(report));
    }
    if let Some(switch) = &state.stopped {
        let since = age(now, switch.at);
        lines.push(format!("activation: stopped {since} ago by {}: {}", switch.by, switch.reason));
    }
    lines.iter().map(|line| shortened(line, WIDTH)).collect::<Vec<_>>().join("\n")
}

fn outcome(report: &Report) -> String {
    let Report { number, written, already_held, refused, gone, pending, .. } = report;
    let word = match report.status {
        Status::Completed => "completed",
        Status::Waiting => "waits",
        Status::Stopped => "stopped",
        Status::DryRun => "was not sent",
    };
    let counts = format!(
        "{} written, {} held already, {} refused, {} gone, {} to send",
        thousands(*written),
        thousands(*already_held),
        thousands(*refused),
        thousands(*gone),
        thousands(*pending)
    );
    let reason = report.reason.as_ref().map_or_else(String::new, |reason| format!(" ({reason})"));
    format!("run {number} {word}{reason}: {counts}")
}

fn proof(report: &Report) -> String {
    let activate::Proof { landed, overwritten, waiting } = report.proof;
    let (landed, overwritten, waiting) = (thousands(landed), thousands(overwritten), thousands(waiting));
    format!("  seen by the extract: {landed} as written, {overwritten} overwritten since, {waiting} not yet")
}

fn render(report: &Report) -> String {
    let mut lines = match report.status {
        Status::DryRun => vec![format!(
            "HubSpot: {} contacts differ from the model, {} do not; nothing was sent",
            thousands(report.changed),
            thousands(report.unchanged)
        )],
        _ => vec![format!("HubSpot: {}", outcome(report))],
    };
    if let (Status::DryRun, Some(reason)) = (report.status, &report.reason) {
        lines.push(format!("  asks for you: {reason}"));
    }
    let counted = |what: &str, counts: &BTreeMap<String, u64>| -> Vec<String> {
        counts.iter().map(|(name, count)| format!("  {what:<11} {:>9}  {name}", thousands(*count))).collect()
    };
    lines.extend(counted("changes", &report.properties));
    lines.extend(counted("suppressed", &report.suppressed));
    lines.extend(counted("not taken", &report.reasons));
    if report.given_up > 0 {
        let count = thousands(report.given_up);
        lines.push(format!("  {count} were refused or gone before; `sluice rejects {HUBSPOT}` lists them"));
    }
    for shown in &report.shown {
        let from = shown.from.as_deref().unwrap_or("nothing");
        lines.push(format!("  contact {}: {} from {from} to {}", shown.id, shown.property, shown.to));
    }
    lines.push(proof(report));
    lines.iter().map(|line| shortened(line, WIDTH)).collect::<Vec<_>>().join("\n")
}

/// What HubSpot does not hold although the model says so.
#[derive(Debug, Serialize)]
struct Rejected {
    destination: &'static str,
    records: usize,
    newest: Vec<Unsent>,
}

pub(super) async fn rejects(context: &Context<'_>, args: &RejectsArgs) -> Outcome {
    let warehouse = context.platform.warehouse().await?;
    let mut newest = context.progress.spin("asking the ledger", warehouse.unsent(HUBSPOT)).await?;
    let records = newest.len();
    newest.truncate(usize::from(args.limit));
    output::print(context.json, &Rejected { destination: HUBSPOT, records, newest }, rejected)
}

fn rejected(answer: &Rejected) -> String {
    let mut text = format!("HubSpot: {} contacts do not hold what the model says", thousands(answer.records as u64));
    if answer.newest.is_empty() {
        return text;
    }
    let columns = [("CONTACT", Side::Left), ("STATE", Side::Left), ("AGE", Side::Right), ("REASON", Side::Left)];
    let row = |unsent: &Unsent| {
        let since = unsent.at.map_or_else(|| "-".to_owned(), |at| age(Utc::now(), at));
        vec![unsent.record.clone(), unsent.state.as_str().to_owned(), since, shortened(&unsent.reason, WIDTH / 2)]
    };
    let rows: Vec<_> = answer.newest.iter().map(row).collect();
    text.push_str(&format!("\n\n{}", output::table(&columns, &rows)));
    text.push_str(&format!("\n\n`sluice retry {HUBSPOT}` sends them again"));
    text
}

#[cfg(test)]
pub(crate) mod tests;
