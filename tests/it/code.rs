//! The project's Rust code, parsed: what of a file is shipped, which tests it has, which paths it names.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::LazyLock,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use syn::{Attribute, Item, UseTree, visit::Visit};

use crate::project::{files, read};

/// The segments of a path.
pub(crate) type Segments = Vec<String>;

/// One file.
#[derive(Debug, Default)]
pub(crate) struct Source {
    pub text: String,
    /// The text without what is compiled for tests only. Every line keeps its number.
    pub code: String,
    pub tests: Vec<String>,
    /// The modules in files of their own that it declares, and whether a module is for tests only.
    pub submodules: Vec<(String, bool)>,
    /// What its imports call a path.
    pub imports: BTreeMap<String, Segments>,
    /// Every path that its code names: `a::{b, c}` is `a::b` and `a::c`.
    pub paths: BTreeSet<Segments>,
}

impl Source {
    pub(crate) fn parse(text: &str) -> syn::Result<Self> {
        let file = syn::parse_file(text)?;
        let mut code = text.as_bytes().to_vec();
        for range in for_tests(text.parse()?) {
            code[range].iter_mut().filter(|byte| **byte != b'\n').for_each(|byte| *byte = b' ');
        }
        let code = String::from_utf8(code).expect("whole items were taken out");
        let mut source = Source { text: text.to_owned(), ..Source::default() };
        source.visit_file(&file);
        for item in &file.items {
            match item {
                Item::Mod(module) if module.content.is_none() => {
                    source.submodules.push((module.ident.to_string(), module.attrs.iter().any(is_for_tests)));
                }
                Item::Use(import) if !import.attrs.iter().any(is_for_tests) => source.import(Vec::new(), &import.tree),
                _ => {}
            }
        }
        paths(code.parse()?, &[], &mut source.paths);
        Ok(Source { code, ..source })
    }

    fn import(&mut self, mut path: Segments, tree: &UseTree) {
        match tree {
            UseTree::Path(inner) => {
                path.push(inner.ident.to_string());
                self.import(path, &inner.tree);
            }
            UseTree::Group(group) => group.items.iter().for_each(|tree| self.import(path.clone(), tree)),
            UseTree::Name(name) if name.ident == "self" => {
                self.imports.extend(path.last().cloned().map(|name| (name, path)));
            }
            UseTree::Name(name) => {
                path.push(name.ident.to_string());
                self.imports.insert(name.ident.to_string(), path);
            }
            UseTree::Rename(name) => {
                path.push(name.ident.to_string());
                self.imports.insert(name.rename.to_string(), path);
            }
            UseTree::Glob(_) => {}
        }
    }

    /// How many lines it has that are not its tests.
    pub(crate) fn lines(&self) -> usize {
        let lines = self.text.lines().zip(self.code.lines());
        lines.filter(|(text, code)| text.is_empty() || !code.trim().is_empty()).count()
    }

    /// Whether its code names a path that has these segments in a row, such as `std::fs` or `Utc::now`.
    pub(crate) fn names(&self, path: &str) -> bool {
        let wanted: Segments = path.split("::").map(str::to_owned).collect();
        self.paths.iter().any(|path| path.windows(wanted.len()).any(|part| part == wanted))
    }
}

impl Visit<'_> for Source {
    fn visit_item_fn(&mut self, function: &syn::ItemFn) {
        let is_test = |attribute: &Attribute| attribute.path().segments.last().is_some_and(|last| last.ident == "test");
        if function.attrs.iter().any(is_test) {
            self.tests.push(function.sig.ident.to_string());
        }
    }
}

/// Whether an attribute is `#[cfg(test)]`.
fn is_for_tests(attribute: &Attribute) -> bool {
    attribute.path().is_ident("cfg") && attribute.parse_args::<syn::Ident>().is_ok_and(|condition| condition == "test")
}

fn is_mark(token: &TokenTree, mark: char) -> bool {
    matches!(token, TokenTree::Punct(found) if found.as_char() == mark)
}

