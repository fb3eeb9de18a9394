//! Brings entries from a node's files to the engine's store, where those of a whole fleet can be searched, and keeps there how far
//! the files went. The files are the truth: what a process that was killed did not bring, the next one does.
//!
//! Collection `audit`: batches of entries, by `<time, the newest first>.<node>.<seq>`. `audit-heads`: by node, the last entry that
//! was brought, signed. `audit-batches`: by `<node>.<number>`, the key of a batch, so that the oldest can go.

use std::{fs::File, io, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::Mutex;

use super::{
    files::{self, Folder},
    keeping::Keeping,
    line::{Hash, Line, MOST_LINE},
    sign::{Checked, HEAD, Signer, Statement},
};
use crate::{
    domain::{Clock, Timestamp},
    security::{master::MasterSource, text::hex},
    store::{Collection, Expect, Records, StoreError},
};

/// How long entries are gathered before they are brought.
pub(super) const GATHER: Duration = Duration::from_millis(500);
/// When it is tried again where the store is away.
pub(super) const AGAIN: Duration = Duration::from_secs(5);
/// So much of a file goes into a batch at most.
const BATCH_BYTES: u64 = 384 << 10;
const BATCH_LINES: usize = 500;
/// So many bytes tell a place of a file from others: the end of a line, with its hash.
const MARKED_BYTES: u64 = 256;
/// How many breaks are remembered.
const MOST_BREAKS: usize = 20;
/// A key's digits: later is less.
const LATEST: u64 = u64::MAX >> 1;

/// How far the store has a node's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Head {
    /// Which node.
    pub node: String,
    /// The last entry.
    pub seq: u64,
    /// Its hash.
    pub hash: Hash,
    /// When it was brought.
    pub at: Timestamp,
    /// Where what was brought did not follow what had been brought before.
    #[serde(default)]
    pub breaks: Vec<String>,
    file: u64,
    offset: u64,
    /// A hash of the bytes before `offset`, by which a file that was cut or replaced is known.
    #[serde(default)]
    mark: String,
    entries: u64,
    oldest: u64,
    batches: u64,
    #[serde(default)]
    key: Option<String>,
    #[serde(default)]
    mac: Option<String>,
}

impl Head {
    fn new(node: String) -> Self {
        Self {
            node,
            seq: 0,
            hash: Hash::default(),
            at: Timestamp::EPOCH,
            breaks: Vec::new(),
            file: 0,
            offset: 0,
            mark: String::new(),
            entries: 0,
            oldest: 0,
            batches: 0,
            key: None,
            mac: None,
        }
    }

    /// Whether its signature holds; `None` where it has none.
    pub(super) fn check(&self, signer: &Signer) -> Option<Checked> {
        let (key, mac) = (self.key.as_ref()?, self.mac.as_ref()?);
        Some(signer.check(key, mac, &self.statement()))
    }

    fn statement(&self) -> Statement<'_> {
        Statement { label: HEAD, node: &self.node, seq: self.seq, hash: self.hash }
    }
}

/// Entries of one node, the oldest first.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Batch {
    pub(super) lines: Vec<Line>,
}

/// Where a batch is, and how many entries were brought before it.
#[derive(Serialize, Deserialize)]
struct Place {
    key: String,
    before: u64,
}

/// Entries can't be brought to the store now: try again later.
#[derive(Debug, thiserror::Error)]
pub enum ShipError {
    /// The store is away.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The files can't be read.
    #[error("the audit log's files can't be read: {0}")]
    Files(#[from] io::Error),
}

/// Brings entries to the store.
pub(super) struct Shipper {
    batches: Collection<Batch>,
    heads: Collection<Head>,
    places: Collection<Place>,
    folder: Folder,
    masters: MasterSource,
    keep_for: Duration,
    keep_entries: u64,
    clock: Arc<dyn Clock>,
    turn: Mutex<()>,
}

/// What was read from the files.
struct Cargo {
    lines: Vec<Line>,
    file: u64,
    offset: u64,
    mark: String,
    unread: u64,
    /// Whether the file is not the one that was read before, so that it is read anew.
    cut: bool,
}

impl Shipper {
    pub(super) fn new(
        records: Arc<dyn Records>,
        folder: Folder,
        masters: MasterSource,
        keeping: &Keeping,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            batches: Collection::new(records.clone(), "audit"),
            heads: Collection::new(records.clone(), "audit-heads"),
            places: Collection::new(records, "audit-batches"),
            folder,
            masters,
            keep_for: keeping.keep_for,
            keep_entries: keeping.keep_entries,
            clock,
            turn: Mutex::default(),
        }
    }

    pub(super) async fn head(&self) -> Result<Option<Head>, ShipError> {
        let folder = self.folder.clone();
        let Some(node) = blocking(move || Ok(folder.node())).await? else { return Ok(None) };
        Ok(self.heads.get(&node).await?.map(|head| head.value))
    }

    /// Brings all that is not there yet; answers what did not follow what had been brought before.
    pub(super) async fn ship(&self) -> Result<Vec<String>, ShipError> {
        let _turn = self.turn.lock().await;
        let (folder, masters) = (self.folder.clone(), self.masters.clone());
        let begun = blocking(move || {
            let Some(node) = folder.node() else { return Ok(None) };
            let lock = folder.try_ship_lock()?;
            Ok(lock.map(|lock| (node, lock, Signer::new(&masters))))
        });
        // Another process of this node brings them just now.
        let Some((node, _lock, signer)) = begun.await? else { return Ok(Vec::new()) };
        let mut head = self.heads.get(&node).await?.map_or_else(|| Head::new(node), |head| head.value);
        let mut broken = Vec::new();
        loop {
            let (folder, at) = (self.folder.clone(), head.clone());
            let Some(cargo) = blocking(move || load(&folder, &at)).await? else { return Ok(broken) };
            broken.extend(self.bring(&mut head, cargo, &signer).await?);
        }
    }

