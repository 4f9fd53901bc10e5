//! The account as code against an account in memory that is as strict as Snowflake is documented to be.

mod applying;
mod differences;
mod importing;
mod leasing;
mod model;
mod owning;
mod reading;
mod rotating;
mod trusting;
