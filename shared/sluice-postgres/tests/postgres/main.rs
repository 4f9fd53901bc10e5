//! The source against a real PostgreSQL, whose URL is in `SLUICE_TEST_POSTGRES`.

mod every_type;
mod positions;
mod requests;
mod support;
mod values;
