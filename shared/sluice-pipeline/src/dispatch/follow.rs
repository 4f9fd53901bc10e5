//! From a claim to its end: start, look, retry, stop, end.

use std::time::Duration;

use bytes::Bytes;
use sluice_core::{
    Result, Retry, RunId,
    event::{self, DbtRun},
    lake,
    port::{Bus, Clock, DelayedQueue, ObjectStore},
};
use tracing::{info, warn};

use crate::runs;

use super::{
    Dispatch, Dispatched, JobRun, JobState, Jobs, Ledger, Message,
    claim::{self, Claim, End, EndStatus, Start, Stop},
    encoded,
    results::{Made, Report, RunResults, Unfinished},
    steps::steps,
};

/// The longest that a trigger may take; the clients of [`Jobs`] keep it.
pub(super) const TRIGGER_WITHIN: Duration = Duration::from_secs(60);

/// From a start to its trigger at most; an invocation that comes later leaves it to the next start.
const TRIGGER_AFTER: Duration = Duration::from_secs(15);

/// When a start without a run of the job counts as lost.
pub(super) const START_WITHIN: Duration = TRIGGER_AFTER.saturating_add(TRIGGER_WITHIN);

/// A run that somebody else cancels again and again is given up after this many.
pub(super) const MOST_ATTEMPTS: u32 = 3;

/// A run that does not end although it was cancelled is given up after this long.
const STOP_WITHIN: Duration = Duration::from_secs(600);

/// What is kept of each run of the job.
const ARTIFACTS: [&str; 3] = [MANIFEST, RUN_RESULTS, "sources.json"];

const MANIFEST: &str = "manifest.json";
const RUN_RESULTS: &str = "run_results.json";

/// The longest cause of a run that every runner takes.
pub(super) const MOST_CAUSE_CHARS: usize = 255;

