//! The demo's data set: its types, its rates, and the seeded generator.

mod contacts;
mod dataset;
mod decimal;
mod products;
mod purchases;
mod random;
mod rates;
#[cfg(test)]
mod tests;

pub use dataset::{Contact, Dataset, Operation, ProductChange, PurchaseRecord, Reason, Scale};
pub(crate) use dataset::{FIRST_RECORD_MS, YEAR_START};
pub(crate) use decimal::rescale;
pub use decimal::{decimal_text, parse_decimal};
pub use rates::{RATE_SCALE, RateTable};

use random::Random;

/// Makes the data set. The same seed, scale and rates always give the same bytes.
pub fn generate(seed: u64, scale: Scale, rates: RateTable) -> Dataset {
    let mut random = Random::new(seed);
    let products = products::generate(&mut random, scale.product_changes);
    let contacts = contacts::generate(&mut random, scale.contacts);
    let purchases = purchases::generate(&mut random, scale.purchases, &products, &contacts);
    Dataset { products, contacts, purchases, rates }
}
