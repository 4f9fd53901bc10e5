//! Reads that end before their last row.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
    mpsc::{Receiver, Sender, channel},
};

use arrow_array::ArrayRef;
use sluice_core::{Error, Kind, Result, Table};
use sluice_postgres::{BatchSink, InvalidRow};

use crate::support::{Database, read_into};

/// More than all buffers between the server and a sink that waits.
const ROWS: i64 = 200_000;

async fn with_many_rows() -> (Database, Table) {
    let (database, table) = Database::with_changes().await;
    let insert = format!("INSERT INTO $.changes (name) SELECT repeat('x', 300) FROM generate_series(1, {ROWS})");
    database.run(&insert).await;
    (database, table)
}

/// Says when its first batch has come, waits to go on, and then fails if it was told an error.
struct Waiting {
    arrived: Option<Sender<()>>,
    go_on: Receiver<Option<Error>>,
    rows: Arc<AtomicUsize>,
}

impl BatchSink for Waiting {
    fn batch(&mut self, columns: Vec<ArrayRef>, _: &[InvalidRow<'_>]) -> Result<()> {
        self.rows.fetch_add(columns[0].len(), Ordering::Relaxed);
        if let Some(arrived) = self.arrived.take() {
            arrived.send(()).unwrap();
            return self.go_on.recv().unwrap().map_or(Ok(()), Err);
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        Ok(())
    }
}

/// A read whose sink, half way, meets what `meanwhile` does and is then told to go on.
async fn half_way(meanwhile: impl AsyncFnOnce(&Database) -> Option<Error>) -> Result<usize> {
    let (database, table) = with_many_rows().await;
    let (arrived, has_arrived) = channel();
    let (go_on, told) = channel();
    let (config, rows) = (database.config(), Arc::new(AtomicUsize::new(0)));
    let sink = Waiting { arrived: Some(arrived), go_on: told, rows: Arc::clone(&rows) };
    let reading = tokio::spawn(async move { read_into(&config, &table, None, 0, sink).await });
    tokio::task::spawn_blocking(move || has_arrived.recv().unwrap()).await.unwrap();
    go_on.send(meanwhile(&database).await).unwrap();
    let read = reading.await.unwrap();
    database.drop().await;
    read.map(|_| rows.load(Ordering::Relaxed))
}

#[tokio::test]
async fn a_sink_that_was_slow_gets_every_row() {
    assert_eq!(half_way(async |_| None).await.unwrap(), ROWS as usize);
}

#[tokio::test]
async fn a_read_that_the_server_cancels_half_way_fails_by_the_servers_word() {
    let cancel = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice test-run'";
    let cancelled = half_way(async |database| {
        database.run(cancel).await;
        None
    });
    let error = cancelled.await.unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout);
    assert!(error.chain().contains("57014"), "{}", error.chain());
}

#[tokio::test]
async fn a_connection_that_is_cut_half_way_fails_and_may_be_tried_again() {
    let cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'sluice test-run'";
    let ended = half_way(async |database| {
        database.run(cut).await;
        None
    });
    assert_eq!(ended.await.unwrap_err().kind(), Kind::Unavailable);
}

#[tokio::test]
async fn a_sink_that_fails_ends_the_read_with_its_own_error() {
    let error = half_way(async |_| Some(Error::invalid_data("the sink has had enough"))).await.unwrap_err();
    assert_eq!((error.kind(), error.to_string().as_str()), (Kind::InvalidData, "the sink has had enough"));
}
