//! `sluice-local`: the platform on one machine. See `make help`.

// A drill's future holds those of every client that a round uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

mod account;
mod activation;
mod columns;
mod control;
mod creation;
mod demo;
mod drill;
mod ended;
mod idle;
mod invoke;
mod machine;
mod own_data;
mod progress;
mod published;
mod reload;
mod report;
mod seed;
mod shop;
mod stack;
mod topics;
mod unserved;
mod verify;
mod world;

use std::{path::PathBuf, process::ExitCode};

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use crate::{
    account::Keys,
    ended::Ended,
    machine::{
        registry::Registry,
        services,
        state::{Folders, Ports},
    },
    progress::Progress,
    reload::Settings,
    stack::Stack,
    world::{Options, World},
};

/// The whole platform on one machine: the real template and functions, DuckDB as the warehouse, no account.
///
/// Status: 0 when all is well, 1 after an error, 2 for a wrong command line, 3 when a demo is right about what it took and
/// refused more than 5 % of the lines of a source.
#[derive(Debug, Parser)]
#[command(version)]
struct Cli {
    /// Where state, logs and the warehouse are kept.
    #[arg(long, global = true, default_value = ".sluice")]
    state: PathBuf,
    #[command(subcommand)]
    command: Task,
}

#[derive(Debug, Subcommand)]
enum Task {
    /// Run everything once, check the result, stop what was started.
    Demo {
        /// A folder with your own products.csv, contacts.csv, purchases.ndjson and, if you like, rates.csv.
        #[arg(long)]
        data: Option<PathBuf>,
        /// How much data to generate; 1 means 100,000 purchases.
        #[arg(long, default_value_t = 1.0, value_parser = scale, allow_negative_numbers = true)]
        scale: f64,
        /// Afterwards deliver every commit again and look that nothing has changed.
        #[arg(long)]
        replay: bool,
    },
    /// Start everything, fill it as the demo does, open the shop, and leave it running until Ctrl-C.
    Up {
        /// A folder with your own files, as for the demo.
        #[arg(long)]
        data: Option<PathBuf>,
        #[arg(long, default_value_t = 1.0, value_parser = scale, allow_negative_numbers = true)]
        scale: f64,
    },
    /// Start and fill everything, run a command beside it, and stop.
    WithStack {
        #[arg(long, default_value_t = 1.0, value_parser = scale, allow_negative_numbers = true)]
        scale: f64,
        /// On a state apart from the demo's, because the command buys in the shop.
        #[arg(long)]
        open: bool,
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command with a PostgreSQL beside it, whose address is in SLUICE_TEST_POSTGRES.
    WithPostgres {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command with a Kafka broker beside it, whose address is in SLUICE_TEST_KAFKA.
    WithKafka {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Run a command with the warehouse and AWS as the demo has left them beside it, and nothing else.
    WithWarehouse {
        #[arg(trailing_var_arg = true, required = true)]
        command: Vec<String>,
    },
    /// Plant each kind of fault on shadow tables, and see that the watcher's alerts tell of it.
    Drill,
    /// Forget the state of earlier runs: lake, warehouse, database, topic.
    Reset,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(ended) => {
            for complaint in ended.complaints() {
                eprintln!("\nsluice-local: {complaint}");
            }
            ExitCode::from(ended.status())
        }
        Err(error) => {
            eprintln!("\nsluice-local: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> Result<Ended> {
    let folders = Folders::find(&cli.state)?;
    let _lock = folders.take()?;
    match cli.command {
        Task::Demo { data, scale, replay } => {
            return with_stack(folders, Options { data, scale, replay, open: false }, &Work::Demo).await;
        }
        Task::Up { data, scale } => {
            let options = Options { data, scale, replay: false, open: true };
            return with_stack(folders, options, &Work::Up(cli.state)).await;
        }
        Task::WithStack { scale, open, command } => {
            let options = Options { data: None, scale, replay: false, open };
            return with_stack(folders, options, &Work::Command(command)).await;
        }
        Task::WithPostgres { command } => with_postgres(&folders, &command).await?,
        Task::WithKafka { command } => with_kafka(&folders, &command).await?,
        Task::WithWarehouse { command } => with_warehouse(&folders.of_last()?, &command).await?,
        Task::Drill => drill::run(&folders.of_data("drill")?).await?,
        Task::Reset => {
            Registry::take_over(&folders).await?;
            std::fs::remove_dir_all(folders.base())
                .with_context(|| format!("cannot remove {}", folders.base().display()))?;
        }
    }
    Ok(Ended::Done)
}

/// A hundred times the usual data is as much as a machine's memory may hold.
fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale: &f64| *scale > 0.0 && *scale <= 100.0);
    scale.ok_or_else(|| "a number above 0 and up to 100; 1 is 100,000 purchases".to_owned())
}

async fn with_postgres(folders: &Folders, command: &[String]) -> Result<()> {
    let working = async {
        let registry = Registry::take_over(folders).await?;
        let port = Ports::choose(folders)?.0.postgres;
        let (_postgres, url) = services::postgres(folders, &registry, port).await?;
        run_command(command, |command| command.env("SLUICE_TEST_POSTGRES", url)).await
    };
    until_interrupted(folders, working).await
}

async fn with_kafka(folders: &Folders, command: &[String]) -> Result<()> {
    let working = async {
        let registry = Registry::take_over(folders).await?;
        let port = Ports::choose(folders)?.0.kafka;
        let (_kafka, bootstrap) = services::kafka(folders, &registry, port).await?;
        run_command(command, |command| command.env("SLUICE_TEST_KAFKA", bootstrap)).await
    };
    until_interrupted(folders, working).await
}

async fn with_warehouse(folders: &Folders, command: &[String]) -> Result<()> {
    let working = async {
        let deployed = Ports::last(folders).filter(|_| folders.state("deployed").exists());
        let deployed =
            deployed.with_context(|| format!("{} holds no platform; make demo makes one", folders.base().display()))?;
        let registry = Registry::take_over(folders).await?;
        let (ports, mut held) = Ports::choose(folders)?;
        // What was deployed knows the warehouse by its port.
        anyhow::ensure!(
            ports.snowflake == deployed.snowflake,
            "other programs have the platform's ports; make demo takes new ones"
        );
        let warehouse = account::open(folders, &ports, &Keys::load(folders)?)?;
        held.release(ports.aws);
        let aws = services::ministack(folders, &registry, ports.aws).await?;
        let (stop, stopped) = watch::channel(false);
        let serving = tokio::spawn(warehouse.serve(held.listener(ports.snowflake)?, stopped));
        let outcome = run_command(command, |command| command).await;
        // Nobody listens when it has ended already.
        let _ = stop.send(true);
        serving.await??;
        aws.stop().await;
        outcome
    };
    until_interrupted(folders, working).await
}

/// Works, and ends everything that was started in the folder when the work fails or is interrupted, and when it is done.
async fn until_interrupted(folders: &Folders, working: impl Future<Output = Result<()>>) -> Result<()> {
    let interrupted = interrupted()?;
    let outcome = tokio::select! {
        outcome = working => outcome,
        error = interrupted => Err(error),
    };
    Registry::end_all(folders).await?;
    outcome
}

/// Resolves when somebody asks this process to end.
fn interrupted() -> Result<impl Future<Output = anyhow::Error>> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => anyhow::anyhow!("interrupted; started again, it goes on from here"),
            _ = terminate.recv() => anyhow::anyhow!("terminated; started again, it goes on from here"),
        }
    })
}

