//! What each column of an entry must keep.

use std::collections::BTreeMap;

use super::{
    Shape, Source,
    entry::{ColumnEntry, Entry},
};
use crate::{
    Column, ColumnType, Mode,
    contract::{MAX_TEXT_BYTES, range},
    judge::Report,
    names,
    yaml::At,
};

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
    judge_names(entry, report);
    judge_source_names(entry, report);
}

fn judge_names(entry: &Entry, report: &mut Report) {
    let mut first: BTreeMap<String, (&str, usize)> = BTreeMap::new();
    for name in entry.columns.iter().flatten().filter_map(|column| column.name.as_ref()) {
        let (text, place) = (name.value.as_str(), name.place);
        if let Some(refusal) = names::refusal(text) {
            let way_on = "a source's column of this name is read under another one by `source_name`";
            report.add(place, format!("{}: column '{}' {refusal}; {way_on}", entry.name, text.escape_debug()));
        }
        let folded = names::fold(text);
        match first.get(&folded) {
            None => drop(first.insert(folded, (text, place.line))),
            Some((same, line)) if *same == text => {
                report.add(place, format!("{}: column '{text}' stands twice, first in line {line}", entry.name));
            }
            Some((near, line)) => report.add(
                place,
                format!(
                    "{}: columns '{text}' and '{near}' (line {line}) are one in the warehouse, where both are {folded}",
                    entry.name,
                ),
            ),
        }
    }
}

/// What columns take from the source: each something, and no two the same.
fn judge_source_names(entry: &Entry, report: &mut Report) {
    let fixed = entry.source.as_ref().is_some_and(|source| matches!(source.source.shape(), Shape::Fixed(_)));
    let mut first: BTreeMap<&str, &str> = BTreeMap::new();
    for column in entry.columns.iter().flatten() {
        let Some(name) = column.name.as_ref() else { continue };
        let about = format!("{}: column '{}':", entry.name, name.value.escape_debug());
        let source = column.source_name.as_ref().unwrap_or(name);
        if column.source_name.is_some() && fixed {
            report.add(
                source.place,
                format!("{about} `source_name` has no effect: the columns of this source are fixed"),
            );
        }
        if column.source_name.is_some() && (source.value.is_empty() || source.value.contains('\0')) {
            report.add(source.place, format!("{about} `source_name` is no name that a source can have"));
        }
        match first.insert(&source.value, &name.value) {
            Some(other) if *other != name.value => {
                report
                    .add(source.place, format!("{about} takes '{}' from the source, as '{other}' does", source.value));
            }
            _ => {}
        }
    }
}

/// Rules that have no effect on the column's type, or that no value keeps.
fn rules(column: &ColumnEntry, about: &str, report: &mut Report) {
    let kind = column.column_type.as_ref().map(|kind| kind.value);
    if let Some(kind) = kind {
        bounds(column, kind, about, report);
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

fn bounds(column: &ColumnEntry, kind: ColumnType, about: &str, report: &mut Report) {
    let ColumnEntry { minimum, exclusive_minimum, maximum, .. } = column;
    let named = [("minimum", minimum), ("exclusive_minimum", exclusive_minimum), ("maximum", maximum)];
    let given = named.into_iter().filter_map(|(name, bound)| bound.as_ref().map(|bound| (name, bound)));
    let mut are_good = true;
    for (name, bound) in given {
        if let Some(problem) = idle_bound(kind, name, bound.value) {
            report.add(bound.place, format!("{about} {problem}"));
            are_good = false;
        }
    }
    if let (Some(_), Some(exclusive)) = (minimum, exclusive_minimum) {
        report.add(exclusive.place, format!("{about} has `minimum` and `exclusive_minimum`; keep one"));
        are_good = false;
    }
    let value = |bound: &Option<At<i64>>| bound.as_ref().map(|bound| bound.value);
    let bounded = Column {
        minimum: value(minimum),
        exclusive_minimum: value(exclusive_minimum),
        maximum: value(maximum),
        ..Column::optional("", kind)
    };
    let last = maximum.as_ref().or(exclusive_minimum.as_ref()).or(minimum.as_ref());
    if let Some(last) = last.filter(|_| are_good && range(&bounded).is_empty()) {
        report.add(last.place, format!("{about} no {kind} lies between its bounds"));
    }
}

fn idle_bound(kind: ColumnType, name: &str, bound: i64) -> Option<String> {
    // The first number that the type does not hold, and the largest that it does if it is whole.
    let (beyond, largest) = match kind {
        ColumnType::Bigint => (i128::from(i64::MAX) + 1, i128::from(i64::MAX)),
        ColumnType::Decimal(precision, scale) => {
            let beyond = 10_i128.pow(u32::from(precision) - u32::from(scale.unsigned_abs()));
            (beyond, if scale == 0 { beyond - 1 } else { beyond })
        }
        _ => return Some(format!("`{name}` has no effect on a {kind}, only on a bigint or decimal; leave it out")),
    };
    match (name, i128::from(bound)) {
        ("maximum", bound) if bound >= largest => Some(format!("no {kind} is above the maximum {bound}")),
        ("maximum", bound) if bound <= -beyond => Some(format!("no {kind} is as small as the maximum {bound}")),
        ("maximum", _) => None,
        (_, bound) if bound >= beyond => Some(format!("no {kind} reaches the minimum {bound}")),
        (_, bound) if bound <= -beyond => Some(format!("every {kind} is above the minimum {bound}")),
        _ => None,
    }
}

/// A column's own mode differs from its table's in nothing but what `freeze` stops, unless numbers can grow.
fn mode(entry: &Entry, column: &ColumnEntry, about: &str, report: &mut Report) {
    let (Some(own), Some(kind), Some(source)) = (&column.contract, &column.column_type, &entry.source) else { return };
    let of_table = entry.contract.as_ref().map(|mode| mode.value).unwrap_or_default();
    let grows = matches!(kind.value, ColumnType::Decimal(..)) && matches!(source.source, Source::Postgres { .. });
    let shows = source.source.shape() == Shape::Shown;
    let is_idle = own.value != of_table && own.value != Mode::Freeze && of_table != Mode::Freeze && !grows;
    if shows && is_idle {
        let text = "has no effect here: evolve and reject differ in whether a decimal's digits may grow; leave it out";
        report.add(own.place, format!("{about} `contract` {text}"));
    }
}
