//! The source against a real PostgreSQL, whose URL is in `SLUICE_TEST_POSTGRES`.

mod broken_off;
mod every_type;
mod positions;
mod requests;
mod standby;
mod support;
mod tls;
mod values;
