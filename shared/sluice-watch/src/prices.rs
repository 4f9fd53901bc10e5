//! What a unit costs: the block `prices` of `platform/alerts.yaml`. List prices change and differ by contract and region, so
//! what is written here is a default and the file says what is paid.

use serde::{Deserialize, Serialize};
use sluice_core::judge::{Count, Fields, Report};

/// In US cents, as whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prices {
    pub cents_per_credit: u32,
    /// Of tables and stages in the warehouse.
    pub warehouse_cents_per_terabyte_month: u32,
    /// Of the lake.
    pub lake_cents_per_terabyte_month: u32,
    pub lambda_cents_per_million_requests: u32,
    pub lambda_cents_per_million_gigabyte_seconds: u32,
    /// The same on ARM.
    pub lambda_arm_cents_per_million_gigabyte_seconds: u32,
}

impl Default for Prices {
    /// List prices of us-east-1 for Snowflake's Standard edition.
    fn default() -> Self {
        Prices {
            cents_per_credit: 200,
            warehouse_cents_per_terabyte_month: 2_300,
            lake_cents_per_terabyte_month: 2_300,
            lambda_cents_per_million_requests: 20,
            lambda_cents_per_million_gigabyte_seconds: 1_667,
            lambda_arm_cents_per_million_gigabyte_seconds: 1_333,
        }
    }
}

impl Prices {
    pub(crate) fn read(mut fields: Fields<'_>, report: &mut Report) -> Self {
        let usual = Prices::default();
        let mut cents = |name: &'static str, usual: u32| {
            fields.optional::<Count>(name, report).map_or(usual, |cents| cents.value.0)
        };
        let prices = Prices {
            cents_per_credit: cents("cents_per_credit", usual.cents_per_credit),
            warehouse_cents_per_terabyte_month: cents(
                "warehouse_cents_per_terabyte_month",
                usual.warehouse_cents_per_terabyte_month,
            ),
            lake_cents_per_terabyte_month: cents("lake_cents_per_terabyte_month", usual.lake_cents_per_terabyte_month),
            lambda_cents_per_million_requests: cents(
                "lambda_cents_per_million_requests",
                usual.lambda_cents_per_million_requests,
            ),
            lambda_cents_per_million_gigabyte_seconds: cents(
                "lambda_cents_per_million_gigabyte_seconds",
                usual.lambda_cents_per_million_gigabyte_seconds,
            ),
            lambda_arm_cents_per_million_gigabyte_seconds: cents(
                "lambda_arm_cents_per_million_gigabyte_seconds",
                usual.lambda_arm_cents_per_million_gigabyte_seconds,
            ),
        };
        fields.end(report);
        prices
    }

    pub fn dollars_per_credit(&self) -> f64 {
        f64::from(self.cents_per_credit) / 100.0
    }

    /// A day of a terabyte in the warehouse.
    pub fn dollars_per_warehouse_terabyte_day(&self) -> f64 {
        f64::from(self.warehouse_cents_per_terabyte_month) / 100.0 / DAYS_OF_A_MONTH
    }

    /// A day of bytes in the lake.
    pub fn lake_dollars(&self, bytes: f64) -> f64 {
        bytes / TERABYTE * f64::from(self.lake_cents_per_terabyte_month) / 100.0 / DAYS_OF_A_MONTH
    }

    pub fn lambda_dollars(&self, requests: f64, gigabyte_seconds: f64, is_arm: bool) -> f64 {
        let requests = requests * f64::from(self.lambda_cents_per_million_requests);
        let cents = match is_arm {
            true => self.lambda_arm_cents_per_million_gigabyte_seconds,
            false => self.lambda_cents_per_million_gigabyte_seconds,
        };
        let seconds = gigabyte_seconds * f64::from(cents);
        (requests + seconds) / 100.0 / 1e6
    }
}

const DAYS_OF_A_MONTH: f64 = 365.0 / 12.0;

/// As both bills count.
const TERABYTE: f64 = 1_099_511_627_776.0;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_million_requests_of_a_gigabyte_second_cost_what_the_list_says() {
        let prices = Prices::default();
        assert!((prices.lambda_dollars(1e6, 1e6, false) - 16.87).abs() < 1e-9);
        assert!((prices.lambda_dollars(1e6, 1e6, true) - 13.53).abs() < 1e-9);
        assert!((prices.lake_dollars(TERABYTE) * DAYS_OF_A_MONTH - 23.0).abs() < 1e-9);
        assert!((prices.dollars_per_credit() - 2.0).abs() < 1e-9);
    }
}
