//! One round of watching: what is observed becomes findings, findings incidents, incidents messages.
//!
//! What is remembered is one object of the lake, so that a round goes on while the warehouse is away: that is when people must
//! be told. A round is claimed first, messages are sent before they are recorded, and what a channel has not taken is due again.
//! Ledger and lake are looked at in each round. A table is measured by one statement once a day, and again after loads and while
//! something is wrong with it; between, its last findings stand.

mod announced;
mod costs;
mod live;
mod measure;
mod port;
mod reads;
mod state;
mod stream;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Result, RunId, Sources,
    event::LoadFailed,
    port::{Clock, Listing, ObjectStore},
};
use sluice_watch::{
    Calendar, Finding, Verdict,
    alerts::{Board, Command, Incident, Message, Round, Table, Upstream},
    finding::short,
    monitors::{self, Context},
};
use tracing::{info, warn};

pub use port::{
    Channels, ColumnDay, CostDay, Day, EndedExtract, EndedRun, IncidentChange, Loads, Measured, Observations,
    PartitionRows, REMAINDER, Surroundings, Used, UsedAmount,
};
pub use state::State;

/// Kept of a round's time for messages and for what is remembered.
const FOR_MESSAGES: Duration = Duration::from_secs(20);

/// Kept for what is remembered.
const FOR_STATE: Duration = Duration::from_secs(5);

/// How much a schedule's clock may be ahead of the function's.
const MOST_AHEAD: Duration = Duration::from_secs(300);

/// What a round works with.
pub struct Watch<'a, S, W, C, K, P> {
    pub store: &'a S,
    pub warehouse: &'a W,
    pub platform: &'a P,
    pub channels: &'a C,
    pub clock: &'a K,
    pub sources: &'a Sources,
    pub table: &'a Table,
    pub calendar: &'a Calendar,
    /// Whose alerts they are.
    pub stack: &'a str,
    pub run_id: &'a RunId,
    /// When the round must have ended.
    pub until: DateTime<Utc>,
}

/// What a round is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// "Now" of the round; without it the clock's.
    pub at: Option<DateTime<Utc>>,
    pub commands: Vec<Command>,
    /// What the bus has told.
    pub failed: Option<LoadFailed>,
    /// Measures each table again.
    pub fresh: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Round(Report),
    /// Another round is under way.
    Busy,
    /// News that asks for no round.
    Noted,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    pub round: u64,
    pub at: DateTime<Utc>,
    pub healthy: usize,
    pub breached: usize,
    /// Checks that could not judge: degraded.
    pub missing: usize,
    pub learning: usize,
    /// Incidents that are not resolved.
    pub open: usize,
    pub sent: usize,
    /// Messages that no channel has taken; they are due again.
    pub unsent: usize,
    /// Tables that were measured.
    pub measured: usize,
    /// Tables that were due and for which no time was left.
    pub postponed: usize,
    /// Ids of commands that name no incident.
    pub unknown: Vec<String>,
}

