//! Tells other processes on this machine that the file has changed: a small file beside it is written after each
//! commit and watched by whoever waits. SQLite itself has no such signal, and its own files change before a
//! commit can be seen.

use std::{
    fs::{File, OpenOptions},
    io::{Seek as _, SeekFrom, Write as _},
    path::Path,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use notify::Watcher as _;
use tokio::sync::watch;

/// The bell of one store. Ringing it wakes every listener, in this process and in others.
pub struct Bell {
    file: Mutex<File>,
    count: watch::Sender<u64>,
    /// Kept alive: dropping it ends the watching.
    _watcher: Option<Box<dyn notify::Watcher + Send + Sync>>,
}

impl std::fmt::Debug for Bell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Bell")
    }
}

impl Bell {
    /// Opens (and makes, 0600) the bell at `path` and begins to listen for other processes' ringing.
    ///
    /// # Errors
    /// Where the file can't be written.
    pub fn open(path: &Path) -> std::io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).truncate(false).write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path)?;
        let count = watch::Sender::new(0);
        let watcher = watch_file(path, count.clone());
        Ok(Self { file: Mutex::new(file), count, _watcher: watcher })
    }

    /// Wakes every listener.
    pub fn ring(&self) {
        self.count.send_modify(|count| *count += 1);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // A bell that can't be rung (the disk is full) only delays other processes.
        let rung = file.seek(SeekFrom::Start(0)).and_then(|_| file.write_all(b"\n"));
        if let Err(error) = rung {
            tracing::debug!(%error, "other processes could not be told of a change");
        }
    }

    /// A listener: it sees a change whenever the bell rang, here or elsewhere, since it last looked.
    pub fn listen(&self) -> watch::Receiver<u64> {
        self.count.subscribe()
    }
}

fn watch_file(path: &Path, count: watch::Sender<u64>) -> Option<Box<dyn notify::Watcher + Send + Sync>> {
    let heard = {
        let count = count.clone();
        move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| !event.kind.is_access()) {
                count.send_modify(|count| *count += 1);
            }
        }
    };
    let native = notify::recommended_watcher(heard.clone()).and_then(|mut watcher| {
        watcher.watch(path, notify::RecursiveMode::NonRecursive)?;
        Ok(Box::new(watcher) as Box<dyn notify::Watcher + Send + Sync>)
    });
    // Where the system gives no file events (some network and overlay file systems, or no watches left), look.
    let result = native.or_else(|error| {
        tracing::info!(%error, "no file events here: looking for changes ten times a second instead");
        let config = notify::Config::default().with_poll_interval(Duration::from_millis(100));
        let mut watcher = notify::PollWatcher::new(heard, config)?;
        watcher.watch(path, notify::RecursiveMode::NonRecursive)?;
        Ok::<_, notify::Error>(Box::new(watcher) as Box<dyn notify::Watcher + Send + Sync>)
    });
    result.inspect_err(|error| tracing::warn!(%error, "changes by other processes will be seen late")).ok()
}
