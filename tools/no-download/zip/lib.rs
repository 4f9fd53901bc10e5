//! Only the build script of DuckDB's crate uses this name, for what `ureq` beside it never downloads.

#![forbid(unsafe_code)]

use std::{convert::Infallible, io, path::Path};

#[derive(Debug)]
pub struct ZipArchive(Infallible);

impl ZipArchive {
    pub fn new<R>(_: R) -> io::Result<Self> {
        Err(io::Error::other("no archive is unpacked by a build: run tools/setup native"))
    }

    pub fn extract(&mut self, _: &Path) -> io::Result<()> {
        match self.0 {}
    }
}
