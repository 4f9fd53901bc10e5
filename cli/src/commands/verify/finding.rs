//! What came of asking.

/// What a probe has found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Finding {
    /// As the list hopes, with what was seen.
    AsWanted(String),
    /// Otherwise, and what to do.
    Otherwise { seen: String, fix: String },
    /// This platform cannot show it now, and why.
    Unseen(String),
}
