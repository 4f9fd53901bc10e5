//! The lake's layout: every key is made and read here.

use chrono::{DateTime, NaiveDate, Utc};
use uuid::Uuid;

use crate::{RunId, Sequence, TableId, table};

/// Keys of a table's log count down, so that the newest commit lists first: one LIST with one key, one GET.
const NEWEST_FIRST: u128 = 100_000_000_000_000_000_000;

/// What the warehouse reads lies behind this: its role may list and read nothing else.
pub const RAW: &str = "raw/";

pub fn log_prefix(table: &TableId) -> String {
    format!("{RAW}{}/log/", table.path())
}

pub fn log_key(table: &TableId, sequence: Sequence) -> String {
    format!("{}{}", log_prefix(table), counted_name(sequence.0))
}

pub fn data_prefix(table: &TableId) -> String {
    format!("{RAW}{}/data/", table.path())
}

pub fn data_key(table: &TableId, run: &RunId, part: usize) -> String {
    format!("{}{run}/part-{part:05}.parquet", data_prefix(table))
}

/// How the runs begin that put files for themselves: those of a proof, and those of a topic's replay.
pub const PROOF: &str = "prove-";
pub const REPLAY: &str = "replay-";

/// Where a table's files of such runs lie.
pub fn aside_prefixes(table: &TableId) -> [String; 3] {
    let data = data_prefix(table);
    [format!("{data}{PROOF}"), format!("{data}{REPLAY}"), format!("{}{PROOF}", rejects_prefix(table))]
}

/// The ids of all live records, as a run of a source whose API does not tell of deletions has left them.
pub fn ids_key(table: &TableId, run: &RunId) -> String {
    format!("{}{run}/ids.txt", data_prefix(table))
}

pub fn rejected_key(table: &TableId, run: &RunId) -> String {
    format!("rejected/{}/{run}.ndjson.zst", table.path())
}

/// The folder of everything that a run has rejected, where it is more than one file.
pub fn rejected_prefix(table: &TableId, run: &RunId) -> String {
    format!("rejected/{}/{run}/", table.path())
}

/// The folder of everything that a table's runs have rejected.
pub fn rejects_prefix(table: &TableId) -> String {
    format!("rejected/{}/", table.path())
}

/// When the run began that has left a file of rejected rows, as far as the run's id tells.
pub fn rejected_at(table: &TableId, key: &str) -> Option<DateTime<Utc>> {
    let name = key.strip_prefix(&rejects_prefix(table))?;
    let run = name.split('/').next()?.trim_end_matches(".ndjson.zst");
    let (seconds, nanos) = Uuid::parse_str(run).ok()?.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanos)
}

/// A chunk of a partitioned read as a run of its own: its files lie in a folder below the run's. The name holds the attempt,
/// so that a part which is read twice leaves both attempts' files as they are.
pub fn part_run(run: &RunId, part: usize, attempt: &RunId) -> RunId {
    RunId(format!("{run}/{part:05}-{attempt}"))
}

/// How the table's last run ended.
pub fn last_run_key(table: &TableId) -> String {
    format!("runs/{}.json", table.path())
}

/// The table's last attempt at a load that failed.
pub fn failed_load_key(table: &TableId) -> String {
    format!("loads/{}.json", table.path())
}

/// What the last look at the warehouse's account has found.
pub fn account_status_key() -> &'static str {
    "account/status.json"
}

/// The plans of a table's partitioned reads, the newest first.
pub fn split_prefix(table: &TableId) -> String {
    format!("splits/{}/plans/", table.path())
}

pub fn split_plan_key(table: &TableId, number: u64) -> String {
    format!("{}{}", split_prefix(table), counted_name(number))
}

/// What a part of the n-th plan has made durable.
pub fn split_part_key(table: &TableId, number: u64, part: usize) -> String {
    format!("splits/{}/parts/{number}/{part:05}.json", table.path())
}

