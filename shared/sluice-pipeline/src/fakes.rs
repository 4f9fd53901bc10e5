//! What the loops' tests share: ports in memory, and a source of seeded chance.

pub(crate) use sluice_testkit::ports::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore};

use crate::stream::Limits;

/// A xorshift generator: a failing seed fails again.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        ((self.0 >> 11) % bound as u64) as usize
    }

    pub(crate) fn percent(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }
}

/// Those of the channels in the tests.
pub(crate) const LIMITS: Limits =
    Limits { append_bytes: 3_800_000, row_bytes: 16_000_000, packed_bytes: 4_000_000, level: 1 };
