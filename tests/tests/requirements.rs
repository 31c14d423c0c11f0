//! Every requirement in `requirements.md` has a test that cites it, or a reason why not.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// A row of the table.
struct Row {
    rule: String,
    not_tested_because: String,
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("a workspace").into()
}

fn table() -> BTreeMap<String, Row> {
    let text = fs::read_to_string(root().join("tests/requirements.md")).unwrap();
    let mut rows = BTreeMap::new();
    for line in text.lines().filter(|line| line.starts_with("| R")) {
        let cells: Vec<_> = line.trim_matches('|').split('|').map(str::trim).collect();
        let [id, who, rule, reason] = cells[..] else {
            panic!("not four columns: {line}");
        };
        assert!(["C", "S", "B", "I"].contains(&who), "{line}");
        let row = Row { rule: rule.into(), not_tested_because: reason.into() };
        assert!(rows.insert(id.into(), row).is_none(), "{id} is there twice");
    }
    rows
}

/// All files below `path` that tests are written in, except what others have made.
fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).into_iter().flatten() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && name != "node_modules" {
            sources(&path, found);
        } else if [".rs", ".py", ".js", ".html"].iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
}

/// The part of a source that is tests.
fn tests_in(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap();
    let in_crate = ["ws-proto", "ws-std"].iter().any(|krate| path.starts_with(root().join(krate).join("src")));
    if !in_crate {
        return text;
    }
    // A file that is a test module as a whole, or what follows the attribute that makes a module one.
    if path.file_stem().is_some_and(|stem| stem == "tests") {
        return text;
    }
    text.split_once("#[cfg(test)]").map(|(_, tests)| tests.into()).unwrap_or_default()
}

/// Requirements cited in comments and in the names of cases: words that are `R`, a digit and so on.
fn cited(text: &str) -> BTreeSet<String> {
    let is_part = |character: char| character.is_ascii_alphanumeric() || ".-/_".contains(character);
    text.split(|character| !is_part(character))
        .map(|word| word.trim_matches(|character: char| !character.is_ascii_alphanumeric()))
        .filter(|word| is_id(word))
        .map(str::to_owned)
        .collect()
}

fn is_id(word: &str) -> bool {
    word.strip_prefix('R').is_some_and(|number| {
        number.starts_with(|first: char| first.is_ascii_digit())
            && number.contains(['-', '/'])
            && number.chars().all(|character| character.is_ascii_digit() || ".-/".contains(character))
    })
}

fn all_cited() -> BTreeMap<String, Vec<PathBuf>> {
    let mut files = Vec::new();
    for place in ["tests/src", "tests/tests", "tests/interop", "ws-proto/src", "ws-std/src", "ws-std/tests"] {
        sources(&root().join(place), &mut files);
    }
    let mut all = BTreeMap::<_, Vec<_>>::new();
    // What is cited here are examples.
    for file in files.into_iter().filter(|file| !file.ends_with(file!())) {
        for id in cited(&tests_in(&file)) {
            all.entry(id).or_default().push(file.clone());
        }
    }
    all
}

#[test]
fn every_requirement_has_a_test_or_a_reason_and_not_both() {
    let cited = all_cited();
    let mut wrong = Vec::new();
    for (id, row) in table() {
        match (cited.contains_key(&id), row.not_tested_because.is_empty()) {
            (false, true) => wrong.push(format!("{id} has neither test nor reason: {}", row.rule)),
            (true, false) => wrong.push(format!("{id} has a reason, and a test in {:?}", cited[&id])),
            (true, true) | (false, false) => {}
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn every_requirement_that_a_test_cites_is_in_the_table() {
    let table = table();
    let unknown: Vec<_> = all_cited().into_iter().filter(|(id, _)| !table.contains_key(id)).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn the_table_is_not_empty_and_its_rules_are_short() {
    let table = table();
    assert!(table.len() > 130, "{} rows", table.len());
    for (id, row) in table {
        assert!((1..120).contains(&row.rule.len()), "{id}");
    }
}

#[test]
fn citations_are_found_by_whole_words() {
    let found = cited(
        "// R5.1-2, R5.5.1-3.\n/// R7.1.4/5/6 (R7692-6.1)\n\"R1-10: x\", R12 RFC-6455 Rust-1 R2D2 xR3-1 R3-1x",
    );
    let expected = ["R1-10", "R5.1-2", "R5.5.1-3", "R7.1.4/5/6", "R7692-6.1"];
    assert_eq!(found.into_iter().collect::<Vec<_>>(), expected);
}
