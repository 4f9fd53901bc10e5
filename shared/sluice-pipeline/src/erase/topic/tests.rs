use futures::executor::block_on;
use serde_json::json;
use sluice_core::{Kind, Sources};

use super::*;
use crate::fakes::{Faults, ManualClock, MemoryStore};

/// Every topic here is in JSON.
struct JsonAlone;

impl Decode for JsonAlone {
    async fn decode(&self, topic: &str, _: &Bytes) -> Result<Result<Bytes, String>> {
        Err(Error::unsupported("no format but JSON").with("topic", topic))
    }
}

fn table() -> Table {
    let sources = Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("valid sources");
    sources.topic("purchases").expect("a table").clone()
}

fn record(offset: i64, value: Value) -> Record {
    Record {
        offset,
        timestamp_ms: 1_761_868_800_000 + offset,
        key: None,
        value: Some(value.to_string().into()),
        headers: Vec::new(),
    }
}

fn purchase(offset: i64, email: &str) -> Record {
    record(offset, json!({"event_id": format!("e{offset}"), "customer_email": email, "quantity": 1}))
}

fn keep(store: &MemoryStore, records: &[Record]) -> String {
    let (key, body) = record::archive("cluster", "purchases", 0, records).expect("an archive");
    store.objects.borrow_mut().insert(key.clone(), body);
    key
}

/// Overlapping archives of Ada and Bob, one of Ada alone, one of Bob alone under a name of the earlier form, and their dead
/// letters.
fn store() -> MemoryStore {
    let store = MemoryStore::default();
    let both: Vec<Record> =
        (0..9).map(|n| purchase(n, if n % 3 == 1 { " ADA@example.com\n" } else { "bob@example.com" })).collect();
    keep(&store, &both[..6]);
    keep(&store, &both[4..]);
    keep(&store, &[purchase(10, "ada@example.com"), purchase(11, "Ada@Example.com")]);
    let (_, body) = record::archive("cluster", "purchases", 0, &[purchase(20, "bob@example.com")]).expect("an archive");
    let date = chrono::NaiveDate::from_ymd_opt(2025, 10, 31).expect("a date");
    let old = Archive { partition: 0, first: 20, last: 20, date, creation: None, checksum: None };
    store.objects.borrow_mut().insert(old.key("purchases"), body);
    let broken = Record { value: Some("{\"customer_email\": \"Ada@example.com".into()), ..purchase(30, "") };
    let keyed = Record { value: None, key: Some("ada@example.com".into()), ..purchase(31, "") };
    for record in [&broken, &keyed, &purchase(32, "bob@example.com"), &purchase(33, "ada@example.com")] {
        let (key, body) = record::dead_letter("cluster", "purchases", 0, record, "why").expect("a letter");
        store.objects.borrow_mut().insert(key, body);
    }
    store
}

fn ada() -> Person {
    let lines = "ada@example.com\n\n Ada.L@example.com \n";
    Person::new(&table(), "customer_email", lines).expect("a person").with_unclear(true)
}

fn planned(store: &MemoryStore) -> Result<Plan> {
    block_on(plan(store, &JsonAlone, &table(), &ada()))
}

fn erased(store: &MemoryStore, run: &str) -> Result<String> {
    let plan = planned(store)?;
    let run = RunId(run.into());
    let who = ("somebody", "request 7");
    block_on(erase(store, &JsonAlone, &ManualClock::default(), &table(), &run, &ada(), &plan, who))
}

/// The offsets of what the archive and the dead letters hold, each object read as a replay reads it.
fn left(store: &MemoryStore) -> (Vec<i64>, Vec<i64>) {
    let objects = store.objects.borrow();
    let mut archived = Vec::new();
    for (key, body) in objects.iter().filter(|(key, _)| key.starts_with("archive/")) {
        let archive = Archive::parse("purchases", key).expect("a name");
        let records = Kept::read_archive(body, "purchases", 0).expect("an archive");
        assert_eq!((archive.first, archive.last), (records[0].offset, records[records.len() - 1].offset), "{key}");
        archived.extend(records.iter().map(|record| record.offset));
    }
    archived.sort_unstable();
    archived.dedup();
    let letters = objects.keys().filter_map(|key| lake::dead_letter_place("purchases", key));
    (archived, letters.map(|(_, offset)| offset).collect())
}

fn others() -> (Vec<i64>, Vec<i64>) {
    (vec![0, 2, 3, 5, 6, 8, 20], vec![32])
}

#[test]
fn one_persons_records_leave_the_archive_and_the_dead_letters() {
    let store = store();
    let before = store.objects.borrow().clone();
    let plan = planned(&store).expect("a plan");
    let counted = (plan.read, plan.archives.len(), plan.records, plan.dead_letters.len(), plan.unclear, plan.mentions);
    assert_eq!(counted, (8, 3, 6, 3, 2, 0));
    assert_eq!(*store.objects.borrow(), before, "a look changes nothing");
    let key = erased(&store, "r1").expect("erased");
    assert_eq!(left(&store), others());
    let objects = store.objects.borrow();
    let said: Value = serde_json::from_slice(&objects[&key]).expect("JSON");
    assert_eq!((&said["by"], &said["reason"], &said["records"]), (&json!("somebody"), &json!("request 7"), &json!(6)));
    for (key, body) in objects.iter() {
        let text = zstd::decode_all(&body[..]).unwrap_or_else(|_| body.to_vec());
        assert!(!String::from_utf8_lossy(&text).to_lowercase().contains("ada@"), "{key}");
    }
    drop(objects);
    let again = planned(&store).expect("a plan");
    assert_eq!((again.records, again.archives, again.dead_letters), (0, vec![], vec![]));
}

