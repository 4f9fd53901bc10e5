//! Taking one person's records out of a topic's archive and its dead letters.
//!
//! An object of the archive is a function of its records, its name too. So an object with a record of the person is written
//! again without it, under the name that the other records have, and only then the old one goes, in all its versions. Whatever
//! ends this leaves each other record in an object or in two, as overlapping batches do anyway; done again, it finds what is
//! left. What a replay reads afterwards has no record of the person.
//!
//! Who did it, when and why comes first, in an object of its own. It names the objects and no person.

use bytes::Bytes;
use chrono::{DateTime, Utc};
use futures::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use sluice_core::{
    Error, Record, Result, RunId, Table, TableId,
    lake::{self, Archive},
    port::{Clock, Erasure, Listing, ObjectStore, PutIfAbsent},
    sources::{Format, Source},
};

use super::AT_ONCE;
use crate::stream::{
    Decode,
    record::{self, Kept},
};

/// Archives under way at once: each is a few megabytes.
const ARCHIVES_AT_ONCE: usize = 8;

/// By what a person's records are known: one of these values in this column. None of it is ever written down.
pub struct Person {
    /// What the records call the column.
    field: String,
    /// In the form in which values are compared.
    values: Vec<String>,
    /// Whether records that do not say whose they are go too.
    with_unclear: bool,
}

impl Person {
    /// A value per line, compared as e-mail addresses are: A to Z in either case, without blanks around it.
    pub fn new(table: &Table, column: &str, lines: &str) -> Result<Self> {
        let refused = |error: Error| error.with("table", &table.table);
        let columns = table.columns.columns();
        let found = columns.iter().find(|known| known.name == column);
        let Some(found) = found.filter(|found| found.pii) else {
            let personal: Vec<&str> =
                columns.iter().filter(|known| known.pii).map(|known| known.name.as_str()).collect();
            let error = Error::config("a person is known by a column that the contract marks as personal (pii)");
            return Err(refused(error.with("column", column).with("personal", personal.join(", "))));
        };
        let values: Vec<String> = lines.lines().map(compared).filter(|value| !value.is_empty()).collect();
        if values.is_empty() {
            return Err(refused(Error::config("no value tells whose records are meant")));
        }
        Ok(Person { field: found.source().to_owned(), values, with_unclear: false })
    }

    /// Takes records too that cannot be read, or lack the column, and in which a value stands as a word.
    #[must_use]
    pub fn with_unclear(self, with_unclear: bool) -> Self {
        Person { with_unclear, ..self }
    }

    fn takes(&self, found: Found) -> bool {
        found == Found::Theirs || found == Found::Unclear && self.with_unclear
    }

    /// Whether the record is the person's.
    async fn has<D: Decode>(&self, formats: &D, topic: &Topic<'_>, record: &Record) -> Result<Found> {
        let decoded = match (&record.value, topic.is_avro) {
            (Some(value), true) => formats.decode(topic.name, value).await?.ok(),
            (value, _) => value.clone(),
        };
        let json = decoded.as_deref().and_then(|json| serde_json::from_slice::<Value>(json).ok());
        let named = match json.as_ref().and_then(|json| json.get(&self.field)) {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => Some(compared(text)),
            Some(other) => Some(compared(&other.to_string())),
        };
        let is_named = named.as_ref().is_some_and(|named| self.values.contains(named));
        let headers = record.headers.iter().filter_map(|(_, value)| value.as_deref());
        // What was decoded is looked through as such.
        let value = record.value.iter().filter(|_| !topic.is_avro || json.is_none());
        let bytes: Vec<&[u8]> = value.chain(&record.key).map(|bytes| &bytes[..]).chain(headers).collect();
        let stands = |test: &dyn Fn(&[u8], &str) -> bool| {
            let anywhere = |bytes: &[u8]| self.values.iter().any(|value| test(bytes, value));
            json.as_ref().is_some_and(|json| texts(json).any(|text| anywhere(text.as_bytes())))
                || bytes.iter().any(|bytes| anywhere(bytes))
        };
        let as_word = |bytes: &[u8], value: &str| word::stands(bytes, value, topic.is_avro);
        let as_part = |bytes: &[u8], value: &str| String::from_utf8_lossy(bytes).to_ascii_lowercase().contains(value);
        Ok(match named {
            Some(_) if is_named => Found::Theirs,
            None if stands(&as_word) => Found::Unclear,
            _ if stands(&as_part) => Found::Mentioned,
            _ => Found::Not,
        })
    }
}

