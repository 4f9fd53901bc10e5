//! A model, a ledger and two destinations in memory: a portal that keeps the history of each value, and a webhook.

use std::{cell::RefCell, collections::BTreeSet, rc::Rc};

use futures::executor::block_on;

use super::super::*;
use crate::fakes::{Faults, ManualClock, MemoryBus, MemoryQueue, MemoryStore};

pub(crate) const NAME: &str = "portal";

/// What a record of the portal holds, and when it was changed last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Record {
    pub values: Values,
    pub changed: i64,
}

/// A destination with the limits and refusals of a CRM. Nothing creates a record.
#[derive(Debug, Default)]
pub(crate) struct Portal {
    pub records: RefCell<BTreeMap<String, Record>>,
    /// From a consumed record to its survivor.
    pub merged: BTreeMap<String, String>,
    /// Every value that was written, in order: record, property, value.
    pub history: RefCell<Vec<(String, String, String)>>,
    /// Records in each batch of changes that arrived.
    pub batches: RefCell<Vec<usize>>,
    pub reads: RefCell<usize>,
    /// A value that is refused with its whole batch.
    pub refused: Option<String>,
    /// Answers success and writes nothing.
    pub ignores: bool,
    /// What a limit answers with.
    pub limited: RefCell<Option<Error>>,
    pub readable: bool,
    pub account: String,
    pub faults: Rc<Faults>,
}

impl Portal {
    fn apply(&self, changes: &[Change]) -> Sent {
        assert!(changes.len() <= self.batch() && !changes.is_empty(), "{} in a batch", changes.len());
        self.batches.borrow_mut().push(changes.len());
        if let Some(error) = self.limited.borrow_mut().take() {
            return Sent::Unsent(error);
        }
        let refuses = |change: &Change| change.values.values().any(|value| Some(value) == self.refused.as_ref());
        if changes.iter().any(refuses) {
            return Sent::Refused { reason: "VALIDATION_ERROR".to_owned() };
        }
        let mut records = self.records.borrow_mut();
        let outcome = |change: &Change| {
            let Some(record) = records.get_mut(&change.id) else {
                return (change.id.clone(), Outcome::Gone { reason: "OBJECT_NOT_FOUND".to_owned() });
            };
            if !self.ignores {
                record.changed += 1;
                for (property, value) in &change.values {
                    self.history.borrow_mut().push((change.id.clone(), property.clone(), value.clone()));
                    let value = Some(value.clone()).filter(|value| !value.is_empty());
                    record.values.insert(property.clone(), value);
                }
            }
            (change.id.clone(), Outcome::Written { at: time(record.changed) })
        };
        Sent::Each(changes.iter().map(outcome).collect())
    }
}

pub(crate) fn time(minutes: i64) -> Option<chrono::DateTime<chrono::Utc>> {
    chrono::DateTime::from_timestamp(minutes * 60, 0)
}

impl Destination for Portal {
    fn batch(&self) -> usize {
        4
    }

    async fn account(&self) -> Result<String> {
        self.faults.call(|| self.account.clone())
    }

    async fn fields(&self, properties: &BTreeSet<String>) -> Result<BTreeMap<String, Field>> {
        self.faults.call(|| {
            let field = |property: &String| {
                let kind = if property == "tier" { FieldKind::Text } else { FieldKind::Number };
                (property.clone(), Field { kind, options: None })
            };
            properties.iter().map(field).collect()
        })
    }

    async fn read(&self, ids: &[String], properties: &BTreeSet<String>) -> Result<Option<BTreeMap<String, Found>>> {
        assert!(ids.len() <= self.batch() && !properties.is_empty());
        self.faults.call(|| {
            *self.reads.borrow_mut() += 1;
            let records = self.records.borrow();
            let found = |id: &String| {
                let survivor = self.merged.get(id).unwrap_or(id);
                let record = records.get(survivor)?;
                let (values, changed_at) = (record.values.clone(), time(record.changed));
                Some((id.clone(), Found { id: survivor.clone(), values, changed_at }))
            };
            self.readable.then(|| ids.iter().filter_map(found).collect())
        })
    }

