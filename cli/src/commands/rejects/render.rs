//! What was refused as text that fits a terminal.

use chrono::{DateTime, Utc};
use sluice_pipeline::rejects::{Refusal, RefusedByWarehouse};

use super::{AsideRow, Reason, Rejects};
use crate::output::{self, Side, WIDTH, age, shortened, thousands};

/// What the numbers beside a reason leave of the terminal.
const REASON: usize = WIDTH - 36;

pub(super) fn text(answer: &Rejects, now: DateTime<Utc>, show_pii: bool) -> String {
    let mut parts = vec![title(answer)];
    if !answer.reasons.is_empty() {
        parts.push(reasons(&answer.reasons, now));
    }
    if !answer.rows.is_empty() {
        let masked = if show_pii { "" } else { "; personal data is masked, --show-pii shows it" };
        let rows = answer.rows.iter().map(|row| refusal(row, now)).collect::<Vec<_>>().join("\n");
        parts.push(format!("the newest{masked}:\n{rows}"));
    }
    if !answer.refused_by_warehouse.is_empty() {
        let lines: Vec<String> = answer.refused_by_warehouse.iter().map(refused).collect();
        parts.push(format!("refused by the warehouse itself; the records are in the archive:\n{}", lines.join("\n")));
    }
    if !answer.put_aside.is_empty() {
        let lines: Vec<String> = answer.put_aside.iter().map(|row| aside(row, now)).collect();
        parts.push(format!("put aside, `sluice take-back` lets them count again:\n{}", lines.join("\n")));
    }
    parts.extend(answer.problems.iter().map(|problem| shortened(&format!("no answer: {problem}"), WIDTH)));
    parts.join("\n\n")
}

fn title(answer: &Rejects) -> String {
    let since = answer.since.format("%Y-%m-%d %H:%M UTC");
    let rows: u64 = answer.reasons.iter().map(|reason| reason.rows).sum();
    let what = if answer.topic.is_some() { "dead letters" } else { "rows rejected" };
    let place = answer.topic.as_ref().map_or_else(String::new, |topic| format!(" (topic {topic})"));
    let count = if rows == 0 { format!("no {what}") } else { format!("{} {what}", thousands(rows)) };
    let mut title = format!("{}{place}: {count} since {since}", answer.table);
    if answer.unread > 0 {
        title.push_str(&format!(
            "\nof the {} newest dead letters; {} older ones were not read",
            thousands(answer.read as u64),
            thousands(answer.unread as u64)
        ));
    }
    title
}

fn reasons(reasons: &[Reason], now: DateTime<Utc>) -> String {
    let columns = [("ROWS", Side::Right), ("TIMES", Side::Right), ("NEWEST", Side::Right), ("REASON", Side::Left)];
    let row = |reason: &Reason| {
        let newest = reason.newest.map_or_else(|| "-".to_owned(), |at| age(now, at));
        vec![thousands(reason.rows), thousands(reason.times), newest, shortened(&reason.reason, REASON)]
    };
    output::table(&columns, &reasons.iter().map(row).collect::<Vec<_>>())
}

fn refusal(refusal: &Refusal, now: DateTime<Utc>) -> String {
    let at = refusal.at.map_or_else(|| "-".to_owned(), |at| age(now, at));
    let place = refusal.place.map_or_else(String::new, |place| format!("{}/{}  ", place.partition, place.offset));
    let head = shortened(&format!("  {at:>5}  {place}{}", refusal.reason), WIDTH);
    format!("{head}\n{}", shortened(&format!("         {}", refusal.row), WIDTH))
}

fn refused(refused: &RefusedByWarehouse) -> String {
    let offset = |offset: Option<i64>| offset.map_or_else(|| "?".to_owned(), |offset| offset.to_string());
    let RefusedByWarehouse { channel, refused, reason, first_offset, last_offset } = refused;
    let reason = reason.as_deref().unwrap_or("no reason told");
    let places = format!("offsets {} to {}", offset(*first_offset), offset(*last_offset));
    shortened(
        &format!("  {channel}: {} since it was made, the newest at {places}: {reason}", thousands(*refused)),
        WIDTH,
    )
}

fn aside(row: &AsideRow, now: DateTime<Utc>) -> String {
    let at = row.at.map_or_else(|| "-".to_owned(), |at| age(now, at));
    shortened(&format!("  {at:>5}  {} by {}: {}", row.key, row.by, row.reason), WIDTH)
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;
    use sluice_pipeline::rejects::Place;

    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::minutes(minute)
    }

    fn full() -> Rejects {
        let reason = |text: &str, rows| Reason { reason: text.into(), rows, times: 2 * rows, newest: Some(at(59)) };
        let place = Some(Place { partition: 1, offset: 7 });
        Rejects {
            table: "STREAMING.PUBLIC.PURCHASES".into(),
            topic: Some("purchases".into()),
            since: at(0),
            read: 2_000,
            unread: 67_659,
            reasons: vec![reason(&"'product_id' is a text, not a bigint ".repeat(5), 1_990), reason("too old", 10)],
            rows: vec![Refusal {
                reason: "too old".into(),
                at: Some(at(58)),
                place,
                row: json!({"a": "b".repeat(200)}),
            }],
            refused_by_warehouse: vec![RefusedByWarehouse {
                channel: "l_kafka_purchases_0".into(),
                refused: 3,
                reason: None,
                first_offset: None,
                last_offset: Some(9),
            }],
            put_aside: vec![AsideRow {
                key: "e-1".into(),
                reason: "an overflow".into(),
                by: "arn:aws:iam::1:user/u".into(),
                at: Some(at(30)),
            }],
            problems: vec!["the warehouse is away; try again".into()],
        }
    }

    #[test]
    fn everything_is_told_within_the_terminals_width() {
        let told = text(&full(), at(60), false);
        for part in [
            "STREAMING.PUBLIC.PURCHASES (topic purchases): 2,000 dead letters since 1970-01-01 00:00 UTC",
            "of the 2,000 newest dead letters; 67,659 older ones were not read",
            "  10     20      1m  too old",
            "the newest; personal data is masked, --show-pii shows it:\n     2m  1/7  too old\n         {\"a\":\"bbb",
            "  l_kafka_purchases_0: 3 since it was made, the newest at offsets ? to 9: no reason told",
            "    30m  e-1 by arn:aws:iam::1:user/u: an overflow",
            "no answer: the warehouse is away",
        ] {
            assert!(told.contains(part), "{part} is missing in\n{told}");
        }
        assert!(told.lines().all(|line| line.chars().count() <= WIDTH), "{told}");
        assert!(!text(&full(), at(60), true).contains("masked"));
    }

    #[test]
    fn a_table_of_which_nothing_was_refused_is_one_line() {
        let mut none = full();
        (none.topic, none.unread) = (None, 0);
        (none.reasons, none.rows, none.refused_by_warehouse) = (Vec::new(), Vec::new(), Vec::new());
        (none.put_aside, none.problems) = (Vec::new(), Vec::new());
        assert_eq!(
            text(&none, at(60), false),
            "STREAMING.PUBLIC.PURCHASES: no rows rejected since 1970-01-01 00:00 UTC"
        );
    }
}
