//! Throwaway check of the parts.
#[path = "../src/deploy.rs"] mod deploy;
#[path = "../src/kafka.rs"] mod kafka;
#[path = "../src/ministack.rs"] mod ministack;
#[path = "../src/ports.rs"] mod ports;
#[path = "../src/postgres.rs"] mod postgres;
#[path = "../src/processes.rs"] mod processes;
#[cfg(test)] #[path = "../src/scratch.rs"] mod scratch;
#[path = "../src/state.rs"] mod state;
use std::time::Instant;
#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let t = Instant::now();
    let layout = state::Layout::find(&std::env::current_dir()?)?;
    let journal = state::Journal::open(&layout)?;
    println!("leftovers ended: {:?} {:?}", journal.end_leftovers().await?, t.elapsed());
    let mut ports = ports::Ports::load(&layout)?;
    let (a, p, k) = (ports.keep("ministack")?, ports.take("postgres")?, ports.take("kafka")?);
    let oxr = ports.listen("open-exchange-rates")?.local_addr()?;
    let t0 = Instant::now();
    let (mut ministack, mut postgres, mut kafka) = tokio::try_join!(
        async { let x = ministack::Ministack::start(&layout, &journal, a).await; println!("ministack {:?}", t0.elapsed()); x },
        async { let x = postgres::Postgres::start(&layout, &journal, p).await; println!("postgres {:?}", t0.elapsed()); x },
        async { let x = kafka::Kafka::start(&layout, &journal, k).await; println!("kafka {:?}", t0.elapsed()); x },
    )?;
    ministack.check()?; postgres.check()?; kafka.check()?;
    println!("{} {}", kafka.bootstrap(), postgres.secret()["port"]);
    let t1 = Instant::now();
    let url = format!("http://{oxr}/api");
    let (ministack, deployed) = deploy::deploy(&layout, ministack, &[("OpenExchangeRatesUrl", url)], &[("postgres", postgres.secret())]).await?;
    println!("deploy {:?} {deployed:?}", t1.elapsed());
    println!("READY {}", ministack.url());
    if std::env::args().any(|a| a == "wait") { tokio::signal::ctrl_c().await?; }
    let t2 = Instant::now();
    let (x, y, z) = tokio::join!(ministack.stop(), postgres.stop(), kafka.stop());
    x?; y?; z?;
    println!("stopped {:?}", t2.elapsed());
    Ok(())
}
