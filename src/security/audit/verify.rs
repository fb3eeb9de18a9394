//! Checks the chain from its first file to its last, and against what the store has seen. Blocks. Owns: what is told of a break,
//! and where.

use std::{
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::PathBuf,
};

use serde::Serialize;

use super::{
    files,
    line::{Hash, Line, MOST_LINE},
    ship::Head,
    sign::{Checked, Signer},
};
use crate::domain::Timestamp;

/// How many breaks are told at most; they are all counted.
const MOST_FINDINGS: usize = 100;

/// A place where the log is not as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// The file.
    pub file: String,
    /// The line in it, 1 for the first; 0 where it is about the file.
    pub line: u64,
    /// The entry, where that can be told.
    pub seq: Option<u64>,
    /// What is wrong.
    pub problem: String,
}

/// What a check of the log has found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Whether all of it is as it was written.
    pub whole: bool,
    /// How many files were read.
    pub files: u64,
    /// How many entries were read.
    pub entries: u64,
    /// The first entry's number.
    pub first: Option<u64>,
    /// The last entry's number.
    pub last: Option<u64>,
    /// Whose log it is.
    pub node: Option<String>,
    /// When the last entry was recorded.
    pub until: Option<Timestamp>,
    /// Checkpoints whose signature holds.
    pub checkpoints: u64,
    /// The last entry that such a checkpoint covers: whoever has no master key can't have changed what is up to there.
    pub signed_until: Option<u64>,
    /// Checkpoints that could not be checked: their master key is not at hand.
    pub unchecked: u64,
    /// Whether a tail that was cut would show, and why not where it would not.
    pub tail: String,
    /// Entries that the log says were lost, by its own gap entries.
    pub lost: u64,
    /// How many breaks there are.
    pub breaks: u64,
    /// The breaks, the first hundred.
    pub findings: Vec<Finding>,
    /// What the log tells of itself that is worth knowing: torn lines, removed files.
    pub notes: Vec<String>,
}

/// Checks these files, in this order, against what the store has seen of the node, where that is known.
///
/// # Errors
/// Where a file can't be read.
pub fn verify(paths: &[PathBuf], head: Option<&Head>, signer: &Signer) -> io::Result<Verdict> {
    let verdict = Verdict::default();
    let mut check =
        Check { signer, head, verdict, at: None, begins_behind: None, head_seen: None, covered: None };
    let mut numbers = paths.iter().map(|path| files::number(path)).collect::<Vec<_>>();
    numbers.dedup();
    for pair in numbers.windows(2) {
        if let [Some(before), Some(after)] = pair
            && *after != before + 1
        {
            let problem =
                format!("the files between {} and {} are missing", files::name(*before), files::name(*after));
            check.find(&files::name(*after), 0, None, problem);
        }
    }
    for path in paths {
        check.file(path)?;
    }
    Ok(check.end(paths))
}

struct Check<'a> {
    signer: &'a Signer,
    head: Option<&'a Head>,
    verdict: Verdict,
    /// The last entry that was read.
    at: Option<(u64, Hash, String)>,
    /// The entry before the first that was read, as that one has it; until the log says that it was removed.
    begins_behind: Option<(u64, Hash)>,
    /// The hash of the entry that has the head's number.
    head_seen: Option<Hash>,
    /// Numbers that a checkpoint covers reach to here.
    covered: Option<u64>,
}