    async fn bring(&self, head: &mut Head, cargo: Cargo, signer: &Signer) -> Result<Vec<String>, ShipError> {
        let mut broken = Vec::new();
        if cargo.cut {
            broken.push(format!("{} was cut or changed behind entry {}", files::name(cargo.file), head.seq));
        }
        if cargo.unread > 0 {
            broken.push(format!("{} lines of {} are no entries", cargo.unread, files::name(cargo.file)));
        }
        for line in &cargo.lines {
            if head.seq > 0 && (line.prev != head.hash || line.seq != head.seq + 1) {
                let file = files::name(cargo.file);
                broken.push(format!(
                    "entry {} of {file} does not follow entry {}, the last in the store",
                    line.seq, head.seq
                ));
            }
            (head.seq, head.hash) = (line.seq, line.hash);
        }
        let now = self.clock.now();
        if let Some(first) = cargo.lines.first() {
            let age = LATEST - u64::try_from(first.at.as_micros()).unwrap_or(0).min(LATEST);
            let key = format!("{age:016x}.{}.{:020}", head.node, first.seq);
            let count = cargo.lines.len() as u64;
            let end = Some(now.after(self.keep_for));
            self.batches.put(&key, &Batch { lines: cargo.lines }, Expect::Anything, end).await?;
            let place = Place { key, before: head.entries };
            self.places.put(&place_key(head, head.batches), &place, Expect::Anything, end).await?;
            head.batches += 1;
            head.entries += count;
        }
        (head.file, head.offset, head.mark, head.at) = (cargo.file, cargo.offset, cargo.mark, now);
        head.breaks.extend(broken.iter().map(|problem| format!("{now}: {problem}")));
        let surplus = head.breaks.len().saturating_sub(MOST_BREAKS);
        head.breaks.drain(..surplus);
        (head.key, head.mac) =
            signer.sign(&head.statement()).map(|(key, mac)| (key.to_string(), mac)).unzip();
        self.drop_oldest(head).await?;
        let node = head.node.clone();
        self.heads.put(&node, head, Expect::Anything, None).await?;
        Ok(broken)
    }

    async fn drop_oldest(&self, head: &mut Head) -> Result<(), ShipError> {
        while head.oldest + 1 < head.batches {
            let (first, second) = (place_key(head, head.oldest), place_key(head, head.oldest + 1));
            let next = self.places.get(&second).await?;
            // What has expired is gone already.
            let needed = next.is_some_and(|next| head.entries - next.value.before < self.keep_entries);
            if needed {
                return Ok(());
            }
            if let Some(place) = self.places.get(&first).await? {
                self.batches.delete(&place.value.key, Expect::Anything).await?;
                self.places.delete(&first, Expect::Anything).await?;
            }
            head.oldest += 1;
        }
        Ok(())
    }
}

fn place_key(head: &Head, number: u64) -> String {
    format!("{}.{number:012}", head.node)
}

/// Entries behind a place; nothing where there are none.
fn load(folder: &Folder, head: &Head) -> io::Result<Option<Cargo>> {
    let all = folder.files()?;
    let known = all.iter().position(|(number, _)| *number == head.file);
    // Where the file is gone: the next one; where there is none, whoever removed them began anew.
    let later =
        || all.iter().position(|(number, _)| *number > head.file).or_else(|| (!all.is_empty()).then_some(0));
    let Some(mut index) = known.or_else(later) else { return Ok(None) };
    let mut offset = if known.is_some() { head.offset } else { 0 };
    loop {
        let (number, path) = &all[index];
        let mut file = File::open(path)?;
        let length = file.metadata()?.len();
        if offset > 0 && (offset > length || mark(&mut file, offset)? != head.mark) {
            let (lines, mark) = (Vec::new(), String::new());
            return Ok(Some(Cargo { lines, file: *number, offset: 0, mark, unread: 0, cut: true }));
        }
        let bytes = files::read(&mut file, offset, length.min(offset.saturating_add(BATCH_BYTES)))?;
        let (mut lines, mut unread, mut taken) = (Vec::new(), 0, 0);
        for line in bytes.split_inclusive(|byte| *byte == b'\n').take(BATCH_LINES) {
            let Some(text) = line.strip_suffix(b"\n") else { break };
            match std::str::from_utf8(text).ok().and_then(|text| Line::read(text).ok()) {
                Some(line) => lines.push(line),
                None => unread += 1,
            }
            taken += line.len() as u64;
        }
        if taken == 0 && bytes.len() > 4 * MOST_LINE {
            // No line of ours: what follows can't be told apart.
            (taken, unread) = (bytes.len() as u64, 1);
        }
        if taken > 0 {
            let offset = offset + taken;
            let mark = mark(&mut file, offset)?;
            return Ok(Some(Cargo { lines, file: *number, offset, mark, unread, cut: false }));
        }
        index += 1;
        offset = 0;
        if index == all.len() {
            return Ok(None);
        }
    }
}

/// A hash of the bytes before a place.
fn mark(file: &mut File, offset: u64) -> io::Result<String> {
    let bytes = files::read(file, offset.saturating_sub(MARKED_BYTES), offset)?;
    Ok(hex(&Sha256::digest(bytes)))
}

async fn blocking<R: Send + 'static>(work: impl FnOnce() -> io::Result<R> + Send + 'static) -> io::Result<R> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
