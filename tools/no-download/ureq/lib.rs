//! Only the build script of DuckDB's crate uses this name, to download a library that `tools/setup` has already brought. The
//! real client would bring TLS and its C code, compiled for a call that is never made; this one refuses the call.

#![forbid(unsafe_code)]

use std::{convert::Infallible, io, time::Duration};

#[derive(Debug)]
pub struct Agent;

impl Agent {
    pub fn config_builder() -> Config {
        Config
    }

    pub fn new_with_config(_: Config) -> Self {
        Self
    }

    pub fn get(&self, url: &str) -> Request {
        Request(url.to_owned())
    }
}

#[derive(Debug)]
pub struct Config;

impl Config {
    #[must_use]
    pub fn timeout_global(self, _: Option<Duration>) -> Self {
        self
    }

    #[must_use]
    pub fn build(self) -> Self {
        self
    }
}

#[derive(Debug)]
pub struct Request(String);

impl Request {
    pub fn call(self) -> io::Result<Response> {
        Err(io::Error::other(format!(
            "{} is not downloaded by a build: unset DUCKDB_DOWNLOAD_LIB, run tools/setup native",
            self.0
        )))
    }
}

/// There never is one.
#[derive(Debug)]
pub struct Response(Infallible);

impl Response {
    pub fn body_mut(&mut self) -> &mut Self {
        self
    }

    pub fn as_reader(&mut self) -> io::Empty {
        match self.0 {}
    }
}
