//! Names against attackers: public and generated lists of hostile strings, and random ones. Whatever is accepted
//! stays one segment, on Linux and by Windows' rules, through object_store and through the file system.

use std::{fs, path::Component};

use object_store::{local::LocalFileSystem, path::Path};
use presswork::domain::{FileName, ProjectId, Random, SeededRandom, TenantId};
use unicode_normalization::UnicodeNormalization as _;

use crate::source::root;

/// What Win32 opens when it is asked for `folder\name`: the parts below the folder, after it has split at both
/// separators, dropped trailing dots and spaces and resolved `..`. None where a drive, stream or device is meant.
fn on_windows(name: &str) -> Option<Vec<String>> {
    let mut parts: Vec<String> = Vec::new();
    for part in name.split(['/', '\\']) {
        let bare = part.trim_end_matches(['.', ' ']);
        let stem = bare.split('.').next().unwrap_or_default().trim_end().to_uppercase();
        let device = ["CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"].contains(&stem.as_str())
            || ["COM", "LPT"].iter().any(|port| {
                stem.strip_prefix(port).is_some_and(|n| {
                    ["1", "2", "3", "4", "5", "6", "7", "8", "9", "¹", "²", "³"].contains(&n)
                })
            });
        if part.contains(':') || device {
            return None;
        }
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            _ => parts.push(bare.to_owned()),
        }
    }
    Some(parts)
}

