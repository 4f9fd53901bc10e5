//! What is remembered between rounds, and the right to run one.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Display,
};

use chrono::{DateTime, Duration, NaiveDate, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{
    Error, Kind, Result, RunId, lake,
    port::{Clock, Listing, ObjectStore},
    sources::Monitor,
};
use sluice_watch::{
    Finding, Object, Verdict, Why,
    alerts::{Board, Incident, Says},
    baseline::Mark,
    monitors::Shares,
};
use tracing::warn;

use super::{announced::Announced, port::IncidentChange, reads::Failed, stream::Sample};
use crate::log::{Put, put_once};

/// A round that has claimed its number and not ended after this time was ended by its platform.
const LEASE_MINUTES: i64 = 5;

/// Rows for the ledger that wait while the warehouse is away; older ones go first.
const MOST_WAITING: usize = 2_000;

/// A table that could not be measured twice is tried again after this time, then after twice as long, up to an hour.
const FAILED_AGAIN_MINUTES: i64 = 15;
const MOST_FAILED_AGAIN_MINUTES: i64 = 60;

/// What dbt's runs cost is an object of its own, and known on the day after them.
pub(super) const DBT_COSTS: &str = "dbt";

/// Days that were told are remembered as long as histories reach.
const SUSPECT_DAYS: i64 = 130;

/// The last findings of what is measured in tables.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Cached {
    pub day: NaiveDate,
    /// When it was measured, or seen to be as it was.
    pub at: DateTime<Utc>,
    /// Where the table stood when it was measured; `None` when the warehouse did not say.
    pub position: Option<u64>,
    /// Measures in a row that have left something missing.
    #[serde(default)]
    pub failures: u32,
    pub findings: Vec<Finding>,
}

/// Dead letters of a topic.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Letters {
    pub day: NaiveDate,
    /// Those that the day brought.
    pub today: u64,
    /// The highest offset of each partition. A number of letters would not do: old ones expire while new ones come.
    pub highest: BTreeMap<i32, i64>,
}

impl Letters {
    /// Those of today among all of today's records.
    pub(super) fn share(&self, rows: u64) -> Shares {
        Shares { all: rows + self.today, bad: self.today }
    }
}

/// Commits of a table that read rows of earlier ones again.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rereads {
    /// Failed commits whose rows are read again.
    pub mended: BTreeSet<u64>,
    /// For these failed ones all commits were looked at, up to this one.
    pub failed: BTreeSet<u64>,
    pub until: u64,
}

/// What was last found of one part of the costs, and on which day it was measured.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct CostPart {
    pub day: Option<NaiveDate>,
    pub tried_at: Option<DateTime<Utc>>,
    /// Tries in a row that have failed.
    pub failures: u32,
    pub findings: Vec<Finding>,
}

impl CostPart {
    /// Once a day; what has failed is tried again as tables are.
    pub(super) fn is_due(&self, now: DateTime<Utc>) -> bool {
        let again = Duration::minutes(minutes_to_next_try(self.failures));
        self.day != Some(now.date_naive()) && self.tried_at.is_none_or(|at| now - at >= again)
    }
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct State {
    /// Rounds that have ended.
    pub round: u64,
    /// When the first round was.
    pub since: Option<DateTime<Utc>>,
    /// When the newest round was.
    pub at: Option<DateTime<Utc>>,
    pub board: Board,
    pub(super) measured: BTreeMap<String, Cached>,
    #[serde(flatten)]
    pub(super) marks: Marks,
    /// By what is measured.
    pub(super) cost_parts: BTreeMap<String, CostPart>,
    /// By topic.
    pub(super) letters: BTreeMap<String, Letters>,
    /// Of the newest run of dbt, where only tests have failed.
    pub(super) failed_tests: Option<Failed>,
    /// How far partitions have come, by table.
    pub(super) samples: BTreeMap<String, Vec<Sample>>,
    /// The newest run of each table of which those were told who follow runs.
    pub(super) followed: BTreeMap<String, RunId>,
    /// By table.
    pub(super) rereads: BTreeMap<String, Rereads>,
    /// Failures that only the bus tells, by their ids.
    pub(super) announced: BTreeMap<String, Announced>,
    pub(super) unrecorded: Vec<IncidentChange>,
}

impl State {
    /// Empty before the first round.
    pub async fn read(store: &impl ObjectStore) -> Result<Self> {
        let Some(body) = store.get(lake::WATCH_BOARD_KEY).await? else { return Ok(State::default()) };
        serde_json::from_slice(&body).map_err(|error| {
            let text = "what the watching of the platform remembers cannot be read";
            Error::invalid_data(text).with("key", lake::WATCH_BOARD_KEY).because(error)
        })
    }

