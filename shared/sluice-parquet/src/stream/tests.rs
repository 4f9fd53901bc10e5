use std::sync::Arc;

use arrow_array::{
    Date32Array, Decimal128Array, Int64Array, StringArray, TimestampMicrosecondArray, cast::AsArray, types::Int64Type,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_core::{Kind, Sequence, Table, extract::ExtractRequest};
use tokio::task::spawn_blocking;

use super::*;
use crate::fakes::Lake;

fn table() -> Table {
    let table = serde_json::json!({
        "table": "A.B.C", "description": "d", "source": { "kind": "currencies" }, "loader": "copy",
        "disposition": "append", "columns": [
            { "name": "id", "type": "bigint", "required": true, "minimum": 0 },
            { "name": "name", "type": "text", "one_of": ["a", "b"] },
            { "name": "price", "type": "decimal(6,2)", "minimum": 0 },
        ]
    });
    serde_json::from_value(table).unwrap()
}

fn columns(ids: impl Iterator<Item = Option<i64>>, name: Option<&str>, price: i128) -> Vec<ArrayRef> {
    let ids = Int64Array::from_iter(ids);
    let names = StringArray::from(vec![name; ids.len()]);
    let prices = Decimal128Array::from(vec![price; ids.len()]).with_precision_and_scale(6, 2).unwrap();
    vec![Arc::new(ids), Arc::new(names), Arc::new(prices)]
}

type Written = Result<((), Vec<DataFile>, Option<Rejected>)>;

/// Runs `write` on a thread of its own, as a source does.
async fn written(
    lake: &Lake,
    limit: FileLimit,
    write: impl FnOnce(BatchWriter) -> Result<()> + Send + 'static,
) -> Written {
    let request: ExtractRequest =
        serde_json::from_value(serde_json::json!({ "time": "2026-01-02T03:04:05Z", "table": "A.B.C" })).unwrap();
    let (table, run_id) = (table(), RunId("run-1".into()));
    let run = ExtractRun { request: &request, table: &table, run_id: &run_id, sequence: Sequence(7), cursor: None };
    let (mut writer, upload) = batch_writer(lake, &run).unwrap();
    writer.encoder.set_limit(limit);
    upload.during(async { spawn_blocking(move || write(writer)).await.unwrap() }).await
}

fn ids(lake: &Lake, path: &str) -> Vec<i64> {
    let body = lake.objects.borrow()[path].clone();
    let batches = ParquetRecordBatchReaderBuilder::try_new(body).unwrap().build().unwrap();
    batches.flat_map(|batch| batch.unwrap().column(0).as_primitive::<Int64Type>().values().to_vec()).collect()
}

#[tokio::test]
async fn batches_become_files_of_bounded_size_in_order() {
    let lake = Lake::default();
    let limit = FileLimit { bytes: usize::MAX, rows: 250_000 };
    let (_, files, rejected) = written(&lake, limit, |mut writer| {
        for start in (0..600_000).step_by(10_000) {
            writer.write(columns((start..start + 10_000).map(Some), Some("a"), 5), Vec::new())?;
        }
        writer.finish()
    })
    .await
    .unwrap();
    assert_eq!(rejected, None);
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [250_000, 250_000, 100_000]);
    let mut read = Vec::new();
    for (number, file) in files.iter().enumerate() {
        assert_eq!(file.path, format!("raw/A/B/C/data/run-1/part-{number:05}.parquet"));
        assert_eq!(file.bytes, lake.objects.borrow()[&file.path].len() as u64);
        assert_eq!(file.checksum, format!("checksum of {}", file.path));
        read.extend(ids(&lake, &file.path));
    }
    assert_eq!(read, (0..600_000).collect::<Vec<_>>());
}

#[tokio::test]
async fn rows_that_break_the_contract_or_fit_no_column_are_kept_in_their_order() {
    let lake = Lake::default();
    let (_, files, rejected) = written(&lake, FILE_LIMIT, |mut writer| {
        let invalid =
            RejectedRow { row: 2, original: serde_json::json!({ "id": 2, "price": "NaN" }), reason: "n".into() };
        // Row 0 is good; 1 has no id; 2 fits no column, and its placeholder is below the minimum; 3 is below it.
        writer.write(columns([Some(0), None, Some(-2), Some(-3), Some(4)].into_iter(), Some("a"), 5), vec![invalid])?;
        writer.write(columns([Some(5)].into_iter(), Some("c"), 5), Vec::new())?;
        writer.write(columns([Some(6)].into_iter(), None, 999_999), Vec::new())?;
        writer.write(columns([Some(7)].into_iter(), None, 1_000_000), Vec::new())?;
        writer.write(columns([Some(8)].into_iter(), None, -1), Vec::new())?;
        writer.finish()
    })
    .await
    .unwrap();
    assert_eq!(ids(&lake, &files[0].path), [0, 4, 6]);
    let rejected = rejected.unwrap();
    let text = zstd::decode_all(&lake.objects.borrow()[&rejected.path][..]).unwrap();
    let lines: Vec<Value> =
        std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kept: Vec<(&Value, &str)> =
        lines.iter().map(|line| (&line["row"]["id"], line["reason"].as_str().unwrap())).collect();
    assert_eq!(
        kept,
        [
            (&Value::Null, "id: is required and was null"),
            (&2.into(), "n"),
            (&(-3).into(), "id: is below 0"),
            (&5.into(), "name: is none of a, b"),
            (&7.into(), "price: does not fit decimal(6,2)"),
            (&8.into(), "price: is below 0"),
        ]
    );
    assert_eq!((rejected.rows, &lines[1]["row"]["price"]), (6, &"NaN".into()));
}

