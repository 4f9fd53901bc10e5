//! Record batches as Kafka keeps them, version 2 of its format: every record, whatever its headers and its time are.

use std::io::Read;

use anyhow::{Context, Result, bail};

use crate::kafka_poller::wire::Fields;

/// What a batch may hold once it is unpacked. Kafka's own limit for a message is far below.
const MOST_UNPACKED_BYTES: u64 = 64 << 20;

/// The one format that is read.
const FORMAT: u8 = 2;
/// Before the format, and from there to the last offset: format, checksum, attributes.
const EPOCH_BYTES: usize = 4;
const FORMAT_TO_LAST_BYTES: usize = 1 + 4 + 2;

/// One record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub offset: i64,
    /// Any number that a producer has given, in milliseconds.
    pub timestamp: i64,
    /// Whether the broker gave the timestamp when it appended the record.
    pub is_append_time: bool,
    pub key: Option<Vec<u8>>,
    pub value: Option<Vec<u8>>,
    /// In the order of the record; names may repeat.
    pub headers: Headers,
}

/// What a fetch has brought.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Batches {
    pub records: Vec<Record>,
    /// The first offset that no whole batch has reached.
    pub next: i64,
    pub unreadable: Vec<Unreadable>,
}

/// Records that are left out, because nobody could read them.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Unreadable {
    pub first: i64,
    pub last: i64,
    pub reason: String,
}

/// Reads batches, of which the last may be cut off. Records before `from` are left out: a broker gives whole batches.
pub(crate) fn read(bytes: &[u8], from: i64) -> Result<Batches> {
    let mut fields = Fields(bytes);
    let mut batches = Batches { next: from, ..Batches::default() };
    while !fields.0.is_empty() {
        let mut ahead = Fields(fields.0);
        let whole = ahead.i64().and_then(|base| Ok((base, ahead.i32()?)));
        let Ok((base, length)) = whole else { break };
        let length = usize::try_from(length).context("a batch has a negative length")?;
        let Ok(body) = ahead.take(length) else { break };
        fields = ahead;
        // Of an earlier format nothing is read but where it lies.
        let last = match body.get(EPOCH_BYTES) {
            Some(&FORMAT) => {
                let count = body.get(EPOCH_BYTES + FORMAT_TO_LAST_BYTES..).unwrap_or_default();
                base.saturating_add(Fields(count).i32().context("a batch is shorter than its header")?.into())
            }
            _ => base,
        };
        if let Err(error) = read_batch(base, body, from, &mut batches) {
            batches.records.retain(|record| record.offset < base);
            batches.unreadable.push(Unreadable { first: base.max(from), last, reason: format!("{error:#}") });
        }
        batches.next = batches.next.max(last.saturating_add(1));
    }
    Ok(batches)
}

fn read_batch(base: i64, body: &[u8], from: i64, batches: &mut Batches) -> Result<()> {
    const APPEND_TIME: i16 = 1 << 3;
    const CONTROL: i16 = 1 << 5;

    let mut fields = Fields(body);
    let (_, [format], _) = (fields.i32()?, fields.array()?, fields.i32()?);
    if format != FORMAT {
        bail!("the batch is of format {format}, not {FORMAT}");
    }
    let (attributes, _) = (fields.i16()?, fields.i32()?);
    let (first_time, append_time) = (fields.i64()?, fields.i64()?);
    let (_, _, _) = (fields.i64()?, fields.i16()?, fields.i32()?);
    let count = fields.i32()?;
    // Written by the broker about transactions, for no consumer.
    if attributes & CONTROL != 0 {
        return Ok(());
    }
    let is_append_time = attributes & APPEND_TIME != 0;
    let unpacked = unpack(attributes & 7, fields.0)?;
    let mut fields = Fields(&unpacked);
    for _ in 0..count {
        let length = usize::try_from(varint(&mut fields)?).context("a record has a negative length")?;
        let mut record = Fields(fields.take(length)?);
        let (_, time, offset) = (record.i8()?, varint(&mut record)?, base.saturating_add(varint(&mut record)?));
        let timestamp = if is_append_time { append_time } else { first_time.wrapping_add(time) };
        match read_content(&mut record) {
            _ if offset < from => {}
            Ok((key, value, headers)) => {
                batches.records.push(Record { offset, timestamp, is_append_time, key, value, headers });
            }
            Err(error) => {
                batches.unreadable.push(Unreadable { first: offset, last: offset, reason: format!("{error:#}") });
            }
        }
    }
    Ok(())
}

