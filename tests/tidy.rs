//! Tidy: the rules of this tree that no compiler checks.
#![cfg(not(target_arch = "wasm32"))]

mod imports;
mod tokens;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use imports::Imports;
use tokens::{Token, has_random_order, names_below, supers_at_root, tokens};

/// Modules that every module but the model may name.
const BOTTOM: [&str; 7] = ["arena", "id", "limits", "properties", "table", "timer", "wire"];
/// The modules above the bottom, and the others that each may name.
const LAYERS: [(&str, &[&str]); 10] = [
    ("model", &[]),
    ("access", &[]),
    ("broker", &[]),
    ("virtual_host", &["broker"]),
    ("journal", &["broker"]),
    ("protocol", &["access", "broker", "virtual_host"]),
    ("embedded", &["broker", "virtual_host"]),
    ("server", &["access", "broker", "embedded", "journal", "protocol", "virtual_host"]),
    ("recording", &["access", "broker", "embedded", "journal", "protocol", "server"]),
    ("wasm", &["access", "broker", "journal", "protocol", "recording", "server", "embedded", "virtual_host", "model"]),
];

/// The wings of the broker, and the others that each may name.
const WINGS: [(&str, &[&str]); 4] =
    [("model", &[]), ("session", &["model"]), ("durable", &["model"]), ("verbs", &["model", "session", "durable"])];

/// Circles of up to this many modules are tolerated outside of the broker, which has none.
const CIRCLE_MAX: usize = 4;

const REPLY_CODES: [&str; 18] = [
    "311", "312", "313", "320", "402", "403", "404", "405", "406", "501", "502", "503", "504", "505", "506", "530",
    "540", "541",
];
/// Names for clocks, random numbers and JavaScript.
const WORLD: [&str; 6] = ["SystemTime", "Instant", "RandomState", "js_sys", "web_sys", "wasm_bindgen"];
const WORLD_OF_STD: [&str; 7] = ["env", "fs", "io", "net", "process", "thread", "time"];

const LINES_MAX: usize = 600;
/// Glue only: more means that logic leaked out of the core.
const WASM_LINES_MAX: usize = 190;
const GENERATED: [&str; 2] = ["src/protocol/amqp/method/received.rs", "src/protocol/amqp/method/sent.rs"];
const CODE: [&str; 7] = ["rs", "ts", "mjs", "js", "py", "css", "html"];

/// Files that other programs write, and the list of the words itself.
const EXEMPT: [&str; 3] = ["Cargo.lock", "package-lock.json", "tests/tidy.rs"];
/// First words of doc comments that leave open what a thing is or does.
const VAGUE: [&str; 6] = ["What", "Who", "Whoever", "Whom", "Answers", "Tells"];
const UNFINISHED: [&str; 6] = ["TODO", "FIXME", "XXX", "unimplemented!", "todo!", "dbg!"];
const MACHINE_PATHS: [&str; 5] = ["/work/", "/root/", "/home/", "/Users/", "/tmp/"];
const REGISTRIES: [&str; 7] =
    ["registry.npmjs", "npmjs.com", "crates.io", "pypi.org", "pythonhosted.org", "proxy.golang.org", "deb.debian.org"];
/// Ways in which a test waits for time to pass.
const WAITS: [&str; 7] =
    ["sleep(", "setTimeout(", "setInterval(", "waitForTimeout(", "timers/promises", "TimeoutFuture", "IntervalStream"];
/// Not a wait: it only keeps the process alive while it waits for something else.
const KEEP_ALIVE: &str = "setTimeout(() => {}";

#[test]
fn modules_name_only_what_is_below_them() {
    let mut problems = Vec::new();
    for file in rust_sources() {
        let tokens = tokens(&file.text);
        let from = file.module();
        for name in names_below("crate", &tokens) {
            let to = tokens[name].text.as_str();
            if !may_name(from, to) {
                problems.push(file.problem(
                    tokens[name].line,
                    &format!("`{from}` may not name `crate::{to}`: move what it needs below both, or see LAYERS"),
                ));
            }
        }
        for line in supers_at_root(&tokens, file.path.split('/').count() - 1) {
            problems.push(file.problem(line, "`super` means the whole crate here: write `crate::`, which is checked"));
        }
    }
    none(&problems);
}

