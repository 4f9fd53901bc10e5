//! How a command of `sluice-local` ends, for people and for scripts.

use crate::verify::Refused;

/// The status of a run that did all that it should with data of which it had to refuse more than a twentieth.
const REFUSED_TOO_MUCH: u8 = 3;

/// How a command ends that has met no error.
#[derive(Debug)]
pub(crate) enum Ended {
    Done,
    /// Too many lines of these sources were refused.
    RefusedTooMuch(Vec<Refused>),
    /// The settings are others now, and the platform is to start with them.
    Outdated,
}

impl Ended {
    /// Of a demo that is right about what it took.
    pub(crate) fn having_refused(refused: Vec<Refused>) -> Self {
        let refused: Vec<Refused> = refused.into_iter().filter(Refused::is_too_much).collect();
        if refused.is_empty() { Ended::Done } else { Ended::RefusedTooMuch(refused) }
    }

    pub(crate) fn status(&self) -> u8 {
        match self {
            Ended::Done | Ended::Outdated => 0,
            Ended::RefusedTooMuch(_) => REFUSED_TOO_MUCH,
        }
    }

    /// What is said on standard error, a line each.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let Ended::RefusedTooMuch(sources) = self else { return Vec::new() };
        let complaint = |Refused { source, lines, of, .. }: &Refused| {
            format!("{lines} of {of} lines of {source} were refused, more than 5 %; the reasons are above")
        };
        sources.iter().map(complaint).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_that_refuses_more_than_five_percent_ends_with_status_3() {
        let refused = |source, lines, of| Refused { source, lines, of, reasons: Vec::new() };
        let right = Ended::having_refused(vec![refused("purchases", 5, 100), refused("products", 0, 20)]);
        assert_eq!((right.status(), right.complaints()), (0, Vec::new()));
        let too_much = Ended::having_refused(vec![refused("purchases", 5, 100), refused("products", 2, 20)]);
        assert_eq!(too_much.status(), 3);
        let [complaint] = &too_much.complaints()[..] else { panic!("{too_much:?}") };
        assert!(complaint.starts_with("2 of 20 lines of products"), "{complaint}");
    }
}
