// A load's future holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

use load_commits::{Config, Deps, serve};
use sluice_lambda::{MainResult, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    let config = start(Config::read)?;
    let deps = Deps::connect(config).await?;
    run(async |event, invocation| serve(event, invocation, &deps).await).await
}
