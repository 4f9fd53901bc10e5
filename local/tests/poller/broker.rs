//! The demo's broker, in a process and a folder of its own.

use std::{
    collections::BTreeMap,
    net::TcpListener as Port,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use bytes::Bytes;
use chrono::{DateTime, Utc};
use sluice_kafka::{Admin, Credentials, KafkaConfig, Message, Producer, Settings};

use crate::{TOPIC, until};

/// A broker in a folder of its own, on a port that it keeps through a restart.
pub(crate) struct Broker {
    pub folder: PathBuf,
    port: u16,
    process: Child,
}

impl Broker {
    pub(crate) async fn start(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("kafka-poller-{test}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder).expect("a folder");
        let port = Port::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a free port").port();
        let process = Self::launch(&folder, port);
        let broker = Broker { folder, port, process };
        broker.ready().await;
        let config = KafkaConfig { bootstrap: broker.address(), ..KafkaConfig::default() };
        let mut admin = Admin::connect(&config, &Credentials::default()).await.expect("a controller");
        admin.create(TOPIC, Some(2), &Settings::new()).await.expect("a topic");
        broker
    }

    fn launch(folder: &Path, port: u16) -> Child {
        // The package's own program: the one in bin/ only starts it, and to kill that would leave the broker running.
        let lib = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../.tools/venv/data/lib");
        let pythons = std::fs::read_dir(&lib).expect("the tools; `tools/setup data` installs them").flatten();
        let mut programs = pythons.map(|python| python.path().join("site-packages/noida_db/noida-db"));
        let program = programs.find(|program| program.exists()).expect("the broker; `tools/setup data` installs it");
        Command::new(program)
            .args(["start", "--only", "kafka", "--kafka-port", &port.to_string(), "--data-dir"])
            .arg(folder.join("data"))
            .current_dir(folder)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the broker starts")
    }

    async fn ready(&self) {
        until("the broker answers", async || tokio::net::TcpStream::connect(self.address()).await.is_ok()).await;
    }

    /// Ends the broker and starts it again. It is asked to end: one that is killed forgets its topics, unlike Kafka.
    pub(crate) async fn restart(&mut self) {
        let asked = Command::new("kill").arg(self.process.id().to_string()).status().expect("kill runs");
        assert!(asked.success(), "the broker could not be asked to end");
        self.process.wait().expect("the broker ends");
        let gone = tokio::net::TcpStream::connect(self.address()).await;
        assert!(gone.is_err(), "the broker still answers");
        self.process = Self::launch(&self.folder, self.port);
        self.ready().await;
    }

    /// Ends the broker, copies its data, and starts it again.
    pub(crate) async fn copy(&mut self) -> PathBuf {
        self.restart().await;
        let copy = self.folder.join("copy.json");
        std::fs::copy(self.data(), &copy).expect("the broker has written its data");
        copy
    }

    /// Kills the broker and starts it with the data that it had: what it acknowledged since is lost.
    pub(crate) async fn lose_all_since(&mut self, copy: &Path) {
        self.process.kill().and_then(|()| self.process.wait()).expect("the broker is killed");
        std::fs::copy(copy, self.data()).expect("copied");
        self.process = Self::launch(&self.folder, self.port);
        self.ready().await;
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data/kafka.json")
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Produces values with these timestamps in milliseconds to one partition each, by key.
    pub(crate) async fn produce(&self, values: impl IntoIterator<Item = (&'static str, i64)>) {
        let producer = Producer::connect(&self.address()).await.expect("a producer");
        let message = |(key, millis): (&'static str, i64)| Message {
            key: Some(Bytes::from(key)),
            value: Some(millis.to_string().into()),
            headers: BTreeMap::new(),
            timestamp: DateTime::<Utc>::from_timestamp_millis(millis).expect("a time"),
        };
        producer.produce(TOPIC, values.into_iter().map(message).collect()).await.expect("produced");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.process.kill().and_then(|()| self.process.wait());
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}