    /// What cannot be read, as it is damaged or a later version's, is put aside: to be told again is better than not to be told.
    pub(super) async fn read_or_begin(store: &impl ObjectStore) -> Result<Self> {
        match State::read(store).await {
            Err(error) if error.kind() == Kind::InvalidData => {
                let aside = lake::WATCH_UNREADABLE_KEY;
                warn!(error = error.chain(), aside, "incidents begin again, and the object is put aside");
                if let Some(body) = store.get(lake::WATCH_BOARD_KEY).await? {
                    store.put(aside, body).await?;
                }
                Ok(State::default())
            }
            read => read,
        }
    }

    pub(super) async fn write(&self, store: &impl ObjectStore) -> Result<()> {
        let encoded = |error| Error::internal("cannot encode what the watching remembers").because(error);
        let body = serde_json::to_vec(self).map_err(encoded)?;
        store.put(lake::WATCH_BOARD_KEY, body.into()).await.map(drop)
    }

    pub(super) fn wait(&mut self, changes: Vec<IncidentChange>) {
        self.unrecorded.extend(changes);
        let more = self.unrecorded.len().saturating_sub(MOST_WAITING);
        self.unrecorded.drain(..more);
    }
}

/// What is known of past days, by check and day.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Marks {
    /// Days that a check told, which teach nothing.
    suspects: BTreeMap<String, BTreeSet<NaiveDate>>,
    /// What people say of days that were told.
    said: BTreeMap<String, BTreeMap<NaiveDate, Mark>>,
}

impl Marks {
    /// Notes which days a check has told, and that it takes back what it no longer tells.
    pub(super) fn note(&mut self, findings: &[Finding], day: NaiveDate) {
        for finding in findings {
            let check = check(finding.monitor, &finding.object);
            match finding.verdict {
                Verdict::Breached(_) => drop(self.suspects.entry(check).or_default().insert(day)),
                Verdict::Healthy => drop(self.suspects.get_mut(&check).map(|days| days.remove(&day))),
                Verdict::Degraded(_) => {}
            }
        }
        let oldest = day - Duration::days(SUSPECT_DAYS);
        self.suspects.retain(|_, days| {
            days.retain(|day| *day >= oldest);
            !days.is_empty()
        });
    }

    /// What people have said of an incident is true of each day that its check has told since it opened.
    pub(super) fn hear(&mut self, incident: &Incident) {
        let Some(mark) = incident.says().map(Says::mark) else { return };
        let check = check(incident.monitor, &incident.object);
        let first = incident.opened_at.date_naive() - Duration::days(1 + delay(incident.monitor, &incident.object));
        let days = self.suspects.get(&check).into_iter().flat_map(|days| days.range(first..));
        let days: Vec<(NaiveDate, Mark)> = days.map(|day| (*day, mark)).collect();
        self.said.entry(check).or_default().extend(days);
    }

    /// Whether a person expects what a check tells of the day that it judged, which a round without time leaves as it was.
    pub(super) fn is_expected(&self, finding: &Finding) -> bool {
        let said = self.said.get(&check(finding.monitor, &finding.object));
        let judged = finding.at.date_naive() - Duration::days(1 + delay(finding.monitor, &finding.object));
        said.is_some_and(|said| said.get(&judged) == Some(&Mark::Expected))
    }

