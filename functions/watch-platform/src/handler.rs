//! Translates an event into a round of watching and back.

use std::time::Duration;

use chrono::Utc;
use sluice_core::{Result, port::SystemClock};
use sluice_lambda::{Invocation, Metrics, Unit};
use sluice_pipeline::watch::{Outcome, Watch};

use crate::{
    Deps,
    channels::{ANSWER_WITHIN, Senders},
    event::Event,
    openlineage,
    prefect::Prefect,
    surroundings::OnAws,
    views,
};

/// Kept of an invocation's time for answering.
const RESERVE: Duration = Duration::from_secs(5);

/// Runs one round, unless one is under way.
pub async fn serve(event: Event, invocation: &Invocation, deps: &Deps) -> Result<Outcome> {
    invocation.is_one_run();
    let config = &deps.config;
    let within = invocation.time_left(RESERVE);
    let (http, secrets, secret) = (&deps.http, &deps.secrets, &config.channels.secret);
    let prefect = Prefect { http, secrets, secret, lake: &config.lake_id };
    if let Event::Bus(news) = &event {
        prefect.news(news).await;
        if !news.is_judged() {
            return Ok(Outcome::Noted);
        }
    }
    let asked = event.asked()?;
    let watcher = deps.warehouse.watcher(&config.lake_id, &invocation.run_id, within);
    let watch = Watch {
        store: &deps.store,
        warehouse: &watcher,
        platform: &OnAws { ages: &deps.ages, usage: &deps.usage, config, prefect },
        channels: &Senders {
            table: &config.table,
            settings: &config.channels,
            http: &deps.http,
            secrets: &deps.secrets,
            topic: deps.topic.as_ref(),
            answer_within: ANSWER_WITHIN,
        },
        clock: &SystemClock,
        sources: &config.sources,
        table: &config.table,
        calendar: &config.calendar,
        stack: &config.lake_id.0,
        run_id: &invocation.run_id,
        until: Utc::now() + within,
    };
    // Boxed: one type with the layers of all clients inside is deeper than the compiler looks.
    let outcome = Box::pin(watch.round(&asked)).await?;
    if let Outcome::Round(report) = &outcome {
        // The last act of a round that has ended: an alarm tells when none does.
        Metrics::new(&[("LakeId", &config.lake_id.0)])
            .property("run_id", invocation.run_id.0.as_str())
            .value("Rounds", Unit::Count, 1)
            .value("OpenIncidents", Unit::Count, report.open as u64)
            .value("UnsentAlerts", Unit::Count, report.unsent as u64)
            .emit();
        Box::pin(watcher.keep_estimate()).await;
        Box::pin(views::keep(deps, &invocation.run_id, invocation.time_left(RESERVE))).await;
        if let Some(settings) = &config.openlineage {
            Box::pin(openlineage::tell(deps, settings, &invocation.run_id, invocation.time_left(RESERVE))).await;
        }
    }
    Ok(outcome)
}
