//! What the operator can do about an error of each kind. One table, no wildcard. Whether trying again can help is not said by
//! a kind but by the error itself.

use sluice_core::{Error, Kind};

/// What helps most often after an error of this kind.
pub fn usual_hint(kind: Kind) -> &'static str {
    match kind {
        Kind::Config => "correct the setting that the message names and deploy again",
        Kind::Auth => "check the secret, its user's grants and the network policy",
        Kind::NotFound => "check that the named object exists in this stage and that the role may see it",
        Kind::Conflict => "nothing to do: another run did the work",
        Kind::RateLimited => "wait, or lower the schedule's frequency or the daily share",
        Kind::Unavailable => "check the other system's status; the work is tried again",
        Kind::Timeout => "check the other system's load; the work is tried again",
        Kind::InvalidData => "look at the named object; correct its source and extract again",
        Kind::SchemaMismatch => "bring platform/sources.yaml and the source's schema together",
        Kind::Unsupported => "the request is not one that this build can serve; see the README",
        Kind::Internal => "a broken assumption of this build: report it with the log line",
    }
}

/// What the operator can do about an error: its own hint, or that of its kind.
pub fn hint(error: &Error) -> &str {
    error.hint().unwrap_or(usual_hint(error.kind()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_a_hint_that_says_something() {
        for kind in Kind::ALL {
            assert!(usual_hint(kind).len() > 20, "{kind} has no useful hint");
        }
    }

    #[test]
    fn an_errors_own_hint_goes_before_that_of_its_kind() {
        let lost = Error::conflict("another run has committed first");
        assert_eq!(hint(&lost), usual_hint(Kind::Conflict));
        let refused = lost.with_hint("wait, then run again");
        assert_eq!(hint(&refused), "wait, then run again");
    }
}
