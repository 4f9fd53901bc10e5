//! A plan for people, for programs and for those who run SQL by hand.

use super::{Change, Difference, Plan, Sign};
use crate::account::value::Value;

impl Plan {
    /// As a terminal shows it.
    pub fn to_text(&self) -> String {
        let mut text = String::new();
        for change in &self.changes {
            text.push_str(&change.to_text());
        }
        for blocked in &self.blocked {
            text.push_str(&format!("! {}: {}\n    {}\n", blocked.what, blocked.reason, blocked.to_do));
        }
        for warning in &self.warnings {
            text.push_str(&format!("! {warning}\n"));
        }
        if !self.unnamed.is_empty() {
            text.push_str("In the account and not in the file; left as it is:\n");
            for what in &self.unnamed {
                text.push_str(&format!("    {what}\n"));
            }
        }
        let [added, changed, removed] =
            [Sign::Add, Sign::Change, Sign::Remove].map(|sign| self.changes.iter().filter(|c| c.sign == sign).count());
        match self.is_empty() {
            true => text.push_str("The account is as the file says.\n"),
            false => {
                text.push_str(&format!("{added} to add, {changed} to change, {removed} to remove"));
                match self.blocked.len() {
                    0 => text.push_str(".\n"),
                    blocked => text.push_str(&format!("; {blocked} cannot be done by a plan.\n")),
                }
            }
        }
        text
    }

    /// The statements in their order, with the role that sends each.
    pub fn to_sql(&self) -> String {
        let mut text = String::new();
        let mut role = "";
        for statement in self.changes.iter().flat_map(|change| &change.statements) {
            if statement.role != role {
                text.push_str(&format!("USE ROLE {};\n", statement.role));
                role = &statement.role;
            }
            text.push_str(&format!("{};\n", statement.text));
        }
        text
    }

    /// As programs read it: `changes`, `blocked`, `unnamed`, `warnings`.
    pub fn to_json(&self) -> serde_json::Value {
        serde_json::to_value(self).unwrap_or_default()
    }

    /// In one line, for an event or a status: what differs, a few of many.
    pub fn summary(&self) -> String {
        const MOST_TOLD: usize = 5;
        let all: Vec<&str> = self
            .changes
            .iter()
            .map(|change| change.what.as_str())
            .chain(self.blocked.iter().map(|b| b.what.as_str()))
            .collect();
        match all.len() {
            0 => "the account is as the file says".to_owned(),
            1 => format!("1 difference: {}", all[0]),
            count if count <= MOST_TOLD => format!("{count} differences: {}", all.join(", ")),
            count => format!("{count} differences: {} and {} more", all[..MOST_TOLD].join(", "), count - MOST_TOLD),
        }
    }
}

impl Change {
    fn to_text(&self) -> String {
        let sign = match self.sign {
            Sign::Add => '+',
            Sign::Change => '~',
            Sign::Remove => '-',
        };
        let mut text = format!("{sign} {}", self.what);
        if self.sign != Sign::Add || self.fields.is_empty() {
            text.push_str(&format!("  ({})", self.reason));
        }
        text.push('\n');
        for Difference { field, from, to } in &self.fields {
            let value = |value: &Option<Value>| value.as_ref().map_or_else(|| "nothing".to_owned(), Value::to_string);
            match (self.sign, from) {
                (Sign::Add, _) | (_, None) => text.push_str(&format!("    {field}: {}\n", value(to))),
                _ => text.push_str(&format!("    {field}: {} -> {}\n", value(from), value(to))),
            }
        }
        if !self.affects.is_empty() {
            let users = self.affects.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            text.push_str(&format!("    affects {users}\n"));
        }
        text
    }
}
