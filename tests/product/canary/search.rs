//! Looks for texts in files, however they are dressed.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD},
};

/// The forms in which bytes may lie somewhere. Of texts of letters, digits, `_`, `-` and `.` this finds also what was escaped for
/// JSON or for a web address: there they are as they were.
fn dresses(bytes: &[u8]) -> Vec<(&'static str, String)> {
    let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut all = vec![("upper hex", hex.to_uppercase()), ("hex", hex)];
    let percent: String = bytes.iter().map(|byte| format!("%{byte:02X}")).collect();
    all.push(("percent", percent));
    let escaped: String = bytes.iter().map(|byte| format!("\\u{byte:04x}")).collect();
    all.push(("JSON escapes", escaped));
    // Wherever it begins, one of three is a whole part of what stands there.
    for from in 0..3 {
        let whole = &bytes[from..from + (bytes.len() - from) / 3 * 3];
        all.push(("base64", STANDARD_NO_PAD.encode(whole)));
        all.push(("base64url", URL_SAFE_NO_PAD.encode(whole)));
    }
    all
}

/// Texts that are nowhere to be found.
#[derive(Debug, Default)]
pub(crate) struct Canaries {
    /// What each is, its form, and how it looks so.
    needles: Vec<(String, &'static str, String)>,
}

impl Canaries {
    /// One more.
    pub(crate) fn add(&mut self, what: &str, text: &str) {
        assert!(text.len() >= 16 && !text.contains('\n'), "{what} could be anywhere by chance");
        self.needles.push((what.to_owned(), "plain", text.to_owned()));
        self.add_bytes(what, text.as_bytes());
    }

    /// One that is no text; not looked for as it is, for it may have any bytes in it.
    pub(crate) fn add_bytes(&mut self, what: &str, bytes: &[u8]) {
        let dressed = dresses(bytes).into_iter().map(|(form, text)| (what.to_owned(), form, text));
        self.needles.extend(dressed);
    }

    /// What is found below these, with its form and its place.
    pub(crate) fn found(&self, places: &[PathBuf]) -> Vec<String> {
        let list = tempfile::NamedTempFile::new().unwrap();
        let lines: Vec<&str> = self.needles.iter().map(|(_, _, text)| text.as_str()).collect();
        fs::write(list.path(), lines.join("\n")).unwrap();
        let mut grep = Command::new("grep");
        grep.env("LC_ALL", "C").args(["-r", "-a", "-o", "-b", "-H", "-F", "-f"]).arg(list.path());
        let output = grep.arg("--").args(places).output().unwrap();
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        // A file that is gone meanwhile is none that anybody keeps.
        let broken = errors.lines().find(|line| !line.ends_with("No such file or directory"));
        assert!(matches!(output.status.code(), Some(0..=2)) && broken.is_none(), "{errors}");
        let what = |line: &str| {
            let (place, text) = line.rsplit_once(':').unwrap();
            let named = self.needles.iter().find(|(_, _, needle)| needle == text);
            let (what, form, _) = named.unwrap_or_else(|| panic!("{line}"));
            format!("{what} ({form}) in {place}")
        };
        told.lines().map(what).collect()
    }
}

#[test]
fn a_text_is_found_in_every_dress_at_every_place() {
    let folder = tempfile::tempdir().unwrap();
    let text = "canary-of-the-search-itself";
    let mut canaries = Canaries::default();
    canaries.add("it", text);
    let mut forms = dresses(text.as_bytes());
    forms.retain(|(form, _)| !form.starts_with("base64"));
    let mut wanted = Vec::new();
    for (number, before) in ["", "x", "xy", "xyz"].into_iter().enumerate() {
        let whole = format!("{before}{text}, and more");
        let base64 =
            [("base64", STANDARD_NO_PAD.encode(&whole)), ("base64url", URL_SAFE_NO_PAD.encode(&whole))];
        for (form, dressed) in forms.iter().cloned().chain(base64).chain([("plain", whole.clone())]) {
            let file = folder.path().join(format!("deep/{number}/{form}"));
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, [b"\0\xff\n", dressed.as_bytes(), b"\0\n"].concat()).unwrap();
            wanted.push(file);
        }
    }
    fs::write(folder.path().join("other"), "nothing of it").unwrap();
    let found = canaries.found(&[folder.path().to_owned()]);
    let is_found = |file: &Path| found.iter().any(|line| line.contains(&format!(" in {}:", file.display())));
    for file in &wanted {
        assert!(is_found(file), "{}: {found:?}", file.display());
    }
    assert!(!is_found(&folder.path().join("other")));
}
