//! What applying the account's file keeps in the account: a lease, so that one apply runs at a time, and a row for each
//! statement that was sent.

use super::{OBSERVABILITY, create_table, quote};

/// The tables' names.
pub(crate) const LEASE: &str = "ACCOUNT_LEASE";
pub(crate) const CHANGES: &str = "ACCOUNT_CHANGES";

/// The columns of the lease, with what they hold at first: who has it, until when, and whose account this is.
pub(crate) const LEASE_COLUMNS: [(&str, &str, &str); 4] = [
    ("HOLDER", "VARCHAR", "''"),
    ("HELD_UNTIL", "TIMESTAMP_NTZ(6)", "SYSDATE()"),
    ("LAKE", "VARCHAR", "''"),
    ("ENVIRONMENT", "VARCHAR", "''"),
];

/// Makes the lease: a table with one row, made with its row in one statement, so that there is no second one.
pub(crate) fn create_lease() -> String {
    let columns = LEASE_COLUMNS.map(|(name, data_type, first)| format!("{first}::{data_type} AS {name}"));
    format!("CREATE TABLE IF NOT EXISTS {OBSERVABILITY}.{LEASE} AS\nSELECT {}", columns.join(", "))
}

/// Makes the table of changes.
pub(crate) fn create_changes() -> String {
    let columns = [
        "RUN_ID VARCHAR NOT NULL",
        "NUMBER NUMBER(10,0) NOT NULL",
        "ROLE_NAME VARCHAR NOT NULL",
        "OBJECT VARCHAR NOT NULL",
        "STATEMENT VARCHAR NOT NULL",
        "STATUS VARCHAR NOT NULL",
        "ANSWER VARCHAR",
        "CHANGED_AT TIMESTAMP_NTZ(6) NOT NULL",
    ];
    create_table(&format!("{OBSERVABILITY}.{CHANGES}"), &columns.map(str::to_owned))
}

/// Whose an account is. The first apply says it, and every other one has to say the same.
pub(crate) struct Identity<'a> {
    pub lake: &'a str,
    pub environment: &'a str,
}

/// Takes the lease for a number of seconds, or takes it again; no row is updated while another run holds it, nor where the
/// account is another one's.
pub(crate) fn take(run: &str, identity: &Identity<'_>, seconds: i64) -> String {
    let [run, lake, environment] = [run, identity.lake, identity.environment].map(quote::literal);
    format!(
        "UPDATE {OBSERVABILITY}.{LEASE} SET HOLDER = {run}, HELD_UNTIL = DATEADD('second', {seconds}, SYSDATE()), \
         LAKE = {lake}, ENVIRONMENT = {environment} \
         WHERE (HOLDER = {run} OR HELD_UNTIL <= SYSDATE()) AND COALESCE(LAKE, '') IN ('', {lake}) \
         AND COALESCE(ENVIRONMENT, '') IN ('', {environment})"
    )
}

/// Holds it for this many seconds more; no row is updated once another run has taken it.
pub(crate) fn renew(run: &str, seconds: i64) -> String {
    format!(
        "UPDATE {OBSERVABILITY}.{LEASE} SET HELD_UNTIL = DATEADD('second', {seconds}, SYSDATE()) WHERE HOLDER = {}",
        quote::literal(run)
    )
}

/// Who holds the lease, and whose account it is.
pub(crate) fn holder() -> String {
    let columns = LEASE_COLUMNS.map(|(name, ..)| name);
    format!("SELECT {} FROM {OBSERVABILITY}.{LEASE}", columns.join(", "))
}

/// Gives the lease back.
pub(crate) fn give_back(run: &str) -> String {
    format!("UPDATE {OBSERVABILITY}.{LEASE} SET HELD_UNTIL = SYSDATE() WHERE HOLDER = {}", quote::literal(run))
}

/// One statement that was sent.
pub(crate) struct Sent<'a> {
    pub run: &'a str,
    pub number: usize,
    pub role: &'a str,
    pub object: &'a str,
    pub statement: &'a str,
    /// `done` or `failed`.
    pub status: &'a str,
    pub answer: &'a str,
}

pub(crate) fn record(sent: &Sent<'_>) -> String {
    format!(
        "INSERT INTO {OBSERVABILITY}.{CHANGES} (RUN_ID, NUMBER, ROLE_NAME, OBJECT, STATEMENT, STATUS, ANSWER, CHANGED_AT)\n\
         SELECT {}, {}, {}, {}, {}, {}, {}, SYSDATE()",
        quote::literal(sent.run),
        sent.number,
        quote::literal(sent.role),
        quote::literal(sent.object),
        quote::literal(sent.statement),
        quote::literal(sent.status),
        quote::literal(sent.answer),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn the_statements_of_an_apply_about_itself() {
        let sent = Sent {
            run: "run-1",
            number: 1,
            role: "SYSADMIN",
            object: "warehouse LOADING",
            statement: "CREATE WAREHOUSE IF NOT EXISTS LOADING COMMENT = 'it''s'",
            status: "done",
            answer: "Warehouse LOADING successfully created.",
        };
        snapshot::check(
            "changes",
            &[
                create_lease(),
                create_changes(),
                take("run-1", &Identity { lake: "sluice-dev", environment: "dev" }, 300),
                renew("run-1", 300),
                holder(),
                record(&sent),
                give_back("run-1"),
            ],
        );
    }
}
