//! The source against a real PostgreSQL, whose URL is in `SLUICE_TEST_POSTGRES`.

mod broken_off;
mod encodings;
mod every_type;
mod long_rows;
mod managed;
mod positions;
mod requests;
mod restarts;
mod standby;
mod support;
mod tls;
mod values;
