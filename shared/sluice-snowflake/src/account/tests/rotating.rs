//! Rotations that end anywhere.

use std::cell::{Cell, RefCell};

use futures::executor::block_on;
use sluice_core::{Error, Kind, Result, Secret, port::Row};

use super::{
    applying::{Now, SHIPPED, made},
    model::Model,
};
use crate::{
    Signer,
    account::{
        Account, Name,
        file::tests::settings,
        normal,
        rotate::{Did, Keys, rotate, rotate_alone},
    },
};

/// A user's slots and its secret, and the request at which everything ends.
#[derive(Default)]
struct Service {
    slots: RefCell<[Option<(String, i64)>; 2]>,
    secret: RefCell<Option<Secret>>,
    requests: Cell<usize>,
    /// The request that fails, and whether it has taken effect.
    fails_at: Cell<Option<(usize, bool)>>,
    clock: Cell<i64>,
    /// Whether the secret can be read alone.
    is_locked: Cell<bool>,
    /// Whether the user's network policy keeps the caller out.
    is_shut_out: Cell<bool>,
    logins: RefCell<Vec<String>>,
}

impl Service {
    fn step<T>(&self, effect: impl FnOnce() -> T) -> Result<T> {
        self.requests.set(self.requests.get() + 1);
        let lost = || Err(Error::new(Kind::Unavailable, "the connection was lost"));
        match self.fails_at.get().filter(|(at, _)| *at == self.requests.get()) {
            Some((_, false)) => lost(),
            Some((_, true)) => {
                effect();
                lost()
            }
            None => Ok(effect()),
        }
    }

    fn fingerprints(&self) -> [Option<String>; 2] {
        self.slots.borrow().clone().map(|slot| slot.and_then(|(key, _)| normal::fingerprint(&key)))
    }

    fn opens(&self, pem: &Secret) -> bool {
        let print = Signer::new("A", "U", pem).expect("a key").fingerprint().to_owned();
        self.fingerprints().contains(&Some(print))
    }
}

impl Account for Service {
    async fn run(&self, role: &str, statement: &str, _: &str) -> Result<Vec<Row>> {
        assert_eq!(role, "USERADMIN");
        self.step(|| {
            let at = usize::from(statement.contains("RSA_PUBLIC_KEY_2"));
            if statement.contains(" SET ") {
                let key = statement.split('\'').nth(1).expect("a key").to_owned();
                self.clock.set(self.clock.get() + 1);
                self.slots.borrow_mut()[at] = Some((key, self.clock.get()));
            } else if statement.contains(" UNSET ") {
                self.slots.borrow_mut()[at] = None;
            }
            let cell = |name: String, value: String| {
                Row::from([("property".to_owned(), Some(name)), ("value".to_owned(), Some(value))])
            };
            let mut rows = Vec::new();
            for (slot, name) in self.slots.borrow().iter().zip(["RSA_PUBLIC_KEY", "RSA_PUBLIC_KEY_2"]) {
                let print = slot.as_ref().and_then(|(key, _)| normal::fingerprint(key));
                rows.push(cell(format!("{name}_FP"), print.unwrap_or("null".to_owned())));
                let time = slot.as_ref().map(|(_, at)| format!("2026-01-01 00:00:{at:02}.000 -0800"));
                rows.push(cell(format!("{name}_LAST_SET_TIME"), time.unwrap_or("null".to_owned())));
            }
            rows
        })
    }

    async fn ask(&self, _: &[&Name], _: &str, _: &str, _: &str) -> Result<Vec<Row>> {
        unreachable!("a rotation reads no rows")
    }
}

impl Keys for Service {
    async fn current(&self) -> Result<Option<Secret>> {
        self.step(|| self.secret.borrow().clone())
    }

    async fn rewrite(&self) -> Result<()> {
        let is_locked = self.is_locked.get();
        self.step(|| ())?;
        if is_locked { Err(Error::new(Kind::Auth, "the secret may not be written")) } else { Ok(()) }
    }