/// Every text in a value.
fn texts(json: &Value) -> Box<dyn Iterator<Item = &str> + '_> {
    match json {
        Value::String(text) => Box::new(std::iter::once(text.as_str())),
        Value::Array(items) => Box::new(items.iter().flat_map(texts)),
        Value::Object(fields) => {
            Box::new(fields.iter().flat_map(|(name, value)| std::iter::once(name.as_str()).chain(texts(value))))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Box::new(std::iter::empty()),
    }
}

fn compared(text: &str) -> String {
    text.trim_matches([' ', '\t', '\n', '\r']).to_ascii_lowercase()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    Theirs,
    /// It cannot be read, or lacks the column, and names the person.
    Unclear,
    /// It is another one's, and names the person elsewhere.
    Mentioned,
    Not,
}

struct Topic<'a> {
    name: &'a str,
    is_avro: bool,
}

impl<'a> Topic<'a> {
    fn of(table: &'a Table) -> Result<Self> {
        match &table.source {
            Source::Kafka { topic, format, .. } => Ok(Topic { name: topic, is_avro: *format == Format::Avro }),
            _ => Err(Error::unsupported("the table has no topic, so no archive").with("table", &table.table)),
        }
    }
}

/// What an erasure would take out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Objects of the archive and dead letters that were looked through.
    pub read: usize,
    /// Those with records of the person.
    pub archives: Vec<String>,
    pub dead_letters: Vec<String>,
    /// Records in the archive that go. One that lies in two objects counts twice.
    pub records: u64,
    /// Records and dead letters that do not say whose they are, and in which a value stands as a word.
    pub unclear: u64,
    /// Records of others in which a value stands elsewhere, also as a part of another one. They stay.
    pub mentions: u64,
}

/// Looks what an erasure would take out.
pub async fn plan<S: ObjectStore + Listing, D: Decode>(
    store: &S,
    formats: &D,
    table: &Table,
    person: &Person,
) -> Result<Plan> {
    let topic = &Topic::of(table)?;
    let mut plan = Plan::default();
    let keys = store.keys(&lake::archive_prefix(topic.name)).await?;
    let archives: Vec<Archive> = keys.iter().filter_map(|key| Archive::parse(topic.name, key)).collect();
    let looks = archives.iter().map(|archive| async move {
        let mut found = Vec::new();
        for record in records(store, topic, archive).await?.iter().flatten() {
            found.push(person.has(formats, topic, record).await?);
        }
        Ok::<_, Error>((archive, found))
    });
    let mut looked = stream::iter(looks).buffered(ARCHIVES_AT_ONCE);
    while let Some((archive, found)) = looked.try_next().await? {
        plan.read += 1;
        found.iter().for_each(|found| plan.count(*found));
        let taken = found.iter().filter(|found| person.takes(**found)).count();
        if taken > 0 {
            plan.records += taken as u64;
            plan.archives.push(archive.key(topic.name));
        }
    }
    let keys = store.keys(&lake::dead_letter_prefix(topic.name)).await?;
    let looks = keys.iter().map(|key| async move {
        let Some(body) = store.get(key).await? else { return Ok((key, Found::Not)) };
        let (_, _, record) = Kept::read_letter(&body).map_err(|error| error.with("key", key))?;
        Ok::<_, Error>((key, person.has(formats, topic, &record).await?))
    });
    let mut looked = stream::iter(looks).buffered(AT_ONCE);
    while let Some((key, found)) = looked.try_next().await? {
        plan.read += 1;
        plan.count(found);
        if person.takes(found) {
            plan.dead_letters.push(key.clone());
        }
    }
    Ok(plan)
}

