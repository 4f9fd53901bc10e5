//! A JSON object of the API by currency code, as it was written: a map would hide that a code stands twice.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// Codes and what stands beside them, in the order of the text. A number read as a float would lose digits.
#[derive(Debug, Default)]
pub struct Members(Vec<(String, Box<RawValue>)>);

/// One currency's member.
pub struct Member<'a> {
    pub code: &'a str,
    /// JSON.
    pub value: &'a str,
    /// Why the code is not usable.
    pub fault: Option<&'static str>,
}

impl Members {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn codes(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(code, _)| code.as_str())
    }

    /// All members. Of a code that stands more than once nobody knows which value is right, so all of them are faulty.
    pub fn judged(&self) -> impl Iterator<Item = Member<'_>> {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for code in self.codes() {
            *times.entry(folded(code)).or_default() += 1;
        }
        self.0.iter().map(move |(code, value)| {
            let folded = folded(code);
            let fault = match times.get(&folded) {
                _ if folded.is_empty() => Some("is empty"),
                Some(2..) => Some("stands more than once"),
                _ => None,
            };
            Member { code, value: value.get(), fault }
        })
    }
}

/// Codes are one code where the models take them for one: without case, and without blanks around them.
fn folded(code: &str) -> String {
    code.trim().to_uppercase()
}

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collector;

        impl<'de> Visitor<'de> for Collector {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object by currency code")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collector)
    }
}
