//! The commands, one file each: gather, then print what was gathered.

mod activate;
mod alerts;
mod aside;
mod backfill;
mod completions;
mod costs;
mod deploy;
mod destroy;
mod doctor;
mod erase;
mod logs;
mod prove;
mod query;
mod rejects;
mod replay;
mod report;
mod reset;
mod retry;
mod run;
mod runs;
mod status;
mod switch;
mod topics;
mod verify;
mod warehouse;
mod why;

use crate::{
    args::{AccountTask, Cli, Task, WarehouseArgs},
    failure::Outcome,
    platform::Platform,
    progress::Progress,
};

/// What every command needs beside its own arguments.
pub(crate) struct Context<'a> {
    pub platform: Platform,
    pub progress: &'a Progress,
    pub json: bool,
}

pub(crate) async fn run(cli: Cli, progress: &Progress) -> Outcome {
    match cli.command {
        Task::Doctor => return doctor::run(&cli.target, progress, cli.json).await,
        Task::Completions { shell } => return completions::run(shell),
        Task::Topics(args) => return topics::run(&cli.target, &args, progress, cli.json).await,
        Task::Deploy(args) => return Box::pin(deploy::run(&cli.target, &args, progress, cli.json)).await,
        Task::Diff(args) => return Box::pin(deploy::diff(&cli.target, &args, progress, cli.json)).await,
        Task::Verify(args) => return Box::pin(verify::run(&cli.target, &args, progress, cli.json)).await,
        Task::Destroy(args) => return destroy::run(&cli.target, &args, progress, cli.json).await,
        Task::Warehouse(WarehouseArgs { task: AccountTask::Bootstrap { out }, .. }) => {
            return warehouse::bootstrap(&cli.target, &out, cli.json).await;
        }
        _ => {}
    }
    let platform = progress.spin("looking at the stack", Platform::open(&cli.target)).await?;
    let context = Context { platform, progress, json: cli.json };
    match cli.command {
        Task::Status => status::run(&context).await,
        Task::Runs(args) => runs::run(&context, &args).await,
        Task::Run(args) => run::run(&context, &args).await,
        Task::Backfill(args) => backfill::run(&context, &args).await,
        Task::Pause(args) => switch::run(&context, &args, false).await,
        Task::Resume(args) => switch::run(&context, &args, true).await,
        Task::Replay(args) => replay::run(&context, &args).await,
        Task::Prove(args) => prove::run(&context, &args).await,
        Task::Reset(args) => reset::run(&context, &args).await,
        Task::Erase(args) => erase::run(&context, &args).await,
        Task::Activate(args) => activate::run(&context, &args).await,
        Task::Retry(args) => retry::run(&context, &args).await,
        Task::Alerts(args) => alerts::run(&context, &args).await,
        Task::Costs(args) => costs::run(&context, &args).await,
        Task::Rejects(args) => rejects::run(&context, &args).await,
        Task::Logs(args) => logs::run(&context, &args).await,
        Task::Report(args) => report::run(&context, &args).await,
        Task::Query(args) => query::run(&context, &args).await,
        Task::Why(args) => why::run(&context, &args).await,
        Task::PutAside(args) => aside::run(&context, &args, aside::Change::PutAside).await,
        Task::TakeBack(args) => aside::run(&context, &args, aside::Change::TakeBack).await,
        Task::Warehouse(args) => warehouse::run(&context, &args).await,
        Task::Doctor
        | Task::Completions { .. }
        | Task::Deploy(_)
        | Task::Diff(_)
        | Task::Destroy(_)
        | Task::Topics(_)
        | Task::Verify(_) => Ok(()),
    }
}
