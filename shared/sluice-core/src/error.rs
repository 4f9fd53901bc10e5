//! One error type: what kind of thing went wrong and, apart from it, whether trying again can help.
//!
//! `kind` is for people and alarms, `retry` is for loops. An adapter classifies its vendor's codes into both in one
//! tested function; nothing above an adapter ever looks at an error's text.

use std::{error::Error as StdError, fmt, time::Duration};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Stands between an error's chain and its own hint where both travel as one text.
const HINT: &str = "; hint: ";

/// What went wrong, in the words an operator filters by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A setting is missing or wrong.
    Config,
    /// Credentials were refused or do not suffice.
    Auth,
    /// Something that must exist does not.
    NotFound,
    /// Another run got there first; its result stands.
    Conflict,
    /// The other side asked us to slow down.
    RateLimited,
    /// The other side is away or broken.
    Unavailable,
    /// No answer in the time allowed.
    Timeout,
    /// Data that cannot be what it claims to be.
    InvalidData,
    /// The shape of a source or target is not what the contract says.
    SchemaMismatch,
    /// Understood, but not something this platform does.
    Unsupported,
    /// A broken assumption of our own.
    Internal,
}

impl Kind {
    pub const ALL: [Kind; 11] = [
        Kind::Config,
        Kind::Auth,
        Kind::NotFound,
        Kind::Conflict,
        Kind::RateLimited,
        Kind::Unavailable,
        Kind::Timeout,
        Kind::InvalidData,
        Kind::SchemaMismatch,
        Kind::Unsupported,
        Kind::Internal,
    ];

    /// The stable word that alarms key on; also Lambda's `errorType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Config => "Config",
            Kind::Auth => "Auth",
            Kind::NotFound => "NotFound",
            Kind::Conflict => "Conflict",
            Kind::RateLimited => "RateLimited",
            Kind::Unavailable => "Unavailable",
            Kind::Timeout => "Timeout",
            Kind::InvalidData => "InvalidData",
            Kind::SchemaMismatch => "SchemaMismatch",
            Kind::Unsupported => "Unsupported",
            Kind::Internal => "Internal",
        }
    }

    /// The retry status of a kind when the adapter knows nothing more. No wildcard: a new kind forces the decision.
    pub fn default_retry(self) -> Retry {
        match self {
            Kind::RateLimited | Kind::Unavailable | Kind::Timeout => Retry::Transient,
            Kind::Config
            | Kind::Auth
            | Kind::NotFound
            | Kind::Conflict
            | Kind::InvalidData
            | Kind::SchemaMismatch
            | Kind::Unsupported
            | Kind::Internal => Retry::Permanent,
        }
    }

    /// What an HTTP status means where the other side says no more than that. `refused` is what it means that a request was
    /// not taken as it was: whose fault that is depends on who wrote it.
    pub fn of_http_status(status: u16, refused: Kind) -> Kind {
        match status {
            // Not followed, so the configured address is not the API's.
            300..400 => Kind::Config,
            401 | 403 | 407 => Kind::Auth,
            404 | 410 => Kind::NotFound,
            408 | 504 => Kind::Timeout,
            // Another request is at the same object, or it is too early: each of them passes. It is no conflict in our
            // sense, which says that another run has done the work.
            409 | 423 | 425 => Kind::Unavailable,
            429 => Kind::RateLimited,
            400..500 => refused,
            501 | 505 => Kind::Unsupported,
            500..600 => Kind::Unavailable,
            _ => Kind::Internal,
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Whether trying the same thing again can succeed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Trying again can succeed.
    Transient,
    /// Trying again cannot succeed.
    Permanent,
    /// Transient, but a retry loop below has already given up: loops above must not multiply the attempts.
    Exhausted,
}

/// What was attempted, on what, and why it failed.
pub struct Error {
    kind: Kind,
    retry: Retry,
    message: String,
    context: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    hint: Option<Box<str>>,
    is_final: bool,
    is_about_request: bool,
    source: Option<Box<dyn StdError + Send + Sync>>,
}

impl Error {
    /// `message` says what was attempted and what happened: lower case, no full stop, no values of rows or secrets.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Error {
            kind,
            retry: kind.default_retry(),
            message: message.into(),
            context: Vec::new(),
            retry_after: None,
            hint: None,
            is_final: false,
            is_about_request: false,
            source: None,
        }
    }

    pub fn config(message: impl Into<String>) -> Self {
        Self::new(Kind::Config, message)
    }

    pub fn invalid_data(message: impl Into<String>) -> Self {
        Self::new(Kind::InvalidData, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Kind::NotFound, message)
    }

    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unavailable, message)
    }

    pub fn conflict(message: impl Into<String>) -> Self {
        Self::new(Kind::Conflict, message)
    }

    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(Kind::Internal, message)
    }

    pub fn unsupported(message: impl Into<String>) -> Self {
        Self::new(Kind::Unsupported, message)
    }

    #[must_use]
    pub fn with_retry(mut self, retry: Retry) -> Self {
        self.retry = retry;
        self
    }

    /// How long the other side asked us to wait.
    #[must_use]
    pub fn after(mut self, wait: Duration) -> Self {
        self.retry_after = Some(wait);
        self
    }

    /// What to do about it, where what helps most often after an error of this kind does not suit.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<Box<str>>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Only other data, another contract, another build, or somebody who mends the table and retries makes the same work end
    /// otherwise. Said where that is known, and never concluded from a kind: what nobody has called final waits and is
    /// tried again.
    #[must_use]
    pub fn as_final(mut self) -> Self {
        self.is_final = true;
        self
    }

    /// What was asked for is at fault, and refused before anything was read: nothing is known of the table or its source.
    #[must_use]
    pub fn about_request(mut self) -> Self {
        self.is_about_request = true;
        self
    }

    /// Adds what the operation was about: a table, a key, a statement handle. Never a row value.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl fmt::Display) -> Self {
        self.context.push((key, value.to_string()));
        self
    }

    #[must_use]
    pub fn because(mut self, source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// A retry loop gave up on this error.
    #[must_use]
    pub fn exhausted(mut self) -> Self {
        if self.retry == Retry::Transient {
            self.retry = Retry::Exhausted;
        }
        self
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub fn retry(&self) -> Retry {
        self.retry
    }

    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The error's own hint; `None` where that of its kind will do.
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    pub fn is_final(&self) -> bool {
        self.is_final
    }

    pub fn is_about_request(&self) -> bool {
        self.is_about_request
    }

    pub fn is_transient(&self) -> bool {
        self.retry == Retry::Transient
    }

    /// The whole chain on one line; logged once, at the edge.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = self.source();
        while let Some(cause) = source {
            text.push_str(": ");
            text.push_str(&cause.to_string());
            source = cause.source();
        }
        text
    }

    /// The chain and the error's own hint, for an answer that has room for one text. [`apart`] reads it.
    pub fn answer(&self) -> String {
        match self.hint() {
            Some(hint) => format!("{}{HINT}{hint}", self.chain()),
            None => self.chain(),
        }
    }
}

