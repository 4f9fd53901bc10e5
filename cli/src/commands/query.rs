//! `sluice query`: a person's own question to the warehouse.

use std::io::Read;

use serde::Serialize;
use serde_json::value::RawValue;
use sluice_core::{Error, Kind};
use sluice_pipeline::observe::{Answer, AnswerKind, Question};

use crate::{
    args::QueryArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output::{self, Side, WIDTH, shortened, thousands},
    warehouse::Observe,
};

/// No cell of a table on a terminal is wider.
const CELL: usize = 40;

pub(super) async fn run(context: &Context<'_>, args: &QueryArgs) -> Outcome {
    let statement = if args.statement == "-" { standard_input()? } else { args.statement.clone() };
    let limit = u64::from(args.limit);
    // One row more than is shown tells whether there are more.
    let question = Question { statement, role: args.role.clone(), rows: limit + 1 };
    let warehouse = context.platform.warehouse().await?;
    let asked = context.progress.spin("asking the warehouse", warehouse.ask(&question)).await;
    let mut answer = asked.map_err(|error| of_question(error, &warehouse.user().role))?;
    let more = answer.rows.len() as u64 > limit;
    answer.rows.truncate(args.limit as usize);
    if args.csv {
        if output::write(&csv(&answer))? && more {
            output::tell(&there_is_more(limit));
        }
        return Ok(());
    }
    output::print(context.json, &json(&answer, more)?, |_| text(&answer, more.then_some(limit)))
}

fn standard_input() -> Outcome<String> {
    let mut text = String::new();
    let broken = |error: std::io::Error| Error::config("cannot read the statement from standard input").because(error);
    std::io::stdin().read_to_string(&mut text).map_err(broken)?;
    Ok(text)
}

fn of_question(error: Error, role: &str) -> Failure {
    match error.kind() {
        // Refused before it was sent, or by the warehouse's parser: nothing is wrong with the platform.
        Kind::Config if error.hint().is_some() => {
            let hint = error.hint().unwrap_or_default().to_owned();
            Failure::usage(error.chain()).hint(hint)
        }
        _ => Failure::from(error).hint(format!(
            "write names in full (ANALYTICS.MARTS.SALES); `sluice query \"SHOW TABLES IN SCHEMA ANALYTICS.MARTS\"` lists tables; the \
             role {role} needs USAGE and SELECT, or name another one with --role"
        )),
    }
}

fn there_is_more(limit: u64) -> String {
    format!("only the first {} rows are shown; --limit shows more", thousands(limit))
}

/// What is printed as JSON: a row is an object by the columns' names.
#[derive(Serialize)]
struct Rows {
    columns: Vec<String>,
    rows: Vec<Object>,
    /// Whether the warehouse has more rows than these.
    more: bool,
}

/// Names and values in the columns' order.
struct Object(Vec<(String, Box<RawValue>)>);

impl Serialize for Object {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

fn json(answer: &Answer, more: bool) -> Outcome<Rows> {
    let columns = names(answer);
    let failed = |error| Error::internal("cannot encode the answer").because(error);
    let cell = |(kind, cell): (AnswerKind, &Option<String>)| match cell {
        None => RawValue::from_string("null".to_owned()),
        Some(text) => match (kind, RawValue::from_string(text.clone())) {
            // A number keeps its digits.
            (AnswerKind::Number | AnswerKind::Boolean, Ok(value)) => Ok(value),
            _ => serde_json::value::to_raw_value(text),
        },
    };
    let object = |row: &Vec<Option<String>>| -> Outcome<Object> {
        let kinds = answer.columns.iter().map(|column| column.kind);
        let values = kinds.zip(row).map(cell).collect::<Result<Vec<_>, _>>().map_err(failed)?;
        Ok(Object(columns.iter().cloned().zip(values).collect()))
    };
    let rows = answer.rows.iter().map(object).collect::<Outcome<Vec<_>>>()?;
    Ok(Rows { columns, rows, more })
}

/// The columns' names; one that comes again gets a number, so that no value hides another.
fn names(answer: &Answer) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for column in &answer.columns {
        let free = |name: &String| !names.contains(name);
        let name = (1..).map(|n| if n == 1 { column.name.clone() } else { format!("{}_{n}", column.name) }).find(free);
        names.extend(name);
    }
    names
}

fn csv(answer: &Answer) -> String {
    let field = |text: &str| match text.is_empty() || text.contains(['"', ',', '\n', '\r']) {
        true => format!("\"{}\"", text.replace('"', "\"\"")),
        false => text.to_owned(),
    };
    let line = |fields: Vec<String>| fields.join(",") + "\n";
    let head = line(answer.columns.iter().map(|column| field(&column.name)).collect());
    let row = |row: &Vec<Option<String>>| {
        line(row.iter().map(|cell| cell.as_deref().map_or_else(String::new, field)).collect())
    };
    head + &answer.rows.iter().map(row).collect::<String>()
}

