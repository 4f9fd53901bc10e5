//! A batch of binary `COPY` into Arrow arrays, column by column.
//!
//! The batch is walked once to find where every value lies; then each column is decoded in one loop that knows its type.
//! A value that the loop cannot take as it is (an infinity, a number with too many digits, bytes of another length) only
//! marks its row: [`decode`](crate::decode) judges the marked rows value by value, and says what is wrong with them.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Decimal128Array, PrimitiveArray, StringArray,
    types::{ArrowPrimitiveType, Date32Type, Int64Type, TimestampMicrosecondType},
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use sluice_core::{Cell, ColumnType, Error, Result};

use crate::{
    decode::{self, Decoded},
    frames::{self, HEADER_BYTES},
    lengths::Lengths,
    type_map::{Field, Integer, Wire},
};

/// The length that stands for NULL.
const NULL: i32 = -1;

/// Every binary `COPY` begins with this, then flags and the length of an extension, four bytes each.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const FIXED_HEADER_BYTES: usize = 19;

/// In place of a row's number of values, at the end.
const TRAILER: [u8; 2] = [0xFF, 0xFF];

/// How much of the first message is the stream's header.
pub(crate) fn header_bytes(bytes: &[u8]) -> Result<usize> {
    let message = bytes.get(HEADER_BYTES..message_bytes(bytes)?).unwrap_or_default();
    let extension = message.get(15..FIXED_HEADER_BYTES).filter(|_| message.starts_with(SIGNATURE));
    let Some(extension) = extension.and_then(|length| length.first_chunk::<4>()) else {
        return Err(Error::internal("binary COPY does not begin with its header"));
    };
    let header = FIXED_HEADER_BYTES + u32::from_be_bytes(*extension) as usize;
    if header > message.len() {
        return Err(Error::internal("the header of binary COPY is longer than its message"));
    }
    Ok(header)
}

fn message_bytes(bytes: &[u8]) -> Result<usize> {
    bytes.first_chunk().and_then(|header| frames::length(*header)).ok_or_else(malformed)
}

/// Where a value lies in the batch; NULL has the length -1.
#[derive(Clone, Copy)]
struct Place {
    start: u32,
    length: i32,
}

/// The batch's rows, taken apart.
pub(crate) struct Batch<'a> {
    bytes: &'a [u8],
    /// Of all values, row by row.
    places: Vec<Place>,
    width: usize,
    rows: usize,
    /// Set where the last column holds the lengths of rows that are too long.
    lengths: Option<&'a Lengths>,
}

/// A decoded batch. Marked rows have a placeholder in the columns and are to be judged by [`Batch::row`].
pub(crate) struct Columns {
    pub arrays: Vec<ArrayRef>,
    pub marked: Vec<usize>,
}

impl<'a> Batch<'a> {
    /// `bytes` holds `messages`, each a row: the number of its values, and each value's length and bytes. Before the
    /// first row lie `header` bytes more. With `lengths`, one more value stands behind those of the `fields` fields.
    pub(crate) fn new(
        bytes: &'a [u8],
        messages: usize,
        fields: usize,
        header: usize,
        lengths: Option<&'a Lengths>,
    ) -> Result<Self> {
        let width = fields + usize::from(lengths.is_some());
        let mut places = Vec::with_capacity(messages * width);
        let (mut at, mut skipped) = (0, header);
        for _ in 0..messages {
            let end = at + message_bytes(bytes.get(at..).unwrap_or_default())?;
            at += HEADER_BYTES + std::mem::take(&mut skipped);
            // The header may come alone.
            if at == end {
                continue;
            }
            let count = bytes.get(at..at + 2).ok_or_else(malformed)?;
            at += 2;
            if count == TRAILER && at == end {
                continue;
            }
            if usize::from(u16::from_be_bytes([count[0], count[1]])) != width {
                return Err(malformed());
            }
            for _ in 0..width {
                let length = bytes.get(at..).and_then(|rest| rest.first_chunk::<4>()).ok_or_else(malformed)?;
                let length = i32::from_be_bytes(*length);
                at += 4;
                places.push(Place { start: u32::try_from(at).map_err(|_| malformed())?, length });
                at += usize::try_from(length.max(0)).map_err(|_| malformed())?;
            }
            if at != end {
                return Err(malformed());
            }
        }
        // The end of the last message was not looked at by the walk.
        if at != bytes.len() {
            return Err(malformed());
        }
        Ok(Batch { bytes, rows: places.len() / width.max(1), places, width, lengths })
    }

