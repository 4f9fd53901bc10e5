//! A topic of SNS: what its subscribers, e-mail among them, are sent.

use super::{body, headline};
use crate::alerts::content::Content;

/// The most characters of a subject.
const SUBJECT: usize = 99;

/// A message may have 256 KiB with its attributes.
const MESSAGE_BYTES: usize = 200_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    pub subject: String,
    pub message: String,
    /// By which a subscription may choose.
    pub attributes: [(&'static str, String); 3],
}

pub fn notification(content: &Content) -> Notification {
    let headline = headline(content);
    let mut message = format!("{headline}\n\n{}\n", body(content).join("\n"));
    message.push_str(&format!("\nopened {}, key {}\n", content.opened_at.format("%F %H:%M UTC"), content.key));
    let end = (0..=MESSAGE_BYTES.min(message.len())).rev().find(|at| message.is_char_boundary(*at)).unwrap_or(0);
    message.truncate(end);
    let action = serde_json::to_value(content.action).ok().and_then(|word| word.as_str().map(str::to_owned));
    Notification {
        subject: subject(&headline),
        message,
        attributes: [
            ("severity", content.severity.to_string()),
            ("action", action.unwrap_or_default()),
            ("stack", content.stack.clone()),
        ],
    }
}

/// ASCII without line breaks, beginning with a letter or digit, which is all that SNS takes.
fn subject(headline: &str) -> String {
    let headline = headline.replacen('[', "", 1).replacen("] ", ": ", 1);
    let plain = headline.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' });
    let text: String = plain.skip_while(|c| !c.is_ascii_alphanumeric()).collect();
    text.chars().take(SUBJECT).collect::<String>().trim_end().to_owned()
}
