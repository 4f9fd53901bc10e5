//! What a session says of its user: settings that are kept on Snowflake's side only.

/// How long a statement of the session waits for a table that another one holds: KEY, VALUE (seconds), DEFAULT, LEVEL (where
/// it is set; empty where nobody has), DESCRIPTION, TYPE.
pub const LOCK_TIMEOUT: &str = "SHOW PARAMETERS LIKE 'LOCK_TIMEOUT' IN SESSION";

/// The role that the session runs as: ROLE_NAME.
pub const ROLE: &str = "SELECT CURRENT_ROLE() AS ROLE_NAME";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_a_session_is_asked_about_itself() {
        snapshot::check("session", &[LOCK_TIMEOUT.to_owned(), ROLE.to_owned()]);
    }
}
