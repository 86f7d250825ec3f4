//! The order of the crate's folders: a lower floor never imports a higher one, and no circle of imports spans folders.
//!
//! Reads `src/**/*.rs` as text. An import is any path, in a `use` or elsewhere, that begins with `crate`, `super`, `self`, a child module, or a
//! module that a `use` has brought in. It is followed through `pub use` to the file that defines the item. Test modules do not count.

#![cfg(feature = "cli")]

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The floors from the ground up. A folder or file of `src` may import those of its own floor and of lower ones, which are the lines above it here.
const FLOORS: [&[&str]; 7] = [
    &["error", "memory"],
    &["space", "image"],
    &["model", "index", "graph", "pairs", "inference", "data", "connection"],
    &["train", "eval"],
    &["pg", "explorer"],
    &["commands", "demo"],
    &["bin"],
];
/// Folders of one floor that must not import each other.
const APART: [[&str; 2]; 2] = [["train", "eval"], ["pg", "explorer"]];

#[test]
fn no_floor_imports_a_higher_one() {
    let sources = Sources::read();
    let floor = |name: &str| FLOORS.iter().position(|floor| floor.contains(&name));
    let mut faults = String::new();
    for file in sources.files.values() {
        if floor(file.top()).is_none() && !file.modules.is_empty() {
            let _ = writeln!(faults, "{} is on no floor of this test's table", file.path);
        }
    }
    for import in sources.imports() {
        let (from, to) = (sources.top(&import.from), sources.top(&import.to));
        let apart = APART.iter().any(|pair| pair.contains(&from) && pair.contains(&to) && from != to);
        if floor(to) > floor(from) && floor(from).is_some() || apart {
            let _ = writeln!(faults, "{} imports {} from {}", import.from, import.path, import.to);
        }
    }
    assert!(faults.is_empty(), "imports against the order of the floors:\n{faults}");
}

#[test]
fn no_circle_of_imports_spans_folders() {
    let sources = Sources::read();
    let imports = sources.imports();
    let mut faults = String::new();
    for circle in circles(&imports) {
        // A circle inside one folder is allowed: is there a folder that has all its files?
        let mut common = sources.files[circle.first().expect("not empty")].folders();
        for file in &circle {
            let folders = sources.files[file].folders();
            common.retain(|folder| folders.contains(folder));
        }
        if common.is_empty() {
            let _ = writeln!(faults, "these files import each other:");
            for import in imports.iter().filter(|i| circle.contains(&i.from) && circle.contains(&i.to)) {
                let _ = writeln!(faults, "  {} imports {} from {}", import.from, import.path, import.to);
            }
        }
    }
    assert!(faults.is_empty(), "{faults}");
}

/// A path in the text of a file that names an item of another file.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Import {
    from: String,
    to: String,
    /// From the crate's root on.
    path: String,
}

struct File {
    /// From `src` on, with slashes.
    path: String,
    /// The module that the file is: `["index", "cursor"]`.
    modules: Vec<String>,
    /// Without comments, literals and test items.
    tokens: Vec<String>,
    /// What its `use` declarations bring in: the name, `*` for a glob, and the path from the crate's root on.
    uses: Vec<(String, Vec<String>)>,
    /// There is a folder of the same name beside it, with its child modules.
    has_children: bool,
}

impl File {
    fn top(&self) -> &str {
        self.path.split('/').next().expect("a first part").trim_end_matches(".rs")
    }

    /// The folder it lies in, and, of `x.rs` beside `x/`, that one too.
    fn folders(&self) -> Vec<String> {
        let folder = self.path.rsplit_once('/').map_or("", |(folder, _)| folder).to_owned();
        let own = self.path.trim_end_matches(".rs").to_owned();
        if self.has_children {
            vec![folder, own]
        } else {
            vec![folder]
        }
    }

    fn defines(&self, name: &str) -> bool {
        const KINDS: [&str; 10] =
            ["fn", "struct", "enum", "trait", "type", "const", "static", "union", "macro_rules", "mod"];
        self.tokens.windows(3).any(|t| {
            let named = KINDS.contains(&t[0].as_str()) && t[1] == name;
            named || t[0] == "macro_rules" && t[2] == name || t[1] == "mut" && t[2] == name
        })
    }
}

/// All files of `src` but tests.
struct Sources {
    /// By their path from `src` on.
    files: BTreeMap<String, File>,
    /// Which file a module is.
    modules: BTreeMap<Vec<String>, String>,
}

