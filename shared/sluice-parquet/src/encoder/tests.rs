use std::sync::Arc;

use arrow_array::{Array, ArrayRef, Int64Array, StringArray};
use arrow_schema::{Field, Schema};
use arrow_select::concat::concat_batches;
use parquet::{
    arrow::arrow_reader::ParquetRecordBatchReaderBuilder,
    basic::Encoding,
    file::{metadata::RowGroupMetaData, statistics::Statistics},
};

use super::*;

const UNLIMITED: FileLimit = FileLimit { bytes: usize::MAX, rows: u64::MAX };

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    let field = |(name, array): &(&str, ArrayRef)| Field::new(*name, array.data_type().clone(), name.ends_with('?'));
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>());
    RecordBatch::try_new(Arc::new(schema), columns.into_iter().map(|(_, array)| array).collect()).unwrap()
}

/// Encodes the batches into one file and reads it.
fn written(batches: &[RecordBatch]) -> (RecordBatch, Vec<RowGroupMetaData>) {
    let mut encoder = FileEncoder::new(batches[0].schema(), UNLIMITED);
    let mut pieces = Vec::new();
    batches.iter().try_for_each(|batch| encoder.write(batch.clone(), &mut pieces)).unwrap();
    encoder.finish(&mut pieces).unwrap();
    let mut file = Vec::new();
    for piece in pieces {
        match piece {
            Piece::Bytes(bytes) => file.extend_from_slice(&bytes),
            Piece::End(counts) => {
                let sum = |count: &dyn Fn(&RecordBatch) -> usize| batches.iter().map(|b| count(b) as u64).sum::<u64>();
                assert_eq!(counts.rows, sum(&RecordBatch::num_rows));
                for (at, values) in counts.values.into_iter().enumerate() {
                    assert_eq!(values, sum(&|batch| batch.num_rows() - batch.column(at).null_count()), "column {at}");
                }
            }
        }
    }
    let reader = ParquetRecordBatchReaderBuilder::try_new(Bytes::from(file)).unwrap();
    let groups = reader.metadata().row_groups().to_vec();
    let read: Vec<RecordBatch> = reader.with_batch_size(10_000).build().unwrap().map(Result::unwrap).collect();
    (concat_batches(&read[0].schema(), &read).unwrap(), groups)
}

fn has_dictionary(group: &RowGroupMetaData, column: usize) -> bool {
    group.column(column).encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY)
}

#[test]
fn columns_read_back_over_many_pages_and_row_groups() {
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let batches: Vec<RecordBatch> = (0..70)
        .map(|at| {
            let rows = 10_000 - at;
            // Now and then a stretch of one value, or of none.
            let mut texts: Vec<Option<String>> = Vec::new();
            while texts.len() < rows {
                let times = if random.u8(..4) == 0 { random.usize(1..900) } else { 1 };
                let text = (random.u8(..5) > 0).then(|| format!("article {}", random.u32(..20_000)));
                texts.extend(std::iter::repeat_n(text, times.min(rows - texts.len())));
            }
            batch(vec![
                ("number", Arc::new(Int64Array::from_iter_values((0..rows as i64).map(|row| row % 100)))),
                ("sparse?", Arc::new(StringArray::from(texts))),
                ("few", Arc::new(StringArray::from_iter_values((0..rows).map(|row| ["", "a", "ü"][row % 3])))),
                ("one", Arc::new(StringArray::from(vec!["run-1"; rows]))),
                ("none?", Arc::new(StringArray::from(vec![None::<&str>; rows]))),
                ("unique", Arc::new(StringArray::from_iter_values((0..rows).map(|row| format!("{at}-{row}"))))),
            ])
        })
        .collect();
    let (read, groups) = written(&batches);
    let wanted = concat_batches(&batches[0].schema(), &batches).unwrap();
    for (read, wanted) in read.columns().iter().zip(wanted.columns()) {
        assert_eq!(read, wanted);
    }
    assert_eq!(groups.iter().map(RowGroupMetaData::num_rows).max(), Some(ROW_GROUP_ROWS as i64));
    assert!(groups.len() > 1);
    for group in &groups {
        let dictionaries: Vec<bool> = (0..6).map(|column| has_dictionary(group, column)).collect();
        assert_eq!(dictionaries, [true, true, true, true, true, false]);
    }
}