    async fn store(&self, pem: &Secret) -> Result<()> {
        self.step(|| drop(self.secret.replace(Some(pem.clone()))))
    }

    async fn prove(&self, pem: &Secret) -> Result<()> {
        let opens = self.step(|| self.opens(pem))?;
        if self.is_shut_out.get() {
            return Err(Error::new(
                Kind::Auth,
                "Incoming request with IP 192.0.2.1 is not allowed to access Snowflake.",
            ));
        }
        self.logins.borrow_mut().push(format!("{opens}"));
        if opens { Ok(()) } else { Err(Error::new(Kind::Auth, "JWT token is invalid.")) }
    }
}

fn rotated_alone(service: &Service) -> Result<Vec<Did>> {
    block_on(rotate_alone(service, service, &Name::of(["SVC"]), "sluice:account:run-1"))
}

/// One key in one slot, and it is the secret's.
fn has_one_key(service: &Service) -> bool {
    let filled = service.slots.borrow().iter().flatten().count();
    filled == 1 && service.secret.borrow().as_ref().is_some_and(|pem| service.opens(pem))
}

#[test]
fn a_service_gets_its_first_key_and_then_a_new_one() {
    let service = Service::default();
    assert_eq!(rotated_alone(&service).expect("a key"), [Did::Switched]);
    assert!(has_one_key(&service));
    let first = service.fingerprints();
    assert_eq!(rotated_alone(&service).expect("another key"), [Did::Switched, Did::Cleared]);
    assert!(has_one_key(&service) && service.fingerprints() != first);
    assert!(service.logins.borrow().iter().all(|login| login == "true"));
}

#[test]
fn a_rotation_that_ends_anywhere_is_finished_by_the_next() {
    let begun = Service::default();
    rotated_alone(&begun).expect("a key");
    let before = begun.requests.get();
    for at in 1..=13 {
        for after in [false, true] {
            let service = Service::default();
            *service.slots.borrow_mut() = begun.slots.borrow().clone();
            *service.secret.borrow_mut() = begun.secret.borrow().clone();
            service.clock.set(begun.clock.get());
            service.fails_at.set(Some((at, after)));
            let ended = rotated_alone(&service);
            // Whatever has happened, the key that the secret holds opens the account.
            let pem = service.secret.borrow().clone().expect("a key");
            assert!(service.opens(&pem), "request {at}, {after}");
            service.fails_at.set(None);
            if ended.is_err() {
                rotated_alone(&service).unwrap_or_else(|error| panic!("request {at}, {after}: {}", error.chain()));
            }
            assert!(has_one_key(&service), "request {at}, {after}: {:?}", service.fingerprints());
            assert_ne!(service.fingerprints().iter().flatten().next(), begun.fingerprints().iter().flatten().next());
        }
    }
    assert!(before > 3, "{before}");
}

#[test]
fn a_key_that_opens_nothing_never_replaces_one_that_does() {
    let service = Service::default();
    rotated_alone(&service).expect("a key");
    let before = service.secret.borrow().clone();
    let other = Service::default();
    rotated_alone(&other).expect("a key of somebody else");
    // Both slots are taken by keys that nobody here knows.
    *service.slots.borrow_mut() = [other.slots.borrow()[0].clone(), Some(("b3RoZXI=".to_owned(), 9))];
    let error = rotated_alone(&service).expect_err("a conflict");
    assert_eq!(error.kind(), Kind::Conflict);
    assert_eq!(*service.secret.borrow(), before);
}

#[test]
fn no_slot_is_touched_while_the_secret_cannot_be_written() {
    let service = Service::default();
    service.is_locked.set(true);
    assert_eq!(rotated_alone(&service).expect_err("refused").kind(), Kind::Auth);
    assert_eq!(service.fingerprints(), [None, None]);
}

