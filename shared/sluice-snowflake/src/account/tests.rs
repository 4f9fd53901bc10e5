//! The account as code against an account in memory that is as strict as Snowflake is documented to be.

mod applying;
mod differences;
mod model;
mod reading;
mod rotating;
mod trusting;
