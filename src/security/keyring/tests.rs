//! The keyring on a store, with two processes and a clock that is moved.

use super::*;
use crate::{
    domain::{ManualClock, SystemRandom},
    store::sqlite::{Database, SqliteRecords},
};

const OLD: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222222222222222222222222222";

struct Store {
    folder: tempfile::TempDir,
    records: Arc<dyn Records>,
    clock: Arc<ManualClock>,
}

impl Store {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let records = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
        Self { folder, records, clock }
    }

    /// The keyring of one more process.
    fn keyring(&self, source: MasterSource) -> Keyring {
        Keyring::new(&self.records, source, self.clock.clone(), Arc::new(SystemRandom))
    }

    fn with(&self, masters: &str) -> Keyring {
        self.keyring(MasterSource::Given(masters.parse().unwrap()))
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

#[tokio::test]
async fn processes_that_race_for_a_tenants_first_key_make_one() {
    let store = Store::open();
    let racers: Vec<_> = (0..8)
        .map(|_| {
            let keyring = store.with(OLD);
            tokio::spawn(async move { keyring.newest(&acme()).await.unwrap() })
        })
        .collect();
    let mut keys = Vec::new();
    for racer in racers {
        keys.push(racer.await.unwrap());
    }
    assert!(keys.iter().all(|(id, key)| *id == keys[0].0 && key.expose() == keys[0].1.expose()));
    assert_eq!(store.with(OLD).facts(&acme()).await.unwrap().keys.len(), 1);
}

#[tokio::test]
async fn a_rotation_elsewhere_is_noticed_within_ten_seconds_and_old_keys_stay() {
    let store = Store::open();
    let (here, there) = (store.with(OLD), store.with(OLD));
    let (first, key) = here.newest(&acme()).await.unwrap();
    let facts = there.rotate(&acme()).await.unwrap();
    assert_eq!(facts.keys.iter().map(|key| key.version).collect::<Vec<_>>(), [2, 1]);
    let second = facts.keys[0].id;
    assert_eq!(there.newest(&acme()).await.unwrap().0, second);
    // What is sealed with it there can be opened here at once.
    here.key(&acme(), &second).await.unwrap();
    store.clock.advance(Duration::from_secs(10));
    assert_eq!(here.newest(&acme()).await.unwrap().0, second);
    assert_eq!(store.with(OLD).key(&acme(), &first).await.unwrap().expose(), key.expose());
}

#[tokio::test]
async fn that_a_tenant_seals_is_kept_and_noticed_within_ten_seconds() {
    let store = Store::open();
    let (here, there) = (store.with(OLD), store.with(OLD));
    assert!(!here.seals(&acme()).await.unwrap());
    there.set_seals(&acme(), true).await.unwrap();
    assert!(there.seals(&acme()).await.unwrap());
    store.clock.advance(Duration::from_secs(10));
    assert!(here.seals(&acme()).await.unwrap());
    here.set_seals(&acme(), false).await.unwrap();
    assert!(!here.seals(&acme()).await.unwrap());
    assert_eq!(here.facts(&acme()).await.unwrap().keys.len(), 1, "the key stays for what it has sealed");
}

#[tokio::test]
async fn without_a_master_key_nothing_is_to_be_sealed_and_all_is_said_but_the_key() {
    let store = Store::open();
    let without = store.keyring(MasterSource::Absent);
    let error = without.set_seals(&acme(), true).await.unwrap_err();
    assert!(matches!(error, KeyringError::NoMasterKey), "{error}");
    assert!(error.to_string().contains("PRESSWORK_MASTER_KEY"));
    assert!(!without.seals(&acme()).await.unwrap(), "nothing was changed");
    let (id, _) = store.with(OLD).newest(&acme()).await.unwrap();
    assert!(matches!(without.key(&acme(), &id).await, Err(KeyringError::NoMasterKey)));
    let facts = without.facts(&acme()).await.unwrap();
    assert_eq!((facts.keys[0].id, facts.keys[0].at_hand), (id, false));
}

#[tokio::test]
async fn a_master_key_is_replaced_online() {
    let store = Store::open();
    let (id, key) = store.with(OLD).newest(&acme()).await.unwrap();
    let error = store.with(NEW).newest(&acme()).await.unwrap_err();
    assert!(matches!(error, KeyringError::MasterKeyAway { .. }), "{error}");
    let missed = store.with(NEW).rewrap(&acme()).await.unwrap();
    assert_eq!((missed.rewrapped, missed.missed.len()), (0, 1));

    let both = store.with(&format!("{NEW},{OLD}"));
    assert_eq!(both.rewrap(&acme()).await.unwrap().rewrapped, 1);
    let (same, opened) = store.with(NEW).newest(&acme()).await.unwrap();
    assert_eq!((same, opened.expose()), (id, key.expose()));
    let health = store.with(NEW).health().await.unwrap();
    assert_eq!((health.keys, health.missing.len(), health.made), (1, 0, false));
    assert_eq!(store.with(OLD).health().await.unwrap().missing.len(), 1);
}

#[tokio::test]
async fn a_master_key_is_made_when_it_is_needed_and_never_beside_a_lost_one() {
    let store = Store::open();
    let path = store.folder.path().join("master.key");
    let source = || MasterSource::Made(path.clone());
    let keyring = store.keyring(source());
    assert!(!keyring.seals(&acme()).await.unwrap());
    assert_eq!(keyring.health().await.unwrap().masters, []);
    assert!(!path.exists(), "nobody has asked for a key");
    let (id, key) = keyring.newest(&acme()).await.unwrap();
    assert!(path.exists() && keyring.health().await.unwrap().made);
    assert_eq!(store.keyring(source()).key(&acme(), &id).await.unwrap().expose(), key.expose());

    std::fs::remove_file(&path).unwrap();
    let other = "other".parse().unwrap();
    let error = store.keyring(source()).newest(&other).await.unwrap_err();
    assert!(matches!(error, KeyringError::MasterKeyLost { .. }), "{error}");
    assert!(matches!(store.keyring(source()).key(&acme(), &id).await, Err(KeyringError::NoMasterKey)));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_key_of_another_tenant_is_unknown() {
    let store = Store::open();
    let keyring = store.with(OLD);
    let (id, _) = keyring.newest(&acme()).await.unwrap();
    let other = "other".parse().unwrap();
    assert!(matches!(keyring.key(&other, &id).await, Err(KeyringError::UnknownKey { .. })));
}

#[tokio::test]
async fn all_tenants_are_gone_through_and_what_is_remembered_is_bounded() {
    let store = Store::open();
    let keyring = store.with(OLD);
    for number in 0..PAGE + 3 {
        keyring.newest(&format!("t{number:04}").parse().unwrap()).await.unwrap();
    }
    assert_eq!(keyring.health().await.unwrap().keys, PAGE as u64 + 3);
    let mut last = None;
    let mut seen = 0;
    loop {
        let page = keyring.list(last.as_ref()).await.unwrap();
        seen += page.len();
        match page.last() {
            Some(facts) => last = Some(facts.tenant.clone()),
            None => break,
        }
    }
    assert_eq!(seen, PAGE + 3);
}
