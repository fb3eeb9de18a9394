//! The keys that access tokens are signed with: one document for the fleet, changed by compare-and-set. The private parts are
//! sealed with the keyring, as things of the tenant [`OWNER`]. A new key is published [`AHEAD`] before it signs; an old one
//! verifies until the last token of its own has expired.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, EncodingKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{ACCESS_LIFE, TokenError, crypto};
use crate::{
    domain::{Clock, Random, TenantId, Timestamp},
    security::{
        Keyring,
        seal::{self, Preamble, SealContext},
        text::hex,
    },
    store::{Collection, Records},
};

/// Under whose data key the private parts are. Objects of a tenant that has this name bear other names.
const OWNER: &str = "presswork-signing";
/// The key of the one document.
const DOCUMENT: &str = "access";
/// How long before it signs a key is published, where there is another one.
const AHEAD: Duration = Duration::from_secs(60);
/// How long what was read holds: shorter than [`AHEAD`].
const FRESH: Duration = Duration::from_secs(10);
/// How soon an unknown key may be looked for again.
const LOOK_AGAIN: Duration = Duration::from_secs(1);
/// A key that is older is followed by a new one.
const SIGNS_FOR: Duration = Duration::from_secs(30 * 86_400);
/// For clocks that differ.
const SLACK: Duration = Duration::from_secs(60);
/// Whoever rotates more often waits until old keys are done.
const MOST: usize = 16;

/// What is stored of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    kid: String,
    /// Base 64, as a JWK has it.
    public: String,
    /// The seed, sealed, in base 64.
    sealed: String,
    created_at: Timestamp,
    /// From when on it signs.
    signs_from: Timestamp,
}

type Document = Vec<Stored>;

/// A public key, as RFC 8037 writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PublicKey {
    /// `OKP`
    pub kty: &'static str,
    /// `Ed25519`
    pub crv: &'static str,
    /// `EdDSA`
    pub alg: &'static str,
    /// `sig`
    #[serde(rename = "use")]
    pub purpose: &'static str,
    /// Its id.
    pub kid: String,
    /// The key.
    pub x: String,
}

struct Known {
    read_at: Duration,
    keys: Arc<Document>,
    signer: Option<(String, Arc<EncodingKey>)>,
}

pub(super) struct SigningKeys {
    documents: Collection<Document>,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    /// Held for a few instructions at a time, never across an await.
    known: Mutex<Option<Known>>,
}

impl SigningKeys {
    pub(super) fn new(
        records: &Arc<dyn Records>,
        keyring: Keyring,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        crypto::install();
        let documents = Collection::new(records.clone(), "signing_keys");
        Self { documents, keyring, clock, random, known: Mutex::default() }
    }

    /// The key that a token names.
    pub(super) async fn verifier(&self, kid: &str) -> Result<Option<DecodingKey>, TokenError> {
        let mut keys = self.keys(FRESH).await?;
        if !keys.iter().any(|key| key.kid == kid) {
            keys = self.keys(LOOK_AGAIN).await?;
        }
        let in_force = in_force_from(&keys, self.clock.now());
        let found = keys.iter().find(|key| key.kid == kid && key.signs_from >= in_force);
        found.map(|key| DecodingKey::from_ed_components(&key.public).map_err(TokenError::broken)).transpose()
    }

    /// The key to sign with, and its id; made where there is none, and followed by another where it is old.
    pub(super) async fn signer(&self) -> Result<(String, Arc<EncodingKey>), TokenError> {
        let now = self.clock.now();
        let mut keys = self.keys(FRESH).await?;
        if keys.iter().all(|key| now.since(key.created_at) > SIGNS_FOR) {
            keys = self.add(|keys| keys.iter().all(|key| now.since(key.created_at) > SIGNS_FOR)).await?;
        }
        let key = newest(&keys, now).ok_or_else(|| TokenError::broken("there is no signing key"))?;
        if let Some(known) = &*self.known()
            && let Some((_, signer)) = known.signer.as_ref().filter(|(kid, _)| *kid == key.kid)
        {
            return Ok((key.kid.clone(), signer.clone()));
        }
        let seed = self.open(key).await?;
        let (signer, public) = crypto::signing_key(&seed).map_err(TokenError::broken)?;
        if URL_SAFE_NO_PAD.encode(public) != key.public {
            return Err(TokenError::broken("a signing key's parts do not belong together"));
        }
        let signer = Arc::new(signer);
        if let Some(known) = &mut *self.known() {
            known.signer = Some((key.kid.clone(), signer.clone()));
        }
        Ok((key.kid.clone(), signer))
    }

    /// Makes a new key. It signs once it has been published for a while; at once where the others are known to somebody
    /// else and are `thrown_away`, which ends all access tokens.
    pub(super) async fn rotate(&self, thrown_away: bool) -> Result<(), TokenError> {
        if thrown_away {
            self.documents.delete(DOCUMENT, crate::store::Expect::Anything).await?;
        }
        self.add(|_| true).await.map(|_| ())
    }

