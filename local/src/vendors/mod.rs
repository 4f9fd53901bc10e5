//! Emulators for the vendors whose APIs the platform extracts from: HubSpot and Open Exchange Rates.
//!
//! Each keeps the vendor's documented limits, paging, error bodies and field shapes, and is strict where the vendor is
//! vague, so that a client that works here does not rely on luck. `POST /_emulator/faults` makes the next requests fail.

mod faults;
pub mod hubspot;
pub mod open_exchange_rates;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// Serves until `shutdown` turns true or its sender is gone.
async fn run(router: Router, listener: TcpListener, mut shutdown: watch::Receiver<bool>) -> anyhow::Result<()> {
    let stopped = async move {
        // An error means that nobody is left who could say stop.
        drop(shutdown.wait_for(|stop| *stop).await);
    };
    Ok(axum::serve(listener, faults::with_faults(router)).with_graceful_shutdown(stopped).await?)
}

#[cfg(test)]
mod testing {
    use super::*;

    /// Serves what `start` returns on a free port until the sender is dropped.
    pub(crate) async fn spawn<F>(
        start: impl FnOnce(TcpListener, watch::Receiver<bool>) -> F,
    ) -> (String, watch::Sender<bool>)
    where
        F: Future<Output = anyhow::Result<()>> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = watch::channel(false);
        tokio::spawn(start(listener, stopped));
        (url, stop)
    }
}