/// That what the n-th plan misses beside the results that there are has been queued again, and which time since the last of them.
pub fn split_again_key(table: &TableId, number: u64, results: usize, time: u32) -> String {
    format!("splits/{}/again/{number}/{results:05}-{time}.json", table.path())
}

/// That the n-th plan was given up.
pub fn split_end_key(table: &TableId, number: u64) -> String {
    format!("splits/{}/ends/{number}.json", table.path())
}

/// Where a Kafka record that failed its contract is kept, one object per record. `content` is a [`digest`] of the record: a
/// retry overwrites its own object and no other, also when a topic was created again and its offsets begin again.
pub fn dead_letter_key(topic: &str, partition: i32, offset: i64, content: &str) -> String {
    format!("{}{partition}/{offset:020}-{content}.json", dead_letter_prefix(topic))
}

/// What all dead letters of a topic have in common.
pub fn dead_letter_prefix(topic: &str) -> String {
    format!("dead-letter/{topic}/")
}

/// Partition and offset of a dead letter; `None` for anything that is none of the topic.
pub fn dead_letter_place(topic: &str, key: &str) -> Option<(i32, i64)> {
    let (partition, name) = key.strip_prefix(&dead_letter_prefix(topic))?.split_once('/')?;
    let (offset, _) = name.strip_suffix(".json")?.split_once('-')?;
    Some((partition.parse().ok()?, offset.parse().ok()?))
}

/// Where the dead letters of a partition up to an offset end in a listing: before those of later ones.
pub fn dead_letters_until(topic: &str, partition: i32, offset: i64) -> String {
    format!("{}{partition}/{offset:020}-~", dead_letter_prefix(topic))
}

/// What all archives of a topic have in common.
pub fn archive_prefix(topic: &str) -> String {
    format!("archive/{topic}/")
}

/// An object of the archive, as its name tells it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Archive {
    pub partition: i32,
    pub first: i64,
    pub last: i64,
    /// The UTC date of the first record.
    pub date: NaiveDate,
    /// A [`digest`] of the cluster id, which says which creation of the topic this is. Names of an earlier form lack it.
    pub creation: Option<String>,
    /// Of the records, so that other records never get this name. Absent in names of an earlier form.
    pub checksum: Option<u32>,
}

impl Archive {
    /// A function of the records and the cluster id alone: a retry overwrites itself and nothing else.
    pub fn key(&self, topic: &str) -> String {
        let creation = self.creation.as_ref().map_or_else(String::new, |creation| format!("{creation}/"));
        let checksum = self.checksum.map_or_else(String::new, |checksum| format!("-{checksum:08x}"));
        let (prefix, date) = (archive_prefix(topic), self.date);
        format!("{prefix}{date}/{creation}{}-{}-{}{checksum}.ndjson.zst", self.partition, self.first, self.last)
    }

    /// `None` for anything that is no archive of the topic.
    pub fn parse(topic: &str, key: &str) -> Option<Self> {
        let path = key.strip_prefix(&archive_prefix(topic))?.strip_suffix(".ndjson.zst")?;
        let parts: Vec<&str> = path.split('/').collect();
        let (date, creation, name) = match parts[..] {
            [date, name] => (date, None, name),
            [date, creation, name] => (date, Some(creation.to_owned()), name),
            _ => return None,
        };
        let numbers: Vec<&str> = name.split('-').collect();
        let (partition, first, last, checksum) = match numbers[..] {
            [partition, first, last] => (partition, first, last, None),
            [partition, first, last, checksum] => {
                (partition, first, last, Some(u32::from_str_radix(checksum, 16).ok()?))
            }
            _ => return None,
        };
        let archive = Archive {
            partition: partition.parse().ok()?,
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            date: date.parse().ok()?,
            creation,
            checksum,
        };
        (archive.first <= archive.last && archive.key(topic) == key).then_some(archive)
    }
}

/// Who has taken a person's records out of a topic's archive, and why.
pub fn erasure_key(table: &TableId, run: &RunId) -> String {
    format!("erasures/{}/{run}.json", table.path())
}

