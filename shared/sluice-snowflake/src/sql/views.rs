//! Views over the ledger, measures and incidents, for people who query. The platform reads none of them.

use super::{
    OBSERVABILITY, costs,
    ledger::{REPLAY, RESET},
};

/// A view: its name, what it shows, and its query.
pub struct View {
    pub name: &'static str,
    pub about: &'static str,
    query: fn() -> String,
}

pub const ALL: [View; 7] = [
    View { name: "RUNS", about: "Each load of a commit and each run of dbt, and how it ended.", query: runs },
    View {
        name: "LOAD_DAYS",
        about: "By table and day: commits, failed ones, rows, the newest load.",
        query: load_days,
    },
    View { name: "CHECKS", about: "Measured days of tables and of their columns.", query: checks },
    View {
        name: "INCIDENT_STATES",
        about: "Each incident as it stands, with when it was opened.",
        query: incident_states,
    },
    View { name: "OPEN_ALERTS", about: "Incidents that are not resolved, the worst first.", query: open_alerts },
    View { name: "DBT_COSTS", about: "By day: runs of dbt, failed ones, seconds and credits.", query: dbt_costs },
    View { name: "COST_DAYS", about: "What each day cost, by its newest measure.", query: costs::newest },
];

impl View {
    /// Makes the view, or makes it again; who could read it still can.
    pub fn create(&self) -> String {
        format!("CREATE OR REPLACE VIEW {OBSERVABILITY}.{} COPY GRANTS AS\n{}", self.name, (self.query)())
    }
}

fn runs() -> String {
    format!(
        "SELECT 'load' AS KIND, TABLE_NAME AS OBJECT, RUN_ID, STATUS, LOADED_AT AS ENDED_AT, ROWS_LOADED AS ROW_COUNT, \
         NULL::NUMBER(14,3) AS SECONDS, REASON\nFROM {OBSERVABILITY}.LOADS WHERE LOADER <> '{REPLAY}'\n\
         UNION ALL\n\
         SELECT 'dbt' AS KIND, 'dbt' AS OBJECT, RUN_ID, STATUS, FINISHED_AT AS ENDED_AT, ROWS_AFFECTED AS ROW_COUNT, \
         SECONDS, REASON\nFROM {OBSERVABILITY}.DBT_RUNS"
    )
}

fn load_days() -> String {
    format!(
        "SELECT TABLE_NAME, LOADED_AT::DATE AS DAY, COUNT(*) AS COMMITS, \
         COUNT(CASE WHEN STATUS = 'failed' THEN 1 END) AS FAILED, SUM(ROWS_LOADED)::NUMBER(20,0) AS ROW_COUNT, \
         MAX(LOADED_AT) AS NEWEST\n\
         FROM {OBSERVABILITY}.LOADS WHERE LOADER NOT IN ('{RESET}', '{REPLAY}') GROUP BY TABLE_NAME, LOADED_AT::DATE"
    )
}

fn checks() -> String {
    format!(
        "SELECT TABLE_NAME, DAY, COLUMN_NAME, ROW_COUNT, NULL_COUNT, MEAN, MINIMUM, MAXIMUM, LATE_ROWS, DELAY_SECONDS, \
         MEASURED_AT\nFROM {OBSERVABILITY}.MEASURES\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY TABLE_NAME, DAY, COLUMN_NAME ORDER BY MEASURED_AT DESC) = 1"
    )
}

/// Of an incident the newest change counts.
fn incident_states() -> String {
    format!(
        "SELECT INCIDENT, MONITOR, OBJECT, KIND, SEVERITY, STATE, SIZE, OBSERVED, EXPECTED, CAUSE, OPENED_AT, CHANGED_AT, \
         SAID_BY, CASE WHEN STATE = 'resolved' THEN DATEDIFF('SECOND', OPENED_AT, CHANGED_AT) END AS SECONDS_TO_RESOLVE\n\
         FROM {OBSERVABILITY}.INCIDENTS\n\
         QUALIFY ROW_NUMBER() OVER (PARTITION BY INCIDENT ORDER BY CHANGED_AT DESC) = 1"
    )
}

fn open_alerts() -> String {
    format!(
        "SELECT SEVERITY, STATE, MONITOR, OBJECT, KIND, OBSERVED, EXPECTED, CAUSE, OPENED_AT, CHANGED_AT, INCIDENT\n\
         FROM {OBSERVABILITY}.INCIDENT_STATES WHERE STATE <> 'resolved' ORDER BY SEVERITY, OPENED_AT"
    )
}

fn dbt_costs() -> String {
    format!(
        "SELECT FINISHED_AT::DATE AS DAY, COUNT(*) AS RUNS, COUNT(CASE WHEN STATUS <> 'succeeded' THEN 1 END) AS FAILED, \
         SUM(SECONDS)::NUMBER(20,3) AS SECONDS, SUM(CREDITS)::NUMBER(20,6) AS CREDITS\n\
         FROM {OBSERVABILITY}.DBT_RUNS GROUP BY FINISHED_AT::DATE"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::snapshot;

    #[test]
    fn what_people_query() {
        snapshot::check("views", &ALL.each_ref().map(View::create));
    }
}
