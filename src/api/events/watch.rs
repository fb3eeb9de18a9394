//! Whether those who follow still may. Owns: [`Watch`]: each credential that holds streams open is looked at again every two
//! seconds, once for all of its streams in this process; one that holds no more ends them. Must not know: how a stream tells.
//!
//! All processes read the same records, so it does not matter which one a key was revoked in, or a session ended. While the
//! store is away streams go on. At most 500 credentials are looked at in a second: beyond a thousand of them it takes longer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::{
    api::credential::Held,
    domain::TenantId,
    engine::Engine,
    security::access::{Permission, Principal},
};

/// How long a round, or a piece of it, is rested after.
const REST: Duration = Duration::from_secs(1);
/// How many credentials are looked at before a rest.
const MOST_A_SECOND: usize = 500;
/// How many of them at one time.
const AT_ONCE: usize = 16;
const FOLLOW: Permission = Permission::literal("jobs:read");
const ALL_TENANTS: Permission = Permission::literal("tenants:manage");

/// A credential by its hash, and for whom it acts.
type Key = (String, TenantId);

/// The credentials behind the streams of this process. Cheap to clone.
#[derive(Clone)]
pub(in crate::api) struct Watch(Arc<Inner>);

struct Inner {
    engine: Engine,
    stopping: CancellationToken,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: HashMap<Key, Watched>,
    is_running: bool,
}

struct Watched {
    credential: Arc<Held>,
    ended: CancellationToken,
    streams: usize,
}

/// A stream's part of it; dropped, it is watched no more.
pub(super) struct Watching {
    watch: Watch,
    key: Key,
    ended: CancellationToken,
}

impl Watching {
    /// Waits until the credential holds no more.
    pub(super) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        let mut state = self.watch.state();
        // Where it has ended it is not among them any more: what is there now is of others, who came when it held again.
        if self.ended.is_cancelled() {
            return;
        }
        if let Some(watched) = state.watched.get_mut(&self.key) {
            watched.streams -= 1;
            if watched.streams == 0 {
                state.watched.remove(&self.key);
            }
        }
    }
}

impl Watch {
    /// Nothing is watched yet.
    pub(in crate::api) fn new(engine: Engine, stopping: CancellationToken) -> Self {
        Self(Arc::new(Inner { engine, stopping, state: Mutex::default() }))
    }

    /// Watches a credential for one more stream of a tenant's job.
    pub(super) fn begin(&self, credential: Held, tenant: &TenantId) -> Watching {
        let key = (credential.fingerprint(), tenant.clone());
        let mut state = self.state();
        let watched = state.watched.entry(key.clone()).or_insert_with(|| Watched {
            credential: Arc::new(credential),
            ended: CancellationToken::new(),
            streams: 0,
        });
        watched.streams += 1;
        let ended = watched.ended.clone();
        if !state.is_running {
            state.is_running = true;
            tokio::spawn(self.clone().run());
        }
        drop(state);
        Watching { watch: self.clone(), key, ended }
    }

    /// Looks, round by round, for as long as there are streams.
    async fn run(self) {
        let rounds = async {
            loop {
                tokio::time::sleep(REST).await;
                let all = self.watched();
                if all.is_empty() {
                    return;
                }
                for some in all.chunks(MOST_A_SECOND) {
                    stream::iter(some).for_each_concurrent(AT_ONCE, |one| self.look(one)).await;
                    tokio::time::sleep(REST).await;
                }
            }
        };
        tokio::select! {
            () = rounds => {}
            () = self.0.stopping.cancelled() => {}
        }
    }

    /// What is watched; where that is nothing, the task is known to have ended.
    fn watched(&self) -> Vec<(Key, Arc<Held>)> {
        let mut state = self.state();
        state.is_running = !state.watched.is_empty();
        state.watched.iter().map(|(key, watched)| (key.clone(), watched.credential.clone())).collect()
    }

    async fn look(&self, (key, credential): &(Key, Arc<Held>)) {
        let tenant = &key.1;
        let may = |principal: &Principal| {
            principal.may(&FOLLOW) && (principal.tenant == *tenant || principal.may(&ALL_TENANTS))
        };
        match credential.still(&self.0.engine).await {
            Ok(principal) if principal.as_ref().is_some_and(may) => {}
            Ok(_) => self.end(key),
            Err(problem) => tracing::debug!(?problem, "whether a stream's credential holds can't be told"),
        }
    }

    /// Ends the streams of a credential that holds no more. Whoever comes with it meanwhile is let in anew, or not.
    fn end(&self, key: &Key) {
        let mut state = self.state();
        if let Some(watched) = state.watched.remove(key) {
            watched.ended.cancel();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Settings;

    #[tokio::test]
    async fn a_stream_that_ends_late_leaves_those_watched_that_came_when_the_credential_held_again() {
        let folder = tempfile::tempdir().unwrap();
        let settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        let watch = Watch::new(Engine::connect(&settings).await.unwrap(), CancellationToken::new());
        let tenant: TenantId = "acme".parse().unwrap();
        let begin = || watch.begin(Held::AccessToken("a token".to_owned().into()), &tenant);
        let slow = [begin(), begin()];
        watch.end(&slow[0].key);
        assert!(slow.iter().all(|one| one.ended.is_cancelled()));
        let fresh = begin();
        drop(slow);
        assert_eq!(watch.state().watched.get(&fresh.key).map(|one| one.streams), Some(1));
        watch.end(&fresh.key);
        assert!(fresh.ended.is_cancelled());
        drop((fresh, begin()));
        assert!(watch.state().watched.is_empty());
    }
}
