//! The one rule of names: what a contract's column is called in the warehouse, in a data file and in a stream's row.
//!
//! A contract writes a name in lower case; everywhere else it stands as [`fold`] gives it, letter for letter. So nothing
//! depends on how a warehouse compares names without regard to case: Snowflake stores a quoted name as it is, DuckDB takes
//! only `a` and `A` for one, and a folded name has no `a` to `z`. A name for which that cannot be said is refused by
//! [`refusal`]; that of two names that fold alike one is refused is the judge's matter, and drift's.

/// Snowflake's limit is 255 characters; bytes are never fewer.
const MAX_BYTES: usize = 255;

/// How the columns begin that the platform adds to every table, folded: a dotless i or a long s folds to a plain letter.
const OWN_PREFIXES: [&str; 2] = ["_SLUICE_", "_KAFKA_"];

/// Names that Snowflake's list of reserved words keeps from being a column's, in quotes too.
const NO_COLUMNS: [&str; 7] =
    ["CONSTRAINT", "CURRENT_DATE", "CURRENT_TIME", "CURRENT_TIMESTAMP", "CURRENT_USER", "LOCALTIME", "LOCALTIMESTAMP"];

/// Snowflake's own columns of files and streams.
const METADATA_PREFIX: &str = "METADATA$";

/// The name of a contract's column as the warehouse stores it and as files and rows carry it.
pub fn fold(name: &str) -> String {
    name.to_uppercase()
}

/// Why no raw table can have a column of this name; `None` if one can.
pub fn refusal(name: &str) -> Option<&'static str> {
    let folded = fold(name);
    if name.trim().is_empty() {
        Some("has no name")
    } else if name != name.to_lowercase() {
        Some("must be lower case")
    } else if OWN_PREFIXES.iter().any(|prefix| folded.starts_with(prefix)) {
        Some("must not begin with _sluice_ or _kafka_, as the platform's own columns do")
    } else if name.chars().any(char::is_control) {
        Some("must not hold a control character")
    } else if name.contains("$$") || name.contains("${") {
        Some("must not hold $$ or ${, which mean something in a script of Snowflake")
    } else if NO_COLUMNS.contains(&folded.as_str()) || folded.starts_with(METADATA_PREFIX) {
        Some("must be another one, because Snowflake takes this name for no column, not even in quotes")
    } else if folded.len() > MAX_BYTES {
        Some("must not be longer than 255 bytes in upper case")
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    /// Every character that may be a name, which is nearly all of them.
    fn letters() -> impl Iterator<Item = String> {
        ('\0'..=char::MAX).map(String::from).filter(|name| refusal(name).is_none())
    }

    #[test]
    fn a_folded_name_depends_on_no_rule_of_case() {
        let mut caseless: BTreeMap<String, String> = BTreeMap::new();
        for name in letters() {
            let folded = fold(&name);
            assert!(!folded.bytes().any(|byte| byte.is_ascii_lowercase()), "{name:?}");
            assert_eq!(fold(&folded), folded, "{name:?} folds twice to something else");
            let first = caseless.entry(folded.to_lowercase()).or_insert_with(|| folded.clone());
            assert_eq!(*first, folded, "a rule of lower case takes two folded names for one");
        }
        assert!(caseless.len() > 100_000, "only {} letters: this test would check nothing", caseless.len());
    }

    #[test]
    fn the_rule_is_the_same_letter_by_letter() {
        for name in ["größe", "naïve", "höhe", "οδος", "ŉ", "ﬁn"] {
            let letters: String = name.chars().map(|letter| fold(&letter.to_string())).collect();
            assert_eq!(fold(name), letters);
        }
        assert_eq!(fold("größe"), "GRÖSSE");
        for (first, second) in [("strasse", "straße"), ("i", "ı"), ("σ", "ς"), ("ǰ", "j\u{30c}"), ("fi", "ﬁ")] {
            assert_eq!(fold(first), fold(second), "they would be one column");
        }
    }

    #[test]
    fn names_that_no_raw_table_takes_are_refused() {
        for name in [
            "",
            " ",
            "Id",
            "İ",
            "_sluice_run_id",
            "_kafka_offset",
            "_ſluice_run_id",
            "_sluıce_row_number",
            "a\0b",
            "tab\there",
            "cash$$",
            "a${b}",
            "current_date",
            "localtime",
            "constraint",
            "metadata$filename",
            &"ß".repeat(128),
        ] {
            assert!(refusal(name).is_some(), "{name:?} was taken");
        }
        for name in [
            "größe",
            "naïve",
            "order",
            "select",
            "a.b",
            "it's",
            "a\"b",
            "a$b",
            "$1",
            "unit price",
            "🦀",
            "123",
            "_kafka",
        ] {
            assert_eq!(refusal(name), None, "{name:?}");
        }
    }
}
