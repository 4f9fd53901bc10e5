//! No module of a crate knows one that knows it: what both need stands in a third one below them.

use std::collections::{BTreeMap, BTreeSet};

use crate::code::{SOURCES, Segments, Source, file_of, roots};

/// The modules of a crate that are no tests, by their paths; the crate itself has the empty one.
fn modules<'a>(sources: &'a BTreeMap<String, Source>, root: &str) -> BTreeMap<Segments, &'a Source> {
    let mut open = vec![(Segments::new(), root.to_owned())];
    let mut found = BTreeMap::new();
    while let Some((path, file)) = open.pop() {
        let source = &sources[&file];
        for (name, _) in source.submodules.iter().filter(|(_, for_tests)| !for_tests) {
            open.push(([path.as_slice(), std::slice::from_ref(name)].concat(), file_of(sources, &file, name)));
        }
        found.insert(path, source);
    }
    found
}

/// The module in which a path ends that `from` names: imports are followed to where a name is declared.
fn target(modules: &BTreeMap<Segments, &Source>, from: &[String], path: &[String], steps: u8) -> Option<Segments> {
    let mut at = from.to_vec();
    let mut rest = path;
    match rest.first()?.as_str() {
        "crate" => (at, rest) = (Segments::new(), &rest[1..]),
        "self" => rest = &rest[1..],
        _ => {}
    }
    let is_explicit = rest.len() < path.len() || rest[0] == "super";
    while rest.first().is_some_and(|segment| segment == "super") {
        at.pop()?;
        rest = &rest[1..];
    }
    let begun = at.clone();
    while let Some((name, after)) = rest.split_first() {
        at.push(name.clone());
        if !modules.contains_key(&at) {
            at.pop();
            break;
        }
        rest = after;
    }
    let imported = rest.first().and_then(|name| modules[&at].imports.get(name)).filter(|import| **import != *path);
    match imported.filter(|_| steps > 0) {
        Some(import) => {
            target(modules, &at, &[import.as_slice(), &rest[1..]].concat(), steps - 1).or(is_explicit.then_some(at))
        }
        None => (is_explicit || at != begun).then_some(at),
    }
}

/// Who of the modules with one parent names whom of them, for each parent.
fn edges(modules: &BTreeMap<Segments, &Source>) -> BTreeMap<Segments, BTreeMap<String, BTreeSet<String>>> {
    let mut edges: BTreeMap<Segments, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
    for (from, source) in modules {
        for to in source.paths.iter().filter_map(|path| target(modules, from, path, 8)) {
            let shared = from.iter().zip(&to).take_while(|(from, to)| from == to).count();
            if let (Some(knowing), Some(known)) = (from.get(shared), to.get(shared)) {
                let siblings = edges.entry(from[..shared].to_vec()).or_default();
                siblings.entry(knowing.clone()).or_default().insert(known.clone());
            }
        }
    }
    edges
}

/// The siblings that know each other, directly or through others, of one crate.
fn cycles(sources: &BTreeMap<String, Source>, root: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (parent, mut known) in edges(&modules(sources, root)) {
        // What knows nothing that is left, and what nothing that is left knows, is in no cycle.
        loop {
            let left: BTreeSet<String> = known.keys().cloned().collect();
            known.values_mut().for_each(|names| names.retain(|name| left.contains(name)));
            let wanted: BTreeSet<String> = known.values().flatten().cloned().collect();
            known.retain(|name, names| !names.is_empty() && wanted.contains(name));
            if known.len() == left.len() {
                break;
            }
        }
        if !known.is_empty() {
            found.push(format!("{root} {}: {known:?}", parent.join("::")));
        }
    }
    found
}

#[test]
fn no_module_knows_one_that_knows_it() {
    let found: Vec<String> = roots().iter().flat_map(|root| cycles(&SOURCES, root)).collect();
    assert!(found.is_empty(), "modules that know each other:\n{}", found.join("\n"));
}

#[test]
fn a_cycle_is_found_through_imports_groups_macros_and_re_exports() {
    let found = |files: &[(&str, &str)]| {
        let parse = |(path, text): &(&str, &str)| ((*path).to_owned(), Source::parse(text).expect("Rust"));
        cycles(&files.iter().map(parse).collect(), "src/lib.rs").len()
    };
    let root = ("src/lib.rs", "mod a; mod b; pub use b::B;");
    for (a, b, expected) in [
        ("use crate::b::B;", "use crate::a::A;", 1),
        ("use crate::{a, b::{B, C}};", "fn f() { vec![super::a::A] }", 1),
        ("use crate::B;", "use crate::a;", 1),
        ("use crate::b;", "struct B;", 0),
        ("use crate::b;", "#[cfg(test)] mod tests { use crate::a::A; }", 0),
        ("use crate::b;", "use a::A; // crate::a::A\nconst TEXT: &str = \"crate::a::A\";", 0),
    ] {
        assert_eq!(found(&[root, ("src/a.rs", a), ("src/b.rs", b)]), expected, "{a} and {b}");
    }
}
