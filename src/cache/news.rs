//! Invalidations that other processes tell of. Owns: the message, the listener and its beginning. Must not know: where
//! entries are kept, how a lost connection comes back.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{
    core::{Core, Hearing},
    key::Pattern,
    shared::Shared,
};
use crate::{domain::TenantId, store::redis::channels};

/// How long one waits before one tries again to subscribe, at first and at most.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(1));

/// What is said on the channel: these entries of a tenant are out of date. JSON.
#[derive(Serialize, Deserialize)]
pub(super) struct News {
    tenant: TenantId,
    pattern: String,
}

impl News {
    pub(super) fn message(tenant: &TenantId, pattern: &Pattern) -> Vec<u8> {
        let news = Self { tenant: tenant.clone(), pattern: pattern.as_str().to_owned() };
        // Two texts are always JSON.
        serde_json::to_vec(&news).unwrap_or_default()
    }

    /// What a message says; `None` where it makes no sense.
    pub(super) fn read(message: &[u8]) -> Option<(TenantId, Pattern)> {
        let news: Self = serde_json::from_slice(message).ok()?;
        Some((news.tenant, news.pattern.parse().ok()?))
    }
}

/// Subscribes, however often that fails; from then on the ear, which lives as long as the cache, hears.
pub(super) async fn listen(core: Weak<Core>, shared: Arc<Shared>) {
    let mut pause = PAUSES.0;
    loop {
        let Some(strong) = core.upgrade() else { return };
        strong.hears(Hearing::NotYet);
        drop(strong);
        let hearing = core.clone();
        let listener = move |news: channels::News<'_>| {
            let Some(core) = hearing.upgrade() else { return };
            match news {
                channels::News::Message(message) => core.hear(message),
                channels::News::Lost => core.hears(Hearing::Lost),
                channels::News::Missed => core.hears(Hearing::All),
            }
        };
        match shared.listen(Arc::new(listener)).await {
            Ok(ear) => {
                if let Some(core) = core.upgrade() {
                    core.listens(ear);
                }
                return;
            }
            // Told in the log by whoever calls the store.
            Err(error) => tracing::debug!(%error, "invalidations of other processes can't be heard"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSES.1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn news_survive_their_text_and_nonsense_is_none() {
        let (tenant, pattern) = ("acme".parse().unwrap(), "chapter:\"é\"*".parse().unwrap());
        assert_eq!(News::read(&News::message(&tenant, &pattern)), Some((tenant, pattern)));
        for bad in ["", "{}", r#"{"tenant":"../x","pattern":"*"}"#, r#"{"tenant":"a","pattern":""}"#] {
            assert!(News::read(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
