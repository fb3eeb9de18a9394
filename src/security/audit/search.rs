//! Reads entries: of a node from its files, of a fleet from the store. Owns: [`Filter`].

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, BufRead as _, BufReader, Read as _},
    path::PathBuf,
    sync::Arc,
};

use super::{
    entry::Outcome,
    files::{self, Folder},
    line::{Line, MOST_LINE},
    ship::Batch,
};
use crate::{
    domain::{TenantId, Timestamp},
    store::{Collection, Records, StoreError},
};

/// Which entries are wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this action, or of those whose name begins so where it ends with a dot (`auth.`).
    pub action: Option<String>,
    /// By him.
    pub actor: Option<String>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// That ended so.
    pub outcome: Option<Outcome>,
    /// Not before this.
    pub since: Option<Timestamp>,
    /// Before this.
    pub until: Option<Timestamp>,
    /// From this address.
    pub address: Option<String>,
    /// With this text anywhere, in letters of either size.
    pub text: Option<String>,
}

impl Filter {
    /// Whether an entry is wanted.
    pub fn wants(&self, line: &Line) -> bool {
        let is = |wanted: &Option<String>, is: Option<&str>| {
            wanted.as_deref().is_none_or(|wanted| is == Some(wanted))
        };
        let action = self.action.as_deref().is_none_or(|wanted| {
            line.action == wanted || (wanted.ends_with('.') && line.action.starts_with(wanted))
        });
        action
            && is(&self.actor, Some(&line.actor))
            && is(&self.address, line.address.as_deref())
            && self.tenant.as_ref().is_none_or(|tenant| line.tenant.as_deref() == Some(tenant.as_str()))
            && self.outcome.is_none_or(|outcome| outcome == line.outcome)
            && self.since.is_none_or(|since| line.at >= since)
            && self.until.is_none_or(|until| line.at < until)
            && self.text.as_deref().is_none_or(|text| has(line, &text.to_lowercase()))
    }
}

fn has(line: &Line, text: &str) -> bool {
    let beside = [&line.tenant, &line.target, &line.address, &line.request];
    let named = beside.into_iter().flatten().chain(line.detail.values());
    [&line.action, &line.actor].into_iter().chain(named).any(|value| value.to_lowercase().contains(text))
}

/// Gives the entries of these files that are wanted to `take`, the oldest first, until it answers `false`. What is no entry is
/// left out: [`verify`](super::verify) tells of it. Blocks.
///
/// # Errors
/// Where a file can't be read.
pub fn from_files(paths: &[PathBuf], filter: &Filter, mut take: impl FnMut(Line) -> bool) -> io::Result<()> {
    for path in paths {
        let mut reader = BufReader::new(File::open(path)?);
        let mut bytes = Vec::new();
        while reader.by_ref().take(MOST_LINE as u64).read_until(b'\n', &mut bytes)? > 0 {
            let line = bytes.strip_suffix(b"\n").and_then(|line| std::str::from_utf8(line).ok());
            if let Some(line) = line.and_then(|line| Line::read(line).ok()).filter(|line| filter.wants(line))
                && !take(line)
            {
                return Ok(());
            }
            bytes.clear();
        }
    }
    Ok(())
}

/// Reads a node's log as it grows. Blocks for the time of a read.
#[derive(Debug)]
pub struct Follow {
    folder: Folder,
    number: u64,
    offset: u64,
}

