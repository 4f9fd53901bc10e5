//! What the tests may ask of the project's own files.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

/// Names a copy of the workspace, which the rules are then about.
pub(crate) const OTHER_ROOT: &str = "SLUICE_TEST_ROOT";

/// The top of the workspace.
pub(crate) fn root() -> PathBuf {
    let own = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the workspace");
    std::env::var_os(OTHER_ROOT).map_or_else(|| own.to_owned(), PathBuf::from)
}

pub(crate) fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("cannot read {path}: {error}"))
}

/// The names in a folder, sorted.
pub(crate) fn list(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("cannot list {folder}: {error}"));
    let mut names: Vec<String> =
        entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Every file that git tracks or would track, relative to the root.
pub(crate) fn files(ending: &str) -> Vec<String> {
    let git = Command::new("git")
        .args(["ls-files", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git lists the files");
    let listed = String::from_utf8(git.stdout).expect("names are UTF-8");
    let files: Vec<String> = listed.lines().filter(|name| name.ends_with(ending)).map(str::to_owned).collect();
    assert!(!files.is_empty(), "no {ending} file was found: this test would check nothing");
    files.into_iter().filter(|name| root().join(name).exists()).collect()
}

pub(crate) fn functions() -> Vec<String> {
    sluice_core::functions::ALL.iter().map(|function| function.name.to_owned()).collect()
}

/// The workspace's packages that `package` needs at run time, and all others, by name.
pub(crate) fn dependencies(package: &str) -> Vec<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--prefix", "none", "--format", "{p}", "--package", package])
        .current_dir(root())
        .output()
        .expect("cargo prints the tree");
    assert!(tree.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
    let tree = String::from_utf8(tree.stdout).expect("names are UTF-8");
    let mut names: Vec<String> = tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect();
    names.sort();
    names.dedup();
    names
}