impl Sources {
    fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        let mut paths = Vec::new();
        list(&root, &mut paths);
        let mut files = BTreeMap::new();
        let mut tests = BTreeSet::new();
        for path in paths {
            let name = path.strip_prefix(&root).expect("under src").to_string_lossy().replace('\\', "/");
            let text = std::fs::read_to_string(&path).expect("readable");
            let mut modules: Vec<String> =
                name.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
            if modules.last().is_some_and(|last| last == "mod") || name == "lib.rs" {
                modules.pop();
            }
            let (tokens, test_modules) = without_tests(tokens(&text));
            tests.extend(test_modules.into_iter().map(|child| [modules.clone(), vec![child]].concat()));
            let has_children = path.with_extension("").is_dir();
            files.insert(name.clone(), File { path: name, modules, tokens, uses: Vec::new(), has_children });
        }
        files.retain(|_, file| {
            let of_tests = |n| tests.contains(&file.modules[..n]);
            !file.modules.iter().any(|m| m == "tests") && !(0..=file.modules.len()).any(of_tests)
        });
        let modules = files.values().map(|file| (file.modules.clone(), file.path.clone())).collect();
        let mut sources = Self { files, modules };
        let names: Vec<_> = sources.files.keys().cloned().collect();
        for name in names {
            let uses =
                sources.paths(&sources.files[&name]).into_iter().filter_map(|p| Some((p.alias?, p.path)));
            let uses = uses.collect();
            sources.files.get_mut(&name).expect("listed").uses = uses;
        }
        sources
    }

    fn top(&self, file: &str) -> &str {
        self.files[file].top()
    }

    /// All imports from one file into another.
    fn imports(&self) -> BTreeSet<Import> {
        let mut imports = BTreeSet::new();
        for file in self.files.values().filter(|file| file.path != "lib.rs") {
            let paths = self.paths(file).into_iter();
            // What a module re-exports of its own children is no import.
            let own = |path: &[String]| path.starts_with(&file.modules) && path.len() > file.modules.len();
            let mut paths: Vec<_> =
                paths.filter(|p| !(p.is_public && own(&p.path))).map(|p| p.path).collect();
            paths.extend(self.paths_by_alias(file));
            for path in paths {
                if let Some(to) = self.file_of(&path, 0).filter(|to| *to != file.path) {
                    imports.insert(Import { from: file.path.clone(), to, path: path.join("::") });
                }
            }
        }
        imports
    }

    /// The file that defines what a path from the crate's root names, following `pub use`.
    fn file_of(&self, path: &[String], depth: usize) -> Option<String> {
        let known = (0..=path.len()).rev().find(|n| self.modules.contains_key(&path[..*n]))?;
        let file = &self.files[&self.modules[&path[..known]]];
        let Some(item) = path.get(known).filter(|item| *item != "*") else { return Some(file.path.clone()) };
        if depth < 8 && !file.defines(item) {
            let (exact, globs): (Vec<_>, Vec<_>) = file
                .uses
                .iter()
                .filter(|(name, _)| name == item || name == "*")
                .partition(|(name, _)| name == item);
            if let Some((_, target)) = exact.first() {
                return self.file_of(target, depth + 1);
            }
            for (_, target) in globs {
                let named = [&target[..target.len() - 1], std::slice::from_ref(item)].concat();
                let found = self.file_of(&named, depth + 1);
                if found.as_ref().is_some_and(|found| self.files[found].defines(item)) {
                    return found;
                }
            }
        }
        Some(file.path.clone())
    }

    /// The paths of a file's text that begin with `crate`, `super`, `self` or, in `use`, with a child module, each from the crate's root on.
    fn paths(&self, file: &File) -> Vec<Named> {
        let mut found = Vec::new();
        // The modules that the text is in: the file's, and inline ones, with the depth of braces where each began.
        let mut inside = vec![(file.modules.clone(), 0)];
        let (tokens, mut depth, mut at) = (&file.tokens, 0, 0);
        while at < tokens.len() {
            let here = &inside.last().expect("the file's own").0;
            let begins = at == 0 || tokens[at - 1] != "::";
            match tokens[at].as_str() {
                "{" => depth += 1,
                "}" => {
                    depth -= 1;
                    if inside.len() > 1 && inside.last().is_some_and(|(_, began)| *began == depth) {
                        inside.pop();
                    }
                }
                // In a macro the name may be `$name`.
                "mod" if tokens[at + 1..].iter().take(3).any(|t| t == "{") => {
                    inside.push(([here.clone(), vec![tokens[at + 1].clone()]].concat(), depth));
                }
                "use" => {
                    let is_public = at > 0 && (tokens[at - 1] == "pub" || tokens[at - 1] == ")");
                    let first = found.len();
                    at = use_tree(tokens, at + 1, &self.root_of(file, here), &mut Vec::new(), &mut found);
                    found[first..].iter_mut().for_each(|named| named.is_public = is_public);
                }
                "crate" | "super" | "self" if begins && tokens.get(at + 1).is_some_and(|t| t == "::") => {
                    let mut path = vec![tokens[at].clone()];
                    while tokens.get(at + 1).is_some_and(|t| t == "::")
                        && tokens.get(at + 2).is_some_and(|t| is_name(t))
                    {
                        path.push(tokens[at + 2].clone());
                        at += 2;
                    }
                    found.extend(self.root_of(file, here)(&path).map(|path| Named {
                        alias: None,
                        path,
                        is_public: false,
                    }));
                }
                _ => (),
            }
            at += 1;
        }
        found
    }

    /// Paths through a module that a `use` has brought in: `model::load` after `use crate::model`.
    fn paths_by_alias(&self, file: &File) -> Vec<Vec<String>> {
        let modules: BTreeMap<&str, &Vec<String>> = file
            .uses
            .iter()
            .filter(|(_, p)| self.modules.contains_key(p))
            .map(|(name, p)| (name.as_str(), p))
            .collect();
        let (mut found, mut in_use) = (Vec::new(), false);
        for (at, path) in file.tokens.windows(3).enumerate() {
            in_use = path[0] == "use" || in_use && path[0] != ";";
            let begins = at == 0 || file.tokens[at - 1] != "::";
            if let Some(module) = modules.get(path[0].as_str()).filter(|_| begins && !in_use) {
                if path[1] == "::" && is_name(&path[2]) {
                    found.push([module.as_slice(), &path[2..]].concat());
                }
            }
        }
        found
    }

    /// Turns a path as it is written, in a module, into one from the crate's root on; none for another crate's.
    fn root_of<'a>(
        &'a self,
        file: &'a File,
        here: &'a [String],
    ) -> impl Fn(&[String]) -> Option<Vec<String>> + 'a {
        move |path: &[String]| {
            let mut base = here.to_vec();
            let mut rest = path;
            match path.first()?.as_str() {
                "crate" => base.clear(),
                // The program is a crate of its own.
                "coopembed" if file.top() == "bin" => base.clear(),
                "self" => (),
                "super" => {
                    while rest.first().is_some_and(|s| s == "super") {
                        base.pop()?;
                        rest = &rest[1..];
                    }
                    return Some([base.as_slice(), rest].concat());
                }
                child if self.modules.contains_key(&[here, &[child.to_owned()]].concat()) => {
                    return Some([here, path].concat());
                }
                _ => return None,
            }
            rest = &rest[1..];
            Some([base.as_slice(), rest].concat())
        }
    }
}

