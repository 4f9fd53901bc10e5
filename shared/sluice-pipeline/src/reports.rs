//! Reports in the lake: one folder for each run of dbt that was reported, the newest listing first.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sluice_core::{Error, Result, lake, port::ObjectStore};

/// A report in short, for programs and terminals. It is put last: a report without it is not whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    /// The run of dbt.
    pub number: u64,
    pub at: DateTime<Utc>,
    /// The page's key in the lake.
    pub page: String,
    pub bytes: usize,
    /// How many tiles the page has, and how many of them could not be shown.
    pub tiles: usize,
    pub failed: usize,
    /// The single numbers, in the page's order.
    pub numbers: Vec<Line>,
    /// What has to be said of all of it.
    pub notes: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    pub section: String,
    pub title: String,
    pub value: String,
    /// What must be known before the number is believed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

impl Summary {
    /// The single numbers as lines, each with what has to be said of it.
    pub fn lines(&self) -> Vec<String> {
        let width = self.numbers.iter().map(|line| line.title.chars().count()).max().unwrap_or_default();
        let mut lines = Vec::new();
        for Line { section, title, value, warnings } in &self.numbers {
            lines.push(format!("{section:<16} {title:<width$}  {value}"));
            lines.extend(warnings.iter().map(|warning| format!("{:<16} ! {warning}", "")));
        }
        lines
    }
}

/// The newest report that is whole; `None` before the first.
pub async fn newest(store: &impl ObjectStore) -> Result<Option<Summary>> {
    let Some(first) = store.first_key(lake::REPORTS_PREFIX).await? else { return Ok(None) };
    let Some(newest) = lake::report_number(&first) else {
        return Err(Error::invalid_data("the folder of reports holds an object that is of none").with("key", first));
    };
    // The newest may be in the making; then the one before it is shown.
    for number in (1..=newest).rev() {
        let key = format!("{}{}", lake::report_prefix(number), lake::REPORT_SUMMARY);
        if let Some(body) = store.get(&key).await? {
            let broken =
                |error| Error::invalid_data("a report's summary does not parse").with("key", &key).because(error);
            return serde_json::from_slice(&body).map(Some).map_err(broken);
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures::executor::block_on;

    use super::*;
    use crate::fakes::MemoryStore;

    #[test]
    fn the_newest_report_that_is_whole_is_found() {
        let store = MemoryStore::default();
        let put = |key: String, body: &str| drop(block_on(store.put(&key, Bytes::from(body.to_owned()))).expect("put"));
        assert_eq!(block_on(newest(&store)).expect("readable"), None);
        for number in [2, 10, 11] {
            let prefix = lake::report_prefix(number);
            put(format!("{prefix}index.html"), "<p>");
            if number < 11 {
                let summary = serde_json::json!({"number": number, "at": "2026-03-16T00:00:00Z", "page": "p", "bytes": 3,
                    "tiles": 1, "failed": 0, "notes": [],
                    "numbers": [{"section": "Sales", "title": "Pounds", "value": "£1", "warnings": ["Stale."]}]});
                put(format!("{prefix}{}", lake::REPORT_SUMMARY), &summary.to_string());
            }
        }
        let found = block_on(newest(&store)).expect("readable").expect("a report");
        assert_eq!(found.number, 10, "the eleventh is in the making");
        assert_eq!(found.lines(), ["Sales            Pounds  £1", "                 ! Stale."]);
    }
}
