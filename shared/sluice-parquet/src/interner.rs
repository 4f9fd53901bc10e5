//! The distinct texts of a row group, each kept once, in the form of a dictionary page.

use std::hash::BuildHasher;

use arrow_array::StringArray;
use foldhash::fast::RandomState;
use sluice_core::{Error, Result};

/// How many texts are looked up at a time.
const TOGETHER: usize = 256;

/// A dictionary of 100,000 names fits in no core's own cache, so nearly every look-up waits for memory several times: for
/// its slot, for the place of the candidate, for the candidate's bytes. Looking texts up one by one would wait for each of
/// these in turn. Step by step for many texts, the waits of one step overlap.
#[derive(Default)]
pub(crate) struct Interner {
    hashing: RandomState,
    /// Open addressing, a power of two of slots: the hash in the upper half, the index plus one in the lower; zero is free.
    slots: Vec<u64>,
    /// Where each text begins in the page.
    starts: Vec<u32>,
    /// Every text after its length: the dictionary page as Parquet wants it.
    page: Vec<u8>,
}

impl Interner {
    /// Appends the index of every text that is not null.
    pub(crate) fn intern(&mut self, texts: &StringArray, indices: &mut Vec<u32>) -> Result<()> {
        let mut together = Vec::with_capacity(TOGETHER);
        for text in texts.iter().flatten() {
            together.push(text.as_bytes());
            if together.len() == TOGETHER {
                self.intern_together(&together, indices)?;
                together.clear();
            }
        }
        self.intern_together(&together, indices)
    }

    /// How many distinct texts there are.
    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// The bytes of the dictionary page.
    pub(crate) fn bytes(&self) -> usize {
        self.page.len()
    }

    /// With the slots and places, which take more than short texts do.
    pub(crate) fn memory(&self) -> usize {
        self.page.len() + self.slots.len() * size_of::<u64>() + self.starts.len() * size_of::<u32>()
    }

    pub(crate) fn into_page(self) -> Vec<u8> {
        self.page
    }

    pub(crate) fn texts(&self) -> impl Iterator<Item = &[u8]> {
        self.starts.iter().map(|start| self.text(*start))
    }

    fn intern_together(&mut self, texts: &[&[u8]], indices: &mut Vec<u32>) -> Result<()> {
        self.make_room(texts.len());
        let mask = self.slots.len() - 1;
        let mut hashes = [0; TOGETHER];
        for (hash, text) in hashes.iter_mut().zip(texts) {
            *hash = (self.hashing.hash_one(text) >> u32::BITS) as u32;
        }
        // The candidate of each text: the one whose hash is in the first slot that the text may be in.
        let mut candidates = [None; TOGETHER];
        for (candidate, hash) in candidates.iter_mut().zip(&hashes[..texts.len()]) {
            *candidate = index_if(self.slots[*hash as usize & mask], *hash);
        }
        let mut starts = [0; TOGETHER];
        for (start, candidate) in starts.iter_mut().zip(&candidates) {
            *start = candidate.map_or(0, |index| self.starts[index as usize]);
        }
        for ((candidate, start), text) in candidates.iter_mut().zip(&starts).zip(texts) {
            *candidate = candidate.filter(|_| self.length(*start) == text.len());
        }
        for (((text, hash), candidate), start) in texts.iter().zip(hashes).zip(candidates).zip(starts) {
            indices.push(match candidate {
                Some(index) if self.text(start) == *text => index,
                _ => self.find_or_add(hash, text)?,
            });
        }
        Ok(())
    }

    /// From the first slot on, to the text or to a free slot.
    fn find_or_add(&mut self, hash: u32, text: &[u8]) -> Result<u32> {
        let mask = self.slots.len() - 1;
        let mut slot = hash as usize & mask;
        while self.slots[slot] != 0 {
            match index_if(self.slots[slot], hash) {
                Some(index) if self.text(self.starts[index as usize]) == text => return Ok(index),
                _ => slot = (slot + 1) & mask,
            }
        }
        let too_large = |_| Error::internal("a dictionary of texts is larger than its page may be");
        let (index, start) = (u32::try_from(self.len()), u32::try_from(self.page.len()).map_err(too_large)?);
        let (index, length) = (index.map_err(too_large)?, u32::try_from(text.len()).map_err(too_large)?);
        self.page.extend_from_slice(&length.to_le_bytes());
        self.page.extend_from_slice(text);
        self.starts.push(start);
        self.slots[slot] = u64::from(hash) << u32::BITS | u64::from(index + 1);
        Ok(index)
    }

    /// At most half of the slots are taken, also when all of the next texts are new.
    fn make_room(&mut self, texts: usize) {
        let wanted = ((self.len() + texts) * 2).next_power_of_two();
        if wanted <= self.slots.len() {
            return;
        }
        let slots = std::mem::replace(&mut self.slots, vec![0; wanted]);
        let mask = self.slots.len() - 1;
        for taken in slots.into_iter().filter(|slot| *slot != 0) {
            let mut slot = (taken >> u32::BITS) as usize & mask;
            while self.slots[slot] != 0 {
                slot = (slot + 1) & mask;
            }
            self.slots[slot] = taken;
        }
    }

    fn length(&self, start: u32) -> usize {
        let start = start as usize;
        self.page[start..start + 4].iter().rev().fold(0, |length, byte| length << 8 | usize::from(*byte))
    }

    fn text(&self, start: u32) -> &[u8] {
        let text = start as usize + 4;
        &self.page[text..text + self.length(start)]
    }
}

/// The index in a slot that has this hash.
fn index_if(slot: u64, hash: u32) -> Option<u32> {
    let is_taken_by_it = slot != 0 && (slot >> u32::BITS) as u32 == hash;
    is_taken_by_it.then(|| slot as u32 - 1)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    #[test]
    fn each_text_has_one_index_and_each_index_its_text() {
        let mut random = fastrand::Rng::with_seed(20_261_123);
        for distinct in [1, 2, 300, 5_000, 100_000] {
            let mut interner = Interner::default();
            let mut expected: HashMap<String, u32> = HashMap::new();
            for _ in 0..40 {
                let mut text = || "x".repeat(random.usize(..9)) + &random.u32(..distinct).to_string();
                let texts: Vec<_> = (0..2_000).map(|row| (row % 7 > 0).then(&mut text)).collect();
                let mut indices = Vec::new();
                interner.intern(&StringArray::from(texts.clone()), &mut indices).unwrap();
                let next = texts.into_iter().flatten().map(|text| {
                    let next = expected.len() as u32;
                    *expected.entry(text).or_insert(next)
                });
                assert_eq!(indices, next.collect::<Vec<_>>());
            }
            assert_eq!(interner.len(), expected.len());
            for (index, text) in interner.texts().enumerate() {
                assert_eq!(expected[std::str::from_utf8(text).unwrap()], index as u32);
            }
            let bytes: usize = expected.keys().map(|text| 4 + text.len()).sum();
            assert_eq!((interner.bytes(), interner.into_page().len()), (bytes, bytes));
        }
    }
}
