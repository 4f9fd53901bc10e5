use arrow_array::{
    Array, BooleanArray, Date32Array, Decimal128Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use sluice_core::{Sequence, Table, extract::ExtractRequest};

use super::*;
use crate::{fakes::Lake, row_group::ROW_GROUP_ROWS};

impl Lake {
    fn keys(&self) -> Vec<String> {
        self.objects.borrow().keys().cloned().collect()
    }

    fn parquet(&self, key: &str) -> (Vec<RecordBatch>, usize) {
        let body = self.objects.borrow()[key].clone();
        let reader = ParquetRecordBatchReaderBuilder::try_new(body).unwrap();
        let row_groups = reader.metadata().num_row_groups();
        (reader.build().unwrap().map(Result::unwrap).collect(), row_groups)
    }

    fn ndjson(&self, key: &str) -> Vec<Value> {
        let text = zstd::decode_all(&self.objects.borrow()[key][..]).unwrap();
        std::str::from_utf8(&text).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

fn table(loader: &str) -> Table {
    let table = serde_json::json!({
        "table": "A.B.C", "description": "d", "source": { "kind": "currencies" }, "loader": loader,
        "disposition": "append", "columns": [
            { "name": "id", "type": "bigint", "required": true },
            { "name": "name", "type": "text", "one_of": ["a", "b", "Ünï"] },
            { "name": "price", "type": "decimal(18,4)", "minimum": 0 },
            { "name": "at", "type": "timestamp" },
            { "name": "day", "type": "date" },
            { "name": "on", "type": "boolean" },
        ]
    });
    serde_json::from_value(table).unwrap()
}

/// Runs `body` with a writer for `table` and returns what the writer made.
async fn written(
    lake: &Lake,
    table: &Table,
    limit: FileLimit,
    body: impl AsyncFnOnce(&mut TableWriter<'_, Lake>) -> Result<()>,
) -> Result<(Vec<DataFile>, Option<Rejected>)> {
    let request: ExtractRequest =
        serde_json::from_value(serde_json::json!({ "time": "2026-01-02T03:04:05Z", "table": "A.B.C" })).unwrap();
    let run_id = RunId("run-1".into());
    let run = ExtractRun { request: &request, table, run_id: &run_id, sequence: Sequence(7), cursor: None };
    let mut writer = TableWriter::new(lake, &run)?;
    writer.encoder.set_limit(limit);
    body(&mut writer).await?;
    writer.finish().await
}

fn row(id: i64) -> [Cell<'static>; 6] {
    [Cell::Bigint(id), Cell::Text("a"), Cell::Decimal(1), Cell::Null, Cell::Null, Cell::Null]
}

#[tokio::test]
async fn rows_read_back_as_they_were_written() {
    let lake = Lake::default();
    let largest = 10_i128.pow(18) - 1;
    let (files, rejected) = written(&lake, &table("copy"), FILE_LIMIT, async |writer| {
        let full = [Cell::Text("Ünï"), Cell::Decimal(largest), Cell::Timestamp(-1), Cell::Date(20_000)];
        writer.push(&[Cell::Bigint(i64::MIN), full[0], full[1], full[2], full[3], Cell::Boolean(true)]).await?;
        writer.push(&[Cell::Bigint(2), Cell::Null, Cell::Null, Cell::Null, Cell::Null, Cell::Null]).await
    })
    .await
    .unwrap();

    assert_eq!(rejected, None);
    let [file] = &files[..] else { panic!("one file, not {files:?}") };
    assert_eq!(file.path, "raw/A/B/C/data/run-1/part-00000.parquet");
    assert_eq!((file.rows, file.bytes), (2, lake.objects.borrow()[&file.path].len() as u64));
    assert_eq!(file.checksum, format!("checksum of {}", file.path));

    let (batches, _) = lake.parquet(&file.path);
    let [batch] = &batches[..] else { panic!("one batch") };
    let names: Vec<&str> = batch.schema_ref().fields().iter().map(|field| field.name().as_str()).collect();
    assert_eq!(names, ["ID", "NAME", "PRICE", "AT", "DAY", "ON"]);
    assert_eq!(file.values, [2, 1, 1, 1, 1, 1]);
    assert_same(batch.column(0), &Int64Array::from(vec![i64::MIN, 2]));
    assert_same(batch.column(1), &StringArray::from(vec![Some("Ünï"), None]));
    let prices = Decimal128Array::from(vec![Some(largest), None]).with_precision_and_scale(18, 4).unwrap();
    assert_same(batch.column(2), &prices);
    assert_same(batch.column(3), &TimestampMicrosecondArray::from(vec![Some(-1), None]));
    assert_same(batch.column(4), &Date32Array::from(vec![Some(20_000), None]));
    assert_same(batch.column(5), &BooleanArray::from(vec![Some(true), None]));
}

#[tokio::test]
async fn a_row_that_breaks_the_contract_is_kept_with_its_reason() {
    let lake = Lake::default();
    let (files, rejected) = written(&lake, &table("copy"), FILE_LIMIT, async |writer| {
        writer.push(&row(1)).await?;
        writer.push(&[Cell::Bigint(2), Cell::Text("c"), Cell::Null, Cell::Null, Cell::Null, Cell::Null]).await?;
        writer.push(&[Cell::Bigint(3), Cell::Null, Cell::Decimal(-10_000), Cell::Null, Cell::Null, Cell::Null]).await?;
        writer.reject(&serde_json::json!({ "id": "x" }), "id: is no number").await
    })
    .await
    .unwrap();

    assert_eq!(files.iter().map(|file| file.rows).sum::<u64>(), 1);
    let rejected = rejected.unwrap();
    assert_eq!(rejected, Rejected::one(3, "rejected/A/B/C/run-1.ndjson.zst".into()));
    let lines = lake.ndjson(&rejected.path);
    let reasons: Vec<&str> = lines.iter().map(|line| line["reason"].as_str().unwrap()).collect();
    assert_eq!(reasons, ["name: is none of a, b, Ünï", "price: is below 0", "id: is no number"]);
    assert_eq!(lines[1]["row"]["price"], "-1.0000");
    assert_eq!(lines[2]["row"], serde_json::json!({ "id": "x" }));
    assert!(lines.iter().all(|line| line["rejected_at"] == "2026-01-02T03:04:05Z"));
}

#[tokio::test]
async fn an_empty_run_makes_no_object() {
    let lake = Lake::default();
    let made = written(&lake, &table("copy"), FILE_LIMIT, async |_| Ok(())).await.unwrap();
    assert_eq!(made, (vec![], None));
    assert!(lake.keys().is_empty());
}

#[tokio::test]
async fn a_run_of_rejects_only_makes_no_data_file() {
    let lake = Lake::default();
    let (files, rejected) =
        written(&lake, &table("copy"), FILE_LIMIT, async |writer| writer.push(&[Cell::Null; 6]).await).await.unwrap();
    assert!(files.is_empty());
    assert_eq!(lake.keys(), [rejected.unwrap().path]);
}

#[tokio::test]
async fn a_full_part_is_put_and_the_next_one_begun() {
    for limit in [FileLimit { bytes: usize::MAX, rows: 8_192 }, FileLimit { bytes: 1, rows: u64::MAX }] {
        let lake = Lake::default();
        let (files, _) = written(&lake, &table("copy"), limit, async |writer| {
            for id in 0..20_000 {
                writer.push(&row(id)).await?;
            }
            Ok(())
        })
        .await
        .unwrap();
        assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [8_192, 8_192, 3_616], "{limit:?}");
        let paths: Vec<String> = files.iter().map(|file| file.path.clone()).collect();
        assert_eq!(paths, (0..3).map(|n| format!("raw/A/B/C/data/run-1/part-{n:05}.parquet")).collect::<Vec<_>>());
        assert_eq!(lake.keys(), paths);
        let ids: Vec<i64> = paths
            .iter()
            .flat_map(|path| lake.parquet(path).0)
            .flat_map(|batch| {
                batch
                    .column(0)
                    .as_any()
                    .downcast_ref::<Int64Array>()
                    .unwrap()
                    .values()
                    .iter()
                    .copied()
                    .collect::<Vec<_>>()
            })
            .collect();
        assert_eq!(ids, (0..20_000).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn row_groups_are_bounded() {
    let lake = Lake::default();
    let (files, _) = written(&lake, &table("copy"), FILE_LIMIT, async |writer| {
        for id in 0..ROW_GROUP_ROWS as i64 + 1 {
            writer.push(&row(id)).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(lake.parquet(&files[0].path).1, 2);
}

#[tokio::test]
async fn a_batch_of_long_texts_is_encoded_by_its_bytes() {
    let lake = Lake::default();
    let mut table = table("copy");
    table.columns.0[1].one_of.clear();
    let long = "x".repeat(5 * 1024 * 1024);
    let (files, _) = written(&lake, &table, FileLimit { bytes: 1, rows: u64::MAX }, async |writer| {
        for id in 0..3 {
            let [id, _, rest @ ..] = row(id);
            writer.push(&[id, Cell::Text(&long), rest[0], rest[1], rest[2], rest[3]]).await?;
        }
        Ok(())
    })
    .await
    .unwrap();
    assert_eq!(files.iter().map(|file| file.rows).collect::<Vec<_>>(), [1, 1, 1]);
}

#[tokio::test]
async fn files_for_snowpipe_carry_run_and_sequence() {
    let lake = Lake::default();
    let (files, _) = written(&lake, &table("snowpipe"), FILE_LIMIT, async |writer| {
        writer.push(&row(1)).await?;
        writer.push(&row(2)).await
    })
    .await
    .unwrap();
    let (batches, _) = lake.parquet(&files[0].path);
    let column = |name| batches[0].column_by_name(name).unwrap().clone();
    assert_same(&column("_SLUICE_RUN_ID"), &StringArray::from(vec!["run-1", "run-1"]));
    assert_same(&column("_SLUICE_SEQUENCE"), &Int64Array::from(vec![7, 7]));
}

#[tokio::test]
async fn a_row_of_the_wrong_width_is_an_error_and_not_a_reject() {
    let lake = Lake::default();
    let error = written(&lake, &table("copy"), FILE_LIMIT, async |writer| writer.push(&[Cell::Null]).await).await;
    assert!(error.unwrap_err().to_string().contains("number of cells"));
    assert!(lake.keys().is_empty());
}

fn assert_same(actual: &dyn Array, expected: &dyn Array) {
    assert_eq!(actual.to_data(), expected.to_data());
}
