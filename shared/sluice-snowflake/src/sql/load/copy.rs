//! The files of a commit into the temporary table.

use sluice_core::DataFile;

use crate::sql::{OBSERVABILITY, ddl, quote};

/// The most files that one COPY takes.
const FILES_PER_COPY: usize = 1_000;

/// FORCE, because the table is new and Snowflake's memory of loaded files is not what guards. `metadata` is a line of its
/// own, or nothing.
pub(crate) fn copies(into: &str, files: &[DataFile], metadata: &str) -> String {
    let mut copies = String::new();
    for files in files.chunks(FILES_PER_COPY) {
        let folder = common_folder(files);
        let stage = quote::literal(&format!("@{OBSERVABILITY}.LAKE/{folder}"));
        let files: Vec<String> =
            files.iter().map(|file| quote::literal(file.path.strip_prefix(folder).unwrap_or(&file.path))).collect();
        copies.push_str(&format!(
            "  COPY INTO {into}
  FROM {stage}
  FILES = ({})
  {}
  MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE
{metadata}  ON_ERROR = ABORT_STATEMENT
  FORCE = TRUE;
",
            files.join(", "),
            ddl::file_format_clause()
        ));
    }
    copies
}

/// The deepest folder that all files are in, with its slash: what is said once need not be said for each file, and a
/// statement has a limit.
fn common_folder(files: &[DataFile]) -> &str {
    let Some((first, rest)) = files.split_first() else { return "" };
    let mut common = first.path.as_str();
    for file in rest {
        let same = common.char_indices().zip(file.path.chars()).find(|((_, a), b)| a != b).map(|((at, _), _)| at);
        common = &common[..same.unwrap_or(common.len().min(file.path.len()))];
    }
    common.rfind('/').map_or("", |slash| &common[..=slash])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sql::load::tests::commit;

    #[test]
    fn files_are_named_below_the_deepest_folder_that_they_share() {
        let file =
            |path: &str| DataFile { path: path.into(), ..commit("DLT.APPLICATION_DATA.PRODUCTS", 1).files[0].clone() };
        for (paths, folder) in [
            (&["a/b/part-0"][..], "a/b/"),
            (&["a/b/part-0", "a/b/part-1"], "a/b/"),
            (&["a/b/part-0", "a/bc/part-0"], "a/"),
            (&["a/b/p", "a/b/part"], "a/b/"),
            (&["a", "b"], ""),
            (&["ä/é", "ä/è"], "ä/"),
        ] {
            let files: Vec<DataFile> = paths.iter().map(|path| file(path)).collect();
            assert_eq!(common_folder(&files), folder, "{paths:?}");
        }
    }
}
