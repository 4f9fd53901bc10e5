//! How often a channel is asked whether its rows are durable.
//!
//! A commit takes seconds in a warehouse and a moment on one machine, and a channel answers about ten questions a second.
//! So the first question comes when a commit is usually done, as measured, and the others come ever more slowly.

use std::time::Duration;

/// An answer in time is latency, so the first question of a channel that was never measured comes soon.
const SOON: Duration = Duration::from_millis(25);
const FASTEST: Duration = Duration::from_millis(100);
const SLOWEST: Duration = Duration::from_millis(500);

/// How long a channel's commits take.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct CommitPace {
    usual: Option<Duration>,
}

impl CommitPace {
    /// How long to wait before the next question, after this many of them.
    pub(super) fn wait(self, asked: u32) -> Duration {
        match (self.usual, asked) {
            (Some(usual), 0) => usual * 3 / 4,
            (Some(usual), _) => (usual / 8).clamp(FASTEST, SLOWEST),
            (None, 0) => Duration::ZERO,
            (None, 1) => SOON,
            (None, _) => (FASTEST * 2_u32.pow((asked - 2).min(3))).min(SLOWEST),
        }
    }

    /// A commit was seen this long after the append. Older ones count less and less.
    pub(super) fn measured(&mut self, took: Duration) {
        self.usual = Some(self.usual.map_or(took, |usual| (usual * 3 + took) / 4));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// When questions are asked until a commit that takes this long is seen.
    fn questions(pace: &mut CommitPace, commit: Duration) -> Vec<Duration> {
        let (mut at, mut asked) = (Duration::ZERO, Vec::new());
        loop {
            at += pace.wait(asked.len() as u32);
            asked.push(at);
            if at >= commit {
                pace.measured(at);
                return asked;
            }
        }
    }

    #[test]
    fn a_channel_is_asked_ten_times_a_second_at_most() {
        for milliseconds in [0, 20, 60, 300, 1_000, 5_000, 30_000] {
            let mut pace = CommitPace::default();
            for _ in 0..50 {
                let asked = questions(&mut pace, Duration::from_millis(milliseconds));
                for start in &asked {
                    let within = asked.iter().filter(|at| (*start..*start + Duration::from_secs(1)).contains(at));
                    assert!(within.count() <= 10, "{milliseconds} ms: {asked:?}");
                }
            }
        }
    }

    #[test]
    fn a_measured_channel_is_asked_a_few_times_for_each_commit() {
        for milliseconds in [50, 1_000, 5_000, 10_000] {
            let (mut pace, commit) = (CommitPace::default(), Duration::from_millis(milliseconds));
            questions(&mut pace, commit);
            for _ in 0..50 {
                let asked = questions(&mut pace, commit);
                assert!(asked.len() <= 7, "{milliseconds} ms: {asked:?}");
                let late = asked.last().expect("an answer").saturating_sub(commit);
                assert!(late <= SLOWEST, "{milliseconds} ms: {late:?} too late");
            }
        }
    }

    #[test]
    fn a_channel_that_was_never_measured_is_asked_at_once_and_soon_again() {
        let asked = questions(&mut CommitPace::default(), Duration::from_millis(20));
        assert_eq!(asked, [Duration::ZERO, SOON]);
    }
}