impl Follow {
    /// Begins behind what is there, and answers the last `most` entries that are wanted.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub fn begin(folder: Folder, filter: &Filter, most: usize) -> io::Result<(Self, Vec<Line>)> {
        let all = folder.files()?;
        let (mut last, mut read) = (VecDeque::new(), Vec::new());
        let end = match all.last() {
            Some((number, path)) => (*number, files::tail(&mut File::open(path)?, 0)?.whole),
            None => (0, 0),
        };
        // From the newest file back, until there are enough.
        for (_, path) in all.iter().rev() {
            let mut of_file = VecDeque::new();
            from_files(std::slice::from_ref(path), filter, |line| {
                of_file.push_back(line);
                if of_file.len() > most {
                    of_file.pop_front();
                }
                true
            })?;
            read.push(of_file);
            if read.iter().map(VecDeque::len).sum::<usize>() >= most {
                break;
            }
        }
        read.into_iter().rev().for_each(|lines| last.extend(lines));
        let surplus = last.len().saturating_sub(most);
        last.drain(..surplus);
        Ok((Self { folder, number: end.0, offset: end.1 }, last.into()))
    }

    /// What was added since, of that what is wanted.
    ///
    /// # Errors
    /// Where a file can't be read.
    pub fn next(&mut self, filter: &Filter) -> io::Result<Vec<Line>> {
        let mut lines = Vec::new();
        for (number, path) in self.folder.files()? {
            if number < self.number {
                continue;
            }
            let mut file = File::open(path)?;
            let from = if number == self.number { self.offset } else { 0 };
            let tail = files::tail(&mut file, from)?;
            let bytes = files::read(&mut file, from, tail.whole)?;
            let text = String::from_utf8_lossy(&bytes);
            let read = text.lines().filter_map(|line| Line::read(line).ok());
            lines.extend(read.filter(|line| filter.wants(line)));
            (self.number, self.offset) = (number, tail.whole.max(from));
        }
        Ok(lines)
    }
}

/// A piece of what was found.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// The entries, the newest first; those of several nodes in the order in which they were gathered, half a second at a time.
    pub lines: Vec<Line>,
    /// Where to go on; `None` at the end. A piece may be short, or empty, and yet have one.
    pub next: Option<String>,
}

/// How many batches are read for one piece at most: half a second of a node's entries each.
const MOST_BATCHES: usize = 50;

/// Entries of the fleet that are wanted, at most `most`, from behind `cursor`. `None` where that is no cursor.
///
/// # Errors
/// [`StoreError`].
pub async fn from_store(
    records: &Arc<dyn Records>,
    filter: &Filter,
    cursor: Option<&str>,
    most: usize,
) -> Result<Option<Found>, StoreError> {
    let batches: Collection<Batch> = Collection::new(records.clone(), "audit");
    let mut found = Found::default();
    let mut after = None;
    if let Some(cursor) = cursor {
        let Some((key, taken)) = cursor.rsplit_once('~') else { return Ok(None) };
        let Ok(taken) = taken.parse::<usize>() else { return Ok(None) };
        if key.is_empty() || key.len() > 200 || key.chars().any(char::is_control) {
            return Ok(None);
        }
        if let Some(batch) = batches.get(key).await?
            && let Some(place) = take(&mut found.lines, batch.value, taken, filter, most)
        {
            found.next = Some(format!("{key}~{place}"));
            return Ok(Some(found));
        }
        after = Some(key.to_owned());
    }
    let page = batches.list("", after.as_deref(), MOST_BATCHES).await?;
    for batch in page.items {
        let is_older = |line: &Line| filter.since.is_some_and(|since| line.at < since);
        // Batches of one time may overlap by the time that one is gathered.
        if batch.value.lines.last().is_some_and(is_older) {
            return Ok(Some(found));
        }
        if let Some(place) = take(&mut found.lines, batch.value, 0, filter, most) {
            found.next = Some(format!("{}~{place}", batch.key));
            return Ok(Some(found));
        }
    }
    found.next = page.next.map(|key| format!("{key}~{}", usize::MAX));
    Ok(Some(found))
}

/// Takes what is wanted of a batch, the newest first, behind the first `taken`; answers how many were taken where there was no
/// room for all.
fn take(found: &mut Vec<Line>, batch: Batch, taken: usize, filter: &Filter, most: usize) -> Option<usize> {
    for (place, line) in batch.lines.into_iter().rev().enumerate().skip(taken) {
        if filter.wants(&line) {
            if found.len() == most {
                return Some(place);
            }
            found.push(line);
        }
    }
    None
}
