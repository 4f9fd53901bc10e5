//! What is wrong with the file: a line per problem, in the order of the file.

use crate::{Error, Result, yaml::Place};

/// How many problems are told: a log's event and a terminal hold no file of a thousand.
const MOST_TOLD: usize = 50;

#[derive(Debug, Default)]
pub struct Report(Vec<(Place, String)>);

impl Report {
    pub fn add(&mut self, place: Place, text: impl Into<String>) {
        self.0.push((place, text.into()));
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Every problem and where it stands, in the order in which they were found.
    pub fn problems(&self) -> &[(Place, String)] {
        &self.0
    }

    /// Fails when there is a problem, with all of them.
    pub fn finish(mut self, file: &str) -> Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        self.0.sort_by_key(|(place, _)| *place);
        let count = self.0.len();
        let noun = if count == 1 { "problem" } else { "problems" };
        let mut message = format!("{file} has {count} {noun}:");
        for (place, text) in self.0.iter().take(MOST_TOLD) {
            message.push_str(&format!("\n{file}:{place}: {text}"));
        }
        if count > MOST_TOLD {
            message.push_str(&format!("\nand {} more", count - MOST_TOLD));
        }
        Err(Error::config(message))
    }
}
