//! Imports go one way (ARCHITECTURE.md): a module knows what is below it, never what is above or beside it.

use crate::source::{Source, module_of, paths, sources, tokens};

/// The library's modules, from the bottom up. A new module needs a place here.
const TIERS: [&[&str]; 5] = [
    &["domain"],
    &["store", "queue", "limits", "spending", "cache", "progress", "artifact", "security"],
    &["worker", "schedule", "client"],
    &["engine", "config", "telemetry"],
    &["api", "cli", "testing"],
];

/// Who may know whom within a tier.
const BESIDE: [(&str, &str); 14] = [
    ("queue", "store"),
    ("queue", "progress"),
    ("progress", "store"),
    ("limits", "store"),
    ("spending", "store"),
    ("cache", "store"),
    ("security", "store"),
    ("security", "queue"),
    ("security", "limits"),
    ("artifact", "security"),
    ("engine", "config"),
    ("engine", "telemetry"),
    ("telemetry", "config"),
    ("cli", "api"),
];

/// The binary's kinds of job, which know nothing of each other, and what they share, which knows none of them.
const KINDS: [&str; 3] = ["generation", "import", "export"];
const SHARED: [&str; 3] = ["asking", "book", "model"];

/// Crates and parts of std that reach out of the process, or wait; the domain is pure.
const IMPURE: [&str; 8] =
    ["tokio", "rusqlite", "object_store", "std::fs", "std::net", "std::process", "std::thread", "std::env"];

fn tier(module: &str) -> Option<usize> {
    TIERS.iter().position(|tier| tier.contains(&module))
}

/// Whether library module `from` may name library module `to`.
fn may_know(from: &str, to: &str) -> Result<(), String> {
    if from == to {
        return Ok(());
    }
    let place = |module| {
        tier(module)
            .ok_or_else(|| format!("names `crate::{module}`, which has no tier in tests/house/imports.rs"))
    };
    let (below, above) = (place(to)?, place(from)?);
    if below < above || BESIDE.contains(&(from, to)) {
        Ok(())
    } else {
        Err(format!("`{from}` may not know `{to}`"))
    }
}

/// What is wrong with the imports of one file.
fn problems(source: &Source) -> Vec<String> {
    let module = module_of(&source.path);
    let mine = module.first().map(String::as_str);
    let mut problems = Vec::new();
    for path in paths(&module, &source.text) {
        let whole = path.join("::");
        let of_crate = (path[0] == "crate").then(|| path.get(1).map(String::as_str)).flatten();
        if source.path.starts_with("jobs/src/") {
            if let (Some(from), Some(to)) = (mine, of_crate) {
                let sideways = KINDS.contains(&from) && KINDS.contains(&to) && from != to;
                if sideways || (SHARED.contains(&from) && KINDS.contains(&to)) {
                    problems.push(format!("`{from}` may not know `{to}`"));
                }
            }
            continue;
        }
        // lib.rs itself belongs to no tier.
        if let (Some(from), Some(to)) = (mine, of_crate)
            && let Err(problem) = may_know(from, to)
        {
            problems.push(problem);
        }
        if path[0] == "presswork_jobs" {
            problems.push("the library may not know `presswork_jobs`".to_owned());
        }
        let named = |what: &str| whole == what || whole.starts_with(&format!("{what}::"));
        if mine == Some("domain")
            && let Some(impure) = IMPURE.into_iter().find(|impure| named(impure))
        {
            problems.push(format!("`domain` is pure: it may not name `{impure}`"));
        }
        if whole.contains("SystemTime::now") && source.path != "src/domain/clock.rs" {
            problems
                .push("the system's clock is read in src/domain/clock.rs only: take a `Clock`".to_owned());
        }
    }
    problems
}

/// The files that name apalis. A module of ours may be called so: where it is declared, the word means it.
fn apalis_files(sources: &[Source]) -> Vec<&str> {
    let named = |source: &&Source| {
        let ours = tokens(&source.text).windows(2).any(|pair| pair[0] == "mod" && pair[1] == "apalis");
        paths(&module_of(&source.path), &source.text)
            .iter()
            .any(|path| path[0].starts_with("apalis_") || (path[0] == "apalis" && !ours))
    };
    sources.iter().filter(named).map(|source| source.path.as_str()).collect()
}

fn all() -> Vec<Source> {
    let mut all = sources("src");
    all.extend(sources("jobs/src"));
    assert!(all.len() > 20, "found only {} files: is the test looking in the right place?", all.len());
    all
}

