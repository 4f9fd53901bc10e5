//! Runs that die at random points, alone and two at once, while contacts change: in the end the table is the source.

use std::collections::BTreeMap;

use futures::join;
use sluice_core::extract::Outcome;
use sluice_local::vendors::hubspot::HubSpotState;
use sluice_testkit::{
    generate::Contact,
    lake::{Death, MemoryLake, death},
};

use crate::support::{Extractor, emulator};

const SEED: u64 = 20_261_029;

/// The contacts as they are, beside the emulator that is told of every change.
struct Portal {
    state: HubSpotState,
    contacts: BTreeMap<i64, Contact>,
    clock: i64,
    random: fastrand::Rng,
}

impl Portal {
    fn put(&mut self, contact: Contact) {
        self.state.upsert(contact.clone());
        contact.merged_ids.iter().for_each(|id| drop(self.contacts.remove(id)));
        self.contacts.insert(contact.id, contact);
    }

    fn pick(&mut self) -> Option<Contact> {
        let live: Vec<&Contact> = self.contacts.values().filter(|contact| !contact.archived).collect();
        live.get(self.random.usize(0..live.len().max(1))).map(|contact| (*contact).clone())
    }

    fn change(&mut self) {
        self.clock += self.random.i64(1..90_000) * 1_000;
        let now = self.clock;
        let email = |id: i64| Some(format!("{id}.{now}@example.com"));
        match (self.random.u8(0..10), self.pick()) {
            (0..4, _) | (_, None) => {
                let id = self.contacts.keys().last().copied().unwrap_or(0) + 1_000 + i64::from(self.random.u8(1..9));
                self.put(Contact {
                    id,
                    email: email(id),
                    firstname: Some("Ada".into()),
                    lastname: None,
                    lifecyclestage: None,
                    createdate: now,
                    lastmodifieddate: now,
                    archived: false,
                    merged_ids: Vec::new(),
                });
            }
            (4..8, Some(contact)) => self.put(Contact { email: email(contact.id), lastmodifieddate: now, ..contact }),
            (8, Some(contact)) => self.put(Contact { archived: true, lastmodifieddate: now, ..contact }),
            (_, Some(mut survivor)) => {
                let Some(consumed) = self.pick().filter(|consumed| consumed.id != survivor.id) else { return };
                survivor.merged_ids.extend(consumed.merged_ids);
                survivor.merged_ids.push(consumed.id);
                self.put(Contact { lastmodifieddate: now, ..survivor });
            }
        }
    }
}

#[tokio::test]
async fn killed_a_hundred_times_and_two_at_once_the_table_equals_the_portal() {
    let (state, url, _stop) = emulator().await;
    let extractor = Extractor::new(url);
    let random = fastrand::Rng::with_seed(SEED);
    let mut portal = Portal { state, contacts: BTreeMap::new(), clock: 1_790_000_000_000_000, random };
    (0..300).for_each(|_| portal.change());

    let (lake, mut deaths, mut round) = (MemoryLake::default(), 0, 0);
    while deaths < 100 {
        assert!(round < 400, "only {deaths} of {round} runs died");
        (0..portal.random.usize(0..6)).for_each(|_| portal.change());
        let one = lake.run(death(SEED, round));
        if round % 4 == 3 {
            let other = lake.run(death(!SEED, round));
            let ends = join!(extractor.run(&one), extractor.run(&other));
            deaths += usize::from(ends.0.is_none()) + usize::from(ends.1.is_none());
        } else {
            deaths += usize::from(extractor.run(&one).await.is_none());
        }
        round += 1;
    }

    extractor.run(&lake.run(Death::Never)).await.expect("alive").expect("a run");
    let last = extractor.run(&lake.run(Death::Never)).await.expect("alive").expect("a run");
    assert_eq!(last.outcome, Outcome::NothingNew);
    let live = portal.contacts.values().filter(|contact| !contact.archived);
    let expected: BTreeMap<i64, _> = live.map(|c| (c.id, (c.email.clone(), c.lastmodifieddate))).collect();
    assert!(expected.len() > 50, "only {} contacts", expected.len());
    assert_eq!(extractor.live(&lake), expected);
    assert!(extractor.tombstones(&lake) > 10);
}

#[tokio::test]
async fn of_two_at_once_one_commits_and_the_other_ends_in_conflict() {
    let (state, url, _stop) = emulator().await;
    let extractor = Extractor::new(url);
    let random = fastrand::Rng::with_seed(SEED);
    let mut portal = Portal { state, contacts: BTreeMap::new(), clock: 1_790_000_000_000_000, random };
    (0..300).for_each(|_| portal.change());
    let lake = MemoryLake::default();
    let (one, other) = (lake.run(Death::Never), lake.run(Death::Never));
    let (one, other) = join!(extractor.run(&one), extractor.run(&other));
    let (won, lost): (Vec<_>, Vec<_>) =
        [one, other].map(|end| end.expect("alive")).into_iter().partition(Result::is_ok);
    assert_eq!((won.len(), lake.commits(extractor.table()).unwrap().len()), (1, 1));
    assert_eq!(lost[0].as_ref().unwrap_err().kind(), sluice_core::Kind::Conflict);
}
