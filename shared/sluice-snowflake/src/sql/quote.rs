//! Names and values on their way into SQL text: the only functions that may put either there.

use std::{collections::BTreeSet, sync::LazyLock};

use sluice_core::{TableId, names};

/// Words that Snowflake refuses as a bare column or table name. Names of types, such as NUMBER, are not among them.
const RESERVED: &str = "\
    ACCOUNT ALL ALTER AND ANY AS BETWEEN BY CASE CAST CHECK COLUMN CONNECT CONNECTION CONSTRAINT CREATE CROSS \
    CURRENT CURRENT_DATE CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER DATABASE DELETE DISTINCT DROP ELSE EXISTS \
    FALSE FOLLOWING FOR FROM FULL GRANT GROUP GSCLUSTER HAVING ILIKE IN INCREMENT INNER INSERT INTERSECT INTO IS \
    ISSUE JOIN LATERAL LEFT LIKE LOCALTIME LOCALTIMESTAMP MINUS NATURAL NOT NULL OF ON OR ORDER ORGANIZATION \
    QUALIFY REGEXP REVOKE RIGHT RLIKE ROW ROWS SAMPLE SCHEMA SELECT SET SOME START TABLE TABLESAMPLE THEN TO \
    TRIGGER TRUE TRY_CAST UNION UNIQUE UPDATE USING VALUES VIEW WHEN WHENEVER WHERE WITH";

/// The same, to be found: a plan asks for each name of the account many times.
static IS_RESERVED: LazyLock<BTreeSet<&str>> = LazyLock::new(|| RESERVED.split_ascii_whitespace().collect());

/// A name as it is stored: bare where Snowflake reads it back unchanged, in double quotes everywhere else.
pub fn identifier(name: &str) -> String {
    let mut chars = name.chars();
    let starts_well = chars.next().is_some_and(|c| c.is_ascii_uppercase() || c == '_');
    let bare = starts_well && chars.all(|c| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_' || c == '$');
    if bare && !IS_RESERVED.contains(name) {
        return name.to_owned();
    }
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A contract's column, by the one rule of names.
pub fn column(name: &str) -> String {
    identifier(&names::fold(name))
}

/// `DATABASE.SCHEMA.TABLE`, each part quoted where it must be.
pub fn table(table: &TableId) -> String {
    [&table.database, &table.schema, &table.table].map(|part| identifier(part)).join(".")
}

/// A text value. A backslash is an escape character in Snowflake's literals, so both it and the quote are doubled.
pub fn literal(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

/// A text value or NULL.
pub fn literal_or_null(text: Option<&str>) -> String {
    text.map_or_else(|| "NULL".to_owned(), literal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_bare_only_where_it_reads_back_unchanged() {
        let cases = [
            ("AUDIT_ID", "AUDIT_ID"),
            ("_KAFKA_OFFSET", "_KAFKA_OFFSET"),
            ("A$1", "A$1"),
            ("NUMBER", "NUMBER"),
            ("ORDER", "\"ORDER\""),
            ("lower", "\"lower\""),
            ("1ST", "\"1ST\""),
            ("A.B", "\"A.B\""),
            ("A\"B", "\"A\"\"B\""),
            ("X; DROP TABLE Y", "\"X; DROP TABLE Y\""),
            ("ÄPFEL", "\"ÄPFEL\""),
            ("🦀", "\"🦀\""),
            ("", "\"\""),
        ];
        for (name, expected) in cases {
            assert_eq!(identifier(name), expected);
        }
        assert_eq!(column("audit_id"), "AUDIT_ID");
        assert_eq!(column("group"), "\"GROUP\"");
        assert_eq!(column("größe"), "\"GRÖSSE\"");
    }

    #[test]
    fn a_text_cannot_leave_its_literal() {
        let cases =
            [("plain", "'plain'"), ("it's", "'it''s'"), (r"a\", r"'a\\'"), (r"\'; --", r"'\\''; --'"), ("", "''")];
        for (text, expected) in cases {
            assert_eq!(literal(text), expected);
        }
        assert_eq!(literal_or_null(None), "NULL");
    }
}
