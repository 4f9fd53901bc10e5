//! A line of a function's log: JSON of ours, or whatever Lambda itself writes.

use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Map, Value, json};

/// What stands at a fixed place of the text, or says where in the code a line was written.
const PLACED: [&str; 5] = ["timestamp", "level", "message", "target", "span"];

pub(super) struct Line<'a> {
    at: DateTime<Utc>,
    text: &'a str,
    /// `None` of a line that is no JSON object.
    fields: Option<Map<String, Value>>,
}

impl<'a> Line<'a> {
    pub(super) fn read(at: DateTime<Utc>, text: &'a str) -> Self {
        let text = text.trim_end();
        let fields: Option<Map<String, Value>> = serde_json::from_str(text).ok();
        // A line is listed with the time at which it was collected, and bears the one at which it was written.
        let written = fields.as_ref().and_then(|fields| fields.get("timestamp")?.as_str());
        let written = written.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
        Line { at: written.map_or(at, |written| written.to_utc()), text, fields }
    }

    /// For programs: our own line as it is.
    pub(super) fn json(&self) -> String {
        match self.fields {
            Some(_) => self.text.to_owned(),
            None => json!({"timestamp": self.time(), "message": self.text}).to_string(),
        }
    }

    /// `time LEVEL message name=value … run=id`
    pub(super) fn text(&self) -> String {
        let Some(fields) = &self.fields else { return format!("{}        {}", self.time(), self.text) };
        let word = |name: &str| fields.get(name).and_then(Value::as_str).unwrap_or_default();
        let mut parts = vec![self.time(), format!("{:<5}", word("level")), word("message").to_owned()];
        let run = fields.get("span").and_then(|span| span.get("run_id"));
        let is_told = |name: &str, value: &Value| PLACED.contains(&name) || name == "run_id" && Some(value) == run;
        let others = fields.iter().filter(|(name, value)| !is_told(name.as_str(), value));
        parts.extend(others.map(|(name, value)| format!("{name}={}", plain(value))));
        parts.extend(run.map(|run| format!("run={}", plain(run))));
        parts.retain(|part| !part.is_empty());
        parts.join(" ")
    }

    fn time(&self) -> String {
        self.at.to_rfc3339_opts(SecondsFormat::Millis, true)
    }
}

/// A text that is one word stands without quotes.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) if !text.is_empty() && !text.contains([' ', '"', '\n']) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Line<'_> {
        Line::read(DateTime::UNIX_EPOCH, text)
    }

    #[test]
    fn our_own_line_is_told_in_words_with_its_run() {
        let ours = r#"{"timestamp":"x","level":"INFO","message":"extract ended","table":"A.B.C","rows":7,"error":"it is late","target":"t","span":{"run_id":"r-1","name":"run"}}"#;
        let text = "1970-01-01T00:00:00.000Z INFO  extract ended error=\"it is late\" rows=7 table=A.B.C run=r-1";
        let mut told: Vec<String> = line(ours).text().split(' ').map(str::to_owned).collect();
        let mut expected: Vec<String> = text.split(' ').map(str::to_owned).collect();
        assert_eq!((told[0].clone(), told.last().cloned()), (expected[0].clone(), expected.last().cloned()));
        told.sort();
        expected.sort();
        assert_eq!(told, expected, "the order of fields is the log's own");
        assert_eq!(line(ours).json(), ours);
    }

    #[test]
    fn a_line_bears_its_own_time_and_its_run_once() {
        let ours = r#"{"timestamp":"2026-01-02T03:04:05.678901Z","level":"WARN","message":"late","run_id":"r-1","span":{"run_id":"r-1"}}"#;
        assert_eq!(line(ours).text(), "2026-01-02T03:04:05.678Z WARN  late run=r-1");
    }

    #[test]
    fn what_lambda_writes_is_shown_as_it_is() {
        let report = "REPORT RequestId: 1 Duration: 2 ms\n";
        assert_eq!(line(report).text(), "1970-01-01T00:00:00.000Z        REPORT RequestId: 1 Duration: 2 ms");
        let json: Value = serde_json::from_str(&line(report).json()).expect("JSON");
        assert_eq!(json["message"], "REPORT RequestId: 1 Duration: 2 ms");
        assert_eq!(line("[1]").text(), "1970-01-01T00:00:00.000Z        [1]");
    }
}
