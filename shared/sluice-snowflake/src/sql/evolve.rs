//! Bringing a raw table up to the columns of a commit: what is there, and what is added or made wider.
//!
//! Only what Snowflake does in place and without touching a row: a new column, and more digits of a number. Nothing is
//! dropped, renamed or given another type. Each statement may run again, and an older commit asks for nothing that a newer
//! one has already done.

use sluice_core::{
    ColumnType, Commit, Error, Kind, Result, TableId, names,
    port::{Row, required},
};

use super::{column_types, quote};
use crate::answer::optional;

/// One column of a raw table, as the warehouse describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// As stored: upper case.
    pub name: String,
    /// Snowflake's word, such as NUMBER or TEXT.
    pub data_type: String,
    pub precision: Option<u8>,
    pub scale: Option<i8>,
}

impl Present {
    /// Reads a row of [`columns`].
    pub fn of(row: &Row) -> Result<Self> {
        Ok(Present {
            name: required(row, "column_name")?.to_owned(),
            data_type: required(row, "data_type")?.to_owned(),
            precision: optional(row, "numeric_precision")?,
            scale: optional(row, "numeric_scale")?,
        })
    }
}

/// The columns of a raw table as COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION and NUMERIC_SCALE.
pub fn columns(table: &TableId) -> String {
    format!(
        "SELECT COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE FROM {}.INFORMATION_SCHEMA.COLUMNS \
         WHERE TABLE_SCHEMA = {} AND TABLE_NAME = {} ORDER BY ORDINAL_POSITION",
        quote::identifier(&table.database),
        quote::literal(&table.schema),
        quote::literal(&table.table)
    )
}

/// What has to run before the commit fits its table; empty when it fits. `permits` says whether the contract lets a column
/// of the raw table change. Refuses a column that neither fits nor may change, before a row of it is lost or rounded.
pub fn statements(commit: &Commit, present: &[Present], permits: impl Fn(&str) -> bool) -> Result<Vec<String>> {
    if present.is_empty() {
        let message = "the raw table does not exist; make it with `sluice warehouse apply` (docs/add-a-table.md)";
        return Err(Error::new(Kind::NotFound, message).with("table", &commit.table));
    }
    let table = quote::table(&commit.table);
    let mut statements = Vec::new();
    for column in commit.schema.columns() {
        let name = quote::column(&column.name);
        let stored = names::fold(&column.name);
        let wanted = column_types::column_type(column.column_type);
        let refused = |message: &str| {
            let error = Error::new(Kind::SchemaMismatch, message).with("table", &commit.table);
            Err(error.with("column", &column.name).as_final())
        };
        let statement = match present.iter().find(|present| present.name == stored) {
            // Not required in the warehouse, whatever the contract says: older rows have no value.
            None => format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {name} {wanted}"),
            Some(present) => match fit(column.column_type, present) {
                Fit::Fits => continue,
                Fit::Wider => format!("ALTER TABLE {table} ALTER COLUMN {name} SET DATA TYPE {wanted}"),
                Fit::Never => {
                    return refused("the raw table's column has a type that cannot take the commit's in place");
                }
            },
        };
        if !permits(&column.name) {
            return refused(
                "the commit has a column that the raw table cannot take, and its contract does not let it evolve",
            );
        }
        statements.push(statement);
    }
    Ok(statements)
}

enum Fit {
    Fits,
    /// The same kind of number with more digits.
    Wider,
    Never,
}