/// A table, or where that is too wide each row by itself. `cut` is the limit that there are more rows than.
fn text(answer: &Answer, cut: Option<u64>) -> String {
    let cell = |cell: &Option<String>| cell.as_deref().map_or_else(|| "NULL".to_owned(), |text| shortened(text, CELL));
    let rows: Vec<Vec<String>> = answer.rows.iter().map(|row| row.iter().map(cell).collect()).collect();
    let widest = |at: usize| {
        let of_rows = rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count());
        of_rows.chain(answer.columns.get(at).map(|column| column.name.chars().count())).max().unwrap_or_default()
    };
    let width: usize = (0..answer.columns.len()).map(|at| widest(at) + 2).sum();
    let mut text = if width <= WIDTH + 2 {
        let side = |kind| if kind == AnswerKind::Number { Side::Right } else { Side::Left };
        let columns: Vec<(&str, Side)> =
            answer.columns.iter().map(|column| (column.name.as_str(), side(column.kind))).collect();
        output::table(&columns, &rows)
    } else {
        records(answer)
    };
    text.push_str(&format!("\n\n{}", count(answer.rows.len())));
    if let Some(limit) = cut {
        text.push_str(&format!("; {}", there_is_more(limit)));
    }
    text
}

fn count(rows: usize) -> String {
    if rows == 1 { "1 row".to_owned() } else { format!("{} rows", thousands(rows as u64)) }
}

/// A line per value.
fn records(answer: &Answer) -> String {
    let width = answer.columns.iter().map(|column| column.name.chars().count()).max().unwrap_or_default();
    let record = |(number, row): (usize, &Vec<Option<String>>)| {
        let value = |cell: &Option<String>| cell.clone().unwrap_or_else(|| "NULL".to_owned());
        let line = |(column, cell): (&sluice_pipeline::observe::AnswerColumn, &Option<String>)| {
            shortened(&format!("  {:<width$}  {}", column.name, value(cell)), WIDTH)
        };
        let lines: Vec<String> = answer.columns.iter().zip(row).map(line).collect();
        format!("row {}\n{}", number + 1, lines.join("\n"))
    };
    answer.rows.iter().enumerate().map(record).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::observe::AnswerColumn;

    use super::*;

    fn answer(columns: &[(&str, AnswerKind)], rows: &[&[Option<&str>]]) -> Answer {
        let column = |(name, kind): &(&str, AnswerKind)| AnswerColumn { name: (*name).to_owned(), kind: *kind };
        let row = |row: &&[Option<&str>]| row.iter().map(|cell| cell.map(str::to_owned)).collect();
        Answer { columns: columns.iter().map(column).collect(), rows: rows.iter().map(row).collect() }
    }

    fn sales() -> Answer {
        let columns = [("EMAIL", AnswerKind::Text), ("TOTAL_USD", AnswerKind::Number), ("OK", AnswerKind::Boolean)];
        answer(&columns, &[&[Some("a, \"b\""), Some("12.30"), Some("true")], &[Some(""), None, Some("false")]])
    }

    #[test]
    fn numbers_keep_their_digits_and_a_column_hides_none() {
        let json = serde_json::to_string(&json(&sales(), true).expect("JSON")).expect("JSON");
        let expected = r#"{"columns":["EMAIL","TOTAL_USD","OK"],"rows":[{"EMAIL":"a, \"b\"","TOTAL_USD":12.30,"OK":true},{"EMAIL":"","TOTAL_USD":null,"OK":false}],"more":true}"#;
        assert_eq!(json, expected);
        let twice = answer(&[("A", AnswerKind::Number), ("A", AnswerKind::Number), ("A_2", AnswerKind::Text)], &[]);
        assert_eq!(names(&twice), ["A", "A_2", "A_2_2"]);
        let infinite = answer(&[("A", AnswerKind::Number)], &[&[Some("inf")]]);
        let json = serde_json::to_string(&super::json(&infinite, false).expect("JSON").rows).expect("JSON");
        assert_eq!(json, r#"[{"A":"inf"}]"#);
    }

    #[test]
    fn a_null_and_an_empty_text_differ_in_csv() {
        assert_eq!(csv(&sales()), "EMAIL,TOTAL_USD,OK\n\"a, \"\"b\"\"\",12.30,true\n\"\",,false\n");
    }

    #[test]
    fn a_person_sees_a_table_or_where_it_is_too_wide_records() {
        let table = text(&sales(), Some(2));
        let expected = "EMAIL   TOTAL_USD  OK\na, \"b\"      12.30  true\n             NULL  false\n\n2 rows; only the first 2 rows are shown; --limit shows more";
        assert_eq!(table, expected);
        let names: Vec<String> = (0..12).map(|n| format!("A_LONG_COLUMN_{n}")).collect();
        let columns: Vec<(&str, AnswerKind)> = names.iter().map(|name| (name.as_str(), AnswerKind::Text)).collect();
        let wide = text(&answer(&columns, &[&[Some("x"); 12]]), None);
        assert!(wide.starts_with("row 1\n  A_LONG_COLUMN_0   x\n") && wide.ends_with("\n\n1 row"), "{wide}");
        assert!(wide.contains("  A_LONG_COLUMN_11  x"), "{wide}");
    }
}
