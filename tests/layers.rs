//! The order of the modules: an import never leads to a higher layer, and no files import each other in a circle.
//! docs/architecture.md describes the layers. Code of tests may import what it likes.
#![expect(clippy::unwrap_used, reason = "a test may fail")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The layers, lowest first. Modules of one layer may not import each other either, unless the one comes first.
const LAYERS: &[&str] = &[
    "base",
    "nodeset",
    "measure",
    "analysis",
    "inventory",
    "template",
    "topology",
    "plan",
    "network",
    "image",
    "seed",
    "ssh",
    "supervise",
    "state",
    "host",
    "engine",
    "configure",
    "workload",
    "extract",
    "runs",
    "verdict",
    "compare",
    "doctor",
    "cluster",
    "report",
    "page",
    "export",
    "fuzzing",
    "cmd",
    "cli",
];

/// A module as its path below the crate: `["host", "claim"]`.
type Module = Vec<String>;

/// The modules below a folder of this crate, with their source.
fn modules(folder: &str) -> BTreeMap<Module, String> {
    fn collect(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                collect(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
    let mut files = Vec::new();
    collect(&root, &mut files);
    let mut modules = BTreeMap::new();
    for file in files {
        let path = file.strip_prefix(&root).unwrap().with_extension("");
        let mut module: Module = path
            .iter()
            .map(|part| part.to_string_lossy().into_owned())
            .collect();
        if module.last().is_some_and(|last| last == "mod") {
            module.pop();
        }
        let is_test = module
            .iter()
            .any(|part| part.contains("test") || part == "fixture");
        if !is_test && module != ["lib"] && module != ["main"] {
            modules.insert(module, program(&std::fs::read_to_string(&file).unwrap()));
        }
    }
    modules
}

/// A source without comments and without its module of tests, which stands at the end.
fn program(source: &str) -> String {
    let mut text = String::new();
    let mut lines = source.lines().peekable();
    while let Some(line) = lines.next() {
        let ends_here = line == "#[cfg(test)]"
            && lines
                .peek()
                .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        if ends_here {
            break;
        }
        text.push_str(line.split("//").next().unwrap());
        text.push('\n');
    }
    text
}

fn is_identifier(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The paths of a use tree: `a::{b, c::d}` gives `a::b` and `a::c::d`.
fn flatten(tree: &str, prefix: &[String], paths: &mut Vec<Module>) {
    let tree = tree.trim();
    let Some(open) = tree.find('{') else {
        let tree = tree.split(" as ").next().unwrap();
        let parts = tree.split("::").map(|part| part.trim().to_owned());
        paths.push(prefix.iter().cloned().chain(parts).collect());
        return;
    };
    let head = tree[..open]
        .split("::")
        .map(str::trim)
        .filter(|part| !part.is_empty());
    let prefix: Vec<String> = prefix.iter().cloned().chain(head.map(str::to_owned)).collect();
    let inner = &tree[open + 1..tree.rfind('}').unwrap()];
    let (mut depth, mut start) = (0, 0);
    for (at, character) in inner.char_indices() {
        match character {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&inner[start..at], &prefix, paths);
                start = at + 1;
            }
            _ => {}
        }
    }
    if !inner[start..].trim().is_empty() {
        flatten(&inner[start..], &prefix, paths);
    }
}

/// What a source names: the paths of its imports (with whether they are passed on by `pub use`), and those in its code.
fn names(source: &str) -> Vec<(Module, bool)> {
    let mut found = Vec::new();
    let mut code = String::new();
    let mut rest = source;
    while let Some(at) = rest.find("use ") {
        let before = rest[..at].chars().next_back();
        let line = rest[..at].rfind('\n').map_or(0, |at| at + 1);
        let is_import = !before.is_some_and(is_identifier)
            && matches!(rest[line..at].trim(), "" | "pub" | "pub(crate)" | "pub(super)");
        let Some(end) = rest[at..].find(';').filter(|_| is_import) else {
            code.push_str(&rest[..at + 4]);
            rest = &rest[at + 4..];
            continue;
        };
        code.push_str(&rest[..at]);
        let mut paths = Vec::new();
        flatten(&rest[at + 4..at + end], &[], &mut paths);
        let public = rest[line..at].trim().starts_with("pub");
        found.extend(paths.into_iter().map(|path| (path, public)));
        rest = &rest[at + end..];
    }
    code.push_str(rest);
    for word in ["crate::", "super::", "self::"] {
        for (at, _) in code.match_indices(word) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|character| is_identifier(character) || ":$".contains(character)) {
                continue;
            }
            let end = code[at..].find(|c: char| !is_identifier(c) && c != ':');
            let path = &code[at..end.map_or(code.len(), |end| at + end)];
            let parts = path.split("::").filter(|part| !part.is_empty());
            found.push((parts.map(str::to_owned).collect(), false));
        }
    }
    found
}

