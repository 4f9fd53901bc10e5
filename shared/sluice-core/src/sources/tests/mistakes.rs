//! What is wrong or has no effect in an entry, and how it is told.

use super::{EVERY_SETTING, problems, tells};

/// Each with the part of [`EVERY_SETTING`] that it stands for.
const MISTAKES: [(&str, &str, &str); 78] = [
    ("off: [schema]", "off: [cost]", "'cost' is no monitor of a table; known are freshness"),
    ("off: [schema]", "off: [schema, schema]", "`off` has 'schema' twice"),
    ("off: [schema]", "off: [volume]", "`volume_change_percent` has no effect, because volume is off"),
    ("freshness_minutes: 90", "freshness_minutes: 0", "`freshness_minutes`: must be from 1 to"),
    ("freshness_minutes: 90", "freshness_hours: 2", "`freshness_hours` is no setting here; known are off"),
    ("event_time: at", "event_time: price", "`event_time`: 'price' is a decimal(18,4) and must be a timestamp or date"),
    ("      event_time: at\n", "", "`late_hours` has no effect without `event_time`"),
    ("null_columns: [price]", "null_columns: [id]", "'id' is required and never null"),
    ("null_columns: [price]", "null_columns: []", "`null_columns` names no column"),
    (
        "distribution_columns: [price]",
        "distribution_columns: [state]",
        "'state' is a text and must be a bigint or decimal",
    ),
    ("distribution_columns: [price]", "distribution_columns: [cost]", "'cost' is none of its columns"),
    ("rejected_percent: 1", "rejected_percent: 101", "`rejected_percent` is a share and at most 100"),
    ("rejected_percent: 1", "lag_minutes: 1", "only a streaming table has a lag"),
    ("maximum_rows_per_day: 5000", "maximum_rows_per_day: 4", "no day's rows lie between"),
    (
        "state, type: text, one_of: [open, paid]",
        "state, type: bigint, one_of: [\"1\", \"2\"]",
        "`one_of` has no effect on a bigint",
    ),
    (
        "state, type: text, one_of: [open, paid]",
        "state, type: bigint, one_of: [1, 2]",
        "`one_of` has no effect on a bigint",
    ),
    (
        "state, type: text, one_of: [open, paid]",
        "state, type: boolean, one_of: [\"true\"]",
        "`one_of` has no effect on a boolean",
    ),
    ("one_of: [open, paid]", "one_of: [open, 2]", "`one_of`: must be a text and is a number; put it in quotes"),
    ("one_of: [open, paid]", "one_of: [open, true]", "must be a text and is a boolean; put it in quotes"),
    ("one_of: [open, paid]", "one_of: []", "`one_of` allows no text"),
    ("one_of: [open, paid]", "one_of: [open, open]", "`one_of` has 'open' twice"),
    ("one_of: [open, paid]", "one_of: open", "`one_of` must be a list and is a text"),
    ("one_of: [open, paid]", "minimum: 3", "`minimum` has no effect on a text"),
    ("at, type: timestamp,", "at, type: timestamp, minimum: 1700000000,", "`minimum` has no effect on a timestamp"),
    ("at, type: timestamp,", "at, type: date, minimum: 2025-01-01,", "`minimum` has no effect on a date"),
    ("minimum: 0", "minimum: 0.5", "`minimum`: must be a whole number of 64 bits and is 0.5"),
    ("minimum: 0", "minimum: 1e3", "`minimum`: must be a whole number of 64 bits and is 1e3"),
    ("minimum: 0", "minimum: 99999999999999999999", "`minimum`: must be a whole number of 64 bits"),
    ("minimum: 0", "minimum: 100000000000000", "no decimal(18,4) reaches the minimum"),
    ("minimum: 0", "minimum: 0, exclusive_minimum: 0", "has `minimum` and `exclusive_minimum`; keep one"),
    ("maximum: 9000000", "maximum: 100000000000000", "no decimal(18,4) is above the maximum"),
    ("maximum: 9000000", "maximum: -100000000000000", "no decimal(18,4) is as small as the maximum"),
    (
        "state, type: text, one_of: [open, paid]",
        "state, type: bigint, exclusive_minimum: 9223372036854775807",
        "no bigint lies between its bounds",
    ),
    (
        "state, type: text, one_of: [open, paid]",
        "state, type: bigint, maximum: 9223372036854775807",
        "no bigint is above the maximum",
    ),
    ("maximum: 9000000", "maximum: -1", "no decimal(18,4) lies between its bounds"),
    ("at, type: timestamp,", "at, type: timestamp, maximum: 1700000000,", "`maximum` has no effect on a timestamp"),
    ("exclusive_minimum: 0", "exclusive_minimum: 1000", "no decimal(9,6) reaches the minimum"),
    ("minimum: 0", "minimum: -100000000000000", "every decimal(18,4) is above the minimum"),
    ("decimal(18,4)", "decimal(39,4)", "'decimal(39,4)' is not a column type"),
    ("decimal(18,4)", "decimal(4,18)", "'decimal(4,18)' is not a column type"),
    ("table: DLT.A.C", "table: DLT.A.B", "DLT.A.B: has a second entry here, the first is in line 3"),
    ("table: DLT.A.C", "table: ADMIN.A.C", "ADMIN is a database that the platform fills itself"),
    ("table: DLT.A.C", "table: ANALYTICS.MARTS.SALES", "ANALYTICS is a database that the platform fills itself"),
    ("table: DLT.A.C", "table: DLT.INFORMATION_SCHEMA.C", "INFORMATION_SCHEMA"),
    ("table: DLT.A.C", "table: DLT.A.C__REPLAY_1", "__REPLAY_ marks the side tables of a replay"),
    ("table: DLT.A.C", "table: DLT.A", "a table is named DATABASE.SCHEMA.TABLE"),
    ("name: state", "name: \"\"", "column '' has no name"),
    ("name: state", "name: _kafka_offset", "must not begin with _sluice_ or _kafka_"),
    ("name: state", "name: _sluice_run_id", "must not begin with _sluice_ or _kafka_"),
    ("name: state", "name: id", "column 'id' stands twice, first in line 27"),
    ("name: state", "name: current_date", "Snowflake takes this name for no column"),
    ("name: state", "name: \"a\\0b\"", "must not hold a control character"),
    (
        "name: price",
        "name: strasse, type: text }\n      - { name: straße",
        "columns 'straße' and 'strasse' (line 29) are one",
    ),
    ("name: price", "name: i, type: text }\n      - { name: ı", "columns 'ı' and 'i' (line 29) are one"),
    ("name: price", "name: i\u{307}, type: text }\n      - { name: İ", "column 'İ' must be lower case"),
    ("source_name: \"Unit Price\"", "source_name: \"\"", "`source_name` is no name that a source can have"),
    (
        "source_name: \"Unit Price\"",
        "source_name: state",
        "column 'state': takes 'state' from the source, as 'price' does",
    ),
    ("source_name: \"Unit Price\"", "source_name: 7", "`source_name`: must be a text and is a number"),
    ("name: code,", "name: code, source_name: Code,", "the columns of this source are fixed"),
    ("name: state", "name: 7", "`name`: must be a text and is a number; put it in quotes"),
    (
        "disposition: append\n    key: [event_id]",
        "disposition: merge\n    key: [event_id]",
        "a topic's records are appended",
    ),
    ("key: [id]", "key: [id, id]", "the key has 'id' twice"),
    ("key: [id]", "key: []", "the key is empty"),
    ("key: [id]", "key: id", "`key` must be a list and is a text"),
    ("disposition: merge", "disposition: replace", "`version_column` says which row wins a merge"),
    ("version_column: at", "version_column: state", "the version_column 'state' is a text"),
    ("version_column: at", "version_column: id", "'id' is in the key"),
    ("version_column: at", "version_column: changed", "the version_column 'changed' is none of its columns"),
    ("cursor: id", "cursor: at", "the cursor 'at' is a timestamp and must be a bigint"),
    ("cursor: id", "cursor: nr", "the cursor 'nr' is none of its columns"),
    ("schedule: daily 0, 9", "schedule: daily 0, 0", "'daily 0, 0' is no schedule"),
    ("schedule: daily 0, 9", "schedule: daily 24", "'daily 24' is no schedule"),
    (
        "topic: orders, format",
        "topic: orders, schema: s, format",
        "`schema` is no setting here; known are kind, topic, format",
    ),
    ("topic: orders", "topic: my orders", "is no name that Kafka takes"),
    ("topic: orders", "topic: orders.v1", "ends like the file of a kept schema version"),
    ("loader: streaming", "loader: streaming\n    schedule: hourly", "a streaming table has no schedule"),
    (
        "loader: streaming",
        "loader: streaming\n    contract: evolve",
        "`contract` has no effect: a topic shows no columns",
    ),
    ("base: USD", "base: usd", "three capital letters"),
];

#[test]
fn a_setting_that_is_wrong_or_without_effect_is_refused() {
    assert_eq!(problems(EVERY_SETTING), [""; 0]);
    for (right, wrong, told) in MISTAKES {
        assert!(EVERY_SETTING.contains(right), "{right}");
        tells(&EVERY_SETTING.replacen(right, wrong, 1), told);
    }
}
