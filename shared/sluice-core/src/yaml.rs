//! YAML text as a tree whose every node knows its line and column, so that a fault can be shown where it stands.
//!
//! Scalars are what YAML 1.2's core schema takes them for: `no` and `2025-10-30` are texts, `0x10` is a number. An alias is
//! a copy of what its anchor stands on. A key that stands twice is a fault, and the first one counts.

use std::{collections::BTreeMap, fmt};

use granit_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Number, Value as Json};

/// How many nodes may come from aliases: a few lines of aliases of aliases would fill any memory.
const MOST_COPIES: usize = 100_000;

/// A place in the text; line and column count from 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    pub line: usize,
    pub column: usize,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

impl From<&Marker> for Place {
    fn from(marker: &Marker) -> Self {
        Place { line: marker.line(), column: marker.col() + 1 }
    }
}

/// A value with its place.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct At<T> {
    pub value: T,
    pub place: Place,
}

pub type Node = At<Value>;

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Value {
    #[default]
    Null,
    Boolean(bool),
    /// As it was written: no digit passes through a float.
    Number(String),
    Text(String),
    List(Vec<Node>),
    Mapping(Vec<(At<String>, Node)>),
}

impl Value {
    /// What it is, in the words of a message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Boolean(_) => "a boolean",
            Value::Number(_) => "a number",
            Value::Text(_) => "a text",
            Value::List(_) => "a list",
            Value::Mapping(_) => "a mapping",
        }
    }

    /// The same in JSON. A number that JSON cannot write is a text.
    pub fn to_json(&self) -> Json {
        match self {
            Value::Null => Json::Null,
            Value::Boolean(value) => Json::Bool(*value),
            Value::Number(text) => text.parse::<Number>().map_or_else(|_| Json::String(text.clone()), Json::Number),
            Value::Text(text) => Json::String(text.clone()),
            Value::List(items) => items.iter().map(|item| item.value.to_json()).collect(),
            Value::Mapping(fields) => {
                let fields = fields.iter().map(|(key, node)| (key.value.clone(), node.value.to_json()));
                Json::Object(fields.collect::<Map<_, _>>())
            }
        }
    }
}

/// What a text holds, and what is wrong with it as YAML. A fault of syntax leaves no tree.
#[derive(Debug, Default)]
pub struct Document {
    pub root: Option<Node>,
    pub faults: Vec<At<String>>,
}

/// Reads one document.
pub fn parse(text: &str) -> Document {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader =
        Reader { events: Parser::new_from_str(text), anchors: BTreeMap::new(), copies: 0, faults: Vec::new() };
    let root = match reader.document() {
        Ok(root) => root,
        Err(fault) => {
            reader.faults.push(fault);
            None
        }
    };
    Document { root, faults: reader.faults }
}

type Read<T> = Result<T, At<String>>;

fn fault<T>(place: Place, text: impl Into<String>) -> Read<T> {
    Err(At { value: text.into(), place })
}

struct Reader<'t> {
    events: Parser<'t, StrInput<'t>>,
    anchors: BTreeMap<usize, Node>,
    copies: usize,
    faults: Vec<At<String>>,
}

impl<'t> Reader<'t> {
    fn next(&mut self) -> Read<(Event<'t>, Span)> {
        match self.events.next_event() {
            Some(Ok(next)) => Ok(next),
            Some(Err(error)) => fault(error.marker().into(), error.info()),
            None => Ok((Event::StreamEnd, Span::default())),
        }
    }

    fn document(&mut self) -> Read<Option<Node>> {
        let mut root = None;
        loop {
            let (event, span) = self.next()?;
            match event {
                Event::StreamEnd => return Ok(root),
                Event::DocumentStart(..) if root.is_some() => {
                    return fault((&span.start).into(), "a second document begins here; keep everything in one");
                }
                Event::StreamStart | Event::DocumentStart(..) | Event::DocumentEnd => {}
                event => root = Some(self.node(event, span)?),
            }
        }
    }