impl<S: ObjectStore, L: Ledger, J: Jobs, B: Bus, Q: DelayedQueue, C: Clock> Dispatch<'_, S, L, J, B, Q, C> {
    /// Looks at the run of a claim and does whatever comes next.
    /// Looks again later only where `chain` says that this is the run's own chain of messages.
    pub(super) async fn follow(&self, number: u64, chain: bool, by: &RunId) -> Result<Dispatched> {
        if let Some(end) = claim::end(self.store, number).await? {
            return Ok(Dispatched::Ended { number, status: end.status });
        }
        let claim = claim::read(self.store, number).await?;
        runs::follow(&claim.run_id);
        let start = claim::newest_start(self.store, &claim).await?;
        let mut stop = claim::stop(self.store, number).await?;
        let age = self.since(start.at);
        let marker = marker(&claim, &start);
        let Some(mut run) = self.newest_run(&marker).await? else {
            return self.without_run(&claim, &start, stop, chain, by).await;
        };
        if run.state == JobState::UnderWay {
            if stop.is_none() && age > self.policy.limit {
                let reason = format!("cancelled after {} minutes", self.policy.limit.as_secs() / 60);
                let request = Stop { number, at: self.clock.now(), status: EndStatus::Failed, reason };
                stop = Some(claim::put_stop(self.store, request).await?);
            }
            if stop.is_some() {
                self.jobs.cancel(&run.id).await?;
                run = self.newest_run(&marker).await?.unwrap_or(run);
            }
        }
        match (&run.state, stop) {
            (JobState::UnderWay, Some(stop)) if self.since(stop.at) > STOP_WITHIN => {
                self.end(&claim, &start, Some(&run), stop.status, Some(stop.reason)).await
            }
            (JobState::UnderWay, _) => self.look_again(number, chain, self.policy.poll).await,
            // A run that was faster than the request to stop it has done its work.
            (JobState::Succeeded, _) => self.end(&claim, &start, Some(&run), EndStatus::Succeeded, None).await,
            (_, Some(stop)) => self.end(&claim, &start, Some(&run), stop.status, Some(stop.reason)).await,
            // Nothing is wrong with the work: somebody or a restart has stopped it, so it is done again, whole.
            (JobState::Cancelled, None) if start.attempt < MOST_ATTEMPTS => {
                self.start_again(&claim, &start, &run, start.selectors.clone(), start.retry, by).await
            }
            (JobState::Cancelled, None) => {
                self.end(&claim, &start, Some(&run), EndStatus::Failed, Some("cancelled".into())).await
            }
            (JobState::Failed { reason }, None) => {
                let unfinished = if start.retry { None } else { self.unfinished(&claim, &start, &run).await? };
                match unfinished {
                    Some(nodes) => {
                        warn!(number, nodes = nodes.join(" "), "retrying a dbt run once from what failed");
                        self.start_again(&claim, &start, &run, nodes, true, by).await
                    }
                    None => self.end(&claim, &start, Some(&run), EndStatus::Failed, Some(reason.clone())).await,
                }
            }
        }
    }

    /// Stops a run for good. What it would have covered stays uncovered, but is not tried again until new data comes.
    pub(super) async fn cancel(&self, number: u64, by: &RunId) -> Result<Dispatched> {
        // A number that was never claimed is somebody's mistake, and an error.
        claim::read(self.store, number).await?;
        if let Some(end) = claim::end(self.store, number).await? {
            return Ok(Dispatched::Ended { number, status: end.status });
        }
        let reason = "cancelled on request".to_owned();
        let request = Stop { number, at: self.clock.now(), status: EndStatus::Cancelled, reason };
        claim::put_stop(self.store, request).await?;
        self.follow(number, true, by).await
    }

    /// Triggers the job; the caller has put the start. The chain of messages begins first: if we die before the trigger
    /// has gone out, the chain finds a start without a run.
    pub(super) async fn start(&self, claim: &Claim, start: &Start) -> Result<()> {
        self.look_again(claim.number, true, self.policy.poll).await?;
        // Whatever stops the run looks for starts after it has put its request: either it sees ours, or we see its request.
        if claim::stop(self.store, claim.number).await?.is_some() {
            return Ok(());
        }
        if self.since(start.at) > TRIGGER_AFTER {
            warn!(number = claim.number, start = start.start, "too late to trigger dbt: the next start does it");
            return Ok(());
        }
        let run = self.jobs.start(&cause(claim, start), &steps(claim, start)).await?;
        info!(number = claim.number, start = start.start, dbt_run_id = run.id, "dbt run started");
        self.bus.announce(event::run_started(&announcement(claim, &Report::default(), None))).await
    }

    async fn newest_run(&self, marker: &str) -> Result<Option<JobRun>> {
        Ok(self.jobs.recent(marker).await?.into_iter().next())
    }

    /// The invocation that has put the start is about to trigger the job, or has died and is replaced when its time is over.
    async fn without_run(
        &self,
        claim: &Claim,
        start: &Start,
        stop: Option<Stop>,
        chain: bool,
        by: &RunId,
    ) -> Result<Dispatched> {
        if let Some(wait) = START_WITHIN.checked_sub(self.since(start.at)).filter(|wait| !wait.is_zero()) {
            return self.look_again(claim.number, chain, wait.min(self.policy.poll)).await;
        }
        if let Some(stop) = stop {
            return self.end(claim, start, None, stop.status, Some(stop.reason)).await;
        }
        let next = Start { start: start.start + 1, by: by.clone(), at: self.clock.now(), ..start.clone() };
        if claim::put_start(self.store, &next).await? {
            self.start(claim, &next).await?;
            return Ok(Dispatched::Started { number: claim.number });
        }
        Ok(Dispatched::UnderWay { number: claim.number })
    }

    /// Makes the next start of a run whose last one has ended in vain. Of several that see this at once one does it, and
    /// the run's chain of messages goes on with that one.
    async fn start_again(
        &self,
        claim: &Claim,
        last: &Start,
        run: &JobRun,
        selectors: Vec<String>,
        retry: bool,
        by: &RunId,
    ) -> Result<Dispatched> {
        self.keep_artifacts(claim, last, run).await?;
        let mut ended = last.ended.clone();
        ended.push((last.start, run.id.clone()));
        let next = Start {
            number: claim.number,
            start: last.start + 1,
            by: by.clone(),
            at: self.clock.now(),
            attempt: last.attempt + 1,
            retry,
            selectors,
            ended,
        };
        if claim::put_start(self.store, &next).await? {
            self.start(claim, &next).await?;
        }
        Ok(Dispatched::UnderWay { number: claim.number })
    }

    /// What is to be built by the retry of a failed run; `None` if a retry would do nothing. A run that left no results
    /// never came as far as the models, so all of it is tried again.
    async fn unfinished(&self, claim: &Claim, start: &Start, run: &JobRun) -> Result<Option<Vec<String>>> {
        self.keep_artifacts(claim, start, run).await?;
        let unfinished = match self.results(claim, start.start).await? {
            None => Unfinished::Everything,
            Some(results) => results.unfinished(),
        };
        Ok(match unfinished {
            Unfinished::Nothing => None,
            Unfinished::Nodes(nodes) => Some(nodes),
            Unfinished::Everything => Some(start.selectors.clone()),
        })
    }

    async fn keep_artifacts(&self, claim: &Claim, start: &Start, run: &JobRun) -> Result<()> {
        for name in ARTIFACTS {
            let Some(body) = self.artifact(start, run, name).await? else { continue };
            if name != MANIFEST && !self.is_made_by(claim, start, &body).await? {
                warn!(
                    number = claim.number,
                    start = start.start,
                    name,
                    "left out a file that an earlier dbt run has made"
                );
                continue;
            }
            if name == MANIFEST && run.state == JobState::Succeeded {
                self.store.put(lake::DBT_MANIFEST_KEY, body.clone()).await?;
            }
            self.store.put(&lake::dbt_artifact_key(&claim.run_id, start.start, name), body).await?;
        }
        Ok(())
    }

    /// A file that a run has left. One that cannot be had counts as absent: at once if asking again cannot help, else when
    /// the run's time is over. What is kept for the record keeps no run from ending.
    async fn artifact(&self, start: &Start, run: &JobRun, name: &str) -> Result<Option<Bytes>> {
        match self.jobs.artifact(&run.id, name).await {
            Err(error) if error.retry() != Retry::Permanent && self.since(start.at) <= self.policy.limit => Err(error),
            Err(error) => {
                warn!(number = start.number, start = start.start, name, %error, "a dbt run's file cannot be had");
                Ok(None)
            }
            found => found,
        }
    }

    /// Whether a start's run has made a file: a runner may keep the files of an earlier run until a later
    /// one writes its own, and a run that fails early writes none.
    async fn is_made_by(&self, claim: &Claim, start: &Start, body: &[u8]) -> Result<bool> {
        let made = Made::read(body);
        if made.generated_at.is_some_and(|at| at < start.at) {
            return Ok(false);
        }
        for (earlier, _) in &start.ended {
            let key = lake::dbt_artifact_key(&claim.run_id, *earlier, RUN_RESULTS);
            let kept = self.store.get(&key).await?.map(|body| Made::read(&body).invocation_id);
            if made.invocation_id.is_some() && kept == Some(made.invocation_id.clone()) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// What a start's run did, as it was kept. Results that cannot be read are none.
    async fn results(&self, claim: &Claim, start: u64) -> Result<Option<RunResults>> {
        let key = lake::dbt_artifact_key(&claim.run_id, start, RUN_RESULTS);
        let Some(body) = self.store.get(&key).await? else { return Ok(None) };
        let parsed = RunResults::parse(&body);
        Ok(parsed
            .inspect_err(|error| warn!(number = claim.number, key, %error, "a dbt run's results are left out"))
            .ok())
    }

    async fn report(&self, claim: &Claim, start: &Start, run: Option<&JobRun>) -> Result<Report> {
        let mut ended = start.ended.clone();
        ended.extend(run.map(|run| (start.start, run.id.clone())));
        let mut attempts = Vec::new();
        for (start, _) in &ended {
            attempts.extend(self.results(claim, *start).await?);
        }
        let mut report = Report {
            run_id: Some(claim.run_id.clone()),
            cause: claim.cause.clone(),
            selectors: claim.selectors.clone(),
            full_refresh: claim.full_refresh,
            started_at: Some(claim.claimed_at),
            attempts: u32::try_from(ended.len()).unwrap_or(u32::MAX),
            dbt_run_ids: ended.into_iter().map(|(_, id)| id).collect(),
            ..Report::default()
        };
        report.add(&attempts, self.policy.credits_per_hour);
        Ok(report)
    }

    /// Keeps what the run left, ends the claim, says so, and looks for work that came meanwhile. Each step may be done
    /// twice: the end is put if absent, and a second announcement has the first one's id.
    async fn end(
        &self,
        claim: &Claim,
        start: &Start,
        run: Option<&JobRun>,
        status: EndStatus,
        reason: Option<String>,
    ) -> Result<Dispatched> {
        if let Some(run) = run {
            self.keep_artifacts(claim, start, run).await?;
        }
        let covered = if status == EndStatus::Succeeded { &claim.positions } else { &claim.covered };
        let end = End {
            number: claim.number,
            status,
            dbt_run_id: run.map(|run| run.id.clone()).unwrap_or_default(),
            ended_at: self.clock.now(),
            reason,
            report: self.report(claim, start, run).await?,
            covered: covered.clone(),
        };
        self.ledger.record(claim, &end).await?;
        let detail = announcement(claim, &end.report, end.reason.clone());
        self.bus
            .announce(match status {
                EndStatus::Succeeded => event::run_succeeded(&detail),
                EndStatus::Failed | EndStatus::Cancelled => event::run_failed(&detail),
            })
            .await?;
        claim::put_end(self.store, &end).await?;
        log_end(&end);
        let wake = Message::Wake { cause: format!("run {} ended", claim.number), force: false, resume: false };
        // It goes on with no chain: what it may set off is another run.
        self.queue.begin(&encoded(&wake)?).await?;
        Ok(Dispatched::Ended { number: claim.number, status })
    }

    async fn look_again(&self, number: u64, chain: bool, wait: Duration) -> Result<Dispatched> {
        if chain {
            self.send(&Message::Follow { number }, wait).await?;
        }
        Ok(Dispatched::UnderWay { number })
    }
}

fn log_end(end: &End) {
    let (number, reason) = (end.number, end.reason.as_deref().unwrap_or_default());
    let (models, rows, seconds) = (end.report.models, end.report.rows, end.report.seconds);
    match end.status {
        EndStatus::Succeeded => info!(number, models, rows, seconds, "dbt run succeeded"),
        EndStatus::Cancelled => warn!(number, models, rows, seconds, reason, "dbt run cancelled"),
        EndStatus::Failed => {
            let failed = end.report.failed_nodes().join(" ");
            tracing::error!(number, models, rows, seconds, reason, failed, "dbt run failed");
        }
    }
}

/// What a start's run is marked with: the marker whole, then as much of the reason as there is room for.
fn cause(claim: &Claim, start: &Start) -> String {
    let mut cause = marker(claim, start) + &claim.cause;
    if cause.chars().count() > MOST_CAUSE_CHARS {
        cause = cause.chars().take(MOST_CAUSE_CHARS - 1).chain(['…']).collect();
    }
    cause
}

/// How a start finds its own run again. The run id tells it from the same number in another lake.
fn marker(claim: &Claim, start: &Start) -> String {
    format!("sluice dispatch {} ({}) start {}: ", claim.number, claim.run_id, start.start)
}

fn announcement(claim: &Claim, report: &Report, reason: Option<String>) -> DbtRun {
    DbtRun {
        id: format!("dbt#{}", claim.number),
        run_id: claim.run_id.clone(),
        number: claim.number,
        cause: claim.cause.clone(),
        selectors: claim.selectors.clone(),
        full_refresh: claim.full_refresh,
        reason,
        models: report.models,
        rows: report.rows,
        seconds: report.seconds.round().max(0.0) as u64,
        built: report.built_models(),
        failed: report.failed_nodes(),
    }
}