/// That the rows which the warehouse has refused of a channel, counted from its making, have been announced.
pub fn refused_key(channel: &str, refused: u64) -> String {
    format!("{REFUSED_PREFIX}{channel}/{refused:020}.json")
}

pub const REFUSED_PREFIX: &str = "refused/";

/// Eight hexadecimal digits that differ where the parts do.
pub fn digest(parts: &[&[u8]]) -> String {
    let mut bytes = Vec::new();
    for part in parts {
        bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
        bytes.extend_from_slice(part);
    }
    let (high, _, _, _) = Uuid::new_v5(&Uuid::NAMESPACE_OID, &bytes).as_fields().to_owned();
    format!("{high:08x}")
}

pub const DBT_LOG_PREFIX: &str = "dbt/log/";

/// The claim of the n-th dbt run. Newest first, as in a table's log.
pub fn dbt_claim_key(number: u64) -> String {
    format!("{DBT_LOG_PREFIX}{}", counted_name(number))
}

/// The end of the n-th dbt run; no claim may follow before it exists.
pub fn dbt_end_key(number: u64) -> String {
    format!("dbt/ended/{number}.json")
}

/// Every start of the n-th dbt run after the first, which its claim is. Newest first.
pub fn dbt_start_prefix(number: u64) -> String {
    format!("dbt/starts/{number}/")
}

pub fn dbt_start_key(number: u64, start: u64) -> String {
    format!("{}{}", dbt_start_prefix(number), counted_name(start))
}

/// That the n-th dbt run is to be stopped, and why.
pub fn dbt_stop_key(number: u64) -> String {
    format!("dbt/stops/{number}.json")
}

/// What dbt left behind, in one folder for each start, as `dbt --state` wants it.
pub fn dbt_artifact_key(run: &RunId, start: u64, artifact: &str) -> String {
    format!("dbt/artifacts/{run}/{start}/{artifact}")
}

/// The manifest of the newest run that succeeded: what a change is compared with.
pub const DBT_MANIFEST_KEY: &str = "dbt/artifacts/manifest.json";

/// The claims of a destination's activations, the newest first.
pub fn activation_prefix(destination: &str) -> String {
    format!("activations/{destination}/log/")
}

pub fn activation_claim_key(destination: &str, number: u64) -> String {
    format!("{}{}", activation_prefix(destination), counted_name(number))
}

/// How an activation ended.
pub fn activation_end_key(destination: &str, number: u64) -> String {
    format!("activations/{destination}/ended/{number}.json")
}

/// Whether activations of a destination may send at all.
pub fn activation_switch_key(destination: &str) -> String {
    format!("activations/{destination}/switch.json")
}

/// Which account the ledger of a destination is of.
pub fn activation_account_key(destination: &str) -> String {
    format!("activations/{destination}/account.json")
}

/// The folder of the report on the n-th dbt run. Newest first.
pub fn report_prefix(number: u64) -> String {
    format!("{REPORTS_PREFIX}{}/", counted(number))
}

pub const REPORTS_PREFIX: &str = "reports/";

/// Which run of dbt an object of a report is of.
pub fn report_number(key: &str) -> Option<u64> {
    let folder = key.strip_prefix(REPORTS_PREFIX)?.split('/').next()?;
    let number = folder.split_once('-')?.1.parse().ok()?;
    (counted(number) == folder).then_some(number)
}

/// The object of a report's folder that is put last: a report without it is not whole.
pub const REPORT_SUMMARY: &str = "report.json";

/// What the watching of the platform remembers between rounds.
pub const WATCH_BOARD_KEY: &str = "watch/board.json";

/// The same, when it could not be read.
pub const WATCH_UNREADABLE_KEY: &str = "watch/board-unreadable.json";

/// Which views over the ledger were made last.
pub const WATCH_VIEWS_KEY: &str = "watch/views.sql";

/// Up to where OpenLineage events were sent.
pub const OPENLINEAGE_MARKS_KEY: &str = "watch/openlineage.json";

