//! `sluice retry`: a commit that failed to load is queued again, or what HubSpot did not take is sent again.

use aws_sdk_sqs::Client;
use serde_json::json;
use sluice_aws::classify;
use sluice_core::{Loader, Sequence, functions::HUBSPOT};
use sluice_pipeline::log;

use crate::{
    args::RetryArgs,
    commands::{Context, activate},
    failure::{Failure, Outcome},
    output,
    warehouse::Observe,
};

pub(super) async fn run(context: &Context<'_>, args: &RetryArgs) -> Outcome {
    if args.table == HUBSPOT {
        return Box::pin(activate::retry(context)).await;
    }
    let sequence = args.sequence.ok_or_else(|| Failure::usage("a commit is named by its number: --sequence NUMBER"))?;
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    if table.loader == Loader::Streaming {
        return Err(Failure::usage("a streaming table has no commits to load"));
    }
    let (id, sequence) = (&table.table, Sequence(sequence));
    log::read_commit(&platform.store()?, id, sequence).await?;
    let warehouse = platform.warehouse().await?;
    let asked = context.progress.spin("asking the ledger", warehouse.entry(id, sequence)).await?;
    if asked.is_some_and(|entry| entry.status == "loaded") {
        return Err(Failure::usage(format!("{id} #{sequence} is loaded already")).hint("`sluice runs` lists commits"));
    }
    let message = json!({"retry": {"table": id, "sequence": sequence}});
    let queue = platform.stack.output("LoadQueueUrl")?;
    let send = Client::new(&platform.place.aws).send_message().queue_url(queue).message_body(message.to_string());
    send.send().await.map_err(|error| classify(error, "cannot send to the load queue".into()))?;
    let answer = json!({"table": id, "sequence": sequence, "queued": true});
    output::print(context.json, &answer, |_| {
        format!("{id} #{sequence} is queued; `sluice status` shows when it is loaded")
    })
}
