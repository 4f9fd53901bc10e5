//! `make demo`: sources, extraction, loading, streaming, dbt, and the proof that the result is right.

use std::{fs, path::PathBuf, time::Duration};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sluice_core::functions::{DISPATCH_DBT, LOAD_COMMITS, WATCH_PLATFORM};

use crate::{
    activation,
    idle::{self, Watch},
    machine::state::Folders,
    progress::Progress,
    published, report, seed,
    stack::Stack,
    unserved::Unserved,
    verify::{self, Verified},
    world::World,
};

/// How long the platform may take from the last extract to the last dbt run.
const IDLE_WITHIN: Duration = Duration::from_secs(600);
/// And for each purchase beside that: one that is refused is an object in the lake of its own.
const IDLE_A_PURCHASE: Duration = Duration::from_millis(20);
/// What the extract of rates says when its time was over before its range was.
const OUT_OF_TIME: &str = "the run's time";

const PRODUCTS: &str = "DLT.APPLICATION_DATA.PRODUCTS";
const CURRENCIES: &str = "DLT.OPEN_EXCHANGE_RATES.CURRENCIES";
const RATES: &str = "SNOWPIPE.OPEN_EXCHANGE_RATES.EXCHANGE_RATES";
const CONTACTS: &str = "AIRBYTE.HUBSPOT.CONTACTS";

/// Puts the world's data into the sources and runs the whole platform once, until nothing is left to do.
pub(crate) async fn fill(stack: &Stack, world: &World, progress: &mut Progress) -> Result<()> {
    let (mut shop, mut late) = (seed::shop(&stack.shop_url).await?, seed::shop(&stack.shop_url).await?);
    let seeding = async {
        let open = seed::products(&mut late, &mut shop, &world.data.products).await?;
        let produced = match stack.topics.of(seed::TOPIC) {
            Some(poller) => seed::purchases(&stack.bootstrap, &poller.status().await?, &world.data).await?,
            None => 0,
        };
        Unserved::of(stack).send_back().await?;
        Ok((open, produced))
    };
    let (open, produced) = progress.phase("fill PostgreSQL and Kafka", seeding).await?;

    let extracting = async {
        // A crash may have lost notifications; what is in the lake is loaded in any case.
        stack.functions.invoke(&LOAD_COMMITS, &json!({"sweep": true})).await?;
        tokio::try_join!(
            stack.extract(PRODUCTS, world.now()),
            async {
                stack.extract(CURRENCIES, world.now()).await?;
                rates(stack, world).await
            },
            stack.extract(CONTACTS, world.now()),
        )
    };
    let (products, _, _) = progress.phase("extract products, currencies, rates and contacts", extracting).await?;

    let catching_up = async {
        open.commit().await?;
        stack.extract(PRODUCTS, world.now()).await
    };
    let late = progress.phase("extract products that committed late", catching_up).await?;
    if produced == 0 && [&products, &late].iter().all(|run| run.rows + run.rejected == 0) {
        println!("  · nothing new in the sources since the last run");
    }

    let sqs = aws_sdk_sqs::Client::new(&stack.aws);
    let (watch, within) = (watch(stack, &sqs), idle_within(world));
    let settling = async {
        watch.done(within).await?;
        // A schedule finds what an event has not told. Changed models, or a failed run, are built whole.
        let models = models(stack.folders())?;
        let force = idle::failed_runs(&stack.store).await? || models.changed();
        stack.functions.invoke(&DISPATCH_DBT, &json!({"sweep": true, "force": force})).await?;
        watch.done(within).await?;
        models.keep()
    };
    progress.phase("load, stream and transform", settling).await?;

    for problem in Unserved::of(stack).problems().await? {
        println!("  ! {problem}");
    }
    if idle::failed_runs(&stack.store).await? {
        bail!("the last dbt run has failed; its log is under {}", stack.folders().state("dbt").display());
    }
    progress.phase("publish the report", published::report(stack, world)).await
}

/// Every day that the platform wants. A long range takes more than one run's time; each goes on where the last one stopped.
async fn rates(stack: &Stack, world: &World) -> Result<()> {
    loop {
        let summary = stack.extract(RATES, world.now()).await?;
        if summary.facts.get("stopped_by").and_then(|why| why.as_str()) != Some(OUT_OF_TIME) {
            return Ok(());
        }
    }
}

fn idle_within(world: &World) -> Duration {
    IDLE_WITHIN + IDLE_A_PURCHASE * u32::try_from(world.data.purchases.len()).unwrap_or(u32::MAX)
}

fn watch<'a>(stack: &'a Stack, sqs: &'a aws_sdk_sqs::Client) -> Watch<'a> {
    Watch {
        sqs,
        stack: crate::machine::deploy::STACK,
        store: &stack.store,
        sources: &stack.sources,
        warehouse: &stack.warehouse,
        topics: &stack.topics,
    }
}

