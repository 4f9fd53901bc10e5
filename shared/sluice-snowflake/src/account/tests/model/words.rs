//! A statement's words, as Snowflake's own reader would take them.

use crate::account::Name;

pub(crate) struct Words {
    words: Vec<String>,
    at: usize,
}

const KINDS: [&str; 11] = [
    "RESOURCE MONITOR",
    "DATABASE ROLE",
    "NETWORK RULE",
    "NETWORK POLICY",
    "AUTHENTICATION POLICY",
    "MASKING POLICY",
    "STORAGE INTEGRATION",
    "FILE FORMAT",
    "MATERIALIZED VIEW",
    "EVENT TABLE",
    "DYNAMIC TABLE",
];

impl Words {
    pub(crate) fn of(text: &str) -> Self {
        let mut words = Vec::new();
        let mut rest = text.trim();
        while let Some(first) = rest.chars().next() {
            let length = match first {
                '\'' | '"' => quoted(rest, first),
                '(' | ')' | ',' | '=' => 1,
                '-' if rest.starts_with("->") => 2,
                _ => rest.find([' ', '\n', '(', ')', ',', '=', '\'', '"']).unwrap_or(rest.len()).max(1),
            };
            // A name goes on over its dots, quoted or not.
            let mut end = length;
            while first != '\'' && (rest[..end].ends_with('.') || rest[end..].starts_with(".\"")) {
                let from = if rest[end..].starts_with('.') { end + 1 } else { end };
                end = from
                    + match rest[from..].starts_with('"') {
                        true => quoted(&rest[from..], '"'),
                        false => rest[from..].find([' ', '\n', '(', ')', ',', '=']).unwrap_or(rest.len() - from),
                    };
            }
            if first == '"' && rest[end..].starts_with('.') {
                end += rest[end..].find([' ', '\n', '(', ')', ',', '=']).unwrap_or(rest.len() - end);
            }
            words.push(rest[..end].to_owned());
            rest = rest[end..].trim_start();
        }
        Words { words, at: 0 }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.at >= self.words.len()
    }

    pub(crate) fn word(&mut self) -> String {
        let word = self.words.get(self.at).cloned().unwrap_or_default();
        self.at += 1;
        word
    }

    pub(crate) fn eat(&mut self, text: &str) -> bool {
        let wanted: Vec<&str> = text.split(' ').collect();
        let found = self.words.get(self.at..self.at + wanted.len()).is_some_and(|found| found == wanted);
        self.at += if found { wanted.len() } else { 0 };
        found
    }

    pub(crate) fn kind(&mut self) -> String {
        match KINDS.into_iter().find(|kind| self.eat(kind)) {
            Some(kind) => kind.to_owned(),
            None => self.word(),
        }
    }

    pub(crate) fn name(&mut self) -> Name {
        let word = self.word();
        Name::parse(&word).unwrap_or_else(|| panic!("'{word}' is no name in {:?}", self.words))
    }

    pub(crate) fn identifier(&mut self) -> String {
        self.word()
    }

    /// A literal, a word, or a list in brackets as it stands.
    pub(crate) fn value(&mut self) -> String {
        if self.eat("(") {
            let mut items = Vec::new();
            while !self.eat(")") {
                let word = self.word();
                if word != "," {
                    items.push(word);
                }
            }
            return format!("({})", items.join(", "));
        }
        unquoted(&self.word())
    }

    pub(crate) fn literals(&mut self) -> Vec<String> {
        let mut found = vec![unquoted(&self.word())];
        while self.eat(",") {
            found.push(unquoted(&self.word()));
        }
        found
    }
}

fn quoted(text: &str, quote: char) -> usize {
    let bytes = text.as_bytes();
    let mut at = 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' if quote == '\'' => at += 2,
            byte if byte == quote as u8 && bytes.get(at + 1) == Some(&byte) => at += 2,
            byte if byte == quote as u8 => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

pub(crate) fn unquoted(text: &str) -> String {
    match text.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\'')) {
        Some(inner) => inner.replace("''", "'").replace("\\\\", "\\"),
        None => text.to_owned(),
    }
}
