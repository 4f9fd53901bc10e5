//! One text column of a row group, written with a dictionary.
//!
//! The parquet crate would write the same pages, but looks texts up one by one: on a column of many values that was a third
//! of the encoding thread's time. What is ours is the [interner](crate::interner) and the values of the pages; their headers,
//! their places and the file around them are the crate's.

use std::iter::once;

use arrow_array::{Array, StringArray};
use bytes::Bytes;
use parquet::{
    basic::{Compression, Encoding, PageType},
    column::{
        page::{CompressedPage, Page, PageWriter},
        writer::ColumnCloseResult,
    },
    data_type::ByteArray,
    errors::Result as ParquetResult,
    file::{
        metadata::ColumnChunkMetaData,
        statistics::{Statistics, ValueStatistics},
        writer::{SerializedPageWriter, TrackedWrite},
    },
    schema::types::ColumnDescPtr,
};
use sluice_core::{Error, Result};
use zstd::bulk::Compressor;

use crate::{error::failed, hybrid, interner::Interner};

/// Rows of a page.
const PAGE_ROWS: usize = 32 * 1024;

/// Extremes are told if none is longer: cutting them would need others that are no texts of the column.
const STATISTIC_BYTES: usize = 64;

pub(crate) struct TextChunk {
    descriptor: ColumnDescPtr,
    compression: Compression,
    compressor: Compressor<'static>,
    interner: Interner,
    /// Of the page under way: one for each row with a text and zero for one without; and the indices of those with one.
    levels: Vec<u32>,
    indices: Vec<u32>,
    pages: Vec<CompressedPage>,
    rows: u64,
    nulls: u64,
}

/// A column chunk and what is to be said about it.
pub(crate) struct ClosedChunk {
    pub bytes: Bytes,
    pub close: ColumnCloseResult,
}

impl TextChunk {
    pub(crate) fn new(descriptor: ColumnDescPtr, compression: Compression) -> Result<Self> {
        let Compression::ZSTD(level) = compression else {
            return Err(Error::unsupported(format!("texts are compressed by zstd, not by {compression}")));
        };
        Ok(TextChunk {
            descriptor,
            compression,
            compressor: Compressor::new(level.compression_level()).map_err(cannot_compress)?,
            interner: Interner::default(),
            levels: Vec::new(),
            indices: Vec::new(),
            pages: Vec::new(),
            rows: 0,
            nulls: 0,
        })
    }

    pub(crate) fn write(&mut self, texts: &StringArray) -> Result<()> {
        let mut from = 0;
        while from < texts.len() {
            let rows = (PAGE_ROWS - self.levels.len()).min(texts.len() - from);
            self.write_to_page(&texts.slice(from, rows))?;
            from += rows;
            if self.levels.len() == PAGE_ROWS {
                self.end_page()?;
            }
        }
        Ok(())
    }

    /// The bytes that the chunk would have if it ended now, before its dictionary is compressed.
    pub(crate) fn estimated_bytes(&self) -> usize {
        let pages: usize = self.pages.iter().map(|page| page.compressed_size()).sum();
        pages + self.interner.bytes() + self.indices.len() * self.width() as usize / 8
    }

    /// What the dictionary takes while it grows.
    pub(crate) fn dictionary_memory(&self) -> usize {
        self.interner.memory()
    }

    pub(crate) fn close(mut self) -> Result<ClosedChunk> {
        self.end_page()?;
        let statistics = self.statistics();
        let (values, dictionary) = (self.interner.len(), self.interner.into_page());
        let page = Page::DictionaryPage {
            buf: compressed(&mut self.compressor, &dictionary)?,
            num_values: values as u32,
            encoding: Encoding::PLAIN,
            is_sorted: false,
        };
        let page = CompressedPage::new(page, dictionary.len());
        drop(dictionary);
        let pages = once(page).chain(self.pages);
        assemble(self.descriptor, self.compression, pages, self.rows, statistics).map_err(failed)
    }

