//! A column's lineage: what it comes from, down to the sources, and what is made of it.

use std::collections::BTreeSet;

use serde::Serialize;
use sluice_core::Sources;
use sluice_pipeline::why::{How, Lineage};

use crate::output::{WIDTH, shortened};

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Columns {
    table: String,
    column: String,
    formula: Option<String>,
    /// In the order in which they are met, each below what it leads to.
    from: Vec<Node>,
    /// Columns of models that come from this one, near ones first.
    feeds: Vec<String>,
    /// Models among them that the parser could not follow whole.
    unresolved: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Node {
    depth: usize,
    table: String,
    column: String,
    how: How,
    /// Of a raw table: what fills it.
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<String>,
    /// Told above already, with all that it comes from.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    again: bool,
}

pub(super) fn of(lineage: &Lineage, sources: &Sources, table: &str, column: &str) -> Columns {
    let mut shown = Columns {
        table: table.to_owned(),
        column: column.to_owned(),
        formula: lineage.column(table, column).and_then(|column| column.formula.clone()),
        from: Vec::new(),
        feeds: feeds(lineage, table, column),
        unresolved: Vec::new(),
    };
    let mut seen = BTreeSet::new();
    descend(lineage, sources, (table, column), 1, &mut seen, &mut shown.from);
    let met = |model: &str| model == table || shown.from.iter().any(|node| node.table == model);
    let unresolved = lineage.unresolved.iter().filter(|unresolved| met(&unresolved.model));
    shown.unresolved = unresolved.map(|unresolved| format!("{}: {}", unresolved.model, unresolved.reason)).collect();
    shown
}

fn descend<'a>(
    lineage: &'a Lineage,
    sources: &Sources,
    (table, column): (&'a str, &'a str),
    depth: usize,
    seen: &mut BTreeSet<(&'a str, &'a str)>,
    nodes: &mut Vec<Node>,
) {
    for origin in lineage.origins(table, column) {
        let again = !seen.insert((&origin.table, &origin.column));
        nodes.push(Node {
            depth,
            table: origin.table.clone(),
            column: origin.column.clone(),
            how: origin.how,
            source: source(sources, &origin.table),
            again,
        });
        if !again {
            descend(lineage, sources, (&origin.table, &origin.column), depth + 1, seen, nodes);
        }
    }
}

fn source(sources: &Sources, table: &str) -> Option<String> {
    let entry = sources.tables.iter().find(|known| known.table.to_string() == table)?;
    Some(format!("{} {}", entry.source.kind(), entry.source.object()))
}

fn feeds(lineage: &Lineage, table: &str, column: &str) -> Vec<String> {
    let mut found: Vec<(&str, &str)> = Vec::new();
    let mut open = vec![(table, column)];
    while let Some((table, column)) = open.pop() {
        for fed in lineage.feeds(table, column) {
            if !found.contains(&fed) {
                found.push(fed);
                open.push(fed);
            }
        }
    }
    found.iter().map(|(table, column)| format!("{table}.{column}")).collect()
}

pub(super) fn render(shown: &Columns) -> String {
    let mut lines = vec![format!("{}.{}", shown.table, shown.column)];
    lines.extend(shown.formula.iter().map(|formula| format!("  = {formula}")));
    for node in &shown.from {
        let how = match node.how {
            How::Same => "",
            How::Computed => " (computed)",
            How::Aggregate => " (aggregate)",
            How::Window => " (window)",
        };
        let source = node.source.as_ref().map(|source| format!(" ← {source}")).unwrap_or_default();
        let again = if node.again { " …" } else { "" };
        let indent = "  ".repeat(node.depth);
        lines.push(format!("{indent}← {}.{}{how}{source}{again}", node.table, node.column));
    }
    if !shown.feeds.is_empty() {
        lines.push("feeds".to_owned());
        lines.extend(shown.feeds.iter().map(|column| format!("  → {column}")));
    }
    lines.extend(shown.unresolved.iter().map(|unresolved| format!("not followed: {unresolved}")));
    lines.iter().map(|line| shortened(line, WIDTH)).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(table: &str, column: &str) -> Columns {
        let lineage = Lineage::parse(include_bytes!("../../../../dbt/lineage.json")).expect("a lineage");
        let sources = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
        of(&lineage, &sources, table, column)
    }

    #[test]
    fn a_total_comes_from_quantities_prices_and_rates_of_three_sources() {
        let shown = shown("ANALYTICS.MARTS.SALES", "TOTAL_GBP");
        for (table, column) in [
            ("STREAMING.PUBLIC.PURCHASES", "QUANTITY"),
            ("DLT.APPLICATION_DATA.PRODUCTS", "PRICE_USD"),
            ("SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES", "RATE"),
        ] {
            let node = shown.from.iter().find(|node| node.table == table && node.column == column);
            assert!(node.is_some_and(|node| node.source.is_some()), "{table}.{column}: {:?}", shown.from);
        }
        assert!(shown.feeds.contains(&"ANALYTICS.REPORTING.RPT_SALES.TOTAL_GBP".to_owned()), "{:?}", shown.feeds);
    }

    #[test]
    fn a_lineage_fits_the_terminal_and_says_what_was_not_followed() {
        let text = render(&shown("ANALYTICS.INTERMEDIATE.INT_CONTACTS__EMAILS", "CUSTOMER_ID"));
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        assert!(
            text.contains("not followed: ANALYTICS.INTERMEDIATE.INT_CONTACTS__EMAILS: PARTS is recursive"),
            "{text}"
        );
        let raw = render(&shown("DLT.APPLICATION_DATA.PRODUCTS", "PRICE_USD"));
        assert!(raw.contains("→ ANALYTICS.MARTS.SALES.TOTAL_GBP"), "{raw}");
    }
}
