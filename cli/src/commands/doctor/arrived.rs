//! Whether the first rows have arrived: what somebody wants to know at the end of a first deployment.

use sluice_core::{Loader, Table, sources::Source};

use super::Check;
use crate::{
    failure::Outcome,
    platform::Platform,
    warehouse::{Observe, Warehouse},
};

/// How many of a table's newest commits are looked at: one without rows is rare.
const COMMITS: usize = 20;

/// How a table's first row comes.
struct Missing {
    table: String,
    mend: String,
}

pub(super) async fn check(platform: &Platform) -> Outcome<Check> {
    let warehouse = platform.warehouse().await?;
    let mut missing = Vec::new();
    for table in &platform.place.sources.tables {
        if !has_rows(&warehouse, table).await? {
            missing.push(of(table));
        }
    }
    Ok(told(platform.place.sources.tables.len(), &missing))
}

async fn has_rows(warehouse: &Warehouse, table: &Table) -> Outcome<bool> {
    if table.loader == Loader::Streaming {
        return Ok(warehouse.partitions(&table.table).await?.iter().any(|partition| partition.rows > 0));
    }
    let commits = warehouse.recent(&table.table, COMMITS).await?;
    Ok(commits.values().any(|entry| entry.status == "loaded" && entry.rows > 0))
}

fn of(table: &Table) -> Missing {
    let name = table.table.to_string();
    let mend = match &table.source {
        Source::Kafka { topic, .. } => format!("send a record to the topic {topic}"),
        _ => format!("sluice run {name} --wait"),
    };
    Missing { table: name, mend }
}

fn told(tables: usize, missing: &[Missing]) -> Check {
    let what = "first rows";
    let Some(first) = missing.first() else {
        return Check::ok(what, format!("arrived in each of the {tables} tables"));
    };
    let names: Vec<&str> = missing.iter().map(|missing| missing.table.as_str()).collect();
    let detail = match missing.len() == tables {
        true => "no table has a row yet".to_owned(),
        false => format!("arrived in {} of {tables} tables; none yet in {}", tables - missing.len(), names.join(", ")),
    };
    Check::warning(what, detail, &first.mend)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::doctor::Health;

    fn missing(table: &str) -> Missing {
        Missing { table: table.to_owned(), mend: format!("run {table}") }
    }

    #[test]
    fn it_is_told_whether_the_first_rows_have_arrived() {
        let all = told(2, &[]);
        assert_eq!((all.health, all.detail.as_str()), (Health::Ok, "arrived in each of the 2 tables"));
        let some = told(3, &[missing("A.B.C")]);
        assert_eq!(some.detail, "arrived in 2 of 3 tables; none yet in A.B.C");
        assert_eq!((some.health, some.fix.as_deref()), (Health::Warning, Some("run A.B.C")));
        let none = told(2, &[missing("A.B.C"), missing("D.E.F")]);
        assert_eq!(none.detail, "no table has a row yet");
    }
}