    pub(crate) fn rows(&self) -> usize {
        self.rows
    }

    pub(crate) fn decode(&self, fields: &[Field]) -> Result<Columns> {
        let mut marked = Vec::new();
        let arrays = fields.iter().enumerate().map(|(at, field)| self.column(at, field, &mut marked));
        let arrays = arrays.collect::<Result<Vec<_>>>()?;
        if self.lengths.is_some() {
            let too_long = self.places(self.width - 1).enumerate().filter(|(_, place)| place.length != NULL);
            marked.extend(too_long.map(|(row, _)| row));
        }
        marked.sort_unstable();
        marked.dedup();
        Ok(Columns { arrays, marked })
    }

    /// One row's values, each judged by itself.
    pub(crate) fn row<'f>(&self, row: usize, fields: &'f [Field]) -> Result<Vec<(&'f Field, Decoded<'a>)>> {
        let places = &self.places[row * self.width..(row + 1) * self.width];
        let values = fields.iter().zip(places).map(|(field, place)| {
            let decoded = match self.value(*place) {
                None => Ok(Decoded::Fits(Cell::Null)),
                Some(bytes) => field.wire.decode(bytes).map_err(|error| error.with("column", &field.name)),
            };
            decoded.map(|decoded| (field, decoded))
        });
        let mut values = values.collect::<Result<Vec<_>>>()?;
        if let (Some(lengths), Some(last)) = (self.lengths, places.last())
            && let Some(bytes) = self.value(*last)
        {
            lengths.mark(bytes, &mut values)?;
        }
        Ok(values)
    }

    fn value(&self, place: Place) -> Option<&'a [u8]> {
        let start = place.start as usize;
        (place.length >= 0).then(|| &self.bytes[start..start + place.length as usize])
    }

    fn column(&self, at: usize, field: &Field, marked: &mut Vec<usize>) -> Result<ArrayRef> {
        Ok(match field.wire {
            Wire::Int2 => Arc::new(self.fixed::<Int64Type, 2>(at, marked, |b| Some(i16::from_be_bytes(b).into()))),
            Wire::Int4 => Arc::new(self.fixed::<Int64Type, 4>(at, marked, |b| Some(i32::from_be_bytes(b).into()))),
            Wire::Int8 => Arc::new(self.fixed::<Int64Type, 8>(at, marked, |b| Some(i64::from_be_bytes(b)))),
            Wire::Timestamp => {
                let micros = |bytes| decode::timestamp_micros(i64::from_be_bytes(bytes));
                Arc::new(self.fixed::<TimestampMicrosecondType, 8>(at, marked, micros))
            }
            Wire::Date => {
                let days = |bytes| decode::date_days(i32::from_be_bytes(bytes));
                Arc::new(self.fixed::<Date32Type, 4>(at, marked, days))
            }
            Wire::IntegerDecimal(integer, scale) => {
                let power = 10_i128.pow(scale.unsigned_abs().into());
                self.decimal(at, field, marked, |bytes| {
                    let value = match integer {
                        Integer::Two => i16::from_be_bytes(bytes.try_into().ok()?).into(),
                        Integer::Four => i32::from_be_bytes(bytes.try_into().ok()?).into(),
                        Integer::Eight => i64::from_be_bytes(bytes.try_into().ok()?),
                    };
                    i128::from(value).checked_mul(power)
                })?
            }
            Wire::Numeric(scale) => {
                self.decimal(at, field, marked, |bytes| match decode::short_numeric(bytes, scale) {
                    Some(value) => Some(value.into()),
                    None => decimal_cell(field.wire.decode(bytes)),
                })?
            }
            Wire::Float4(scale) => self.decimal(at, field, marked, |bytes| {
                match decode::plain_float(f32::from_be_bytes(bytes.try_into().ok()?), scale) {
                    Some(value) => Some(value.into()),
                    None => decimal_cell(field.wire.decode(bytes)),
                }
            })?,
            Wire::Float8(scale) => self.decimal(at, field, marked, |bytes| {
                match decode::plain_double(f64::from_be_bytes(bytes.try_into().ok()?), scale) {
                    Some(value) => Some(value.into()),
                    None => decimal_cell(field.wire.decode(bytes)),
                }
            })?,
            Wire::Text => Arc::new(self.text(at, marked)?),
            Wire::Boolean => Arc::new(self.boolean(at, marked)),
        })
    }

    fn places(&self, at: usize) -> impl Iterator<Item = Place> + '_ {
        self.places.iter().skip(at).step_by(self.width).copied()
    }

    fn fixed<T: ArrowPrimitiveType, const N: usize>(
        &self,
        at: usize,
        marked: &mut Vec<usize>,
        read: impl Fn([u8; N]) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        self.primitive(at, marked, |bytes| bytes.try_into().ok().and_then(&read))
    }

    fn decimal(
        &self,
        at: usize,
        field: &Field,
        marked: &mut Vec<usize>,
        read: impl Fn(&[u8]) -> Option<i128>,
    ) -> Result<ArrayRef> {
        let ColumnType::Decimal(precision, scale) = field.column_type else {
            return Err(Error::internal("a column that is no decimal is read as one").with("column", &field.name));
        };
        let array: Decimal128Array = self.primitive(at, marked, read);
        let typed = array.with_precision_and_scale(precision, scale);
        let typed = typed.map_err(|e| Error::config("a column's decimal type is not usable").because(e))?;
        Ok(Arc::new(typed))
    }

    fn primitive<T: ArrowPrimitiveType>(
        &self,
        at: usize,
        marked: &mut Vec<usize>,
        read: impl Fn(&[u8]) -> Option<T::Native>,
    ) -> PrimitiveArray<T> {
        let mut values = Vec::with_capacity(self.rows);
        let mut nulls = NullBufferBuilder::new(self.rows);
        for (row, place) in self.places(at).enumerate() {
            let Some(bytes) = self.value(place) else {
                values.push(T::Native::default());
                nulls.append_null();
                continue;
            };
            nulls.append_non_null();
            values.push(read(bytes).unwrap_or_else(|| {
                marked.push(row);
                T::Native::default()
            }));
        }
        PrimitiveArray::new(ScalarBuffer::from(values), nulls.finish())
    }

    fn boolean(&self, at: usize, marked: &mut Vec<usize>) -> BooleanArray {
        let mut nulls = NullBufferBuilder::new(self.rows);
        let mut values = Vec::with_capacity(self.rows);
        for (row, place) in self.places(at).enumerate() {
            nulls.append(place.length != NULL);
            values.push(match self.value(place) {
                None | Some([0]) => false,
                Some([1]) => true,
                Some(_) => {
                    marked.push(row);
                    false
                }
            });
        }
        BooleanArray::new(BooleanBuffer::from(values), nulls.finish())
    }

    fn text(&self, at: usize, marked: &mut Vec<usize>) -> Result<StringArray> {
        let bytes: usize = self.places(at).map(|place| place.length.max(0) as usize).sum();
        let mut text: Vec<u8> = Vec::with_capacity(bytes);
        let mut ends: Vec<i32> = Vec::with_capacity(self.rows + 1);
        let mut nulls = NullBufferBuilder::new(self.rows);
        ends.push(0);
        for place in self.places(at) {
            match self.value(place) {
                Some(value) => {
                    text.extend_from_slice(value);
                    nulls.append_non_null();
                }
                None => nulls.append_null(),
            }
            ends.push(i32::try_from(text.len()).map_err(|_| malformed())?);
        }
        let nulls = nulls.finish();
        let offsets = OffsetBuffer::new(ScalarBuffer::from(ends));
        // Checked as a whole; only where that fails, one by one.
        match StringArray::try_new(offsets, Buffer::from_vec(text), nulls.clone()) {
            Ok(array) => Ok(array),
            Err(_) => self.text_without_other_encodings(at, nulls, marked),
        }
    }

    fn text_without_other_encodings(
        &self,
        at: usize,
        nulls: Option<NullBuffer>,
        marked: &mut Vec<usize>,
    ) -> Result<StringArray> {
        let texts = self.places(at).enumerate().map(|(row, place)| {
            let text = std::str::from_utf8(self.value(place).unwrap_or_default());
            text.unwrap_or_else(|_| {
                marked.push(row);
                ""
            })
        });
        let (offsets, text, _) = StringArray::from_iter_values(texts).into_parts();
        StringArray::try_new(offsets, text, nulls)
            .map_err(|error| Error::internal("cannot form a column of texts").because(error))
    }
}

fn decimal_cell(decoded: Result<Decoded<'_>>) -> Option<i128> {
    match decoded {
        Ok(Decoded::Fits(Cell::Decimal(value))) => Some(value),
        // An error too: the row's own decoding raises it with the column's name.
        _ => None,
    }
}

fn malformed() -> Error {
    Error::internal("a row of binary COPY does not have its form")
}

#[cfg(test)]
mod tests;
