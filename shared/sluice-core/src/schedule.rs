//! When a table is extracted, in the words of `platform/sources.yaml`.
//!
//! Each extract function is woken once an hour and looks which of its tables are due: a table's schedule is a line in
//! `sources.yaml` and nothing in the template. What is due depends on the scheduled time alone, so that a replay does the
//! same work.

use std::{fmt, str::FromStr};

use chrono::{DateTime, Datelike, Timelike, Utc, Weekday};
use serde::{Deserialize, Serialize, de};

use crate::{Error, Result};

/// `hourly`, `daily 0, 9` or `weekly monday 1`: hours of the day in UTC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Schedule {
    Hourly,
    Daily(Vec<u8>),
    Weekly(Weekday, u8),
}

const DAYS: [(&str, Weekday); 7] = [
    ("monday", Weekday::Mon),
    ("tuesday", Weekday::Tue),
    ("wednesday", Weekday::Wed),
    ("thursday", Weekday::Thu),
    ("friday", Weekday::Fri),
    ("saturday", Weekday::Sat),
    ("sunday", Weekday::Sun),
];

impl Schedule {
    /// Whether the hour of this time is one in which the table is extracted.
    pub fn is_due(&self, time: DateTime<Utc>) -> bool {
        match self {
            Schedule::Hourly => true,
            Schedule::Daily(hours) => hours.iter().any(|hour| u32::from(*hour) == time.hour()),
            Schedule::Weekly(day, hour) => *day == time.weekday() && u32::from(*hour) == time.hour(),
        }
    }

    /// The same in EventBridge's words, with the minute at which functions are woken.
    pub fn expression(&self) -> String {
        match self {
            Schedule::Hourly => "cron(15 * * * ? *)".to_owned(),
            Schedule::Daily(hours) => {
                let hours: Vec<String> = hours.iter().map(u8::to_string).collect();
                format!("cron(15 {} * * ? *)", hours.join(","))
            }
            Schedule::Weekly(day, hour) => format!("cron(15 {hour} ? * {} *)", day.to_string().to_uppercase()),
        }
    }
}

impl FromStr for Schedule {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let hour = |text: &str| text.trim().parse::<u8>().ok().filter(|hour| *hour < 24);
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let parsed = match word {
            "hourly" if rest.is_empty() => Some(Schedule::Hourly),
            "daily" => rest
                .split(',')
                .map(hour)
                .collect::<Option<Vec<u8>>>()
                .filter(|hours| differ(hours))
                .map(Schedule::Daily),
            "weekly" => rest.split_once(' ').and_then(|(day, at)| {
                let (_, day) = DAYS.iter().find(|(name, _)| *name == day)?;
                Some(Schedule::Weekly(*day, hour(at)?))
            }),
            _ => None,
        };
        parsed.ok_or_else(|| {
            Error::config(format!(
                "'{text}' is no schedule; known are 'hourly', 'daily 0, 9' and 'weekly monday 1' (hours from 0 to 23 in \
                 UTC, each once)"
            ))
        })
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Schedule::Hourly => f.write_str("hourly"),
            Schedule::Daily(hours) => {
                let hours: Vec<String> = hours.iter().map(u8::to_string).collect();
                write!(f, "daily {}", hours.join(", "))
            }
            Schedule::Weekly(day, hour) => {
                let name = DAYS.iter().find(|(_, known)| known == day).map_or("", |(name, _)| name);
                write!(f, "weekly {name} {hour}")
            }
        }
    }
}

/// Whether each hour stands once.
fn differ(hours: &[u8]) -> bool {
    (1..hours.len()).all(|at| !hours[..at].contains(&hours[at]))
}

impl Serialize for Schedule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Schedule {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schedule_reads_as_it_prints() {
        for text in ["hourly", "daily 0, 9", "daily 23", "weekly monday 1", "weekly sunday 0"] {
            assert_eq!(text.parse::<Schedule>().map(|s| s.to_string()).ok().as_deref(), Some(text));
        }
        for bad in [
            "",
            "daily",
            "daily 24",
            "daily 9:00",
            "daily 9, 9",
            "daily 0,",
            "weekly 1",
            "weekly mon 1",
            "hourly 3",
            "rate(1 hour)",
        ] {
            assert!(bad.parse::<Schedule>().is_err(), "{bad} was accepted");
        }
    }

    #[test]
    fn a_schedule_is_told_in_the_clouds_words() {
        for (text, expression) in [
            ("hourly", "cron(15 * * * ? *)"),
            ("daily 0, 9", "cron(15 0,9 * * ? *)"),
            ("weekly monday 1", "cron(15 1 ? * MON *)"),
        ] {
            assert_eq!(text.parse::<Schedule>().map(|s| s.expression()).ok().as_deref(), Some(expression));
        }
    }

    #[test]
    fn a_week_of_wakings_starts_each_table_as_often_as_it_says() {
        // 2026-10-05 is a Monday; the functions are woken a quarter past.
        let monday: DateTime<Utc> = "2026-10-05T00:15:00Z".parse().expect("a time");
        for (text, times, first) in [
            ("hourly", 168, "2026-10-05T00:15:00Z"),
            ("daily 0, 9", 14, "2026-10-05T00:15:00Z"),
            ("daily 9", 7, "2026-10-05T09:15:00Z"),
            ("weekly tuesday 1", 1, "2026-10-06T01:15:00Z"),
        ] {
            let schedule: Schedule = text.parse().expect("a schedule");
            let wakings = (0..168).map(|hour| monday + chrono::TimeDelta::hours(hour));
            let due: Vec<DateTime<Utc>> = wakings.filter(|time| schedule.is_due(*time)).collect();
            assert_eq!((due.len(), due.first().copied()), (times, first.parse().ok()), "{text}");
        }
    }
}
