//! Appends entries to a node's log. Blocks. Owns: the chain's end, rotation, checkpoints, and what is said when the end is not
//! where it was left. Must not know: who waits for an entry.
//!
//! Several processes of a node write one chain in turns: under the lock each first reads on from where it was, checks that what
//! the others have added follows, and adds its own.

use std::{fs, io, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use super::{
    entry::Outcome,
    files::{self, Folder, Tail},
    keeping::Keeping,
    line::{Clean, Hash, Line},
    sign::{CHECKPOINT, Signer, Statement},
};
use crate::{
    domain::{Clock, Random, Timestamp},
    security::master::MasterSource,
};

/// So many entries are followed by a checkpoint.
const CHECKPOINT_ENTRIES: u64 = 1_000;
/// The oldest that no checkpoint covers is followed by one after so long.
pub(super) const CHECKPOINT_AFTER: Duration = Duration::from_secs(60);

/// A node's log, open for writing.
pub(super) struct Log {
    folder: Folder,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    masters: MasterSource,
    keeping: Keeping,
    node: String,
    end: Option<End>,
    /// What was found on the way and is not in the log yet.
    said: Vec<Timed>,
    /// How many entries no checkpoint covers, and since when.
    open: u64,
    open_since: Option<Duration>,
}

/// The end of the chain, as this process left it.
struct End {
    number: u64,
    file: fs::File,
    inode: u64,
    length: u64,
    began: Timestamp,
    seq: u64,
    hash: Hash,
    last: String,
}

/// Where the chain goes on.
#[derive(Clone, Copy, Default)]
struct Place {
    seq: u64,
    hash: Hash,
}

/// What is to be kept, and when it happened.
pub(super) type Timed = (Timestamp, Clean);

impl Log {
    pub(super) fn new(
        folder: Folder,
        masters: MasterSource,
        keeping: Keeping,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self {
            folder,
            clock,
            random,
            masters,
            keeping,
            node: String::new(),
            end: None,
            said: Vec::new(),
            open: 0,
            open_since: None,
        }
    }

    /// Appends entries; they are on disk when this answers. What was found broken on the way is answered, and in the log.
    ///
    /// # Errors
    /// Where the disk doesn't take them; nothing of them counts as written then.
    pub(super) fn append(&mut self, entries: &[Timed]) -> io::Result<Vec<String>> {
        self.folder.make()?;
        let _turn = self.folder.lock()?;
        if self.node.is_empty() {
            self.node = self.folder.node_or_make(&*self.random)?;
        }
        let found = self.catch_up()?;
        // Kept until it is written: what was found is not found a second time.
        self.said.extend(found);
        self.rotate_if_due()?;
        let all = [self.said.as_slice(), entries].concat();
        self.write(&all)?;
        let said = std::mem::take(&mut self.said);
        let broken =
            said.iter().filter(|(_, entry)| entry.outcome == Outcome::Failed).map(|(_, entry)| told(entry));
        Ok(broken.collect())
    }

    /// Appends a checkpoint where entries have waited for one.
    pub(super) fn checkpoint(&mut self) -> io::Result<Vec<String>> {
        if self.open == 0 {
            return Ok(Vec::new());
        }
        // One is due: writing finds that out.
        self.open = self.open.max(CHECKPOINT_ENTRIES);
        self.append(&[])
    }

    /// Whether entries wait for a checkpoint for so long that one is due.
    pub(super) fn is_checkpoint_due(&self) -> bool {
        let age = self.open_since.map(|since| self.clock.elapsed().saturating_sub(since));
        age.is_some_and(|age| age >= CHECKPOINT_AFTER)
    }

    /// The node's name; empty before the first entry.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Goes to the end of the chain, whoever wrote it, and answers what there is to say of the way.
    fn catch_up(&mut self) -> io::Result<Vec<Timed>> {
        let all = self.folder.files()?;
        let mut said = Vec::new();
        let before = self.end.as_ref();
        let known = before.map(|end| Place { seq: end.seq, hash: end.hash });
        let Some((number, path)) = all.last().cloned() else {
            if before.is_some() {
                said.push(self.problem("gone", "the files of the log were removed"));
            }
            self.end = Some(self.begin(before.map_or(1, |end| end.number + 1), known, None)?);
            return Ok(said);
        };
        let mut file = files::open(&path)?;
        let tail = files::tail(&mut file, 0)?;
        if tail.torn > 0 {
            // The process that wrote it was killed, or the disk was full: it was never answered for.
            file.set_len(tail.whole)?;
            let detail = [("file", files::name(number)), ("bytes", tail.torn.to_string())];
            said.push((self.now(), Clean::about_log(Outcome::Done, "torn", &detail)));
        }
        if let Some(problem) = before.and_then(|end| self.trouble_since(end, &all)) {
            said.push(self.problem("broken", &problem));
        }
        let mut end = match self.read_end(number, path, file, tail)? {
            Ok(end) => end,
            Err(problem) => {
                said.push(self.problem("unreadable", &problem));
                self.begin(number + 1, known, Some(number))?
            }
        };
        // Numbers are never given twice, whatever was cut off.
        end.seq = end.seq.max(known.map_or(0, |known| known.seq));
        self.end = Some(end);
        Ok(said)
    }

    fn problem(&self, event: &str, problem: &str) -> Timed {
        (self.now(), Clean::about_log(Outcome::Failed, event, &[("problem", problem.to_owned())]))
    }

    /// What is wrong with what happened to the files since this process wrote last.
    fn trouble_since(&self, end: &End, all: &[(u64, PathBuf)]) -> Option<String> {
        let place = all.iter().position(|(number, _)| *number == end.number);
        let Some(place) = place else {
            // Retention takes the oldest away, and only where there are newer ones.
            let newer = all.first().is_some_and(|(first, _)| *first > end.number);
            return (!newer).then(|| format!("{} was removed", files::name(end.number)));
        };
        let path = &all[place].1;
        let metadata = path.metadata().ok()?;
        let name = files::name(end.number);
        if inode(&metadata) != end.inode {
            return Some(format!("{name} was replaced by another file"));
        }
        if metadata.len() < end.length {
            return Some(format!("{name} was cut: {} of {} bytes are left", metadata.len(), end.length));
        }
        let mut file = fs::File::open(path).ok()?;
        let begin = end.length.saturating_sub(end.last.len() as u64 + 1);
        let there = files::read(&mut file, begin, end.length).ok()?;
        if there.strip_suffix(b"\n") != Some(end.last.as_bytes()) {
            return Some(format!("entry {} in {name} was changed", end.seq));
        }
        let mut at = Place { seq: end.seq, hash: end.hash };
        for (index, (number, path)) in all[place..].iter().enumerate() {
            let from = if index == 0 { end.length } else { 0 };
            if index == 0 && metadata.len() == from {
                continue;
            }
            let mut file = fs::File::open(path).ok()?;
            let length = file.metadata().ok()?.len();
            let bytes = files::read(&mut file, from, length).ok()?;
            let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
            for line in String::from_utf8_lossy(&bytes[..whole]).lines() {
                let name = files::name(*number);
                match Line::read(line) {
                    Ok(line) if line.prev == at.hash && line.seq == at.seq + 1 => {
                        at = Place { seq: line.seq, hash: line.hash };
                    }
                    Ok(line) => {
                        return Some(format!(
                            "entry {} in {name} does not follow entry {}",
                            line.seq, at.seq
                        ));
                    }
                    Err(error) => return Some(format!("behind entry {} in {name}: {error}", at.seq)),
                }
            }
        }
        None
    }

    /// The end of the chain as the file has it; or what is wrong with the last line.
    fn read_end(
        &self,
        number: u64,
        path: PathBuf,
        file: fs::File,
        tail: Tail,
    ) -> io::Result<Result<End, String>> {
        let inode = inode(&file.metadata()?);
        let Some(last) = tail.last else {
            // Nothing was ever written to it: the file before has the end.
            drop(file);
            fs::remove_file(path)?;
            let before = self.folder.files()?.pop();
            let Some((number, path)) = before else { return self.begin(number, None, None).map(Ok) };
            let mut file = files::open(&path)?;
            let tail = files::tail(&mut file, 0)?;
            if tail.last.is_none() {
                return Ok(Err(format!("{} holds no entry", files::name(number))));
            }
            return self.read_end(number, path, file, tail);
        };
        let began = files::first(&path)?.map_or_else(|| self.now(), |line| line.at);
        Ok(match Line::read(&last) {
            Ok(line) => Ok(End {
                number,
                file,
                inode,
                length: tail.whole,
                began,
                seq: line.seq,
                hash: line.hash,
                last,
            }),
            Err(error) => Err(format!("the last line of {}: {error}", files::name(number))),
        })
    }

    /// A new file. Its first entry says which one it follows.
    fn begin(&self, number: u64, place: Option<Place>, after: Option<u64>) -> io::Result<End> {
        let mut file = self.folder.begin(number)?;
        let Place { seq, hash } = place.unwrap_or_default();
        let mut details = vec![("file", files::name(number))];
        if let Some(after) = after {
            details.push(("after", files::name(after)));
            details.push(("last", hash.to_string()));
        }
        let entry = Clean::about_log(Outcome::Done, "begun", &details);
        let now = self.now();
        let mut line = String::new();
        let hash = Line::write(&entry, seq + 1, &self.node, now, hash, &mut line);
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        let inode = inode(&file.metadata()?);
        let length = line.len() as u64;
        line.pop();
        Ok(End { number, file, inode, length, began: now, seq: seq + 1, hash, last: line })
    }

    fn rotate_if_due(&mut self) -> io::Result<()> {
        let now = self.now();
        let Some(end) = &self.end else { return Ok(()) };
        let due =
            end.length >= self.keeping.rotate_bytes || now.since(end.began) >= self.keeping.rotate_after;
        if !due {
            return Ok(());
        }
        self.open = self.open.max(CHECKPOINT_ENTRIES);
        self.write(&[])?;
        let Some(end) = &self.end else { return Ok(()) };
        let place = Place { seq: end.seq, hash: end.hash };
        self.end = Some(self.begin(end.number + 1, Some(place), Some(end.number))?);
        let (removed, said): (Vec<PathBuf>, Vec<Timed>) = self.done_with()?.into_iter().unzip();
        if removed.is_empty() {
            return Ok(());
        }
        // Said first: a file that is gone and of which nobody has said so was taken by somebody else.
        self.write(&said)?;
        removed.into_iter().try_for_each(fs::remove_file)
    }

    /// Files that are too old or too many, and what is said of their removal.
    fn done_with(&self) -> io::Result<Vec<(PathBuf, Timed)>> {
        let mut all = self.folder.files()?;
        all.pop();
        let before = self.now().before(self.keeping.keep_for);
        let surplus = (all.len() + 1).saturating_sub(self.keeping.keep_files.max(1));
        let mut done = Vec::new();
        for (index, (number, path)) in all.into_iter().enumerate() {
            let tail = files::tail(&mut fs::File::open(&path)?, 0)?;
            let last = tail.last.and_then(|last| Line::read(&last).ok());
            let is_old = last.as_ref().is_some_and(|line| line.at < before);
            if index >= surplus && !is_old {
                break;
            }
            let mut detail = vec![("file", files::name(number))];
            if let Some(last) = last {
                detail.push(("seq", last.seq.to_string()));
                detail.push(("last", last.hash.to_string()));
            }
            done.push((path, (self.now(), Clean::about_log(Outcome::Done, "removed", &detail))));
        }
        Ok(done)
    }

    /// Writes entries to the end of the chain, and a checkpoint behind them where one is due.
    fn write(&mut self, entries: &[Timed]) -> io::Result<()> {
        let now = self.clock.elapsed();
        let Some(end) = self.end.as_mut() else { return Err(io::Error::other("the log has no end")) };
        let (mut text, mut seq, mut hash) = (String::new(), end.seq, end.hash);
        for (at, entry) in entries {
            seq += 1;
            hash = Line::write(entry, seq, &self.node, *at, hash, &mut text);
        }
        let mut open = self.open + entries.len() as u64;
        let due = open >= CHECKPOINT_ENTRIES
            || self.open_since.is_some_and(|since| now.saturating_sub(since) >= CHECKPOINT_AFTER);
        let signer = if due { Signer::new(&self.masters) } else { Signer::new(&MasterSource::Absent) };
        let statement = Statement { label: CHECKPOINT, node: &self.node, seq: seq + 1, hash };
        let signed = signer.sign(&statement);
        if let Some((key, mac)) = signed {
            let detail = [("key", key.to_string()), ("mac", mac)];
            let entry = Clean::about_log(Outcome::Done, "checkpoint", &detail);
            seq += 1;
            hash = Line::write(&entry, seq, &self.node, self.clock.now(), hash, &mut text);
        }
        if due {
            // Without a master key as well: the next try is as far off as a checkpoint would be.
            open = 0;
        }
        if text.is_empty() {
            (self.open, self.open_since) = (open, self.open_since.filter(|_| open > 0));
            return Ok(());
        }
        let written = end.file.write_all(text.as_bytes()).and_then(|()| end.file.sync_data());
        if let Err(error) = written {
            // Half a line would stand in the way of the next; what can't be cut off now is found torn later.
            drop(end.file.set_len(end.length));
            return Err(error);
        }
        end.length += text.len() as u64;
        (end.seq, end.hash) = (seq, hash);
        text.pop();
        let start = text.rfind('\n').map_or(0, |at| at + 1);
        end.last = text[start..].to_owned();
        self.open = open;
        self.open_since = if open == 0 { None } else { self.open_since.or(Some(now)) };
        Ok(())
    }
}

fn told(entry: &Clean) -> String {
    entry.detail.get("problem").cloned().unwrap_or_default()
}

#[cfg(unix)]
fn inode(metadata: &fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &fs::Metadata) -> u64 {
    0
}
