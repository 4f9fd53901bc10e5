//! The emulators that the platform's functions and their tests meet on one machine. Snowflake's has a package of its own,
//! `snowflake-emulator`. And the days that the drill plays.

pub mod dbt_cloud;
pub mod function_url;
pub mod kafka_poller;
pub mod schema_registry;
pub mod simulate;
pub mod vendors;