/// Where an OpenLineage event is kept, by its time, run and type.
pub fn openlineage_key(at: &str, run: &str, event_type: &str) -> String {
    let day = at.split('T').next().unwrap_or_default();
    format!("openlineage/{day}/{at}-{run}-{event_type}.json")
}

/// The right to run the n-th round of watching, for the k-th time.
pub fn watch_claim_key(round: u64, attempt: u32) -> String {
    format!("{}{attempt}.json", watch_claims_prefix(round))
}

/// What all claims of a round of watching have in common.
pub fn watch_claims_prefix(round: u64) -> String {
    format!("watch/claims/{round}-")
}

/// The k of a claim of this round; `None` for any other key.
pub fn watch_claim_attempt(round: u64, key: &str) -> Option<u32> {
    key.strip_prefix(&watch_claims_prefix(round))?.strip_suffix(".json")?.parse().ok()
}

fn counted_name(number: u64) -> String {
    format!("{}.json", counted(number))
}

fn counted(number: u64) -> String {
    format!("{:020}-{number}", NEWEST_FIRST - 1 - u128::from(number))
}

/// The number in a key made by [`log_key`], [`split_plan_key`], [`dbt_claim_key`] or
/// [`dbt_start_key`]; `None` if the two halves disagree.
pub fn counted_number(key: &str) -> Option<u64> {
    let name = key.rsplit('/').next()?;
    let number = name.strip_suffix(".json")?.split_once('-')?.1.parse().ok()?;
    (counted_name(number) == name).then_some(number)
}

/// Which commit a key names: `None` for anything that is not a commit of a well-named table.
pub fn parse_log_key(key: &str) -> Option<(TableId, Sequence)> {
    let parts: Vec<&str> = key.split('/').collect();
    let ["raw", database, schema, name, "log", _] = parts[..] else { return None };
    let table = format!("{database}.{schema}.{name}").parse::<table::TableId>().ok()?;
    Some((table, Sequence(counted_number(key)?)))
}

