//! The activation's part of the demo: the difference, what came of it, and the proof that HubSpot holds the model.

use std::collections::BTreeSet;

use anyhow::{Context, Result, bail, ensure};
use serde_json::json;
use sluice_core::functions::ACTIVATE_HUBSPOT;
use sluice_pipeline::activate::{Report, Status};

use crate::stack::Stack;

/// What the model wants of each contact, as texts in the order of [`PROPERTIES`].
const MODEL: &str = "SELECT record_id, total_orders, lifetime_value, customer_tier FROM ANALYTICS__REPORTING.customer_activation \
                     WHERE suppressed_because IS NULL";
const PROPERTIES: [&str; 3] = ["total_orders", "lifetime_value", "customer_tier"];

/// What a run would send.
pub(crate) async fn difference(stack: &Stack) -> Result<Report> {
    ask(stack, &json!({"cause": "demo", "dry_run": true})).await
}

/// Sends it. A run that another one is before waits for its end by a message of its own.
pub(crate) async fn send(stack: &Stack) -> Result<Report> {
    let report = ask(stack, &json!({"cause": "demo", "allow": true})).await?;
    ensure!(report.status == Status::Completed, "the activation did not complete: {report:?}");
    Ok(report)
}

async fn ask(stack: &Stack, request: &serde_json::Value) -> Result<Report> {
    let answer = stack.functions.invoke(&ACTIVATE_HUBSPOT, request).await?;
    serde_json::from_value(answer).context("the activation answered something else")
}

/// Fails when a contact holds something else than the model says, or was written the same value twice in a row.
pub(crate) async fn verify(stack: &Stack) -> Result<usize> {
    let rows = stack.warehouse.query(MODEL).await?;
    for row in &rows {
        let text = |at: usize| row.get(at).cloned().flatten().unwrap_or_default();
        let id: i64 = text(0).parse().context("a record's id is no number")?;
        for (at, property) in PROPERTIES.iter().enumerate() {
            let (wanted, held) = (text(at + 1), stack.hubspot.value(id, property).unwrap_or_default());
            if plain(&wanted) != plain(&held) {
                bail!("HubSpot's contact {id} holds '{held}' as {property}, and the model says '{wanted}'");
            }
        }
    }
    let mut newest = std::collections::BTreeMap::new();
    for write in stack.hubspot.history() {
        let before = newest.insert((write.id, write.property.clone()), write.value.clone());
        ensure!(before.as_ref() != Some(&write.value), "{} of contact {} was written twice", write.property, write.id);
    }
    let ids: BTreeSet<_> = rows.iter().filter_map(|row| row.first()).collect();
    Ok(ids.len())
}

/// Numbers without zeros that mean nothing.
fn plain(text: &str) -> &str {
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text }
}

/// What the demo says of it.
pub(crate) fn print(difference: &Report, sent: Option<&Report>, contacts: usize) {
    println!(
        "\n  activation: {} of {contacts} contacts differed from what HubSpot was known to hold",
        difference.changed
    );
    for shown in &difference.shown {
        let from = shown.from.as_deref().unwrap_or("nothing");
        println!("    contact {}: {} from {from} to {}", shown.id, shown.property, shown.to);
    }
    if let Some(sent) = sent {
        let seconds = (sent.ended_at - sent.started_at).num_milliseconds();
        let seconds = format!("{}.{} s", seconds / 1_000, seconds % 1_000 / 100);
        println!("    {} written, {} refused, {} gone, in {seconds}", sent.written, sent.refused, sent.gone);
    }
    println!("    HubSpot holds the model, and no value was written twice");
}
