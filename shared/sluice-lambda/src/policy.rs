//! What happens after an error of each kind, and what the operator can do about it. One table, no wildcard.

use sluice_core::{Error, Kind};

/// What becomes of a queue's message whose handling failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Back to the queue; after its receive limit to the dead-letter queue, to be redriven.
    Redeliver,
    /// Done with: it cannot succeed, the failure has been announced, and what it was about is kept in the lake.
    Acknowledge,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    pub action: Action,
    pub hint: &'static str,
}

/// The table. Whatever an operator can mend from outside is redelivered; whatever only new data or new code can mend is
/// not.
pub fn policy(kind: Kind) -> Policy {
    let (action, hint) = match kind {
        Kind::Config => (Action::Redeliver, "correct the setting that the message names and deploy again"),
        Kind::Auth => (Action::Redeliver, "check the secret, its user's grants and the network policy"),
        Kind::NotFound => {
            (Action::Redeliver, "check that the named object exists in this stage and that the role may see it")
        }
        Kind::Conflict => (Action::Acknowledge, "nothing to do: another run did the work"),
        Kind::RateLimited => (Action::Redeliver, "wait, or lower the schedule's frequency or the daily share"),
        Kind::Unavailable => (Action::Redeliver, "check the other system's status; the work is tried again"),
        Kind::Timeout => (Action::Redeliver, "check the other system's load; the work is tried again"),
        Kind::InvalidData => (Action::Acknowledge, "look at the named object; correct its source and extract again"),
        Kind::SchemaMismatch => (Action::Acknowledge, "bring platform/sources.yaml and the source's schema together"),
        Kind::Unsupported => (Action::Acknowledge, "the request is not one that this build can serve; see the README"),
        Kind::Internal => (Action::Redeliver, "a broken assumption of this build: report it with the log line"),
    };
    Policy { action, hint }
}

/// What the operator can do about an error: its own hint, or that of its kind.
pub fn hint(error: &Error) -> &str {
    error.hint().unwrap_or(policy(error.kind()).hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_hint_and_transient_kinds_are_redelivered() {
        for kind in Kind::ALL {
            let row = policy(kind);
            assert!(row.hint.len() > 20, "{kind} has no useful hint");
            if kind.default_retry() == sluice_core::Retry::Transient {
                assert_eq!(row.action, Action::Redeliver, "{kind}");
            }
        }
    }

    #[test]
    fn an_errors_own_hint_goes_before_that_of_its_kind() {
        let lost = Error::conflict("another run has committed first");
        assert_eq!(hint(&lost), policy(Kind::Conflict).hint);
        let refused = lost.with_hint("wait, then run again");
        assert_eq!(hint(&refused), "wait, then run again");
    }
}
