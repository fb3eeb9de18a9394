//! What a file looks like: short, and headed by what it owns.

use crate::source::{Source, sources};

const MOST_LINES: usize = 400;

fn problem(source: &Source) -> Option<String> {
    let lines = source.text.lines().count();
    if lines > MOST_LINES {
        Some(format!("{}: {lines} lines, more than {MOST_LINES}: one idea a file", source.path))
    } else if !source.text.starts_with("//!") {
        Some(format!("{}: does not begin with `//!` and what it owns", source.path))
    } else {
        None
    }
}

#[test]
fn every_file_is_short_and_says_what_it_owns() {
    let files = sources("src").into_iter().chain(sources("jobs/src"));
    let wrong: Vec<String> = files.filter_map(|source| problem(&source)).collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn a_long_file_and_a_bare_one_are_found() {
    let source = |text: String| Source { path: "src/x.rs".to_owned(), text };
    assert!(problem(&source(format!("//! Head.\n{}", "\n".repeat(MOST_LINES)))).is_some());
    assert!(problem(&source("use std::fmt;\n".to_owned())).is_some());
    assert!(problem(&source(format!("//! Head.\n{}", "\n".repeat(MOST_LINES - 1)))).is_none());
}