/// Runs a command to its end; a status other than success is an error.
async fn run_command(
    command: &[String],
    prepare: impl FnOnce(&mut tokio::process::Command) -> &mut tokio::process::Command,
) -> Result<()> {
    let (program, arguments) = command.split_first().context("no command was given")?;
    let mut command = tokio::process::Command::new(program);
    let status = prepare(command.args(arguments).kill_on_drop(true)).status().await;
    let status = status.with_context(|| format!("cannot run {program}"))?;
    anyhow::ensure!(status.success(), "{program} failed with {status}");
    Ok(())
}

/// What is done with the running stack.
enum Work {
    /// Fill it, check the result, report.
    Demo,
    /// Fill it, say where everything is, wait. Holds the state folder as it was named.
    Up(PathBuf),
    /// Fill it and run this.
    Command(Vec<String>),
}

impl Work {
    async fn run(
        &self,
        stack: &Stack,
        world: &World,
        options: &Options,
        settings: &Settings,
        progress: &mut Progress,
    ) -> Result<Ended> {
        match self {
            Work::Demo => Ok(Ended::having_refused(demo::run(stack, world, options.replay, progress).await?.refused)),
            Work::Up(state) => {
                demo::fill(stack, world, progress).await?;
                demo::watch_data(stack, progress).await?;
                report::addresses(stack, state).await?;
                settings.changed().await;
                Ok(Ended::Outdated)
            }
            Work::Command(command) => {
                demo::fill(stack, world, progress).await?;
                demo::watch_data(stack, progress).await?;
                let snowflake_url = format!("http://127.0.0.1:{}", stack.ports.snowflake);
                let registry_url = format!("http://127.0.0.1:{}", stack.ports.registry);
                let addresses = [
                    ("SLUICE_SHOP_URL", &stack.page_url),
                    ("SLUICE_EVENTS_URL", &stack.events_url),
                    ("SLUICE_CONTROL_URL", &stack.control_url),
                    ("SLUICE_KAFKA", &stack.bootstrap),
                    ("SLUICE_SCHEMA_REGISTRY", &registry_url),
                    ("SLUICE_SNOWFLAKE_URL", &snowflake_url),
                    ("SLUICE_AWS_URL", &stack.aws_url),
                ];
                run_command(command, |command| command.envs(addresses)).await?;
                Ok(Ended::Done)
            }
        }
    }
}