#[test]
fn the_extremes_and_nulls_of_a_text_column_are_told() {
    let texts = [Some("pear"), None, Some("apple"), Some("pear"), Some("zebra"), None, Some("apple"), Some("pear")];
    let long = "z".repeat(100);
    let (_, groups) = written(&[batch(vec![
        ("short?", Arc::new(StringArray::from(texts.repeat(10)))),
        ("long?", Arc::new(StringArray::from([Some("a"), Some(&*long), None, None].repeat(20)))),
    ])]);
    let told = |column: usize| match groups[0].column(column).statistics() {
        Some(Statistics::ByteArray(told)) => {
            let text = |bytes: Option<&[u8]>| bytes.map(|bytes| String::from_utf8(bytes.to_vec()).unwrap());
            (text(told.min_bytes_opt()), text(told.max_bytes_opt()), told.null_count_opt())
        }
        other => panic!("no statistics of texts: {other:?}"),
    };
    assert_eq!(told(0), (Some("apple".to_owned()), Some("zebra".to_owned()), Some(20)));
    assert_eq!(told(1), (None, None, Some(40)), "a long text is no good as an extreme");
}

#[test]
fn a_dictionary_that_grows_large_ends_its_row_group() {
    // Every text comes twice, so the column has a dictionary; together they are 18 MiB.
    let length = 18 * 1024 * 1024 / 20_000;
    let texts = (0..40_000).map(|row| format!("{:0length$}", row / 2));
    let texts = StringArray::from_iter_values(texts);
    let whole = batch(vec![("text", Arc::new(texts))]);
    let batches: Vec<RecordBatch> = (0..40).map(|at| whole.slice(at * 1_000, 1_000)).collect();
    let (read, groups) = written(&batches);
    assert_eq!(read.column(0), whole.column(0));
    assert!(groups.len() > 1, "one row group");
    assert!(groups.iter().all(|group| has_dictionary(group, 0)));
    assert!(groups.iter().all(|group| group.total_byte_size() < 12 * 1024 * 1024), "what a dictionary may take");
}

#[test]
fn columns_that_are_large_together_end_their_row_group() {
    // Three dictionaries of 5 MiB, none of which is large alone.
    let length = 5 * 1024 * 1024 / 5_000;
    let texts = |of: usize| StringArray::from_iter_values((0..20_000).map(|row| format!("{:0length$}", row / 4 + of)));
    let whole =
        batch(vec![("a", Arc::new(texts(0)) as ArrayRef), ("b", Arc::new(texts(1))), ("c", Arc::new(texts(2)))]);
    let batches: Vec<RecordBatch> = (0..20).map(|at| whole.slice(at * 1_000, 1_000)).collect();
    let (read, groups) = written(&batches);
    assert_eq!(read.columns(), whole.columns());
    assert!(groups.len() > 1, "one row group");
    // And a column that has no dictionary, of 20 MiB that do not compress.
    let mut random = fastrand::Rng::with_seed(20_261_123);
    let texts = (0..20_000).map(|_| (0..1_024).map(|_| random.alphanumeric()).collect::<String>());
    let whole = batch(vec![("unique", Arc::new(StringArray::from_iter_values(texts)) as ArrayRef)]);
    let batches: Vec<RecordBatch> = (0..20).map(|at| whole.slice(at * 1_000, 1_000)).collect();
    let (read, groups) = written(&batches);
    assert_eq!(read.columns(), whole.columns());
    assert!(groups.len() > 1 && !has_dictionary(&groups[0], 0), "one row group, or a dictionary");
}

#[test]
fn a_page_may_hold_no_text_though_the_column_has_some() {
    let texts = ["a", "b"].repeat(500).into_iter().map(Some).chain(vec![None; 70_000]).chain([Some("c")]);
    let whole = batch(vec![("text?", Arc::new(StringArray::from_iter(texts)))]);
    let (read, groups) = written(std::slice::from_ref(&whole));
    assert_eq!(read.column(0), whole.column(0));
    assert!(has_dictionary(&groups[0], 0));
}
