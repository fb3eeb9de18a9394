//! Sessions of browsers. Owns: [`Sessions`], their documents and how long they live. Must not know: HTTP, cookies, how somebody
//! proved who he is.
//!
//! A session is 256 random bits of which only a hash is kept, in the records, so all processes know it. It ends when it was not
//! used for [`SessionRules::idle`], at [`SessionRules::most_age`], when it is ended, when the user's generation rises (password,
//! logout everywhere, disabled), and when his role rises: more may be done only by who logs in anew, with a new secret. Use is
//! noted once a minute, so that a session ends at most a minute early. While the store is away, sessions that it spoke for
//! within five minutes go on in the processes that know them; what ended in this process stays ended, and the store is told
//! when it is back.

mod memory;
mod session;
#[cfg(test)]
mod tests;
mod text;

use std::{sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    access::{Principal, Subject},
    users::{User, Users},
};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    store::{
        Collection, Document, Expect, Records, StoreError,
        breaker::{Breaker, Health, Outcome},
    },
};

pub use session::{Beginning, Session, SessionRules};
pub use text::{SessionText, SessionTextError};

use memory::Memory;

/// How long the store may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often a store that is away is tried.
const PAUSE: Duration = Duration::from_secs(1);
/// How often it is noted at most that a session is in use.
const NOTED_EVERY: Duration = Duration::from_secs(60);

/// Where a session's document is, by its user and id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Place {
    hash: String,
    created_at: Timestamp,
}

/// The sessions of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct Sessions(Arc<Inner>);

struct Inner {
    /// By the hash of their secret.
    sessions: Collection<Session>,
    /// By tenant, user and id.
    places: Collection<Place>,
    users: Users,
    rules: SessionRules,
    memory: Memory,
    breaker: Breaker,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What the store says of a session.
enum Answer {
    Holds(Box<(Document<Session>, Principal)>),
    Gone,
}

impl Sessions {
    /// The sessions in these records.
    pub fn new(
        records: &Arc<dyn Records>,
        users: Users,
        rules: SessionRules,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        Self(Arc::new(Inner {
            sessions: Collection::new(records.clone(), "sessions"),
            places: Collection::new(records.clone(), "session_places"),
            users,
            rules,
            memory: Memory::default(),
            breaker: Breaker::new("sessions", clock.clone(), PATIENCE, PAUSE),
            clock,
            random,
        }))
    }

    /// How long sessions live.
    pub fn rules(&self) -> &SessionRules {
        &self.0.rules
    }

    /// How the store fares, as far as sessions tell.
    pub fn health(&self) -> Health {
        self.0.breaker.health()
    }

    /// Begins a session of somebody who has just proved that he is this user. Its secret is never to be had again.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn begin(&self, user: &User, by: Beginning) -> Result<(Session, SessionText), StoreError> {
        let now = self.0.clock.now();
        let session = Session {
            id: String::new(),
            tenant: user.tenant.clone(),
            user: user.id.clone(),
            generation: user.generation,
            role: user.role,
            method: by.method,
            created_at: now,
            seen_at: now,
            ends_at: now.after(self.0.rules.most_age),
            address: by.address,
            agent: by.agent.map(session::cleaned),
        };
        let begun = self.keep(session).await?;
        self.trim(&user.tenant, &user.id).await?;
        Ok(begun)
    }

    /// Who calls with this secret; `None` where its session is unknown or has ended.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store is away and this process can't speak for the session.
    pub async fn verify(&self, text: &SessionText) -> Result<Option<(Session, Principal)>, StoreError> {
        let (inner, key) = (&*self.0, text.hash());
        if inner.memory.has_ended(&key) {
            return Ok(None);
        }
        let (now, passed) = (inner.clock.now(), inner.clock.elapsed());
        match inner.breaker.call(self.ask(&key, now), is_refusal).await {
            Outcome::Answered(Answer::Gone) => {
                inner.memory.forget(&key);
                Ok(None)
            }
            Outcome::Answered(Answer::Holds(held)) => {
                let (found, principal) = *held;
                self.tell_of_ended().await;
                let session = self.note_use(&key, found, now).await;
                inner.memory.remember(&key, &session, &principal, passed);
                Ok(Some((session, principal)))
            }
            Outcome::Refused(error) => Err(error),
            Outcome::Away => inner.memory.recall(&key, &inner.rules, now, passed).map(Some).ok_or_else(away),
        }
    }

