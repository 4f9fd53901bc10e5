//! What rows must keep among each other: names that are there, a severity for each row, and no row without effect.

use std::collections::BTreeSet;

use sluice_core::judge::Report;

use super::{
    ChannelKind,
    read::{Draft, TOP},
};

pub(super) fn judge(table: &Draft, report: &mut Report) {
    channels(table, report);
    severities(table, report);
    routes(table, report);
}

fn channels(table: &Draft, report: &mut Report) {
    let mut names = BTreeSet::new();
    for channel in &table.channels {
        if !names.insert(channel.value.name.as_str()) {
            report.add(channel.place, format!("channels: '{}' stands twice; keep one", channel.value.name));
        }
    }
    if !table.channels.iter().any(|channel| channel.value.kind == ChannelKind::Sns) {
        report.add(TOP, "channels: one of kind sns is needed, which takes what no other channel can");
    }
    let of_severities = table.severities.iter().flat_map(|row| &row.value.1);
    let daily = table.summary.iter().chain(&table.canary).flat_map(|daily| &daily.value.1);
    for name in of_severities.chain(daily).filter(|name| !names.contains(name.value.as_str())) {
        report.add(name.place, format!("'{}' is none of the channels", name.value));
    }
}

fn severities(table: &Draft, report: &mut Report) {
    let mut known = BTreeSet::new();
    for row in &table.severities {
        let severity = row.value.0.severity;
        if !known.insert(severity) {
            report.add(row.place, format!("severities: {severity} stands twice; keep one"));
        }
        if !table.routes.iter().any(|route| route.value.severity == severity) {
            report.add(row.place, format!("severities: no route has the severity {severity}"));
        }
    }
    for route in table.routes.iter().filter(|route| !known.contains(&route.value.severity)) {
        report.add(route.place, format!("routes: {} is none of the severities", route.value.severity));
    }
}

fn routes(table: &Draft, report: &mut Report) {
    match table.routes.last() {
        Some(last) if last.value.takes_everything() => {}
        Some(last) => report.add(last.place, "routes: the last one must take everything; write only a severity"),
        None => report.add(TOP, "routes: there is none; the last one must take everything"),
    }
    for (at, route) in table.routes.iter().enumerate() {
        if let Some(earlier) = table.routes[..at].iter().find(|earlier| earlier.value.covers(&route.value)) {
            let line = earlier.place.line;
            report.add(
                route.place,
                format!("routes: the row in line {line} takes all that this one does; move or remove it"),
            );
        }
    }
}
