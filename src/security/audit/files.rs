//! The folder of a node's log: which files are in it, whose turn it is to write, and what a file ends with. Blocks. Must not
//! know: what an entry means.
//!
//! ```text
//! <data_dir>/audit/        0700
//!   node                   the node's name
//!   lock                   held by the process that writes just now
//!   ship.lock              held by the process that brings entries to the store
//!   settings.json          what the node was started with last: a hash of each setting
//!   audit-000001.jsonl     entries, 0600; the highest number is written to
//! ```

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
};

use super::line::{Line, MOST_LINE};
use crate::{domain::Random, security::text::hex};

/// The folder of a node's log.
#[derive(Clone, Debug)]
pub struct Folder(PathBuf);

/// What a file ends with.
#[derive(Debug, Default)]
pub(super) struct Tail {
    /// How many bytes are whole lines.
    pub(super) whole: u64,
    /// How many bytes behind them belong to a line that has no end.
    pub(super) torn: u64,
    /// The last whole line, as it stands there.
    pub(super) last: Option<String>,
}

impl Folder {
    /// The folder of this path; nothing is made yet.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The files of the log with their numbers, in order; none where there is no folder.
    ///
    /// # Errors
    /// Where the folder can't be read.
    pub fn files(&self) -> io::Result<Vec<(u64, PathBuf)>> {
        let entries = match fs::read_dir(&self.0) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            let number =
                name.and_then(|name| name.strip_prefix("audit-")?.strip_suffix(".jsonl")?.parse().ok());
            if let Some(number) = number {
                files.push((number, path));
            }
        }
        files.sort_unstable();
        Ok(files)
    }

    pub(super) fn file(&self, number: u64) -> PathBuf {
        self.0.join(name(number))
    }

    pub(super) fn make(&self) -> io::Result<()> {
        let mut folders = fs::DirBuilder::new();
        folders.recursive(true);
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut folders, 0o700);
        folders.create(&self.0)
    }

    /// The turn to write: of all processes one has it, until this is dropped.
    pub(super) fn lock(&self) -> io::Result<File> {
        let file =
            private(OpenOptions::new().write(true).create(true).truncate(false)).open(self.0.join("lock"))?;
        file.lock()?;
        Ok(file)
    }

    /// The turn to bring entries to the store; nothing where another process has it.
    pub(super) fn try_ship_lock(&self) -> io::Result<Option<File>> {
        let path = self.0.join("ship.lock");
        let file = private(OpenOptions::new().write(true).create(true).truncate(false)).open(path)?;
        Ok(file.try_lock().is_ok().then_some(file))
    }

    /// The node's name, where it has one.
    pub fn node(&self) -> Option<String> {
        let text = fs::read_to_string(self.0.join("node")).ok()?;
        let name = text.trim();
        let sound = (1..=80).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
        sound.then(|| name.to_owned())
    }

    /// The node's name, made where there is none: the machine's with a random end. Only by who has the turn.
    pub(super) fn node_or_make(&self, random: &dyn Random) -> io::Result<String> {
        if let Some(node) = self.node() {
            return Ok(node);
        }
        let mut end = [0; 6];
        random.fill(&mut end);
        let machine: String =
            machine().chars().filter(|c| c.is_ascii_alphanumeric() || "-.".contains(*c)).take(40).collect();
        let machine = if machine.is_empty() { "node".to_owned() } else { machine };
        let node = format!("{machine}-{}", hex(&end));
        self.write("node", &format!("{node}\n"))?;
        Ok(node)
    }

    /// Writes a small file as a whole.
    pub(super) fn write(&self, name: &str, text: &str) -> io::Result<()> {
        let (path, draft) = (self.0.join(name), self.0.join(format!("{name}.tmp")));
        let mut file = private(OpenOptions::new().write(true).create(true).truncate(true)).open(&draft)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(draft, path)?;
        self.sync()
    }

    /// Makes a new file of the log, and its name durable.
    pub(super) fn begin(&self, number: u64) -> io::Result<File> {
        let file =
            private(OpenOptions::new().read(true).append(true).create_new(true)).open(self.file(number))?;
        self.sync()?;
        Ok(file)
    }

    fn sync(&self) -> io::Result<()> {
        #[cfg(unix)]
        File::open(&self.0)?.sync_all()?;
        Ok(())
    }
}

/// The name of a file of the log.
pub(super) fn name(number: u64) -> String {
    format!("audit-{number:06}.jsonl")
}

/// An existing file of the log, to be read and added to.
pub(super) fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).append(true).open(path)
}

fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(options, 0o600);
    options
}

/// What a file ends with, from byte `from` on. Reads two lines' length, and more only where no whole line is in that: a machine
/// that loses its power may leave many bytes that were never written.
pub(super) fn tail(file: &mut File, from: u64) -> io::Result<Tail> {
    let length = file.metadata()?.len();
    let mut reach = 2 * MOST_LINE as u64;
    let (begin, bytes) = loop {
        let begin = from.max(length.saturating_sub(reach)).min(length);
        let bytes = read(file, begin, length)?;
        // The second one ends the line before: all of the last line is there then.
        if begin <= from || bytes.iter().filter(|byte| **byte == b'\n').nth(1).is_some() {
            break (begin, bytes);
        }
        reach = reach.saturating_mul(4);
    };
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let last = bytes[..whole].strip_suffix(b"\n").map(|lines| {
        let start = lines.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        String::from_utf8_lossy(&lines[start..]).into_owned()
    });
    let whole = begin + whole as u64;
    Ok(Tail { whole, torn: length - whole, last })
}

/// The bytes from `begin` to `end`.
pub(super) fn read(file: &mut File, begin: u64, end: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(begin))?;
    file.take(end.saturating_sub(begin)).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The number of a file of the log.
pub(super) fn number(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_prefix("audit-")?.strip_suffix(".jsonl")?.parse().ok()
}

/// The first entry of a file.
pub(super) fn first(path: &Path) -> io::Result<Option<Line>> {
    let bytes = read(&mut File::open(path)?, 0, MOST_LINE as u64)?;
    let line = bytes.split(|byte| *byte == b'\n').next().and_then(|line| std::str::from_utf8(line).ok());
    Ok(line.and_then(|line| Line::read(line).ok()))
}

#[cfg(unix)]
fn machine() -> String {
    rustix::system::uname().nodename().to_string_lossy().into_owned()
}

#[cfg(not(unix))]
fn machine() -> String {
    "node".to_owned()
}