#[test]
fn imports_go_one_way() {
    let wrong: Vec<String> = all()
        .iter()
        .flat_map(|source| {
            problems(source).into_iter().map(move |problem| format!("{}: {problem}", source.path))
        })
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn only_one_file_of_the_worker_names_apalis() {
    let all = all();
    let files = apalis_files(&all);
    let allowed = files.len() <= 1 && files.iter().all(|path| path.starts_with("src/worker/"));
    assert!(allowed, "apalis is named in {files:?}");
}

#[test]
fn every_module_of_the_library_has_a_tier() {
    for source in sources("src") {
        if let Some(first) = module_of(&source.path).first() {
            assert!(tier(first).is_some(), "{} has no tier in tests/house/imports.rs", source.path);
        }
    }
}

/// The checker checked: each of these imports is planted and must be found.
#[test]
fn a_planted_import_is_found() {
    let planted = [
        ("src/domain/job.rs", "use crate::store::Records;"),
        ("src/domain/job.rs", "use super::super::queue::Queue;"),
        ("src/domain/job.rs", "use {std::fmt, tokio::sync::Mutex};"),
        ("src/domain/job.rs", "fn f() { let _ = std::fs::read(\"x\"); }"),
        ("src/domain/job.rs", "use std::{fmt, fs::File};"),
        ("src/domain/job.rs", "mod tests { use rusqlite::Connection; }"),
        ("src/queue/mod.rs", "use crate::{domain::Job, worker::Registry};"),
        ("src/queue/sqlite/claim.rs", "use super::super::super::artifact::Writer;"),
        ("src/queue/sqlite/claim.rs", "mod tests { use super::super::super::super::cli; }"),
        ("src/queue/mod.rs", "fn f(cache: &crate::cache::Cache) {}"),
        ("src/store/mod.rs", "use crate::queue::Queue;"),
        ("src/store/mod.rs", "use crate::progress::ProgressBus;"),
        ("src/progress/mod.rs", "use crate::queue::Queue;"),
        ("src/worker/mod.rs", "use crate::engine::Engine;"),
        ("src/engine/mod.rs", "pub use crate::cli::Cli;"),
        ("src/api/mod.rs", "use crate::cli::Cli;"),
        ("src/worker/mod.rs", "use presswork_jobs::book::Block;"),
        ("src/worker/mod.rs", "use crate::Cli;"),
        ("src/worker/mod.rs", "use crate::*;"),
        ("src/worker/mod.rs", "let now = std::time::SystemTime::now();"),
        ("src/domain/id.rs", "let now = SystemTime::now();"),
        ("jobs/src/book/mod.rs", "use crate::export::Format;"),
        ("jobs/src/import/epub.rs", "use super::super::export::zip;"),
    ];
    for (path, text) in planted {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(problems(&source).len(), 1, "{path}: {text}: {:?}", problems(&source));
    }
}

#[test]
fn an_import_downwards_is_no_problem() {
    let fine = [
        ("src/domain/clock.rs", "fn now() { std::time::SystemTime::now(); }"),
        ("src/domain/job.rs", "//! crate::cli\nuse super::{id::JobId, names};\nlet tokio = \"tokio::fs\";"),
        ("src/queue/sqlite/mod.rs", "use crate::{domain::Job, store::sqlite::Database, progress};"),
        ("src/queue/sqlite/mod.rs", "use super::Queue; mod tests { use super::*; use super::super::Queue; }"),
        ("src/lib.rs", "pub use cli::Cli; pub use crate::domain::Job;"),
        ("src/cli/mod.rs", "use crate::{api, engine::Engine};"),
        ("jobs/src/export/epub.rs", "use crate::book::Block; use presswork::worker::Kind;"),
    ];
    for (path, text) in fine {
        let source = Source { path: path.to_owned(), text: text.to_owned() };
        assert_eq!(problems(&source), Vec::<String>::new(), "{path}: {text}");
    }
}

#[test]
fn apalis_named_in_two_files_is_found() {
    let source = |path: &str, text: &str| Source { path: path.to_owned(), text: text.to_owned() };
    let planted = [
        source("src/worker/backend.rs", "use apalis_core::backend::Backend;"),
        source("src/engine/mod.rs", "fn f() { apalis::prelude::Monitor::new(); }"),
        source("src/worker/mod.rs", "//! The worker runs on apalis.\nmod apalis; fn f() { apalis::run(); }"),
        source("src/worker/fetch.rs", "use super::apalis::Line;"),
    ];
    assert_eq!(apalis_files(&planted), ["src/worker/backend.rs", "src/engine/mod.rs"]);
}