#[test]
fn wings_of_the_broker_name_only_what_is_below_them() {
    let sources = rust_sources();
    let imports = imports(&sources);
    let mut problems = Vec::new();
    for (from, to, line) in imports.all() {
        let (["broker", wing, ..], ["broker", named @ ..]) = (&names(from)[..], &names(to)[..]) else { continue };
        let below = WINGS.iter().find(|(known, _)| known == wing).map_or(&[][..], |(_, below)| below);
        if !named.first().is_some_and(|named| named == wing || below.contains(named)) {
            let to = named.first().map_or("broker.rs", |_| to);
            problems.push(format!("src/{from}.rs:{line}: `{wing}` may not name {to}: see WINGS"));
        }
    }
    none(&problems);
}

#[test]
fn modules_name_each_other_in_no_large_circle() {
    let sources = rust_sources();
    let is_broken =
        |circle: &Vec<&str>| circle.len() > CIRCLE_MAX || circle.iter().any(|path| path.starts_with("broker/"));
    let circles = imports(&sources).circles().into_iter().filter(is_broken);
    let advice = "each of these modules reaches all others: move what two of them need below both";
    none(&circles.map(|circle| format!("{}: {advice}", circle.join(", "))).collect::<Vec<_>>());
}

#[test]
fn documents_name_files_that_exist() {
    let exists = |path: &str| root().join(path).exists() || root().join("src").join(path).exists();
    let mut problems = Vec::new();
    for file in files().iter().filter(|file| ["ARCHITECTURE.md", "CONTRIBUTING.md"].contains(&&*file.path)) {
        for (index, line) in file.text.lines().enumerate() {
            let quoted = line.split('`').skip(1).step_by(2);
            let is_path =
                |text: &&str| text.contains('/') && CODE.iter().any(|code| text.ends_with(&format!(".{code}")));
            let lost = quoted.filter(is_path).filter(|path| !path.contains([' ', '*', '{']) && !exists(path));
            problems
                .extend(lost.map(|path| file.problem(index + 1, &format!("`{path}` does not exist: name what does"))));
        }
    }
    none(&problems);
}

#[test]
fn the_life_of_a_message_leads_through_eight_files_with_the_functions_that_it_names() {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, walk) = text.split_once("\n## The life of a message\n").expect("a section");
    let (walk, _) = walk.split_once("\n## ").expect("another section");
    let mut all = BTreeSet::new();
    for step in (1..=8).map(|step| format!("\n{step}. ")) {
        let (_, step) = walk.split_once(&step).expect("a step");
        let lines = step.lines().enumerate().take_while(|(index, line)| *index == 0 || line.starts_with("   "));
        let step: String = lines.map(|(_, line)| line).collect();
        let (paths, names): (Vec<_>, Vec<_>) =
            step.split('`').skip(1).step_by(2).partition(|text| text.ends_with(".rs"));
        let source = |path: &&str| fs::read_to_string(root().join("src").join(path)).expect("a source");
        let sources: String = paths.iter().map(source).collect();
        for name in names.iter().filter(|name| name.starts_with(|first: char| first.is_ascii_lowercase())) {
            assert!(sources.contains(&format!("fn {name}")), "{} has no function `{name}`", paths.join(", "));
        }
        all.extend(paths.into_iter().map(str::to_owned));
    }
    assert_eq!(all.len(), 8, "{all:?}");
}

#[test]
fn reply_codes_are_given_out_by_the_protocol_alone() {
    let sources = rust_sources().into_iter().filter(|file| !file.path.starts_with("src/protocol/amqp"));
    let advice =
        "reply codes of AMQP are given out in src/protocol/amqp only: return an error, and let it choose the code";
    let is_code = |token: &Token| REPLY_CODES.contains(&token.text.trim_end_matches("u16").trim_end_matches('_'));
    none(&found(sources, advice, |tokens| (0..tokens.len()).filter(|&at| is_code(&tokens[at])).collect()));
}

