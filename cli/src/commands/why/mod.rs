//! `sluice why`: a column's lineage, or one number with all that it comes from.

mod answer;
mod columns;
mod render;

use std::fs;

use answer::{Answer, DbtRun, Run};
use sluice_core::{Error, Kind, Sequence, Table, TableId};
use sluice_pipeline::{
    log,
    why::{Cell, Found, Lineage, Request, Trace, trace},
};

use crate::{
    args::WhyArgs,
    commands::Context,
    failure::{Failure, Outcome},
    output,
    warehouse::{Observe, Warehouse},
};

/// Commits of a table whose objects and entries are read.
const MOST_COMMITS: usize = 20;

pub(super) async fn run(context: &Context<'_>, args: &WhyArgs) -> Outcome {
    let lineage = read(context)?;
    let (table, column) = named(&lineage, &context.platform.place.sources.tables, &args.column)?;
    if args.conditions.is_empty() {
        let shown = columns::of(&lineage, &context.platform.place.sources, &table, &column);
        return output::print(context.json, &shown, columns::render);
    }
    if !lineage.models.contains_key(&table) {
        return Err(Failure::usage(format!("{table} is filled by loads: its values are as they came")).hint(
            "without --where this shows its source and what is made of it; `sluice runs --table` shows its commits",
        ));
    }
    for (name, _) in &args.conditions {
        if lineage.column(&table, name).is_none() {
            return Err(
                Failure::usage(format!("{table} has no column {name}")).hint("--where names columns of the same table")
            );
        }
    }
    let cell = Cell { column, conditions: args.conditions.clone() };
    let warehouse = context.platform.warehouse().await?;
    let request = Request { table: &table, cell: &cell, role: args.role.as_deref(), shown: u64::from(args.limit) };
    let raw = |name: &str| context.platform.place.sources.tables.iter().find(|known| known.table.to_string() == name);
    let spinner = context.progress.spinner("following the number to its rows");
    let followed = trace(&warehouse, &lineage, raw, &request).await;
    let trace = followed.map_err(|error| of_trace(error, args.role.as_deref().unwrap_or(&warehouse.user().role)))?;
    let runs = runs(context, &warehouse, &trace).await?;
    let dbt = warehouse.last_dbt_run().await?.map(|run| DbtRun {
        number: run.number,
        status: run.status,
        finished_at: run.finished_at,
    });
    spinner.finish_and_clear();
    let answer = Answer { conditions: args.conditions.iter().cloned().collect(), trace, runs, dbt };
    output::print(context.json, &answer, render::text)
}

/// What a trace itself has to say comes with a hint; what the warehouse refuses is most often a right.
fn of_trace(error: Error, role: &str) -> Failure {
    match (error.kind(), error.hint()) {
        // More than one row meets the conditions.
        (Kind::Config, Some(hint)) => Failure::usage(error.chain()).hint(hint.to_owned()),
        (_, Some(_)) => Failure::from(error),
        _ => Failure::from(error).hint(format!(
            "the role {role} must be able to read models and raw tables; name one that has it with --role"
        )),
    }
}

fn read(context: &Context<'_>) -> Outcome<Lineage> {
    let file = context.platform.place.lineage_file();
    let bytes = fs::read(&file).map_err(|error| {
        let error = Error::config("cannot read the lineage of the models").with("file", file.display()).because(error);
        error.with_hint("call this in a checkout; `make lineage` makes dbt/lineage.json")
    })?;
    Ok(Lineage::parse(&bytes)?)
}

