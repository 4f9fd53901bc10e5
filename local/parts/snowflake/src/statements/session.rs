//! What a session says of itself: a parameter, and its role.

use super::Session;
use crate::{failure::Failure, result::ResultSet, tokens::Cursor};

/// Snowflake's own LOCK_TIMEOUT in seconds.
const LOCK_TIMEOUT: &str = "43200";

/// Everything that follows `SHOW PARAMETERS`.
pub(super) fn parameters(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    cursor.expect("LIKE")?;
    let pattern = cursor.text()?;
    cursor.expect("IN SESSION")?;
    cursor.end()?;
    if pattern != "LOCK_TIMEOUT" {
        return Err(Failure::unsupported(format!("SHOW PARAMETERS LIKE '{pattern}'")));
    }
    let seconds = session.shared.lock_timeout.as_secs().to_string();
    Ok(ResultSet::texts(&[
        ("key", "LOCK_TIMEOUT"),
        ("value", &seconds),
        ("default", LOCK_TIMEOUT),
        ("level", if seconds == LOCK_TIMEOUT { "" } else { "USER" }),
        ("description", "Number of seconds to wait while trying to lock a resource."),
        ("type", "NUMBER"),
    ]))
}

/// Everything that follows `SELECT CURRENT_ROLE() AS`.
pub(super) fn role(session: &Session<'_>, mut cursor: Cursor<'_>) -> Result<ResultSet, Failure> {
    let name = cursor.identifier()?;
    cursor.end()?;
    Ok(ResultSet::message(&name, session.caller.role.as_str()))
}
