//! The cursor: how far the changes and the archive have been read, and what was seen just before that.
//!
//! The search reads an index that lags behind the records, so a change may show up after a later one has been read.
//! Each run therefore begins [`INDEX_LAG_MICROS`] before the newest change seen, and the cursor names what was already
//! taken from that window: a run that finds nothing else has found nothing new.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// HubSpot gives no figure for the lag of its index; it is seconds after a change and about a minute after a bulk
/// import. Two minutes are twice the longest wait that is advised, and a window of two minutes is cheap to read again.
pub const INDEX_LAG_MICROS: i64 = 120 * 1_000_000;

/// Records remembered in the cursor. A larger window, such as just after a bulk import, is not remembered: its contacts
/// are then taken again, which the merge by version makes a no-op, until a later change moves the window on.
const REMEMBERED: usize = 20_000;

/// Where an extract of contacts stands.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Position {
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
    /// A reading of the archive that is under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sweep: Option<Sweep>,
}

/// How far the archive's list has been read by a run that could not finish it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sweep {
    /// The list's own cursor.
    pub after: String,
    /// When the first page was asked for, in microseconds of HubSpot's clock.
    pub started: i64,
    /// What `archived` will be.
    pub found: Mark,
}

impl Position {
    /// The time from which the next run searches, in milliseconds as HubSpot's search counts.
    pub fn search_from_millis(&self) -> i64 {
        let Some(at) = self.changed.at else { return 0 };
        let from = |micros: i64| micros.div_euclid(1_000).max(0);
        if self.behind { self.from.unwrap_or(from(at)) } else { from(at - INDEX_LAG_MICROS) }
    }
}

/// The newest time that was seen, and the records seen within the index's lag before it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Wire", into = "Wire")]
pub struct Mark {
    /// Microseconds since 1970; `None` before the first record.
    pub at: Option<i64>,
    seen: BTreeMap<i64, BTreeSet<i64>>,
}

/// A mark as JSON: the ids of one time are one text, which keeps a commit readable.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    at: Option<i64>,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    seen: BTreeMap<i64, String>,
}

impl Mark {
    /// Whether this version of a record has not been taken yet. One that is older than the window has been.
    pub fn is_new(&self, id: i64, micros: i64) -> bool {
        let known = self.seen.get(&micros).is_some_and(|ids| ids.contains(&id));
        !known && self.at.is_none_or(|at| micros >= at - INDEX_LAG_MICROS)
    }

    /// Remembers a version that has been taken.
    pub fn note(&mut self, id: i64, micros: i64) {
        self.at = self.at.max(Some(micros));
        self.seen.entry(micros).or_default().insert(id);
    }

    /// Moves the mark back to `limit` if it lies beyond, but not behind `standing`. Nothing later than the moment at which
    /// reading began has surely been seen; and a record that claims to be from the future must not carry the window past
    /// changes that are still to come.
    #[must_use]
    pub fn held_at(mut self, limit: i64, standing: &Mark) -> Self {
        self.at = self.at.map(|at| at.min(limit)).max(standing.at);
        self
    }

    /// Forgets what lies before the window.
    #[must_use]
    pub fn trimmed(mut self) -> Self {
        if let Some(at) = self.at {
            self.seen = self.seen.split_off(&(at - INDEX_LAG_MICROS));
        }
        if self.seen.values().map(BTreeSet::len).sum::<usize>() > REMEMBERED {
            self.seen.clear();
        }
        self
    }
}

impl From<Mark> for Wire {
    fn from(mark: Mark) -> Self {
        let text = |ids: BTreeSet<i64>| ids.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
        Wire { at: mark.at, seen: mark.seen.into_iter().map(|(time, ids)| (time, text(ids))).collect() }
    }
}

impl From<Wire> for Mark {
    fn from(wire: Wire) -> Self {
        // An id that does not parse is one that is not remembered: the record is taken again.
        let ids = |text: String| text.split(',').filter_map(|id| id.parse().ok()).collect();
        Mark { at: wire.at, seen: wire.seen.into_iter().map(|(time, text)| (time, ids(text))).collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: i64 = 60 * 1_000_000;

    #[test]
    fn a_version_is_new_once_and_only_inside_the_window() {
        let mut mark = Mark::default();
        assert!(mark.is_new(1, 0));
        mark.note(1, 10 * MINUTE);
        for (id, micros, expected) in [
            (1, 10 * MINUTE, false),
            (1, 11 * MINUTE, true),
            (2, 10 * MINUTE, true),
            (2, 8 * MINUTE, true),
            (2, 8 * MINUTE - 1, false),
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
        for (id, minutes) in [(7, 1), (9, 10), (8, 10), (5, 9)] {
            position.changed.note(id, minutes * MINUTE);
        }
        position.changed = position.changed.trimmed();
        let cursor = sluice_core::Cursor::encode(&position).expect("json");
        assert_eq!(
            cursor.0,
            serde_json::json!({"changed": {"at": 600_000_000, "seen": {"540000000": "5", "600000000": "8,9"}}, "archived": {}})
        );
        assert_eq!(cursor.decode::<Position>().expect("a position"), position);

        (0..=REMEMBERED as i64).for_each(|id| position.changed.note(id, 10 * MINUTE));
        assert!(position.changed.trimmed().seen.is_empty());
    }

    #[test]
    fn a_run_begins_one_lag_before_the_newest_change_unless_the_last_one_was_cut_short() {
        let mut position = Position::default();
        assert_eq!(position.search_from_millis(), 0);
        position.changed.note(1, 10 * MINUTE + 999);
        assert_eq!(position.search_from_millis(), 8 * 60_000);
        position.behind = true;
        assert_eq!(position.search_from_millis(), 10 * 60_000);
        position.from = Some(9 * 60_000);
        assert_eq!(position.search_from_millis(), 9 * 60_000, "inside the window of the run before");
    }
}
