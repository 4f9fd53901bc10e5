//! What wakes the function: news of a dbt run that succeeded, or a person.

use chrono::{DateTime, Utc};
use serde::{Deserialize, de::IgnoredAny};
use sluice_core::{Error, Result};

/// An event only wakes: which run is shown is asked of the lake, so a late or doubled one changes nothing.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    News(News),
    Publish(Publish),
}

/// `RunSucceeded` as the bus delivers it. Only its time is used.
#[derive(Debug, Deserialize)]
pub struct News {
    time: DateTime<Utc>,
    #[serde(rename = "detail-type")]
    _detail_type: RunSucceeded,
    #[serde(rename = "detail")]
    _detail: IgnoredAny,
}

#[derive(Debug, Deserialize)]
enum RunSucceeded {
    RunSucceeded,
}

/// `{"publish": true, "time": "…"}`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Publish {
    publish: bool,
    time: DateTime<Utc>,
}

impl Event {
    /// The moment that the report is of.
    pub fn time(&self) -> Result<DateTime<Utc>> {
        match self {
            Event::News(news) => Ok(news.time),
            Event::Publish(Publish { publish: true, time }) => Ok(*time),
            Event::Publish(_) => Err(Error::invalid_data("'publish' must be true").as_final()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_run_that_succeeded_and_a_person_wake_and_nothing_else_does() {
        let news = |kind: &str| json!({"time": "2026-10-30T09:00:00Z", "detail-type": kind, "detail": {"number": 7}});
        let time =
            |event: serde_json::Value| serde_json::from_value::<Event>(event).ok().and_then(|event| event.time().ok());
        let expected: Option<DateTime<Utc>> = "2026-10-30T09:00:00Z".parse().ok();
        assert_eq!(time(news("RunSucceeded")), expected);
        assert_eq!(time(json!({"publish": true, "time": "2026-10-30T09:00:00Z"})), expected);
        for other in [
            news("RunFailed"),
            json!({"publish": false, "time": "2026-10-30T09:00:00Z"}),
            json!({"publish": true}),
            json!({}),
        ] {
            assert_eq!(time(other.clone()), None, "{other}");
        }
    }
}
