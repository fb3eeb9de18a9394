//! The audit log: who did what, when, from where, and how it ended. Owns: [`Entry`], its vocabulary [`Action`], [`Audit`], through
//! which everything is recorded, the hash-chained files of a node, their copy in the engine's store, and what is read from both.
//! Must not know: HTTP, how anybody proved who he is.
//!
//! What happened is given to one thread a process, which writes all that waits in one go, under a lock that the processes of a
//! node share, and flushes it to disk. [`Audit::record`] answers when that is done, or after [`WRITTEN_WITHIN`]; for refusals and
//! samples, of which many may come at once, it does not wait for the disk. At most [`MOST_WAITING`] entries wait; where there is
//! no room for [`ROOM_WITHIN`], an entry is lost, counted, and the log itself says how many were and when (`event` `gap`).

mod clean;
mod entry;
mod files;
mod health;
mod keeping;
#[cfg(test)]
mod kept;
#[cfg(test)]
mod kills;
mod line;
mod log;
mod report;
mod search;
mod settings;
mod ship;
mod sign;
#[cfg(test)]
mod tests;
mod verify;
mod writer;

pub use entry::{Action, Actor, Entry, Outcome, OutcomeError};
pub use files::Folder;
pub use health::{Checked, Health};
pub use keeping::Keeping;
pub use line::{Hash, Line, LineError};
pub use report::{Change, Report};
pub use search::{Filter, Follow, Found, from_files, from_store};
pub use ship::{Head, ShipError};
pub use sign::Signer;
pub use verify::{Finding, Verdict, verify};

pub(crate) use clean::is_harmful;

use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError, mpsc},
    time::Duration,
};

