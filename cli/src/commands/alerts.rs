//! `sluice alerts`: what the watcher has open, and what a person says of it. The list is read from the lake, so it is there while
//! the warehouse is away.

mod objectives;

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::{Value, json};
use sluice_core::{Error, functions::WATCH_PLATFORM};
use sluice_pipeline::watch::{Outcome as Watched, State};
use sluice_watch::alerts::{Incident, Says, State as Stage};

use crate::{
    args::{AlertTask, AlertsArgs},
    commands::Context,
    failure::{Failure, Outcome},
    output::{self, Side, WIDTH, age, shortened, table},
};

/// How long a command waits for the end of a round, which lasts a minute at most.
const TRIES: usize = 30;
const BETWEEN: Duration = Duration::from_secs(3);

#[derive(Debug, Serialize)]
struct Alerts {
    /// Rounds that have ended, and when the newest was; none before the first.
    round: u64,
    at: Option<DateTime<Utc>>,
    healthy: usize,
    breached: usize,
    missing: usize,
    learning: usize,
    incidents: Vec<Shown>,
}

#[derive(Debug, Serialize)]
struct Shown {
    id: String,
    severity: u8,
    kind: String,
    object: String,
    state: &'static str,
    by: Option<String>,
    until: Option<DateTime<Utc>>,
    opened_at: DateTime<Utc>,
    observed: String,
    expected: String,
    /// The incident that explains it.
    cause: Option<String>,
}

pub(super) async fn run(context: &Context<'_>, args: &AlertsArgs) -> Outcome {
    if matches!(args.task, Some(AlertTask::Objectives)) {
        return objectives::run(context).await;
    }
    let store = context.platform.store()?;
    let state = context.progress.spin("reading incidents", State::read(&store)).await?;
    let Some(task) = &args.task else {
        return output::print(context.json, &alerts(&state, args.all), |answer| render(answer, Utc::now()));
    };
    let (incident, says) = match task {
        AlertTask::Objectives => return Ok(()),
        AlertTask::Ack { incident } | AlertTask::Mute { incident, .. } => (incident, None),
        AlertTask::Confirm { incident } => (incident, Some(Says::Fault)),
        AlertTask::Expected { incident } => (incident, Some(Says::Expected)),
    };
    let Some(found) = state.board.find(incident).filter(|found| !found.is_resolved()) else {
        return Err(Failure::usage(format!("no open incident is called '{incident}'"))
            .hint("`sluice alerts` shows those that are open"));
    };
    if says.is_some() && !found.kind().is_learned() {
        return Err(Failure::usage(format!("no days teach what is usual of {}", found.kind())).hint(
            "`sluice alerts ack` says that you work on it; what is planned belongs into platform/calendar.yaml",
        ));
    }
    let (by, id) = (context.platform.caller().await?, found.id());
    let mut event = match task {
        AlertTask::Mute { until, .. } if *until <= Utc::now() => {
            return Err(Failure::usage("--until is over already, so it would mute nothing"));
        }
        AlertTask::Mute { until, .. } => json!({"mute": id, "by": by, "until": until}),
        _ => json!({"acknowledge": id, "by": by}),
    };
    if let Some(says) = says {
        event["says"] = json!(says);
    }
    context.progress.spin("telling the watcher", say(context, &event)).await?;
    let state = State::read(&store).await?;
    let shown = state.board.find(&id).map(|incident| shown(incident, &state));
    output::print(context.json, &shown, |shown| shown.as_ref().map_or_else(|| format!("{id} has ended"), line))
}

/// Has a round take it in; one that is under way is waited for.
async fn say(context: &Context<'_>, event: &Value) -> Outcome {
    for _ in 0..TRIES {
        let answer = context.platform.invoke(WATCH_PLATFORM.logical, event).await?;
        let answer: Watched = serde_json::from_value(answer)
            .map_err(|error| Error::internal("the watcher has answered something else").because(error))?;
        if answer != Watched::Busy {
            return Ok(());
        }
        tokio::time::sleep(BETWEEN).await;
    }
    Err(Failure::from(Error::conflict("another round of watching is still under way"))
        .hint("run this again in a minute"))
}