/// Decodes the key of an S3 event: form-encoded, so a space travels as `+`.
pub fn decode_event_key(encoded: &str) -> String {
    let mut decoded = String::with_capacity(encoded.len());
    for (name, value) in form_urlencoded::parse(encoded.replace('=', "%3D").replace('&', "%26").as_bytes()) {
        decoded.push_str(&name);
        decoded.push_str(&value);
    }
    decoded
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> TableId {
        "DLT.APPLICATION_DATA.PRODUCTS".parse().expect("a table name")
    }

    #[test]
    fn the_newest_commit_sorts_first() {
        let keys: Vec<String> = [1, 2, 9, 10, 11, 1_000_000].map(|n| log_key(&table(), Sequence(n))).into();
        assert_eq!(keys[0], "raw/DLT/APPLICATION_DATA/PRODUCTS/log/99999999999999999998-1.json");
        assert!(keys.windows(2).all(|pair| pair[0] > pair[1]), "{keys:?}");
    }

    #[test]
    fn reports_list_newest_first_and_tell_their_run() {
        assert!(report_prefix(10) < report_prefix(9));
        assert_eq!(report_number(&format!("{}sales/pounds.csv", report_prefix(10))), Some(10));
        for other in ["reports/10/index.html", "reports/x", "raw/A/B/C/log/x"] {
            assert_eq!(report_number(other), None, "{other}");
        }
    }

    #[test]
    fn a_log_key_reads_back_and_nothing_else_does() {
        let key = log_key(&table(), Sequence(42));
        assert_eq!(parse_log_key(&key), Some((table(), Sequence(42))));
        for other in [
            "raw/DLT/APPLICATION_DATA/PRODUCTS/data/r/part-00000.parquet",
            "raw/DLT/APPLICATION_DATA/PRODUCTS/log/99999999999999999998-2.json",
            "raw/dlt/A/B/log/99999999999999999998-1.json",
            "raw/A/B/C/log/x.json",
            "",
        ] {
            assert_eq!(parse_log_key(other), None, "{other}");
        }
    }

    #[test]
    fn plans_of_partitioned_reads_list_newest_first_and_raise_no_event() {
        let keys: Vec<String> = [1, 2, 10].map(|number| split_plan_key(&table(), number)).into();
        assert!(keys.windows(2).all(|pair| pair[0] > pair[1]), "{keys:?}");
        assert!(keys.iter().all(|key| key.starts_with(&split_prefix(&table())) && parse_log_key(key).is_none()));
        assert_eq!(counted_number(&keys[2]), Some(10));
        let part = part_run(&RunId("run".into()), 3, &RunId("attempt".into()));
        let file = data_key(&table(), &part, 0);
        assert_eq!(file, "raw/DLT/APPLICATION_DATA/PRODUCTS/data/run/00003-attempt/part-00000.parquet");
        assert!(rejected_key(&table(), &part).starts_with(&rejected_prefix(&table(), &RunId("run".into()))));
    }

    #[test]
    fn an_archives_name_reads_back_in_both_its_forms() {
        let date = NaiveDate::from_ymd_opt(2025, 10, 31).expect("a date");
        let old = Archive { partition: 2, first: 5, last: 9, date, creation: None, checksum: None };
        assert_eq!(old.key("a-b"), "archive/a-b/2025-10-31/2-5-9.ndjson.zst");
        let new = Archive { creation: Some(digest(&[b"cluster"])), checksum: Some(0xabc), ..old.clone() };
        assert!(new.key("t").ends_with("/2-5-9-00000abc.ndjson.zst"), "{}", new.key("t"));
        for archive in [old, new] {
            assert_eq!(Archive::parse("t", &archive.key("t")), Some(archive.clone()));
            assert_eq!(Archive::parse("u", &archive.key("t")), None);
        }
        for other in [
            "archive/t/2025-10-31/2-5-9.json",
            "archive/t/2025-10-31/2-9-5.ndjson.zst",
            "archive/t/2025-10-31/02-5-9.ndjson.zst",
            "archive/t/today/2-5-9.ndjson.zst",
            "archive/t/x/2025-10-31/c/2-5-9.ndjson.zst",
        ] {
            assert_eq!(Archive::parse("t", other), None, "{other}");
        }
    }

    #[test]
    fn a_dead_letters_name_tells_its_place() {
        let key = dead_letter_key("a-b", 3, 42, "00ff00ff");
        assert_eq!(dead_letter_place("a-b", &key), Some((3, 42)));
        let until = dead_letters_until("a-b", 3, 42);
        assert!(key < until && until < dead_letter_key("a-b", 3, 43, "00000000"), "{until}");
        for other in ["dead-letter/a-b/3/x.json", "dead-letter/a/3/00042-c.json", "archive/a-b/3/00042-c.json"] {
            assert_eq!(dead_letter_place("a-b", other), None, "{other}");
        }
    }

    #[test]
    fn a_reject_files_name_tells_when_its_run_began() {
        let run = RunId("019a0000-0000-7000-8000-000000000000".into());
        let at = rejected_at(&table(), &rejected_key(&table(), &run)).expect("a time");
        assert_eq!(at.timestamp_millis(), 0x019a_0000_0000);
        let part = part_run(&run, 3, &RunId("attempt".into()));
        assert_eq!(rejected_at(&table(), &rejected_key(&table(), &part)), Some(at));
        assert_eq!(rejected_at(&table(), &rejected_key(&table(), &RunId("r".into()))), None);
    }

    #[test]
    fn a_digest_tells_parts_apart_wherever_they_are_cut() {
        assert_eq!(digest(&[b"ab", b"c"]), digest(&[b"ab", b"c"]));
        assert_ne!(digest(&[b"ab", b"c"]), digest(&[b"a", b"bc"]));
        assert_eq!(digest(&[]).len(), 8);
    }

    #[test]
    fn event_keys_are_form_encoded() {
        assert_eq!(decode_event_key("raw/A/a%2Bb+c%3D%26.json"), "raw/A/a+b c=&.json");
        assert_eq!(decode_event_key("raw/A/x=1&y.json"), "raw/A/x=1&y.json");
    }
}
