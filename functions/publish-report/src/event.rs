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

/// The moment that a report is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Moment {
    /// As somebody asks for it.
    Asked(DateTime<Utc>),
    /// Of news, which may come late: when the shown run ended after it, that is the moment.
    OfNews(DateTime<Utc>),
}

impl Moment {
    pub fn of_run_that_ended(self, ended_at: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Moment::Asked(at) => at,
            Moment::OfNews(at) => at.max(ended_at),
        }
    }
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
    pub fn moment(&self) -> Result<Moment> {
        match self {
            Event::News(news) => Ok(Moment::OfNews(news.time)),
            Event::Publish(Publish { publish: true, time }) => Ok(Moment::Asked(*time)),
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
        let moment = |event: serde_json::Value| {
            serde_json::from_value::<Event>(event).ok().and_then(|event| event.moment().ok())
        };
        let at: DateTime<Utc> = "2026-10-30T09:00:00Z".parse().expect("a time");
        assert_eq!(moment(news("RunSucceeded")), Some(Moment::OfNews(at)));
        assert_eq!(moment(json!({"publish": true, "time": "2026-10-30T09:00:00Z"})), Some(Moment::Asked(at)));
        for other in [
            news("RunFailed"),
            json!({"publish": false, "time": "2026-10-30T09:00:00Z"}),
            json!({"publish": true}),
            json!({}),
        ] {
            assert_eq!(moment(other.clone()), None, "{other}");
        }
    }
}
