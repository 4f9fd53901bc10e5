//! A table's columns as the catalogue shows them: what is checked against the contract before a run reads anything.
//!
//! The read looks at the shape again inside its own transaction. What a migration changes between the two ends that run,
//! and the next one observes it.

use sluice_core::{Column, ColumnType, Error, Kind, Result, drift::Observed, extract::ExtractRun, sources::Source};
use tokio_postgres::{Row, types::Type};

use crate::{client::Session, config::PostgresConfig, error::classify, type_map::Field};

/// Domains are followed to the type below them, which is what `COPY` sends, with the length or precision that counts.
const OBSERVE: &str = "\
    SELECT a.attname::text AS name, pg_catalog.format_type(b.oid, b.typmod) AS source_type, \
           b.oid AS type_oid, b.typmod AS typmod, NOT a.attnotnull AS nullable \
    FROM pg_catalog.pg_attribute AS a \
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace \
    CROSS JOIN LATERAL ( \
        WITH RECURSIVE below(oid, typmod) AS ( \
            SELECT a.atttypid, a.atttypmod \
            UNION ALL SELECT t.typbasetype, t.typtypmod FROM below \
            JOIN pg_catalog.pg_type AS t ON t.oid = below.oid AND t.typtype = 'd' \
        ) \
        SELECT below.oid, below.typmod FROM below \
        JOIN pg_catalog.pg_type AS t ON t.oid = below.oid WHERE t.typtype <> 'd' \
    ) AS b \
    WHERE n.nspname = $1 AND c.relname = $2 AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum";

/// What PostgreSQL adds to a precision or length in a type modifier.
const HEADER: i32 = 4;

/// The columns of the run's table; `None` when its source is no PostgreSQL table, which the read refuses by name.
pub async fn observe(config: &PostgresConfig, run: &ExtractRun<'_>) -> Result<Option<Vec<Observed>>> {
    let Source::Postgres { schema, table, .. } = &run.table.source else { return Ok(None) };
    let session = Session::open(config, run.run_id).await?;
    let failed = |error| classify(error, "cannot read the columns of the source's table");
    let rows = session.client.query(OBSERVE, &[schema, table]).await.map_err(failed)?;
    if rows.is_empty() {
        return Err(Error::new(Kind::NotFound, "the source's table does not exist, or it has no columns")
            .with("source", format_args!("{schema}.{table}"))
            .with("run_id", run.run_id));
    }
    rows.iter().map(|row| column(row, run).map_err(failed)).collect::<Result<_>>().map(Some)
}

fn column(row: &Row, run: &ExtractRun<'_>) -> std::result::Result<Observed, tokio_postgres::Error> {
    let name: String = row.try_get("name")?;
    let found = Type::from_oid(row.try_get("type_oid")?);
    let (becomes, capacity) = shape(found.as_ref(), row.try_get("typmod")?);
    let contract = run.table.columns.columns().iter().find(|column| column.source() == name);
    Ok(Observed {
        readable: contract.is_none_or(|contract| readable(contract, found.as_ref())),
        source_type: row.try_get("source_type")?,
        nullable: row.try_get("nullable")?,
        name,
        becomes,
        capacity,
    })
}

/// A type of the database's own, such as an enum, has no number that is known here; as text it can always be read.
fn readable(contract: &Column, found: Option<&Type>) -> bool {
    match found {
        Some(found) => Field::new(contract, found).is_ok(),
        None => contract.column_type == ColumnType::Text,
    }
}

/// What a column of this type becomes when it is new, and how much fits. Whatever has no exact counterpart becomes the
/// text that the server writes, floats too: their shortest exact text loses nothing.
fn shape(found: Option<&Type>, typmod: i32) -> (ColumnType, Option<u32>) {
    let length = u32::try_from(typmod - HEADER).ok();
    match found {
        Some(&Type::INT2) => (ColumnType::Bigint, Some(5)),
        Some(&Type::INT4) => (ColumnType::Bigint, Some(10)),
        Some(&Type::INT8) => (ColumnType::Bigint, Some(19)),
        Some(&Type::NUMERIC) => (decimal(typmod).unwrap_or(ColumnType::Text), None),
        Some(&Type::DATE) => (ColumnType::Date, None),
        Some(&Type::TIMESTAMP | &Type::TIMESTAMPTZ) => (ColumnType::Timestamp, None),
        Some(&Type::BOOL) => (ColumnType::Boolean, None),
        Some(&Type::VARCHAR | &Type::BPCHAR) => (ColumnType::Text, Some(length.unwrap_or(u32::MAX))),
        Some(&Type::TEXT) => (ColumnType::Text, Some(u32::MAX)),
        _ => (ColumnType::Text, None),
    }
}

/// `numeric(p,s)` from its modifier; a scale may be negative, or larger than the precision. `None` without a modifier
/// and for what no decimal of 38 digits holds.
fn decimal(typmod: i32) -> Option<ColumnType> {
    let packed = typmod.checked_sub(HEADER).filter(|packed| *packed >= 0)?;
    let precision = packed >> 16;
    // Eleven bits in two's complement.
    let scale = ((packed & 0x7ff) ^ 1024) - 1024;
    let whole = (precision - scale).max(0);
    let scale = scale.max(0);
    let precision = u8::try_from(whole + scale).ok().filter(|precision| (1..=38).contains(precision))?;
    Some(ColumnType::Decimal(precision, i8::try_from(scale).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_numeric_becomes_the_decimal_that_holds_all_of_it() {
        let typmod = |precision: i32, scale: i32| ((precision << 16) | (scale & 0x7ff)) + HEADER;
        for (modifier, expected) in [
            (typmod(10, 2), Some("decimal(10,2)")),
            (typmod(38, 38), Some("decimal(38,38)")),
            (typmod(3, -2), Some("decimal(5,0)")),
            (typmod(2, 4), Some("decimal(4,4)")),
            (typmod(39, 0), None),
            (-1, None),
        ] {
            assert_eq!(decimal(modifier).map(|found| found.to_string()).as_deref(), expected, "{modifier}");
        }
    }

    #[test]
    fn what_has_no_exact_counterpart_becomes_text() {
        for found in [None, Some(&Type::FLOAT8), Some(&Type::UUID), Some(&Type::JSONB), Some(&Type::NUMERIC)] {
            assert_eq!(shape(found, -1).0, ColumnType::Text, "{found:?}");
        }
        assert_eq!(shape(Some(&Type::VARCHAR), 24), (ColumnType::Text, Some(20)));
    }
}