#[test]
fn nothing_below_wasm_knows_the_world() {
    let sources = rust_sources().into_iter().filter(|file| file.module() != "wasm");
    none(&found(sources, "this is not for the core: let the host pass it in", |tokens| {
        let mut names = names_below("std", tokens);
        names.retain(|&at| WORLD_OF_STD.contains(&tokens[at].text.as_str()));
        names.extend((0..tokens.len()).filter(|&at| WORLD.contains(&tokens[at].text.as_str())));
        names
    }));
}

#[test]
fn every_hash_map_has_a_fixed_order() {
    let advice = "its order differs from run to run: name FixedState as its hasher, and make it by `default`";
    none(&found(rust_sources(), advice, |tokens| {
        let maps = (0..tokens.len()).filter(|&at| matches!(tokens[at].text.as_str(), "HashMap" | "HashSet"));
        maps.filter(|&at| has_random_order(tokens, at)).collect()
    }));
}

#[test]
fn files_are_short() {
    let long = |file: &File| {
        let is_glue = file.path.starts_with("src/wasm/");
        let most = if is_glue { WASM_LINES_MAX } else { LINES_MAX };
        (file.text.lines().count() > most)
            .then(|| file.problem(most + 1, &format!("it has more than {most} lines: split it by what its parts are")))
    };
    let is_code = |file: &File| CODE.contains(&file.extension()) && !GENERATED.contains(&file.path.as_str());
    none(&files().iter().filter(|file| is_code(file)).filter_map(long).collect::<Vec<_>>());
}

#[test]
fn rust_modules_say_what_they_are() {
    let says_it = |file: &File| {
        let opening = file.text.lines().next().and_then(|line| line.strip_prefix("//! ")?.split_once(": "));
        opening.is_some_and(|(noun, sentence)| noun.split(' ').count() <= 4 && !sentence.is_empty())
    };
    let silent = files().into_iter().filter(|file| file.extension() == "rs" && !says_it(file));
    none(
        &silent.map(|file| file.problem(1, "open it with `//! Noun: what it is, in a sentence.`")).collect::<Vec<_>>(),
    );
}

#[test]
fn doc_comments_say_what_a_thing_is_or_does() {
    let mut problems = Vec::new();
    for file in files().iter().filter(|file| CODE.contains(&file.extension())) {
        for (index, line) in file.text.lines().enumerate() {
            let first = doc_text(line).and_then(|text| text.split(' ').next());
            if let Some(word) = first.filter(|word| VAGUE.contains(word)) {
                let advice = "begin with the thing (\"Options of ...\") or with what it does (\"Returns the ...\")";
                problems.push(file.problem(index + 1, &format!("`{word}`: {advice}")));
            }
        }
    }
    none(&problems);
}

#[test]
fn nothing_is_left_unfinished() {
    none(&lines_with(&UNFINISHED, |_| true, "finish it, or take it out"));
}

#[test]
fn nothing_names_a_machine_or_a_registry() {
    let mut problems = lines_with(&MACHINE_PATHS, |_| true, "another machine has no such folder: find it at run time");
    let advice = "tools know their registries: take the address out; for readers, link the project's own page";
    problems.extend(lines_with(&REGISTRIES, |_| true, advice));
    none(&problems);
}

#[test]
fn tests_wait_for_events() {
    let is_test = |file: &File| file.path.split('/').any(|folder| matches!(folder, "test" | "tests"));
    none(&lines_with(&WAITS, is_test, "wait for the event itself; AbortSignal.timeout may bound how long"));
}

/// A text file of this tree; its path is relative to the root.
struct File {
    path: String,
    text: String,
}

