//! The vendors of `tests/fakes`: small servers in Python, written from the vendors' documentation alone.

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, ChildStdin, Command, Stdio},
};

use anyhow::{Context, Result};

/// One running server; it ends with this value.
#[derive(Debug)]
pub struct Fake {
    pub url: String,
    child: Child,
    /// Its end is the server's.
    stdin: Option<ChildStdin>,
}

impl Fake {
    /// Starts `tests/fakes/<name>.py` on a port of its own.
    pub fn start(name: &str) -> Result<Self> {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("fakes").join(name).with_extension("py");
        let mut child = Command::new("python3")
            .arg(&script)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("python3 does not start: the fakes of the vendors need Python 3.11 or newer")?;
        let stdin = child.stdin.take();
        let mut port = String::new();
        let stdout = child.stdout.take().context("the fake has no output")?;
        BufReader::new(stdout).read_line(&mut port)?;
        let port: u16 = port.trim().parse().with_context(|| format!("{} told no port", script.display()))?;
        Ok(Fake { url: format!("http://127.0.0.1:{port}"), child, stdin })
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        drop(self.stdin.take());
        self.child.wait().ok();
    }
}
