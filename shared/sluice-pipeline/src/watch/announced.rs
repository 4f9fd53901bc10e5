//! Failures that only the bus tells: rows that a stream's table refused, a read in parts that was given up. No ledger holds
//! them, so a round remembers what was announced and tells it for a day.

use std::collections::BTreeMap;

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{event::LoadFailed, sources::Monitor};
use sluice_watch::{Finding, Kind, Verdict, finding::Object};

/// How long what was announced is a fault; a person has seen it by then.
const TOLD_HOURS: i64 = 24;

/// How long it is remembered, so that its end is told too.
const KEPT_HOURS: i64 = 2 * TOLD_HOURS;

/// A failure that was announced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Announced {
    pub table: String,
    pub kind: String,
    pub at: DateTime<Utc>,
}

/// Takes news of a time in, by its id: a repetition is the same, and so is an old one that a replay of the bus sends again. What
/// is in the ledger is judged by it.
pub(super) fn take(
    known: &mut BTreeMap<String, Announced>,
    news: Option<&LoadFailed>,
    at: DateTime<Utc>,
    now: DateTime<Utc>,
) {
    if let Some(failed) = news.filter(|failed| failed.id != format!("{}#{}", failed.table, failed.sequence)) {
        let announced = Announced { table: failed.table.to_string(), kind: failed.kind.clone(), at };
        known.entry(failed.id.clone()).or_insert(announced);
    }
    known.retain(|_, failure| now - failure.at < Duration::hours(KEPT_HOURS));
}

/// What was announced of a table before its newest commit or replay is over, and its end is told.
pub(super) fn mend(
    known: &mut BTreeMap<String, Announced>,
    table: &str,
    mended_at: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) {
    let mended = known.values_mut().filter(|failure| failure.table == table && Some(failure.at) < mended_at);
    mended.for_each(|failure| failure.at = failure.at.min(now - Duration::hours(TOLD_HOURS)));
}

/// One finding for each table of which something was announced.
pub(super) fn findings(known: &BTreeMap<String, Announced>, now: DateTime<Utc>) -> Vec<Finding> {
    let mut tables: BTreeMap<&str, Vec<&Announced>> = BTreeMap::new();
    for failure in known.values() {
        tables.entry(&failure.table).or_default().push(failure);
    }
    let finding = |(table, failures): (&str, Vec<&Announced>)| {
        let recent: Vec<_> = failures.iter().filter(|it| now - it.at < Duration::hours(TOLD_HOURS)).collect();
        let verdict = match recent.iter().max_by_key(|failure| failure.at) {
            None => Verdict::Healthy,
            Some(newest) => {
                let observed = format!("{} announced within a day, the newest {}", recent.len(), newest.kind);
                Verdict::breached(Kind::LoadFailed, recent.len() as f64, observed, "each row reaches its table")
            }
        };
        Finding { monitor: Monitor::Loads, object: Object::part(table, "announced failures"), at: now, verdict }
    };
    tables.into_iter().map(finding).collect()
}

#[cfg(test)]
mod tests {
    use sluice_core::{RunId, Sequence};

    use super::*;

    fn news(id: &str) -> LoadFailed {
        LoadFailed {
            id: id.to_owned(),
            run_id: RunId("r".into()),
            table: "A.B.C".parse().expect("a name"),
            sequence: Sequence(7),
            kind: "InvalidData".into(),
            reason: "r".into(),
        }
    }

    #[test]
    fn what_no_ledger_holds_is_told_for_a_day_and_then_ends() {
        let (mut known, mut now) = (BTreeMap::new(), DateTime::UNIX_EPOCH);
        take(&mut known, Some(&news("A.B.C#7")), now, now);
        assert!(findings(&known, now).is_empty(), "the ledger tells of a commit");
        for id in ["A.B.C#split-3", "A.B.C#topic-0:99", "A.B.C#split-3"] {
            take(&mut known, Some(&news(id)), now, now);
        }
        let told = findings(&known, now);
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].breach().map(|breach| (breach.kind, breach.size)), Some((Kind::LoadFailed, 2.0)));
        let mut mended = known.clone();
        mend(&mut mended, "A.B.D", Some(now + Duration::minutes(9)), now);
        mend(&mut mended, "A.B.C", Some(now - Duration::minutes(9)), now);
        assert_eq!(findings(&mended, now), told, "of another table, and older");
        mend(&mut mended, "A.B.C", Some(now + Duration::minutes(1)), now + Duration::minutes(2));
        assert_eq!(findings(&mended, now + Duration::minutes(2))[0].verdict, Verdict::Healthy);
        now += Duration::hours(TOLD_HOURS);
        take(&mut known, None, now, now);
        assert_eq!(findings(&known, now)[0].verdict, Verdict::Healthy);
        now += Duration::hours(TOLD_HOURS);
        take(&mut known, None, now, now);
        assert!(known.is_empty());
    }

    #[test]
    fn news_that_a_replay_sends_again_days_later_is_no_new_fault() {
        let (now, mut known) = (DateTime::UNIX_EPOCH + Duration::days(14), BTreeMap::new());
        for (hours, told) in [(23, Some(true)), (30, Some(false)), (72, None)] {
            known.clear();
            take(&mut known, Some(&news("A.B.C#split-3")), now - Duration::hours(hours), now);
            let told_now = findings(&known, now).first().map(|finding| finding.breach().is_some());
            assert_eq!(told_now, told, "{hours} hours");
        }
    }
}