/// A path from the crate's root on, and the name that it brings into its module if it stands in a `use`.
struct Named {
    alias: Option<String>,
    path: Vec<String>,
    /// It is a `pub use`, for others to import.
    is_public: bool,
}

/// Reads the tree of a `use` from `at` on, and returns where it ends.
fn use_tree(
    tokens: &[String],
    mut at: usize,
    root: &dyn Fn(&[String]) -> Option<Vec<String>>,
    prefix: &mut Vec<String>,
    found: &mut Vec<Named>,
) -> usize {
    let length = prefix.len();
    let mut alias = None;
    while let Some(token) = tokens.get(at) {
        match token.as_str() {
            "::" => (),
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = use_tree(tokens, at, root, prefix, found);
                    if tokens[at] == "," {
                        at += 1;
                    }
                }
                prefix.truncate(length);
                return at + 1;
            }
            "as" => {
                alias = Some(tokens[at + 1].clone());
                at += 1;
            }
            name if is_name(name) || name == "*" => prefix.push(name.to_owned()),
            _ => break,
        }
        at += 1;
    }
    let mut path = prefix.clone();
    if path.len() > 1 && path.last().is_some_and(|last| last == "self") {
        path.pop();
    }
    let name = alias.or_else(|| path.last().cloned());
    found.extend(root(&path).map(|path| Named { alias: name, path, is_public: false }));
    prefix.truncate(length);
    at
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// The groups of files each of which imports every other, through others or at once (strongly connected components of at least two).
fn circles(imports: &BTreeSet<Import>) -> Vec<BTreeSet<String>> {
    let mut next: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for import in imports {
        next.entry(&import.from).or_default().insert(&import.to);
    }
    let reached: BTreeMap<&str, BTreeSet<&str>> =
        next.keys().map(|from| (*from, reached(from, &next))).collect();
    let mut circles: Vec<BTreeSet<String>> = Vec::new();
    for (file, to) in reached.iter().filter(|(file, to)| to.contains(*file)) {
        if !circles.iter().any(|circle| circle.contains(*file)) {
            let back = |other: &&&str| reached.get(**other).is_some_and(|r| r.contains(file));
            circles.push(to.iter().filter(back).map(|other| (*other).to_owned()).collect());
        }
    }
    circles
}

