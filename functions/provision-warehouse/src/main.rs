// The future of a request holds those of every client that it uses, deeper than the compiler looks by default.
#![recursion_limit = "256"]

use provision_warehouse::{Config, Deps, answer, serve};
use sluice_core::Error;
use sluice_lambda::{MainResult, run, start};

#[tokio::main(flavor = "current_thread")]
async fn main() -> MainResult {
    answer::instead_of_silence();
    // A process that ended here would leave CloudFormation without an answer: it waits for one for half an hour.
    let deps = match start(Config::read) {
        Ok(config) => Deps::connect(config).await,
        Err(error) => Err(Error::config(error.to_string())),
    };
    run(async |event, invocation| serve(event, invocation, &deps).await).await
}
