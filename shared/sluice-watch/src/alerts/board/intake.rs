//! Findings and commands become incidents; incidents become alerts.

use std::collections::{BTreeMap, BTreeSet};

use chrono::Duration;
use sluice_core::sources::Monitor;

use super::{Board, Checks, Command, Round};
use crate::{
    alerts::{incident::Incident, table::Fault},
    finding::{Breach, Finding, Kind, Object, Origin, Verdict, Why},
};

/// A check that could not judge is reported after this many rounds in a row.
const MISSING_ROUNDS: u32 = 2;

/// This many incidents of one kind that open in a round are one alert.
const GROUP: usize = 3;

/// What a resolved cause explained must last this many rounds more, which it needs to recover.
const HELD_ROUNDS: u32 = 3;

/// An incident that nothing judges any more ends after this time: its table, monitor or budget was removed.
const UNJUDGED: Duration = Duration::days(1);

/// A channel is failing after this many messages in a row.
const FAILED_MESSAGES: u32 = 3;

impl Board {
    pub(super) fn obey(&mut self, round: &Round<'_>) {
        for command in round.commands {
            let Some(key) = self.meant(command).map(|incident| incident.key.clone()) else { continue };
            match command {
                Command::Acknowledge { by, says, .. } => {
                    let keys = if says.is_some() { BTreeSet::from([key]) } else { self.told_with(&key) };
                    for key in keys {
                        self.incidents.entry(key).and_modify(|incident| incident.acknowledge(by, *says));
                    }
                }
                Command::Mute { by, until, .. } => {
                    self.incidents.entry(key).and_modify(|incident| incident.mute(by, *until, round.now));
                }
            }
        }
    }

    /// An incident and those of its message, which names one id for all.
    fn told_with(&self, key: &str) -> BTreeSet<String> {
        let groups = self.alerts.values().filter(|alert| alert.members.contains(key));
        groups.flat_map(|alert| alert.members.iter().cloned()).chain([key.to_owned()]).collect()
    }

    pub(super) fn take_in(&mut self, round: &Round<'_>) {
        self.checks = Checks::default();
        for finding in round.findings {
            let check = check(round.stack, finding.monitor, &finding.object);
            match &finding.verdict {
                Verdict::Healthy => {
                    self.checks.healthy += 1;
                    self.missing.remove(&check);
                    self.good(&check, None, round);
                }
                Verdict::Breached(breach) => {
                    self.checks.breached += 1;
                    self.missing.remove(&check);
                    self.good(&check, Some(breach.kind), round);
                    let origin = Origin::of(finding.monitor);
                    self.bad(&check, finding.monitor, origin, &finding.object, breach.clone(), round);
                }
                Verdict::Degraded(Why::Learning { .. }) => {
                    self.checks.learning += 1;
                    self.missing.remove(&check);
                    self.good(&check, None, round);
                }
                Verdict::Degraded(Why::Missing(why)) => {
                    self.checks.missing += 1;
                    let rounds = self.missing.entry(check.clone()).or_default();
                    *rounds += 1;
                    let rounds = *rounds;
                    if rounds >= MISSING_ROUNDS {
                        let breach = Breach {
                            kind: Kind::NoData,
                            size: f64::from(rounds),
                            observed: why.clone(),
                            expected: format!("what {} judges by", finding.monitor),
                        };
                        let origin = Origin::of(finding.monitor);
                        self.bad(&check, finding.monitor, origin, &finding.object, breach, round);
                    }
                }
            }
        }
        self.channels(round);
        self.end_unjudged(round);
    }

    /// Where a monitor could not see everything, what it has not judged may only be unseen; and in a known gap, and the day after,
    /// a table is not judged by all of its monitors.
    fn end_unjudged(&mut self, round: &Round<'_>) {
        let judged: BTreeSet<String> =
            round.findings.iter().map(|finding| check(round.stack, finding.monitor, &finding.object)).collect();
        let is_missing = |finding: &&Finding| matches!(finding.verdict, Verdict::Degraded(Why::Missing(_)));
        let unseen: Vec<Monitor> = round.findings.iter().filter(is_missing).map(|finding| finding.monitor).collect();
        let days = [round.now.date_naive(), round.now.date_naive() - UNJUDGED];
        let is_in_gap = |table: &str| days.iter().any(|day| round.calendar.is_gap(table, *day));
        let is_channel = |name: &str| round.table.channels.iter().any(|channel| channel.name == name);
        for (key, incident) in self.incidents.iter_mut().filter(|(_, incident)| !incident.is_resolved()) {
            let is_judged = key.rsplit_once('/').is_some_and(|(check, _)| judged.contains(check))
                || incident.monitor == Monitor::Alerts && is_channel(&incident.object.name);
            let may_stand = unseen.contains(&incident.monitor) || is_in_gap(&incident.object.name);
            if !is_judged && !may_stand && round.now - incident.seen_at >= UNJUDGED {
                incident.good(round.now);
            }
        }
    }

