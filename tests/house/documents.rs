//! What the documents show of the code is the code's: the table of states, the handbook's pieces of Rust.

use std::fs;

use presswork::domain::state::TRANSITIONS;

use crate::source::{root, tokens};

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap()
}

/// The text between two marks, each of which stands once.
fn between<'a>(text: &'a str, begin: &str, end: &str) -> &'a str {
    let (_, rest) = text.split_once(begin).unwrap();
    let (found, _) = rest.split_once(end).unwrap();
    found
}

/// `(from, trigger, to)` of each row: | `Waiting` | `Claimed` | `Running` |.
fn rows(table: &str) -> Vec<[String; 3]> {
    let names =
        |line: &str| -> Vec<String> { line.split('`').skip(1).step_by(2).map(str::to_owned).collect() };
    table.lines().filter_map(|line| names(line).try_into().ok()).collect()
}

/// `(from, trigger, to)` of each arrow: `Waiting --> Running: Claimed`.
fn arrows(diagram: &str) -> Vec<[String; 3]> {
    let arrow = |line: &str| -> Option<[String; 3]> {
        let (from, rest) = line.trim().split_once(" --> ")?;
        let (to, trigger) = rest.split_once(": ")?;
        Some([from, trigger, to].map(str::to_owned))
    };
    diagram.lines().filter_map(arrow).collect()
}

#[test]
fn the_table_and_the_diagram_of_states_are_the_codes() {
    let text = read("ARCHITECTURE.md");
    let code: Vec<[String; 3]> = TRANSITIONS
        .iter()
        .map(|(from, trigger, to)| [format!("{from:?}"), format!("{trigger:?}"), format!("{to:?}")])
        .collect();
    let table = rows(between(&text, "<!-- transitions: begin", "<!-- transitions: end -->"));
    assert_eq!(table, code);
    let mut drawn = arrows(between(&text, "stateDiagram-v2", "```"));
    let mut code = code;
    drawn.sort();
    code.sort();
    assert_eq!(drawn, code);
}

/// The tokens of a piece of Rust, however it is broken into lines.
fn shape(text: &str) -> Vec<String> {
    let mut shape = tokens(text);
    // An example's `main` is open to the test that runs it.
    if let Some(place) = shape.windows(5).position(|open| open == ["pub", "(", "crate", ")", "fn"]) {
        shape.drain(place..place + 4);
    }
    // A comma before a closing brace comes and goes with the line's end.
    let mut place = 0;
    while place + 1 < shape.len() {
        if shape[place] == "," && shape[place + 1] == "}" {
            shape.remove(place);
        }
        place += 1;
    }
    shape
}

fn rust_blocks(markdown: &str) -> Vec<&str> {
    let after = markdown.split("```rust\n").skip(1);
    after.map(|rest| rest.split_once("```").map_or(rest, |(block, _)| block)).collect()
}

#[test]
fn the_handbooks_pieces_of_rust_compile() {
    let compiled = [shape(&read("examples/own_kind.rs")), shape(&read("tests/house/own_kind.rs"))];
    let handbook = read("jobs/handbook/12-your-own-kind.md");
    let blocks = rust_blocks(&handbook);
    assert!(blocks.len() > 3, "where have they gone?");
    for block in blocks {
        let wanted = shape(block);
        let is_there = |code: &Vec<String>| code.windows(wanted.len()).any(|window| window == wanted);
        assert!(
            compiled.iter().any(is_there),
            "neither in examples/own_kind.rs nor in tests/house/own_kind.rs:\n{block}"
        );
    }
}

#[test]
fn a_piece_that_is_nowhere_is_noticed() {
    let code = shape("fn a(x: A) { let s = S { x, }; }");
    assert_eq!(code, shape("fn a(x: A) {\n    let s = S {\n        x\n    };\n}"));
    assert_ne!(code, shape("fn a(x: B) { let s = S { x }; }"));
    assert_eq!(rust_blocks("a\n```rust\nfn b() {}\n```\n```sh\nls\n```\n"), ["fn b() {}\n"]);
}
