//! The types of a data set: what the sources hold before the platform has seen any of it.

use std::collections::{BTreeMap, BTreeSet};

use super::RateTable;

/// 2025-10-30T00:00:00Z, the first moment of the data's year, in microseconds.
pub(crate) const YEAR_START: i64 = 1_761_782_400_000_000;
/// 2026-10-29T12:00:00Z, when the shop has produced everything, in microseconds.
pub(super) const YEAR_END: i64 = 1_793_275_200_000_000;
/// The timestamp of the first Kafka record in milliseconds: the shop publishes its year in one go at the end.
pub(crate) const FIRST_RECORD_MS: i64 = YEAR_END / 1000;
pub(super) const SECOND: i64 = 1_000_000;

/// How much to generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    pub purchases: usize,
    pub product_changes: usize,
    pub contacts: usize,
}

impl Default for Scale {
    fn default() -> Self {
        Scale { purchases: 100_000, product_changes: 10_000, contacts: 4_000 }
    }
}

impl Scale {
    /// The default scale times `factor`, never so small that a rule has no case.
    pub fn times(factor: f64) -> Self {
        let scaled = |count: usize, least: usize| ((count as f64 * factor).round() as usize).max(least);
        let full = Scale::default();
        Scale {
            purchases: scaled(full.purchases, 1_000),
            product_changes: scaled(full.product_changes, 200),
            contacts: scaled(full.contacts, 100),
        }
    }
}

/// Everything the sources hold.
#[derive(Debug, Clone, PartialEq)]
pub struct Dataset {
    /// In the order of `audit_id`.
    pub products: Vec<ProductChange>,
    /// In the order of `id`, with the contacts that a merge has consumed.
    pub contacts: Vec<Contact>,
    /// In the order of production.
    pub purchases: Vec<PurchaseRecord>,
    pub rates: RateTable,
}

impl Dataset {
    /// The ids of contacts that were merged into another one, which no longer exist in HubSpot, each with that one's. Of
    /// several that name an id it is one that lives, else the lowest.
    pub fn merged_into(&self) -> BTreeMap<i64, i64> {
        let merges = || {
            let all = self.contacts.iter().flat_map(|contact| contact.merged_ids.iter().map(move |id| (contact, *id)));
            all.filter(|(survivor, consumed)| survivor.id != *consumed)
        };
        let gone: BTreeSet<i64> = merges().map(|(_, consumed)| consumed).collect();
        let mut kept: BTreeMap<i64, (bool, i64)> = BTreeMap::new();
        for (survivor, consumed) in merges() {
            let claim = (survivor.archived || gone.contains(&survivor.id), survivor.id);
            kept.entry(consumed).and_modify(|known| *known = (*known).min(claim)).or_insert(claim);
        }
        kept.into_iter().map(|(consumed, (_, survivor))| (consumed, survivor)).collect()
    }
}

/// What a row of the product log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    Insert,
    Update,
    Delete,
}

impl Operation {
    pub fn as_str(self) -> &'static str {
        match self {
            Operation::Insert => "INSERT",
            Operation::Update => "UPDATE",
            Operation::Delete => "DELETE",
        }
    }
}

/// One row of the shop's product log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProductChange {
    pub audit_id: i64,
    pub product_id: i64,
    pub product_name: Option<String>,
    /// Ten-thousandths of a dollar. A negative price, or one of 10 million dollars, breaks the contract: the platform
    /// rejects the row.
    pub price_usd: Option<i128>,
    pub operation: Operation,
    /// Microseconds since 1970 UTC.
    pub valid_ts: i64,
    /// To be inserted by a transaction that commits after rows with higher audit ids were extracted.
    pub commits_late: bool,
}

/// One HubSpot contact. Times are microseconds since 1970 UTC, whole milliseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contact {
    pub id: i64,
    pub email: Option<String>,
    pub firstname: Option<String>,
    pub lastname: Option<String>,
    pub lifecyclestage: Option<String>,
    pub createdate: i64,
    pub lastmodifieddate: i64,
    pub archived: bool,
    /// Contacts that were merged into this one.
    pub merged_ids: Vec<i64>,
}

/// Why a purchase record is not a purchase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    NotJson,
    MissingField,
    WrongType,
    OutOfRange,
    BadTimestamp,
    StandsTwice,
}

/// One Kafka record of the topic `purchases`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PurchaseRecord {
    pub key: String,
    pub value: Vec<u8>,
    /// Milliseconds since 1970 UTC; strictly increasing in the order of production.
    pub timestamp_ms: i64,
    /// Why the platform must refuse the record; `None` for a good one.
    pub invalid: Option<Reason>,
}
