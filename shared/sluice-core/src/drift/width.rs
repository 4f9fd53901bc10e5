//! Which of two types holds more, and which holds both.

use super::{ChangeKind, Observed};
use crate::ColumnType;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wider {
    /// More digits before the point: this type holds both.
    Digits(ColumnType),
    /// More digits after it.
    Decimals,
}

/// Whether the source's decimals hold what the contract's cannot.
pub(super) fn wider(wanted: ColumnType, found: ColumnType) -> Option<Wider> {
    let (ColumnType::Decimal(precision, scale), ColumnType::Decimal(found_precision, found_scale)) = (wanted, found)
    else {
        return None;
    };
    let whole = i16::from(precision) - i16::from(scale);
    let found_whole = i16::from(found_precision) - i16::from(found_scale);
    if found_scale > scale {
        return Some(Wider::Decimals);
    }
    if found_whole <= whole {
        return None;
    }
    let needed = u8::try_from(found_whole + i16::from(scale)).ok().filter(|precision| *precision <= 38);
    Some(needed.map_or(Wider::Decimals, |precision| Wider::Digits(ColumnType::Decimal(precision, scale))))
}

/// The type of a raw column that holds what it held and what its source shows now; `None` if no such type is reached in
/// place.
pub(super) fn grown(held: ColumnType, found: ColumnType) -> Option<ColumnType> {
    match wider(held, found) {
        Some(Wider::Digits(both)) => Some(both),
        Some(Wider::Decimals) => None,
        None if held == found || held == ColumnType::Text => Some(held),
        None => matches!((held, found), (ColumnType::Decimal(..), ColumnType::Decimal(..))).then_some(held),
    }
}

/// How a type has changed that was one and is another.
pub(super) fn direction(before: &Observed, now: &Observed) -> ChangeKind {
    if let (ColumnType::Decimal(..), ColumnType::Decimal(..)) = (before.becomes, now.becomes) {
        let grows = wider(before.becomes, now.becomes).is_some();
        return if grows { ChangeKind::Widened } else { ChangeKind::Narrowed };
    }
    if before.becomes != now.becomes {
        return ChangeKind::Changed;
    }
    match (before.capacity, now.capacity) {
        (Some(before), Some(now)) if before < now => ChangeKind::Widened,
        (Some(before), Some(now)) if before > now => ChangeKind::Narrowed,
        _ => ChangeKind::Changed,
    }
}
