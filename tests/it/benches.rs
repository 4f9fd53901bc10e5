//! Every benchmark can be started; what a function must be told is in `config`.

use std::process::Command;

use crate::project::{list, read, root};

/// The modules of `bench/` that `make bench P=<name>` runs.
fn benches() -> Vec<String> {
    let modules = list("bench").into_iter().filter_map(|name| name.strip_suffix(".py").map(str::to_owned));
    let benches = modules.filter(|name| !["run", "stream_peers"].contains(&name.as_str()));
    benches.filter(|name| read(&format!("bench/{name}.py")).contains("\ndef main():")).collect()
}

#[test]
fn every_bench_is_loaded_by_the_program_that_runs_them() {
    let names = benches();
    assert!(names.contains(&"p4".to_owned()) && names.contains(&"latency".to_owned()), "{names:?}");
    let script = "import importlib, sys; sys.path.insert(0, 'bench')\n\
                  for name in sys.argv[1:]: importlib.import_module(name).main";
    let loaded = Command::new("python3").args(["-B", "-c", script]).args(&names).current_dir(root()).output();
    let loaded = loaded.expect("python3 runs");
    assert!(loaded.status.success(), "{}", String::from_utf8_lossy(&loaded.stderr));
}

#[test]
fn every_bench_compiles_the_programs_that_it_starts() {
    let modules = list("bench").into_iter().filter(|name| name.ends_with(".py") && name != "machine.py");
    for name in modules {
        let text = read(&format!("bench/{name}"));
        let starts = text.contains("FUNCTIONS /") || text.contains("run_function(");
        assert!(!starts || text.contains("build("), "bench/{name} starts a program that it does not compile");
    }
}

#[test]
fn the_page_of_benchmarks_lists_every_bench() {
    let page = read("docs/benchmarks.md");
    for name in benches() {
        let label = if name.starts_with('p') { name.to_uppercase() } else { name };
        assert!(page.contains(&format!("\n| {label} |")), "docs/benchmarks.md has no row of {label}");
    }
}
