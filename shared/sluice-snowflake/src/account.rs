//! An account as code: what it is to be from one file, what it is by asking, and the statements in between. No state is
//! kept anywhere but in the account.
//!
//! [`look`] reads an account and plans; [`apply`] makes the changes. A plan says of itself what a person, a program and a
//! terminal want to know.

mod apply;
mod columns;
mod explain;
mod file;
mod grantable;
mod graph;
mod import;
mod keys;
mod kinds;
mod lease;
mod name;
mod normal;
mod plan;
mod port;
mod read;
mod render;
mod rotate;
mod state;
#[cfg(test)]
mod tests;
mod trust;
mod value;

pub use apply::{Applied, Applying, apply, look};
pub use explain::{Ability, Explained, Holder, explain};
pub use file::{Deployment, Desired, FILE, Settings};
pub use import::import;
pub use keys::{KeysInSecret, first_user};
pub use kinds::Kind;
pub use lease::release;
pub use name::Name;
pub use plan::{Allowed, Blocked, Change, Difference, Plan, Sign};
pub use port::{Account, AsRoles, PROVISIONER, PROVISIONER_SECRET};
pub use read::whole;
pub use render::Statement;
pub use rotate::{Did, Keys, ROTATED_WITHIN, Slot, rotate, slots};
pub use state::State;
pub use trust::{Identity, LetIn, ReaderRole};
pub use value::Value;
