//! What each channel takes, as values: a sender adds the address and the secret.

pub mod pagerduty;
pub mod slack;
pub mod sns;
#[cfg(test)]
mod tests;
pub mod webhook;

use super::content::{Action, Content};

/// What a message begins with.
fn headline(content: &Content) -> String {
    match content.action {
        Action::Summary => format!("[{}] Daily summary: {}", content.stack, content.title),
        Action::Resolve => format!("[{}] Resolved: {}", content.stack, content.title),
        Action::Remind => format!("[{}] Still open, severity {}: {}", content.stack, content.severity, content.title),
        Action::Acknowledge => format!("[{}] Acknowledged: {}", content.stack, content.title),
        Action::Open | Action::Change => {
            format!("[{}] Severity {}: {}", content.stack, content.severity, content.title)
        }
    }
}

/// The rest of a message as plain lines.
fn body(content: &Content) -> Vec<String> {
    let mut body = Vec::new();
    for line in &content.lines {
        let end = if line.resolved { " (resolved)" } else { "" };
        body.push(format!("{}: {}; expected: {}{end} [{}]", line.object, line.observed, line.expected, line.id));
    }
    if content.more > 0 {
        body.push(format!("and {} more; `sluice alerts` shows all", content.more));
    }
    if !content.silences.is_empty() {
        const MOST: usize = 20;
        let shown: Vec<&str> = content.silences.iter().take(MOST).map(String::as_str).collect();
        let more = content.silences.len().saturating_sub(MOST);
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        body.push(format!("not told for themselves, because of this: {}{more}", shown.join(", ")));
    }
    body.extend(content.note.clone());
    body.extend(content.runbook.as_ref().map(|page| format!("what to do: {page}")));
    if let (Some(line), Action::Open | Action::Remind) = (content.lines.first(), content.action) {
        body.push(format!("sluice alerts ack {}", line.id));
    }
    body
}

/// The beginning of a text that has at most this many characters.
fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    text.chars().take(most.saturating_sub(1)).chain(['…']).collect()
}
