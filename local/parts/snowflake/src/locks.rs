//! Locks on tables, as Snowflake takes them: an UPDATE, DELETE or MERGE has its whole table to itself until its transaction
//! ends, whatever rows it is about. An INSERT or COPY waits for nobody but a change of the table's columns.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use uuid::Uuid;

use crate::{failure::Failure, lock, names::Name};

/// A lock has at most this many waiters; the next one is turned away.
const MOST_WAITERS: usize = 20;

/// How often a waiter looks whether it was cancelled.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// What a statement does with its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    /// INSERT and COPY write new partitions only.
    Insert,
    /// UPDATE, DELETE and MERGE.
    Change,
    /// ALTER TABLE.
    Alter,
}

#[derive(Default)]
struct Table {
    changer: Option<Uuid>,
    is_altered: bool,
    inserters: HashSet<Uuid>,
    waiters: usize,
}

impl Table {
    fn is_free_for(&self, session: Uuid, access: Access) -> bool {
        let changed_by_another = self.changer.is_some_and(|holder| holder != session);
        match access {
            Access::Insert => !(changed_by_another && self.is_altered),
            Access::Change => !changed_by_another,
            Access::Alter => !changed_by_another && self.inserters.iter().all(|holder| *holder == session),
        }
    }

    fn take(&mut self, session: Uuid, access: Access) {
        match access {
            Access::Insert => drop(self.inserters.insert(session)),
            Access::Change | Access::Alter => {
                self.changer = Some(session);
                self.is_altered |= access == Access::Alter;
            }
        }
    }
}

#[derive(Default)]
pub(crate) struct Locks {
    tables: Mutex<HashMap<Name, Table>>,
    released: Condvar,
    waited: AtomicU64,
}

impl Locks {
    /// How many statements have had to wait.
    pub(crate) fn waited(&self) -> u64 {
        self.waited.load(Ordering::Acquire)
    }

    /// Waits for the table, up to `limit` (LOCK_TIMEOUT) and unless the statement is cancelled.
    pub(crate) fn take(
        &self,
        session: Uuid,
        name: &Name,
        access: Access,
        limit: Duration,
        cancelled: &AtomicBool,
    ) -> Result<(), Failure> {
        let give_up = Instant::now() + limit;
        let mut tables = lock(&self.tables);
        let table = tables.entry(name.clone()).or_default();
        if table.is_free_for(session, access) {
            table.take(session, access);
            return Ok(());
        }
        if table.waiters >= MOST_WAITERS {
            let why = format!("the number of waiters for this lock exceeds the {MOST_WAITERS} statements limit");
            return Err(locked(name, &why));
        }
        table.waiters += 1;
        self.waited.fetch_add(1, Ordering::AcqRel);
        let outcome = loop {
            let left = give_up.saturating_duration_since(Instant::now());
            if cancelled.load(Ordering::Acquire) {
                break Err(Failure::cancelled());
            }
            if left.is_zero() {
                break Err(locked(name, "the lock was not released within LOCK_TIMEOUT"));
            }
            let woken = self.released.wait_timeout(tables, left.min(LOOK_EVERY));
            (tables, _) = woken.unwrap_or_else(PoisonError::into_inner);
            let table = tables.entry(name.clone()).or_default();
            if table.is_free_for(session, access) {
                table.take(session, access);
                break Ok(());
            }
        };
        tables.entry(name.clone()).or_default().waiters -= 1;
        outcome
    }

    /// Gives back whatever the session holds.
    pub(crate) fn release(&self, session: Uuid) {
        for table in lock(&self.tables).values_mut() {
            table.inserters.remove(&session);
            if table.changer == Some(session) {
                table.changer = None;
                table.is_altered = false;
            }
        }
        self.released.notify_all();
    }
}

fn locked(name: &Name, why: &str) -> Failure {
    let message = format!(
        "Another statement has locked table '{name}' and this lock has not yet been released. Your statement was aborted \
         because {why}."
    );
    Failure::new("000625", "57014", message)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn name(object: &str) -> Name {
        Name { database: "D".into(), schema: "S".into(), object: object.into() }
    }

    #[test]
    fn a_change_has_its_table_to_itself_and_inserts_wait_only_for_new_columns() {
        let (locks, never) = (Locks::default(), AtomicBool::new(false));
        let [one, other] = [Uuid::from_u128(1), Uuid::from_u128(2)];
        let take = |session, table, access| locks.take(session, &name(table), access, Duration::ZERO, &never).is_ok();
        assert!(take(one, "A", Access::Change) && take(one, "A", Access::Change));
        assert!(!take(other, "A", Access::Change) && take(other, "A", Access::Insert));
        assert!(take(other, "B", Access::Change), "another table is free");
        assert!(!take(one, "A", Access::Alter), "rows are on their way into it");
        locks.release(other);
        assert!(take(one, "A", Access::Alter) && !take(other, "A", Access::Insert));
        locks.release(one);
        assert!(take(other, "A", Access::Change));
    }

    #[test]
    fn the_twenty_first_waiter_is_turned_away_and_a_cancelled_one_leaves() {
        let (locks, leave) = (Arc::new(Locks::default()), Arc::new(AtomicBool::new(false)));
        let (holder, long) = (Uuid::from_u128(99), Duration::from_secs(600));
        locks.take(holder, &name("A"), Access::Change, long, &leave).expect("the first");
        let waiters: Vec<_> = (0..20)
            .map(|number| {
                let (locks, leave) = (Arc::clone(&locks), Arc::clone(&leave));
                std::thread::spawn(move || {
                    locks.take(Uuid::from_u128(number), &name("A"), Access::Change, long, &leave)
                })
            })
            .collect();
        let turned_away = loop {
            let refused = locks.take(Uuid::from_u128(50), &name("A"), Access::Change, Duration::ZERO, &leave);
            let failure = refused.expect_err("it is held");
            if failure.message.contains("20 statements") {
                break failure;
            }
        };
        assert_eq!(turned_away.code, "000625");
        leave.store(true, Ordering::Release);
        for waiter in waiters {
            assert_eq!(waiter.join().expect("an end").expect_err("cancelled").code, "000604");
        }
    }
}