#[tokio::test]
async fn among_many_invalid_rows_each_suspect_is_judged_once_by_its_own_place() {
    let lake = Lake::default();
    let (_, files, rejected) = written(&lake, FILE_LIMIT, |mut writer| {
        // Of four rows one is good, one is invalid under a placeholder that breaks the contract, one breaks it, one is invalid.
        let invalid = (0..8_000).filter(|row| row % 2 == 1);
        let invalid =
            invalid.map(|row| RejectedRow { row, original: serde_json::json!({ "id": row }), reason: "n".into() });
        let ids = (0..8_000).map(|row| Some(if row % 4 == 1 || row % 4 == 2 { -1 - row } else { row }));
        writer.write(columns(ids, Some("a"), 5), invalid.collect())?;
        writer.finish()
    })
    .await
    .unwrap();
    assert_eq!(ids(&lake, &files[0].path), (0..8_000).step_by(4).collect::<Vec<i64>>());
    let rejected = rejected.unwrap();
    let text = zstd::decode_all(&lake.objects.borrow()[&rejected.path][..]).unwrap();
    let lines: Vec<Value> =
        std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let broken = |line: &&Value| line["reason"] == "id: is below 0";
    assert_eq!((rejected.rows, lines.iter().filter(broken).count()), (6_000, 2_000));
    let places = lines.iter().map(|line| line["row"]["id"].as_i64().unwrap());
    let places: Vec<i64> = places.map(|id| if id < 0 { -1 - id } else { id }).collect();
    assert!(places.is_sorted() && places.iter().all(|row| row % 4 != 0), "each in its place, none twice");
}

#[test]
fn a_value_that_no_warehouse_holds_is_kept_aside_and_its_neighbours_land() {
    let too_long = "x".repeat(contract::MAX_TEXT_BYTES + 1);
    let longest = "y".repeat(contract::MAX_TEXT_BYTES);
    let contract: Schema = serde_json::from_value(serde_json::json!([
        { "name": "note", "type": "text" }, { "name": "at", "type": "timestamp" }, { "name": "day", "type": "date" },
    ]))
    .unwrap();
    let notes = StringArray::from(vec![Some("a"), Some(&too_long), None, Some(&longest), Some("b")]);
    let (first, last) = (contract::FIRST_MICROS, contract::LAST_MICROS);
    let times = TimestampMicrosecondArray::from(vec![Some(first), None, Some(last + 1), Some(last), Some(0)]);
    let days = Date32Array::from(vec![Some(contract::FIRST_DAY), None, None, Some(contract::LAST_DAY), Some(i32::MAX)]);
    let columns: Vec<ArrayRef> = vec![Arc::new(notes), Arc::new(times), Arc::new(days)];
    let suspects = check::suspects(&contract, &columns).unwrap();
    assert_eq!(suspects, [1, 2, 4]);
    let rules = suspects.into_iter().map(|row| {
        let cells = check::row(&contract, &columns, row).unwrap();
        contract::check(&contract, &cells).unwrap_err().to_string()
    });
    let years = contract::CALENDAR_RULE;
    let expected = ["note: is longer than 16777216 bytes".to_owned(), format!("at: {years}"), format!("day: {years}")];
    assert_eq!(rules.collect::<Vec<_>>(), expected);
}

#[tokio::test]
async fn a_run_without_rows_makes_no_object() {
    let lake = Lake::default();
    let made = written(&lake, FILE_LIMIT, |writer| writer.finish()).await.unwrap();
    assert_eq!(made, ((), vec![], None));
    assert!(lake.objects.borrow().is_empty());
}

#[tokio::test]
async fn a_source_that_breaks_off_leaves_no_object_and_its_own_error() {
    let lake = Lake::default();
    let broken = written(&lake, FILE_LIMIT, |mut writer| {
        for start in (0..300_000).step_by(10_000) {
            writer.write(columns((start..start + 10_000).map(Some), Some("a"), 5), Vec::new())?;
        }
        Err(Error::new(Kind::Timeout, "the server went away"))
    })
    .await;
    assert_eq!(broken.unwrap_err().kind(), Kind::Timeout);
    assert!(lake.objects.borrow().is_empty());
}

#[tokio::test]
async fn a_store_that_fails_ends_the_source_and_its_error_counts() {
    for pieces in [0, 1] {
        let lake = Lake { pieces_before_failing: Some(pieces), ..Lake::default() };
        let failed = written(&lake, FILE_LIMIT, |mut writer| {
            for start in (0..100_000_000).step_by(50_000) {
                writer.write(columns((start..start + 50_000).map(Some), Some("a"), 5), Vec::new())?;
            }
            writer.finish()
        })
        .await;
        assert_eq!(failed.unwrap_err().kind(), Kind::Unavailable);
        assert!(lake.objects.borrow().is_empty());
    }
}
