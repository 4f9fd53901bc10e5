//! P2: one Kafka event of 6 MB, decoded, validated, encoded for Snowpipe Streaming and archived. Our own path against a
//! program that is written for this one kind of record, and against Python.
//!
//!     bench-stream <python> <peers.py> <scratch folder>

mod event;
mod limit;
mod ours;

use std::{
    path::Path,
    process::Command,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// What a competitor makes of the event. All of them must make the same.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Output {
    /// NDJSON, not compressed.
    pub rows: Vec<u8>,
    pub packed_rows: usize,
    pub packed_archive: Vec<u8>,
}

const RUNS: usize = 31;
const MIB: f64 = 1024.0 * 1024.0;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["once", event] => once(Path::new(event)),
        [python, peers, scratch] => compare(python, peers, Path::new(scratch)),
        _ => bail!("usage: bench-stream <python> <peers.py> <scratch folder>"),
    }
}

fn compare(python: &str, peers: &str, scratch: &Path) -> Result<()> {
    std::fs::create_dir_all(scratch)?;
    let path = scratch.join("event.json");
    let text = event::generate();
    std::fs::write(&path, &text)?;

    let (ours, limit) = (ours::run(&text)?, limit::run(&text)?);
    ensure!(ours.rows == limit.rows, "the limit's rows are not ours: {}", difference(&ours.rows, &limit.rows));
    let [a, b] = [&ours, &limit].map(|output| zstd::stream::decode_all(&output.packed_archive[..]));
    ensure!(a? == b?, "the limit's archive is not ours");

    let (mut our_times, mut limit_times) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        limit_times.push(timed(|| limit::run(&text))?);
        our_times.push(timed(|| ours::run(&text))?);
    }
    let peak = peak_mib(&path)?;
    let mut results = vec![Measured::of("sluice", our_times), Measured::of("limit: fixed fields, SIMD", limit_times)];
    let answer = Command::new(python).arg(peers).arg(&path).output().with_context(|| format!("cannot run {python}"))?;
    ensure!(answer.status.success(), "{peers} failed: {}", String::from_utf8_lossy(&answer.stderr));
    let peers: Vec<Peer> = serde_json::from_slice(&answer.stdout).context("the peers' answer is not theirs")?;
    for peer in peers {
        let rows = ours.rows.iter().filter(|byte| **byte == b'\n').count();
        ensure!(peer.rows == rows, "{} made {} rows, not {rows}", peer.name, peer.rows);
        results.push(Measured::of(&peer.name, peer.seconds.into_iter().map(Duration::from_secs_f64).collect()));
    }
    print(&results, peak, text.len());
    Ok(())
}

#[derive(serde::Deserialize)]
struct Peer {
    name: String,
    rows: usize,
    seconds: Vec<f64>,
}

struct Measured {
    name: String,
    sorted: Vec<Duration>,
}

impl Measured {
    fn of(name: &str, mut times: Vec<Duration>) -> Self {
        times.sort_unstable();
        Measured { name: name.to_owned(), sorted: times }
    }

    fn at(&self, part: f64) -> f64 {
        let last = self.sorted.len().saturating_sub(1) as f64;
        self.sorted.get((last * part).round() as usize).map_or(f64::NAN, |time| time.as_secs_f64() * 1_000.0)
    }
}

fn timed(work: impl FnOnce() -> Result<Output>) -> Result<Duration> {
    let begin = Instant::now();
    let output = work()?;
    let took = begin.elapsed();
    ensure!(!output.rows.is_empty(), "nothing was made");
    Ok(took)
}

fn print(results: &[Measured], peak_mib: f64, event_bytes: usize) {
    println!("P2: one Kafka event of {event_bytes} bytes, {} purchases; milliseconds of {RUNS} runs", event::RECORDS);
    println!("{:<28}{:>9}{:>9}{:>9}", "", "median", "min", "max");
    for result in results {
        println!("{:<28}{:>9.1}{:>9.1}{:>9.1}", result.name, result.at(0.5), result.at(0.0), result.at(1.0));
    }
    let median = |i: usize| results.get(i).map_or(f64::NAN, |result| result.at(0.5));
    let best_peer = results.iter().skip(2).map(|result| result.at(0.5)).fold(f64::INFINITY, f64::min);
    let event_mib = event_bytes as f64 / MIB;
    println!("peak memory of one event: {peak_mib:.1} MiB, {:.1} times the event", peak_mib / event_mib);
    let competitors: serde_json::Map<String, Value> = results
        .iter()
        .map(|result| {
            let seconds = |part| (result.at(part) * 1_000.0).round() / 1_000_000.0;
            let metrics = json!({"median": seconds(0.5), "min": seconds(0.0), "max": seconds(1.0)});
            (result.name.clone(), metrics)
        })
        .collect();
    let line = json!({
        "bench": "P2", "ratio_to_limit": median(0) / median(1), "ratio_best_peer_to_ours": best_peer / median(0),
        "peak_mib": peak_mib, "peak_per_event": peak_mib / event_mib, "rows": event::RECORDS, "seconds": competitors,
    });
    println!("{line}");
}

/// What one event costs a fresh process in memory, the event included.
fn peak_mib(event: &Path) -> Result<f64> {
    let answer = Command::new(std::env::current_exe()?).arg("once").arg(event).output()?;
    ensure!(answer.status.success(), "the measuring process failed: {}", String::from_utf8_lossy(&answer.stderr));
    Ok(String::from_utf8(answer.stdout)?.trim().parse::<f64>()? / 1024.0)
}

/// Serves the event once, as the function does, and prints by how many KiB the process has grown at its peak.
fn once(event: &Path) -> Result<()> {
    let before = resident("VmRSS:")?;
    let text = std::fs::read_to_string(event)?;
    ours::consume(text.into_boxed_str())?;
    println!("{}", resident("VmHWM:")?.saturating_sub(before));
    Ok(())
}

fn resident(field: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix(field)).context("the kernel tells no memory")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

fn difference(ours: &[u8], other: &[u8]) -> String {
    let lines = |bytes: &[u8]| String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect::<Vec<_>>();
    let (ours, other) = (lines(ours), lines(other));
    let first = ours.iter().zip(&other).find(|(a, b)| a != b);
    format!("{} and {} rows, first {first:?}", ours.len(), other.len())
}
