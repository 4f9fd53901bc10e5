//! What is asked for while a read is partitioned.

use super::*;

impl World {
    fn asked(&self, request: &ExtractRequest) -> Result<ExtractSummary> {
        block_on(self.split().run(&mut Shop(self), &self.table, &self.run_id(), request))
    }

    fn request(&self) -> ExtractRequest {
        ExtractRequest::scheduled(self.table.table.clone(), DateTime::UNIX_EPOCH)
    }
}

#[test]
fn a_request_for_old_rows_is_refused_until_the_plan_has_committed() {
    let world = World::new("merge", 10);
    let refresh = ExtractRequest { full_refresh: true, ..world.request() };
    let from = ExtractRequest { from_cursor: Some("3".into()), ..world.request() };
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve(&parts[0]).expect("a part");
    for request in [&refresh, &from] {
        let refused = world.asked(request).expect_err("a plan is under way");
        assert_eq!(refused.kind(), Kind::Conflict);
        for part in ["plan=1", "sequence=1", "1 of 4 are done"] {
            assert!(refused.to_string().contains(part), "{refused}");
        }
        let hint = refused.hint().expect("that of its kind says that there is nothing to do");
        for part in ["wait until `sluice status`", "run again", "24 hours"] {
            assert!(hint.contains(part), "{hint}");
        }
    }
    assert!(world.messages().is_empty());
    assert_eq!(world.asked(&world.request()).expect("the hour").outcome, Extract::InParts);

    world.serve_all(&parts[1..]);
    assert_eq!(world.commits().len(), 1);
    assert_eq!(world.asked(&refresh).expect("a plan of its own").parts, Some(Parts { done: 0, of: 4 }));
    world.serve_all(&world.parts());
    let commits = world.commits();
    assert_eq!(commits.iter().map(|commit| world.keys_of(commit).len()).collect::<Vec<_>>(), [10, 10]);
}

#[test]
fn a_request_that_is_delivered_again_meets_the_plan_that_was_made_for_it() {
    let world = World::new("merge", 10);
    let refresh = ExtractRequest { full_refresh: true, ..world.request() };
    assert_eq!(world.asked(&refresh).expect("a plan").outcome, Extract::InParts);
    let again = world.asked(&refresh).expect("the same plan");
    assert_eq!((again.outcome, again.run_id.0.as_str()), (Extract::InParts, "r0"));
    let later = ExtractRequest { time: refresh.time + TimeDelta::hours(1), ..refresh };
    assert_eq!(world.asked(&later).expect_err("another request").kind(), Kind::Conflict);
}

#[test]
fn a_dry_run_tells_of_the_plan_that_is_under_way() {
    let world = World::new("merge", 10);
    let dry = ExtractRequest { dry_run: true, ..world.request() };
    assert_eq!(world.asked(&dry).expect("a dry run").parts, None, "no plan is made yet");
    world.run().expect("a plan");
    let parts = world.parts();
    world.serve(&parts[0]).expect("a part");
    let before = world.store.objects.borrow().clone();
    for full_refresh in [false, true] {
        let told = world.asked(&ExtractRequest { full_refresh, ..dry.clone() }).expect("a dry run");
        assert_eq!((told.outcome, told.parts), (Extract::DryRun, Some(Parts { done: 1, of: 4 })));
        assert_eq!(told.sequence, None, "it is not the dry run's");
    }
    assert_eq!(*world.store.objects.borrow(), before);
    assert!(world.messages().is_empty());
    world.serve_all(&parts[1..]);
    assert_eq!(world.asked(&dry).expect("a dry run").parts, None, "the plan is committed");
}

/// Between its look for a plan and its own, another run has made one.
#[test]
fn of_two_partitioning_requests_the_one_for_more_is_told_to_ask_again() {
    struct Overtaken<'a>(Shop<'a>);
    impl Source for Overtaken<'_> {
        async fn read(&mut self, run: &ExtractRun<'_>) -> Result<Extracted> {
            self.0.read(run).await
        }
    }
    impl SplitSource for Overtaken<'_> {
        async fn partition(&mut self, run: &ExtractRun<'_>) -> Result<Option<Partitioning>> {
            let world = self.0.0;
            let faster = RunId("faster".into());
            world.split().run(&mut Shop(world), &world.table, &faster, &world.request()).await?;
            self.0.partition(run).await
        }
        async fn read_chunk(&mut self, run: &ExtractRun<'_>, chunk: &Chunk, planned: &Cursor) -> Result<Extracted> {
            self.0.read_chunk(run, chunk, planned).await
        }
    }
    for full_refresh in [false, true] {
        let world = World::new("merge", 10);
        let request = ExtractRequest { full_refresh, ..world.request() };
        let mut source = Overtaken(Shop(&world));
        let slower = block_on(world.split().run(&mut source, &world.table, &RunId("slower".into()), &request));
        let lost = slower.expect_err("another plan has the place");
        assert_eq!((lost.kind(), lost.hint().is_some()), (Kind::Conflict, full_refresh));
    }
}

/// The last part has left its result and died before the commit.
#[test]
fn a_request_that_finds_a_plan_complete_commits_it_and_goes_on() {
    let world = World::new("merge", 10);
    world.run().expect("a plan");
    let mut parts = world.parts();
    let last = parts.pop().expect("four parts");
    world.serve_all(&parts);
    let plan = block_on(objects::newest_plan(&world.store, &world.table.table)).expect("a plan").expect("one");
    let attempt = RunId("died".into());
    let part = last.part.expect("a part");
    block_on(world.split().read_part(&mut Shop(&world), &plan, part, &world.table, &attempt)).expect("a result");
    assert!(world.commits().is_empty());

    let refresh = ExtractRequest { full_refresh: true, ..world.request() };
    let summary = world.asked(&refresh).expect("a run");
    assert_eq!((summary.outcome, summary.sequence), (Extract::InParts, Some(Sequence(2))));
    assert_eq!(world.commits().len(), 1);
    world.serve_all(&world.parts());
    assert_eq!(world.commits().len(), 2);
}