use tokio::{
    sync::{Notify, Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};

use self::{
    line::Clean,
    ship::Shipper,
    writer::{Item, Shared, Writer},
};
use super::{alerts::Alerts, master::MasterSource};
use crate::{
    domain::{Clock, Random},
    store::Records,
};

/// How many entries wait for the disk at most.
pub const MOST_WAITING: usize = 16_384;
/// How long an entry waits for room among them.
pub const ROOM_WITHIN: Duration = Duration::from_millis(500);
/// How long whoever records waits for the disk.
pub const WRITTEN_WITHIN: Duration = Duration::from_secs(2);

/// What an [`Audit`] works with.
pub struct Parts {
    /// The folder of the node's log.
    pub folder: Folder,
    /// How it is kept.
    pub keeping: Keeping,
    /// Where the keys that sign come from.
    pub masters: MasterSource,
    /// The engine's store.
    pub records: Arc<dyn Records>,
    /// Who looks at what is recorded.
    pub alerts: Alerts,
    /// What `{:#?}` shows of the settings, where secrets don't show.
    pub settings: String,
    /// Where the time comes from.
    pub clock: Arc<dyn Clock>,
    /// Where randomness comes from.
    pub random: Arc<dyn Random>,
}

/// Where acts are recorded. Cheap to clone.
#[derive(Clone)]
pub struct Audit(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    alerts: Alerts,
    folder: Folder,
    masters: MasterSource,
    settings: String,
    room: Arc<Semaphore>,
    shared: Arc<Shared>,
    shipper: Arc<Shipper>,
    news: Arc<Notify>,
    /// Begun when there is something to record first: who only looks makes no file.
    writer: Mutex<Option<mpsc::Sender<Item>>>,
    begin: Box<dyn Fn() -> Writer + Send + Sync>,
    task: Mutex<Option<JoinHandle<()>>>,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Audit {
    /// The log of these parts. Makes nothing, reads nothing.
    pub fn new(parts: Parts) -> Self {
        let Parts { folder, keeping, masters, records, alerts, settings, clock, random } = parts;
        let (shared, news) = (Arc::new(Shared::default()), Arc::new(Notify::new()));
        let shipper = Shipper::new(records, folder.clone(), masters.clone(), &keeping, clock.clone());
        let begin = {
            let (folder, masters, clock) = (folder.clone(), masters.clone(), clock.clone());
            let (shared, news, alerts) = (shared.clone(), news.clone(), alerts.clone());
            move || {
                let log = log::Log::new(
                    folder.clone(),
                    masters.clone(),
                    keeping.clone(),
                    clock.clone(),
                    random.clone(),
                );
                Writer::new(log, shared.clone(), news.clone(), alerts.clone(), clock.clone())
            }
        };
        Self(Arc::new(Inner {
            clock,
            alerts,
            folder,
            masters,
            settings,
            room: Arc::new(Semaphore::new(MOST_WAITING)),
            shared,
            shipper: Arc::new(shipper),
            news,
            writer: Mutex::default(),
            begin: Box::new(begin),
            task: Mutex::default(),
        }))
    }

    /// Records what happened. Where it can't be kept that is said in the log and by [`health`](Self::health), and what is
    /// being recorded goes on.
    pub async fn record(&self, entry: Entry) {
        let at = self.0.clock.now();
        self.0.alerts.see(&entry, at);
        self.ship_in_background();
        let room = self.0.room.clone();
        let permit = match room.clone().try_acquire_owned() {
            Ok(permit) => Some(permit),
            Err(_) => timeout(ROOM_WITHIN, room.acquire_owned()).await.ok().and_then(Result::ok),
        };
        let Some(permit) = permit else { return self.0.shared.lose(at) };
        let (written, answer) = oneshot::channel();
        let waits = entry.action.waits();
        let item = Item::Entry { at, entry: Box::new(Clean::of(&entry)), written, permit };
        if !self.send(item) {
            return self.0.shared.lose(at);
        }
        if waits && timeout(WRITTEN_WITHIN, answer).await.is_err() {
            tracing::error!(
                action = entry.action.name(),
                "the audit log does not take an entry in time: it waits"
            );
        }
    }

    /// Whether the latest entry could be kept.
    pub fn is_healthy(&self) -> bool {
        self.health().problem.is_none()
    }

    /// How it stands with the log.
    pub fn health(&self) -> Health {
        self.0.shared.health()
    }

    /// The folder of the node's log.
    pub fn folder(&self) -> &Folder {
        &self.0.folder
    }

    /// What checks signatures. Blocks for the time of reading a small file.
    pub fn signer(&self) -> Signer {
        Signer::new(&self.0.masters)
    }

    /// Who looks at what is recorded.
    pub fn alerts(&self) -> &Alerts {
        &self.0.alerts
    }

    /// Brings to the store what is not there yet.
    ///
    /// # Errors
    /// [`ShipError`].
    pub async fn ship(&self) -> Result<(), ShipError> {
        ship_and_tell(&self.0).await
    }

    /// What the store has of this node's log; `None` where there is nothing.
    ///
    /// # Errors
    /// [`ShipError`].
    pub async fn head(&self) -> Result<Option<Head>, ShipError> {
        self.0.shipper.head().await
    }

    /// Waits until what was recorded is on disk under a checkpoint, in the store, and alerts are delivered; not longer than
    /// `most`. For a process that is about to end.
    pub async fn settle(&self, most: Duration) {
        let all = async {
            let (done, answer) = oneshot::channel();
            let is_writing = self.writer().is_some();
            if is_writing && self.send(Item::Flush(done)) {
                let _ = answer.await;
                if let Err(error) = self.ship().await {
                    tracing::warn!(%error, "audit entries are not in the store yet: the next process brings them");
                }
            }
            self.0.alerts.settle().await;
        };
        if timeout(most, all).await.is_err() {
            tracing::warn!("the audit log is not settled yet: the next process goes on with it");
        }
    }

    /// Notes which settings differ from those that the node was started with last: for a process that stays.
    pub async fn note_start(&self) {
        let (folder, shown) = (self.0.folder.clone(), self.0.settings.clone());
        let compared = tokio::task::spawn_blocking(move || settings::compare(&folder, &shown)).await;
        match compared {
            Ok(Ok(Some(changed))) => {
                let entry = Entry::new(Action::ConfigChanged).with("changed", changed.names.join(", "));
                self.record(entry.with("settings", changed.digest)).await;
            }
            Ok(Ok(None)) => {}
            Ok(Err(error)) => {
                tracing::warn!(%error, "settings can't be compared with those of the last start")
            }
            Err(error) => tracing::warn!(%error, "settings can't be compared with those of the last start"),
        }
    }

    fn writer(&self) -> std::sync::MutexGuard<'_, Option<mpsc::Sender<Item>>> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives an item to the thread, which is begun where there is none.
    fn send(&self, item: Item) -> bool {
        let mut writer = self.writer();
        let item = match &*writer {
            Some(sender) => match sender.send(item) {
                Ok(()) => return true,
                Err(mpsc::SendError(item)) => item,
            },
            None => item,
        };
        let (sender, receiver) = mpsc::channel();
        let thread = (self.0.begin)();
        let begun =
            std::thread::Builder::new().name("audit-writer".to_owned()).spawn(move || thread.run(&receiver));
        if let Err(error) = begun {
            self.0.shared.trouble(Some(format!("no thread to write it: {error}")));
            return false;
        }
        let sent = sender.send(item).is_ok();
        *writer = Some(sender);
        sent
    }

    fn ship_in_background(&self) {
        let mut task = self.0.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (inner, news) = (Arc::downgrade(&self.0), self.0.news.clone());
        *task = Some(runtime.spawn(async move {
            loop {
                news.notified().await;
                // What comes within a second goes together.
                tokio::time::sleep(ship::GATHER).await;
                let Some(inner) = inner.upgrade() else { return };
                if ship_and_tell(&inner).await.is_err() {
                    news.notify_one();
                    drop(inner);
                    tokio::time::sleep(ship::AGAIN).await;
                }
            }
        }));
    }
}

async fn ship_and_tell(inner: &Inner) -> Result<(), ShipError> {
    let shipped = inner.shipper.ship().await;
    let problem = shipped.as_ref().err().map(ToString::to_string);
    inner.shared.store_trouble(problem);
    for broken in shipped? {
        inner.shared.broken(&broken);
        inner.alerts.broken(&broken, inner.clock.now());
    }
    Ok(())
}

impl std::fmt::Debug for Audit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path: &Path = self.0.folder.path();
        f.debug_struct("Audit").field("folder", &path).finish_non_exhaustive()
    }
}
