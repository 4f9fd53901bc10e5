//! The contacts of the account, what the search's index knows of them, what was written, and the rate limits.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sluice_testkit::generate::Contact;
use tokio::time::Instant;

use super::HubSpotConfig;
use super::limits::Limits;
use super::written::{Write, Written};

/// A handle to one account; clones share it.
#[derive(Clone)]
pub struct HubSpotState(Arc<Mutex<Account>>);

impl HubSpotState {
    pub fn new(config: HubSpotConfig) -> Self {
        let account = Account {
            config,
            records: BTreeMap::new(),
            merged: BTreeMap::new(),
            opted_out: BTreeSet::new(),
            searches: VecDeque::new(),
            limits: Limits::default(),
            written: Written::default(),
        };
        HubSpotState(Arc::new(Mutex::new(account)))
    }

    /// Puts contacts there that the index has long known.
    pub fn load(&self, contacts: Vec<Contact>) {
        let mut account = self.lock();
        for contact in contacts {
            account.put(contact, Duration::ZERO);
        }
    }

    /// Creates or changes a contact. One whose `merged_ids` name others makes these vanish.
    pub fn upsert(&self, contact: Contact) {
        let mut account = self.lock();
        let lag = account.config.index_lag;
        account.put(contact, lag);
    }

    /// Deletes a contact for good, as the law lets a person ask for: it is in no list any more. The index shows it as long as
    /// it lags.
    pub fn erase(&self, id: i64) {
        let mut account = self.lock();
        let (now, lag) = (Instant::now(), account.config.index_lag);
        if let Some(record) = account.records.get_mut(&id) {
            let indexed = record.searchable(now).cloned();
            *record = Record { current: None, indexed, indexed_at: now + lag };
        }
    }

    /// Every value that was written through the API, in order.
    pub fn history(&self) -> Vec<Write> {
        self.lock().written.history.clone()
    }

    /// Somebody changes a property by hand.
    pub fn type_in(&self, id: i64, property: &str, value: &str) -> anyhow::Result<()> {
        self.lock().write(id, BTreeMap::from([(property.to_owned(), value.to_owned())]))
    }

    /// The contact wants no e-mail any more.
    pub fn opt_out(&self, id: i64) {
        self.lock().opted_out.insert(id);
    }

    /// What is written outlives the process: it is taken over from this file, and kept in it.
    pub fn keep_in(&self, path: &Path) -> anyhow::Result<()> {
        let mut account = self.lock();
        account.written.keep_in(path)?;
        let writes = account.written.history.clone();
        for write in &writes {
            account.touch(write.id, write.at);
        }
        Ok(())
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Account> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Record {
    /// `None`: deleted for good.
    current: Option<Contact>,
    /// What the index shows until `indexed_at`.
    indexed: Option<Contact>,
    indexed_at: Instant,
}

pub(super) struct Account {
    pub(super) config: HubSpotConfig,
    records: BTreeMap<i64, Record>,
    /// From a consumed id to its survivor's.
    merged: BTreeMap<i64, i64>,
    pub(super) opted_out: BTreeSet<i64>,
    searches: VecDeque<Instant>,
    pub(super) limits: Limits,
    pub(super) written: Written,
}

impl Account {
    /// Writes values of a contact, each into its history. The contact has changed after whatever was before.
    pub(super) fn write(&mut self, id: i64, values: BTreeMap<String, String>) -> anyhow::Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let before = self.find(id).map_or(0, |contact| contact.lastmodifieddate);
        let at = (chrono::Utc::now().timestamp_millis() * 1_000).max(before + 1_000);
        for (property, value) in values {
            self.written.write(Write { id, property, value, at })?;
        }
        self.touch(id, at);
        Ok(())
    }

    fn touch(&mut self, id: i64, at: i64) {
        let lag = self.config.index_lag;
        if let Some(contact) = self.records.get(&id).and_then(|record| record.current.clone()) {
            self.put(Contact { lastmodifieddate: at, ..contact }, lag);
        }
    }

    fn put(&mut self, contact: Contact, lag: Duration) {
        let now = Instant::now();
        for consumed in contact.merged_ids.iter().filter(|id| **id != contact.id) {
            self.merged.insert(*consumed, contact.id);
        }
        let indexed = self.records.get(&contact.id).and_then(|record| record.searchable(now)).cloned();
        self.records.insert(contact.id, Record { current: Some(contact), indexed, indexed_at: now + lag });
    }

    /// What a search sees: never archived records, and changes only after the lag.
    pub(super) fn searchable(&self) -> impl Iterator<Item = &Contact> {
        let now = Instant::now();
        let known = self.records.values().filter_map(move |record| record.searchable(now));
        known.filter(|contact| !contact.archived && !self.merged.contains_key(&contact.id))
    }

    /// Every contact that exists, by id, archived ones included.
    pub(super) fn contacts(&self) -> impl Iterator<Item = &Contact> {
        self.records
            .values()
            .filter_map(|record| record.current.as_ref())
            .filter(|contact| !self.merged.contains_key(&contact.id))
    }

    /// The contact with this id, or the one that consumed it.
    pub(super) fn find(&self, id: i64) -> Option<&Contact> {
        let id = self.merged.get(&id).unwrap_or(&id);
        self.records.get(id).and_then(|record| record.current.as_ref())
    }

    /// The records that merges made part of this one, also those that one of them had consumed before.
    pub(super) fn consumed(&self, contact: &Contact) -> Vec<i64> {
        let (mut consumed, mut seen) = (Vec::new(), BTreeSet::from([contact.id]));
        let mut rest: Vec<i64> = contact.merged_ids.iter().rev().copied().collect();
        while let Some(id) = rest.pop() {
            if seen.insert(id) {
                consumed.push(id);
                let before = self.records.get(&id).and_then(|record| record.current.as_ref());
                rest.extend(before.into_iter().flat_map(|before| before.merged_ids.iter().rev()));
            }
        }
        consumed
    }

    /// The e-mails of the records that merges made part of this one: HubSpot keeps them as the survivor's additional ones.
    pub(super) fn additional_emails(&self, contact: &Contact) -> Vec<&str> {
        let records = self.consumed(contact).into_iter().filter_map(|id| self.records.get(&id));
        records.filter_map(|record| record.current.as_ref()?.email.as_deref()).collect()
    }

    /// Counts one search; false when the second's share is used up.
    pub(super) fn may_search(&mut self) -> bool {
        let Some(limit) = self.config.searches_per_second else { return true };
        let now = Instant::now();
        self.searches.retain(|at| now.duration_since(*at) < Duration::from_secs(1));
        if self.searches.len() >= limit {
            return false;
        }
        self.searches.push_back(now);
        true
    }
}

impl Record {
    fn searchable(&self, now: Instant) -> Option<&Contact> {
        if now >= self.indexed_at { self.current.as_ref() } else { self.indexed.as_ref() }
    }
}