#[test]
fn whichever_call_fails_an_erasure_of_a_person_done_again_ends_it() {
    let calls = {
        let store = store();
        erased(&store, "r1").expect("erased");
        store.faults.calls()
    };
    let all = left(&store());
    for call in 0..calls {
        for (after_acting, dies) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut store = store();
            store.faults = Faults::at(call, after_acting).dying(dies);
            let first = erased(&store, "r1");
            store.faults = Faults::none();
            let (archived, letters) = left(&store);
            let (kept, kept_letters) = others();
            assert!(
                kept.iter().all(|offset| archived.contains(offset))
                    && kept_letters.iter().all(|offset| letters.contains(offset))
            );
            let is_said = store.objects.borrow().keys().any(|key| key.starts_with("erasures/"));
            assert!(is_said || (archived, letters) == all, "nothing is gone without a reason: {first:?}");
            erased(&store, "r2").expect("erased");
            assert_eq!(left(&store), others(), "call {call}, after acting: {after_acting}, dies: {dies}");
        }
    }
}

#[test]
fn records_of_others_that_name_the_person_stay_and_are_counted() {
    let store = MemoryStore::default();
    let mentions = json!({"customer_email": "bob@example.com", "gift": {"for": ["to ADA@example.com"]}});
    let headed =
        Record { headers: vec![("from".into(), Some("ada@example.com".into()))], ..purchase(2, "bob@example.com") };
    keep(&store, &[record(1, mentions), headed, purchase(3, "nada@example.com"), record(4, json!({"quantity": 1}))]);
    let plan = planned(&store).expect("a plan");
    assert_eq!((plan.records, plan.mentions, plan.archives), (0, 3, vec![]), "one whose address ends alike, too");
}

#[test]
fn records_that_do_not_say_whose_they_are_go_only_where_that_is_said() {
    let store = store();
    let sure = ada().with_unclear(false);
    let plan = block_on(plan(&store, &JsonAlone, &table(), &sure)).expect("a plan");
    assert_eq!((plan.records, plan.dead_letters.len(), plan.unclear), (6, 1, 2));
    let (run, who) = (RunId("r1".into()), ("somebody", "request 7"));
    block_on(erase(&store, &JsonAlone, &ManualClock::default(), &table(), &run, &sure, &plan, who)).expect("erased");
    assert_eq!(left(&store), (others().0, vec![30, 31, 32]));
}

#[test]
fn a_record_of_an_address_that_ends_alike_is_never_the_persons() {
    let store = MemoryStore::default();
    let broken = Record { value: Some("{\"customer_email\": \"nada@example.com".into()), ..purchase(1, "") };
    keep(
        &store,
        &[broken, record(2, json!({"by": "jo.ada@example.com"})), record(3, json!({"by": "ada@example.com"}))],
    );
    let plan = planned(&store).expect("a plan");
    assert_eq!((plan.records, plan.unclear, plan.mentions), (1, 1, 2));
}

/// Its format is JSON after one byte.
struct AfterOneByte;

impl Decode for AfterOneByte {
    async fn decode(&self, _: &str, value: &Bytes) -> Result<Result<Bytes, String>> {
        let json = value.strip_prefix(b"!").map(Bytes::copy_from_slice);
        Ok(json.ok_or_else(|| "not of the format".to_owned()))
    }
}

#[test]
fn a_value_is_decoded_and_searched_where_it_cannot_be() {
    let source = Source::Kafka {
        topic: "purchases".into(),
        format: Format::Avro,
        partitions: None,
        retention_hours: None,
        compaction: None,
    };
    let (table, store) = (Table { source, ..table() }, MemoryStore::default());
    let of = |offset: i64, value: &str| Record { value: Some(value.to_owned().into()), ..purchase(offset, "") };
    let records = [
        of(1, r#"!{"customer_email": "\u0041da@example.com"}"#),
        of(2, r#"!{"customer_email": "bob@example.com"}"#),
        of(3, "\u{1}\u{1e}Ada@Example.comx"),
        of(4, "\u{1}\u{1e}bob@example.com"),
        of(5, "\u{1}\u{22}joada@example.comx"),
    ];
    keep(&store, &records);
    let plan = block_on(plan(&store, &AfterOneByte, &table, &ada())).expect("a plan");
    assert_eq!((plan.records, plan.archives.len(), plan.unclear, plan.mentions), (2, 1, 1, 1));
}

#[test]
fn a_person_is_known_by_a_personal_column_and_a_value() {
    for (column, values) in [("quantity", "1"), ("no_such_column", "x"), ("customer_email", " \n\n")] {
        let Err(error) = Person::new(&table(), column, values) else { panic!("{column} was taken") };
        assert_eq!(error.kind(), Kind::Config, "{column}");
    }
    let sources = Sources::parse(include_str!("../../../../../platform/sources.yaml")).expect("valid sources");
    let contacts = sources.tables.iter().find(|table| table.table.table == "CONTACTS").expect("contacts");
    let person = Person::new(contacts, "email", "ada@example.com").expect("a person");
    let refused = block_on(super::plan(&MemoryStore::default(), &JsonAlone, contacts, &person));
    assert_eq!(refused.expect_err("no topic").kind(), Kind::Unsupported);
}
