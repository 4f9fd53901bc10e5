//! A part that was looked at: how it is, and what mends it. One line each, wherever parts are looked at.

use serde::Serialize;
use sluice_core::Kind;

use crate::{
    failure::Outcome,
    output::{WIDTH, shortened},
};

/// How a part is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Health {
    Ok,
    /// Worth a look; the platform works.
    Warning,
    Failed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Check {
    pub what: String,
    pub health: Health,
    pub detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    pub(crate) fn ok(what: impl Into<String>, detail: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Ok, detail: detail.into(), fix: None }
    }

    pub(crate) fn warning(what: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Warning, detail: detail.into(), fix: Some(fix.into()) }
    }

    pub(crate) fn failed(what: impl Into<String>, detail: impl Into<String>, fix: impl Into<String>) -> Self {
        Check { what: what.into(), health: Health::Failed, detail: detail.into(), fix: Some(fix.into()) }
    }

    /// The tables themselves say what fails now.
    pub(crate) fn only_a_warning(self) -> Self {
        match self.health {
            Health::Ok => self,
            Health::Warning | Health::Failed => Check { health: Health::Warning, ..self },
        }
    }

    /// What a check found, or that it could not look. What is not there or gives no answer is no matter of permissions.
    pub(crate) fn of(what: &str, found: Outcome<Check>, fix: &str) -> Self {
        found.unwrap_or_else(|failure| {
            let fix = match failure.kind() {
                Kind::Unavailable | Kind::Timeout => AWAY,
                Kind::NotFound | Kind::Config => failure.own_hint().unwrap_or(fix),
                _ => fix,
            };
            Check::failed(what, failure.message(), fix)
        })
    }
}

/// What helps where nothing answers: neither a secret nor a permission.
const AWAY: &str =
    "nothing answers there: on this machine start it with `make up`; of a stack, check address and network";

pub(crate) fn render(checks: &[Check]) -> String {
    let mut lines = Vec::new();
    for check in checks {
        let mark = match check.health {
            Health::Ok => "✓",
            Health::Warning => "!",
            Health::Failed => "✗",
        };
        lines.push(shortened(&format!("{mark} {}: {}", check.what, check.detail), WIDTH));
        if let Some(fix) = &check.fix {
            lines.push(shortened(&format!("    fix: {fix}"), WIDTH));
        }
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use sluice_core::Error;

    use super::*;
    use crate::failure::Failure;

    #[test]
    fn what_gives_no_answer_is_no_matter_of_secrets() {
        let fix = |failure: Failure| Check::of("warehouse", Err(failure), "check the secret").fix.expect("a fix");
        assert!(fix(Error::unavailable("cannot connect").into()).contains("make up"));
        assert_eq!(fix(Error::new(Kind::Auth, "refused").into()), "check the secret");
        let named = Failure::from(Error::not_found("no such output").with_hint("deploy this checkout's template"));
        assert_eq!(fix(named), "deploy this checkout's template");
    }

    #[test]
    fn what_is_wrong_has_a_fix_beside_it() {
        let text = render(&[Check::ok("a", "fine"), Check::failed("b", "x".repeat(200), "fix it")]);
        assert!(text.starts_with("✓ a: fine\n✗ b: x") && text.ends_with("    fix: fix it"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH));
    }
}