/// Starts the stack and does the work, again and again for as long as the settings change under it.
async fn with_stack(folders: Folders, options: Options, work: &Work) -> Result<Ended> {
    let name = options.name()?;
    folders.remember(name.as_deref())?;
    let folders = match name {
        None => folders,
        Some(name) => folders.of_data(&name)?,
    };
    let mut progress = Progress::default();
    println!("sluice on one machine\n");
    loop {
        match with_one_stack(&folders, &options, work, &mut progress).await? {
            Ended::Outdated => println!("\n  platform/ has changed: the platform starts again with it\n"),
            ended => return Ok(ended),
        }
    }
}

/// Starts the stack, does the work, and stops the stack however the work ends: done, failed, or interrupted.
async fn with_one_stack(folders: &Folders, options: &Options, work: &Work, progress: &mut Progress) -> Result<Ended> {
    let interrupted = interrupted()?;
    tokio::pin!(interrupted);
    let settings = Settings::read(folders.root.join("platform"))?;
    let starting = async {
        let world = progress.phase("prepare the data", World::load(folders, options)).await?;
        let stack = Stack::start(folders, &world, progress).await?;
        anyhow::Ok((world, stack))
    };
    let started = tokio::select! {
        started = starting => started,
        error = &mut interrupted => Err(error),
    };
    let (world, mut stack) = match started {
        Ok(started) => started,
        Err(error) => {
            Registry::end_all(folders).await?;
            return Err(error);
        }
    };
    let mut tasks = stack.take_tasks();
    let outcome = tokio::select! {
        outcome = work.run(&stack, &world, options, &settings, progress) => outcome,
        error = stack::failed(&mut tasks) => Err(error),
        // An interruption is how a platform that was left running ends.
        error = &mut interrupted => if matches!(work, Work::Up(_)) { Ok(Ended::Done) } else { Err(error) },
    };
    stack.give_back(tasks);
    stack.stop().await?;
    if outcome.is_ok() && matches!(work, Work::Demo) {
        println!("\n  done in {:.0} s; everything that was started is stopped", progress.total().as_secs_f64());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scale_is_a_number_that_a_machine_can_hold() {
        for scale in ["0.02", "1", "100"] {
            assert!(Cli::try_parse_from(["sluice-local", "demo", "--scale", scale]).is_ok(), "{scale}");
        }
        for scale in ["nan", "inf", "0", "-1", "1e9", "101", "", "much"] {
            let error = Cli::try_parse_from(["sluice-local", "demo", "--scale", scale]).expect_err(scale);
            assert!(error.to_string().contains("above 0 and up to 100"), "{scale}: {error}");
        }
    }
}
