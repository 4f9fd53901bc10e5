//! Whatever a column is called, it is refused or its values arrive: by COPY and by a stream, in the table that the
//! foundation has made.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use sluice_core::{
    Cell, Column, ColumnType, Commit, LakeId, RunId, Schema, Sequence, Sources, Table,
    commit::FORMAT_VERSION,
    extract::{ExtractRequest, ExtractRun},
    names,
    port::SystemClock,
};
use sluice_kafka::{Formats, KafkaEvent};
use sluice_parquet::TableWriter;
use sluice_pipeline::stream::{Invocation, Ports, Settings, Stream};
use stream_kafka::deps::TokioSleep;

use crate::{
    support::{LAKE, OneSecret, Warehouse, foundation},
    topics::Lake,
};

/// Where names are taken from: ASCII, letters whose upper case is longer, shared or elsewhere, and what has none.
const LETTERS: [&str; 6] = [
    " !\"#$%&'()*+,-./0123456789:;<=>?@[\\]^_`{|}~",
    "abcdefghijklmnopqrstuvwxyz",
    "äöüßéïœæøåłşığçñ\u{149}\u{1f0}ĸ",
    "αβγδεςστΐΰὐᾳῆҳяюєѕԁևղ",
    "ﬁﬂﬃﬓ\u{307}\u{30c}\u{345}ᏼꭰაჰⅷⓐⱥɐ𐐨𞤢",
    "中文ประเทศहिन्दीعربى🦀\u{200d}",
];

const KNOWN: [&str; 24] = [
    "größe",
    "naïve",
    "höhe",
    "strasse",
    "straße",
    "order",
    "select",
    "from",
    "it's",
    "a\"b",
    "back\\slash",
    "a.b",
    "a$b",
    "$1",
    "unit price",
    " lead",
    "lead ",
    "123",
    "loaded",
    "merged",
    "differing",
    "done",
    "true",
    "case",
];

/// Made-up names, the same ones each time.
fn made_up() -> impl Iterator<Item = String> {
    let letters: Vec<char> = LETTERS.iter().flat_map(|letters| letters.chars()).collect();
    let mut state = 20_261_128_u64;
    let mut next = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    (0..400).map(move |_| (0..=next(4)).map(|_| letters[next(letters.len())]).collect())
}

/// The columns that a contract may have of all these names, and how many it may not.
fn columns() -> (Vec<Column>, usize) {
    let (mut columns, mut refused, mut taken) = (Vec::new(), 0, BTreeSet::new());
    for name in KNOWN.into_iter().map(str::to_owned).chain(made_up()) {
        if names::refusal(&name).is_none() && taken.insert(names::fold(&name)) {
            columns.push(Column::optional(&name, ColumnType::Text));
        } else {
            refused += 1;
        }
    }
    (columns, refused)
}

/// A table that COPY fills and one that a topic fills, with these columns, whatever the judge would say of them.
fn sources(columns: &[Column]) -> Sources {
    const ENTRIES: &str = "
tables:
  - table: DLT.APPLICATION_DATA.NAMES
    description: d
    source: { kind: currencies }
    loader: copy
    disposition: append
    columns: [{ name: a, type: text }]
  - table: STREAMING.PUBLIC.NAMES
    description: d
    source: { kind: kafka, topic: names }
    loader: streaming
    disposition: append
    key: [a]
    columns: [{ name: a, type: text, required: true }]
";
    let mut sources = Sources::parse(ENTRIES).expect("valid sources");
    for table in &mut sources.tables {
        table.columns = Schema(columns.to_vec());
        table.key.clear();
    }
    sources
}

/// What each column of the table's only row holds, by the column's name.
async fn held(warehouse: &Warehouse, schema: &str, columns: &[Column]) -> Vec<String> {
    let names = columns.iter().map(|column| format!("\"{}\"", names::fold(&column.name).replace('"', "\"\"")));
    let names: Vec<String> = names.collect();
    let row = format!("SELECT unnest([{}]) FROM {schema}.NAMES", names.join(", "));
    warehouse.column(&row).await
}

