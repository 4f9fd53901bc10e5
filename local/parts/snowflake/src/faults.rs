//! Faults on order: a test says which of the next requests go wrong and how.

use std::sync::Mutex;

use serde::Deserialize;

use crate::lock;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(tag = "fault", rename_all = "snake_case")]
pub(crate) enum Fault {
    /// Answered with this status; nothing is done.
    Status { status: u16 },
    /// Done, but the connection breaks instead of the answer.
    LostAnswer,
    /// A statement is answered 202 at once, and done.
    Accepted,
    /// What the next transaction commits is not seen by the next query of another session: Snowflake's READ_CONSISTENCY_MODE
    /// is SESSION unless somebody has set it to GLOBAL.
    UnseenCommit,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Order {
    /// What a request's path must contain.
    path: String,
    /// How many requests.
    times: u32,
    #[serde(flatten)]
    fault: Fault,
}

#[derive(Default)]
pub(crate) struct Faults(Mutex<Vec<Order>>);

impl Faults {
    pub(crate) fn order(&self, order: Order) {
        lock(&self.0).push(order);
    }

    /// The first open order for this path that `wanted` takes, one time less.
    pub(crate) fn take(&self, path: &str, wanted: impl Fn(Fault) -> bool) -> Option<Fault> {
        let mut orders = lock(&self.0);
        let order = orders.iter_mut().find(|o| o.times > 0 && path.contains(&o.path) && wanted(o.fault))?;
        order.times -= 1;
        Some(order.fault)
    }
}
