//! Events into commits, against a real PostgreSQL whose URL is in `SLUICE_TEST_POSTGRES`.

mod killed;
mod parts;
mod runs;
mod shop;
