//! A handler's way to its tenant's secrets: only under its lease, and audited once an attempt and name. Must not know: how
//! secrets are kept.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use secrecy::SecretString;

use super::{
    context::JobFacts,
    keeper::{LeaseHandle, Order},
};
use crate::{
    domain::{Failure, Reason},
    security::{
        KeyringError,
        audit::{Action, Entry, Outcome},
        seal::SealError,
        vault::{SecretName, Vault, VaultError},
    },
    store::StoreError,
};

/// When a job is offered again whose secret this worker can't open: another one can, or this one will.
const WAIT_FOR_KEYS: Duration = Duration::from_secs(30);
/// When a job is offered again while the store is away.
const WAIT_FOR_STORE: Duration = Duration::from_secs(5);
/// How many different answers of one attempt are audited: a handler that makes names up fills no log.
const MOST_TOLD: usize = 1_000;

/// Which answers the audit log knows of: a name, and whether it was given out. Held for a few instructions at a time.
#[derive(Default)]
pub(super) struct Told(Mutex<BTreeSet<(SecretName, bool)>>);

impl Told {
    /// Whether this is new.
    fn is_news(&self, name: &SecretName, given: bool) -> bool {
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        told.len() < MOST_TOLD && told.insert((name.clone(), given))
    }
}

/// Reads a secret for an attempt.
pub(super) async fn read(
    vault: &Vault,
    job: &JobFacts,
    lease: &LeaseHandle,
    told: &Told,
    name: &str,
) -> Result<SecretString, Failure> {
    let name: SecretName = name.parse().map_err(Failure::fatal)?;
    if lease.order() == Order::Lost {
        tell(vault, job, told, &name, Some("the lease is gone")).await;
        return Err(Failure::LeaseLost);
    }
    let value = match vault.read(&job.tenant, &name).await {
        Ok(value) => value,
        Err(error) => {
            let (why, failure) = judged(error);
            tell(vault, job, told, &name, Some(why)).await;
            return Err(failure);
        }
    };
    // The store may have taken longer than the lease.
    if lease.order() == Order::Lost {
        tell(vault, job, told, &name, Some("the lease is gone")).await;
        return Err(Failure::LeaseLost);
    }
    tell(vault, job, told, &name, None).await;
    Ok((*value).clone())
}

async fn tell(vault: &Vault, job: &JobFacts, told: &Told, name: &SecretName, refused: Option<&str>) {
    if !told.is_news(name, refused.is_none()) {
        return;
    }
    let JobFacts { id, tenant, kind, attempt, epoch, .. } = job;
    let entry = Entry::new(Action::SecretRead).of(tenant).to(name.as_str());
    let entry = entry.with("job", id).with("kind", kind).with("attempt", attempt).with("epoch", epoch);
    let entry = match refused {
        Some(why) => entry.ended(Outcome::Refused).with("reason", why),
        None => entry,
    };
    vault.record(entry).await;
}

/// What the handler is told, and the audit log.
fn judged(error: VaultError) -> (&'static str, Failure) {
    let later = |wait, error: &dyn std::fmt::Display| {
        let reason = Reason::new(format!("a secret can't be read now: {error}"));
        Failure::Snooze { wait, reason }
    };
    match error {
        VaultError::Unknown { .. } => {
            let what = format_args!("{error}; then put the job back: `presswork jobs retry`");
            ("there is no such secret", Failure::fatal(what))
        }
        VaultError::Store(StoreError::Unavailable { .. } | StoreError::Unwritable { .. })
        | VaultError::Keyring(KeyringError::Store(_)) => ("the store is away", later(WAIT_FOR_STORE, &error)),
        // Not the job's fault: another worker has the key or is newer, or this one is given it.
        VaultError::Keyring(
            KeyringError::NoMasterKey
            | KeyringError::MasterKeyLost { .. }
            | KeyringError::MasterKeyAway { .. }
            | KeyringError::NoKey { .. }
            | KeyringError::Master(_),
        )
        | VaultError::Broken { cause: SealError::Newer { .. }, .. } => {
            ("its key is not at hand", later(WAIT_FOR_KEYS, &error))
        }
        VaultError::Broken { .. }
        | VaultError::Keyring(_)
        | VaultError::Store(_)
        | VaultError::Invalid(_)
        | VaultError::TooMany { .. } => ("it can't be opened", Failure::fatal(error)),
    }
}

/// A vault for tests in which no secret is read.
#[cfg(test)]
pub(super) fn no_vault(
    records: &std::sync::Arc<dyn crate::store::Records>,
    clock: std::sync::Arc<dyn crate::domain::Clock>,
    random: std::sync::Arc<dyn crate::domain::Random>,
) -> Vault {
    use crate::security::{Keyring, MasterSource, Recorder};

    struct Silent;

    #[async_trait::async_trait]
    impl Recorder for Silent {
        async fn record(&self, _: Entry) {}
    }

    let keyring = Keyring::new(records, MasterSource::Absent, clock.clone(), random.clone());
    Vault::new(records, &keyring, std::sync::Arc::new(Silent), clock, random)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::TenantId;

    #[test]
    fn what_is_not_the_jobs_fault_costs_it_no_attempt() {
        let (tenant, name): (TenantId, SecretName) = ("acme".parse().unwrap(), "openai".parse().unwrap());
        let away = || StoreError::Unavailable { doing: "look", cause: "cut".into() };
        let broken = |cause| VaultError::Broken { tenant: tenant.clone(), name: name.clone(), cause };
        for later in [
            VaultError::Store(away()),
            VaultError::Keyring(KeyringError::Store(away())),
            VaultError::Keyring(KeyringError::NoMasterKey),
            broken(SealError::Newer { version: 9, algorithm: 9 }),
        ] {
            assert!(matches!(judged(later).1, Failure::Snooze { .. }));
        }
        for never in [
            VaultError::Unknown { tenant: tenant.clone(), name: name.clone() },
            broken(SealError::Foreign),
            VaultError::Store(StoreError::Corrupt("x".to_owned())),
        ] {
            assert!(matches!(judged(never).1, Failure::Fatal(_)));
        }
    }

    #[test]
    fn each_answer_is_news_once_and_names_that_are_made_up_end() {
        let told = Told::default();
        let name: SecretName = "openai".parse().unwrap();
        assert!(told.is_news(&name, false) && told.is_news(&name, true));
        assert!(!told.is_news(&name, false) && !told.is_news(&name, true));
        let made_up = (0..5_000).filter(|n| told.is_news(&format!("n{n}").parse().unwrap(), false));
        assert_eq!(made_up.count(), MOST_TOLD - 2);
    }
}
