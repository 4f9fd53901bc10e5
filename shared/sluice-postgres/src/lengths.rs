//! How long a row may be, and what comes of one that is longer.
//!
//! A row of a `COPY` is one message, however long: a value of 500 MB would have to be held whole, and one of 600 MB the
//! server cannot even send. So where a table has values that are kept apart from their rows, the read asks for lengths
//! first, which PostgreSQL mostly knows without touching the value. A row that is too long comes without its long values,
//! and the lengths of all are in one more column behind the others.

use sluice_core::{Error, Result, contract::MAX_TEXT_BYTES};

use crate::{decode::Decoded, type_map::Field};

/// The values of a row together. Some four times this is in memory while a long row passes.
const MAX_ROW_BYTES: usize = 32 * 1024 * 1024;

/// In a row that is too long, a value up to this comes all the same: the key, mostly.
const KEPT_BYTES: usize = 8 * 1024;

const TOO_LONG_RULE: &str = "is longer than 16777216 bytes";
const ROW_TOO_LONG_RULE: &str = "is part of a row that is longer than 33554432 bytes";

/// Which of the read's columns are measured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Their places among the fields, in order.
    measured: Vec<usize>,
}

impl Lengths {
    /// `None` where no column can hold a long value.
    pub(crate) fn of(fields: &[Field]) -> Option<Self> {
        let measured: Vec<usize> =
            fields.iter().enumerate().filter(|(_, field)| field.is_measured()).map(|(at, _)| at).collect();
        (!measured.is_empty()).then_some(Lengths { measured })
    }

    /// The rows of a statement that selects the fields' columns as they are. A subquery with an offset is never merged into
    /// the one around it, so a length is computed once.
    pub(crate) fn select(&self, fields: &[Field], rows: &str) -> String {
        let length =
            |at: &usize| fields[*at].length_of("r").map(|length| format!("coalesce({length}, 0)::bigint AS n{at}"));
        let lengths: Vec<String> = self.measured.iter().filter_map(length).collect();
        let names: Vec<String> = self.measured.iter().map(|at| format!("l.n{at}")).collect();
        let each: Vec<String> = names.iter().map(|name| format!("{name} <= {MAX_TEXT_BYTES}")).collect();
        let columns: Vec<String> = fields
            .iter()
            .enumerate()
            .map(|(at, field)| match self.measured.contains(&at) {
                false => field.expression_of("r"),
                true => {
                    format!("CASE WHEN f.fits OR l.n{at} <= {KEPT_BYTES} THEN {} END", field.expression_of("r"))
                }
            })
            .collect();
        format!(
            "SELECT {}, CASE WHEN NOT f.fits THEN array_to_string(ARRAY[{}], ',') END FROM ({rows}) AS r \
             CROSS JOIN LATERAL (SELECT {} OFFSET 0) AS l \
             CROSS JOIN LATERAL (SELECT {} AND {} <= {MAX_ROW_BYTES} AS fits OFFSET 0) AS f",
            columns.join(", "),
            names.join(", "),
            lengths.join(", "),
            each.join(" AND "),
            names.join(" + "),
        )
    }

    /// Marks what a row that is too long came without: `values` are its fields', `lengths` is its last column.
    pub(crate) fn mark<'a>(&self, lengths: &[u8], values: &mut [(&Field, Decoded<'a>)]) -> Result<()> {
        let malformed = || Error::internal("the lengths of a row do not have their form");
        let text = std::str::from_utf8(lengths).map_err(|_| malformed())?;
        let lengths: Vec<usize> =
            text.split(',').map(str::parse).collect::<std::result::Result<_, _>>().map_err(|_| malformed())?;
        if lengths.len() != self.measured.len() {
            return Err(malformed());
        }
        for (at, length) in self.measured.iter().zip(lengths) {
            if length > KEPT_BYTES {
                let rule = if length > MAX_TEXT_BYTES { TOO_LONG_RULE } else { ROW_TOO_LONG_RULE };
                values[*at].1 = Decoded::Invalid { original: format!("({length} bytes)"), rule };
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use sluice_core::Cell;
    use tokio_postgres::types::Type;

    use super::*;

    fn fields() -> Vec<Field> {
        let field = |name: &str, contract: &str, source| {
            let column = serde_json::json!({ "name": name, "type": contract });
            Field::new(&serde_json::from_value(column).unwrap(), &source).unwrap()
        };
        vec![field("id", "bigint", Type::INT8), field("note", "text", Type::TEXT), field("blob", "text", Type::BYTEA)]
    }

    #[test]
    fn a_rule_names_the_limit_that_it_is_about() {
        assert!(TOO_LONG_RULE.contains(&MAX_TEXT_BYTES.to_string()));
        assert!(ROW_TOO_LONG_RULE.contains(&MAX_ROW_BYTES.to_string()));
    }

    #[test]
    fn columns_of_short_values_are_not_measured() {
        assert_eq!(Lengths::of(&fields()), Some(Lengths { measured: vec![1, 2] }));
        assert_eq!(Lengths::of(&fields()[..1]), None);
    }

    #[test]
    fn a_long_row_comes_without_its_long_values() {
        let fields = fields();
        let select = Lengths::of(&fields).unwrap().select(&fields, "SELECT 1");
        for part in [
            r#"SELECT r."id", CASE WHEN f.fits OR l.n1 <= 8192 THEN r."note" END, "#,
            r#"THEN r."blob"::text END"#,
            r#"coalesce(2 + 2 * octet_length(r."blob")::bigint, 0)::bigint AS n2 OFFSET 0"#,
            "l.n1 <= 16777216 AND l.n2 <= 16777216 AND l.n1 + l.n2 <= 33554432 AS fits OFFSET 0",
        ] {
            assert!(select.contains(part), "{select}");
        }
    }

    #[test]
    fn what_a_long_row_came_without_is_marked_with_its_length() {
        let fields = fields();
        let lengths = Lengths::of(&fields).unwrap();
        let mut values: Vec<_> = fields.iter().map(|field| (field, Decoded::Fits(Cell::Null))).collect();
        lengths.mark(b"9000,200000000", &mut values).unwrap();
        let invalid = |original: &str, rule| Decoded::Invalid { original: original.into(), rule };
        let marked: Vec<_> = values.into_iter().map(|(_, value)| value).collect();
        assert_eq!(
            marked,
            [
                Decoded::Fits(Cell::Null),
                invalid("(9000 bytes)", ROW_TOO_LONG_RULE),
                invalid("(200000000 bytes)", TOO_LONG_RULE)
            ]
        );
        for bad in [&b""[..], b"1", b"1,x", b"1,2,3"] {
            assert!(lengths.mark(bad, &mut [(&fields[0], Decoded::Fits(Cell::Null))]).is_err());
        }
    }
}
