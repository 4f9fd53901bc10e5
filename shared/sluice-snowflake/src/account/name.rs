//! The name of an object: resolved parts, exactly as the account stores them.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::sql::quote;

/// One part for an object of the account, two for one of a database, three for one of a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Vec<String>);

impl Name {
    pub fn of<T: Into<String>>(parts: impl IntoIterator<Item = T>) -> Self {
        Name(parts.into_iter().map(Into::into).collect())
    }

    /// Reads `A."b.c".D`: a part in double quotes is taken as it is, any other one in upper case.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = Vec::new();
        let mut rest = text;
        loop {
            let (part, after) = match rest.strip_prefix('"') {
                Some(quoted) => {
                    let end = closing(quoted)?;
                    (quoted[..end].replace("\"\"", "\""), &quoted[end + 1..])
                }
                None => {
                    let end = rest.find('.').unwrap_or(rest.len());
                    (rest[..end].to_uppercase(), &rest[end..])
                }
            };
            if part.is_empty() {
                return None;
            }
            parts.push(part);
            match after.strip_prefix('.') {
                Some(more) => rest = more,
                None => return after.is_empty().then_some(Name(parts)),
            }
        }
    }

    /// How a name of this many parts is written.
    pub fn form(depth: usize) -> &'static str {
        ["", "NAME", "DATABASE.NAME", "DATABASE.SCHEMA.NAME"][depth]
    }

    pub fn parts(&self) -> &[String] {
        &self.0
    }

    pub fn depth(&self) -> usize {
        self.0.len()
    }

    pub fn first(&self) -> &str {
        self.0.first().map_or("", String::as_str)
    }

    pub fn last(&self) -> &str {
        self.0.last().map_or("", String::as_str)
    }

    /// The first parts.
    pub fn up_to(&self, depth: usize) -> Name {
        Name(self.0.iter().take(depth).cloned().collect())
    }

    pub fn with(&self, part: impl Into<String>) -> Name {
        let mut parts = self.0.clone();
        parts.push(part.into());
        Name(parts)
    }

    /// Whether it is the container, or something in it.
    pub fn is_within(&self, container: &Name) -> bool {
        self.0.starts_with(&container.0)
    }
}

/// Where the quote that ends a name stands; two in a row are one of the name's own.
fn closing(text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], bytes.get(at + 1)) {
            (b'"', Some(b'"')) => at += 2,
            (b'"', _) => return Some(at),
            _ => at += 1,
        }
    }
    None
}

/// As a statement names it.
impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.iter().map(|part| quote::identifier(part)).collect::<Vec<_>>().join("."))
    }
}

impl Serialize for Name {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_back_as_it_was_printed() {
        for parts in [vec!["A"], vec!["A", "b.c"], vec!["ORDER", "a\"b", "X Y"], vec!["_A$1"], vec!["\"", "ä"]] {
            let name = Name::of(parts.clone());
            assert_eq!(Name::parse(&name.to_string()), Some(name), "{parts:?}");
        }
        assert_eq!(Name::parse("dlt.raw").map(|name| name.to_string()).as_deref(), Some("DLT.RAW"));
        for broken in ["", ".", "A.", "\"A", "\"A\"B", "A..B"] {
            assert_eq!(Name::parse(broken), None, "{broken}");
        }
    }
}