    /// The node that begins with this event.
    fn node(&mut self, event: Event<'t>, span: Span) -> Read<Node> {
        let place = Place::from(&span.start);
        let (value, anchor) = match event {
            Event::Alias(id) => return self.copy(id, place),
            Event::Scalar(text, style, anchor, tag) => (scalar(&text, style, tag.as_deref(), place)?, anchor),
            Event::SequenceStart(_, anchor, tag) => {
                untagged(tag.as_deref(), place)?;
                (Value::List(self.items()?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                untagged(tag.as_deref(), place)?;
                (Value::Mapping(self.fields()?), anchor)
            }
            _ => return fault(place, "a value is missing here"),
        };
        let node = At { value, place };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }

    fn items(&mut self) -> Read<Vec<Node>> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, span) => items.push(self.node(event, span)?),
            }
        }
    }

    fn fields(&mut self) -> Read<Vec<(At<String>, Node)>> {
        let mut places: BTreeMap<String, Place> = BTreeMap::new();
        let mut fields = Vec::new();
        loop {
            let key = match self.next()? {
                (Event::MappingEnd, _) => return Ok(fields),
                (Event::Scalar(text, ..), span) => At { value: text.into_owned(), place: Place::from(&span.start) },
                (_, span) => return fault((&span.start).into(), "a key must be a plain word"),
            };
            let (event, span) = self.next()?;
            let node = self.node(event, span)?;
            match places.get(&key.value) {
                None => {
                    places.insert(key.value.clone(), key.place);
                    fields.push((key, node));
                }
                Some(first) => {
                    let text = format!("'{}' stands twice, first in line {}; keep one", key.value, first.line);
                    self.faults.push(At { value: text, place: key.place });
                }
            }
        }
    }

    fn copy(&mut self, anchor: usize, place: Place) -> Read<Node> {
        let Some(found) = self.anchors.get(&anchor) else {
            return fault(place, "an alias inside of what it stands for");
        };
        self.copies += size(&found.value);
        if self.copies > MOST_COPIES {
            return fault(place, format!("the aliases up to here stand for more than {MOST_COPIES} values"));
        }
        Ok(At { value: found.value.clone(), place })
    }
}

fn size(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(|item| size(&item.value)).sum::<usize>(),
        Value::Mapping(fields) => 1 + fields.iter().map(|(_, node)| size(&node.value)).sum::<usize>(),
        _ => 1,
    }
}