#[test]
fn a_new_key_that_no_login_proves_is_taken_out_again() {
    for has_key in [false, true] {
        let service = Service::default();
        if has_key {
            rotated_alone(&service).expect("a key");
        }
        let before = (service.fingerprints(), service.secret.borrow().clone());
        service.is_shut_out.set(true);
        for _ in 0..3 {
            let error = rotated_alone(&service).expect_err("refused");
            assert_eq!(error.kind(), Kind::Auth);
            assert!(error.hint().is_some_and(|hint| hint.contains("network policy")), "{:?}", error.hint());
            assert_eq!((service.fingerprints(), service.secret.borrow().clone()), before);
        }
        service.is_shut_out.set(false);
        assert!(service.secret.borrow().as_ref().is_none_or(|pem| service.opens(pem)), "the key before it still works");
        rotated_alone(&service).expect("a key");
        assert!(has_one_key(&service) && service.fingerprints() != before.0);
    }
}

#[test]
fn a_new_key_that_cannot_be_taken_out_is_named_and_cleared_next() {
    let service = Service::default();
    rotated_alone(&service).expect("a key");
    let (pem, keys) = (service.secret.borrow().clone(), service.fingerprints());
    // The slots, the secret, its rewriting, the new key, its proof, and then its removal.
    service.is_shut_out.set(true);
    service.fails_at.set(Some((service.requests.get() + 6, false)));
    let error = rotated_alone(&service).expect_err("refused");
    assert!(error.chain().contains("left in") && error.kind() == Kind::Auth, "{}", error.chain());
    assert_eq!((service.fingerprints().iter().flatten().count(), &*service.secret.borrow()), (2, &pem));
    // While the login is refused nothing more changes.
    let both = service.fingerprints();
    rotated_alone(&service).expect_err("refused");
    assert_eq!(service.fingerprints(), both);
    service.is_shut_out.set(false);
    assert_eq!(rotated_alone(&service).expect("a key"), [Did::Cleared, Did::Switched, Did::Cleared]);
    assert!(has_one_key(&service) && service.fingerprints() != keys);
}

#[test]
fn first_keys_that_never_reached_the_secret_block_no_further_one() {
    let service = Service::default();
    let before_the_store = {
        let whole = Service::default();
        rotated_alone(&whole).expect("a key");
        whole.requests.get() - 2
    };
    for _ in 0..4 {
        service.requests.set(0);
        service.fails_at.set(Some((before_the_store, false)));
        rotated_alone(&service).expect_err("the secret did not get it");
        assert!(service.secret.borrow().is_none());
    }
    service.fails_at.set(None);
    rotated_alone(&service).expect("a key");
    rotated_alone(&service).expect("another key");
    assert!(has_one_key(&service));
}

/// A service whose account has a lease.
struct Leased<'s> {
    service: &'s Service,
    model: &'s Model,
}

impl Account for Leased<'_> {
    async fn run(&self, role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        match statement.contains("ACCOUNT_LEASE") {
            true => self.model.run(role, statement, tag).await,
            false => {
                assert!(self.model.lease.borrow().is_held, "{statement}");
                self.service.run(role, statement, tag).await
            }
        }
    }

    async fn ask(&self, warehouses: &[&Name], role: &str, statement: &str, tag: &str) -> Result<Vec<Row>> {
        self.model.ask(warehouses, role, statement, tag).await
    }
}

#[test]
fn a_rotation_holds_the_lease_and_a_second_one_is_refused() {
    let (model, service) = (made(SHIPPED, Model::standard()).0, Service::default());
    let account = Leased { service: &service, model: &model };
    let rotated = |run| block_on(rotate(&account, &Now, &service, &Name::of(["SVC"]), &settings("dev"), run));
    rotated("run-1").expect("a key");
    assert!(has_one_key(&service) && !model.lease.borrow().is_held);
    let before = service.requests.get();
    model.lease.borrow_mut().is_held = true;
    let error = rotated("run-2").expect_err("another one rotates");
    assert_eq!((error.kind(), error.is_transient()), (Kind::Conflict, true));
    assert_eq!(service.requests.get(), before, "nothing was asked of the user or the secret");
}
