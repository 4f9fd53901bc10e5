//! The loops over ports: the only place that decides the order of effects.
//!
//! The loops are `extract` with `split`, `load`, `stream`, `dispatch`, `activate` and `watch`; what an operator starts is
//! `reset`, `replay`, `rebuild`, `prove`, `erase` and `aside`. Begin with `extract`, the shortest. The other modules are what
//! several of them keep in the lake (`log`, `runs`, `attempts`, `reports`) or ask of the warehouse (`observe`, `why`).
//!
//! None knows a vendor; each takes the ports it needs and nothing more, so a test can fail any call of any port and look at
//! what was left behind.

pub mod account;
pub mod activate;
pub mod aside;
pub mod attempts;
pub mod dispatch;
pub mod erase;
pub mod extract;
#[cfg(test)]
mod fakes;
pub mod leftovers;
pub mod load;
pub mod log;
pub mod observe;
pub mod openlineage;
pub mod prove;
pub mod rebuild;
pub mod rejects;
pub mod replay;
pub mod reports;
pub mod reset;
pub mod runs;
pub mod split;
pub mod stream;
pub mod watch;
pub mod why;
