//! What becomes of a batch that the function fails: sent again, in halves, or given up.

/// The settings of an event source mapping about failed batches. The default is the mapping's own: the whole batch, for
/// ever.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FailurePolicy {
    /// Send half of a failed batch next, so that a bad record ends up alone. Splitting is not counted as a retry.
    pub bisect: bool,
    /// How often the same records are sent again before they are given up; `None` is for ever.
    pub most_retries: Option<u32>,
}

/// What to do next about records that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    Retry,
    GiveUp,
}

/// How one partition's records are going: what another partition brings to an end says nothing about them.
#[derive(Debug)]
pub(crate) struct Failures {
    policy: FailurePolicy,
    batch_size: usize,
    limit: usize,
    retries: u32,
}

impl Failures {
    pub(crate) fn new(policy: FailurePolicy, batch_size: usize) -> Self {
        Failures { policy, batch_size, limit: batch_size, retries: 0 }
    }

    /// The most records of the partition that the next event may hold.
    pub(crate) fn limit(&self) -> usize {
        self.limit
    }

    /// Records are behind us. After a split the events grow again as they shrank.
    pub(crate) fn advanced(&mut self) {
        self.retries = 0;
        self.limit = (self.limit * 2).min(self.batch_size);
    }

    /// How many records of an event have failed, and none of them is done.
    pub(crate) fn failed(&mut self, sent: usize) -> Next {
        if self.policy.bisect && sent > 1 {
            self.limit = sent.div_ceil(2);
            return Next::Retry;
        }
        self.retries += 1;
        if self.policy.most_retries.is_some_and(|most| self.retries > most) { Next::GiveUp } else { Next::Retry }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sizes of the events that `records` with one bad one need, and whether it was given up.
    fn sizes(policy: FailurePolicy, records: usize, bad: usize) -> (Vec<usize>, bool) {
        let mut failures = Failures::new(policy, 8);
        let (mut position, mut sizes) = (0, Vec::new());
        while position < records && sizes.len() < 50 {
            let sent = failures.limit().min(records - position);
            sizes.push(sent);
            if !(position..position + sent).contains(&bad) {
                position += sent;
                failures.advanced();
            } else if failures.failed(sent) == Next::GiveUp {
                position += sent;
                failures.advanced();
                if sent == 1 || !policy.bisect {
                    sizes.push(0);
                }
            }
        }
        let given_up = sizes.contains(&0);
        sizes.retain(|size| *size > 0);
        (sizes, given_up)
    }

    #[test]
    fn a_batch_is_sent_whole_and_as_often_as_it_is_allowed() {
        assert_eq!(sizes(FailurePolicy { bisect: false, most_retries: Some(2) }, 10, 3), (vec![8, 8, 8, 2], true));
        assert_eq!(sizes(FailurePolicy::default(), 10, 3).0, vec![8; 50], "for ever");
    }

    #[test]
    fn halving_leaves_a_bad_record_alone_and_grows_again() {
        let policy = FailurePolicy { bisect: true, most_retries: Some(1) };
        assert_eq!(sizes(policy, 16, 3), (vec![8, 4, 2, 4, 2, 1, 2, 1, 1, 2, 4, 6], true));
    }
}
