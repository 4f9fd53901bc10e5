//! The shadow tables as `platform/sources.yaml` would name them.

use std::fmt::Write;

pub(super) const ORDERS: &str = "ORDERS";
pub(super) const LINES: &str = "LINES";
pub(super) const CLICKS: &str = "CLICKS";
pub(super) const VISITS: &str = "VISITS";
pub(super) const ITEMS: &str = "ITEMS";
pub(super) const RATES: &str = "RATES";
pub(super) const SIGNALS: &str = "SIGNALS";

/// Name, rows of a day, noise.
pub(super) const POSTGRES: [(&str, f64, f64); 5] = [
    (ORDERS, 400.0, 0.04),
    (LINES, 1_200.0, 0.05),
    (CLICKS, 2_000.0, 0.03),
    (VISITS, 700.0, 0.06),
    (ITEMS, 250.0, 0.05),
];

pub(super) fn full_name(table: &str) -> String {
    format!("SHADOW.PUBLIC.{table}")
}

/// The entries of the shadow tables; one with a column more than its table has.
pub(super) fn sources(with_gone: Option<&str>) -> String {
    let mut text = "tables:\n".to_owned();
    for (name, ..) in POSTGRES {
        let gone = if with_gone == Some(name) { "      - { name: gone, type: text, required: true }\n" } else { "" };
        let _ = write!(
            text,
            "  - table: {}\n    description: A shadow.\n    source: {{ kind: postgres, schema: s, table: {}, cursor: id }}\n    \
             schedule: hourly\n    loader: copy\n    disposition: merge\n    key: [id]\n    \
             monitors: {{ event_time: at, distribution_columns: [price] }}\n    columns:\n      \
             - {{ name: id, type: bigint, required: true }}\n      - {{ name: at, type: timestamp, required: true }}\n      \
             - {{ name: email, type: text }}\n      - {{ name: price, type: \"decimal(18,4)\", required: true }}\n{gone}",
            full_name(name),
            name.to_lowercase(),
        );
    }
    let _ = write!(
        text,
        "  - table: {}\n    description: A shadow.\n    source: {{ kind: exchange_rates, base: USD, first_date: 2025-10-30 }}\n    \
         schedule: daily 0\n    loader: snowpipe\n    disposition: append\n    \
         key: [rate_date, base_currency, target_currency, rate_kind]\n    columns:\n      \
         - {{ name: rate_date, type: date, required: true }}\n      - {{ name: base_currency, type: text, required: true }}\n      \
         - {{ name: target_currency, type: text, required: true }}\n      - {{ name: rate, type: \"decimal(18,10)\", required: true }}\n      \
         - {{ name: rate_kind, type: text, required: true }}\n      - {{ name: source_timestamp, type: timestamp, required: true }}\n",
        full_name(RATES)
    );
    let _ = write!(
        text,
        "  - table: {}\n    description: A shadow.\n    source: {{ kind: kafka, topic: signals }}\n    loader: streaming\n    \
         disposition: append\n    key: [id]\n    columns:\n      - {{ name: id, type: bigint, required: true }}\n",
        full_name(SIGNALS)
    );
    text
}
