//! Who has the warehouse file open.

use futures::future::BoxFuture;

/// The owner of the warehouse file between dbt runs. DuckDB lets one process open a file, so the owner closes it for the
/// time of a run.
///
/// Calls come in pairs and never overlap. [`take_back`](Self::take_back) follows every [`release_file`](Self::release_file)
/// that succeeded, whether dbt did or not.
pub trait FileTurn: Send + Sync {
    /// Resolves when the file is closed and stays closed.
    fn release_file(&self) -> BoxFuture<'_, anyhow::Result<()>>;

    /// Resolves when the file is open again. A run is reported as ended only after this, so that a client that waits for the end
    /// can query at once.
    fn take_back(&self) -> BoxFuture<'_, anyhow::Result<()>>;
}