impl Plan {
    fn count(&mut self, found: Found) {
        self.unclear += u64::from(found == Found::Unclear);
        self.mentions += u64::from(found == Found::Mentioned);
    }
}

/// Who has taken records out of the archive, and why. It names no person.
#[derive(Serialize)]
struct Said<'a> {
    table: &'a TableId,
    topic: &'a str,
    column: &'a str,
    by: &'a str,
    reason: &'a str,
    at: DateTime<Utc>,
    records: u64,
    archives: &'a [String],
    dead_letters: &'a [String],
}

/// Takes out what was planned, and gives the key of the object that says so. Done again, it takes out what is left.
#[allow(clippy::too_many_arguments, reason = "three ports, what was planned, and who asked for it")]
pub async fn erase<S: ObjectStore + Erasure, D: Decode>(
    store: &S,
    formats: &D,
    clock: &impl Clock,
    table: &Table,
    run_id: &RunId,
    person: &Person,
    plan: &Plan,
    (by, reason): (&str, &str),
) -> Result<String> {
    let topic = &Topic::of(table)?;
    let Plan { archives, dead_letters, records, .. } = plan;
    let (table, column) = (&table.table, person.field.as_str());
    let said = Said {
        table,
        topic: topic.name,
        column,
        by,
        reason,
        at: clock.now(),
        records: *records,
        archives,
        dead_letters,
    };
    let body = serde_json::to_vec_pretty(&said)
        .map_err(|error| Error::internal("cannot encode what says who has erased").because(error))?;
    let key = lake::erasure_key(table, run_id);
    if store.put_if_absent(&key, body.into()).await? == PutIfAbsent::Exists {
        return Err(Error::conflict("an erasure of this run is there already").with("key", key).as_final());
    }
    let rewrites = archives.iter().map(|key| rewrite(store, formats, topic, person, key));
    stream::iter(rewrites).buffered(ARCHIVES_AT_ONCE).try_collect::<()>().await?;
    stream::iter(dead_letters).map(|key| store.erase(key)).buffered(AT_ONCE).try_collect::<()>().await?;
    Ok(key)
}

/// Writes an object again without the person's records, then erases the old one.
async fn rewrite<S: ObjectStore + Erasure, D: Decode>(
    store: &S,
    formats: &D,
    topic: &Topic<'_>,
    person: &Person,
    key: &str,
) -> Result<()> {
    let Some(archive) = Archive::parse(topic.name, key) else {
        return Err(Error::internal("an object of the plan is no archive").with("key", key));
    };
    let Some(records) = records(store, topic, &archive).await? else { return Ok(()) };
    let before = records.len();
    let mut others = Vec::with_capacity(before);
    for record in records {
        if !person.takes(person.has(formats, topic, &record).await?) {
            others.push(record);
        }
    }
    if others.len() == before {
        return Ok(());
    }
    if !others.is_empty() {
        let (again, body): (String, Bytes) = record::archive_again(&archive, topic.name, &others)?;
        if again == key {
            return Err(Error::internal("other records have the same name").with("key", key));
        }
        store.put(&again, body).await?;
    }
    store.erase(key).await
}

async fn records(store: &impl ObjectStore, topic: &Topic<'_>, archive: &Archive) -> Result<Option<Vec<Record>>> {
    let key = archive.key(topic.name);
    let Some(body) = store.get(&key).await? else { return Ok(None) };
    let read = Kept::read_archive(&body, topic.name, archive.partition);
    read.map(Some).map_err(|error| error.with("key", key))
}

mod word;

#[cfg(test)]
mod tests;