    fn write_to_page(&mut self, texts: &StringArray) -> Result<()> {
        match texts.nulls() {
            Some(nulls) => self.levels.extend(nulls.iter().map(u32::from)),
            None => self.levels.resize(self.levels.len() + texts.len(), 1),
        }
        self.rows += texts.len() as u64;
        self.nulls += texts.null_count() as u64;
        self.interner.intern(texts, &mut self.indices)
    }

    /// The bits that an index needs.
    fn width(&self) -> u32 {
        usize::BITS - self.interner.len().saturating_sub(1).leading_zeros()
    }

    fn end_page(&mut self) -> Result<()> {
        if self.levels.is_empty() {
            return Ok(());
        }
        let mut page = Vec::new();
        if self.descriptor.max_def_level() > 0 {
            let mut levels = Vec::new();
            hybrid::encode(&self.levels, 1, &mut levels);
            page.extend_from_slice(&(levels.len() as u32).to_le_bytes());
            page.append(&mut levels);
        }
        page.push(self.width() as u8);
        hybrid::encode(&self.indices, self.width(), &mut page);
        let data = Page::DataPage {
            buf: compressed(&mut self.compressor, &page)?,
            num_values: self.levels.len() as u32,
            encoding: Encoding::RLE_DICTIONARY,
            def_level_encoding: Encoding::RLE,
            rep_level_encoding: Encoding::RLE,
            statistics: None,
        };
        self.pages.push(CompressedPage::new(data, page.len()));
        self.levels.clear();
        self.indices.clear();
        Ok(())
    }

    fn statistics(&self) -> Statistics {
        let (smallest, largest) = (self.interner.texts().min(), self.interner.texts().max());
        let (smallest, largest) = match (smallest, largest) {
            (Some(smallest), Some(largest)) if smallest.len().max(largest.len()) <= STATISTIC_BYTES => {
                (Some(ByteArray::from(smallest.to_vec())), Some(ByteArray::from(largest.to_vec())))
            }
            _ => (None, None),
        };
        Statistics::ByteArray(ValueStatistics::new(smallest, largest, None, Some(self.nulls), false))
    }
}

/// The dictionary's page, then those of the rows.
fn assemble(
    descriptor: ColumnDescPtr,
    compression: Compression,
    pages: impl Iterator<Item = CompressedPage>,
    rows: u64,
    statistics: Statistics,
) -> ParquetResult<ClosedChunk> {
    let mut sink = TrackedWrite::new(Vec::new());
    let mut writer = SerializedPageWriter::new(&mut sink);
    let (mut uncompressed, mut data_begins) = (0, 0);
    for page in pages {
        let written = writer.write_page(page)?;
        uncompressed += written.uncompressed_size;
        if written.page_type == PageType::DICTIONARY_PAGE {
            data_begins = written.bytes_written;
        }
    }
    let bytes = Bytes::from(sink.into_inner()?);
    let metadata = ColumnChunkMetaData::builder(descriptor)
        .set_compression(compression)
        .set_encodings(vec![Encoding::PLAIN, Encoding::RLE, Encoding::RLE_DICTIONARY])
        .set_total_compressed_size(bytes.len() as i64)
        .set_total_uncompressed_size(uncompressed as i64)
        .set_num_values(rows as i64)
        .set_dictionary_page_offset(Some(0))
        .set_data_page_offset(data_begins as i64)
        .set_statistics(statistics)
        .build()?;
    let close = ColumnCloseResult {
        bytes_written: bytes.len() as u64,
        rows_written: rows,
        metadata,
        bloom_filter: None,
        column_index: None,
        offset_index: None,
    };
    Ok(ClosedChunk { bytes, close })
}

/// Copied, because the compressor's own buffer has room for a page that does not get smaller.
fn compressed(compressor: &mut Compressor<'_>, page: &[u8]) -> Result<Bytes> {
    compressor.compress(page).map(|compressed| Bytes::copy_from_slice(&compressed)).map_err(cannot_compress)
}

fn cannot_compress(error: std::io::Error) -> Error {
    Error::internal("cannot compress a column").because(error)
}
