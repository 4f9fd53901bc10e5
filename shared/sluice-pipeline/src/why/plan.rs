//! The tables between a cell and its sources, each after those whose rows lead to it.

use std::collections::{BTreeMap, BTreeSet};

use super::{Lineage, Link};

/// A table of the trace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    pub table: String,
    /// The columns that the number comes from, what they are worked out of, and the row's key.
    pub columns: Vec<String>,
    /// How its rows are found. None for the table of the cell, and for one to which no link leads.
    pub ways: Vec<Way>,
    /// Whether it is filled by loads and not by a model.
    pub is_raw: bool,
}

/// A link from a step before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Way {
    pub from: usize,
    pub link: Link,
}

/// The steps from a column of a table on; the first is the table itself.
pub fn plan(lineage: &Lineage, table: &str, column: &str) -> Vec<Step> {
    let mut needed: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut leads_to: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    let mut open = vec![(table, column)];
    while let Some((table, column)) = open.pop() {
        if !needed.entry(table).or_default().insert(column) {
            continue;
        }
        for origin in lineage.origins(table, column) {
            leads_to.entry(table).or_default().insert(&origin.table);
            open.push((&origin.table, &origin.column));
        }
    }
    let mut order = Vec::new();
    visit(table, &leads_to, &mut BTreeSet::new(), &mut order);
    order.reverse();
    let step = |table: &&str| Step {
        table: (*table).to_owned(),
        columns: shown(lineage, table, &needed[table]),
        ways: ways(lineage, table, &order, &leads_to),
        is_raw: !lineage.models.contains_key(*table),
    };
    order.iter().map(step).collect()
}

/// What a table leads to comes before it in `order`, which is read backwards.
fn visit<'a>(
    table: &'a str,
    leads_to: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    seen: &mut BTreeSet<&'a str>,
    order: &mut Vec<&'a str>,
) {
    if !seen.insert(table) {
        return;
    }
    for next in leads_to.get(table).into_iter().flatten() {
        visit(next, leads_to, seen, order);
    }
    order.push(table);
}

fn ways(lineage: &Lineage, table: &str, order: &[&str], leads_to: &BTreeMap<&str, BTreeSet<&str>>) -> Vec<Way> {
    let before = order
        .iter()
        .enumerate()
        .filter(|(_, before)| leads_to.get(**before).is_some_and(|tables| tables.contains(table)));
    let links = before.flat_map(|(from, before)| {
        let links = lineage.models.get(*before).into_iter().flat_map(|model| &model.links);
        links.filter(|link| link.table == table).map(move |link| Way { from, link: link.clone() })
    });
    links.collect()
}

fn shown(lineage: &Lineage, table: &str, needed: &BTreeSet<&str>) -> Vec<String> {
    let model = lineage.models.get(table);
    let key = model.into_iter().flat_map(|model| &model.key);
    let named = needed.iter().filter(|column| **column != "*");
    let worked_out = named.clone().filter_map(|column| lineage.column(table, column)?.again.as_ref());
    let uses = worked_out.filter(|again| again.over.is_none()).flat_map(|again| &again.uses);
    let mut columns: Vec<String> = Vec::new();
    for column in key.chain(uses).map(String::as_str).chain(named.copied()) {
        if !columns.iter().any(|known| known == column) {
            columns.push(column.to_owned());
        }
    }
    columns
}
