//! The verb about what the platform costs.

use clap::{Args, ValueEnum};

#[derive(Debug, Args)]
pub(crate) struct CostsArgs {
    /// How many days back, those of today excluded.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=365), allow_negative_numbers = true)]
    pub days: u16,
    /// What the sums are of.
    #[arg(long, value_enum, default_value_t = By::Part)]
    pub by: By,
    /// How many lines, the dearest first.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=1000), allow_negative_numbers = true)]
    pub limit: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Queries, idle warehouses, services, functions, storage, and the remainder to the bill.
    Part,
    Day,
    /// A warehouse, a service, a function, a bucket.
    Object,
    /// What queries were for: load, dbt, watch, or another's tag.
    Work,
    /// Runs of the platform.
    Run,
    /// Models of dbt, and tables that were loaded.
    Model,
    /// Users of the warehouse.
    User,
}
