//! What a trace asks of the rows behind a number.
//!
//! A statement names the rows of each step in a common table expression, R0 being the row of the cell, and asks the last one. The
//! formulas and terms in it are those of the compiled models: the names R and T in them are this module's.

use sluice_pipeline::why::{Again, Ask, Condition, Inquiry, Step, Way};

use super::quote;

/// The statement of an inquiry. It reads.
pub fn inquiry(inquiry: &Inquiry<'_>) -> String {
    let Inquiry { at, ask, .. } = *inquiry;
    let asked = match ask {
        Ask::Rows(columns) => {
            let columns: Vec<String> =
                columns.iter().map(|column| format!("R.{}", quote::identifier(column))).collect();
            format!("SELECT {} FROM R{at} AS R ORDER BY {}", columns.join(", "), ordinals(columns.len()))
        }
        Ask::Over(again) => format!("SELECT {} AS VALUE, COUNT(*) AS ROW_COUNT FROM R{at} AS R", over(again)),
        Ask::Compare(formulas) => {
            let differ = formulas.iter().enumerate().map(|(index, (column, again))| {
                let column = quote::identifier(column);
                format!(", COUNT(CASE WHEN R.{column} IS DISTINCT FROM {} THEN 1 END) AS D{index}", again.sql)
            });
            format!("SELECT COUNT(*) AS ROW_COUNT{} FROM R{at} AS R", differ.collect::<String>())
        }
        Ask::Commits => format!(
            "SELECT R._SLUICE_SEQUENCE AS SEQUENCE, R._SLUICE_RUN_ID AS RUN_ID, COUNT(*) AS ROW_COUNT FROM R{at} AS R\n\
             GROUP BY R._SLUICE_SEQUENCE, R._SLUICE_RUN_ID ORDER BY 1, 2"
        ),
        Ask::Offsets => format!(
            "SELECT R._KAFKA_TOPIC AS TOPIC, R._KAFKA_PARTITION AS NUMBER, MIN(R._KAFKA_OFFSET) AS FIRST_OFFSET, \
             MAX(R._KAFKA_OFFSET) AS LAST_OFFSET, COUNT(*) AS ROW_COUNT FROM R{at} AS R\n\
             GROUP BY R._KAFKA_TOPIC, R._KAFKA_PARTITION ORDER BY 1, 2"
        ),
    };
    format!("WITH {}\n{asked}", named_rows(inquiry).join(",\n"))
}

/// A value of the cell's own row is the same in all of its rows: there is one.
fn over(again: &Again) -> String {
    if again.over.is_some() { again.sql.clone() } else { format!("ANY_VALUE({})", again.sql) }
}

fn ordinals(columns: usize) -> String {
    (1..=columns).map(|at| at.to_string()).collect::<Vec<_>>().join(", ")
}

/// The rows of the steps that lead to the one that is asked, each after those that it needs.
fn named_rows(inquiry: &Inquiry<'_>) -> Vec<String> {
    let Inquiry { cell, steps, at, .. } = *inquiry;
    let mut needed = vec![at];
    let mut next = 0;
    while let Some(step) = needed.get(next).and_then(|index| steps.get(*index)) {
        let before: Vec<usize> = step.ways.iter().map(|way| way.from).filter(|from| !needed.contains(from)).collect();
        needed.extend(before);
        next += 1;
    }
    needed.sort_unstable();
    needed.dedup();
    let conditions = cell
        .conditions
        .iter()
        .map(|(column, value)| format!("{} = {}", quote::identifier(column), quote::literal(value)));
    let conditions: Vec<String> = conditions.collect();
    let rows = |index: &usize| {
        let step = &steps[*index];
        let rows = match &step.ways[..] {
            [] => format!("SELECT * FROM {} WHERE {}", table(&step.table), conditions.join(" AND ")),
            ways => ways.iter().map(|way| way_to(step, way)).collect::<Vec<_>>().join("\n  UNION "),
        };
        format!("R{index} AS (\n  {rows}\n)")
    };
    needed.iter().map(rows).collect()
}

/// A table as the lineage names it.
fn table(name: &str) -> String {
    name.split('.').map(quote::identifier).collect::<Vec<_>>().join(".")
}

