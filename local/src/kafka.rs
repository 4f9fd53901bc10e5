//! Kafka on one machine: noida-db, a small broker that speaks the protocol and keeps its topics.

use std::{fs, time::Duration};

use anyhow::{Context, Result};

use crate::{
    ports::answers,
    processes::{Process, bare_command},
    state::{Journal, Layout},
};

const READY_WITHIN: Duration = Duration::from_secs(30);

#[derive(Debug)]
pub struct Kafka {
    process: Process,
    port: u16,
}

impl Kafka {
    /// Starts the broker in the foreground, so that it ends with us, on the topics of the last run.
    pub async fn start(layout: &Layout, journal: &Journal, port: u16) -> Result<Self> {
        let state = layout.state("kafka");
        fs::create_dir_all(&state).with_context(|| format!("making {}", state.display()))?;
        // The Python wrapper would stand between us and the broker's process; the binary itself takes our signals.
        let mut command = bare_command(layout.package_file("data", "noida_db/noida-db")?);
        command.args(["start", "--only", "kafka", "--kafka-port", &port.to_string(), "--data-dir"]).arg(&state);
        command.current_dir(&state);
        let mut process = Process::spawn(layout, journal, "kafka", command)?;
        process.ready(READY_WITHIN, async || answers(port).await).await?;
        Ok(Kafka { process, port })
    }

    /// What a client calls `bootstrap.servers`.
    pub fn bootstrap(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Fails if the broker has ended by itself.
    pub fn check(&mut self) -> Result<()> {
        self.process.check()
    }

    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}
