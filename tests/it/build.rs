//! What keeps builds short: nothing is compiled twice, and the demo builds only what it runs.

use std::{collections::BTreeSet, fs, process::Command};

use crate::project::{list, read, root};

/// Each dependency and the features with which cargo would compile it.
fn resolved(arguments: &[&str]) -> BTreeSet<String> {
    let tree = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--target", "x86_64-unknown-linux-gnu", "--prefix", "none"])
        .args(["--format", "{p}|{f}"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo prints the tree");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).expect("names are UTF-8");
    // A package of the workspace has its path in the line.
    text.lines().map(|line| line.trim_end_matches(" (*)").to_owned()).filter(|line| !line.contains("(/")).collect()
}

#[test]
fn one_package_alone_compiles_no_dependency_differently() {
    let whole = resolved(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(whole.len() > 300, "cargo tree printed {} lines", whole.len());
    let functions = list("functions");
    let shared = list("shared");
    let others = ["sluice-cli", "sluice-local", "sluice-bench", "snowflake-emulator"];
    let packages = functions.iter().chain(&shared).map(String::as_str).chain(others);
    for package in packages {
        let own = resolved(&["--package", package, "--edges", "normal,build,dev"]);
        let different: Vec<&String> = own.difference(&whole).collect();
        assert!(different.is_empty(), "{package}: add to tools/workspace-hack/Cargo.toml: {different:?}");
    }
    let mut demo: Vec<&str> = functions.iter().flat_map(|name| ["--package", name]).collect();
    demo.extend(["--package", "sluice-local", "--edges", "normal,build"]);
    let different: Vec<String> = resolved(&demo).difference(&whole).cloned().collect();
    assert!(different.is_empty(), "the demo compiles differently: {different:?}");
}

#[test]
fn the_demo_builds_neither_the_command_nor_the_benchmarks() {
    let manifest = read("Cargo.toml");
    let line = manifest.lines().find(|line| line.starts_with("default-members")).expect("default members");
    assert_eq!(line, r#"default-members = ["functions/*", "local"]"#);
}

#[test]
fn an_environment_whose_interpreter_is_gone_is_noticed() {
    let setup = read("tools/setup");
    let begin = setup.find("finds_its_python() {").expect("the function that judges an environment");
    let function = &setup[begin..begin + setup[begin..].find("\n}").expect("its end") + 2];
    let folder = std::env::temp_dir().join(format!("sluice-environment-{}", std::process::id()));
    // Python keeps what it compiles in a folder beside the scripts.
    fs::create_dir_all(folder.join("bin/__pycache__")).expect("a folder");
    for (interpreter, starts) in [("/bin/python-that-is-gone/python3", false), ("/usr/bin/env python3", true)] {
        fs::write(folder.join("bin/dbt"), format!("#!{interpreter}\n")).expect("a script");
        let script = format!("set -euo pipefail\n{function}\nfinds_its_python \"$0\"");
        let judged = Command::new("bash").args(["-c", &script]).arg(&folder).status().expect("bash runs");
        assert_eq!(judged.success(), starts, "{interpreter}");
    }
    fs::remove_dir_all(&folder).expect("removed");
}