impl File {
    fn extension(&self) -> &str {
        self.path.rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// Returns the module right below the crate's root that this source belongs to.
    fn module(&self) -> &str {
        let below = self.path.strip_prefix("src/").expect("a source");
        below.split(['/', '.']).next().expect("a split has a first part")
    }

    fn problem(&self, line: usize, advice: &str) -> String {
        format!("{}:{line}: {advice}", self.path)
    }
}

fn none(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// Returns the crate's modules; its root may name them all.
fn rust_sources() -> Vec<File> {
    let is_source = |file: &File| file.path.starts_with("src/") && file.extension() == "rs";
    let sources: Vec<_> = files().into_iter().filter(|file| is_source(file) && file.path != "src/lib.rs").collect();
    assert!(!sources.is_empty(), "the sources are missing");
    sources
}

fn imports(sources: &[File]) -> Imports<'_> {
    Imports::of(sources.iter().map(|file| (file.path.trim_start_matches("src/").trim_end_matches(".rs"), &*file.text)))
}

fn names(module: &str) -> Vec<&str> {
    module.split('/').collect()
}

/// Returns all text files that are not ignored by git.
fn files() -> Vec<File> {
    let ignored = fs::read_to_string(root().join(".gitignore")).expect(".gitignore");
    let mut files = Vec::new();
    let mut folders = vec![String::new()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(root().join(&folder)).expect("a folder") {
            let entry = entry.expect("an entry");
            let path = format!("{folder}{}", entry.file_name().to_string_lossy());
            if path == ".git" || ignored.lines().any(|pattern| ignores(pattern, &path)) {
                continue;
            }
            if entry.file_type().expect("its type").is_dir() {
                folders.push(path + "/");
            } else if let Ok(text) = fs::read_to_string(entry.path()) {
                files.push(File { path, text });
            }
        }
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    files
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Returns the text of a line in a doc comment, of Rust or of JavaScript.
fn doc_text(line: &str) -> Option<&str> {
    ["/// ", "//! ", "/** ", "* "].iter().find_map(|mark| line.trim_start().strip_prefix(mark))
}

/// Supports the patterns in use: a name anywhere, a path from the root, and `*` at the beginning.
fn ignores(pattern: &str, path: &str) -> bool {
    let pattern = pattern.trim_end_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    match (pattern.strip_prefix('/'), pattern.strip_prefix('*')) {
        (Some(anchored), _) => path == anchored,
        (_, Some(ending)) => name.ends_with(ending),
        _ => name == pattern,
    }
}

/// Returns a problem for each line with one of these texts at the beginning of a word.
fn lines_with(texts: &[&str], is_meant: impl Fn(&File) -> bool, advice: &str) -> Vec<String> {
    let is_exempt = |file: &File| EXEMPT.iter().any(|ending| file.path.ends_with(ending));
    let mut problems = Vec::new();
    for file in files().iter().filter(|file| is_meant(file) && !is_exempt(file)) {
        for (index, line) in file.text.lines().enumerate() {
            let line = line.replace(KEEP_ALIVE, "");
            if let Some(text) = texts.iter().find(|text| begins_in(&line, text)) {
                problems.push(file.problem(index + 1, &format!("`{text}`: {advice}")));
            }
        }
    }
    problems
}

fn begins_in(line: &str, text: &str) -> bool {
    let continues = |before: char| before.is_alphanumeric() || matches!(before, '_' | '-' | '.' | ')' | '}');
    let ends_word = |after: &str| !text.ends_with(char::is_alphanumeric) || !after.starts_with(char::is_alphanumeric);
    line.match_indices(text).any(|(at, _)| {
        let is_path = text.starts_with('/');
        let before = line[..at].chars().next_back();
        let begins = before.is_none_or(|before| if is_path { !continues(before) } else { !before.is_alphanumeric() });
        begins && ends_word(&line[at + text.len()..])
    })
}

/// Returns a problem for each token that is found in the sources.
fn found(sources: impl IntoIterator<Item = File>, advice: &str, find: impl Fn(&[Token]) -> Vec<usize>) -> Vec<String> {
    let mut problems = Vec::new();
    for file in sources {
        let tokens = tokens(&file.text);
        let found = find(&tokens).into_iter().map(|at| &tokens[at]);
        problems.extend(found.map(|token| file.problem(token.line, &format!("`{}`: {advice}", token.text))));
    }
    problems
}

fn may_name(from: &str, to: &str) -> bool {
    let besides = LAYERS.iter().find(|(module, _)| *module == from).map(|(_, besides)| *besides);
    assert!(besides.is_some() || BOTTOM.contains(&from), "src/{from}.rs has no place yet: give it one in LAYERS");
    from == to || besides.is_some_and(|besides| besides.contains(&to)) || BOTTOM.contains(&to) && from != "model"
}
