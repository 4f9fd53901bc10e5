//! Asks step by step, and puts together what a person is told.

use futures::future;
use serde::Serialize;
use sluice_core::{Error, Kind, Loader, Result, Table, names};

use super::{Again, Ask, Cell, How, Inquiry, Lineage, Step, Traces, plan};
use crate::observe::Answer;

/// Commits and partitions of one table that are named; a number that comes from more is told by how many.
const MOST_PARTS: u64 = 1_000;

/// A number and where it comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trace {
    pub table: String,
    pub column: String,
    pub value: Option<String>,
    pub formula: Option<String>,
    /// The number as its rows give it now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recomputed: Option<Recomputed>,
    pub steps: Vec<Found>,
    /// Models on the way that the parser could not follow whole.
    pub unresolved: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recomputed {
    pub over: String,
    pub rows: u64,
    pub value: Option<String>,
    pub is_same: bool,
}

/// A table's rows behind the number.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    pub table: String,
    /// How many rows; those that are shown may be fewer. `None` where no link leads to the table.
    pub count: Option<u64>,
    #[serde(flatten)]
    pub rows: Rows,
    /// Columns with a formula over their own row, worked out again.
    pub formulas: Vec<Formula>,
    /// Of a raw table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub commits: Vec<CommitFacts>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub offsets: Vec<Offsets>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Rows {
    pub columns: Vec<String>,
    pub rows: Vec<Vec<Option<String>>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Formula {
    pub column: String,
    pub formula: Option<String>,
    /// Rows whose value is another than the formula gives; `None` where the warehouse could not work it out.
    pub different: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CommitFacts {
    pub sequence: u64,
    pub run_id: String,
    pub rows: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offsets {
    pub topic: String,
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    pub rows: u64,
}

/// What a trace is asked for.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub table: &'a str,
    pub cell: &'a Cell,
    pub role: Option<&'a str>,
    /// How many rows of each table are shown.
    pub shown: u64,
}

/// Follows one cell. `raw` tells what is known of a raw table.
pub async fn trace<'t>(
    warehouse: &impl Traces,
    lineage: &Lineage,
    raw: impl Fn(&str) -> Option<&'t Table>,
    request: &Request<'_>,
) -> Result<Trace> {
    let Request { table, cell, .. } = *request;
    let steps = plan(lineage, table, &cell.column);
    let asked = Asked { warehouse, request, steps: &steps };
    let value = asked.value().await?;
    let column = lineage.column(table, &cell.column);
    let recomputed = match column.and_then(|column| column.again.as_ref()) {
        Some(again) => asked.recomputed(again, value.as_deref()).await?,
        None => None,
    };
    // Each table is asked by itself, so they are asked side by side.
    let each = steps.iter().enumerate().map(|(at, step)| asked.found(lineage, at, step, raw(&step.table)));
    let found = future::try_join_all(each).await?;
    let on_the_way = |model: &str| steps.iter().any(|step| step.table == model);
    let unresolved = lineage.unresolved.iter().filter(|unresolved| on_the_way(&unresolved.model));
    Ok(Trace {
        table: table.to_owned(),
        column: cell.column.clone(),
        value,
        formula: column.and_then(|column| column.formula.clone()),
        recomputed,
        steps: found,
        unresolved: unresolved.map(|unresolved| format!("{}: {}", unresolved.model, unresolved.reason)).collect(),
    })
}

struct Asked<'a, W> {
    warehouse: &'a W,
    request: &'a Request<'a>,
    steps: &'a [Step],
}

