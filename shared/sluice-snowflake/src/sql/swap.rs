//! What the swaps of a stream's replay and of a table's have in common: each is done once, under the table's lock.

use sluice_core::{LakeId, TableId};

use super::{OBSERVABILITY, ledger, lock, quote};

/// What the block answers when it has swapped rows in.
pub const REPLAYED: &str = "replayed";

/// What it answers when it had done so before.
pub const ALREADY_REPLAYED: &str = "already replayed";

/// What tells rows to be replaced. Temporary, so private to the request: one name does for all.
pub(super) const REPLACED: &str = "ADMIN.OBSERVABILITY.REPLAYED";

/// Takes the lock for the replay of this id, where the condition holds, and ends the block where that was done before. A lock
/// that is not given ends it with the answer `otherwise`.
pub(super) fn claim(lake: &LakeId, table: &TableId, id: &str, condition: &str, otherwise: &str) -> String {
    format!(
        "  BEGIN TRANSACTION;
  {}{condition};
  LET claimed INTEGER := SQLROWCOUNT;
  LET done INTEGER := (SELECT COUNT(*) FROM {OBSERVABILITY}.LOADS WHERE {} AND RUN_ID = {});
  IF (done > 0) THEN
    ROLLBACK;
    RETURN '{ALREADY_REPLAYED}';
  END IF;
  IF (claimed = 0) THEN
    ROLLBACK;
    RETURN '{otherwise}';
  END IF;
",
        lock::claim_entry(lake, table, id, ""),
        ledger::is_table(lake, table),
        quote::literal(id),
    )
}
