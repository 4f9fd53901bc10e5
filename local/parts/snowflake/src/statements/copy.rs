//! `COPY INTO`: named Parquet files of the lake into a table, columns matched by name.
//!
//! Values are never bent: a file column whose type does not fit its table column is a load error, although Snowflake
//! would convert some of them. What the platform writes must fit exactly.

use std::path::Path;

use duckdb::Connection;

use super::{
    Session, Tables,
    translate::{LOCAL_NOW, NOW},
};
use crate::{
    Shared,
    account::{Account, Kind, Setting},
    catalogue::{self, Column},
    copy::{CopyInto, Metadata},
    failure::Failure,
    lock,
    locks::Access,
    names::{identifier, literal},
    tokens::Token,
};

impl CopyInto {
    /// Loads the files that the statement names.
    pub(super) fn run(&self, session: &mut Session<'_>) -> Result<(), Failure> {
        session.require_rows(&[Token::Word("COPY".to_owned())], std::slice::from_ref(&self.into))?;
        for (kind, name) in [("STAGE", &self.stage), ("FILE FORMAT", &self.format)] {
            session.allowed(|account, access| account.require(access, "USAGE", Kind::of(kind), &name.path()))?;
        }
        session.enter(&self.into, Access::Insert)?;
        self.load(session.conn, session.shared, &session.tables(), &self.files).map(|_| ())
    }

    /// Loads `keys` in the caller's transaction; the number of rows that came.
    pub(crate) fn load(
        &self,
        conn: &Connection,
        shared: &Shared,
        tables: &Tables,
        keys: &[String],
    ) -> Result<u64, Failure> {
        let columns = catalogue::columns(conn, &tables.listed(&self.into))?
            .ok_or_else(|| Failure::missing("Table", &self.into))?;
        let (url, nulls) = self.source(&lock(&shared.account))?;
        let (url, table) = (format!("{url}{}", self.folder), tables.table(&self.into));
        let mut rows = 0;
        for keys in keys.chunks(crate::lake::AT_ONCE) {
            for file in shared.lake.download(&url, keys)? {
                rows += self.load_file(conn, &table, (&columns[..], &nulls[..]), &file.key, &file.path)?;
            }
        }
        Ok(rows)
    }

    /// The stage's URL, and the texts that the format takes for NULL.
    fn source(&self, account: &Account) -> Result<(String, Vec<String>), Failure> {
        let stage = account.existing(Kind::of("STAGE"), &self.stage.path())?;
        let format = account.existing(Kind::of("FILE FORMAT"), &self.format.path())?;
        let is_played = format.text("TYPE") == Some("PARQUET")
            && format.text("BINARY_AS_TEXT") == Some("false")
            && format.is("USE_LOGICAL_TYPE")
            && !format.is("TRIM_SPACE")
            && !format.is("REPLACE_INVALID_CHARACTERS");
        if !is_played {
            return Err(Failure::unsupported(format!("a load with the options of the file format {}", self.format)));
        }
        let nulls = match format.settings.get("NULL_IF") {
            Some(Setting::List(nulls)) => nulls.clone(),
            _ => vec![DEFAULT_NULL.to_owned()],
        };
        Ok((stage.text("URL").unwrap_or_default().to_owned(), nulls))
    }

    fn load_file(
        &self,
        conn: &Connection,
        table: &str,
        (columns, nulls): (&[Column], &[String]),
        key: &str,
        path: &Path,
    ) -> Result<u64, Failure> {
        let source = format!("read_parquet({}, file_row_number = true)", literal(&path.to_string_lossy()));
        let mut described = conn.prepare(&format!("SELECT column_name, column_type FROM (DESCRIBE FROM {source})"))?;
        let found: Vec<(String, String)> = described
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<Result<_, _>>()
            .map_err(Failure::from)?;
        let (mut targets, mut values) = (Vec::new(), Vec::new());
        for column in columns {
            let value = match self.metadata.iter().find(|(name, _)| *name == column.name) {
                Some((_, Metadata::FileName)) => literal(key),
                Some((_, Metadata::FileRowNumber)) => "file_row_number + 1".to_owned(),
                // A TIMESTAMP_NTZ. The lake here keeps no times; a file is loaded soon after it was put.
                Some((_, Metadata::FileLastModified)) => NOW.to_owned(),
                // A TIMESTAMP_LTZ: without its zone it is the account's local time.
                Some((_, Metadata::StartScanTime)) => LOCAL_NOW.to_owned(),
                None => match found.iter().find(|(name, _)| name.eq_ignore_ascii_case(&column.name)) {
                    None => continue,
                    Some((name, file_type)) if fits(file_type, &column.data_type) => {
                        let value = identifier(name);
                        match column.data_type.as_str() {
                            "VARCHAR" => {
                                nulls.iter().fold(value, |value, null| format!("nullif({value}, {})", literal(null)))
                            }
                            _ => value,
                        }
                    }
                    Some((_, file_type)) => {
                        return Err(Failure::new(
                            "100038",
                            "22018",
                            format!(
                                "Failed to cast variant value of {file_type} to {}: column {} of '{key}'",
                                column.data_type, column.name
                            ),
                        ));
                    }
                },
            };
            targets.push(identifier(&column.name));
            values.push(value);
        }
        if targets.is_empty() {
            return Err(Failure::unsupported(format!("'{key}', which has no column of the table")));
        }
        let sql = format!("INSERT INTO {table} ({}) SELECT {} FROM {source}", targets.join(", "), values.join(", "));
        Ok(conn.execute(&sql, [])? as u64)
    }
}

/// Whether every value of a file's column is a value of the table's column, apart from its range.
fn fits(file: &str, column: &str) -> bool {
    let integer = |text: &str| matches!(text, "TINYINT" | "SMALLINT" | "INTEGER" | "BIGINT");
    match (decimal_scale(file), decimal_scale(column)) {
        (Some(from), Some(to)) => from <= to,
        (None, Some(_)) => integer(file),
        (Some(from), None) => from == 0 && column == "BIGINT",
        (None, None) => file == column || (integer(file) && column == "BIGINT"),
    }
}

fn decimal_scale(data_type: &str) -> Option<u8> {
    data_type.strip_prefix("DECIMAL(")?.strip_suffix(')')?.split_once(',')?.1.trim().parse().ok()
}

/// The text that a format without NULL_IF takes for NULL.
const DEFAULT_NULL: &str = r"\N";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_type_fits_only_where_nothing_is_lost() {
        for (file, column) in [
            ("BIGINT", "BIGINT"),
            ("INTEGER", "BIGINT"),
            ("INTEGER", "DECIMAL(18,4)"),
            ("DECIMAL(18,4)", "DECIMAL(18,4)"),
            ("DECIMAL(9,2)", "DECIMAL(18,4)"),
            ("TIMESTAMP", "TIMESTAMP"),
        ] {
            assert!(fits(file, column), "{file} into {column}");
        }
        for (file, column) in [
            ("DOUBLE", "DECIMAL(18,4)"),
            ("DECIMAL(18,6)", "DECIMAL(18,4)"),
            ("VARCHAR", "BIGINT"),
            ("BIGINT", "VARCHAR"),
            ("TIMESTAMP WITH TIME ZONE", "TIMESTAMP"),
            ("TIMESTAMP_NS", "TIMESTAMP"),
            ("BLOB", "VARCHAR"),
        ] {
            assert!(!fits(file, column), "{file} into {column}");
        }
    }
}
