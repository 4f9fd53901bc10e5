//! What is refused from now on, a line for each row.

use std::{collections::HashSet, pin::pin, time::Duration};

use chrono::{DateTime, SecondsFormat, Utc};
use futures::StreamExt;
use sluice_aws::S3Lake;
use sluice_core::Error;
use sluice_pipeline::rejects::Refusal;

use super::{Subject, read};
use crate::{failure::Outcome, output};

/// How often the lake is asked.
const LOOK: Duration = Duration::from_secs(2);

/// Ends when the person does, when nobody reads any more, or when something fails.
pub(super) async fn run(store: &S3Lake, subject: &Subject<'_>, since: Option<DateTime<Utc>>, json: bool) -> Outcome {
    // Without a time to begin at, what is there is known.
    let known = read::keys(store, subject).await?;
    let mut seen: HashSet<String> = known.iter().cloned().collect();
    let mut new = Vec::new();
    if let Some(since) = since {
        let (newest, unread) = read::since_then(subject, known, since);
        if unread > 0 {
            output::tell(&format!("{unread} older dead letters are not shown"));
        }
        new = newest;
        new.reverse();
    }
    loop {
        {
            let mut found = pin!(read::each(store, subject, &new));
            while let Some(refusals) = found.next().await {
                for refusal in refusals? {
                    let is_wanted = refusal.at.zip(since).is_none_or(|(at, since)| at >= since);
                    if is_wanted && !output::write(&(line(&subject.masked(refusal), json)? + "\n"))? {
                        return Ok(());
                    }
                }
            }
        }
        tokio::time::sleep(LOOK).await;
        let keys = read::keys(store, subject).await?;
        new = keys.into_iter().filter(|key| seen.insert(key.clone())).collect();
    }
}

fn line(refusal: &Refusal, json: bool) -> Outcome<String> {
    if json {
        let failed = |error| Error::internal("cannot encode a row").because(error);
        return Ok(serde_json::to_string(refusal).map_err(failed)?);
    }
    let at = refusal.at.map_or_else(|| "-".to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true));
    let place = refusal.place.map_or_else(String::new, |place| format!("{}/{}  ", place.partition, place.offset));
    Ok(format!("{at}  {place}{}  {}", refusal.reason, refusal.row))
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sluice_pipeline::rejects::Place;

    use super::*;

    #[test]
    fn a_row_is_one_line_for_people_and_for_programs() {
        let place = Some(Place { partition: 1, offset: 7 });
        let refusal =
            Refusal { reason: "is late".into(), at: Some(DateTime::UNIX_EPOCH), place, row: json!({"a": "x\ny"}) };
        let text = line(&refusal, false).expect("a line");
        assert_eq!(text, "1970-01-01T00:00:00Z  1/7  is late  {\"a\":\"x\\ny\"}");
        let json: serde_json::Value = serde_json::from_str(&line(&refusal, true).expect("a line")).expect("JSON");
        assert_eq!(json["place"]["offset"], 7);
    }
}
