//! The commit: the one object that makes a run's files part of a table.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    Change, Column, Cursor, Error, LakeId, Result, RunId, Schema, Sequence, TableId,
    sources::{Disposition, Loader},
};

/// The version this code writes. A reader refuses a higher one rather than guess.
pub const FORMAT_VERSION: u32 = 1;

/// One data file of a commit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DataFile {
    /// Full key in the lake.
    pub path: String,
    pub rows: u64,
    pub bytes: u64,
    /// The object's checksum as the store reported it (S3: the ETag).
    pub checksum: String,
    /// For each column of the file, in the order of the commit's schema, how many rows have a value there. A load counts
    /// them again. Empty where an earlier version wrote the file.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<u64>,
}

/// For each column how many rows of all files have a value; `None` where a file does not tell.
pub fn values(files: &[DataFile]) -> Option<Vec<u64>> {
    let mut sums = vec![0; files.first()?.values.len()];
    for file in files {
        if file.values.is_empty() || file.values.len() != sums.len() {
            return None;
        }
        sums.iter_mut().zip(&file.values).for_each(|(sum, values)| *sum += values);
    }
    Some(sums)
}

/// Rows of a run that broke the contract, kept beside the lake with their reasons.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejected {
    pub rows: u64,
    /// The file; where a partitioned read has left several, the folder that holds them.
    pub path: String,
    /// Each of several files. The folder may hold more: those of attempts that came to nothing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
}

impl Rejected {
    pub fn one(rows: u64, path: String) -> Self {
        Rejected { rows, path, files: Vec::new() }
    }
}

/// An operator has moved a table's cursor: why the commit has no rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reset {
    /// The commit whose cursor this one takes over; 0 means none, as before the first commit.
    pub to: Sequence,
    /// Who asked for it, as the cloud knows them.
    pub by: String,
    pub reason: String,
    /// Set where the reset says of an erasure: the files of the commits before this one are gone, or are to go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub erased_before: Option<Sequence>,
}

/// One entry of a table's log: what was extracted, where it lies, and where the next run starts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Commit {
    pub format_version: u32,
    pub lake_id: LakeId,
    pub table: TableId,
    pub sequence: Sequence,
    pub run_id: RunId,
    pub loader: Loader,
    pub disposition: Disposition,
    pub key: Vec<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_column: Option<String>,
    pub schema: Schema,
    pub schema_fingerprint: String,
    /// Columns that the raw table has from earlier and the schema does not tell of: those that went away in the source, and
    /// those that are wider there. The table keeps them, so a later commit must fit them. `None` where an earlier version
    /// made the commit: then only the commits before it tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept: Option<Vec<Column>>,
    pub files: Vec<DataFile>,
    pub rows: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_from: Option<Cursor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor_to: Option<Cursor>,
    /// Set when the commit ends a read of the whole source, from its very beginning to its end: the commit that began the
    /// read, this one or an earlier one. What lies before that one has been replaced. Earlier versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub whole_since: Option<Sequence>,
    /// Set when the commit only moves the cursor. It has no files then, and loading it changes no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reset: Option<Reset>,
    /// What the source said about itself: a snapshot, a server version, an API's timestamp.
    #[serde(default, skip_serializing_if = "serde_json::Map::is_empty")]
    pub source_facts: serde_json::Map<String, serde_json::Value>,
    /// How the source differed from its contract when this was read, and what was done about it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub drift: Vec<Change>,
    /// The event's time: "today" for this run.
    pub scheduled_at: DateTime<Utc>,
    pub committed_at: DateTime<Utc>,
}

/// The most files that a commit may name. The statement that loads it has room for more in any layout of folders, and a
/// commit that no statement can load must not move a cursor.
pub const MOST_FILES: usize = 10_000;

impl Commit {
    /// What the commit tells of its raw table's columns. What is kept comes first: of a column that the schema has too it
    /// tells the wider type.
    pub fn raw_columns(&self) -> impl Iterator<Item = &Column> {
        self.kept.iter().flatten().chain(self.schema.columns())
    }

    pub fn encode(&self) -> Result<Vec<u8>> {
        if self.files.len() > MOST_FILES {
            let error =
                Error::unsupported("the run has written more files than one commit may name; nothing is committed");
            let error = error.with("table", &self.table).with("files", self.files.len()).with("most", MOST_FILES);
            return Err(error.with_hint("read the table in smaller steps: `sluice run TABLE --from … --to …`"));
        }
        serde_json::to_vec_pretty(self).map_err(|error| Error::internal("cannot encode a commit").because(error))
    }