#[tokio::test]
async fn a_name_is_refused_or_its_values_arrive_by_copy_and_by_stream() {
    let (columns, refused) = columns();
    assert!(columns.len() > 250 && refused > 20, "{} taken, {refused} refused", columns.len());
    let expected: Vec<String> = columns.iter().map(|column| column.name.clone()).collect();
    let sources = sources(&columns);
    let warehouse = Warehouse::empty().await;
    for statement in foundation(&sources).await {
        warehouse.run(&statement).await.expect("a statement of the foundation");
    }

    let commit = extracted(&warehouse, &sources.tables[0]).await;
    assert_eq!(warehouse.load(&commit).await.expect("a load"), "loaded");
    assert_eq!(held(&warehouse, "DLT__APPLICATION_DATA", &columns).await, expected);

    stream(&warehouse, sources, &columns).await;
    assert_eq!(held(&warehouse, "STREAMING__PUBLIC", &columns).await, expected);
}

/// A commit of one row, in which each column holds its own name.
async fn extracted(warehouse: &Warehouse, table: &Table) -> Commit {
    let time = chrono::DateTime::UNIX_EPOCH;
    let (request, run_id) = (ExtractRequest::scheduled(table.table.clone(), time), RunId("run".into()));
    let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence::FIRST, cursor: None };
    let lake = warehouse.lake();
    let mut writer = TableWriter::new(&lake, &run).expect("a writer");
    let row: Vec<Cell<'_>> = table.columns.columns().iter().map(|column| Cell::Text(&column.name)).collect();
    writer.push(&row).await.expect("a row");
    let (files, _) = writer.finish().await.expect("a file");
    let commit = serde_json::json!({
        "format_version": FORMAT_VERSION, "lake_id": LAKE, "table": table.table, "sequence": 1, "run_id": run_id,
        "loader": table.loader, "disposition": table.disposition, "key": table.key, "schema": table.columns,
        "schema_fingerprint": "", "rows": 1, "files": files, "scheduled_at": time, "committed_at": time
    });
    let commit: Commit = serde_json::from_value(commit).expect("a commit");
    assert_eq!(commit.files[0].values, vec![1; table.columns.columns().len()]);
    commit
}

/// Streams one record, in which each field holds its own name.
async fn stream(warehouse: &Warehouse, sources: Sources, columns: &[Column]) {
    let lake = Lake::default();
    let ports = Ports {
        store: lake.clone(),
        channels: warehouse.streaming(),
        formats: Formats::<OneSecret>::new(BTreeMap::new(), None),
        bus: lake.clone(),
        queue: lake.clone(),
        clock: SystemClock,
        sleep: TokioSleep,
    };
    let settings = Settings { lake_id: LakeId(LAKE.into()), cluster_id: "c".into(), announce_interval: Duration::ZERO };
    let fields = columns.iter().map(|column| (column.name.clone(), column.name.clone().into()));
    let value = serde_json::Value::Object(fields.collect()).to_string();
    let record = serde_json::json!({"topic": "names", "partition": 0, "offset": 0, "timestamp": 0,
        "timestampType": "CREATE_TIME", "value": STANDARD.encode(value), "headers": []});
    let event = serde_json::json!({"eventSource": "SelfManagedKafka", "bootstrapServers": "b:9092",
        "records": {"names-0": [record]}});
    let batches =
        KafkaEvent::parse(&event.to_string()).and_then(KafkaEvent::into_partitions).expect("readable records");
    let deadline = chrono::Utc::now() + chrono::TimeDelta::seconds(60);
    let invocation = Invocation { run_id: RunId("run".into()), deadline };
    let report = Stream::new(ports, sources, settings).process(&batches, &invocation).await.expect("processed");
    assert!(report.failed.is_empty(), "{:?}", report.failed);
}

#[tokio::test]
async fn the_warehouse_refuses_what_the_rule_of_names_keeps_from_it() {
    let warehouse = Warehouse::founded().await;
    for name in ["current_date", "localtime", "current_user"] {
        assert!(names::refusal(name).is_some(), "{name}");
        let sources = sources(&[Column::optional(name, ColumnType::Text)]);
        let create = foundation(&sources).await;
        let create = create.iter().find(|statement| statement.contains("APPLICATION_DATA.NAMES (")).expect("a table");
        assert!(warehouse.run(create).await.is_err(), "{name} became a column");
        let add = format!(
            "ALTER TABLE DLT.APPLICATION_DATA.PRODUCTS ADD COLUMN IF NOT EXISTS \"{}\" VARCHAR",
            names::fold(name)
        );
        assert!(warehouse.run(&add).await.is_err(), "{name} was added");
    }
}
