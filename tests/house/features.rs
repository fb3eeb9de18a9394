//! tests/FEATURES.md is true: it has every row, and every test that it names exists.

use std::{collections::BTreeSet, fs};

use crate::source::{root, sources, tokens};

/// How many rows each group has.
const GROUPS: [(&str, usize); 6] = [("Q", 17), ("L", 6), ("A", 7), ("J", 3), ("S", 12), ("O", 5)];

struct Row {
    id: String,
    state: String,
    /// Backticked names in the last column: `binary::module::test`.
    tests: Vec<String>,
}

/// The rows of the tables: `| Q1 | state | what | proved by |`.
fn rows(text: &str) -> Vec<Row> {
    let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    text.lines()
        .filter(|line| line.starts_with('|'))
        .map(cells)
        .filter(|cells| cells.len() == 6 && cells[1].ends_with(|c: char| c.is_ascii_digit()))
        .map(|cells| Row {
            id: cells[1].clone(),
            state: cells[2].clone(),
            tests: cells[4].split('`').skip(1).step_by(2).map(str::to_owned).collect(),
        })
        .collect()
}

/// The folder or file prefix in which a test binary's functions stand.
fn home(binary: &str) -> String {
    match binary {
        "presswork" => "src/".to_owned(),
        "presswork_jobs" => "jobs/src/".to_owned(),
        other => format!("tests/{other}"),
    }
}

/// Every test function: the file it stands in and its name.
fn tests() -> BTreeSet<(String, String)> {
    let mut found = BTreeSet::new();
    for source in ["src", "jobs/src", "tests", "jobs/tests"].into_iter().flat_map(sources) {
        let tokens = tokens(&source.text);
        for (place, pair) in tokens.windows(2).enumerate() {
            // `#[test] fn name`, `#[tokio::test(…)] async fn name`: an attribute shortly before; or a law of a
            // suite, which a macro makes a test on every engine: a public `async fn name` under tests/.
            let before = &tokens[place.saturating_sub(12)..place];
            let law = source.path.starts_with("tests/")
                && [&["pub", "async"][..], &["pub", "(", "crate", ")", "async"]].iter().any(|open| {
                    before.iter().rev().zip(open.iter().rev()).filter(|(a, b)| a == b).count() == open.len()
                });
            if pair[0] == "fn" && (law || before.iter().any(|t| t == "test")) {
                found.insert((source.path.clone(), pair[1].clone()));
            }
        }
    }
    found
}

/// What is wrong with a row.
fn problem(row: &Row, tests: &BTreeSet<(String, String)>) -> Option<String> {
    let Row { id, state, tests: named } = row;
    match state.as_str() {
        "open" if !named.is_empty() => return Some(format!("{id}: is open, yet names tests: say `partly`")),
        "open" => return None,
        "proved" | "partly" if named.is_empty() => {
            return Some(format!("{id}: is {state}, yet names no test"));
        }
        "proved" | "partly" => {}
        other => return Some(format!("{id}: `{other}` is none of proved, partly, open")),
    }
    named.iter().find_map(|name| {
        let (binary, rest) = name.split_once("::")?;
        let function = rest.rsplit("::").next()?;
        let home = home(binary);
        let exists = tests.iter().any(|(file, test)| file.starts_with(&home) && test == function);
        (!exists).then(|| format!("{id}: there is no test `{function}` under {home}"))
    })
}

#[test]
fn every_feature_has_one_row() {
    let text = fs::read_to_string(root().join("tests/FEATURES.md")).unwrap();
    let ids: Vec<String> = rows(&text).into_iter().map(|row| row.id).collect();
    let expected: Vec<String> =
        GROUPS.iter().flat_map(|(group, count)| (1..=*count).map(move |n| format!("{group}{n}"))).collect();
    assert_eq!(ids, expected);
}

#[test]
fn every_test_that_a_feature_names_exists() {
    let text = fs::read_to_string(root().join("tests/FEATURES.md")).unwrap();
    let tests = tests();
    let wrong: Vec<String> = rows(&text).iter().filter_map(|row| problem(row, &tests)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_false_row_is_found() {
    let tests = tests();
    let wrong = |line: &str| problem(&rows(line)[0], &tests).is_some();
    assert!(wrong("| Q1 | proved | all | `presswork::domain::no_such_test_anywhere` |"));
    assert!(wrong("| Q1 | proved | all | |"));
    assert!(wrong("| Q1 | open | none | `house::features::a_false_row_is_found` |"));
    assert!(wrong("| Q1 | done | all | `house::features::a_false_row_is_found` |"));
    assert!(wrong("| Q1 | proved | in another binary | `presswork::features::a_false_row_is_found` |"));
    assert!(!wrong("| Q1 | proved | all | `house::features::a_false_row_is_found` |"));
}
