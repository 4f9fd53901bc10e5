pub(crate) mod editors;

use std::fmt::Write;

use super::*;

mod mistakes;

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
    monitors:
      off: [schema]
      freshness_minutes: 90
      event_time: at
      event_to_report_minutes: 240
      volume_change_percent: 20
      minimum_rows_per_day: 5
      maximum_rows_per_day: 5000
      null_columns: [price]
      null_change_points: 2
      distribution_columns: [price]
      late_hours: 24
      late_percent: 5
      rejected_percent: 1
    columns:
      - { name: id, type: bigint, required: true, description: Number. }
      - { name: at, type: timestamp, required: true }
      - { name: price, source_name: "Unit Price", type: "decimal(18,4)", minimum: 0, maximum: 9000000, contract: freeze, pii: true }
      - { name: state, type: text, one_of: [open, paid] }
  - table: STREAMING.A.B
    description: One row per event.
    source: { kind: kafka, topic: orders, format: avro, partitions: 6, retention_hours: 168, compaction: true }
    loader: streaming
    disposition: append
    key: [event_id]
    monitors: { lag_minutes: 10 }
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

/// Some problem of the file is told so.
fn tells(yaml: &str, told: &str) {
    let found = problems(yaml);
    assert!(found.iter().any(|line| line.contains(told)), "{told} is not told: {found:#?}");
}

/// The file has one problem, which is told so.
fn tells_only(yaml: &str, told: &str) {
    let found = problems(yaml);
    assert!(found.len() == 1 && found[0].contains(told), "{told} is not all that is told: {found:#?}");
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
        let tree = crate::yaml::parse(text).root.expect("YAML").value.to_json();
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
         key, version_column, contract, monitors, columns",
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
        tells_only(&second(topic), &format!("platform/sources.yaml:60:35: {told}"));
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
        match refused {
            None => assert_eq!(problems(&yaml), [""; 0], "{source}, {disposition}"),
            Some(part) => tells_only(&yaml, part),
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
        tells(text, told);
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