    /// Reads a commit and checks what a reader relies on: the version, the row counts, the place of its files. A commit is
    /// never written twice, so one that this build cannot read it never will.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        Self::read(bytes).map_err(Error::as_final)
    }

    fn read(bytes: &[u8]) -> Result<Self> {
        #[derive(Deserialize)]
        struct Version {
            format_version: u32,
        }
        let broken = |error| Error::invalid_data("the commit object is not a valid commit").because(error);
        let Version { format_version } = serde_json::from_slice(bytes).map_err(broken)?;
        if format_version > FORMAT_VERSION {
            return Err(Error::unsupported(format!(
                "the commit has format version {format_version}, this build reads up to {FORMAT_VERSION}; deploy a newer build"
            )));
        }
        let commit: Commit = serde_json::from_slice(bytes).map_err(broken)?;
        let in_files: u64 = commit.files.iter().map(|file| file.rows).sum();
        if in_files != commit.rows {
            return Err(Error::invalid_data(format!(
                "the commit says {} rows, its files hold {in_files}",
                commit.rows
            )));
        }
        let columns = commit.schema.columns().len();
        if commit.files.iter().any(|file| !file.values.is_empty() && file.values.len() != columns) {
            return Err(Error::invalid_data("the commit counts the values of other columns than it has"));
        }
        if commit.reset.is_some() && !commit.files.is_empty() {
            return Err(Error::invalid_data("the commit is a reset and names files all the same"));
        }
        let data = crate::lake::data_prefix(&commit.table);
        if let Some(stray) = commit.files.iter().find(|file| !file.path.starts_with(&data)) {
            return Err(
                Error::invalid_data(format!("the commit names a file outside {data}")).with("path", &stray.path)
            );
        }
        Ok(commit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_of_more_files_than_a_statement_names_is_not_written() {
        let file = DataFile {
            path: "raw/A/B/C/data/r/x".into(),
            rows: 0,
            bytes: 0,
            checksum: String::new(),
            values: Vec::new(),
        };
        let mut commit: Commit = serde_json::from_value(serde_json::json!({
            "format_version": 1, "lake_id": "l", "table": "A.B.C", "sequence": 1, "run_id": "r", "loader": "copy",
            "disposition": "append", "key": [], "schema": [], "schema_fingerprint": "", "rows": 0,
            "files": vec![file.clone(); MOST_FILES],
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
        }))
        .expect("a commit");
        assert!(commit.encode().is_ok());
        commit.files.push(file);
        let error = commit.encode().expect_err("too many");
        assert!(error.kind() == crate::Kind::Unsupported && error.hint().is_some(), "{error:?}");
    }

    #[test]
    fn a_commit_is_checked_when_it_is_read() {
        let commit = serde_json::json!({
            "format_version": 1, "lake_id": "l", "table": "A.B.C", "sequence": 1, "run_id": "r", "loader": "copy",
            "disposition": "merge", "key": ["id"], "schema": [{"name": "id", "type": "bigint"}],
            "schema_fingerprint": "id:bigint", "rows": 2,
            "files": [{"path": "raw/A/B/C/data/r/part-00000.parquet", "rows": 2, "bytes": 9, "checksum": "x"}],
            "rejected": {"rows": 1, "path": "rejected/A/B/C/r.ndjson.zst"},
            "scheduled_at": "2026-01-01T00:00:00Z", "committed_at": "2026-01-01T00:00:01Z"
        });
        let bytes = |change: &dyn Fn(&mut serde_json::Value)| {
            let mut value = commit.clone();
            change(&mut value);
            serde_json::to_vec(&value).expect("json")
        };
        let read = Commit::decode(&bytes(&|_| {})).expect("a valid commit");
        assert_eq!(Commit::decode(&read.encode().expect("json")).expect("round trip"), read);
        assert_eq!(read.rejected, Some(Rejected::one(1, "rejected/A/B/C/r.ndjson.zst".into())));

        let counted = Commit::decode(&bytes(&|v| v["files"][0]["values"] = serde_json::json!([2]))).expect("counted");
        assert_eq!((values(&counted.files), values(&read.files)), (Some(vec![2]), None));

        let truncated = &bytes(&|_| {})[..80];
        assert!(Commit::decode(truncated).is_err());
        for (change, part) in [
            (&(|v: &mut serde_json::Value| v["rows"] = 3.into()) as &dyn Fn(&mut serde_json::Value), "2"),
            (&|v| v["format_version"] = 9.into(), "version 9"),
            (&|v| v["files"][0]["values"] = serde_json::json!([2, 2]), "other columns"),
            (&|v| v["files"][0]["path"] = "rejected/x".into(), "outside"),
            (&|v| v["reset"] = serde_json::json!({"to": 1, "by": "b", "reason": "r"}), "a reset"),
        ] {
            let error = Commit::decode(&bytes(change)).expect_err("an invalid commit");
            assert!(error.chain().contains(part) && error.is_final(), "{error:?} does not mention {part}");
        }
    }
}
