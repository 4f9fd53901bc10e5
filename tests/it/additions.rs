//! The pages that add a source and a monitor, done: their edits are made in a copy of the project, where both are compiled
//! and run and the template is judged.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::Command,
};

use crate::project::{OTHER_ROOT, files, list, read, root};

/// Where the copy is: in one place, so that what was compiled of it last time need not be compiled again.
const COPY: &str = "target/tmp/additions";

const PAGES: [&str; 2] = ["docs/add-a-source.md", "docs/how-to/add-a-monitor.md"];

/// Not copied: cargo joins the flags of all folders above, and with them twice each dependency would be compiled again.
const CONFIG: &str = ".cargo/config.toml";

/// A block of the page, and where it belongs.
#[derive(Debug)]
struct Edit {
    file: String,
    place: Place,
    block: String,
}

#[derive(Debug)]
enum Place {
    /// It is the file.
    Whole,
    /// Of the one line that begins so.
    After(String),
    Before(String),
    /// Wherever that stands.
    InsteadOf(String),
}

/// The edits of a page. The paragraph before each block ends with its place: `file`, after `line`. A block whose language
/// is followed by a word is for another test.
fn edits(page: &str) -> Vec<Edit> {
    let mut parts = page.split("\n```");
    let mut text = parts.next().unwrap_or_default();
    let mut found = Vec::new();
    while let (Some(block), Some(after)) = (parts.next(), parts.next()) {
        let (info, block) = block.split_once('\n').unwrap_or_default();
        let before = std::mem::replace(&mut text, after);
        if info.contains(' ') {
            continue;
        }
        let block = block.to_owned() + "\n";
        let paragraph = before.trim().rsplit("\n\n").next().unwrap_or_default().replace('\n', " ");
        // Texts and the names between them take turns.
        let turns: Vec<&str> = paragraph.split('`').collect();
        let (file, between, name) = match turns[..] {
            [.., file, between, name, _] => (file, between, name),
            _ => ("", "", ""),
        };
        let anchor = || name.to_owned();
        let place = match between {
            ", after " => Place::After(anchor()),
            ", before " => Place::Before(anchor()),
            ", instead of " => Place::InsteadOf(anchor()),
            _ => Place::Whole,
        };
        let is_new = |name: &&str| ["functions/", "events/"].iter().any(|folder| name.starts_with(folder));
        let file = match place {
            Place::Whole => {
                turns.iter().rev().copied().find(is_new).unwrap_or_else(|| panic!("no file stands before {block}"))
            }
            _ => file,
        };
        found.push(Edit { file: file.to_owned(), place, block });
    }
    found
}

impl Edit {
    /// The file with the edit made in it.
    fn made_in(&self, text: &str) -> String {
        let Edit { file, place, block } = self;
        let line = |anchor: &str| {
            let begins = |at: &usize| *at == 0 || text.as_bytes()[at - 1] == b'\n';
            let found: Vec<usize> = text.match_indices(anchor).map(|(at, _)| at).filter(begins).collect();
            let [at] = found[..] else { panic!("{file} has {} lines that begin with {anchor:?}", found.len()) };
            at
        };
        match place {
            Place::Whole => block.clone(),
            Place::Before(anchor) => {
                let (before, after) = text.split_at(line(anchor));
                [before, block, after].concat()
            }
            Place::After(anchor) => {
                let at = line(anchor);
                let (before, after) = text.split_at(at + text[at..].find('\n').expect("an end") + 1);
                [before, block, after].concat()
            }
            Place::InsteadOf(anchor) => {
                assert!(text.contains(anchor), "{file} has no {anchor:?}");
                text.replace(anchor, block.trim_end())
            }
        }
    }
}

/// The project's files with the pages' edits. What has not changed since the last time stays as it is.
fn copied(edits: &[Edit]) -> PathBuf {
    let copy = root().join(COPY);
    let mut edited: BTreeMap<&str, String> = BTreeMap::new();
    for edit in edits {
        let new = matches!(edit.place, Place::Whole);
        let text =
            edited.remove(edit.file.as_str()).unwrap_or_else(|| if new { String::new() } else { read(&edit.file) });
        edited.insert(&edit.file, edit.made_in(&text));
    }
    let original = files("").into_iter().filter(|file| !edited.contains_key(file.as_str()) && file != CONFIG);
    let original = original.filter(|file| root().join(file).is_file());
    let all = original.map(|file| (file.clone(), fs::read(root().join(&file)).expect("readable")));
    let all: BTreeMap<String, Vec<u8>> =
        all.chain(edited.iter().map(|(file, text)| ((*file).to_owned(), text.clone().into_bytes()))).collect();
    for (file, text) in &all {
        let path = copy.join(file);
        if fs::read(&path).is_ok_and(|old| old == *text) {
            continue;
        }
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(&path, text).expect("written");
    }
    for tools in [".tools", ".native"] {
        drop(fs::remove_file(copy.join(tools)));
        symlink(root().join(tools), copy.join(tools)).expect("linked");
    }
    run(Command::new("git").args(["init", "--quiet"]), &copy);
    let listed = Command::new("git").args(["ls-files", "--others", "--exclude-standard"]).current_dir(&copy).output();
    let listed = String::from_utf8(listed.expect("git lists the files").stdout).expect("names are UTF-8");
    for gone in listed.lines().filter(|file| !all.contains_key(*file)) {
        fs::remove_file(copy.join(gone)).expect("removed");
    }
    copy
}

fn run(command: &mut Command, folder: &Path) {
    let output = command.current_dir(folder).output().expect("the program runs");
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    assert!(output.status.success(), "{command:?} in {COPY}:\n{}", String::from_utf8_lossy(&said));
}

/// A setting by which cargo keeps a crate of the copy beside the project's own in one folder: both have the same name at the same place
/// below their roots, and without a difference it takes the one for the other. What they depend on is compiled once.
fn apart(package: &str) -> String {
    format!("profile.release.package.{package}.codegen-units=15")
}

#[test]
fn a_source_and_a_monitor_made_as_the_pages_say_work() {
    let edits: Vec<Edit> = PAGES.iter().flat_map(|page| edits(&read(page))).collect();
    assert!(edits.len() > 30, "the pages have {} edits", edits.len());
    let copy = copied(&edits);
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["test", "--release", "--offline", "--quiet", "--lib", "--bins"]);
    cargo.args(["--package", "extract-weather", "--package", "sluice-watch"]);
    for package in list("shared").iter().map(String::as_str).chain(["extract-weather", "workspace-hack"]) {
        cargo.args(["--config", &apart(package)]);
    }
    run(cargo.env("CARGO_TARGET_DIR", root().join("target")), &copy);
    let mut rules = Command::new(std::env::current_exe().expect("the path of this program"));
    run(rules.args(["template::", "loops::"]).env(OTHER_ROOT, &copy), &copy);
}

#[test]
fn the_pages_name_files_that_are_there() {
    for page in PAGES {
        let text = read(page);
        let table = text.split("\n| | Place |").nth(1).and_then(|rest| rest.split("\n\n").next()).expect("the table");
        let named = table.split('`').skip(1).step_by(2).filter(|name| name.contains('.') && !name.contains("weather"));
        let gone: Vec<&str> = named.filter(|name| !root().join(name).exists()).collect();
        assert!(gone.is_empty(), "{page} names {gone:?}");
    }
}
