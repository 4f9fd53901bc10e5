//! What each kind of object is, read from `kinds.txt`.

use std::sync::LazyLock;

use super::property::{Property, Shape};
use crate::{failure::Failure, tokens::Cursor};

/// A kind of object. Not every kind has objects here: some are only granted on.
#[derive(Debug, Default)]
pub(crate) struct Kind {
    pub(crate) words: &'static str,
    pub(crate) plural: &'static str,
    /// How many parts its name has: 1 in the account, 2 in a database, 3 in a schema.
    pub(crate) parts: usize,
    pub(crate) can: Vec<&'static str>,
    pub(crate) made_by: Option<&'static str>,
    pub(crate) privileges: Vec<&'static str>,
    pub(crate) show: Vec<&'static str>,
    pub(crate) row: Vec<&'static str>,
    pub(crate) describe: Vec<&'static str>,
    pub(crate) properties: Vec<Property>,
}

static KINDS: LazyLock<Vec<Kind>> = LazyLock::new(|| {
    let mut kinds: Vec<Kind> = Vec::new();
    for line in include_str!("kinds.txt").lines() {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let fields: Vec<&str> = rest.split(';').map(str::trim).collect();
        if let ("kind", [words, plural, parts, can @ ..]) = (word, &fields[..]) {
            let parts = parts.parse().unwrap_or_default();
            kinds.push(Kind { words, plural, parts, can: can.to_vec(), ..Kind::default() });
        }
        let Some(kind) = kinds.last_mut() else { continue };
        let list = || rest.split(", ").collect();
        match word {
            "made_by" => kind.made_by = Some(rest),
            "privileges" => kind.privileges = list(),
            "show" => kind.show = list(),
            "row" => kind.row = list(),
            "describe" => kind.describe = list(),
            "property" => kind.properties.push(property(&fields)),
            _ => {}
        }
    }
    kinds
});

fn property(fields: &[&'static str]) -> Property {
    let shape = fields.get(1).copied().unwrap_or_default();
    let (shape, of) = shape.split_once(' ').unwrap_or((shape, ""));
    let after = |word: &str| {
        let found = fields.iter().skip(2).find_map(|field| field.strip_prefix(word));
        found.map(str::trim_start)
    };
    Property {
        name: fields.first().copied().unwrap_or_default(),
        shape: match shape {
            "upper" => Shape::Upper,
            "number" => Shape::Number,
            "flag" => Shape::Flag,
            "size" => Shape::Size,
            "key" => Shape::Key,
            "word" => Shape::Word(of),
            "name" => Shape::Name(of),
            "names" => Shape::Names(of),
            "list" => Shape::List(of),
            "group" => Shape::Group,
            "triggers" => Shape::Triggers,
            "values" => Shape::Values,
            _ => Shape::Text,
        },
        default: after("default").unwrap_or_default(),
        fixed: after("fixed").is_some(),
        kept: after("kept").is_some(),
        enterprise: after("enterprise").is_some(),
        parameter: after("parameter"),
    }
}

impl Kind {
    /// The kind of these words. Every word in the code is one of the list, whose first stands for what is not.
    pub(crate) fn of(words: &str) -> &'static Kind {
        KINDS.iter().find(|kind| kind.words == words).unwrap_or(&KINDS[0])
    }

    /// Goes past a kind, one of it or many; the longest words first.
    pub(crate) fn eat(cursor: &mut Cursor<'_>, many: bool) -> Option<&'static Kind> {
        if cursor.rest().get(1).is_some_and(|next| next.is("INTEGRATION") || next.is("INTEGRATIONS")) {
            cursor.eat("STORAGE");
        }
        let words = |kind: &Kind| if many { kind.plural } else { kind.words };
        let ahead = *cursor;
        let fits = |kind: &&Kind| {
            let mut ahead = ahead;
            !words(kind).is_empty() && ahead.eat(words(kind))
        };
        let kind = KINDS.iter().filter(fits).max_by_key(|kind| words(kind).len())?;
        cursor.eat(words(kind));
        Some(kind)
    }

    /// The same where nothing else may stand.
    pub(crate) fn expect(cursor: &mut Cursor<'_>, many: bool) -> Result<&'static Kind, Failure> {
        Kind::eat(cursor, many).ok_or_else(|| cursor.unexpected("a kind of object"))
    }

    pub(crate) fn can(&self, what: &str) -> bool {
        self.can.contains(&what)
    }

    /// Whether objects of it are made here by the account's own statements.
    pub(crate) fn is_made_here(&self) -> bool {
        !self.show.is_empty() && !self.can("elsewhere")
    }

    pub(crate) fn property(&self, name: &str) -> Option<&Property> {
        self.properties.iter().find(|property| property.name == name)
    }

    /// As results name it: `NETWORK_RULE`.
    pub(crate) fn underscored(&self) -> String {
        self.words.replace(' ', "_")
    }

    /// As messages name it: `Network rule`.
    pub(crate) fn spoken(&self) -> String {
        let (first, rest) = self.words.split_at(1);
        format!("{first}{}", rest.to_lowercase())
    }
}

/// A name with all its parts: there is no current database or schema.
pub(super) fn name_of(kind: &Kind, cursor: &mut Cursor<'_>) -> Result<Vec<String>, Failure> {
    let path = cursor.path()?;
    if path.len() == kind.parts {
        return Ok(path);
    }
    let text = format!("cannot resolve {} '{}': there is no current database or schema", kind.words, path.join("."));
    Err(Failure::new("090105", "22000", text))
}
