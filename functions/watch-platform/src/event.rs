//! What may arrive: a schedule's or a person's request for a round, news of the bus, and what people say of an incident.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;
use sluice_core::{Error, Result, event::LoadFailed};
use sluice_pipeline::watch::Asked;
use sluice_watch::alerts::{Command, Says};

#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Event {
    Bus(News),
    Round(Round),
    Acknowledge(Acknowledge),
    Mute(Mute),
}

/// An event of the bus: it asks for a round at once where something may have gone wrong or right again.
#[derive(Debug, Deserialize)]
pub struct News {
    #[serde(rename = "detail-type")]
    pub detail_type: String,
    pub time: DateTime<Utc>,
    #[serde(default)]
    pub detail: Value,
}

/// What sets off a round. Other news is for those who follow runs.
const JUDGED: [&str; 3] = ["LoadFailed", "RunFailed", "RunSucceeded"];

impl News {
    pub fn is_judged(&self) -> bool {
        JUDGED.contains(&self.detail_type.as_str())
    }

    fn failed(self) -> Result<Option<LoadFailed>> {
        if self.detail_type != "LoadFailed" {
            return Ok(None);
        }
        let unusable =
            |error| Error::invalid_data("the event of a failed load cannot be read").because(error).as_final();
        serde_json::from_value(self.detail).map(Some).map_err(unusable)
    }
}

/// `{"round": true}`, from a schedule with its own time; with `"fresh": true` each table is measured again.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Round {
    pub round: bool,
    #[serde(default)]
    pub fresh: bool,
    #[serde(default)]
    pub time: Option<DateTime<Utc>>,
}

/// `{"acknowledge": "0a1b2c3d", "by": "…"}`, with `"says": "fault"` or `"expected"` of the days that it told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledge {
    pub acknowledge: String,
    pub by: String,
    #[serde(default)]
    pub says: Option<Says>,
}

/// `{"mute": "0a1b2c3d", "by": "…", "until": "…"}`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mute {
    pub mute: String,
    pub by: String,
    pub until: DateTime<Utc>,
}

impl Event {
    pub fn asked(self) -> Result<Asked> {
        let command = |command| Asked { commands: vec![command], ..Asked::default() };
        match self {
            Event::Bus(news) => Ok(Asked { at: Some(news.time), failed: news.failed()?, ..Asked::default() }),
            Event::Round(Round { round: true, fresh, time }) => Ok(Asked { at: time, fresh, ..Asked::default() }),
            Event::Round(_) => {
                Err(Error::invalid_data("the event asks for no round; send {\"round\": true}").as_final())
            }
            Event::Acknowledge(Acknowledge { acknowledge: incident, by, says }) => {
                Ok(command(Command::Acknowledge { incident, by, says }))
            }
            Event::Mute(Mute { mute: incident, by, until }) => Ok(command(Command::Mute { incident, by, until })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_event_asks_for_a_round_and_others_are_refused() {
        let asked = |text: &str| {
            let event: Event = serde_json::from_str(text).map_err(|error| Error::invalid_data(error.to_string()))?;
            event.asked()
        };
        let time = Some(DateTime::UNIX_EPOCH);
        let plain = Asked { at: time, ..Asked::default() };
        let acknowledge = |says| Asked {
            commands: vec![Command::Acknowledge { incident: "0a1b".into(), by: "ann".into(), says }],
            ..Asked::default()
        };
        for (text, expected) in [
            (r#"{"round":true,"time":"1970-01-01T00:00:00Z"}"#, Some(plain.clone())),
            (r#"{"round":true,"fresh":true}"#, Some(Asked { fresh: true, ..Asked::default() })),
            (r#"{"version":"0","detail-type":"RunFailed","time":"1970-01-01T00:00:00Z","detail":{}}"#, Some(plain)),
            (r#"{"acknowledge":"0a1b","by":"ann"}"#, Some(acknowledge(None))),
            (r#"{"acknowledge":"0a1b","by":"ann","says":"expected"}"#, Some(acknowledge(Some(Says::Expected)))),
            (r#"{"acknowledge":"0a1b","by":"ann","says":"good"}"#, None),
            (r#"{"mute":"0a1b","by":"ann"}"#, None),
            (r#"{"round":false}"#, None),
            (r#"{"sweep":true}"#, None),
        ] {
            assert_eq!(asked(text).ok(), expected, "{text}");
        }
    }
}