/// The table and column of `TABLE.COLUMN`, by the end of the table's name.
fn named(lineage: &Lineage, raw: &[Table], text: &str) -> Outcome<(String, String)> {
    let wanted = text.to_uppercase();
    let (name, column) = wanted.rsplit_once('.').ok_or_else(|| {
        Failure::usage(format!("'{text}' names no column")).hint("say TABLE.COLUMN, as in sales.total_gbp")
    })?;
    let raw_names: Vec<String> = raw.iter().map(|table| table.table.to_string()).collect();
    let mut tables = lineage.tables();
    tables.extend(raw_names.iter().map(String::as_str));
    let ends = |table: &&&str| **table == name || table.strip_suffix(name).is_some_and(|before| before.ends_with('.'));
    let found: Vec<&&str> = tables.iter().filter(ends).collect();
    let table = match found[..] {
        [table] => (*table).to_owned(),
        [] => {
            let models: Vec<&str> = lineage.models.values().map(|model| model.model.as_str()).collect();
            return Err(Failure::usage(format!("no model or raw table is called '{name}'"))
                .hint(format!("there are {}, and the raw tables of sources.yaml", models.join(", "))));
        }
        _ => {
            let names = found.iter().map(|table| **table).collect::<Vec<_>>().join(", ");
            return Err(
                Failure::usage(format!("'{name}' is the end of several names")).hint(format!("say which: {names}"))
            );
        }
    };
    let known: Vec<String> = match lineage.models.get(&table) {
        Some(model) => model.columns.keys().cloned().collect(),
        None => {
            let contract = raw.iter().find(|raw| raw.table.to_string() == table);
            let columns = contract.into_iter().flat_map(|table| table.columns.columns());
            columns.map(|column| sluice_core::names::fold(&column.name)).collect()
        }
    };
    if !known.iter().any(|known| known == column) {
        return Err(
            Failure::usage(format!("{table} has no column {column}")).hint(format!("it has {}", known.join(", ")))
        );
    }
    Ok((table, column.to_owned()))
}

/// The newest commits behind the number: what the lake says of them, and the ledger.
async fn runs(context: &Context<'_>, warehouse: &Warehouse, trace: &Trace) -> Outcome<Vec<Run>> {
    let store = context.platform.store()?;
    let mut runs = Vec::new();
    for Found { table, commits, .. } in trace.steps.iter().filter(|found| !found.commits.is_empty()) {
        let table: TableId = table.parse()?;
        for commit in commits.iter().rev().take(MOST_COMMITS) {
            let sequence = Sequence(commit.sequence);
            let entry = warehouse.entry(&table, sequence).await?;
            // What was erased for a person's sake has left its rows behind.
            let object = match log::read_commit(&store, &table, sequence).await {
                Err(error) if error.kind() == Kind::NotFound => None,
                read => Some(read?),
            };
            let cursor =
                |cursor: Option<&sluice_core::Cursor>| cursor.and_then(|cursor| serde_json::to_value(cursor).ok());
            runs.push(Run {
                table: table.clone(),
                sequence: commit.sequence,
                run_id: commit.run_id.clone(),
                rows: commit.rows,
                committed_at: object.as_ref().map(|object| object.committed_at),
                cursor_from: cursor(object.as_ref().and_then(|object| object.cursor_from.as_ref())),
                cursor_to: cursor(object.as_ref().and_then(|object| object.cursor_to.as_ref())),
                load: entry.as_ref().map(|entry| entry.status.clone()),
                loaded_at: entry.and_then(|entry| entry.at),
            });
        }
    }
    Ok(runs)
}

#[cfg(test)]
mod tests {
    use sluice_core::Sources;

    use super::*;

    fn parts() -> (Lineage, Sources) {
        let lineage = Lineage::parse(include_bytes!("../../../../dbt/lineage.json")).expect("a lineage");
        (lineage, Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources"))
    }

    #[test]
    fn a_column_is_found_by_the_end_of_its_tables_name() {
        let (lineage, sources) = parts();
        let found = |text: &str| named(&lineage, &sources.tables, text).map_err(|failure| failure.text());
        let of = |table: &str, column: &str| Ok((table.to_owned(), column.to_owned()));
        assert_eq!(found("sales.total_gbp"), of("ANALYTICS.MARTS.SALES", "TOTAL_GBP"));
        assert_eq!(found("DLT.application_data.products.price_usd"), of("DLT.APPLICATION_DATA.PRODUCTS", "PRICE_USD"));
        assert_eq!(found("products.price_usd"), of("DLT.APPLICATION_DATA.PRODUCTS", "PRICE_USD"));
        for (text, word) in [
            ("total_gbp", "TABLE.COLUMN"),
            ("ales.total_gbp", "no model or raw table"),
            ("sales.total", "has no column TOTAL"),
            ("sales.", "has no column"),
        ] {
            assert!(found(text).expect_err(text).contains(word), "{text}");
        }
    }
}
