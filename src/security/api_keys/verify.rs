//! Whether a key is let in, and how it is looked up. Must not know: how keys are made and changed.

use std::sync::Arc;

use super::{ApiKey, ApiKeyText, ApiKeys, Found, Known, Standing, digest, ledger::Refusal, trust::Digest};
use crate::{
    security::{Acting, text::hex},
    store::{Collection, StoreError},
};

impl ApiKeys {
    /// The key of this text, where it holds now and may be used from there. Uses and refusals are written down and audited:
    /// samples of them, each with the number that it stands for. The caller learns nothing of what was wrong. Where what was
    /// read a moment ago is not `is_trusted`, the store is asked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn verify(
        &self,
        text: &str,
        by: &Acting,
        is_trusted: bool,
    ) -> Result<Option<Arc<Known>>, StoreError> {
        let Ok(text) = text.parse::<ApiKeyText>() else {
            self.ledger.refused(Refusal::Malformed, None, by).await;
            return Ok(None);
        };
        let digest = digest(&text);
        let known = match self.trust.get(&digest).filter(|_| is_trusted) {
            Some(known) => known,
            None => {
                let begun = self.trust.begin();
                let Some(key) = self.read(digest).await? else {
                    self.ledger.refused(Refusal::Unknown, None, by).await;
                    return Ok(None);
                };
                let known = Arc::new(Known::new(key));
                self.trust.keep(digest, &known, begun);
                known
            }
        };
        match self.refusal(&known.key, by) {
            None => {
                self.ledger.used(&known, by);
                Ok(Some(known))
            }
            Some(refusal) => {
                self.ledger.refused(refusal, Some(&known.key), by).await;
                Ok(None)
            }
        }
    }

    /// The same where what is known of the key is trusted still and it holds: at once. Else nothing, and nothing is written down.
    pub fn recall(&self, text: &str, by: &Acting) -> Option<Arc<Known>> {
        let known = self.trust.get(&digest(&text.parse().ok()?))?;
        if self.refusal(&known.key, by).is_some() {
            return None;
        }
        self.ledger.used(&known, by);
        Some(known)
    }

    /// Why a key does not hold now, there.
    fn refusal(&self, key: &ApiKey, by: &Acting) -> Option<Refusal> {
        match key.standing(self.clock.now()) {
            Standing::Holds if key.takes(by.address) => None,
            Standing::Holds => Some(Refusal::Address),
            Standing::Expired => Some(Refusal::Expired),
            Standing::Revoked => Some(Refusal::Revoked),
        }
    }

    /// Notes that an access token was refused, as refusals of keys are noted: whoever makes tokens up fills no log.
    pub async fn refused_token(&self, by: &Acting) {
        self.ledger.refused(Refusal::Token, None, by).await;
    }

    /// Notes that a session was refused, in the same way.
    pub async fn refused_session(&self, by: &Acting) {
        self.ledger.refused(Refusal::Session, None, by).await;
    }

    /// What is known of the key of this text, whether it holds or not: for those who have found one. No use of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn find(&self, text: &ApiKeyText) -> Found {
        self.read(digest(text)).await
    }

    async fn read(&self, digest: Digest) -> Found {
        let keys = self.keys.clone();
        // Read after each of them has asked, so that none is let in by what was read before.
        let answer = self.finds.ask(digest, move |callers| find(keys.clone(), hex(&digest), callers)).await;
        let lost =
            || StoreError::Unavailable { doing: "look up an API key", cause: "the call was given up".into() };
        answer.unwrap_or_else(|| Err(lost()))
    }

    /// The key of this text, where it holds now. No use of it: for what goes on after a use.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn look(&self, text: &ApiKeyText) -> Result<Option<ApiKey>, StoreError> {
        let found = self.find(text).await?;
        Ok(found.filter(|key| key.standing(self.clock.now()) == Standing::Holds))
    }
}

/// Reads a key for so many callers.
async fn find(keys: Collection<ApiKey>, hash: String, callers: usize) -> Vec<Found> {
    let found = keys.get(&hash).await.map(|found| found.map(|found| found.value));
    let again = |_| match &found {
        Ok(key) => Ok(key.clone()),
        Err(error) => Err(error.again()),
    };
    let mut all: Vec<Found> = (1..callers).map(again).collect();
    all.push(found);
    all
}