    pub(super) fn of(&self, check: &str) -> BTreeMap<NaiveDate, Mark> {
        let told = self.suspects.get(check).into_iter().flatten().map(|day| (*day, Mark::Suspect));
        told.chain(self.said(check)).collect()
    }

    pub(super) fn said(&self, check: &str) -> BTreeMap<NaiveDate, Mark> {
        self.said.get(check).cloned().unwrap_or_default()
    }
}

/// Days by which a check is judged later than the others.
fn delay(monitor: Monitor, object: &Object) -> i64 {
    i64::from(monitor == Monitor::Cost && object.name != DBT_COSTS)
}

/// What the findings of one check have in common.
pub(super) fn check(monitor: Monitor, object: impl Display) -> String {
    format!("{monitor}/{object}")
}

/// What may have been bad luck is tried again in the next round, what fails again less and less often.
pub(super) fn minutes_to_next_try(failures: u32) -> i64 {
    match failures {
        0 | 1 => 0,
        more => (FAILED_AGAIN_MINUTES << (more - 2).min(2)).min(MOST_FAILED_AGAIN_MINUTES),
    }
}

impl Cached {
    pub(super) fn is_missing(&self) -> bool {
        self.findings.iter().any(|finding| matches!(finding.verdict, Verdict::Degraded(Why::Missing(_))))
    }
}

#[derive(Serialize, Deserialize)]
struct Claim {
    run_id: RunId,
    at: DateTime<Utc>,
}

/// Claims a round: `false` while another one holds it. Two rounds at once would send each message twice. However many of a number
/// were ended half way, the newest of their claims alone is looked at.
pub(super) async fn claim(
    store: &(impl ObjectStore + Listing),
    clock: &impl Clock,
    round: u64,
    run_id: &RunId,
) -> Result<bool> {
    let keys = store.keys(&lake::watch_claims_prefix(round)).await?;
    let newest = keys.iter().filter_map(|key| lake::watch_claim_attempt(round, key)).max().unwrap_or_default();
    if newest > 0 {
        let theirs = store.get(&lake::watch_claim_key(round, newest)).await?;
        match theirs.and_then(|body| serde_json::from_slice::<Claim>(&body).ok()) {
            Some(claim) if claim.run_id == *run_id => return Ok(true),
            // A claim of a time that has not come is of a clock that was wrong.
            Some(claim) if (clock.now() - claim.at).abs() < Duration::minutes(LEASE_MINUTES) => return Ok(false),
            _ => {}
        }
    }
    let claim = Claim { run_id: run_id.clone(), at: clock.now() };
    let body = serde_json::to_vec(&claim).map_err(|error| Error::internal("cannot encode a claim").because(error))?;
    let is_ours = |bytes: &[u8]| serde_json::from_slice::<Claim>(bytes).is_ok_and(|claim| claim.run_id == *run_id);
    Ok(put_once(store, &lake::watch_claim_key(round, newest + 1), body, is_ours).await? == Put::Ours)
}

#[cfg(test)]
mod tests {
    use chrono::NaiveTime;
    use sluice_watch::Kind;

    use super::*;

    #[test]
    fn a_day_of_costs_that_is_expected_excuses_no_other() {
        let day = |number: u32| NaiveDate::from_ymd_opt(2026, 3, number).expect("a day");
        for (object, judged_on) in [(DBT_COSTS, 5), ("LOADING", 6)] {
            let said = BTreeMap::from([(check(Monitor::Cost, object), BTreeMap::from([(day(4), Mark::Expected)]))]);
            let marks = Marks { said, ..Marks::default() };
            let verdict = Verdict::breached(Kind::CostRise, 50.0, "6 credits", "2 to 3");
            let is_expected = |number: &u32| {
                let at = day(*number).and_time(NaiveTime::MIN).and_utc();
                let (object, verdict) = (Object::whole(object), verdict.clone());
                marks.is_expected(&Finding { monitor: Monitor::Cost, object, at, verdict })
            };
            let excused: Vec<u32> = (1..9).filter(is_expected).collect();
            assert_eq!(excused, [judged_on], "{object}");
        }
    }
}
