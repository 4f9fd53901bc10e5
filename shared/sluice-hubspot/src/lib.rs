//! HubSpot as a source: contacts, read from a cursor on, with archived ones as tombstones. And as a destination: `update`
//! changes properties of contacts that are there.
//!
//! [`read()`] asks the search for everything changed since the cursor, then the list of archived contacts, and answers
//! with one [`Row`] per contact and the cursor that the commit will keep. [`compare()`] goes through the account's list now and
//! then, for contacts that are gone without a trace. How it pages without ever losing a contact is
//! told in `read`, what the cursor remembers in `position`, and how the account's properties meet the table's columns in
//! `properties`. Associations (a contact's companies and deals) are left out on purpose: no model reads them, and they
//! cost a request per hundred contacts.
//!
//! API: <https://developers.hubspot.com/docs/api/crm/search>, <https://developers.hubspot.com/docs/api/crm/contacts>

mod client;
mod compare;
mod config;
mod error;
mod known;
mod position;
mod properties;
mod read;
mod row;
mod update;

pub use client::Client;
pub use compare::{Comparing, compare};
pub use config::{Credentials, DEFAULT_URL, DEFAULT_VERSION, HubspotConfig};
pub use known::IdStore;
pub use properties::Account;
pub use read::{Limits, Read, count, read};
pub use row::{Invalid, Row};
pub use update::{Answer, BATCH, ByThatId, Definition, Updated};