/// The chain of an error whose [`answer`](Error::answer) this is, and its own hint.
pub fn apart(answer: &str) -> (&str, Option<&str>) {
    match answer.rsplit_once(HINT) {
        Some((chain, hint)) => (chain, Some(hint)),
        None => (answer, None),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        for (i, (key, value)) in self.context.iter().enumerate() {
            write!(f, "{}{key}={value}", if i == 0 { " (" } else { ", " })?;
        }
        if self.context.is_empty() { Ok(()) } else { f.write_str(")") }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} [{:?}]: {}", self.kind, self.retry, self.chain())
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.source.as_deref().map(|source| source as &(dyn StdError + 'static))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_http_status_has_one_kind() {
        for (status, expected) in [
            (301, Kind::Config),
            (400, Kind::InvalidData),
            (401, Kind::Auth),
            (403, Kind::Auth),
            (404, Kind::NotFound),
            (408, Kind::Timeout),
            (409, Kind::Unavailable),
            (412, Kind::InvalidData),
            (422, Kind::InvalidData),
            (423, Kind::Unavailable),
            (429, Kind::RateLimited),
            (500, Kind::Unavailable),
            (501, Kind::Unsupported),
            (503, Kind::Unavailable),
            (504, Kind::Timeout),
            (524, Kind::Unavailable),
            (200, Kind::Internal),
        ] {
            assert_eq!(Kind::of_http_status(status, Kind::InvalidData), expected, "status {status}");
        }
    }

    #[test]
    fn an_error_says_what_on_what_and_why() {
        let error = Error::unavailable("cannot list the log").with("table", "DLT.A.B").because("connection refused");
        assert_eq!(error.chain(), "cannot list the log (table=DLT.A.B): connection refused");
    }

    #[test]
    fn an_errors_own_hint_travels_with_its_chain() {
        let error = Error::conflict("nothing was begun").with("table", "DLT.A.B").because("a plan");
        assert_eq!((error.hint(), apart(&error.answer())), (None, ("nothing was begun (table=DLT.A.B): a plan", None)));
        let error = error.with_hint("ask again later");
        assert_eq!(error.chain(), "nothing was begun (table=DLT.A.B): a plan");
        assert_eq!(apart(&error.answer()), ("nothing was begun (table=DLT.A.B): a plan", Some("ask again later")));
    }

    #[test]
    fn no_kind_of_error_is_final_unless_it_is_said() {
        assert!(Kind::ALL.into_iter().all(|kind| !Error::new(kind, "x").is_final()));
        assert!(Error::invalid_data("x").as_final().with("table", "A.B.C").is_final());
    }

    #[test]
    fn giving_up_changes_only_transient_errors() {
        assert_eq!(Error::unavailable("x").exhausted().retry(), Retry::Exhausted);
        assert_eq!(Error::config("x").exhausted().retry(), Retry::Permanent);
    }
}
