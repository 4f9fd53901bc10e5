//! What comes once a day: the summary, and a test message that shows that every channel works.

use chrono::{DateTime, NaiveDate, Timelike, Utc};
use sluice_core::sources::Monitor;

use super::{Board, Round};
use crate::{
    alerts::{
        content::{Action, Content, Phase},
        incident::{Incident, State},
        table::Daily,
    },
    finding::{Breach, Kind, Object, Origin},
};

impl Board {
    /// Opens the canary at its hour, and resolves it in the round after.
    pub(super) fn canary(&mut self, round: &Round<'_>) {
        let key = format!("{}/canary", round.stack);
        if let Some(canary) = self.incidents.get_mut(&key).filter(|canary| !canary.is_resolved()) {
            canary.good(round.now);
            return;
        }
        let Some(daily) = &round.table.canary else { return };
        if !is_due(daily, self.canary_day, round.now) {
            return;
        }
        self.canary_day = Some(round.now.date_naive());
        let breach = Breach {
            kind: Kind::Canary,
            size: 1.0,
            observed: "this is the daily test of the alert channels; it resolves by itself".to_owned(),
            expected: "a message that resolves".to_owned(),
        };
        let least = round.table.severities.iter().map(|row| row.severity).max().unwrap_or(1);
        let object = Object::whole("alert channels");
        let incident = Incident::open(key.clone(), Monitor::Alerts, Origin::Watch, object, breach, least, round.now);
        self.alerts.remove(&key);
        self.incidents.insert(key, incident);
    }

    /// Writes the summary at its hour, for each of its channels.
    pub(super) fn summarise(&mut self, round: &Round<'_>) {
        let Some(daily) = &round.table.summary else { return };
        if !is_due(daily, self.summary_day, round.now) {
            return;
        }
        self.summary_day = Some(round.now.date_naive());
        let mut open: Vec<&Incident> = self.incidents.values().filter(|incident| !incident.is_resolved()).collect();
        open.retain(|incident| incident.kind() != Kind::Canary);
        open.sort_by(|a, b| (a.severity, a.opened_at, &a.key).cmp(&(b.severity, b.opened_at, &b.key)));
        let (explained, told): (Vec<&Incident>, Vec<&Incident>) =
            open.iter().partition(|incident| incident.cause.is_some());
        let muted = told.iter().filter(|incident| matches!(incident.state, State::Muted { .. })).count();
        let checks = self.checks;
        let (lines, more) = Content::lines(&told);
        let title = format!(
            "{} open, {} explained by others, {muted} muted; checks: {} good, {} bad, {} without data, {} learning",
            told.len(),
            explained.len(),
            checks.healthy,
            checks.breached,
            checks.missing,
            checks.learning
        );
        let content = Content {
            key: format!("{}/summary/{}", round.stack, round.now.date_naive()),
            stack: round.stack.to_owned(),
            title,
            severity: told.iter().map(|incident| incident.severity).min().unwrap_or(u8::MAX),
            phase: if told.is_empty() { Phase::Resolved } else { Phase::Open },
            action: Action::Summary,
            lines,
            more,
            silences: explained.iter().map(|incident| incident.object.to_string()).collect(),
            note: None,
            runbook: None,
            mention: None,
            opened_at: round.now,
            at: round.now,
        };
        let channels = daily.channels.iter().filter(|channel| round.available.contains(*channel));
        self.summary = channels.map(|channel| (channel.clone(), content.clone())).collect();
    }
}

/// Whether the day's hour has come and the day was not served yet.
fn is_due(daily: &Daily, served: Option<NaiveDate>, now: DateTime<Utc>) -> bool {
    now.hour() >= daily.hour_utc && served != Some(now.date_naive())
}