    /// The public parts, those that sign soon among them.
    pub(super) async fn public(&self) -> Result<Vec<PublicKey>, TokenError> {
        let public = |key: &Stored| PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            purpose: "sig",
            kid: key.kid.clone(),
            x: key.public.clone(),
        };
        let keys = self.keys(FRESH).await?;
        let in_force = in_force_from(&keys, self.clock.now());
        Ok(keys.iter().filter(|key| key.signs_from >= in_force).map(public).collect())
    }

    /// Adds a key where that is `wanted` still, and takes out those that nothing is verified with any more.
    async fn add(
        &self,
        wanted: impl Fn(&[Stored]) -> bool + Send + Sync,
    ) -> Result<Arc<Document>, TokenError> {
        let now = self.clock.now();
        let made = self.make(now).await?;
        let mut is_full = false;
        let changed = self.documents.update(DOCUMENT, |document| {
            let keys = document.get_or_insert_default();
            let in_force = in_force_from(keys, now);
            keys.retain(|key| key.signs_from >= in_force);
            let is_wanted = wanted(keys);
            is_full = is_wanted && keys.len() >= MOST;
            if !is_wanted || is_full {
                return;
            }
            let signs_from = if keys.is_empty() { now } else { now.after(AHEAD) };
            keys.push(Stored { signs_from, ..made.clone() });
        });
        changed.await?;
        if is_full {
            let problem = "16 were made within minutes: wait until the old ones are done, or throw them away";
            return Err(TokenError::broken(problem));
        }
        *self.known() = None;
        self.keys(Duration::ZERO).await
    }

    async fn make(&self, now: Timestamp) -> Result<Stored, TokenError> {
        let (mut seed, mut id) = (Zeroizing::new([0; 32]), [0; 8]);
        self.random.fill(seed.as_mut_slice());
        self.random.fill(&mut id);
        let kid = hex(&id);
        let (_, public) = crypto::signing_key(seed.as_slice()).map_err(TokenError::broken)?;
        let (owner, object) = (owner()?, object(&kid));
        let (key_id, key) = self.keyring.newest(&owner).await?;
        let context = SealContext { tenant: &owner, object: &object };
        let sealed = seal::seal(&key, key_id, &context, seed.as_slice(), &*self.random);
        let sealed = URL_SAFE_NO_PAD.encode(sealed.map_err(TokenError::broken)?);
        Ok(Stored { kid, public: URL_SAFE_NO_PAD.encode(public), sealed, created_at: now, signs_from: now })
    }

    async fn open(&self, key: &Stored) -> Result<Zeroizing<Vec<u8>>, TokenError> {
        let sealed = URL_SAFE_NO_PAD.decode(&key.sealed).map_err(TokenError::broken)?;
        let (preamble, _) = Preamble::split(&sealed).map_err(TokenError::broken)?;
        let (owner, object) = (owner()?, object(&key.kid));
        let data_key = self.keyring.key(&owner, &preamble.key).await?;
        let context = SealContext { tenant: &owner, object: &object };
        Ok(Zeroizing::new(seal::open(&data_key, &context, &sealed).map_err(TokenError::broken)?))
    }

    async fn keys(&self, most: Duration) -> Result<Arc<Document>, TokenError> {
        let now = self.clock.elapsed();
        if let Some(known) = &*self.known()
            && now.checked_sub(known.read_at).is_some_and(|age| age < most)
        {
            return Ok(known.keys.clone());
        }
        let read = self.documents.get(DOCUMENT).await?;
        let keys = Arc::new(read.map(|read| read.value).unwrap_or_default());
        let mut known = self.known();
        let signer = known.take().and_then(|known| known.signer);
        *known = Some(Known { read_at: now, keys: keys.clone(), signer });
        Ok(keys)
    }

    fn known(&self) -> std::sync::MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The newest key that signs already.
fn newest(keys: &[Stored], now: Timestamp) -> Option<&Stored> {
    keys.iter().filter(|key| key.signs_from <= now).max_by_key(|key| key.signs_from).or(keys.first())
}

/// From when on those sign that are in force: a key verifies no more once its follower has signed for as long as a token lives.
fn in_force_from(keys: &[Stored], now: Timestamp) -> Timestamp {
    let done_by = now.before(ACCESS_LIFE + FRESH + SLACK);
    let followers = keys.iter().map(|key| key.signs_from).filter(|from| *from <= done_by);
    followers.max().unwrap_or(Timestamp::EPOCH)
}

fn owner() -> Result<TenantId, TokenError> {
    OWNER.parse().map_err(TokenError::broken)
}

fn object(kid: &str) -> String {
    format!("signing-key/{kid}")
}
