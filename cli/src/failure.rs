//! Why a command did not do what was asked, and what to do about it.

use sluice_core::{Error, Kind};

pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// An error with a hint for the person at the terminal.
#[derive(Debug)]
pub(crate) struct Failure {
    error: Error,
    /// What the process ends with.
    code: u8,
}

/// Something went wrong on the way.
const FAILED: u8 = 1;
/// What was asked for makes no sense.
const USAGE: u8 = 2;
/// What was compared differs; that it could not be compared is another matter.
const DIFFERENT: u8 = 3;

impl Failure {
    /// The caller asked for something that makes no sense, whatever the state of the platform.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Failure { error: Error::config(message), code: USAGE }
    }

    /// What was to be compared was compared, and is not equal.
    pub(crate) fn different(message: impl Into<String>) -> Self {
        Failure { error: Error::conflict(message), code: DIFFERENT }
    }

    /// A command line that cannot be read, from what the parser of arguments says to a person: the fault, then the usage.
    pub(crate) fn command_line(text: &str) -> Self {
        let (fault, usage) = text.split_once("\n\n").unwrap_or((text, ""));
        let fault = fault.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" ");
        Failure::usage(fault).hint(usage.trim())
    }

    #[must_use]
    pub(crate) fn hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.error = self.error.with_hint(hint);
        self
    }

    pub(crate) fn kind(&self) -> Kind {
        self.error.kind()
    }

    pub(crate) fn exit_code(&self) -> u8 {
        self.code
    }

    pub(crate) fn message(&self) -> String {
        self.error.chain()
    }

    /// The error's own hint, which knows more than that of its kind.
    pub(crate) fn own_hint(&self) -> Option<&str> {
        self.error.hint()
    }

    fn hint_text(&self) -> Option<&str> {
        self.error.hint().or_else(|| usual_hint(self.error.kind()))
    }

    /// Message and hint as one sentence, for a list.
    pub(crate) fn sentence(&self) -> String {
        let hint = self.hint_text().map(|hint| format!("; {hint}"));
        format!("{}{}", self.message(), hint.unwrap_or_default())
    }

    pub(crate) fn text(&self) -> String {
        let hint = self.hint_text().map(|hint| format!("\n  hint: {hint}"));
        format!("sluice: {}{}", self.message(), hint.unwrap_or_default())
    }

    pub(crate) fn json(&self) -> String {
        let kind = match self.code {
            USAGE => "Usage",
            DIFFERENT => "Different",
            _ => self.error.kind().as_str(),
        };
        serde_json::json!({"error": {"kind": kind, "message": self.message(), "hint": self.hint_text()}}).to_string()
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure { error, code: FAILED }
    }
}

/// What helps most often. A kind without an entry needs a hint of its own, or has none.
fn usual_hint(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Auth => Some("check the credentials (`aws sts get-caller-identity`) and what they are allowed to do"),
        Kind::Conflict => Some("look with `sluice status`, then try again"),
        Kind::RateLimited => Some("wait and call again; nothing is lost"),
        Kind::Unavailable | Kind::Timeout => Some("try again; `sluice doctor` looks at each part"),
        Kind::NotFound => Some("`sluice status` shows which tables and commits there are"),
        Kind::SchemaMismatch | Kind::InvalidData => {
            Some("compare the table's entry in platform/sources.yaml with the source")
        }
        Kind::Config | Kind::Unsupported | Kind::Internal => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_and_what_to_do_and_tells_its_kinds_apart() {
        let away = Failure::from(Error::unavailable("cannot list the log").because("connection refused"));
        assert_eq!(away.exit_code(), 1);
        assert!(away.text().starts_with("sluice: cannot list the log: connection refused\n  hint: try again"));
        let refused = Failure::from(Error::conflict("nothing was begun").with_hint("wait, then run again"));
        assert_eq!(refused.text(), "sluice: nothing was begun\n  hint: wait, then run again");
        let wrong = Failure::usage("no such table").hint("look at the list");
        assert_eq!(wrong.exit_code(), 2);
        let json: serde_json::Value = serde_json::from_str(&wrong.json()).expect("JSON");
        assert_eq!(json["error"]["kind"], "Usage");
        assert_eq!(json["error"]["hint"], "look at the list");
    }

    #[test]
    fn a_command_line_that_cannot_be_read_is_a_fault_with_its_usage() {
        let error =
            <crate::args::Cli as clap::Parser>::try_parse_from(["sluice", "--json", "retry"]).expect_err("usage");
        let failure = Failure::command_line(&error.to_string());
        assert_eq!(failure.exit_code(), 2);
        let json: serde_json::Value = serde_json::from_str(&failure.json()).expect("JSON");
        let fault = "the following required arguments were not provided: <TABLE>";
        assert_eq!(json["error"]["message"], fault);
        assert!(failure.own_hint().is_some_and(|hint| hint.starts_with("Usage: sluice retry")), "{}", failure.json());
    }
}