    async fn write(&self, changes: &[Change]) -> Sent {
        self.faults.call(|| self.apply(changes)).unwrap_or_else(Sent::Unknown)
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryLedger {
    pub entries: RefCell<BTreeMap<String, Entry>>,
    pub faults: Rc<Faults>,
}

impl Ledger for MemoryLedger {
    async fn count(&self) -> Result<u64> {
        self.faults.call(|| self.entries.borrow().len() as u64)
    }

    async fn entries(&self) -> Result<BTreeMap<String, Entry>> {
        self.faults.call(|| self.entries.borrow().clone())
    }

    async fn keep(&self, entries: &[(String, Entry)]) -> Result<()> {
        self.faults.call(|| self.entries.borrow_mut().extend(entries.iter().cloned()))
    }
}

#[derive(Debug, Default)]
pub(crate) struct MemoryModel {
    pub rows: RefCell<Vec<Wanted>>,
    pub faults: Rc<Faults>,
}

impl Model for MemoryModel {
    async fn size(&self) -> Result<Size> {
        self.faults.call(|| Size { rows: self.rows.borrow().len() as u64, columns: 3 })
    }

    async fn rows(&self) -> Result<Vec<Wanted>> {
        self.faults.call(|| self.rows.borrow().clone())
    }
}

pub(crate) struct World {
    pub store: MemoryStore,
    pub model: MemoryModel,
    pub ledger: MemoryLedger,
    pub portal: Portal,
    pub bus: MemoryBus,
    pub queue: MemoryQueue,
    pub clock: ManualClock,
    pub policy: Policy,
    runs: RefCell<u32>,
}

impl World {
    /// A portal of so many records without values, and a model that wants some of each.
    pub(crate) fn new(records: usize) -> Self {
        let policy = Policy {
            most_rows: 1_000,
            most_percent: 50,
            most_values: 1_000,
            canary: 2,
            part: 8,
            clear: BTreeSet::new(),
            claim: Duration::from_secs(900),
            time: Duration::from_secs(600),
        };
        let world = World {
            store: MemoryStore::default(),
            model: MemoryModel::default(),
            ledger: MemoryLedger::default(),
            portal: Portal { readable: true, ..Portal::default() },
            bus: MemoryBus::default(),
            queue: MemoryQueue::default(),
            clock: ManualClock::default(),
            policy,
            runs: RefCell::default(),
        };
        for number in 0..records {
            let id = format!("{number:03}");
            world.portal.records.borrow_mut().insert(id.clone(), Record::default());
            world.want(&id, &[("orders", Some(&number.to_string())), ("tier", Some("low"))]);
        }
        world
    }

    /// All ports that the loop orders fail together at a call.
    pub(crate) fn failing(mut self, faults: Faults) -> Self {
        let faults = Rc::new(faults);
        self.portal.faults = Rc::clone(&faults);
        self.ledger.faults = Rc::clone(&faults);
        self.model.faults = faults;
        self
    }

    pub(crate) fn healed(self) -> Self {
        self.failing(Faults::none())
    }

    pub(crate) fn want(&self, id: &str, values: &[(&str, Option<&str>)]) {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), value.map(str::to_owned))).collect();
        let mut rows = self.model.rows.borrow_mut();
        rows.retain(|row| row.id != id);
        rows.push(Wanted { id: id.to_owned(), values, ..Wanted::default() });
    }

    /// An extract has seen the portal, and the model knows what it saw.
    pub(crate) fn extract(&self) {
        for row in self.model.rows.borrow_mut().iter_mut() {
            let records = self.portal.records.borrow();
            row.seen = records
                .get(&row.id)
                .and_then(|record| Some(Seen { at: time(record.changed)?, values: record.values.clone() }));
        }
    }

    pub(crate) fn try_run(&self, request: &Request) -> Result<Activated> {
        *self.runs.borrow_mut() += 1;
        let run_id = RunId(format!("run-{}", self.runs.borrow()));
        let activate = Activate {
            destination_name: NAME,
            store: &self.store,
            model: &self.model,
            ledger: &self.ledger,
            destination: &self.portal,
            bus: &self.bus,
            queue: &self.queue,
            clock: &self.clock,
            policy: self.policy.clone(),
        };
        block_on(activate.handle(request, &run_id))
    }

    pub(crate) fn run(&self, request: &Request) -> Report {
        match self.try_run(request).expect("an end") {
            Activated::Ended(report) => *report,
            other => panic!("no end: {other:?}"),
        }
    }

    /// A run whose difference a person has looked at.
    pub(crate) fn allowed(&self) -> Report {
        self.run(&allowed())
    }

    /// Every value of the model is in the portal, and none was written twice.
    pub(crate) fn assert_whole(&self, what: &str) {
        let records = self.portal.records.borrow();
        for row in self.model.rows.borrow().iter() {
            assert_eq!(records[&row.id].values, row.values, "{what}: {}", row.id);
        }
        let history = self.portal.history.borrow();
        let distinct: BTreeSet<_> = history.iter().collect();
        assert_eq!(distinct.len(), history.len(), "{what}: a value was written twice");
    }
}

pub(crate) fn allowed() -> Request {
    Request { cause: "test".into(), allow: true, ..Request::default() }
}
