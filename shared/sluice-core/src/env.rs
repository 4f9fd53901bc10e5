//! Reading settings: the whole environment at once, typed, every problem reported together.

use std::{collections::BTreeMap, str::FromStr};

use crate::{Error, Result};

/// A snapshot of the environment. Getters note what is wrong; [`Env::finish`] reports all of it.
#[derive(Debug)]
pub struct Env {
    values: BTreeMap<String, String>,
    problems: Vec<String>,
}

impl Env {
    pub fn of(values: impl IntoIterator<Item = (String, String)>) -> Self {
        Env { values: values.into_iter().collect(), problems: Vec::new() }
    }

    pub fn required(&mut self, name: &str) -> String {
        match self.values.get(name).filter(|value| !value.is_empty()) {
            Some(value) => value.clone(),
            None => {
                self.problems.push(format!("{name} is not set"));
                String::new()
            }
        }
    }

    pub fn optional(&mut self, name: &str) -> Option<String> {
        self.values.get(name).filter(|value| !value.is_empty()).cloned()
    }

    /// A typed value. Absent takes the default; present but unreadable is a problem, never the default.
    pub fn parsed_or<T: FromStr>(&mut self, name: &str, default: T) -> T {
        match self.optional(name).map(|text| text.parse::<T>().map_err(|_| text)) {
            None => default,
            Some(Ok(value)) => value,
            Some(Err(text)) => {
                self.problems.push(format!("{name} is '{text}', which is not a {}", std::any::type_name::<T>()));
                default
            }
        }
    }

    /// A typed value that must be there.
    pub fn required_parsed<T: FromStr + Default>(&mut self, name: &str) -> T {
        if self.required(name).is_empty() { T::default() } else { self.parsed_or(name, T::default()) }
    }

    /// Notes a problem that a getter cannot see, such as a file that does not parse.
    pub fn problem(&mut self, text: impl Into<String>) {
        self.problems.push(text.into());
    }

    pub fn finish<T>(self, config: T) -> Result<T> {
        if self.problems.is_empty() {
            return Ok(config);
        }
        Err(Error::config(format!("the environment is not usable: {}", self.problems.join("; "))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_problem_is_reported_at_once() {
        let mut env = Env::of([("B".to_owned(), "x".to_owned()), ("C".to_owned(), String::new())]);
        let _ = (env.required("A"), env.parsed_or("B", 5_u32), env.required("C"), env.parsed_or("D", 7_u32));
        let error = env.finish(()).expect_err("three problems");
        for part in ["A is not set", "B is 'x'", "C is not set"] {
            assert!(error.to_string().contains(part), "{error}");
        }
        assert!(!error.to_string().contains('D'), "{error}");
    }
}
