//! The one worker: takes runs from the queue in their order and sees each to its end.

use std::fs;

use anyhow::anyhow;
use chrono::Utc;
use tokio::sync::watch;

use crate::dbt_cloud::{
    Config,
    book::{Book, Run, Status},
    command,
    step::{self, Place},
    stopped,
};

/// How a run ends.
struct End {
    status: Status,
    message: Option<String>,
}

impl From<anyhow::Error> for End {
    fn from(error: anyhow::Error) -> Self {
        End { status: Status::Error, message: Some(format!("{error:#}")) }
    }
}

/// Works until told to stop. The run that is under way then is cancelled; what waits is cancelled at the next start.
pub(crate) async fn work(config: &Config, book: &Book, shutdown: watch::Receiver<bool>) {
    loop {
        let (run, cancelled) = tokio::select! {
            biased;
            () = stopped(shutdown.clone()) => return,
            next = book.next() => next,
        };
        let end = execute(config, book, &run, &cancelled, &shutdown).await;
        if let Err(error) = book.update(run.id, |run| run.end(end.status, end.message)) {
            // The record in memory is right; the next process will take the run for an interrupted one.
            eprintln!("dbt Cloud emulator: cannot record the end of run {}: {error:#}", run.id);
        }
    }
}

/// Gets the warehouse file, runs the steps, gives the file back.
async fn execute(
    config: &Config,
    book: &Book,
    run: &Run,
    cancelled: &watch::Receiver<bool>,
    shutdown: &watch::Receiver<bool>,
) -> End {
    match book.update(run.id, |run| (run.status, run.started_at) = (Status::Starting, Some(Utc::now()))) {
        Ok(true) => {}
        Ok(false) => return End { status: Status::Cancelled, message: None },
        Err(error) => return error.into(),
    }
    if let Err(error) = config.turn.release_file().await {
        return error.context("the warehouse file was not released").into();
    }
    let end = tokio::select! {
        biased;
        () = stopped(cancelled.clone()) => End { status: Status::Cancelled, message: None },
        () = stopped(shutdown.clone()) => End { status: Status::Cancelled, message: Some("the server stopped".into()) },
        outcome = steps(config, book, run) => match outcome {
            Ok(()) => End { status: Status::Success, message: None },
            Err(error) => error.into(),
        },
    };
    match config.turn.take_back().await {
        Ok(()) => end,
        Err(error) => error.context("the warehouse file was not taken back").into(),
    }
}

/// Runs the steps in order, up to the first that fails.
async fn steps(config: &Config, book: &Book, run: &Run) -> anyhow::Result<()> {
    let target = book.run_dir(run.id).join("target");
    for (index, step) in run.steps.iter().enumerate() {
        let number = index + 1;
        book.update(run.id, |run| {
            run.status = Status::Running;
            run.steps[index].status = Status::Running;
        })?;
        let arguments = command::parse(&step.command).map_err(|message| anyhow!(message))?;
        let place = Place {
            target: &target,
            log: &book.log_path(run.id, number),
            artifacts: &book.artifacts_dir(run.id, number),
        };
        let status = step::run(config, &arguments, place).await?;
        if !status.success() {
            return Err(anyhow!("step {number} ended with {status}: {}", step.command));
        }
        book.update(run.id, |run| run.steps[index].status = Status::Success)?;
    }
    // The artifacts are kept; what else is in there can be made again.
    drop(fs::remove_dir_all(target));
    Ok(())
}