/// Runs the whole platform once over the world's data and checks the result.
pub(crate) async fn run(stack: &Stack, world: &World, replay: bool, progress: &mut Progress) -> Result<Verified> {
    fill(stack, world, progress).await?;
    let verified = progress
        .phase("compare sales with the oracle, to the cent", verify::sales(&stack.warehouse, &world.data))
        .await?;
    activate(stack, world, progress).await?;
    if replay {
        let sqs = aws_sdk_sqs::Client::new(&stack.aws);
        let watch = watch(stack, &sqs);
        let replaying = async {
            let before = report::counts(stack).await?;
            replay_everything(stack, world).await?;
            watch.done(idle_within(world)).await?;
            let after = report::counts(stack).await?;
            ensure!(before == after, "replaying changed the rows per table from {before:?} to {after:?}");
            verify::sales(&stack.warehouse, &world.data).await
        };
        progress.phase("deliver everything again: nothing changes", replaying).await?;
    }
    let watched = watch_data(stack, progress).await?;
    report::print(stack, world, &verified).await?;
    report::watched(stack, &watched).await?;
    Ok(verified)
}

/// A round of watching, which also makes the views over what the platform keeps about itself.
pub(crate) async fn watch_data(stack: &Stack, progress: &mut Progress) -> Result<Value> {
    let round = json!({"round": true, "fresh": true});
    progress.phase("watch the data", stack.functions.invoke(&WATCH_PLATFORM, &round)).await
}

/// Sends HubSpot what differs from the model. What was written comes back once by the extract, and changes nothing more.
async fn activate(stack: &Stack, world: &World, progress: &mut Progress) -> Result<()> {
    let difference = activation::difference(stack).await?;
    let mut sent = None;
    if difference.changed > 0 {
        let sending = activation::send(stack);
        sent = Some(progress.phase("activate: send HubSpot what differs from the model", sending).await?);
        let sqs = aws_sdk_sqs::Client::new(&stack.aws);
        let (watch, written) = (watch(stack, &sqs), stack.hubspot.history().len());
        let coming_back = async {
            stack.extract(CONTACTS, world.now()).await?;
            watch.done(idle_within(world)).await?;
            let again = activation::difference(stack).await?;
            ensure!(again.changed == 0, "what came back differs from the model again: {again:?}");
            ensure!(again.proof.overwritten == 0 && again.proof.waiting == 0, "not all of it was seen: {again:?}");
            ensure!(stack.hubspot.history().len() == written, "what came back was sent again");
            // It was followed by a dbt run, and that by a report as of this machine's clock.
            published::report(stack, world).await
        };
        progress.phase("extract what was written: each write has landed", coming_back).await?;
    }
    let contacts = activation::verify(stack).await?;
    activation::print(&difference, sent.as_ref(), contacts);
    Ok(())
}

/// The dbt project as it was built last, and as it is.
struct Models {
    kept: PathBuf,
    now: String,
}

impl Models {
    /// On a first run there is nothing to compare: everything is built anyway.
    fn changed(&self) -> bool {
        fs::read_to_string(&self.kept).is_ok_and(|kept| kept != self.now)
    }

    fn keep(&self) -> Result<()> {
        fs::write(&self.kept, &self.now).with_context(|| format!("cannot write {}", self.kept.display()))
    }
}

fn models(folders: &Folders) -> Result<Models> {
    let mut hash = Sha256::new();
    let mut open = vec![folders.root.join("dbt")];
    while let Some(folder) = open.pop() {
        let mut entries: Vec<PathBuf> = fs::read_dir(&folder)?.map(|entry| Ok(entry?.path())).collect::<Result<_>>()?;
        entries.sort();
        for path in entries {
            if path.is_dir() {
                open.push(path);
            } else {
                hash.update(path.to_string_lossy().as_bytes());
                hash.update(fs::read(&path)?);
            }
        }
    }
    Ok(Models { kept: folders.state("models"), now: hex::encode(hash.finalize()) })
}

/// Every commit's notification once more, the topic from its beginning once more, every schedule once more.
async fn replay_everything(stack: &Stack, world: &World) -> Result<()> {
    for (table, newest) in idle::newest_sequences(&stack.store, &stack.sources).await? {
        for sequence in 1..=newest {
            let body = json!({"table": table, "sequence": sequence}).to_string();
            let message = json!({"messageId": format!("{table}#{sequence}"), "body": body});
            let answer = stack.functions.invoke(&LOAD_COMMITS, &json!({"Records": [message]})).await?;
            let failures = answer["batchItemFailures"].as_array().map_or(0, Vec::len);
            ensure!(failures == 0, "the replay of {table}#{sequence} failed; see the log of LoadCommits");
        }
    }
    let again = stack.folders().state("positions-replay");
    drop(fs::remove_dir_all(&again));
    let replayed = stack.topics_again(&again).await?;
    let (stop, stopped) = tokio::sync::watch::channel(false);
    let mut polling = tokio::task::JoinSet::new();
    let _restarts = replayed.spawn(&mut polling, &stopped);
    while !replayed.lags().await?.is_empty() {
        if let Some(ended) = polling.try_join_next() {
            ended??;
            bail!("the replay of a topic has ended early");
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // A task may have ended with an error just now; what counts is that nothing is left to poll.
    let _ = stop.send(true);
    while let Some(ended) = polling.join_next().await {
        ended??;
    }
    for table in [PRODUCTS, RATES, CONTACTS] {
        stack.extract(table, world.now()).await?;
    }
    stack.functions.invoke(&DISPATCH_DBT, &json!({"sweep": true})).await.map(drop)
}