impl<W: Traces> Asked<'_, W> {
    async fn ask(&self, at: usize, ask: Ask<'_>, rows: u64) -> Result<Answer> {
        let inquiry = Inquiry { cell: self.request.cell, steps: self.steps, at, ask };
        self.warehouse.answer(&inquiry, self.request.role, rows).await
    }

    async fn value(&self) -> Result<Option<String>> {
        let column = [self.request.cell.column.clone()];
        let answer = self.ask(0, Ask::Rows(&column), 2).await?;
        let table = self.request.table;
        match &answer.rows[..] {
            [row] => Ok(row.first().cloned().flatten()),
            [] => Err(Error::not_found(format!("no row of {table} meets the conditions"))
                .with_hint("`sluice query` shows which rows there are")),
            _ => Err(Error::config(format!("the conditions are met by more than one row of {table}"))
                .with_hint("name the row by one more --where")),
        }
    }

    /// Over the rows of the table that the number puts together, or over its own row.
    async fn recomputed(&self, again: &Again, value: Option<&str>) -> Result<Option<Recomputed>> {
        let over = again.over.as_deref().unwrap_or(self.request.table);
        let Some(at) = self.steps.iter().position(|step| step.table == over) else { return Ok(None) };
        let Some(answer) = worked_out(self.ask(at, Ask::Over(again), 1).await)? else { return Ok(None) };
        let found = cell(&answer, 0, "VALUE");
        Ok(Some(Recomputed {
            over: over.to_owned(),
            rows: number(&answer, 0, "ROW_COUNT")?,
            is_same: found.as_deref() == value,
            value: found,
        }))
    }

    async fn found(&self, lineage: &Lineage, at: usize, step: &Step, raw: Option<&Table>) -> Result<Found> {
        let mut found = Found {
            table: step.table.clone(),
            count: None,
            rows: Rows::default(),
            formulas: Vec::new(),
            commits: Vec::new(),
            offsets: Vec::new(),
        };
        if at > 0 && step.ways.is_empty() {
            return Ok(found);
        }
        let formulas = formulas(lineage, step);
        let compared =
            if formulas.is_empty() { None } else { worked_out(self.ask(at, Ask::Compare(&formulas), 1).await)? };
        for (index, (column, _)) in formulas.iter().enumerate() {
            let different = compared.as_ref().map(|answer| number(answer, 0, &format!("D{index}"))).transpose()?;
            let formula = lineage.column(&step.table, column).and_then(|column| column.formula.clone());
            found.formulas.push(Formula { column: (*column).to_owned(), formula, different });
        }
        let counted = match compared {
            Some(answer) => answer,
            None => self.ask(at, Ask::Compare(&[]), 1).await?,
        };
        found.count = Some(number(&counted, 0, "ROW_COUNT")?);
        let answer = self.ask(at, Ask::Rows(&columns(step, raw)), self.request.shown).await?;
        found.rows.columns = answer.columns.into_iter().map(|column| column.name).collect();
        found.rows.rows = answer.rows;
        if let Some(table) = raw {
            self.place(at, table, &mut found).await?;
        }
        Ok(found)
    }

    /// The commits or offsets that have brought the rows.
    async fn place(&self, at: usize, table: &Table, found: &mut Found) -> Result<()> {
        if table.loader == Loader::Streaming {
            let answer = self.ask(at, Ask::Offsets, MOST_PARTS).await?;
            for row in 0..answer.rows.len() {
                found.offsets.push(Offsets {
                    topic: cell(&answer, row, "TOPIC").unwrap_or_default(),
                    partition: number(&answer, row, "NUMBER")?,
                    first: number(&answer, row, "FIRST_OFFSET")?,
                    last: number(&answer, row, "LAST_OFFSET")?,
                    rows: number(&answer, row, "ROW_COUNT")?,
                });
            }
            return Ok(());
        }
        let answer = self.ask(at, Ask::Commits, MOST_PARTS).await?;
        for row in 0..answer.rows.len() {
            found.commits.push(CommitFacts {
                sequence: number(&answer, row, "SEQUENCE")?,
                run_id: cell(&answer, row, "RUN_ID").unwrap_or_default(),
                rows: number(&answer, row, "ROW_COUNT")?,
            });
        }
        Ok(())
    }
}

/// A formula that this warehouse does not understand says nothing about the number; every other fault is one.
fn worked_out(answer: Result<Answer>) -> Result<Option<Answer>> {
    match answer {
        Err(error) if error.kind() == Kind::Unsupported || error.kind() == Kind::Config => Ok(None),
        other => other.map(Some),
    }
}

/// Columns of the step that are worked out of their own row. What is passed on as it is needs no proof.
fn formulas<'a>(lineage: &'a Lineage, step: &'a Step) -> Vec<(&'a str, &'a Again)> {
    let of = |column: &'a String| {
        let known = lineage.column(&step.table, column)?;
        let is_computed = known.from.iter().any(|origin| origin.how == How::Computed);
        let again = known.again.as_ref().filter(|again| is_computed && again.over.is_none())?;
        Some((column.as_str(), again))
    };
    step.columns.iter().filter_map(of).collect()
}

/// Of a raw table its key and where each row came from, too.
fn columns(step: &Step, raw: Option<&Table>) -> Vec<String> {
    let Some(table) = raw else { return step.columns.clone() };
    let own: &[&str] = match table.loader {
        Loader::Streaming => &["_KAFKA_TOPIC", "_KAFKA_PARTITION", "_KAFKA_OFFSET", "_KAFKA_TIMESTAMP"],
        _ => &["_SLUICE_SEQUENCE", "_SLUICE_SOURCE_FILE", "_SLUICE_ROW_NUMBER", "_SLUICE_LOADED_AT"],
    };
    let key = table.key.iter().map(|name| names::fold(name));
    let mut columns: Vec<String> = Vec::new();
    for column in key.chain(step.columns.iter().cloned()).chain(own.iter().map(|name| (*name).to_owned())) {
        if !columns.contains(&column) {
            columns.push(column);
        }
    }
    columns
}

fn cell(answer: &Answer, row: usize, column: &str) -> Option<String> {
    let at = answer.columns.iter().position(|known| known.name.eq_ignore_ascii_case(column))?;
    answer.rows.get(row)?.get(at)?.clone()
}

fn number<T: std::str::FromStr>(answer: &Answer, row: usize, column: &str) -> Result<T> {
    let text = cell(answer, row, column);
    text.as_deref()
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| Error::internal("the warehouse's answer lacks a number").with("column", column))
}
