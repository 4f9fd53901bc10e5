use std::fmt::Write;

use super::*;

/// Entries that hold every setting there is, each with an effect.
pub(super) const EVERY_SETTING: &str = r#"
tables:
  - table: DLT.A.B
    description: One row per order.
    source: { kind: postgres, schema: s, table: t, cursor: id }
    schedule: daily 0, 9
    loader: copy
    disposition: merge
    key: [id]
    version_column: at
    contract: evolve
    columns:
      - { name: id, type: bigint, required: true, description: Number. }
      - { name: at, type: timestamp, required: true }
      - { name: price, source_name: "Unit Price", type: "decimal(18,4)", minimum: 0, maximum: 9000000, contract: freeze, pii: true }
      - { name: state, type: text, one_of: [open, paid] }
  - table: STREAMING.A.B
    description: One row per event.
    source: { kind: kafka, topic: orders, format: avro }
    loader: streaming
    disposition: append
    key: [event_id]
    columns: [{ name: event_id, type: text, required: true }]
  - table: SNOWPIPE.A.B
    description: One row per rate.
    source: { kind: exchange_rates, base: USD, first_date: 2025-10-30 }
    loader: snowpipe
    disposition: append
    columns: [{ name: rate_date, type: date }, { name: rate, type: "decimal(9,6)", exclusive_minimum: 0 }]
  - table: DLT.A.C
    description: One row per currency.
    source: { kind: currencies }
    loader: copy
    disposition: replace
    columns: [{ name: code, type: text, required: true }]
  - table: AIRBYTE.A.B
    description: One row per contact.
    source: { kind: hubspot_contacts }
    loader: copy
    disposition: merge
    key: [id]
    columns: [{ name: id, type: bigint, required: true }]
"#;

fn problems(yaml: &str) -> Vec<String> {
    let message = Sources::parse(yaml).err().map(|error| error.to_string()).unwrap_or_default();
    message.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn the_shipped_file_is_valid() {
    let shipped = Sources::parse(include_str!("../../../../platform/sources.yaml")).expect("valid sources");
    assert_eq!(shipped.tables.len(), 5);
    assert!(shipped.topic("purchases").is_ok());
}

#[test]
fn the_judge_reads_what_the_types_say() {
    for text in [EVERY_SETTING, include_str!("../../../../platform/sources.yaml")] {
        let tree = yaml::parse(text).root.expect("YAML").value.to_json();
        let tables: Vec<Table> = serde_json::from_value(tree["tables"].clone()).expect("tables");
        assert_eq!(Sources::parse(text).expect("valid sources").tables, tables);
    }
}

#[test]
fn every_problem_of_every_entry_is_told_with_its_place() {
    let yaml = "
tables:
  - table: A.B.C
    description: d
    source: { kind: currencies }
    loader: snowpipe
    disposition: merge
    key: [nope]
    columns: [{ name: Id, type: bigint }]
    owner: me
  - table: A.B.D
    source: { kind: hubspot_contacts }
    loader: cpy
    disposition: merge
    key: [id]
    contract: evolve
    columns:
      - { name: id, type: int }
      - { name: größe, typ: text }
      - 7
  - description: d
";
    let expected = [
        "7:18: A.B.C: Snowpipe only appends; take `loader: copy`",
        "8:11: A.B.C: the key has 'nope', which is none of its columns",
        "9:23: A.B.C: column 'Id' must be lower case; a source's column of this name is read under another one by \
         `source_name`",
        "10:5: A.B.C: `owner` is no setting here; known are table, description, source, schedule, loader, disposition, \
         key, version_column, contract, columns",
        "11:5: A.B.D: `description` is missing",
        "13:13: A.B.D: `loader`: unknown variant `cpy`, expected one of `copy`, `snowpipe`, `streaming`",
        "16:15: A.B.D: HubSpot's properties are an allow-list, the contract cannot be evolve",
        "18:9: A.B.D: column 'id' is in the key and must be required",
        "18:27: A.B.D: column 'id': `type`: 'int' is not a column type; known are bigint, text, timestamp, date, \
         boolean, and decimal(p,s) with p from 1 to 38 and s from 0 to p",
        "19:9: A.B.D: column 'größe': `type` is missing",
        "19:24: A.B.D: column 'größe': `typ` is no setting here; known are name, type, source_name, required, minimum, \
         exclusive_minimum, maximum, one_of, description, contract, pii",
        "20:9: A.B.D: column 3 must be a mapping of settings and is a number",
        "21:5: entry 3: `table` is missing",
        "21:5: entry 3: `source` is missing",
        "21:5: entry 3: `loader` is missing",
        "21:5: entry 3: `disposition` is missing",
        "21:5: entry 3: `columns` is missing",
    ];
    let expected: Vec<String> = expected.iter().map(|line| format!("platform/sources.yaml:{line}")).collect();
    assert_eq!(problems(yaml), expected);
}

/// Each with the part of [`EVERY_SETTING`] that it stands for.
const MISTAKES: [(&str, &str, &str); 62] = [
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
    ("maximum: 9000000", "maximum: 100000000000000", "every decimal(18,4) is below the maximum"),
    ("maximum: 9000000", "maximum: -100000000000000", "no decimal(18,4) is as small as the maximum"),
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
    ("name: state", "name: id", "column 'id' stands twice, first in line 13"),
    ("name: state", "name: current_date", "Snowflake takes this name for no column"),
    ("name: state", "name: \"a\\0b\"", "must not hold a control character"),
    (
        "name: price",
        "name: strasse, type: text }\n      - { name: straße",
        "columns 'straße' and 'strasse' (line 15) are one",
    ),
    ("name: price", "name: i, type: text }\n      - { name: ı", "columns 'ı' and 'i' (line 15) are one"),
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
        let found = problems(&EVERY_SETTING.replacen(right, wrong, 1));
        assert!(found.iter().any(|line| line.contains(told)), "{wrong}: {found:#?}");
    }
}