/// Where items and statements stand that are for tests only, from their attribute to their end.
fn for_tests(tokens: TokenStream) -> Vec<Range<usize>> {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let (mut found, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        let begins = is_mark(&tokens[at], '#')
            && tokens.get(at + 1).is_some_and(|group| group.to_string().replace(' ', "") == "[cfg(test)]");
        if begins {
            let ends = |token: &TokenTree| match token {
                TokenTree::Group(group) => group.delimiter() == Delimiter::Brace,
                token => is_mark(token, ';'),
            };
            let end = at + tokens[at..].iter().position(ends).expect("#[cfg(test)] stands before an item");
            found.push(tokens[at].span().byte_range().start..tokens[end].span().byte_range().end);
            at = end;
        } else if let TokenTree::Group(group) = &tokens[at] {
            found.extend(for_tests(group.stream()));
        }
        at += 1;
    }
    found
}

/// Collects the paths of at least two segments that tokens name, macros included and attributes left out.
fn paths(tokens: TokenStream, prefix: &[String], found: &mut BTreeSet<Segments>) {
    let tokens: Vec<TokenTree> = tokens.into_iter().collect();
    let (mut path, mut at) = (Segments::new(), 0);
    while at < tokens.len() {
        let follows = at >= 2 && is_mark(&tokens[at - 1], ':') && is_mark(&tokens[at - 2], ':');
        match &tokens[at] {
            TokenTree::Ident(name) => {
                if !follows {
                    keep(std::mem::replace(&mut path, prefix.to_vec()), found);
                }
                if name != "self" || path.is_empty() {
                    path.push(name.to_string());
                }
            }
            TokenTree::Group(group) if follows && group.delimiter() == Delimiter::Brace => {
                paths(group.stream(), &std::mem::take(&mut path), found);
            }
            TokenTree::Group(group) => paths(group.stream(), &[], found),
            mark if is_mark(mark, '#') => at += usize::from(matches!(tokens.get(at + 1), Some(TokenTree::Group(_)))),
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
        at += 1;
    }
    keep(path, found);
}

fn keep(path: Segments, found: &mut BTreeSet<Segments>) {
    if path.len() > 1 {
        found.insert(path);
    }
}

/// Every Rust file of the project by its path.
pub(crate) static SOURCES: LazyLock<BTreeMap<String, Source>> = LazyLock::new(|| {
    let parse = |path: String| {
        let source = Source::parse(&read(&path)).unwrap_or_else(|error| panic!("{path}: {error}"));
        (path, source)
    };
    files(".rs").into_iter().map(parse).collect()
});

/// The file of a module that another file declares.
pub(crate) fn file_of(sources: &BTreeMap<String, Source>, declared_in: &str, name: &str) -> String {
    let (folder, file) = declared_in.rsplit_once('/').unwrap_or(("", declared_in));
    let folder = match file {
        "lib.rs" | "main.rs" | "mod.rs" => folder.to_owned(),
        file => format!("{folder}/{}", file.trim_end_matches(".rs")),
    };
    let flat = format!("{folder}/{name}.rs");
    if sources.contains_key(&flat) { flat } else { format!("{folder}/{name}/mod.rs") }
}

/// The first file of each library and program.
pub(crate) fn roots() -> Vec<String> {
    let begins = |path: &&String| path.ends_with("/lib.rs") || path.ends_with("/main.rs");
    SOURCES.keys().filter(|path| path.contains("/src/")).filter(begins).cloned().collect()
}

/// The files of libraries and programs that are no tests.
pub(crate) fn code() -> Vec<(&'static str, &'static Source)> {
    let mut open = roots();
    let mut found = BTreeMap::new();
    while let Some(path) = open.pop() {
        let (path, source) = SOURCES.get_key_value(&path).unwrap_or_else(|| panic!("{path} is declared and not there"));
        let shipped = source.submodules.iter().filter(|(_, for_tests)| !for_tests);
        open.extend(shipped.map(|(name, _)| file_of(&SOURCES, path, name)));
        found.insert(path.as_str(), source);
    }
    found.into_iter().collect()
}

/// What goes to AWS and what an operator runs.
pub(crate) fn shipped() -> Vec<(&'static str, &'static Source)> {
    let is_shipped = |path: &str| ["cli/", "functions/", "shared/"].iter().any(|folder| path.starts_with(folder));
    code().into_iter().filter(|(path, _)| is_shipped(path)).collect()
}