    /// The same without noting that it is in use: for what goes on after a use.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] where the store is away.
    pub async fn look(&self, text: &SessionText) -> Result<Option<Principal>, StoreError> {
        let (inner, key) = (&*self.0, text.hash());
        if inner.memory.has_ended(&key) {
            return Ok(None);
        }
        match inner.breaker.call(self.ask(&key, inner.clock.now()), is_refusal).await {
            Outcome::Answered(Answer::Gone) => Ok(None),
            Outcome::Answered(Answer::Holds(held)) => Ok(Some(held.1)),
            Outcome::Refused(error) => Err(error),
            Outcome::Away => Err(away()),
        }
    }

    /// Gives a session another secret, and another id with it; the old ones hold no more. `None` where it had ended.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn rotate(&self, text: &SessionText) -> Result<Option<(Session, SessionText)>, StoreError> {
        let Some((session, _)) = self.verify(text).await? else { return Ok(None) };
        // Of two who rotate at one time one finds nothing to end any more.
        if !self.0.sessions.delete(&text.hash(), Expect::Anything).await? {
            return Ok(None);
        }
        self.drop_ended(&text.hash(), session.clone()).await?;
        self.keep(session).await.map(Some)
    }

    /// Ends a session by its secret; `None` where it had ended.
    ///
    /// # Errors
    /// [`StoreError`]; also then it has ended in this process.
    pub async fn end_this(&self, text: &SessionText) -> Result<Option<Session>, StoreError> {
        let Some((session, _)) = self.verify(text).await? else { return Ok(None) };
        self.drop_ended(&text.hash(), session.clone()).await?;
        Ok(Some(session))
    }

    /// Ends a user's session; `None` where he has none of this id.
    ///
    /// # Errors
    /// [`StoreError`]; also then it has ended in this process.
    pub async fn end(&self, tenant: &TenantId, user: &str, id: &str) -> Result<Option<Session>, StoreError> {
        let place = match self.0.places.get(&place(tenant, user, id)).await {
            Ok(found) => found,
            Err(error) => {
                if let Some((key, session)) = self.0.memory.find(user, id) {
                    self.0.memory.bury(&key, session);
                }
                return Err(error);
            }
        };
        let Some(Document { value: Place { hash, .. }, .. }) = place else { return Ok(None) };
        let Some(found) = self.0.sessions.get(&hash).await? else { return Ok(None) };
        self.drop_ended(&hash, found.value.clone()).await?;
        Ok(Some(found.value))
    }

    /// A user's sessions that hold, the newest first.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(&self, tenant: &TenantId, user: &str) -> Result<Vec<Session>, StoreError> {
        let (now, mut all) = (self.0.clock.now(), Vec::new());
        let owner = self.0.users.get(tenant, user).await?;
        for Document { key, version, value: Place { hash, .. }, .. } in self.places_of(tenant, user).await? {
            let found = self.0.sessions.get(&hash).await?.map(|found| found.value);
            let holds = |session: &Session| {
                let of_now = owner.as_ref().is_some_and(|owner| holds_for(session, owner));
                of_now && now < session.expires_at(&self.0.rules)
            };
            match found.filter(holds) {
                Some(session) => all.push(session),
                // One that begins just now has a place, and then a newer one.
                None => match self.0.places.delete(&key, Expect::Version(version)).await {
                    Ok(_) | Err(StoreError::Conflict { .. }) => {}
                    Err(error) => return Err(error),
                },
            }
        }
        all.sort_by(|one, other| (other.created_at, &other.id).cmp(&(one.created_at, &one.id)));
        Ok(all)
    }

    /// What the store says of the session that is kept under this hash.
    async fn ask(&self, key: &str, now: Timestamp) -> Result<Answer, StoreError> {
        let inner = &*self.0;
        let Some(found) = inner.sessions.get(key).await? else { return Ok(Answer::Gone) };
        let session = &found.value;
        if now >= session.expires_at(&inner.rules) {
            return Ok(Answer::Gone);
        }
        let user =
            inner.users.current(&session.tenant, &session.user, session.generation, &session.id).await?;
        let Some(user) = user.filter(|user| holds_for(session, user)) else { return Ok(Answer::Gone) };
        let subject = Subject::Session { user: session.user.clone(), session: session.id.clone() };
        let principal = user.principal(subject, Some(session.ends_at));
        Ok(Answer::Holds(Box::new((found, principal))))
    }

    /// Notes that a session is used, where that was not done for a while. Who ends it meanwhile wins.
    async fn note_use(&self, key: &str, found: Document<Session>, now: Timestamp) -> Session {
        let Document { version, value: mut session, .. } = found;
        if now.since(session.seen_at) >= NOTED_EVERY.min(self.0.rules.idle / 10) {
            session.seen_at = now;
            let end = Some(session.expires_at(&self.0.rules));
            match self.0.sessions.put(key, &session, Expect::Version(version), end).await {
                Ok(_) | Err(StoreError::Conflict { .. }) => {}
                Err(error) => tracing::debug!(%error, "the use of a session could not be noted"),
            }
        }
        session
    }

    /// Keeps a session under a new secret and the id that goes with it.
    async fn keep(&self, session: Session) -> Result<(Session, SessionText), StoreError> {
        let text = SessionText::new(&*self.0.random);
        let hash = text.hash();
        let session = Session { id: format!("ses_{}", &hash[..20]), ..session };
        let new = Place { hash: hash.clone(), created_at: session.created_at };
        // The place first: a session that nobody can list could not be ended.
        let key = place(&session.tenant, &session.user, &session.id);
        self.0.places.put(&key, &new, Expect::Nothing, Some(session.ends_at)).await?;
        let end = Some(session.expires_at(&self.0.rules));
        self.0.sessions.put(&hash, &session, Expect::Nothing, end).await?;
        // And after it: who listed the sessions meanwhile has found a place without one, and taken it away.
        self.0.places.put(&key, &new, Expect::Anything, Some(session.ends_at)).await?;
        Ok((session, text))
    }

    /// Ends a session here at once, and in the store; where that is away, when it is back.
    async fn drop_ended(&self, key: &str, session: Session) -> Result<(), StoreError> {
        self.0.memory.bury(key, session.clone());
        match self.0.breaker.call(self.remove(key, &session), is_refusal).await {
            Outcome::Answered(()) => {
                self.0.memory.settle(key);
                Ok(())
            }
            Outcome::Refused(error) => Err(error),
            Outcome::Away => Err(away()),
        }
    }

    async fn remove(&self, key: &str, session: &Session) -> Result<(), StoreError> {
        self.0.sessions.delete(key, Expect::Anything).await?;
        self.0.places.delete(&place(&session.tenant, &session.user, &session.id), Expect::Anything).await?;
        Ok(())
    }

    /// Tells the store of one session that ended while it was away.
    async fn tell_of_ended(&self) {
        let Some((key, session)) = self.0.memory.unsettled() else { return };
        if self.remove(&key, &session).await.is_ok() {
            self.0.memory.settle(&key);
        }
    }

    /// Ends a user's oldest sessions where he has too many.
    async fn trim(&self, tenant: &TenantId, user: &str) -> Result<(), StoreError> {
        let mut places = self.places_of(tenant, user).await?;
        let most = self.0.rules.most;
        if places.len() <= most {
            return Ok(());
        }
        places.sort_by(|one, other| {
            (one.value.created_at, &one.key).cmp(&(other.value.created_at, &other.key))
        });
        let surplus = places.len() - most;
        for Document { key, value: Place { hash, .. }, .. } in places.into_iter().take(surplus) {
            self.0.memory.forget(&hash);
            self.0.sessions.delete(&hash, Expect::Anything).await?;
            self.0.places.delete(&key, Expect::Anything).await?;
        }
        Ok(())
    }

    async fn places_of(&self, tenant: &TenantId, user: &str) -> Result<Vec<Document<Place>>, StoreError> {
        let prefix = place(tenant, user, "");
        // So many may begin at one time beyond the bound before each of them has cut back to it.
        Ok(self.0.places.list(&prefix, None, crate::store::MOST_LISTED).await?.items)
    }
}

/// Whether a session's user is still as he was, and may do no more than he might then.
fn holds_for(session: &Session, user: &User) -> bool {
    !user.disabled && user.generation == session.generation && user.role <= session.role
}

fn place(tenant: &TenantId, user: &str, id: &str) -> String {
    format!("{tenant}/{user}/{id}")
}

fn is_refusal(error: &StoreError) -> bool {
    !matches!(error, StoreError::Unavailable { .. })
}

fn away() -> StoreError {
    StoreError::Unavailable { doing: "look for a session", cause: "the store of sessions is away".into() }
}
