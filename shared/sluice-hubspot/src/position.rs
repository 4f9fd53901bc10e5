//! The cursor: how far the changes and the archive have been read, and what was seen just before that.
//!
//! The search reads an index that lags behind the records, so a change may show up after a later one has been read.
//! Each run therefore begins [`INDEX_LAG_MICROS`] before the newest change seen, and the cursor names what was already
//! taken from that window: a run that finds nothing else has found nothing new.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use sluice_core::Sequence;

use crate::known::{self, Known};

/// HubSpot gives no number for the lag of its index; it is seconds after a change and about a minute after a bulk
/// import, and has been several. What shows up later still is found when contacts are compared with the account's list.
pub(crate) const INDEX_LAG_MICROS: i64 = 600 * 1_000_000;

/// Records remembered in the cursor, as many as a run takes at most. A larger window, just after a bulk import, is not
/// remembered: see [`Mark::trimmed`].
const REMEMBERED: usize = 200_000;

/// Where an extract of contacts stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    /// By `lastmodifieddate`.
    pub changed: Mark,
    /// By `archivedAt`.
    pub archived: Mark,
    /// The last run stopped before it had read everything: the next one goes on exactly where it stopped. Everything up
    /// to there is older than the index's lag.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub behind: bool,
    /// With `behind`: the millisecond at which the last run stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<i64>,
    /// With `from`: the last run stopped inside that millisecond, after this id, because very many contacts share it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<i64>,
    /// The commit that began a read of the whole account which has not come to its end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_since: Option<Sequence>,
    /// A reading of the archive that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
    /// The live contacts. `None` in commits of earlier builds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub known: Option<Known>,
    /// When the last comparison with the account's list began, in microseconds of HubSpot's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compared: Option<i64>,
    /// A comparison that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<Comparison>,
}

/// How far the account's list has been compared with the contacts that are known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Comparison {
    /// The list's own cursor; empty at its beginning.
    pub after: String,
    /// All ids up to this one have been compared.
    pub last_id: i64,
    /// What `compared` will be.
    pub started: i64,
    /// Contacts that the runs of this comparison have found to be gone.
    #[serde(default)]
    pub gone: usize,
}

/// How far the archive's list has been read by a run that could not finish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Sweep {
    /// The list's own cursor.
    pub after: String,
    /// When the first page was asked for, in microseconds of HubSpot's clock.
    pub started: i64,
    /// What `archived` will be.
    pub found: Mark,
}

impl Position {
    /// The time from which the next run searches, in milliseconds as HubSpot's search counts.
    pub(crate) fn search_from_millis(&self) -> i64 {
        let Some(at) = self.changed.at else { return 0 };
        let from = |micros: i64| micros.div_euclid(1_000).max(0);
        if self.changed.settled && !self.behind {
            return from(at) + 1;
        }
        if self.behind { self.from.unwrap_or(from(at)) } else { from(at - INDEX_LAG_MICROS) }
    }
}

/// The newest time that was seen, and the records seen within the index's lag before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub(crate) struct Mark {
    /// Microseconds since 1970; `None` before the first record.
    pub at: Option<i64>,
    /// Everything up to `at` has been seen, and nothing older is looked for.
    settled: bool,
    seen: BTreeMap<i64, BTreeSet<i64>>,
}

/// A mark as JSON: the ids of one time are one text, which keeps a commit readable.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    settled: bool,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    seen: BTreeMap<i64, String>,
}

impl Mark {
    /// Whether this version of a record has not been taken yet. One that is older than the window has been.
    pub(crate) fn is_new(&self, id: i64, micros: i64) -> bool {
        let known = self.seen.get(&micros).is_some_and(|ids| ids.contains(&id));
        let from = |at| if self.settled { at + 1 } else { at - INDEX_LAG_MICROS };
        !known && self.at.is_none_or(|at| micros >= from(at))
    }

    /// Remembers a version that has been taken.
    pub(crate) fn note(&mut self, id: i64, micros: i64) {
        self.settled = false;
        self.at = self.at.max(Some(micros));
        self.seen.entry(micros).or_default().insert(id);
    }

    /// Moves the mark back to `limit` if it lies beyond, but not behind `standing`. Nothing later than the moment at which
    /// reading began has surely been seen; and a record that claims to be from the future must not carry the window past
    /// changes that are still to come.
    #[must_use]
    pub(crate) fn held_at(mut self, limit: i64, standing: &Mark) -> Self {
        self.at = self.at.map(|at| at.min(limit)).max(standing.at);
        self
    }

    /// Forgets what lies before the window. A window of more than can be remembered is settled, if it was read whole and is
    /// older than the index's lag; else it is read once more, which the merge by version makes a no-op.
    #[must_use]
    pub(crate) fn trimmed(mut self, now: i64, is_whole: bool) -> Self {
        let Some(at) = self.at else { return self };
        self.seen = self.seen.split_off(&(at - INDEX_LAG_MICROS));
        if self.seen.values().map(BTreeSet::len).sum::<usize>() > REMEMBERED {
            // What claims to be from after `at` stays known, or it would be taken by every run.
            self.seen = self.seen.split_off(&(at + 1));
            self.settled = is_whole && at < now - INDEX_LAG_MICROS;
        }
        self
    }
}