impl Check<'_> {
    fn find(&mut self, file: &str, line: u64, seq: Option<u64>, problem: impl Into<String>) {
        self.verdict.breaks += 1;
        if self.verdict.findings.len() < MOST_FINDINGS {
            self.verdict.findings.push(Finding { file: file.to_owned(), line, seq, problem: problem.into() });
        }
    }

    fn file(&mut self, path: &std::path::Path) -> io::Result<()> {
        let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
        let name = super::clean::clean(&name, 200);
        self.verdict.files += 1;
        let mut reader = BufReader::new(File::open(path)?);
        let (mut number, mut bytes) = (0, Vec::new());
        loop {
            bytes.clear();
            let limit = MOST_LINE as u64 + 1;
            let read = reader.by_ref().take(limit).read_until(b'\n', &mut bytes)?;
            if read == 0 {
                return Ok(());
            }
            number += 1;
            let Some(text) = bytes.strip_suffix(b"\n") else {
                if read as u64 == limit {
                    self.find(
                        &name,
                        number,
                        None,
                        "the line is longer than any entry: what follows is not read",
                    );
                } else {
                    self.find(
                        &name,
                        number,
                        None,
                        "the last line has no end: it was being written, or was cut",
                    );
                }
                return Ok(());
            };
            match std::str::from_utf8(text).map_err(|_| super::LineError::NotALine).and_then(Line::read) {
                Ok(line) => self.line(&name, number, line),
                Err(error) => {
                    let seq = match error {
                        super::LineError::Changed { seq } => Some(seq),
                        _ => None,
                    };
                    self.find(&name, number, seq, error.to_string());
                    // A line that was changed has its place; what is no line has none.
                    if let (Some(seq), Some((at, hash, _))) = (seq, &mut self.at) {
                        (*at, *hash) = (seq, Hash::default());
                    }
                }
            }
        }
    }

    fn line(&mut self, file: &str, number: u64, line: Line) {
        let verdict = &mut self.verdict;
        verdict.entries += 1;
        if verdict.first.is_none() {
            verdict.first = Some(line.seq);
            self.begins_behind = Some((line.seq.saturating_sub(1), line.prev));
        }
        verdict.last = Some(line.seq);
        verdict.until = Some(line.at);
        verdict.node.get_or_insert_with(|| line.node.clone());
        let before = self.at.replace((line.seq, line.hash, line.node.clone()));
        if let Some(problem) = before.and_then(|before| follows(&before, &line)) {
            self.find(file, number, Some(line.seq), problem);
        } else if number == 1 && self.verdict.files == 1 && line.seq == 1 && line.prev != Hash::default() {
            self.find(file, number, Some(1), "the first entry of all follows something that is not there");
        }
        if self.head.is_some_and(|head| head.seq == line.seq && head.node == line.node) {
            self.head_seen = Some(line.hash);
        }
        match self.signer.check_line(&line) {
            Some(Checked::Good) => {
                self.verdict.checkpoints += 1;
                self.covered = Some(line.seq.saturating_sub(1));
            }
            Some(Checked::Forged) => {
                let problem = "the checkpoint's signature does not hold: entries before it were changed and hashed anew";
                self.find(file, number, Some(line.seq), problem);
            }
            Some(Checked::NoKey) => self.verdict.unchecked += 1,
            None => {}
        }
        let said = |name: &str| line.detail.get(name).map_or("?", String::as_str);
        match line.event() {
            Some("gap") => {
                self.verdict.lost += said("lost").parse::<u64>().unwrap_or(0);
                let (lost, since, until) = (said("lost"), said("since"), said("until"));
                self.note(format!("{lost} entries were lost from {since} to {until} (entry {})", line.seq));
            }
            Some("torn") => {
                let (bytes, file) = (said("bytes"), said("file"));
                self.note(format!("{bytes} bytes of a torn line were cut off {file} (entry {})", line.seq));
            }
            Some("removed") => {
                let is_it = |(seq, hash): &(u64, Hash)| {
                    said("seq") == seq.to_string() && said("last") == hash.to_string()
                };
                self.begins_behind.take_if(|behind| is_it(behind));
                self.note(format!("{} was removed by retention (entry {})", said("file"), line.seq));
            }
            Some("broken" | "gone" | "unreadable") => {
                let problem = format!("the log itself says that it was tampered with: {}", said("problem"));
                self.find(file, number, Some(line.seq), problem);
            }
            _ => {}
        }
    }

    fn note(&mut self, note: String) {
        if self.verdict.notes.len() < MOST_FINDINGS {
            self.verdict.notes.push(note);
        }
    }

    fn end(mut self, paths: &[PathBuf]) -> Verdict {
        let file = |path: Option<&PathBuf>| {
            path.and_then(|path| path.file_name())
                .map_or_else(|| "(none)".to_owned(), |name| name.to_string_lossy().into_owned())
        };
        let (first_file, last_file) = (file(paths.first()), file(paths.last()));
        if let Some(first) = self.verdict.first.filter(|first| *first > 1) {
            // Not just any file: the one whose last entry stands before the first that is here.
            let removed = self.begins_behind.is_none();
            let note =
                format!("begins with entry {first}: the files before it are not among those that were read");
            if removed || self.head.is_none() {
                self.note(note);
            } else {
                self.find(
                    &first_file,
                    1,
                    Some(first),
                    format!("{note}, and the log does not say that they were removed"),
                );
            }
        }
        let last = self.verdict.last.unwrap_or(0);
        self.verdict.tail = match self.head {
            None => "not proved: what the store has seen of this log is not known here".to_owned(),
            Some(head) => {
                let checked = head.check(self.signer);
                for problem in &head.breaks {
                    self.find(&last_file, 0, None, format!("the store has seen a break at {problem}"));
                }
                match (checked, self.head_seen) {
                    (Some(Checked::Forged), _) => {
                        let problem = "what the store says of this log has a signature that does not hold";
                        self.find(&last_file, 0, Some(head.seq), problem);
                        "not proved: the store's word on it was changed".to_owned()
                    }
                    (_, None) if head.seq > last => {
                        let problem = format!(
                            "the tail was cut: the store has seen entry {}, the last here is {last}",
                            head.seq
                        );
                        self.find(&last_file, 0, Some(last), problem);
                        "cut".to_owned()
                    }
                    (_, None) => {
                        let problem = format!("entry {}, which the store has seen, is not here", head.seq);
                        self.find(&last_file, 0, Some(head.seq), problem);
                        "changed".to_owned()
                    }
                    (_, Some(hash)) if hash != head.hash => {
                        let problem = format!("entry {} is not the one that the store has seen", head.seq);
                        self.find(&last_file, 0, Some(head.seq), problem);
                        "changed".to_owned()
                    }
                    (Some(Checked::Good), Some(_)) => {
                        format!("whole up to entry {} by the store's signed word", head.seq)
                    }
                    (Some(Checked::NoKey) | None, Some(_)) => format!(
                        "whole up to entry {} by the store's word, which is not proved without the master key: who can change the \
                         store as well could have cut it",
                        head.seq
                    ),
                }
            }
        };
        self.verdict.signed_until = self.covered;
        self.verdict.whole = self.verdict.breaks == 0;
        self.verdict
    }
}

/// What is wrong with an entry behind another.
fn follows((seq, hash, node): &(u64, Hash, String), line: &Line) -> Option<String> {
    if *node != line.node {
        return Some(format!(
            "it belongs to the log of node {}, the one before to that of {node}",
            line.node
        ));
    }
    let (at, next) = (line.seq, seq + 1);
    if at > next {
        let missing = at - next;
        return Some(format!("{missing} entries are missing before it: {seq} comes before {at}"));
    }
    if at < next {
        return Some(format!("it was inserted or swapped: {at} comes behind {seq}"));
    }
    // After a line that was changed there is nothing to hold `prev` against.
    (line.prev != *hash && *hash != Hash::default())
        .then(|| "it does not follow the entry before: one of both was exchanged".to_owned())
}