#[test]
fn a_mode_that_changes_nothing_is_refused() {
    for (column, of_table, is_idle) in [
        ("type: text, contract: reject", "evolve", true),
        ("type: bigint, contract: evolve", "reject", true),
        ("type: text, contract: freeze", "reject", false),
        ("type: text, contract: reject", "freeze", false),
        ("type: \"decimal(9,2)\", contract: reject", "evolve", false),
        ("type: text, contract: evolve", "evolve", false),
    ] {
        let yaml = EVERY_SETTING.replacen("contract: evolve", &format!("contract: {of_table}"), 1).replacen(
            "type: text, one_of: [open, paid]",
            column,
            1,
        );
        let found = problems(&yaml);
        assert_eq!(
            found.iter().any(|line| line.contains("`contract` has no effect here")),
            is_idle,
            "{column}: {found:?}"
        );
    }
}

#[test]
fn topics_fill_one_table_each_and_differ_in_more_than_case() {
    let second = |topic: &str| {
        let entry = EVERY_SETTING.split("  - table: ").nth(2).expect("the topic's entry");
        format!(
            "{EVERY_SETTING}  - table: {}",
            entry.replace("STREAMING.A.B", "STREAMING.A.C").replace("orders", topic)
        )
    };
    assert_eq!(problems(&second("invoices")), [""; 0]);
    for (topic, told) in [
        ("orders", "STREAMING.A.C: the topic 'orders' already fills STREAMING.A.B"),
        ("Orders", "STREAMING.A.C: the topics 'Orders' and 'orders' (of STREAMING.A.B) differ only in case"),
    ] {
        let found = problems(&second(topic));
        assert!(found.len() == 1 && found[0].contains(told), "{found:?}");
        assert!(found[0].starts_with("platform/sources.yaml:45:35: "), "{found:?}");
    }
}

#[test]
fn a_disposition_that_takes_a_runs_rows_for_what_they_are_not_is_refused() {
    let postgres = "{ kind: postgres, schema: s, table: t, cursor: id }";
    let rates = "{ kind: exchange_rates, base: USD, first_date: 2026-01-01 }";
    for (source, disposition, refused) in [
        (postgres, "merge", None),
        (postgres, "replace", None),
        (postgres, "append", Some("A.B.C: a postgres table cannot be appended")),
        ("{ kind: hubspot_contacts }", "merge", None),
        ("{ kind: hubspot_contacts }", "replace", Some("A.B.C: HubSpot's contacts must be merged")),
        ("{ kind: hubspot_contacts }", "append", Some("A.B.C: HubSpot's contacts must be merged")),
        (rates, "append", None),
        (rates, "replace", Some("A.B.C: exchange rates cannot be replaced")),
        ("{ kind: currencies }", "replace", None),
        ("{ kind: currencies }", "append", None),
    ] {
        let yaml = format!(
            "tables: [{{ table: A.B.C, description: d, source: {source}, loader: copy, disposition: {disposition},
              key: [id], columns: [{{ name: id, type: bigint, required: true }}] }}]"
        );
        let found = problems(&yaml);
        match refused {
            None => assert_eq!(found, [""; 0], "{source}, {disposition}"),
            Some(part) => assert!(found.len() == 1 && found[0].contains(part), "{found:?}"),
        }
    }
}