    /// Channels that do not take messages are a fault that other channels tell.
    fn channels(&mut self, round: &Round<'_>) {
        for channel in &round.table.channels {
            let object = Object::whole(&channel.name);
            let check = check(round.stack, Monitor::Alerts, &object);
            match self.failing.get(&channel.name).copied() {
                Some(messages) if messages >= FAILED_MESSAGES => {
                    let breach = Breach {
                        kind: Kind::ChannelFailing,
                        size: f64::from(messages),
                        observed: format!("{messages} messages in a row were not taken"),
                        expected: "each message arrives".to_owned(),
                    };
                    self.bad(&check, Monitor::Alerts, Origin::Watch, &object, breach, round);
                }
                Some(_) => {}
                None => self.good(&check, None, round),
            }
        }
    }

    /// The check was good, but for a fault of this kind.
    fn good(&mut self, check: &str, but: Option<Kind>, round: &Round<'_>) {
        let end = format!("{check}/\u{7f}");
        let of_check = self.incidents.range_mut(format!("{check}/")..end);
        // A column's name may have a slash, and one that begins with it is another.
        let of_check = of_check.filter(|(key, _)| !key[check.len() + 1..].contains('/'));
        for (_, incident) in of_check.filter(|(_, incident)| Some(incident.kind()) != but && !incident.is_resolved()) {
            incident.good(round.now);
        }
    }

    fn bad(
        &mut self,
        check: &str,
        monitor: Monitor,
        origin: Origin,
        object: &Object,
        breach: Breach,
        round: &Round<'_>,
    ) {
        if is_in_maintenance(object, breach.kind, round) {
            return;
        }
        let fault = Fault { source: origin, object, kind: breach.kind, size: breach.size };
        let severity = round.table.severity(fault);
        let key = format!("{check}/{}", breach.kind);
        match self.incidents.get_mut(&key).filter(|incident| !incident.is_resolved()) {
            Some(incident) => incident.seen(breach, severity, round.now),
            None => {
                let mut incident =
                    Incident::open(key.clone(), monitor, origin, object.clone(), breach, severity, round.now);
                // One that was resolved and whose end some channel does not know yet goes on.
                if let Some(resolved) = self.incidents.get(&key) {
                    incident.revision += resolved.revision;
                    self.leave_group(&key);
                }
                self.incidents.insert(key, incident);
            }
        }
    }

    /// What opens again while others of its group are open is told for itself.
    fn leave_group(&mut self, key: &str) {
        let Board { incidents, alerts, .. } = self;
        let is_open = |other: &String| incidents.get(other).is_some_and(|incident| !incident.is_resolved());
        for alert in alerts.values_mut().filter(|alert| alert.members.iter().any(is_open)) {
            alert.members.remove(key);
        }
    }

    pub(super) fn explain(&mut self, round: &Round<'_>) {
        for (key, cause) in round.upstream.explain(&self.incidents) {
            if let Some(incident) = self.incidents.get_mut(&key) {
                incident.explain(cause, HELD_ROUNDS);
            }
        }
    }

    /// Gives each incident that speaks, and has no alert yet, its alert. Those of one kind share one only when they open in the same
    /// round: most channels are sent nothing of what an alert that they know takes in later.
    pub(super) fn gather(&mut self, round: &Round<'_>) {
        let mut new: BTreeMap<(Origin, Kind, u8), Vec<String>> = BTreeMap::new();
        let has_alert = |key: &String| self.alerts.values().any(|alert| alert.members.contains(key));
        for incident in self.incidents.values() {
            if !incident.is_resolved() && incident.speaks() && !has_alert(&incident.key) {
                let group = (incident.origin, incident.kind(), incident.severity);
                new.entry(group).or_default().push(incident.key.clone());
            }
        }
        for ((origin, kind, severity), keys) in new {
            let group = (keys.len() >= GROUP).then(|| {
                let now = round.now.format("%Y-%m-%dT%H:%M:%SZ");
                format!("{}/group/{}/{kind}/{severity}/{now}", round.stack, origin.as_str())
            });
            for key in keys {
                let name = group.clone().unwrap_or_else(|| key.clone());
                let alert = self.alerts.entry(name).or_default();
                if alert.members.is_empty() {
                    alert.opened_at = round.now;
                }
                alert.members.insert(key);
            }
        }
    }
}

/// What findings of one check have in common.
fn check(stack: &str, monitor: Monitor, object: &Object) -> String {
    let part = object.part.as_deref().unwrap_or_default();
    format!("{stack}/{monitor}/{}/{part}", object.name)
}

/// An object's maintenance also explains what is late or small below it.
fn is_in_maintenance(object: &Object, kind: Kind, round: &Round<'_>) -> bool {
    let is_in = |name: &str| round.table.maintenance(&Object::whole(name), round.now).is_some();
    is_in(&object.name) || kind.is_effect() && round.upstream.above(&object.name).iter().any(|name| is_in(name))
}
