//! Second factors: codes that change with time (RFC 6238: SHA-1, 6 digits, 30 s), and recovery codes. Owns: [`Factors`]. Must
//! not know: HTTP, passwords. A secret is sealed with a key of its tenant's; each step of time and each recovery code is taken
//! once.

mod codes;

use std::sync::Arc;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use totp_rs::{Builder, Secret, Totp, TotpError};
use zeroize::Zeroizing;

use super::{
    Keyring, KeyringError,
    seal::{self, Preamble, SealContext, SealError},
    users::{Account, Factor, User, Users},
};
use crate::{
    domain::{Clock, Random, TenantId},
    store::StoreError,
};

/// Who is named beside the account in an authenticator.
const ISSUER: &str = "Presswork";
/// 160 bits, as RFC 4226 advises.
const SECRET_BYTES: usize = 20;

/// A second factor can't be used, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum FactorError {
    /// As the keyring says.
    #[error(transparent)]
    Keyring(#[from] KeyringError),
    /// As the store says.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Take the factor away and set it up anew: its secret does not open.
    #[error("the secret of a second factor can't be opened ({0}): take it away and set it up anew")]
    Damaged(String),
}

impl From<SealError> for FactorError {
    fn from(error: SealError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<TotpError> for FactorError {
    fn from(error: TotpError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A factor that is being set up: shown once, to him whose it is.
pub struct Setup {
    /// The secret in base 32, to be typed.
    pub secret: Zeroizing<String>,
    /// The same with all around it, to be drawn as a QR code: `otpauth://…`.
    pub url: Zeroizing<String>,
}

/// The second factors of users. Cheap to clone.
#[derive(Clone)]
pub struct Factors {
    users: Users,
    keyring: Keyring,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Factors {
    /// Of these users, sealed with this keyring.
    pub fn new(users: Users, keyring: Keyring, clock: Arc<dyn Clock>, random: Arc<dyn Random>) -> Self {
        Self { users, keyring, clock, random }
    }

    /// Begins to set a factor up; it is asked for once a code of it was [confirmed](Self::confirm). `None` where there is
    /// no such user, or he has one.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn begin(&self, user: &User) -> Result<Option<Setup>, FactorError> {
        let mut secret = Zeroizing::new([0; SECRET_BYTES]);
        self.random.fill(secret.as_mut_slice());
        let (id, key) = self.keyring.newest(&user.tenant).await?;
        let object = object(&user.id);
        let context = SealContext { tenant: &user.tenant, object: &object };
        let sealed = STANDARD.encode(seal::seal(&key, id, &context, secret.as_slice(), &*self.random)?);
        let account = self.users.change(&user.tenant, &user.id, |account| {
            if account.factor.is_none() {
                account.pending = Some(Factor { sealed: sealed.clone(), ..Factor::default() });
            }
        });
        if account.await?.is_none_or(|account| account.factor.is_some()) {
            return Ok(None);
        }
        let totp = totp(secret.as_slice(), user.name.as_str())?;
        let secret = Zeroizing::new(totp.secret().to_base32());
        Ok(Some(Setup { secret, url: Zeroizing::new(totp.to_url()?) }))
    }

    /// Ends the setting up with a code, and answers the recovery codes, which are never to be had again. `None` where
    /// nothing is being set up, or the code is wrong.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn confirm(
        &self,
        tenant: &TenantId,
        id: &str,
        code: &str,
    ) -> Result<Option<Vec<Zeroizing<String>>>, FactorError> {
        let Some(account) = self.users.account(tenant, id).await? else { return Ok(None) };
        let Some(pending) = &account.pending else { return Ok(None) };
        let Some(step) = self.step(&account.user, pending, code).await? else { return Ok(None) };
        let codes = codes::make(&*self.random);
        let hashes: Vec<String> = codes.iter().filter_map(|code| codes::hash(code)).collect();
        let mut is_done = false;
        let changed = self.users.change(tenant, id, |account| {
            is_done = account.pending.as_ref() == Some(pending) && account.factor.is_none();
            if is_done {
                account.pending = None;
                account.factor = Some(Factor {
                    sealed: pending.sealed.clone(),
                    last_step: step,
                    recovery: hashes.clone(),
                });
                account.user.second_factor = true;
            }
        });
        let is_there = changed.await?.is_some();
        Ok((is_there && is_done).then_some(codes))
    }

    /// Whether a code is right: one of the time, or a recovery code. Either is used up by it, wherever in the fleet.
    ///
    /// # Errors
    /// [`FactorError`].
    pub async fn take(&self, tenant: &TenantId, id: &str, code: &str) -> Result<bool, FactorError> {
        let Some(account) = self.users.account(tenant, id).await? else { return Ok(false) };
        let Some(factor) = &account.factor else { return Ok(false) };
        if let Some(hash) = codes::hash(code) {
            return Ok(self.take_recovery(&account, &hash).await?);
        }
        let Some(step) = self.step(&account.user, factor, code).await? else { return Ok(false) };
        let mut is_taken = false;
        let changed = self.users.change(tenant, id, |account| {
            let factor = account.factor.as_mut().filter(|known| known.sealed == factor.sealed);
            let unused = factor.filter(|factor| factor.last_step < step);
            is_taken = unused.is_some();
            if let Some(factor) = unused {
                factor.last_step = step;
            }
        });
        let is_there = changed.await?.is_some();
        Ok(is_there && is_taken)
    }

    /// Takes a user's factor away, and one that is being set up. `None` where there is no such user.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn remove(&self, tenant: &TenantId, id: &str) -> Result<Option<User>, StoreError> {
        let changed = self.users.change(tenant, id, |account| {
            (account.factor, account.pending) = (None, None);
            account.user.second_factor = false;
        });
        Ok(changed.await?.map(|account| account.user))
    }

    async fn take_recovery(&self, account: &Account, hash: &str) -> Result<bool, StoreError> {
        let mut is_taken = false;
        let changed = self.users.change(&account.user.tenant, &account.user.id, |account| {
            is_taken = false;
            if let Some(factor) = &mut account.factor {
                let before = factor.recovery.len();
                factor.recovery.retain(|known| known != hash);
                is_taken = factor.recovery.len() < before;
            }
        });
        let is_there = changed.await?.is_some();
        Ok(is_there && is_taken)
    }

    /// The step of time that a code belongs to, one before or behind now at most; `None` for a wrong or used one.
    async fn step(&self, user: &User, factor: &Factor, code: &str) -> Result<Option<u64>, FactorError> {
        let code = code.trim();
        if code.len() != 6 || !code.bytes().all(|digit| digit.is_ascii_digit()) {
            return Ok(None);
        }
        let sealed =
            STANDARD.decode(&factor.sealed).map_err(|error| FactorError::Damaged(error.to_string()))?;
        let (preamble, _) = Preamble::split(&sealed)?;
        let key = self.keyring.key(&user.tenant, &preamble.key).await?;
        let object = object(&user.id);
        let context = SealContext { tenant: &user.tenant, object: &object };
        let secret = Zeroizing::new(seal::open(&key, &context, &sealed)?);
        let seconds = u64::try_from(self.clock.now().as_millis() / 1_000).unwrap_or(0);
        let step = totp(&secret, user.name.as_str())?.check(code, seconds);
        Ok(step.filter(|step| *step > factor.last_step))
    }
}

/// What a secret is sealed as.
fn object(user: &str) -> String {
    format!("totp/{user}")
}

fn totp(secret: &[u8], name: &str) -> Result<Totp, TotpError> {
    Builder::new().with_secret(Secret::from(secret)).with_account_name(name).with_issuer(Some(ISSUER)).build()
}
