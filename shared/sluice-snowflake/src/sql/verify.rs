//! What `sluice verify` asks. Nothing here changes anything.

use sluice_core::{Sequence, TableId};

use super::{OBSERVABILITY, quote};

/// How many rows of a commit its raw table holds.
pub fn rows_of_commit(table: &TableId, sequence: Sequence) -> String {
    format!("SELECT COUNT(*) AS ROW_COUNT FROM {} WHERE _SLUICE_SEQUENCE = {sequence}", quote::table(table))
}

/// A quotient of decimals, whose decimals the account decides.
pub fn quotient() -> String {
    "SELECT CAST(1 AS DECIMAL(18,10)) / CAST(0.79 AS DECIMAL(18,10)) AS QUOTIENT".to_owned()
}

/// How many statements of the account's log have not ended well.
pub fn undone_changes() -> String {
    format!("SELECT COUNT(*) AS UNDONE FROM {OBSERVABILITY}.ACCOUNT_CHANGES WHERE STATUS <> 'done'")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn the_statements_of_a_verification() {
        let table: TableId = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES".parse().expect("a table");
        snapshot::check("verify", &[rows_of_commit(&table, Sequence(7)), quotient(), undone_changes()]);
    }
}