impl<S: ObjectStore + Listing, W: Observations, C: Channels, K: Clock, P: Surroundings> Watch<'_, S, W, C, K, P> {
    pub async fn round(&self, asked: &Asked) -> Result<Outcome> {
        let latest = self.clock.now() + MOST_AHEAD;
        if let Some(at) = asked.at.filter(|at| *at > latest) {
            let text = "the event's time is ahead of the clock; leave it out, or send the time that it is";
            return Err(Error::invalid_data(text).with("time", at).as_final());
        }
        let mut state = State::read_or_begin(self.store).await?;
        if !state::claim(self.store, self.clock, state.round + 1, self.run_id).await? {
            return Ok(Outcome::Busy);
        }
        // A late event must not turn the time back, and a time that has not come yet not stop it.
        let newest = state.at.filter(|at| *at <= latest).unwrap_or_default();
        let now = asked.at.unwrap_or_else(|| self.clock.now()).max(newest);
        let day = now.date_naive() - chrono::Days::new(1);
        state.since.get_or_insert(now);
        let mut report = Report { round: state.round + 1, at: now, ..Report::default() };
        announced::take(&mut state.announced, asked.failed.as_ref(), asked.at.unwrap_or(now).min(now), now);
        let findings = self.findings(&mut state, now, day, asked.fresh, &mut report).await;
        self.tell(&mut state, &findings, asked, now, &mut report).await;
        (state.round, state.at) = (report.round, Some(now));
        self.record(&mut state).await;
        state.write(self.store).await?;
        info!(?report, "round ended");
        Ok(Outcome::Round(report))
    }

    async fn findings(
        &self,
        state: &mut State,
        now: DateTime<Utc>,
        day: NaiveDate,
        fresh: bool,
        report: &mut Report,
    ) -> Vec<Finding> {
        // A warehouse that hangs takes neither the time for messages nor all of that for tables.
        self.warehouse.end_within(self.left(FOR_MESSAGES) / 2);
        let live = live::observe(self, state, now, day).await;
        self.follow_tests(state, live.failed_tests.as_ref()).await;
        let context = Context { calendar: self.calendar, limits: &self.table.limits, now, day };
        self.warehouse.end_within(self.left(FOR_MESSAGES));
        measure::due_tables(self, state, &live, &context, fresh, report).await;
        let mut findings = monitors::judge(live.tables.iter().map(|(a, b)| (a, b)), &live.platform, &context);
        findings.extend(announced::findings(&state.announced, now));
        state.marks.note(&findings, day);
        findings.extend(costs::findings(self, state, &context).await);
        let tables: BTreeSet<&str> = live.tables.iter().map(|(settings, _)| settings.table.as_str()).collect();
        state.measured.retain(|table, _| tables.contains(table.as_str()));
        for cached in state.measured.values() {
            findings.extend(cached.findings.iter().cloned());
        }
        let expected = findings.iter_mut().filter(|finding| finding.breach().is_some());
        expected
            .filter(|finding| state.marks.is_expected(finding))
            .for_each(|finding| finding.verdict = Verdict::Healthy);
        findings
    }

    async fn tell(
        &self,
        state: &mut State,
        findings: &[Finding],
        asked: &Asked,
        now: DateTime<Utc>,
        report: &mut Report,
    ) {
        let available = self.channels.available().await.unwrap_or_else(|error| {
            warn!(error = error.chain(), "cannot read which channels are set up");
            BTreeSet::new()
        });
        let before = revisions(&state.board);
        let upstream = self.upstream(state.failed_tests.as_ref());
        for command in &asked.commands {
            let (Command::Acknowledge { incident, .. } | Command::Mute { incident, .. }) = command;
            if state.board.meant(command).is_none() {
                report.unknown.push(incident.clone());
            }
        }
        let messages = state.board.round(&Round {
            stack: self.stack,
            table: self.table,
            upstream: &upstream,
            available: &available,
            calendar: self.calendar,
            findings,
            commands: &asked.commands,
            now,
        });
        state.board.incidents.values().for_each(|incident| state.marks.hear(incident));
        self.send(&mut state.board, &messages, report).await;
        state.wait(changes(&state.board, &before, now));
        let checks = state.board.checks;
        (report.healthy, report.breached) = (checks.healthy, checks.breached);
        (report.missing, report.learning) = (checks.missing, checks.learning);
        report.open = state.board.incidents.values().filter(|incident| !incident.is_resolved()).count();
    }

    /// Sends in order. A channel that has refused one message of a round gets no other in it.
    async fn send(&self, board: &mut Board, messages: &[Message], report: &mut Report) {
        let mut refusing = BTreeSet::new();
        for message in messages {
            if refusing.contains(&message.channel) || self.left(FOR_STATE).is_zero() {
                report.unsent += 1;
                continue;
            }
            match self.channels.send(message).await {
                Ok(receipt) => {
                    board.delivered(message, receipt);
                    report.sent += 1;
                }
                Err(error) => {
                    let (channel, key) = (&message.channel, &message.content.key);
                    warn!(channel, key, error = error.chain(), error_kind = %error.kind(), "a channel took no message");
                    board.failed(message);
                    refusing.insert(message.channel.clone());
                    report.unsent += 1;
                }
            }
        }
    }

    /// Best effort: people query these rows, and no round reads them.
    async fn record(&self, state: &mut State) {
        if state.unrecorded.is_empty() || self.left(FOR_STATE).is_zero() {
            return;
        }
        self.warehouse.end_within(self.left(FOR_STATE));
        match self.warehouse.record(&state.unrecorded).await {
            Ok(()) => state.unrecorded.clear(),
            Err(error) => warn!(error = error.chain(), "the warehouse has not taken changes of incidents; they wait"),
        }
    }

    /// Finds once for each run what its failed tests read.
    async fn follow_tests(&self, state: &mut State, failed: Option<&(DateTime<Utc>, Vec<String>)>) {
        let Some((finished_at, tests)) = failed else {
            state.failed_tests = None;
            return;
        };
        if state.failed_tests.as_ref().is_some_and(|known| known.finished_at == *finished_at) {
            return;
        }
        let tables = self.sources.tables.iter().map(|table| &table.table);
        let reads = observed("what failed tests read", reads::of_each(self.store, tests, tables).await);
        state.failed_tests = reads.map(|reads| reads::Failed { finished_at: *finished_at, reads });
    }

    /// A table is brought by its function; tests of dbt read tables.
    fn upstream(&self, failed: Option<&reads::Failed>) -> Upstream {
        let reads = failed.map(|failed| failed.reads.clone()).unwrap_or_default();
        let functions = self.sources.tables.iter().filter_map(|table| {
            let function = table.source.function()?;
            Some((table.table.to_string(), BTreeSet::from([function.name.to_owned()])))
        });
        Upstream(functions.chain([("dbt".to_owned(), reads)]).collect())
    }

    /// What is left of the round's time beyond a reserve.
    fn left(&self, reserve: Duration) -> Duration {
        (self.until - self.clock.now()).to_std().unwrap_or_default().saturating_sub(reserve)
    }
}

fn revisions(board: &Board) -> BTreeMap<String, u64> {
    board.incidents.values().map(|incident| (incident.key.clone(), incident.revision)).collect()
}

/// Incidents that are not as they were.
fn changes(board: &Board, before: &BTreeMap<String, u64>, now: DateTime<Utc>) -> Vec<IncidentChange> {
    let changed = board.incidents.values().filter(|incident| before.get(&incident.key) != Some(&incident.revision));
    changed.map(|incident| change(incident, now)).collect()
}

fn change(incident: &Incident, now: DateTime<Utc>) -> IncidentChange {
    IncidentChange {
        incident: incident.id(),
        key: incident.key.clone(),
        monitor: incident.monitor.to_string(),
        object: incident.object.to_string(),
        kind: incident.kind().to_string(),
        severity: incident.severity,
        state: incident.state_name().to_owned(),
        size: short(incident.breach.size).parse().unwrap_or(incident.breach.size),
        observed: incident.breach.observed.clone(),
        expected: incident.breach.expected.clone(),
        cause: incident.cause.clone(),
        by: incident.by().map(str::to_owned),
        opened_at: incident.opened_at,
        changed_at: now,
    }
}

/// What could not be observed, as `None` and a line of the log.
fn observed<T>(what: &str, result: Result<T>) -> Option<T> {
    let failed = |error: Error| warn!(what, error = error.chain(), error_kind = %error.kind(), "not observed");
    result.map_err(failed).ok()
}