fn fit(wanted: ColumnType, present: &Present) -> Fit {
    let same = match wanted {
        ColumnType::Bigint | ColumnType::Decimal(..) => present.data_type == "NUMBER",
        ColumnType::Text => present.data_type == "TEXT",
        ColumnType::Timestamp => present.data_type == "TIMESTAMP_NTZ",
        ColumnType::Date => present.data_type == "DATE",
        ColumnType::Boolean => present.data_type == "BOOLEAN",
    };
    let (precision, scale) = match wanted {
        _ if !same => return Fit::Never,
        ColumnType::Bigint => (19, 0),
        ColumnType::Decimal(precision, scale) => (precision, scale),
        _ => return Fit::Fits,
    };
    match (present.precision, present.scale) {
        // Fewer decimals would be rounding, and whole digits are what is left of the precision.
        (Some(_), Some(held)) if held < scale => Fit::Never,
        (Some(held), Some(decimals)) => {
            let whole = |precision: u8, scale: i8| i16::from(precision) - i16::from(scale);
            match (whole(held, decimals) >= whole(precision, scale), decimals == scale) {
                (true, _) => Fit::Fits,
                (false, true) => Fit::Wider,
                (false, false) => Fit::Never,
            }
        }
        _ => Fit::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::{load::tests::commit, snapshot};

    fn present(name: &str, data_type: &str, number: Option<(u8, i8)>) -> Present {
        Present {
            name: name.into(),
            data_type: data_type.into(),
            precision: number.map(|(precision, _)| precision),
            scale: number.map(|(_, scale)| scale),
        }
    }

    /// The shipped table of products, as its foundation makes it.
    fn products() -> Vec<Present> {
        vec![
            present("AUDIT_ID", "NUMBER", Some((19, 0))),
            present("PRODUCT_ID", "NUMBER", Some((19, 0))),
            present("PRODUCT_NAME", "TEXT", None),
            present("PRICE_USD", "NUMBER", Some((18, 4))),
            present("OPERATION", "TEXT", None),
            present("VALID_TS", "TIMESTAMP_NTZ", None),
        ]
    }

    fn with(name: &str, column_type: &str) -> Commit {
        let mut commit = commit("DLT.APPLICATION_DATA.PRODUCTS", 1);
        let column = sluice_core::Column::optional(name, column_type.parse().expect("a type"));
        match commit.schema.position(name) {
            Some(at) => commit.schema.0[at] = column,
            None => commit.schema.0.push(column),
        }
        commit
    }

    #[test]
    fn the_statements_that_bring_a_table_up_to_a_commit() {
        let added = statements(&with("it's \"quoted\"", "text"), &products(), |_| true).expect("permitted");
        let wider = statements(&with("price_usd", "decimal(38,4)"), &products(), |_| true).expect("permitted");
        let mut rendered = vec![columns(&commit("DLT.APPLICATION_DATA.PRODUCTS", 1).table)];
        rendered.extend(added);
        rendered.extend(wider);
        snapshot::check("evolve", &rendered);
    }

    #[test]
    fn what_fits_needs_no_statement_and_an_older_commit_takes_nothing_back() {
        let fits = |name: &str, column_type: &str| {
            statements(&with(name, column_type), &products(), |_| false).expect("it fits").is_empty()
        };
        for (name, column_type) in
            [("price_usd", "decimal(18,4)"), ("price_usd", "decimal(10,2)"), ("product_id", "bigint")]
        {
            assert!(fits(name, column_type), "{name} {column_type}");
        }
    }

    #[test]
    fn what_no_statement_can_do_and_what_the_contract_forbids_is_refused() {
        for (name, column_type, permitted) in [
            ("price_usd", "decimal(20,6)", true),
            ("price_usd", "text", true),
            ("product_name", "bigint", true),
            ("price_usd", "decimal(38,4)", false),
            ("extra", "date", false),
        ] {
            let error = statements(&with(name, column_type), &products(), |_| permitted).expect_err("refused");
            assert_eq!((error.kind(), error.is_final()), (Kind::SchemaMismatch, true), "{name} {column_type}");
            assert!(error.to_string().contains(name), "{error}");
        }
        let missing = statements(&with("extra", "date"), &[], |_| true).expect_err("no table");
        assert_eq!((missing.kind(), missing.is_final()), (Kind::NotFound, false));
    }
}
