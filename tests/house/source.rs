//! Source files as the other tests read them: found under a folder, freed of comments and text, cut into
//! tokens, and the paths that they name.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// One Rust file.
pub(crate) struct Source {
    /// From the repository's root, with `/`: `src/queue/mod.rs`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// Every Rust file under a folder of the repository; none where there is no such folder.
pub(crate) fn sources(folder: &str) -> Vec<Source> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![root().join(folder)];
    while let Some(folder) = folders.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                let path = path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// A file's module path below its crate: `src/queue/sqlite/claim.rs` is `[queue, sqlite, claim]`.
pub(crate) fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("src/").map_or(path, |(_, inside)| inside);
    let mut module: Vec<String> = inside.trim_end_matches(".rs").split('/').map(str::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    module
}

/// The code's tokens: words, `::` and single characters. Comments, texts and characters are left out, so that
/// a path in a doc link is no import.
pub(crate) fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let is = |at: usize, what: &str| what.chars().enumerate().all(|(i, c)| chars.get(at + i) == Some(&c));
    let mut found = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if is(at, "//") {
            while at < chars.len() && chars[at] != '\n' {
                at += 1;
            }
        } else if is(at, "/*") {
            let mut depth = 0;
            while at < chars.len() {
                if is(at, "/*") {
                    depth += 1;
                    at += 2;
                } else if is(at, "*/") {
                    depth -= 1;
                    at += 2;
                    if depth == 0 {
                        break;
                    }
                } else {
                    at += 1;
                }
            }
        } else if let Some(end) = raw_text_end(&chars, at) {
            at = end;
        } else if c == '"' {
            at += 1;
            while at < chars.len() && chars[at] != '"' {
                at += if chars[at] == '\\' { 2 } else { 1 };
            }
            at += 1;
        } else if c == '\'' && (chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'')) {
            // A character; anything else after a quote is a lifetime.
            at += if chars.get(at + 1) == Some(&'\\') { 3 } else { 2 };
            while at < chars.len() && chars[at] != '\'' {
                at += 1;
            }
            at += 1;
        } else if c.is_alphanumeric() || c == '_' {
            let start = at;
            while at < chars.len() && (chars[at].is_alphanumeric() || chars[at] == '_') {
                at += 1;
            }
            found.push(chars[start..at].iter().collect());
        } else if is(at, "::") {
            found.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                found.push(c.to_string());
            }
            at += 1;
        }
    }
    found
}

/// Where the raw text that begins at `at` ends: `r"…"`, `r#"…"#`, `br##"…"##`.
fn raw_text_end(chars: &[char], at: usize) -> Option<usize> {
    let before = at.checked_sub(1).map(|before| chars[before]);
    if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let mut place = at;
    if matches!(chars.get(place), Some('b' | 'c')) {
        place += 1;
    }
    if chars.get(place) != Some(&'r') {
        return None;
    }
    place += 1;
    let hashes = chars[place..].iter().take_while(|c| **c == '#').count();
    place += hashes;
    if chars.get(place) != Some(&'"') {
        return None;
    }
    place += 1;
    while place < chars.len() {
        if chars[place] == '"' && chars[place + 1..].iter().take_while(|c| **c == '#').count() >= hashes {
            return Some(place + 1 + hashes);
        }
        place += 1;
    }
    Some(place)
}

/// Every path that the code of a module names, from the crate's root: `crate`, `self` and `super` resolved (also
/// within inline modules), groups spread out. `use super::{a, b::C}` in `queue::sqlite` gives
/// `[crate, queue, a]` and `[crate, queue, b, C]`; paths of other crates begin with the crate's name.
pub(crate) fn paths(module: &[String], text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut here: Vec<String> = module.to_vec();
    let mut inline: Vec<usize> = Vec::new();
    let mut depth = 0;
    let mut found = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match tokens[at].as_str() {
            "{" => depth += 1,
            "}" => {
                depth -= 1;
                if inline.last() == Some(&depth) {
                    inline.pop();
                    here.pop();
                }
            }
            "mod" if tokens.get(at + 2).is_some_and(|t| t == "{") => {
                here.push(tokens[at + 1].clone());
                inline.push(depth);
                at += 1;
            }
            word if is_word(word) && tokens.get(at + 1).is_some_and(|t| t == "::") => {
                let mut named = Vec::new();
                at = tree(&tokens, at, &mut Vec::new(), &mut named);
                found.extend(named.into_iter().map(|path| absolute(&here, path)));
                continue;
            }
            "use" if tokens.get(at + 1).is_some_and(|t| is_word(t)) => {
                let mut named = Vec::new();
                at = tree(&tokens, at + 1, &mut Vec::new(), &mut named);
                found.extend(named.into_iter().map(|path| absolute(&here, path)));
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    found
}

fn is_word(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

/// Reads one path or use-tree; answers with the place after it.
fn tree(tokens: &[String], mut at: usize, so_far: &mut Vec<String>, found: &mut Vec<Vec<String>>) -> usize {
    let held = so_far.len();
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") if held < so_far.len() || held > 0 => {
                at += 1;
                while at < tokens.len() && tokens[at] != "}" {
                    at = tree(tokens, at, so_far, found);
                    while tokens.get(at).is_some_and(|t| t != "," && t != "}") {
                        at += 1; // `as name`
                    }
                    if tokens.get(at).is_some_and(|t| t == ",") {
                        at += 1;
                    }
                }
                so_far.truncate(held);
                return at + 1;
            }
            Some(word) if is_word(word) || word == "*" => so_far.push(word.to_owned()),
            // `Vec::<T>`: what follows is another path.
            _ => break,
        }
        at += 1;
        if tokens.get(at).is_some_and(|t| t == "::") {
            at += 1;
        } else {
            break;
        }
    }
    found.push(so_far.clone());
    so_far.truncate(held);
    at
}

/// `super::x` of `[queue, sqlite]` is `[crate, queue, x]`; a path that begins otherwise stays as it is.
fn absolute(here: &[String], path: Vec<String>) -> Vec<String> {
    let mut base = here.to_vec();
    let mut rest = path.as_slice();
    match rest.first().map(String::as_str) {
        Some("crate") => return path,
        Some("self" | "super") => {}
        _ => return path,
    }
    while let Some(first) = rest.first() {
        match first.as_str() {
            "self" => {}
            "super" => {
                base.pop();
            }
            _ => break,
        }
        rest = &rest[1..];
    }
    std::iter::once("crate".to_owned()).chain(base).chain(rest.iter().cloned()).collect()
}

#[test]
fn paths_are_read_out_of_code_and_not_out_of_comments_or_texts() {
    let text = r##"
        //! See [`crate::worker`].
        use std::{fs, collections::{HashMap, hash_map::Entry as E}};
        use super::{store::Records, super::queue};
        /* crate::cli /* nested */ */
        pub(super) fn f<'a>(x: &'a crate::domain::Job) -> char {
            let _ = ("crate::api", r#"crate::"engine""#, '"', '\'');
            super::super::limits::take::<u8>(x);
            '}'
        }
        mod tests { use super::*; }
        use self::inner::Thing;
    "##;
    let module = ["a".to_owned(), "b".to_owned()];
    let found: Vec<String> = paths(&module, text).into_iter().map(|path| path.join("::")).collect();
    let expected = [
        "std::fs",
        "std::collections::HashMap",
        "std::collections::hash_map::Entry",
        "crate::a::store::Records",
        "crate::queue",
        "crate::domain::Job",
        "crate::limits::take",
        "crate::a::b::*",
        "crate::a::b::inner::Thing",
    ];
    assert_eq!(found, expected);
}