fn untagged(tag: Option<&Tag>, place: Place) -> Read<()> {
    match tag {
        Some(tag) => fault(place, format!("the tag {} has no meaning here; leave it out", tag.original())),
        None => Ok(()),
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, place: Place) -> Read<Value> {
    if tag.is_some_and(|tag| tag.is_yaml_core_schema_tag("str")) {
        return Ok(Value::Text(text.to_owned()));
    }
    untagged(tag, place)?;
    if style != ScalarStyle::Plain {
        return Ok(Value::Text(text.to_owned()));
    }
    Ok(match text {
        "" | "~" | "null" | "Null" | "NULL" => Value::Null,
        "true" | "True" | "TRUE" => Value::Boolean(true),
        "false" | "False" | "FALSE" => Value::Boolean(false),
        text if is_number(text) => Value::Number(text.to_owned()),
        text => Value::Text(text.to_owned()),
    })
}

/// The core schema's integers and floats.
fn is_number(text: &str) -> bool {
    let all = |text: &str, digit: fn(&char) -> bool| !text.is_empty() && text.chars().all(|c| digit(&c));
    if let Some(digits) = text.strip_prefix("0o") {
        return all(digits, |c| c.is_digit(8));
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return all(digits, char::is_ascii_hexdigit);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if matches!(text, ".nan" | ".NaN" | ".NAN") || matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        return true;
    }
    let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent.strip_prefix(['-', '+']).unwrap_or(exponent))),
        None => (unsigned, None),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let digits = [whole, fraction].concat();
    all(&digits, char::is_ascii_digit) && exponent.is_none_or(|exponent| all(exponent, char::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn json_of(text: &str) -> Json {
        let Document { root, faults } = parse(text);
        assert_eq!(faults, [], "{text}");
        root.expect("a tree").value.to_json()
    }

    #[test]
    fn scalars_are_what_yaml_1_2_takes_them_for() {
        let text =
            "[no, yes, on, n, 2025-10-30, 12:30, 1.2.3, '7', null, ~, true, FALSE, 7, -7, 1.5, 1e3, 0x1f, 1_000]";
        assert_eq!(
            json_of(text),
            json!([
                "no",
                "yes",
                "on",
                "n",
                "2025-10-30",
                "12:30",
                "1.2.3",
                "7",
                null,
                null,
                true,
                false,
                7,
                -7,
                1.5,
                1e3,
                "0x1f",
                "1_000"
            ])
        );
        let kinds = |text: &str| match parse(text).root.map(|root| root.value) {
            Some(Value::List(items)) => items.iter().map(|item| item.value.kind()).collect(),
            _ => Vec::new(),
        };
        assert_eq!(kinds("[0x1f, 0o7, .5, 5., .inf, -.inf, .nan]"), ["a number"; 7]);
        assert_eq!(kinds("[., '-', e3, 0x, 1e]"), ["a text"; 5]);
    }

    #[test]
    fn every_node_knows_its_line_and_column() {
        for text in ["a: 1\nb:\n  - {c: ä, d: x}\n", "\u{feff}a: 1\r\nb:\r\n  - {c: ä, d: x}\r\n"] {
            let Some(Value::Mapping(fields)) = parse(text).root.map(|root| root.value) else { panic!("{text}") };
            let (key, list) = &fields[1];
            assert_eq!(key.place, Place { line: 2, column: 1 });
            let Value::List(items) = &list.value else { panic!("{text}") };
            let Value::Mapping(inner) = &items[0].value else { panic!("{text}") };
            assert_eq!((items[0].place.to_string(), inner[1].1.place.to_string()), ("3:5".into(), "3:15".into()));
        }
    }

    #[test]
    fn a_key_that_stands_twice_is_a_fault_and_the_first_counts() {
        let document = parse("a: 1\nb: {x: 1, x: 2}\na: 2\n");
        let faults: Vec<String> = document.faults.iter().map(|f| format!("{} {}", f.place, f.value)).collect();
        assert_eq!(
            faults,
            ["2:11 'x' stands twice, first in line 2; keep one", "3:1 'a' stands twice, first in line 1; keep one"]
        );
        assert_eq!(document.root.map(|root| root.value.to_json()), Some(json!({"a": 1, "b": {"x": 1}})));
    }

    #[test]
    fn aliases_are_copies_and_cannot_fill_the_memory() {
        assert_eq!(json_of("a: &x {n: 1}\nb: *x\n"), json!({"a": {"n": 1}, "b": {"n": 1}}));
        let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
        for n in 1..12 {
            let before = format!("*a{}", n - 1);
            bomb.push_str(&format!("a{n}: &a{n} [{}]\n", vec![before; 10].join(", ")));
        }
        let document = parse(&bomb);
        assert!(document.root.is_none() && document.faults[0].value.contains("100000 values"), "{:?}", document.faults);
    }

    #[test]
    fn what_is_no_yaml_is_told_with_its_place() {
        for (text, place) in [
            ("a: 1\n\tb: 2\n", 2),
            ("a: [1, 2\n", 2),
            ("a: 1\n--- \nb: 2\n", 2),
            ("a: *nothing\n", 1),
            ("a: !secret x\n", 1),
            ("? [a, b]\n: 1\n", 1),
            ("a: \"x\n", 2),
        ] {
            let document = parse(text);
            assert!(document.root.is_none(), "{text}");
            assert!(document.faults[0].place.line.abs_diff(place) <= 1, "{text}: {:?}", document.faults);
            assert!(!document.faults[0].value.is_empty(), "{text}");
        }
        assert!(parse("").root.is_none() && parse("# nothing\n").faults.is_empty());
    }
}