/// A path as seen from the crate; `None` for what is not of this crate.
fn absolute(path: &[String], module: &Module, modules: &BTreeMap<Module, String>) -> Option<Module> {
    let child = |name: &String| {
        let mut child = module.clone();
        child.push(name.clone());
        modules.contains_key(&child)
    };
    let mut base = module.clone();
    let mut rest = path;
    match path.first()?.as_str() {
        "crate" => {
            base.clear();
            rest = &path[1..];
        }
        "self" => rest = &path[1..],
        "super" => {
            while rest.first().is_some_and(|part| part == "super") {
                base.pop();
                rest = &rest[1..];
            }
        }
        _ if child(&path[0]) => {}
        _ => return None,
    }
    base.extend(rest.iter().cloned());
    Some(base)
}

/// The module that a path leads to, through what modules pass on from others.
fn resolve(
    path: &Module,
    passed_on: &BTreeMap<Module, Module>,
    modules: &BTreeMap<Module, String>,
    steps: usize,
) -> Option<Module> {
    for length in (1..=path.len()).rev() {
        if let Some(real) = passed_on.get(&path[..length]).filter(|_| steps > 0) {
            let mut real = real.clone();
            real.extend(path[length..].iter().cloned());
            return resolve(&real, passed_on, modules, steps - 1);
        }
        if modules.contains_key(&path[..length]) {
            return Some(path[..length].to_vec());
        }
    }
    None
}

/// For each module below a folder the modules that it imports.
fn imports(folder: &str) -> BTreeMap<Module, BTreeSet<Module>> {
    let modules = modules(folder);
    let mut named: BTreeMap<&Module, Vec<(Module, bool)>> = BTreeMap::new();
    let mut passed_on = BTreeMap::new();
    for (module, source) in &modules {
        for (path, public) in names(source) {
            let Some(path) = absolute(&path, module, &modules) else {
                continue;
            };
            if let (true, Some(name)) = (public, path.last()) {
                let mut shown = module.clone();
                shown.push(name.clone());
                if shown != path {
                    passed_on.insert(shown, path.clone());
                }
            }
            named.entry(module).or_default().push((path, public));
        }
    }
    let mut imports: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
    for (module, paths) in named {
        for (path, public) in paths {
            let Some(target) = resolve(&path, &passed_on, &modules, 8) else {
                continue;
            };
            // A module that passes on what its own files hold does not depend on them.
            if target != *module && !(public && target.starts_with(module)) {
                imports.entry(module.clone()).or_default().insert(target);
            }
        }
    }
    imports
}

#[test]
fn no_import_leads_to_a_higher_layer() {
    let layer = |module: &Module| {
        LAYERS
            .iter()
            .position(|layer| *layer == module[0])
            .unwrap_or_else(|| panic!("`{}` has no place among the layers", module[0]))
    };
    let mut count = 0;
    let mut upwards = Vec::new();
    for (module, targets) in imports("src") {
        for target in targets.iter().filter(|target| target[0] != module[0]) {
            count += 1;
            if layer(target) > layer(&module) {
                upwards.push(format!("{} imports {}", module.join("::"), target.join("::")));
            }
        }
    }
    assert_eq!(upwards, Vec::<String>::new());
    assert!(count > 500, "only {count} imports were found");
}

/// The files below a folder that import each other in a circle.
fn circles(folder: &str) -> Vec<String> {
    let imports = imports(folder);
    // Whatever imports nothing that is left cannot be part of a circle.
    let mut left: BTreeSet<&Module> = imports.keys().collect();
    loop {
        let free: Vec<&Module> = left
            .iter()
            .copied()
            .filter(|module| imports[*module].iter().all(|target| !left.contains(target)))
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    // Nor can whatever nothing imports that is left.
    loop {
        let free: Vec<&Module> = left
            .iter()
            .copied()
            .filter(|module| !left.iter().any(|other| imports[*other].contains(*module)))
            .collect();
        if free.is_empty() {
            break;
        }
        for module in free {
            left.remove(module);
        }
    }
    left.iter().map(|module| module.join("::")).collect()
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    assert_eq!(circles("src"), Vec::<String>::new());
    // The supervisor on the nodes is a crate of its own.
    assert_eq!(circles("guest/src"), Vec::<String>::new());
    let (modules, supervisor) = (modules("src").len(), modules("guest/src").len());
    assert!(
        modules > 150 && supervisor > 8,
        "{modules} and {supervisor} modules"
    );
}

#[test]
fn an_import_is_found_however_it_is_written() {
    let source =
        "use crate::a::{b, c::{self, d as e}};\nfn f() { crate::g::h(super::i::J); let reuse = 1; }\n";
    let found: Vec<String> = names(source).iter().map(|(path, _)| path.join("::")).collect();
    assert_eq!(
        found,
        [
            "crate::a::b",
            "crate::a::c::self",
            "crate::a::c::d",
            "crate::g::h",
            "super::i::J"
        ]
    );
}
