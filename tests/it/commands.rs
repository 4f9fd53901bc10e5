//! The commands of the project bear the paths and the data that people have.

use std::{fs, path::Path, process::Command};

use crate::project::{files, read, root};

fn make(folder: &Path, arguments: &[&str]) -> Command {
    let mut make = Command::new("make");
    // A make around this test has settings of its own.
    make.env_remove("MAKEFLAGS").env_remove("MAKELEVEL").current_dir(folder).args(arguments);
    make
}

#[test]
fn a_function_is_built_in_a_folder_with_blanks_and_umlauts() {
    let home = std::env::temp_dir().join(format!("sluice büro {}", std::process::id()));
    let (platform, binaries) = (home.join("platform"), home.join("target/x86_64-unknown-linux-gnu/release"));
    let (artifacts, function) = (home.join("artifacts of one"), home.join("functions/extract-postgres"));
    for folder in [&platform.join("schemas"), &binaries, &artifacts, &function, &home.join("tools")] {
        fs::create_dir_all(folder).expect("a folder");
    }
    fs::copy(root().join("tools/elf.py"), home.join("tools/elf.py")).expect("copied");
    for file in ["Makefile", "sources.yaml", "schemas/purchases.json"] {
        fs::copy(root().join("platform").join(file), platform.join(file)).expect("copied");
    }
    fs::copy(root().join("functions/extract-postgres/Cargo.toml"), function.join("Cargo.toml")).expect("copied");
    // Any program will do: it is only copied.
    fs::copy("/bin/true", binaries.join("extract-postgres")).expect("copied");
    let makefile = platform.join("Makefile").display().to_string();
    for settings in ["", "elsewhere"] {
        let mut command = make(&platform, &["--silent", "--makefile", &makefile, "build-ExtractPostgres"]);
        command.env("SLUICE_PREBUILT", "1").env("ARTIFACTS_DIR", &artifacts).env_remove("CARGO_TARGET_DIR");
        command.env_remove("SLUICE_PROFILE").env_remove("SLUICE_ARCHITECTURE");
        if !settings.is_empty() {
            command.env("SLUICE_BINARIES", &binaries).env("SLUICE_PLATFORM", &platform);
        }
        let done = command.output().expect("make runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        for built in ["bootstrap", "platform/sources.yaml", "platform/schemas/purchases.json"] {
            assert!(artifacts.join(built).exists(), "{built}");
        }
        fs::remove_dir_all(&artifacts).and_then(|()| fs::create_dir(&artifacts)).expect("emptied");
    }
    let mut for_arm = make(&platform, &["--silent", "--makefile", &makefile, "build-ExtractPostgres"]);
    for_arm.env("SLUICE_PREBUILT", "1").env("SLUICE_BINARIES", &binaries).env("ARTIFACTS_DIR", &artifacts);
    let refused = for_arm.env("SLUICE_ARCHITECTURE", "arm64").output().expect("make runs");
    let said = String::from_utf8_lossy(&refused.stderr);
    assert!(said.contains("extract-postgres is built for x86_64 and must be for arm64"), "{said}");
    assert!(!refused.status.success() && !artifacts.join("bootstrap").exists());
    fs::remove_dir_all(&home).expect("removed");
}

#[test]
fn the_operators_command_is_the_one_that_was_made_last() {
    let home = std::env::temp_dir().join(format!("sluice-last-{}", std::process::id()));
    let (built, taken) = (home.join("target/x86_64-unknown-linux-gnu/release"), home.join("target/binaries/taken"));
    for folder in [&built, &taken, &home.join("tools")] {
        fs::create_dir_all(folder).expect("a folder");
    }
    let script = home.join("tools/sluice");
    fs::copy(root().join("tools/sluice"), &script).expect("copied");
    let said = |prebuilt: &str| {
        let done = Command::new(&script).env("SLUICE_PREBUILT", prebuilt).output().expect("it runs");
        String::from_utf8_lossy(&done.stdout).trim().to_owned()
    };
    let make = |folder: &Path, word: &str, seconds: u64| {
        let path = folder.join("sluice");
        fs::write(&path, format!("#!/bin/sh\necho {word}\n")).expect("written");
        fs::set_permissions(&path, fs::metadata(&script).expect("a script").permissions()).expect("executable");
        let at = std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        fs::File::options().append(true).open(&path).and_then(|file| file.set_modified(at)).expect("dated");
    };
    assert_eq!(said(""), "");
    make(&taken, "taken", 20);
    assert_eq!(said(""), "taken");
    make(&built, "built", 10);
    assert_eq!(said(""), "taken", "an old build");
    make(&built, "built", 30);
    assert_eq!([said(""), said("1")], ["built", "taken"]);
    fs::remove_dir_all(&home).expect("removed");
}

#[test]
fn a_folder_of_data_or_binaries_may_have_blanks_in_its_name() {
    let recipe = |arguments: &[&str]| {
        let done = make(&root(), &[&["--dry-run"], arguments].concat()).output().expect("make runs");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        String::from_utf8_lossy(&done.stdout).into_owned()
    };
    assert!(recipe(&["demo", "DATA=my data"]).contains(r#"demo --scale "1" --data "my data""#));
    assert!(recipe(&["up", "DATA=my data"]).contains(r#"up --scale "1" --data "my data""#));
    let prebuilt = recipe(&["demo", "BINARIES=a release"]);
    assert!(
        prebuilt.contains(r#"take_binaries.py "a release""#) && prebuilt.contains("target/binaries/taken/sluice-local")
    );
    assert!(!prebuilt.contains("cargo"), "{prebuilt}");
}

/// `unittest` is content with a module that has no test, so that is looked at too.
#[test]
fn every_test_in_python_is_run_by_a_tier_and_holds_tests() {
    let scripts = files("").into_iter().filter(|path| path.starts_with("tools/") && !path.contains('.'));
    let called: String = scripts.chain(["Makefile".to_owned()]).map(|path| read(&path)).collect();
    let words: Vec<&str> = called.split(|letter: char| !letter.is_alphanumeric() && letter != '_').collect();
    let tests: Vec<String> = files(".py").into_iter().filter(|path| path.contains("/test_")).collect();
    assert!(tests.len() > 10, "{tests:?}");
    for path in tests {
        let (folder, name) = path.rsplit_once('/').unwrap_or_default();
        let is_discovered = called.contains(&format!("--start-directory {folder}\n"));
        assert!(is_discovered || words.contains(&name.trim_end_matches(".py")), "nothing runs {path}");
        assert!(read(&path).contains("    def test_"), "{path} has no test");
    }
}
