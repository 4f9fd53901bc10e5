//! Which columns are written with a dictionary.
//!
//! A dictionary makes a column of few values small, and quick to compress; on a column of values that never come again it
//! costs its hashing and makes the column larger. The first rows tell: where values come again within them, a dictionary
//! over a row group, which is many times longer, holds much fewer values than rows.

use std::{
    collections::HashSet,
    hash::{BuildHasher, RandomState},
};

use arrow_array::{
    Array, ArrayRef, RecordBatch,
    cast::AsArray,
    types::{Date32Type, Decimal128Type, Int64Type, TimestampMicrosecondType},
};

/// How many rows are looked at.
pub(crate) const SAMPLE_ROWS: usize = 32 * 1024;

/// Or how many bytes of them.
pub(crate) const SAMPLE_BYTES: usize = 4 * 1024 * 1024;

/// Of a hundred values of the sample, at least this many must be repeated. A table of 100,000 products, each equally often named,
/// repeats fifteen; one of 300,000, five, and there a dictionary no longer makes a difference. A sample of fewer and longer rows repeats less, so it takes fewer
/// dictionaries.
const REPEATED_PERCENT: usize = 8;

/// The decision for each column of the batches.
pub(crate) fn columns_with_dictionary(sample: &[RecordBatch]) -> Vec<bool> {
    let width = sample.first().map_or(0, RecordBatch::num_columns);
    (0..width).map(|at| pays(sample.iter().map(|batch| batch.column(at)))).collect()
}

fn pays<'a>(arrays: impl Iterator<Item = &'a ArrayRef>) -> bool {
    let hashing = RandomState::new();
    let mut seen = HashSet::with_capacity(SAMPLE_ROWS);
    let mut values = 0;
    for array in arrays {
        // A null is no value, and costs nothing either way.
        values += array.len() - array.null_count();
        if let Some(texts) = array.as_string_opt::<i32>() {
            seen.extend(texts.iter().flatten().map(|text| hashing.hash_one(text)));
        } else if let Some(numbers) = array.as_primitive_opt::<Int64Type>() {
            seen.extend(numbers.iter().flatten().map(|number| hashing.hash_one(number)));
        } else if let Some(numbers) = array.as_primitive_opt::<Decimal128Type>() {
            seen.extend(numbers.iter().flatten().map(|number| hashing.hash_one(number)));
        } else if let Some(times) = array.as_primitive_opt::<TimestampMicrosecondType>() {
            seen.extend(times.iter().flatten().map(|time| hashing.hash_one(time)));
        } else if let Some(days) = array.as_primitive_opt::<Date32Type>() {
            seen.extend(days.iter().flatten().map(|day| hashing.hash_one(day)));
        } else {
            return false;
        }
    }
    (values - seen.len()) * 100 >= values * REPEATED_PERCENT
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow_array::{Int64Array, StringArray};
    use arrow_schema::{DataType, Field, Schema};

    use super::*;

    #[test]
    fn values_that_come_again_are_worth_a_dictionary_and_unique_ones_are_not() {
        let schema = Schema::new(vec![
            Field::new("unique", DataType::Int64, true),
            Field::new("few", DataType::Utf8, true),
            Field::new("many", DataType::Int64, true),
            Field::new("unique_text", DataType::Utf8, true),
            Field::new("null", DataType::Int64, true),
            Field::new("unique_or_null", DataType::Utf8, true),
        ]);
        let rows = SAMPLE_ROWS as i64;
        // Numbers below 100,000 as chance would have them, the same every time.
        let many = |i: i64| {
            let mixed = (i as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15);
            let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
            ((mixed ^ (mixed >> 27)) % 100_000) as i64
        };
        let batch = RecordBatch::try_new(
            Arc::new(schema),
            vec![
                Arc::new(Int64Array::from_iter_values(0..rows)),
                Arc::new(StringArray::from_iter_values((0..rows).map(|i| ["a", "b", "c"][i as usize % 3]))),
                Arc::new(Int64Array::from_iter_values((0..rows).map(many))),
                Arc::new(StringArray::from_iter_values((0..rows).map(|i| format!("text {i}")))),
                Arc::new(Int64Array::from(vec![None; rows as usize])),
                Arc::new(StringArray::from_iter((0..rows).map(|i| (i % 3 > 0).then(|| format!("text {i}"))))),
            ],
        )
        .unwrap();
        assert_eq!(columns_with_dictionary(&[batch]), [false, true, true, false, true, false]);
    }
}