#[test]
fn a_file_is_read_however_an_editor_has_written_it() {
    let plain = Sources::parse(EVERY_SETTING).expect("valid sources");
    for text in [
        EVERY_SETTING.replace('\n', "\r\n"),
        format!("\u{feff}{EVERY_SETTING}"),
        format!("---{EVERY_SETTING}...\n"),
        EVERY_SETTING
            .replace("source: { kind: currencies }", "source: &list { kind: currencies }")
            .replace("description: One row per contact.", "description: \"One row per contact.\""),
    ] {
        assert_eq!(Sources::parse(&text).expect("valid sources"), plain);
    }
    let russian =
        EVERY_SETTING.replace("name: state", "name: состояние").replace("One row per order.", "注文ごとに一行。");
    assert_eq!(Sources::parse(&russian).expect("valid sources").tables[0].columns.columns()[3].name, "состояние");
}

#[test]
fn a_file_that_holds_no_entries_says_what_to_do() {
    for (text, told) in [
        ("", "platform/sources.yaml:1:1: the file is empty; it needs `tables:`"),
        ("# nothing yet\n", "the file is empty"),
        ("tables:\n", "`tables` has no entry"),
        ("tables: []\n", "platform/sources.yaml:1:9: `tables` has no entry"),
        ("tables: { A: 1 }\n", "`tables` must be a list of entries and is a mapping"),
        ("table: []\n", "the file: `tables` is missing"),
        ("- table: A.B.C\n", "the file must be a mapping of settings and is a list"),
        ("tables:\n\t- table: A.B.C\n", "platform/sources.yaml:2:2: this is no YAML: tabs disallowed"),
        ("tables:\n  - description: a: b\n", "platform/sources.yaml:2:19: this is no YAML"),
        ("tables: []\ntables: []\n", "'tables' stands twice, first in line 1"),
    ] {
        let found = problems(text);
        assert!(found.iter().any(|line| line.contains(told)), "{text:?}: {found:?}");
    }
}

#[test]
fn a_large_file_is_read_and_a_file_full_of_problems_is_told_in_part() {
    let mut text = "tables:\n".to_owned();
    for number in 0..1_000 {
        let entry = EVERY_SETTING.split("  - table: ").nth(1).expect("an entry");
        write!(text, "  - table: {}", entry.replace("DLT.A.B", &format!("DLT.A.T{number}"))).expect("a text");
    }
    assert!(text.len() > 500_000);
    assert_eq!(Sources::parse(&text).expect("valid sources").tables.len(), 1_000);
    let found = problems(&text.replace("key: [id]", "key: [nope]"));
    assert_eq!((found.len(), found[50].as_str()), (51, "and 950 more"));
}

#[test]
fn messages_name_the_file_that_was_read() {
    let folder = std::env::temp_dir().join(format!("sources-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir(&folder).expect("a folder");
    let path = folder.join("other.yaml");
    let name = path.display().to_string();
    let absent = Sources::read(&path).expect_err("no file");
    assert!(absent.to_string().contains(&name) && absent.hint().is_some(), "{absent}");
    std::fs::write(&path, b"tables: \xff\xfe").expect("a file");
    let unreadable = Sources::read(&path).expect_err("no text");
    assert_eq!(unreadable.hint(), Some("save the file as UTF-8"));
    std::fs::write(&path, "tables: []").expect("a file");
    let empty = Sources::read(&path).expect_err("a problem").to_string();
    assert!(empty.starts_with(&format!("{name} has 1 problem:\n{name}:1:9: `tables`")), "{empty}");
    std::fs::write(&path, EVERY_SETTING).expect("a file");
    let sources = Sources::read(&path).expect("valid sources");
    for error in [
        sources.table(&"X.Y.Z".parse().expect("a name")).expect_err("no such table"),
        sources.topic("nothing").expect_err("no such topic"),
    ] {
        assert!(error.to_string().contains(&name), "{error}");
    }
    std::fs::remove_dir_all(&folder).expect("the folder goes");
}
