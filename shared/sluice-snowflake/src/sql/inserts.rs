//! Rows for the platform's own tables, in as many statements as they need.

use super::{OBSERVABILITY, STATEMENT_BYTES};

/// This number of SELECTs is compiled at once without delay.
const MOST_ROWS: usize = 200;

/// Room for what stands between the rows.
const MOST_BYTES: usize = STATEMENT_BYTES / 2;

/// Statements that insert these rows; the rows of a group share one, whatever its size.
pub(super) fn inserts(table: &str, columns: &[&str], groups: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let names: Vec<&str> = columns.iter().filter_map(|column| column.split(' ').next()).collect();
    let begin = format!("INSERT INTO {OBSERVABILITY}.{table} ({})\n", names.join(", "));
    let (mut statements, mut rows, mut bytes) = (Vec::new(), Vec::<String>::new(), 0);
    let end = |rows: &mut Vec<String>| format!("{begin}SELECT {}", std::mem::take(rows).join("\nUNION ALL\nSELECT "));
    for group in groups {
        let size: usize = group.iter().map(String::len).sum();
        if !rows.is_empty() && (rows.len() + group.len() > MOST_ROWS || bytes + size > MOST_BYTES) {
            statements.push(end(&mut rows));
            bytes = 0;
        }
        bytes += size;
        rows.extend(group);
    }
    if !rows.is_empty() {
        statements.push(end(&mut rows));
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_insert_is_split_before_it_is_longer_than_snowflake_keeps() {
        let group = |rows: usize, bytes: usize| vec!["x".repeat(bytes); rows];
        let statements =
            |groups: Vec<Vec<String>>| inserts("MEASURES", &["DAY DATE", "ROWS NUMBER"], groups.into_iter());
        let rows = |statement: &String| statement.matches("SELECT ").count();
        let counted: Vec<usize> = statements(vec![group(13, 9); 40]).iter().map(rows).collect();
        assert_eq!(counted, [195, 195, 130], "a group is in one statement");
        let long = statements(vec![group(1, 9_000); 200]);
        assert!(long.len() == 4 && long.iter().all(|statement| statement.len() < STATEMENT_BYTES), "{}", long.len());
        assert_eq!(long.iter().map(rows).sum::<usize>(), 200);
        assert_eq!(statements(vec![group(500, 9), group(1, 9)]).len(), 2);
        assert!(statements(Vec::new()).is_empty());
    }
}