/// Percent-decoding, once, as the layer of a web address does.
fn decoded(text: &str) -> Vec<u8> {
    let bytes = text.as_bytes();
    let digit = |at: usize| bytes.get(at).and_then(|b| char::from(*b).to_digit(16));
    let mut out = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        match (bytes[at], digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Panics unless an accepted name is harmless everywhere.
fn assert_one_segment(name: &str) {
    assert!(name.len() <= 200, "{name:?} is too long");
    assert!(!name.chars().any(char::is_control), "{name:?} holds a control character");

    // Every reading of it that is no longer the name itself would be another name.
    assert_eq!(name.nfc().collect::<String>(), name, "normal form C");
    assert_eq!(name.nfd().nfc().collect::<String>(), name, "through a file system that decomposes");
    assert_eq!(decoded(name), name.as_bytes(), "percent-decoding changes {name:?}");
    let compatible: String = name.nfkc().collect();

    // Linux and macOS: the direct child, with nothing resolved, also joined and normalised as a whole.
    for reading in [name, &compatible] {
        let joined = std::path::Path::new("/data/acme").join(reading);
        assert_eq!(joined.parent(), Some(std::path::Path::new("/data/acme")), "{name:?}");
        let last = joined.components().next_back();
        assert!(matches!(last, Some(Component::Normal(part)) if part.to_str() == Some(reading)), "{name:?}");
    }
    let whole = format!("/data/acme/{name}");
    assert_eq!(whole.nfc().collect::<String>(), whole, "{name:?} joins its separator");

    assert_eq!(on_windows(name), Some(vec![name.to_owned()]), "on Windows");

    // As a storage key, as it is: two parts, the very same; the same file below the store's folder.
    let key = Path::parse(format!("acme/{name}")).unwrap();
    let parts: Vec<String> = key.parts().map(|part| part.as_ref().to_owned()).collect();
    assert_eq!(parts, ["acme", name]);
    assert_eq!(
        Path::from_url_path(format!("acme/{}", in_address(name))).unwrap(),
        key,
        "through a web address"
    );

    // And as a key made of parts, which object_store encodes: still two, and decoding gives the name back.
    let key = Path::from_iter(["acme", name]);
    let parts: Vec<Vec<u8>> = key.parts().map(|part| decoded(part.as_ref())).collect();
    assert_eq!(parts, [b"acme".to_vec(), name.as_bytes().to_vec()], "{key}");
}

/// A name in the path of a web address: everything but letters and digits percent-encoded.
fn in_address(name: &str) -> String {
    name.bytes()
        .map(|b| if b.is_ascii_alphanumeric() { char::from(b).to_string() } else { format!("%{b:02X}") })
        .collect()
}

/// Tries a string as each kind of name; answers how many took it.
fn try_everywhere(text: &str) -> usize {
    let names = [
        text.parse::<TenantId>().ok().map(|name| name.to_string()),
        text.parse::<ProjectId>().ok().map(|name| name.to_string()),
        text.parse::<FileName>().ok().map(|name| name.to_string()),
    ];
    let mut taken = 0;
    for name in names.into_iter().flatten() {
        assert_one_segment(&name);
        taken += 1;
    }
    taken
}

#[test]
fn naughty_strings_are_refused_or_harmless() {
    let list = fs::read(root().join("tests/fixtures/names/blns.json")).unwrap();
    let list: Vec<String> = serde_json::from_slice(&list).unwrap();
    assert!(list.len() > 450, "the list has only {} strings", list.len());
    let taken = list.iter().filter(|text| try_everywhere(text) > 0).count();
    // Many are words, emoji or scripts that a book may well be called by: refusing all would be no success.
    assert!((50..list.len()).contains(&taken), "{taken} of {} were taken", list.len());
    for bad in
        ["CON", "PRN", "AUX", "CLOCK$", "NUL", "COM1", "LPT1", "../../../../../../../../../../../etc/hosts"]
    {
        assert!(list.iter().any(|text| text == bad), "{bad} is no longer in the list");
        assert_eq!(try_everywhere(bad), 0, "{bad}");
    }
}

/// Encodings of `..` × separators × depth × what stands before and behind, as the public path traversal lists
/// are made (dotdotpwn, PayloadsAllTheThings).
fn traversals() -> Vec<String> {
    let dots = [
        "..",
        "%2e%2e",
        "%2E%2E",
        ".%2e",
        "%2e.",
        "%252e%252e",
        "%25252e%25252e",
        "%c0%ae%c0%ae",
        "%c0%2e%c0%2e",
        "%e0%40%ae%e0%40%ae",
        "%f0%80%80%ae%f0%80%80%ae",
        "%u002e%u002e",
        "%uff0e%uff0e",
        "0x2e0x2e",
        "．．",
        "‥",
        "....",
        "...",
        "..;",
        "..%00",
        "..%0d",
        ".. ",
        ". .",
        "\u{2024}\u{2024}",
        ".\u{200b}.",
    ];
    let separators = [
        "/",
        "\\",
        "//",
        "\\/",
        "/./",
        ";/",
        "%2f",
        "%5c",
        "%2F",
        "%252f",
        "%255c",
        "%c0%af",
        "%c1%9c",
        "%e0%80%af",
        "%u2215",
        "%u2216",
        "%uff0f",
        "0x2f",
        "0x5c",
        "／",
        "＼",
        "∕",
        "⧵",
        "\u{2044}",
        "%00/",
        ":",
    ];
    let before = ["", "/", "C:\\", "\\\\?\\", "file"];
    let behind = ["", "etc/passwd", "boot.ini%00.md"];
    let mut all = Vec::new();
    for dots in dots {
        for separator in separators {
            for depth in 1..=8 {
                for before in before {
                    for behind in behind {
                        all.push(format!("{before}{}{behind}", format!("{dots}{separator}").repeat(depth)));
                    }
                }
            }
        }
    }
    all
}

#[test]
fn path_traversals_are_refused_or_harmless() {
    let all = traversals();
    assert!(all.len() >= 21_144, "only {} strings", all.len());
    let mut parsed = 0;
    let mut taken = Vec::new();
    for text in &all {
        parsed += usize::from(Path::parse(text).is_ok());
        if try_everywhere(text) > 0 {
            taken.push(text.as_str());
        }
        // As it arrives behind a web address.
        try_everywhere(&String::from_utf8_lossy(&decoded(text)));
    }
    // object_store's own parser is no check: it takes most of them. Ours takes a few, which are plain text to
    // every decoder of paths: `0x2e0x2e0x2f`.
    assert!(parsed * 2 > all.len(), "object_store took {parsed} of {}", all.len());
    println!("{} strings: object_store takes {parsed}, a name {}", all.len(), taken.len());
    let odd: Vec<&&str> = taken.iter().filter(|text| !text.contains("0x")).collect();
    assert!(odd.is_empty(), "{} of {} were taken: {:?}", taken.len(), all.len(), &odd[..odd.len().min(20)]);
}

#[test]
fn random_names_are_refused_or_harmless() {
    const PIECES: [&str; 48] = [
        "a",
        "B",
        "7",
        "é",
        "e",
        "\u{301}",
        "\u{338}",
        "吾",
        "ｶ",
        "\u{3099}",
        "한",
        "\u{1100}",
        "\u{1161}",
        "ﬁ",
        "ß",
        "İ",
        ".",
        "..",
        "…",
        "．",
        " ",
        "\u{a0}",
        "\u{3000}",
        "-",
        "~",
        "~1",
        "#",
        "#1",
        "%",
        "%2e",
        "％",
        "2f",
        "/",
        "\\",
        "／",
        ":",
        "：",
        "con",
        "NUL",
        "ＣＯＭ",
        "¹",
        "\u{200d}",
        "\u{202e}",
        "\u{f03a}",
        "❤\u{fe0f}",
        "\0",
        "\n",
        "\u{1fef}",
    ];
    let seed = 20_260_701;
    let random = SeededRandom::new(seed);
    let mut taken = 0;
    for _ in 0..60_000 {
        let pieces = 1 + usize::try_from(random.below(6)).unwrap();
        let text: String = (0..pieces)
            .map(|_| PIECES[usize::try_from(random.below(PIECES.len() as u64)).unwrap()])
            .collect();
        taken += usize::from(try_everywhere(&text) > 0);
    }
    println!("seed {seed}: {taken} of 60000 taken");
    assert!(taken > 1_000, "only {taken} were taken: the test has nothing to look at");
}

#[test]
fn the_longest_names_can_be_written_and_found_again_on_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = LocalFileSystem::new_with_prefix(folder.path()).unwrap();
    let names = [
        "吾".repeat(66),
        "é".repeat(100),
        "x".repeat(200),
        "100% wool #1.md".to_owned(),
        "{a} [b] ^`'".to_owned(),
    ];
    for name in names {
        let name: FileName = name.parse().unwrap();
        let key = Path::parse(format!("acme/{name}")).unwrap();
        let file = store.path_to_filesystem(&key).unwrap();
        assert_eq!(file.file_name().and_then(|n| n.to_str()), Some(name.as_str()));
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, name.as_str()).unwrap();
        assert_eq!(
            file.canonicalize().unwrap().parent(),
            Some(&*folder.path().join("acme").canonicalize().unwrap())
        );
    }
    assert_eq!(fs::read_dir(folder.path().join("acme")).unwrap().count(), 5);
}
