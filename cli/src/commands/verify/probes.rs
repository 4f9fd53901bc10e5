//! What a probe is, and which there are.

use chrono::Utc;

use super::{alerts, aws, canary, finding::Finding, warehouse};
use crate::{failure::Outcome, platform::Platform};

/// One question to the platform, by which a row of the list is proven.
#[derive(Debug)]
pub(super) struct Probe {
    /// As the list and the command line name it.
    pub id: &'static str,
    /// Whose behaviour it shows.
    pub of: Of,
    /// Whether it leaves something behind: a commit, or an object for a moment.
    pub writes: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Aws,
    Warehouse,
    Both,
}

pub(super) const PROBES: &[Probe] = &[
    Probe { id: "loops", of: Of::Aws, writes: false },
    Probe { id: "on-aws", of: Of::Aws, writes: false },
    Probe { id: "recursion", of: Of::Aws, writes: false },
    Probe { id: "roles-no-wider", of: Of::Aws, writes: false },
    Probe { id: "alerts-sent", of: Of::Aws, writes: false },
    Probe { id: "mail-confirmed", of: Of::Aws, writes: false },
    Probe { id: "memory", of: Of::Aws, writes: false },
    Probe { id: "conditional-put", of: Of::Aws, writes: true },
    Probe { id: "account-plan", of: Of::Warehouse, writes: false },
    Probe { id: "quotient", of: Of::Warehouse, writes: false },
    Probe { id: "stream-latency", of: Of::Warehouse, writes: false },
    Probe { id: "report", of: Of::Both, writes: false },
    Probe { id: "canary", of: Of::Both, writes: true },
];

impl Probe {
    pub(super) async fn ask(&self, platform: &Platform, table: Option<&str>) -> Outcome<Finding> {
        match self.id {
            "loops" => aws::loops(platform).await,
            "on-aws" => Ok(aws::on_aws(platform)),
            "recursion" => aws::recursion(platform).await,
            "roles-no-wider" => aws::roles_no_wider(platform).await,
            "alerts-sent" => alerts::sent(platform).await,
            "mail-confirmed" => alerts::confirmed(platform).await,
            "memory" => aws::memory(platform, Utc::now()).await,
            "conditional-put" => aws::conditional_put(platform).await,
            "account-plan" => warehouse::account_plan(platform).await,
            "quotient" => warehouse::quotient(platform).await,
            "stream-latency" => warehouse::stream_latency(platform).await,
            "report" => warehouse::report(platform).await,
            _ => canary::run(platform, table).await,
        }
    }
}
