//! The columns of a table: what the contract asks for, against what is there.
//!
//! A table only ever grows, as it does under a load: a column is added or made wider, nothing is dropped, and a column that
//! is there besides is left alone. A column that is added later takes NULL, because older rows have no value; so that a
//! required column takes NULL is no difference, and that an optional one does not is one.

use super::{name::Name, state::Object, value::Value};

#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Compared {
    pub statements: Vec<String>,
    /// Columns that cannot be changed in place, with what they have and what is asked for.
    pub stuck: Vec<String>,
    pub is_same: bool,
}

pub(crate) fn compared(table: &Name, want: &Object, have: &Object) -> Compared {
    let (mut statements, mut stuck) = (Vec::new(), Vec::new());
    for (column, wanted) in want.get("columns").into_iter().flat_map(Value::entries) {
        let found = have.get("columns").into_iter().flat_map(Value::entries).find(|(name, _)| *name == column);
        let (wanted_type, is_required) = split(wanted);
        let Some((_, found)) = found else {
            statements.push(format!("ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} {}", short(wanted_type)));
            continue;
        };
        let (found_type, refuses_null) = split(found);
        match fit(wanted_type, found_type) {
            Fit::Fits => {}
            Fit::Wider => {
                statements
                    .push(format!("ALTER TABLE {table} ALTER COLUMN {column} SET DATA TYPE {}", short(wanted_type)));
            }
            Fit::Never => stuck.push(format!("{column} is {found_type} and should be {wanted_type}")),
        }
        if refuses_null && !is_required {
            statements.push(format!("ALTER TABLE {table} ALTER COLUMN {column} DROP NOT NULL"));
        }
    }
    let is_same = statements.is_empty() && stuck.is_empty();
    Compared { statements, stuck, is_same }
}

fn split(spec: &str) -> (&str, bool) {
    match spec.strip_suffix(" NOT NULL") {
        Some(data_type) => (data_type, true),
        None => (spec, false),
    }
}

/// The type as the tables' own statements write it.
fn short(data_type: &str) -> &str {
    if data_type == "VARCHAR(16777216)" { "VARCHAR" } else { data_type }
}

enum Fit {
    Fits,
    Wider,
    Never,
}

fn fit(want: &str, have: &str) -> Fit {
    if want == have {
        return Fit::Fits;
    }
    match (digits(want, "NUMBER("), digits(have, "NUMBER(")) {
        (Some((precision, scale)), Some((held, decimals))) => {
            // Fewer decimals would be rounding, and whole digits are what is left of the precision.
            return match (decimals.cmp(&scale), held - decimals >= precision - scale) {
                (std::cmp::Ordering::Less, _) => Fit::Never,
                (_, true) => Fit::Fits,
                (std::cmp::Ordering::Equal, false) => Fit::Wider,
                (std::cmp::Ordering::Greater, false) => Fit::Never,
            };
        }
        (None, None) => {}
        _ => return Fit::Never,
    }
    match (digits(want, "VARCHAR("), digits(have, "VARCHAR(")) {
        (Some((wanted, _)), Some((held, _))) if held >= wanted => Fit::Fits,
        (Some(_), Some(_)) => Fit::Wider,
        _ => Fit::Never,
    }
}

/// The numbers in the brackets of a type.
fn digits(data_type: &str, kind: &str) -> Option<(i64, i64)> {
    let inner = data_type.strip_prefix(kind)?.strip_suffix(')')?;
    let (first, second) = inner.split_once(',').unwrap_or((inner, "0"));
    Some((first.parse().ok()?, second.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(columns: &[(&str, &str)]) -> Object {
        let mut object = Object::default();
        let columns = columns.iter().map(|(name, spec)| ((*name).to_owned(), (*spec).to_owned())).collect();
        object.set("columns", Some(Value::Map(columns)));
        object
    }

    #[test]
    fn a_table_grows_and_nothing_else_happens_to_it() {
        let name = Name::of(["D", "S", "T"]);
        let changes = |want: &str, have: &str| {
            let compared = compared(&name, &table(&[("A", want)]), &table(&[("A", have), ("MORE", "DATE")]));
            (compared.statements, compared.stuck.len())
        };
        let none = (Vec::<String>::new(), 0);
        assert_eq!(changes("NUMBER(19,0)", "NUMBER(38,0)"), none);
        assert_eq!(changes("NUMBER(18,4)", "NUMBER(20,6)"), none);
        assert_eq!(changes("NUMBER(19,0) NOT NULL", "NUMBER(19,0)"), none);
        assert_eq!(
            changes("VARCHAR(16777216)", "VARCHAR(10)").0,
            ["ALTER TABLE D.S.T ALTER COLUMN A SET DATA TYPE VARCHAR"]
        );
        assert_eq!(
            changes("NUMBER(19,0)", "NUMBER(10,0)").0,
            ["ALTER TABLE D.S.T ALTER COLUMN A SET DATA TYPE NUMBER(19,0)"]
        );
        assert_eq!(changes("DATE", "DATE NOT NULL").0, ["ALTER TABLE D.S.T ALTER COLUMN A DROP NOT NULL"]);
        for (want, have) in
            [("DATE", "VARCHAR(10)"), ("NUMBER(18,4)", "NUMBER(38,2)"), ("NUMBER(18,4)", "NUMBER(17,5)")]
        {
            assert_eq!(changes(want, have), (Vec::new(), 1), "{want} {have}");
        }
        let missing = compared(&name, &table(&[("A", "DATE NOT NULL")]), &table(&[]));
        assert_eq!(missing.statements, ["ALTER TABLE D.S.T ADD COLUMN IF NOT EXISTS A DATE"]);
    }
}
