//! Which settings differ from those of the last start. Kept is a hash of each, never a value. Blocks.

use std::{collections::BTreeMap, io};

use sha2::{Digest as _, Sha256};

use super::files::Folder;
use crate::security::text::hex;

const FILE: &str = "settings.json";

/// What has changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Changed {
    /// The settings, by name.
    pub(super) names: Vec<String>,
    /// A hash of all of them, as they are now.
    pub(super) digest: String,
}

/// Compares with the last start, and keeps these for the next; nothing where all is as it was, or on the first start.
pub(super) fn compare(folder: &Folder, shown: &str) -> io::Result<Option<Changed>> {
    let now = hashes(shown);
    folder.make()?;
    let _turn = folder.lock()?;
    let before = match std::fs::read(folder.path().join(FILE)) {
        Ok(bytes) => serde_json::from_slice::<BTreeMap<String, String>>(&bytes).ok(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    if before.as_ref() == Some(&now) {
        return Ok(None);
    }
    let text = serde_json::to_string(&now)?;
    folder.write(FILE, &text)?;
    let Some(before) = before else { return Ok(None) };
    let mut names: Vec<String> = now.keys().chain(before.keys()).cloned().collect();
    names.retain(|name| now.get(name) != before.get(name));
    names.sort_unstable();
    names.dedup();
    Ok(Some(Changed { names, digest: hash(&text) }))
}

/// A hash of each setting, from what `{:#?}` shows of all: a name at the first depth, and for a group those at the second.
fn hashes(shown: &str) -> BTreeMap<String, String> {
    let mut texts: BTreeMap<String, String> = BTreeMap::new();
    let (mut outer, mut name) = (String::new(), String::new());
    for line in shown.lines() {
        let depth = line.len() - line.trim_start().len();
        let word = line.trim_start().split_once(": ").map(|(word, _)| word).filter(|word| is_name(word));
        match (depth, word) {
            (4, Some(word)) => (outer, name) = (word.to_owned(), word.to_owned()),
            (8, Some(word)) if !outer.is_empty() => name = format!("{outer}.{word}"),
            _ => {}
        }
        if !name.is_empty() && depth >= 4 {
            *texts.entry(name.clone()).or_default() += line;
        }
    }
    texts.into_iter().map(|(name, text)| (name, hash(&text))).collect()
}

fn is_name(word: &str) -> bool {
    !word.is_empty()
        && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))[..16].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    #[expect(dead_code, reason = "shown")]
    struct Settings {
        lease: u32,
        redis_url: Option<&'static str>,
        api: Api,
    }

    #[derive(Debug)]
    #[expect(dead_code, reason = "shown")]
    struct Api {
        listen: Option<u16>,
        most: u16,
    }

    #[test]
    fn what_differs_is_named_and_no_value_is_kept() {
        let root = tempfile::tempdir().unwrap();
        let folder = Folder::new(root.path().join("audit"));
        let show = |lease, listen| {
            format!("{:#?}", Settings { lease, redis_url: Some("hunter2"), api: Api { listen, most: 3 } })
        };
        assert_eq!(compare(&folder, &show(1, None)).unwrap(), None);
        assert_eq!(compare(&folder, &show(1, None)).unwrap(), None);
        let changed = compare(&folder, &show(2, Some(80))).unwrap().unwrap();
        assert_eq!(changed.names, ["api.listen", "lease"]);
        assert_eq!(compare(&folder, &show(2, Some(80))).unwrap(), None);
        let kept = std::fs::read_to_string(folder.path().join(FILE)).unwrap();
        assert!(!kept.contains("hunter2") && kept.contains("redis_url"), "{kept}");
    }
}
