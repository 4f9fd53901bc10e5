//! Ports of the parts, the same ones from run to run.
//!
//! The deployed functions hold the addresses of the stand-ins in their settings. As long as ports stay, an unchanged
//! platform need not be deployed again.

use std::{
    collections::BTreeMap,
    fs,
    hash::{DefaultHasher, Hash, Hasher},
    net::{Ipv4Addr, TcpListener},
    path::PathBuf,
};

use anyhow::{Context, Result, bail};

use crate::state::{Layout, write_whole};

/// Below the range that the kernel hands to outgoing connections, so that none of those is ever in the way.
const FIRST: u16 = 20_000;
const LAST: u16 = 30_000;

#[derive(Debug)]
pub struct Ports {
    path: PathBuf,
    /// Where the search begins; differs between checkouts, so that two of them rarely meet.
    next: u16,
    chosen: BTreeMap<String, u16>,
    taken: Vec<u16>,
}

impl Ports {
    pub fn load(layout: &Layout) -> Result<Self> {
        let folder = layout.state("");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        let path = folder.join("ports.json");
        let chosen = fs::read(&path).ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default();
        let mut hasher = DefaultHasher::new();
        layout.root().hash(&mut hasher);
        let next = FIRST + (hasher.finish() % u64::from(LAST - FIRST)) as u16;
        Ok(Ports { path, next, chosen, taken: Vec::new() })
    }

    /// The port of a part that listens by itself: last run's if it is free, else a new one.
    pub fn take(&mut self, name: &str) -> Result<u16> {
        Ok(self.bind(name)?.1)
    }

    /// The listener of a part that runs inside this process.
    pub fn listen(&mut self, name: &str) -> Result<tokio::net::TcpListener> {
        let (listener, _) = self.bind(name)?;
        listener.set_nonblocking(true).with_context(|| format!("listening for {name}"))?;
        tokio::net::TcpListener::from_std(listener).with_context(|| format!("listening for {name}"))
    }

    /// The port of a part whose kept state holds the port, so that no other will do.
    pub fn keep(&mut self, name: &str) -> Result<u16> {
        let before = self.chosen.get(name).copied();
        let port = self.take(name)?;
        match before {
            Some(before) if before != port => {
                self.chosen.insert(name.to_owned(), before);
                self.save()?;
                bail!("port {before}, which the kept state of {name} names, is taken by another program")
            }
            _ => Ok(port),
        }
    }

    fn bind(&mut self, name: &str) -> Result<(TcpListener, u16)> {
        let last_time = self.chosen.get(name).copied().filter(|port| !self.taken.contains(port));
        let bound = last_time.and_then(|port| try_bind(port).map(|listener| (listener, port)));
        let (listener, port) = match bound {
            Some(bound) => bound,
            None => self.search().with_context(|| format!("looking for a port for {name}"))?,
        };
        self.taken.push(port);
        if self.chosen.insert(name.to_owned(), port) != Some(port) {
            self.save()?;
        }
        Ok((listener, port))
    }

    fn search(&mut self) -> Result<(TcpListener, u16)> {
        for _ in FIRST..LAST {
            let port = self.next;
            self.next = if port + 1 < LAST { port + 1 } else { FIRST };
            let promised = self.taken.contains(&port) || self.chosen.values().any(|chosen| *chosen == port);
            if let (false, Some(listener)) = (promised, try_bind(port)) {
                return Ok((listener, port));
            }
        }
        bail!("no port between {FIRST} and {LAST} is free")
    }

    fn save(&self) -> Result<()> {
        write_whole(&self.path, &serde_json::to_vec_pretty(&self.chosen)?)
    }
}

/// Whether something answers on a port of this machine.
pub async fn answers(port: u16) -> bool {
    tokio::net::TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

fn try_bind(port: u16) -> Option<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scratch::Scratch;

    #[test]
    fn a_part_gets_the_port_of_the_last_run() {
        let scratch = Scratch::new();
        let first = Ports::load(&scratch.layout()).and_then(|mut ports| ports.take("kafka")).expect("a port");
        let mut again = Ports::load(&scratch.layout()).expect("ports");
        assert_ne!(again.take("postgres").expect("another part's port"), first);
        assert_eq!(again.take("kafka").expect("the same port"), first);
    }

    #[test]
    fn a_port_that_is_taken_is_replaced_or_refused() {
        let scratch = Scratch::new();
        let first = Ports::load(&scratch.layout()).and_then(|mut ports| ports.take("aws")).expect("a port");
        let _stranger = TcpListener::bind((Ipv4Addr::LOCALHOST, first)).expect("the port");
        let error = Ports::load(&scratch.layout()).and_then(|mut ports| ports.keep("aws")).expect_err("taken");
        assert!(error.to_string().contains(&format!("port {first}")), "{error}");
        let other = Ports::load(&scratch.layout()).and_then(|mut ports| ports.take("aws")).expect("another port");
        assert_ne!(other, first);
    }
}
