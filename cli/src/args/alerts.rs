//! The verbs about what is wrong with the data, and who has it in hand.

use chrono::{DateTime, Utc};
use clap::{Args, Subcommand};

use super::to_time;

#[derive(Debug, Args)]
pub(crate) struct AlertsArgs {
    #[command(subcommand)]
    pub task: Option<AlertTask>,
    /// Also incidents that are resolved and whose end a channel does not know yet.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum AlertTask {
    /// Say that you have an incident in hand: no more reminders, and its messages say who.
    Ack {
        /// The incident's id, as messages and `sluice alerts` show it.
        incident: String,
    },
    /// Say that the days that an incident told were a fault: they never teach what is usual.
    Confirm {
        /// The incident's id.
        incident: String,
    },
    /// Say that this is how it is now: the days that an incident told teach at once, and it resolves.
    Expected {
        /// The incident's id.
        incident: String,
    },
    /// What is promised and what is left of it: error budgets, by the incidents of the last days.
    Objectives,
    /// Send nothing of an incident until a time.
    Mute {
        /// The incident's id.
        incident: String,
        /// Until then: RFC 3339, or a date for the end of that day (UTC).
        #[arg(long, value_name = "TIME", value_parser = to_time)]
        until: DateTime<Utc>,
    },
}
