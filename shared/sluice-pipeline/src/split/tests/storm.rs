//! Runs, parts and looks in any order, twice, late and never, each dying at any call, while rows come in: in the end the
//! table is the source.

use super::*;

/// SplitMix64.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) % limit as u64) as usize
    }
}

/// What a storm has come across.
#[derive(Default)]
struct Seen {
    failed: usize,
    lost: usize,
    repeated: usize,
    given_up: usize,
    partitioned: usize,
}

/// One step of somebody. Its errors are what a killed function leaves: the next step goes on with what is there.
fn step(world: &World, dice: &mut Dice, messages: &mut Vec<SplitMessage>, seen: &mut Seen) {
    match dice.below(10) {
        0 => {
            let unused = |key: &u64| !world.keys.borrow().contains(key);
            let new: BTreeSet<u64> = (0..dice.below(9)).map(|_| dice.below(2_000) as u64).filter(unused).collect();
            world.keys.borrow_mut().extend(new);
        }
        1 => world.pass(TimeDelta::minutes(dice.below(1_200) as i64)),
        2 | 3 => seen.failed += usize::from(world.run().is_err()),
        4 if !messages.is_empty() => {
            messages.swap_remove(dice.below(messages.len()));
            seen.lost += 1;
        }
        _ if !messages.is_empty() => {
            let at = dice.below(messages.len());
            let message = if dice.below(4) == 0 {
                seen.repeated += 1;
                messages[at].clone()
            } else {
                messages.swap_remove(at)
            };
            seen.failed += usize::from(world.serve(&message).is_err());
        }
        _ => {}
    }
    messages.extend(world.messages());
}

#[test]
fn in_a_storm_the_table_becomes_the_source() {
    let mut seen = Seen::default();
    for seed in 0..300 {
        let mut dice = Dice(seed);
        let mut world = World::new("merge", dice.below(30) as u64);
        let mut messages = Vec::new();
        for _ in 0..60 {
            world.store.faults = match dice.below(4) {
                0 => Faults::at(dice.below(12), dice.below(2) == 0),
                _ => Faults::none(),
            };
            world.queue.faults = if dice.below(10) == 0 { Faults::at(dice.below(4), false) } else { Faults::none() };
            step(&world, &mut dice, &mut messages, &mut seen);
        }
        (world.store.faults, world.queue.faults) = (Faults::none(), Faults::none());
        seen.given_up += world.bus.announced.borrow().len();
        let plans = world.store.objects.borrow();
        seen.partitioned += plans.keys().filter(|key| key.contains("/plans/")).count();
        drop(plans);
        // Calm: hours pass, every message arrives, and what was lost is found.
        for _ in 0..40 {
            world.run().unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
            for message in world.messages() {
                if message.part.is_some() {
                    world.serve(&message).unwrap_or_else(|error| panic!("seed {seed}: {error:?}"));
                }
            }
            world.pass(TimeDelta::hours(1));
            world.look(
                block_on(objects::newest_plan(&world.store, &world.table.table))
                    .expect("a plan")
                    .map_or(1, |p| p.number),
            );
        }
        assert_eq!(world.run().expect("a run").rows, 0, "seed {seed}");
        assert_eq!(world.loaded(), world.source(), "seed {seed}");
        for commit in world.commits() {
            let keys = world.keys_of(&commit);
            let once: BTreeSet<u64> = keys.iter().copied().collect();
            assert_eq!(keys.len(), once.len(), "seed {seed}: a commit holds a row twice");
        }
    }
    let Seen { failed, lost, repeated, given_up, partitioned } = seen;
    assert!(
        failed > 500 && lost > 300 && repeated > 300 && given_up > 10 && partitioned > 300,
        "a storm too mild: \
        {failed} failed, {lost} lost, {repeated} repeated, {given_up} given up, {partitioned} partitioned"
    );
}