/// All files that a file imports, through others or at once.
fn reached<'a>(from: &'a str, next: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let (mut seen, mut open) = (BTreeSet::new(), vec![from]);
    while let Some(file) = open.pop() {
        open.extend(next.get(file).into_iter().flatten().copied().filter(|to| seen.insert(*to)));
    }
    seen
}

fn list(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            list(&path, paths);
        } else if path.extension().is_some_and(|e| e == "rs") {
            paths.push(path);
        }
    }
}

/// Names, numbers, `::` and single other characters; no comments, texts and lifetimes.
fn tokens(text: &str) -> Vec<String> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut at = 0;
    let until = |from: usize, end: &str| text[from..].find(end).map_or(text.len(), |n| from + n + end.len());
    while let Some(c) = text[at..].chars().next() {
        let rest = &text[at..];
        let raw = rest
            .strip_prefix("br")
            .or(rest.strip_prefix('r'))
            .map(|r| r.len() - r.trim_start_matches('#').len());
        if rest.starts_with("//") {
            at = until(at, "\n");
        } else if rest.starts_with("/*") {
            at = until(at, "*/");
        } else if let Some(hashes) =
            raw.filter(|n| rest.trim_start_matches(['b', 'r']).get(*n..).is_some_and(|r| r.starts_with('"')))
        {
            let open = at + rest.find('"').expect("found") + 1;
            at = until(open, &format!("\"{}", "#".repeat(hashes)));
        } else if c == '"' {
            at += 1;
            while at < bytes.len() && bytes[at] != b'"' {
                at += if bytes[at] == b'\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' {
            // A character, or a lifetime.
            let mut characters = rest[1..].char_indices();
            let second = characters.next().map_or(' ', |(_, c)| c);
            let third = characters.next();
            if second == '\\' {
                at = until(at + 3, "'");
            } else if let Some((n, _)) = third.filter(|(_, c)| *c == '\'') {
                at += 1 + n + 1;
            } else {
                at += 1;
            }
        } else if c.is_alphanumeric() || c == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(rest[..end].to_owned());
            at += end;
        } else if rest.starts_with("::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += c.len_utf8();
        }
    }
    tokens
}

/// Takes out every item under an attribute `#[cfg(...)]` that names `test` or `pg_test`, and lists the modules that are files among them.
fn without_tests(tokens: Vec<String>) -> (Vec<String>, Vec<String>) {
    let (mut kept, mut modules, mut at) = (Vec::new(), Vec::new(), 0);
    while at < tokens.len() {
        let attribute = tokens[at..].starts_with(&["#", "[", "cfg", "("].map(str::to_owned));
        let end = at + tokens[at..].iter().position(|t| t == "]").unwrap_or(0);
        let is_test = attribute
            && tokens[at..end].iter().any(|t| t == "test")
            && !tokens[at..end].iter().any(|t| t == "not");
        if !is_test {
            kept.push(tokens[at].clone());
            at += 1;
            continue;
        }
        at = end + 1;
        // The item: up to its closing brace, or to a semicolon or comma outside of all brackets.
        let (mut depth, mut is_function) = (0, false);
        while let Some(token) = tokens.get(at) {
            match token.as_str() {
                "fn" | "impl" => is_function = true,
                "mod" if depth == 0 && tokens.get(at + 2).is_some_and(|t| t == ";") => {
                    modules.push(tokens[at + 1].clone())
                }
                "{" | "(" | "[" => depth += 1,
                "}" | ")" | "]" => depth -= 1,
                _ => (),
            }
            at += 1;
            if depth < 0 {
                // The end of what the item is in.
                at -= 1;
                break;
            }
            if depth == 0 && (matches!(token.as_str(), "}" | ";") || token == "," && !is_function) {
                break;
            }
        }
    }
    (kept, modules)
}