/// Rows of a step that belong to a row of another: joined to its different keys, so that none comes twice.
fn way_to(step: &Step, way: &Way) -> String {
    let link = &way.link;
    let came_this_way: Vec<String> =
        link.when.iter().map(|when| format!("{} = {}", quote::identifier(&when.ours), when.constant)).collect();
    let came_this_way =
        if came_this_way.is_empty() { String::new() } else { format!(" WHERE {}", came_this_way.join(" AND ")) };
    let joined: Vec<&Condition> = link.on.iter().filter(|condition| condition.ours.is_some()).collect();
    let constants = link.on.iter().filter_map(|on| Some(format!("{} = {}", on.theirs, on.constant.as_ref()?)));
    let mut filters: Vec<String> = constants.chain(link.filters.iter().cloned()).collect();
    let mut statement = format!("SELECT T.* FROM {} AS T", table(&step.table));
    if joined.is_empty() {
        filters.push(format!("EXISTS (SELECT 1 FROM R{}{came_this_way})", way.from));
    } else {
        let ours: Vec<String> = joined.iter().filter_map(|on| on.ours.as_deref()).map(quote::identifier).collect();
        let equal = |(on, ours): (&&Condition, &String)| {
            let operator = if on.nullable { "IS NOT DISTINCT FROM" } else { "=" };
            format!("{} {operator} M.{ours}", on.theirs)
        };
        let equalities: Vec<String> = joined.iter().zip(&ours).map(equal).collect();
        statement.push_str(&format!(
            "\n  JOIN (SELECT DISTINCT {} FROM R{}{came_this_way}) AS M\n    ON {}",
            ours.join(", "),
            way.from,
            equalities.join(" AND ")
        ));
    }
    if !filters.is_empty() {
        statement.push_str(&format!("\n  WHERE {}", filters.join(" AND ")));
    }
    if !link.first_by.is_empty() && !joined.is_empty() {
        let key: Vec<&str> = joined.iter().map(|on| on.theirs.as_str()).collect();
        statement.push_str(&format!(
            "\n  QUALIFY ROW_NUMBER() OVER (PARTITION BY {} ORDER BY {}) = 1",
            key.join(", "),
            link.first_by.join(", ")
        ));
    }
    statement
}

#[cfg(test)]
mod tests {
    use sluice_pipeline::why::{Cell, Lineage, plan};

    use super::*;
    use crate::sql::{read_only, snapshot};

    /// Two models over a stream and a table of commits, with everything that a link may have.
    const LINEAGE: &str = include_str!("why/lineage.json");

    fn rendered(table: &str, column: &str, key: &str) -> Vec<String> {
        let lineage = Lineage::parse(LINEAGE.as_bytes()).expect("a lineage");
        let cell = Cell { column: column.into(), conditions: vec![(key.into(), r"o'x\".into())] };
        let steps = plan(&lineage, table, column);
        let again = lineage.column(table, column).and_then(|column| column.again.clone()).expect("a formula");
        let mut statements = Vec::new();
        for (at, step) in steps.iter().enumerate() {
            let mut ask = |ask| statements.push(inquiry(&Inquiry { cell: &cell, steps: &steps, at, ask }));
            ask(Ask::Rows(&step.columns));
            if Some(&step.table) == again.over.as_ref() {
                ask(Ask::Over(&again));
            }
            let formulas = lineage.models.get(&step.table).into_iter().flat_map(|model| &model.columns);
            let formulas = formulas.filter_map(|(name, column)| Some((name.as_str(), column.again.as_ref()?)));
            let formulas: Vec<(&str, &Again)> = formulas.filter(|(_, again)| again.over.is_none()).collect();
            ask(Ask::Compare(&formulas));
            match step.table.as_str() {
                "STREAMING.PUBLIC.PURCHASES" => ask(Ask::Offsets),
                _ if step.is_raw => ask(Ask::Commits),
                _ => {}
            }
        }
        statements
    }

    #[test]
    fn what_a_trace_asks_step_by_step() {
        let statements = rendered("ANALYTICS.MARTS.SALES", "TOTAL", "CUSTOMER_EMAIL");
        for statement in &statements {
            assert_eq!(read_only::statement(statement).expect("it only reads"), statement);
        }
        snapshot::check("why", &statements);
    }
}
