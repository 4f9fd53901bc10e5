//! `COPY INTO` as the platform writes it, read.

use crate::{
    failure::Failure,
    names::Name,
    tokens::{Cursor, Token, name_in, tokens},
};

/// The most files that one COPY may name.
const MOST_FILES: usize = 1_000;

/// A parsed `COPY INTO`.
#[derive(Debug, Clone)]
pub(crate) struct CopyInto {
    pub(crate) into: Name,
    pub(crate) stage: Name,
    /// What stands between the stage's URL and a file's name.
    pub(crate) folder: String,
    pub(crate) format: Name,
    pub(crate) files: Vec<String>,
    /// Columns that tell where a row comes from, and what each tells.
    pub(crate) metadata: Vec<(String, Metadata)>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Metadata {
    FileName,
    FileRowNumber,
    FileLastModified,
    StartScanTime,
}

impl CopyInto {
    /// Reads from `COPY INTO` to the end.
    pub(crate) fn parse(mut cursor: Cursor<'_>) -> Result<CopyInto, Failure> {
        cursor.expect("COPY INTO")?;
        let into = cursor.name()?;
        cursor.expect("FROM")?;
        let (stage, folder) = location(&mut cursor)?;
        let (mut files, mut format, mut metadata, mut by_name) = (Vec::new(), None, Vec::new(), false);
        while !cursor.rest().is_empty() {
            if cursor.eat("FILES =") {
                files = texts(cursor.group()?)?;
            } else if cursor.eat("FILE_FORMAT = ( FORMAT_NAME =") {
                format = Some(name_in(cursor.text()?)?);
                cursor.expect(")")?;
            } else if cursor.eat("INCLUDE_METADATA =") {
                metadata = included(cursor.group()?)?;
            } else if cursor.eat("MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE") {
                by_name = true;
            } else if !cursor.eat("ON_ERROR = ABORT_STATEMENT") && !cursor.eat("FORCE = TRUE") {
                return Err(cursor.unexpected("an option of COPY INTO"));
            }
        }
        let format = format.ok_or_else(|| Failure::unsupported("COPY INTO without FILE_FORMAT"))?;
        if !by_name {
            return Err(Failure::unsupported("COPY INTO without MATCH_BY_COLUMN_NAME"));
        }
        if files.len() > MOST_FILES {
            return Err(Failure::syntax(format!("COPY INTO names {} files, at most 1,000 are allowed", files.len())));
        }
        Ok(CopyInto { into, stage, folder, format, files, metadata })
    }

    /// The copy of a pipe, from the statement that made it.
    pub(crate) fn of_pipe(definition: &str) -> Result<CopyInto, Failure> {
        CopyInto::parse(Cursor::new(&tokens(definition)?))
    }
}

/// `@DATABASE.SCHEMA.STAGE`, or the same and a folder in quotes.
fn location(cursor: &mut Cursor<'_>) -> Result<(Name, String), Failure> {
    if cursor.eat("@") {
        return Ok((cursor.name()?, String::new()));
    }
    let text = cursor.text()?;
    let location = text.strip_prefix('@').ok_or_else(|| Failure::unsupported("COPY INTO from what is no stage"))?;
    let (stage, folder) = location.split_once('/').unwrap_or((location, ""));
    Ok((name_in(stage)?, folder.to_owned()))
}

fn texts(list: &[Token]) -> Result<Vec<String>, Failure> {
    let mut cursor = Cursor::new(list);
    let mut texts = vec![cursor.text()?.to_owned()];
    while cursor.eat(",") {
        texts.push(cursor.text()?.to_owned());
    }
    cursor.end()?;
    Ok(texts)
}

fn included(list: &[Token]) -> Result<Vec<(String, Metadata)>, Failure> {
    let mut cursor = Cursor::new(list);
    let mut included = Vec::new();
    loop {
        let column = cursor.identifier()?;
        cursor.expect("=")?;
        let metadata = match cursor.identifier()?.as_str() {
            "METADATA$FILENAME" => Metadata::FileName,
            "METADATA$FILE_ROW_NUMBER" => Metadata::FileRowNumber,
            "METADATA$FILE_LAST_MODIFIED" => Metadata::FileLastModified,
            "METADATA$START_SCAN_TIME" => Metadata::StartScanTime,
            other => return Err(Failure::unsupported(format!("the metadata {other}"))),
        };
        included.push((column, metadata));
        if !cursor.eat(",") {
            cursor.end()?;
            return Ok(included);
        }
    }
}
