//! `sluice put-aside` and `sluice take-back`: a row that must not count, and one that counts again.

use aws_sdk_sqs::Client;
use serde::Serialize;
use serde_json::{Value, json};
use sluice_aws::classify;
use sluice_core::TableId;
use sluice_pipeline::{
    aside::{self, Aside, Wanted},
    dispatch::Message,
    rejects::masked_key,
};

use crate::{
    args::{AsideArgs, RowArgs},
    commands::Context,
    confirm,
    failure::{Failure, Outcome},
    output::{self, WIDTH, shortened, thousands},
    platform::Platform,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    PutAside,
    TakeBack,
}

/// What would be, or was, done.
#[derive(Debug, Serialize)]
struct Answer {
    table: TableId,
    key: String,
    /// How many rows of the raw table have the key.
    rows: u64,
    /// `dry run`, `put aside`, `taken back`, `nothing to change`.
    outcome: &'static str,
    by: String,
    reason: String,
    /// Whether dbt was told. The next run leaves the row out, or takes it in, in any case.
    dbt_woken: bool,
}

pub(super) async fn run(context: &Context<'_>, args: &AsideArgs, change: Change) -> Outcome {
    let platform = &context.platform;
    let table = platform.table(&args.table)?;
    let warehouse = platform.warehouse().await?;
    let finding = aside::find(&warehouse, table, wanted(&args.row));
    let (key, rows) = context.progress.spin("looking for the row", finding).await.map_err(of_row)?;
    if rows == 0 && change == Change::PutAside {
        return Err(aside::not_there(table).with("key", masked_key(table, &key.text)).into());
    }
    let by = platform.caller().await?;
    let (id, reason) = (&table.table, args.reason.clone());
    // One that was named by its place may name a person.
    let shown = masked_key(table, &key.text).to_owned();
    let mut answer = Answer { table: id.clone(), key: shown, rows, outcome: "dry run", by, reason, dbt_woken: false };
    if !args.dry_run {
        if !args.yes {
            confirm::agreed(change.what(), &render(&answer), change.question())?;
        }
        let changed = match change {
            Change::PutAside => warehouse.put_aside(id, &key, &answer.by, &answer.reason).await?,
            Change::TakeBack => warehouse.take_back(id, &key, &answer.by, &answer.reason).await?,
        };
        answer.outcome = if changed { change.done() } else { "nothing to change" };
        if changed {
            wake_dbt(platform, id, change).await?;
            answer.dbt_woken = true;
        }
    }
    output::print(context.json, &answer, render)
}

fn wanted(row: &RowArgs) -> Wanted<'_> {
    match (&row.key, row.partition, row.offset) {
        (None, Some(partition), Some(offset)) => Wanted::Place { partition, offset },
        (key, ..) => Wanted::Key(key.as_deref().unwrap_or_default()),
    }
}

/// A row that cannot be named so was a wrong thing to ask for; everything else went wrong on the way.
fn of_row(error: sluice_core::Error) -> Failure {
    use sluice_core::Kind;
    match error.kind() {
        Kind::Config | Kind::Unsupported => {
            let hint = error.hint().unwrap_or("`sluice query` shows the table's rows").to_owned();
            Failure::usage(error.chain()).hint(hint)
        }
        _ => error.into(),
    }
}

/// The list is in the warehouse; the dispatch loop compares it with what the last run covered.
async fn wake_dbt(platform: &Platform, table: &TableId, change: Change) -> Outcome {
    let cause = format!("a row of {table} was {}", change.done());
    let wake = Message::Wake { cause, force: false, resume: false };
    let message: Value = json!(wake);
    let queue = platform.stack.output("DispatchQueueUrl")?;
    let send = Client::new(&platform.place.aws).send_message().queue_url(queue).message_body(message.to_string());
    let sent = send.send().await.map_err(|error| classify(error, "cannot send to the dispatch queue".into()));
    sent.map(drop).map_err(|error| {
        Failure::from(error).hint(format!("the row is {}; the next run of dbt finds it", change.done()))
    })
}

impl Change {
    fn what(self) -> &'static str {
        match self {
            Change::PutAside => "putting a row aside",
            Change::TakeBack => "taking a row back",
        }
    }

    fn question(self) -> &'static str {
        match self {
            Change::PutAside => "leave this row out of the models?",
            Change::TakeBack => "let this row count again?",
        }
    }

    fn done(self) -> &'static str {
        match self {
            Change::PutAside => "put aside",
            Change::TakeBack => "taken back",
        }
    }
}

fn render(answer: &Answer) -> String {
    let rows = match answer.rows {
        1 => "1 row of the raw table".to_owned(),
        rows => format!("{} rows of the raw table", thousands(rows)),
    };
    let mut lines = vec![
        format!("{}: {}", answer.table, answer.outcome),
        shortened(&format!("  key     {} ({rows})", answer.key), WIDTH),
        shortened(&format!("  by      {}", answer.by), WIDTH),
        shortened(&format!("  reason  {}", answer.reason), WIDTH),
    ];
    if answer.dbt_woken {
        lines.push("  dbt     was told; `sluice status` shows its run".to_owned());
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_says_which_row_by_whom_and_why() {
        let mut answer = Answer {
            table: "A.B.C".parse().expect("a table"),
            key: "2026-01-05/USD/GBP/final".into(),
            rows: 2,
            outcome: "put aside",
            by: "arn:aws:iam::1:user/u".into(),
            reason: "wrong ".repeat(40),
            dbt_woken: true,
        };
        let text = render(&answer);
        assert!(
            text.starts_with("A.B.C: put aside\n  key     2026-01-05/USD/GBP/final (2 rows of the raw table)\n"),
            "{text}"
        );
        assert!(text.contains("dbt     was told") && text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
        (answer.rows, answer.dbt_woken) = (1, false);
        assert!(render(&answer).contains("(1 row of") && !render(&answer).contains("dbt"));
    }
}
