//! `sluice retry`: a commit that failed to load is queued again, what HubSpot did not take is sent again, or what lies in a queue
//! of dead letters goes back.

use aws_sdk_sqs::Client;
use serde::Serialize;
use serde_json::json;
use sluice_aws::classify;
use sluice_core::{Loader, Sequence, functions::HUBSPOT};
use sluice_pipeline::log;

use crate::{
    args::RetryArgs,
    commands::{Context, activate},
    dead_letters::{self, Back, DeadLetters, SentBack},
    failure::{Failure, Outcome},
    output,
    warehouse::Observe,
};

pub(super) async fn run(context: &Context<'_>, args: &RetryArgs) -> Outcome {
    if let Some(dead) = &args.dead {
        return dead_letters(context, dead_letters::named(dead)?).await;
    }
    let named = args.table.as_deref().unwrap_or_default();
    if named == HUBSPOT {
        return Box::pin(activate::retry(context)).await;
    }
    let sequence = args.sequence.ok_or_else(|| Failure::usage("a commit is named by its number: --sequence NUMBER"))?;
    let platform = &context.platform;
    let table = platform.table(named)?;
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

async fn dead_letters(context: &Context<'_>, letters: &DeadLetters) -> Outcome {
    let sending = letters.send_back(&context.platform);
    let all = context.progress.spin(format!("sending back dead letters of {}", letters.name), sending).await?;
    output::print(context.json, &Answer { dead_letters: letters.name, all: &all }, |_| told(letters, &all))?;
    match all.why {
        None => Ok(()),
        Some(failure) => Err(failure),
    }
}

#[derive(Serialize)]
struct Answer<'a> {
    dead_letters: &'a str,
    #[serde(flatten)]
    all: &'a SentBack,
}

fn told(letters: &DeadLetters, all: &SentBack) -> String {
    let SentBack { sent_back: sent, left, in_hand, .. } = all;
    let mut text = match letters.back {
        _ if sent + left + in_hand == 0 && all.why.is_none() => {
            return format!("there are no dead letters of {}", letters.name);
        }
        Back::To(queue) => format!("{sent} dead letters are back in {queue}; `sluice doctor` says whether they return"),
        Back::Invoked | Back::ToPeople => format!("{sent} runs were made up for"),
    };
    if *left > 0 {
        text.push_str(&format!("\n{left} could not go back and lie there still"));
    }
    if *in_hand > 0 {
        text.push_str(&format!(
            "\n{in_hand} somebody else has in hand, or a command that was ended: back within 16 minutes"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use sluice_core::Error;

    use super::*;

    #[test]
    fn a_queue_that_nobody_may_read_is_not_told_as_empty() {
        let letters = dead_letters::named("load").expect("a name");
        assert_eq!(told(letters, &SentBack::default()), "there are no dead letters of load");
        let why = Some(Failure::from(Error::unavailable("cannot read the queue")));
        let refused = told(letters, &SentBack { left: 100, why, ..SentBack::default() });
        assert!(refused.ends_with("\n100 could not go back and lie there still"), "{refused}");
        let why = Some(Failure::from(Error::unavailable("cannot read the queue")));
        let refused = told(letters, &SentBack { why, ..SentBack::default() });
        assert!(!refused.contains("there are no"), "{refused}");
    }
}