fn alerts(state: &State, all: bool) -> Alerts {
    let checks = state.board.checks;
    let incidents = state.board.incidents.values().filter(|incident| all || !incident.is_resolved());
    let mut incidents: Vec<Shown> = incidents.map(|incident| shown(incident, state)).collect();
    incidents.sort_by(|a, b| (a.severity, a.opened_at, &a.id).cmp(&(b.severity, b.opened_at, &b.id)));
    Alerts {
        round: state.round,
        at: state.at,
        healthy: checks.healthy,
        breached: checks.breached,
        missing: checks.missing,
        learning: checks.learning,
        incidents,
    }
}

fn shown(incident: &Incident, state: &State) -> Shown {
    Shown {
        id: incident.id(),
        severity: incident.severity,
        kind: incident.kind().to_string(),
        object: incident.object.to_string(),
        state: incident.state_name(),
        by: incident.by().map(str::to_owned),
        until: match incident.state {
            Stage::Muted { until, .. } => Some(until),
            _ => None,
        },
        opened_at: incident.opened_at,
        observed: incident.breach.observed.clone(),
        expected: incident.breach.expected.clone(),
        cause: incident.cause.as_ref().and_then(|cause| state.board.find(cause)).map(Incident::id),
    }
}

fn render(alerts: &Alerts, now: DateTime<Utc>) -> String {
    let Some(at) = alerts.at else {
        return "no round of watching has ended yet".to_owned();
    };
    let checks = alerts.healthy + alerts.breached + alerts.missing + alerts.learning;
    let summary = format!(
        "round {}, {} ago: {checks} checks, {} bad, {} without data, {} learning",
        alerts.round,
        age(now, at),
        alerts.breached,
        alerts.missing,
        alerts.learning
    );
    if alerts.incidents.is_empty() {
        return format!("{summary}\nnothing is open");
    }
    let row = |incident: &Shown| {
        let state = match (&incident.cause, incident.until) {
            (Some(cause), _) => format!("explained by {cause}"),
            (None, Some(until)) => format!("muted until {}", until.format("%F %H:%M")),
            (None, None) => incident.state.to_owned(),
        };
        let opened = age(now, incident.opened_at);
        vec![
            incident.object.clone(),
            incident.id.clone(),
            incident.severity.to_string(),
            incident.kind.clone(),
            opened,
            state,
        ]
    };
    let columns = [
        ("OBJECT", Side::Left),
        ("INCIDENT", Side::Left),
        ("SEV", Side::Right),
        ("KIND", Side::Left),
        ("OPEN", Side::Right),
        ("STATE", Side::Left),
    ];
    format!("{}\n\n{summary}", table(&columns, &alerts.incidents.iter().map(row).collect::<Vec<_>>()))
}

fn line(incident: &Shown) -> String {
    let by = incident.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
    let until = incident.until.map_or_else(String::new, |until| format!(" until {}", until.format("%F %H:%M UTC")));
    shortened(
        &format!("{}: {} of {} is {}{until}{by}", incident.id, incident.kind, incident.object, incident.state),
        WIDTH,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_says_what_is_open_since_when_and_who_has_it() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::hours(2);
        let incident = |id: &str, cause: Option<&str>| Shown {
            id: id.into(),
            severity: 2,
            kind: "volume_drop".into(),
            object: "DLT.APPLICATION_DATA.PRODUCTS".into(),
            state: "acknowledged",
            by: Some("ann".into()),
            until: None,
            opened_at: DateTime::UNIX_EPOCH,
            observed: "40 rows".into(),
            expected: "90 to 110 rows".into(),
            cause: cause.map(str::to_owned),
        };
        let mut alerts = Alerts {
            round: 7,
            at: Some(now),
            healthy: 30,
            breached: 2,
            missing: 1,
            learning: 4,
            incidents: vec![incident("0a1b2c3d", None), incident("1a1b2c3d", Some("0a1b2c3d"))],
        };
        let text = render(&alerts, now);
        assert!(text.contains("PRODUCTS  0a1b2c3d    2  volume_drop    2h  acknowledged"), "{text}");
        assert!(text.contains("explained by 0a1b2c3d"), "{text}");
        assert!(text.ends_with("round 7, 0ms ago: 37 checks, 2 bad, 1 without data, 4 learning"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        alerts.incidents.clear();
        assert!(render(&alerts, now).ends_with("nothing is open"));
        alerts.at = None;
        assert!(render(&alerts, now).contains("no round"));
        assert!(line(&incident("0a1b2c3d", None)).ends_with("is acknowledged by ann"));
    }
}
