//! What is promised of the platform, and what is left of it: the block `objectives` of `platform/alerts.yaml`, judged by the
//! incidents of the ledger.
//!
//! An objective allows some bad minutes in its days: its error budget. A minute is bad while an incident of its kinds is open,
//! however many there are.

use chrono::{DateTime, Duration, Utc};
use serde::Serialize;

use crate::finding::Kind;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Objective {
    pub name: String,
    pub days: u32,
    /// Bad minutes that are allowed in these days.
    pub budget_minutes: u32,
    /// Kinds of faults that make a minute bad.
    pub kinds: Vec<Kind>,
    /// Names as in a route; none means all objects.
    pub objects: Vec<String>,
}

/// From when until when something was wrong; open ended while it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub kind: String,
    pub object: String,
    pub from: DateTime<Utc>,
    pub to: Option<DateTime<Utc>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Kept {
    pub name: String,
    pub days: u32,
    pub budget_minutes: u32,
    pub bad_minutes: u32,
    /// Negative when more was spent than there was.
    pub left_minutes: i64,
    /// Of the days' minutes, those that were good.
    pub good_percent: f64,
}

impl Objective {
    fn counts(&self, fault: &Fault) -> bool {
        let name = fault.object.split(' ').next().unwrap_or_default();
        self.kinds.iter().any(|kind| kind.as_str() == fault.kind)
            && (self.objects.is_empty() || self.objects.iter().any(|pattern| names(pattern, name)))
    }

    pub fn kept(&self, faults: &[Fault], now: DateTime<Utc>) -> Kept {
        let begin = now - Duration::days(i64::from(self.days));
        let counted = faults.iter().filter(|fault| self.counts(fault));
        let mut spans: Vec<(DateTime<Utc>, DateTime<Utc>)> =
            counted.map(|fault| (fault.from.max(begin), fault.to.unwrap_or(now).min(now))).collect();
        spans.retain(|(from, to)| from < to);
        spans.sort_unstable();
        let (mut bad, mut until) = (Duration::zero(), begin);
        for (from, to) in spans {
            bad += (to - from.max(until)).max(Duration::zero());
            until = until.max(to);
        }
        let all = f64::from(self.days) * 1_440.0;
        let bad_minutes = u32::try_from(bad.num_minutes()).unwrap_or(u32::MAX);
        Kept {
            name: self.name.clone(),
            days: self.days,
            budget_minutes: self.budget_minutes,
            bad_minutes,
            left_minutes: i64::from(self.budget_minutes) - i64::from(bad_minutes),
            good_percent: 100.0 * (1.0 - f64::from(bad_minutes) / all),
        }
    }
}

/// Whether a name of the file means an object.
pub(crate) fn names(pattern: &str, name: &str) -> bool {
    match pattern.strip_suffix('*') {
        Some(beginning) => name.starts_with(beginning),
        None => name == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minute_is_bad_once_however_many_incidents_it_has() {
        let at = |minute: i64| DateTime::UNIX_EPOCH + Duration::days(30) + Duration::minutes(minute);
        let fault = |kind: &str, object: &str, from, to: Option<i64>| Fault {
            kind: kind.into(),
            object: object.into(),
            from: at(from),
            to: to.map(at),
        };
        let objective = Objective {
            name: "fresh".into(),
            days: 10,
            budget_minutes: 144,
            kinds: vec![Kind::Late, Kind::Silent],
            objects: vec!["A.B.*".into()],
        };
        let faults = [
            fault("late", "A.B.C", -100, Some(-40)),
            fault("late", "A.B.D column", -60, Some(-20)),
            fault("silent", "A.B.D", -10, None),
            // Of another kind, of another object, and before the days began.
            fault("volume_drop", "A.B.C", -900, None),
            fault("late", "X.Y.Z", -900, None),
            fault("late", "A.B.C", -20_000, Some(-14_390)),
        ];
        let kept = objective.kept(&faults, at(0));
        assert_eq!((kept.bad_minutes, kept.left_minutes), (100, 44), "80 and 10, and 10 of the oldest");
        assert!((kept.good_percent - 99.305_6).abs() < 1e-3, "{kept:?}");
        let spent = objective.kept(&[fault("late", "A.B.C", -1_000, None)], at(0));
        assert_eq!(spent.left_minutes, -856);
    }
}
