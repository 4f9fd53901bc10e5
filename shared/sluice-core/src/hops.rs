//! How far a chain of messages that a function sends itself has come, and when it has come too far.
//!
//! Lambda's own detection of loops is switched off for such functions, because it ends a chain after about sixteen
//! invocations and a dbt run is followed by hundreds. A chain that waits between its messages never meets this bound; one
//! that turns without waiting meets it within two minutes.

use std::{fmt, str::FromStr};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{Error, Kind, Result};

/// The attribute of a queue's message that carries them.
pub const ATTRIBUTE: &str = "sluice-hops";

/// A chain may have this many messages however quick they are,
const AT_ONCE: i64 = 100;
/// and one more for each second of its life: no poll is quicker.
const PER_SECOND: i64 = 1;
/// No chain is older: the sweeps and the schedules begin what is still to be done again.
const LONGEST: TimeDelta = TimeDelta::days(14);

/// The messages of a chain up to this one, and when the first was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hops {
    pub count: u32,
    pub since: DateTime<Utc>,
}

impl Hops {
    /// Of work that no message of ours has asked for.
    pub fn none(now: DateTime<Utc>) -> Self {
        Hops { count: 0, since: now }
    }

    #[must_use]
    pub fn next(self) -> Self {
        Hops { count: self.count.saturating_add(1), ..self }
    }

    /// Fails when the chain has come too far for its age, or is too old.
    pub fn check(self, now: DateTime<Utc>) -> Result<()> {
        let age = now - self.since;
        let allowed = AT_ONCE + age.num_seconds().max(0).saturating_mul(PER_SECOND);
        if i64::from(self.count) <= allowed && age <= LONGEST {
            return Ok(());
        }
        let message = "a chain of messages of the function to itself was ended: it turns without getting anywhere";
        let hint = "read the function's log for what it does again and again and fix that; the next schedule begins the \
                    work again";
        let ended = Error::new(Kind::Timeout, message).with("hops", self.count).with("seconds", age.num_seconds());
        Err(ended.exhausted().with_hint(hint))
    }
}

impl fmt::Display for Hops {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} since {}", self.count, self.since.timestamp())
    }
}

impl FromStr for Hops {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let (count, since) = text.split_once(" since ")?;
            Some(Hops { count: count.parse().ok()?, since: DateTime::from_timestamp(since.parse().ok()?, 0)? })
        };
        read().ok_or_else(|| Error::invalid_data("a message's hop count cannot be read"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// How many messages a chain may have that sends one every `seconds`; `None` when it may go on for its longest.
    fn ended_after(poll: i64) -> Option<u32> {
        let mut hops = Hops::none(at(0));
        let mut now = 0;
        while now <= LONGEST.num_seconds() {
            hops = hops.next();
            if hops.check(at(now)).is_err() {
                return Some(hops.count);
            }
            now += poll;
        }
        None
    }

    #[test]
    fn a_chain_that_turns_without_waiting_ends_and_one_that_polls_goes_on() {
        let turning = (0..).map(|_| at(0)).scan(Hops::none(at(0)), |hops, now| {
            *hops = hops.next();
            Some(hops.check(now).map(|()| hops.count))
        });
        assert_eq!(turning.take_while(Result::is_ok).count(), 100);
        assert_eq!([ended_after(1), ended_after(30), ended_after(300)], [None; 3]);
        let old = Hops { count: 3, since: at(0) };
        assert!(old.check(at(0) + LONGEST).is_ok());
        let error = old.check(at(1) + LONGEST).expect_err("too old");
        assert!(error.hint().is_some_and(|hint| hint.contains("fix")), "{error}");
    }

    #[test]
    fn a_hop_count_reads_back() {
        let hops = Hops { count: 17, since: at(1_800_000_000) };
        assert_eq!(hops.to_string().parse::<Hops>().ok(), Some(hops));
        for text in ["", "17", "17 since", "-1 since 3", "x since y"] {
            assert!(text.parse::<Hops>().is_err(), "{text}");
        }
    }
}