impl From<Mark> for Wire {
    fn from(mark: Mark) -> Self {
        let seen = mark.seen.into_iter().map(|(time, ids)| (time, known::encode(ids))).collect();
        Wire { at: mark.at, settled: mark.settled, seen }
    }
}

impl From<Wire> for Mark {
    fn from(wire: Wire) -> Self {
        let seen = wire.seen.into_iter().map(|(time, text)| (time, known::decode(&text).collect())).collect();
        Mark { at: wire.at, settled: wire.settled, seen }
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Cursor;

    use super::*;

    const MINUTE: i64 = 60 * 1_000_000;
    const LAG: i64 = INDEX_LAG_MICROS;

    #[test]
    fn a_version_is_new_once_and_only_inside_the_window() {
        let mut mark = Mark::default();
        assert!(mark.is_new(1, 0));
        mark.note(1, 90 * MINUTE);
        for (id, micros, expected) in [
            (1, 90 * MINUTE, false),
            (1, 91 * MINUTE, true),
            (2, 90 * MINUTE, true),
            (2, 90 * MINUTE - LAG, true),
            (2, 90 * MINUTE - LAG - 1, false),
        ] {
            assert_eq!(mark.is_new(id, micros), expected, "{id} at {micros}");
        }
    }

    #[test]
    fn a_mark_is_held_at_the_limit_and_never_goes_back() {
        let mark = |minutes: i64| {
            let mut mark = Mark::default();
            mark.note(1, minutes * MINUTE);
            mark
        };
        for (found, limit, standing, expected) in [(10, 20, 5, 10), (10, 7, 5, 7), (10, 3, 5, 5)] {
            let held = mark(found).held_at(limit * MINUTE, &mark(standing));
            assert_eq!(held.at, Some(expected * MINUTE), "{found} {limit} {standing}");
            assert!(!held.is_new(1, found * MINUTE), "what has been taken stays known");
        }
        assert_eq!(Mark::default().held_at(MINUTE, &Mark::default()).at, None);
    }

    #[test]
    fn the_cursor_reads_as_it_was_written_and_stays_small() {
        let mut position = Position::default();
        for (id, minutes) in [(7, 1), (9, 90), (8, 90), (5, 89)] {
            position.changed.note(id, minutes * MINUTE);
        }
        position.changed = position.changed.trimmed(90 * MINUTE, true);
        let cursor = Cursor::encode(&position).expect("json");
        let changed = serde_json::json!({"at": 5_400_000_000_i64, "seen": {"5340000000": "5", "5400000000": "8,+1"}});
        assert_eq!(cursor.0, serde_json::json!({"changed": changed, "archived": {}}));
        assert_eq!(cursor.decode::<Position>().expect("a position"), position);
        let earlier = serde_json::json!({"changed": {"at": 7, "seen": {"7": "8,9"}}, "archived": {}});
        let earlier: Position = serde_json::from_value(earlier).expect("a position of an earlier build");
        assert!(!earlier.changed.is_new(9, 7));
    }

    #[test]
    fn every_contact_of_an_import_of_one_time_is_remembered() {
        let mut mark = Mark::default();
        (1..=23_570).for_each(|id| mark.note(id, 90 * MINUTE));
        let cursor = Cursor::encode(&mark.trimmed(91 * MINUTE, true)).expect("json");
        let read: Mark = cursor.decode().expect("a mark");
        assert!((1..=23_570).all(|id| !read.is_new(id, 90 * MINUTE)), "none is taken again");
        assert!(read.is_new(23_571, 90 * MINUTE), "one that shows late is");
        assert!(cursor.0.to_string().len() < 100_000, "{} bytes", cursor.0.to_string().len());
    }

    #[test]
    fn a_window_too_large_to_remember_is_settled_after_the_indexs_lag() {
        let mut mark = Mark::default();
        (0..=REMEMBERED as i64).for_each(|id| mark.note(id, 90 * MINUTE));
        mark.note(7, 95 * MINUTE);
        let held = mark.held_at(90 * MINUTE, &Mark::default());
        let lagging = held.clone().trimmed(90 * MINUTE + LAG, true);
        assert!(lagging.is_new(1, 90 * MINUTE), "read once more");
        let cut = held.clone().trimmed(91 * MINUTE + LAG, false);
        assert!(cut.is_new(1, 90 * MINUTE), "not all of it has been read");
        let settled = held.trimmed(91 * MINUTE + LAG, true);
        assert!(!settled.is_new(1, 90 * MINUTE) && settled.is_new(1, 90 * MINUTE + 1));
        assert!(!settled.is_new(7, 95 * MINUTE), "what claims to be from later stays known");
        let position = Position { changed: settled, ..Position::default() };
        assert_eq!(position.search_from_millis(), 90 * 60_000 + 1);
        assert!(Cursor::encode(&position).expect("json").0.to_string().len() < 200, "the cursor stays small");
    }

    #[test]
    fn a_run_begins_one_lag_early_unless_the_last_one_was_cut_short() {
        let mut position = Position::default();
        assert_eq!(position.search_from_millis(), 0);
        position.changed.note(1, 90 * MINUTE + 999);
        assert_eq!(position.search_from_millis(), 80 * 60_000);
        position.behind = true;
        assert_eq!(position.search_from_millis(), 90 * 60_000);
        position.from = Some(89 * 60_000);
        assert_eq!(position.search_from_millis(), 89 * 60_000, "inside the window of the run before");
    }
}
