//! What each column of an entry must keep.

use std::collections::BTreeMap;

use super::{
    Source,
    entry::{ColumnEntry, Entry},
    report::Report,
};
use crate::{ColumnType, Mode, contract::MAX_TEXT_BYTES};

pub(super) fn judge(entry: &Entry, report: &mut Report) {
    for column in entry.columns.iter().flatten() {
        let label = column.name.as_ref().map_or_else(String::new, |name| format!(" column '{}':", name.value));
        let about = format!("{}:{label}", entry.name);
        rules(column, &about, report);
        mode(entry, column, &about, report);
        if let Some(description) = column.description.as_ref().filter(|text| text.value.trim().is_empty()) {
            report
                .add(description.place, format!("{about} the description is empty; say what it holds or leave it out"));
        }
    }
    names(entry, report);
}

fn names(entry: &Entry, report: &mut Report) {
    let mut first: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for name in entry.columns.iter().flatten().filter_map(|column| column.name.as_ref()) {
        let (text, place) = (name.value.as_str(), name.place);
        if let Some(problem) = name_problem(text) {
            report.add(place, format!("{}: column '{}' {problem}", entry.name, text.escape_debug()));
        }
        match first.get(&text.to_uppercase()) {
            None => drop(first.insert(text.to_uppercase(), (text, place.line))),
            Some((same, line)) if *same == text => {
                report.add(place, format!("{}: column '{text}' stands twice, first in line {line}", entry.name));
            }
            Some((near, line)) => report.add(
                place,
                format!(
                    "{}: columns '{text}' and '{near}' (line {line}) are one in the warehouse, which folds both to {}",
                    entry.name,
                    text.to_uppercase()
                ),
            ),
        }
    }
}

fn name_problem(name: &str) -> Option<&'static str> {
    if name.trim().is_empty() {
        return Some("has no name");
    }
    if name != name.to_lowercase() {
        return Some("must be lower case");
    }
    if name.starts_with("_sluice_") || name.starts_with("_kafka_") {
        return Some("must not begin with _sluice_ or _kafka_: such columns are the platform's own");
    }
    name.contains("$$").then_some("must not hold $$")
}

/// Rules that have no effect on the column's type, or that no value keeps.
fn rules(column: &ColumnEntry, about: &str, report: &mut Report) {
    let kind = column.column_type.as_ref().map(|kind| kind.value);
    if let (Some(minimum), Some(kind)) = (&column.minimum, kind)
        && let Some(problem) = idle_minimum(kind, minimum.value)
    {
        report.add(minimum.place, format!("{about} {problem}"));
    }
    let Some(one_of) = &column.one_of else { return };
    if let Some(kind) = kind.filter(|kind| *kind != ColumnType::Text) {
        report.add(one_of.place, format!("{about} `one_of` has no effect on a {kind}, only on a text; leave it out"));
        return;
    }
    if one_of.value.is_empty() {
        report.add(one_of.place, format!("{about} `one_of` allows no text; name those that it allows or leave it out"));
    }
    for (at, option) in one_of.value.iter().enumerate() {
        if one_of.value[..at].iter().any(|earlier| earlier.value == option.value) {
            report.add(option.place, format!("{about} `one_of` has '{}' twice; keep one", option.value));
        }
        if option.value.len() > MAX_TEXT_BYTES {
            report.add(option.place, format!("{about} `one_of` has a text of more than {MAX_TEXT_BYTES} bytes"));
        }
    }
}

fn idle_minimum(kind: ColumnType, minimum: i64) -> Option<String> {
    match kind {
        ColumnType::Bigint => None,
        ColumnType::Decimal(precision, scale) => {
            let beyond = 10_i128.pow(u32::from(precision) - u32::from(scale.unsigned_abs()));
            match i128::from(minimum) {
                minimum if minimum >= beyond => Some(format!("no {kind} reaches the minimum {minimum}")),
                minimum if minimum <= -beyond => Some(format!("every {kind} is above the minimum {minimum}")),
                _ => None,
            }
        }
        _ => Some(format!("`minimum` has no effect on a {kind}, only on a bigint or decimal; leave it out")),
    }
}

/// A column's own mode differs from its table's in nothing but what `freeze` stops, unless numbers can grow.
fn mode(entry: &Entry, column: &ColumnEntry, about: &str, report: &mut Report) {
    let (Some(own), Some(kind), Some(source)) = (&column.contract, &column.column_type, &entry.source) else { return };
    let of_table = entry.contract.as_ref().map(|mode| mode.value).unwrap_or_default();
    let grows = matches!(kind.value, ColumnType::Decimal(..)) && matches!(source.source, Source::Postgres { .. });
    let shows = matches!(source.source, Source::Postgres { .. } | Source::HubspotContacts);
    let is_idle = own.value != of_table && own.value != Mode::Freeze && of_table != Mode::Freeze && !grows;
    if shows && is_idle {
        let text = "has no effect here: evolve and reject differ in whether a decimal's digits may grow; leave it out";
        report.add(own.place, format!("{about} `contract` {text}"));
    }
}
