//! A way to a server on which bytes change.

use std::net::SocketAddr;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy},
    net::{TcpListener, TcpStream},
};

/// Some bytes of what is sent become others of the same length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Damage {
    pub from: &'static [u8],
    pub to: &'static [u8],
}

/// Passes connections on to a server, with the damage to what goes there.
pub(crate) async fn on_the_way_to(server: SocketAddr, damage: Damage) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(pass(client, server, damage));
        }
    });
    address
}

async fn pass(client: TcpStream, server: SocketAddr, damage: Damage) {
    let Ok(server) = TcpStream::connect(server).await else { return };
    let ((mut asked, mut answers), (mut answered, mut sent)) = (client.into_split(), server.into_split());
    let back = tokio::spawn(async move { copy(&mut answered, &mut answers).await });
    let mut buffer = vec![0; 1 << 16];
    while let Ok(read @ 1..) = asked.read(&mut buffer).await {
        let chunk = &mut buffer[..read];
        if let Some(at) = chunk.windows(damage.from.len()).position(|window| window == damage.from) {
            chunk[at..at + damage.to.len()].copy_from_slice(damage.to);
        }
        if sent.write_all(chunk).await.is_err() {
            break;
        }
    }
    back.abort();
}