type Headers = Vec<(String, Option<Vec<u8>>)>;
/// A record's key, value and headers.
type Parts = (Option<Vec<u8>>, Option<Vec<u8>>, Headers);

fn read_content(record: &mut Fields<'_>) -> Result<Parts> {
    let (key, value) = (sized(record)?, sized(record)?);
    let mut headers = Headers::new();
    for _ in 0..varint(record)? {
        let name = sized(record)?.context("a header has no name")?;
        headers.push((String::from_utf8_lossy(&name).into_owned(), sized(record)?));
    }
    Ok((key, value, headers))
}

fn unpack(codec: i16, packed: &[u8]) -> Result<Vec<u8>> {
    match codec {
        0 => Ok(packed.to_vec()),
        1 => bounded(flate2::read::MultiGzDecoder::new(packed)),
        2 => unpack_snappy(packed),
        3 => bounded(lz4::Decoder::new(packed)?),
        4 => bounded(zstd::stream::read::Decoder::new(packed)?),
        other => bail!("the batch is packed by a method that Kafka does not number: {other}"),
    }
}

fn bounded(reader: impl Read) -> Result<Vec<u8>> {
    let mut unpacked = Vec::new();
    reader.take(MOST_UNPACKED_BYTES + 1).read_to_end(&mut unpacked).context("the batch does not unpack")?;
    if unpacked.len() as u64 > MOST_UNPACKED_BYTES {
        bail!("the batch unpacks to more than {MOST_UNPACKED_BYTES} bytes");
    }
    Ok(unpacked)
}

/// One block, or as Java's clients write it: a header, then blocks with their lengths.
fn unpack_snappy(packed: &[u8]) -> Result<Vec<u8>> {
    const JAVA: &[u8] = b"\x82SNAPPY\0";
    const VERSIONS: usize = 8;

    let mut unpacked = Vec::new();
    let mut add = |block: &[u8]| -> Result<()> {
        let length = snap::raw::decompress_len(block)?;
        if (unpacked.len() + length) as u64 > MOST_UNPACKED_BYTES {
            bail!("the batch unpacks to more than {MOST_UNPACKED_BYTES} bytes");
        }
        unpacked.extend(snap::raw::Decoder::new().decompress_vec(block).context("the batch does not unpack")?);
        Ok(())
    };
    match packed.strip_prefix(JAVA) {
        None => add(packed)?,
        Some(rest) => {
            let mut blocks = Fields(rest.get(VERSIONS..).unwrap_or_default());
            while !blocks.0.is_empty() {
                let length = usize::try_from(blocks.i32()?).context("a block has a negative length")?;
                add(blocks.take(length)?)?;
            }
        }
    }
    Ok(unpacked)
}

/// A length and as many bytes; a negative length stands for none.
fn sized(fields: &mut Fields<'_>) -> Result<Option<Vec<u8>>> {
    let length = varint(fields)?;
    if length < 0 {
        return Ok(None);
    }
    Ok(Some(fields.take(usize::try_from(length)?)?.to_vec()))
}

/// Seven bits a byte, the lowest first; the lowest of all is the sign.
fn varint(fields: &mut Fields<'_>) -> Result<i64> {
    let mut bits = 0_u64;
    for shift in (0..64).step_by(7) {
        let [byte] = fields.array()?;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed());
        }
    }
    bail!("a number is longer than Kafka writes one")
}

#[cfg(test)]
mod tests;
