//! The vault on SQLite: who can open what, what stays open for how long, and what a rotation leaves readable.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;

use super::{cache::TRUSTED_FOR, *};
use crate::{
    domain::{ManualClock, SeededRandom, Timestamp},
    security::{KeyringError, MasterSource},
    store::{
        Record, RecordPage,
        sqlite::{Database, SqliteRecords},
    },
};

const OLD: &str = "1111111111111111111111111111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222222222222222222222222222";

/// Records that are away as long as the way to them is cut.
struct Cut(Arc<dyn Records>, AtomicBool);

impl Cut {
    fn way(&self) -> Result<&dyn Records, StoreError> {
        let away = || StoreError::Unavailable { doing: "look", cause: "the way is cut".into() };
        if self.1.load(Ordering::SeqCst) { Err(away()) } else { Ok(&*self.0) }
    }
}

#[async_trait]
impl Records for Cut {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        self.way()?.get(collection, key).await
    }
    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        end: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        self.way()?.put(collection, key, value, expect, end).await
    }
    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        self.way()?.delete(collection, key, expect).await
    }
    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        self.way()?.list(collection, prefix, after, most).await
    }
    async fn sweep(&self) -> Result<usize, StoreError> {
        self.way()?.sweep().await
    }
}

/// Remembers what the audit log would be told.
#[derive(Default)]
struct Entries(Mutex<Vec<Entry>>);

#[async_trait]
impl Recorder for Entries {
    async fn record(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
    }
}

struct World {
    entries: Arc<Entries>,
    records: Arc<dyn Records>,
    cut: Arc<Cut>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let cut = Arc::new(Cut(
        Arc::new(SqliteRecords::new(Arc::new(database), clock.clone())),
        AtomicBool::new(false),
    ));
    World { entries: Arc::default(), records: cut.clone(), cut, clock, _folder: folder }
}

impl World {
    /// The vault as one more process sees it.
    fn vault(&self, masters: &str) -> (Vault, Keyring) {
        let (clock, random) = (self.clock.clone(), Arc::new(SeededRandom::new(masters.len() as u64)));
        let masters = MasterSource::Given(masters.parse().unwrap());
        let keyring = Keyring::new(&self.records, masters, clock.clone(), random.clone());
        let vault = Vault::new(&self.records, &keyring, self.entries.clone(), clock, random);
        (vault, keyring)
    }

    async fn record(&self, key: &str) -> Record {
        self.records.get("secrets", key).await.unwrap().unwrap()
    }
}

fn acme() -> TenantId {
    "acme".parse().unwrap()
}

fn name(text: &str) -> SecretName {
    text.parse().unwrap()
}

async fn set(vault: &Vault, what: &str, value: &str) -> SecretFacts {
    vault.set(&acme(), &name(what), &SecretString::from(value), &Acting::system()).await.unwrap()
}

async fn read(vault: &Vault, what: &str) -> Result<String, VaultError> {
    vault.read(&acme(), &name(what)).await.map(|value| value.expose_secret().to_owned())
}

#[tokio::test]
async fn a_secret_is_kept_sealed_by_versions_and_read_by_its_tenant_alone() {
    let world = world();
    let (vault, _) = world.vault(OLD);
    assert_eq!(set(&vault, "openai", "sk-hunter2").await.version, 1);
    assert_eq!(set(&vault, "openai", "sk-hunter3").await.version, 2);
    assert_eq!(read(&vault, "openai").await.unwrap(), "sk-hunter3");
    let stored = world.record("acme/openai").await;
    assert!(!String::from_utf8_lossy(&stored.value).contains("hunter"));
    assert!(
        !format!("{vault:?} {stored:?} {:?}", vault.read(&acme(), &name("openai")).await).contains("hunter")
    );
    let other = vault.read(&"globex".parse().unwrap(), &name("openai")).await.unwrap_err();
    assert!(other.to_string().contains("secrets set openai --tenant globex"), "{other}");
    assert!(vault.remove(&acme(), &name("openai"), &Acting::system()).await.unwrap());
    assert!(matches!(read(&vault, "openai").await, Err(VaultError::Unknown { .. })));
    assert!(!vault.remove(&acme(), &name("openai"), &Acting::system()).await.unwrap());
    for wrong in [String::new(), "x".repeat(MOST_SECRET_BYTES + 1)] {
        let refused = vault.set(&acme(), &name("x"), &wrong.into(), &Acting::system()).await;
        assert!(matches!(refused, Err(VaultError::Invalid(_))));
    }
    set(&vault, "x", &"x".repeat(MOST_SECRET_BYTES)).await;
    let told = std::mem::take(&mut *world.entries.0.lock().unwrap());
    assert!(!format!("{told:?}").contains("hunter"));
    let told: Vec<_> = told.into_iter().map(|entry| (entry.action, entry.target.unwrap())).collect();
    let [stored, removed] = [Action::SecretStored, Action::SecretRemoved];
    assert_eq!(told.len(), 4, "what was refused changed nothing");
    assert_eq!(
        told[..3],
        [(stored, "openai".to_owned()), (stored, "openai".to_owned()), (removed, "openai".to_owned())]
    );
}

#[tokio::test]
async fn a_record_that_was_moved_changed_or_put_back_does_not_open() {
    let world = world();
    let (vault, keyring) = world.vault(OLD);
    set(&vault, "openai", "sk-hunter2").await;
    let first = world.record("acme/openai").await.value;
    set(&vault, "openai", "sk-hunter3").await;
    keyring.newest(&"globex".parse().unwrap()).await.unwrap();
    let text = String::from_utf8(first.to_vec()).unwrap();
    let sealed = text.split("\"sealed\":\"").nth(1).unwrap().split('"').next().unwrap();
    let second = String::from_utf8(world.record("acme/openai").await.value.to_vec()).unwrap();
    let newer = second.split("\"sealed\":\"").nth(1).unwrap().split('"').next().unwrap();

    let mut forged = vec![
        ("acme", "other", text.clone()),
        ("globex", "openai", text.clone()),
        // An older value in the place of the newer one.
        ("acme", "openai", second.replace(newer, sealed)),
        ("acme", "openai", text.replace(sealed, "")),
        ("acme", "openai", text.replace(sealed, "no base64")),
        ("acme", "openai", text.replace(sealed, &sealed[..sealed.len() - 4])),
    ];
    for place in (0..sealed.len()).step_by(3) {
        let digit = if sealed.as_bytes()[place] == b'A' { "B" } else { "A" };
        let changed = format!("{}{digit}{}", &sealed[..place], &sealed[place + 1..]);
        forged.push(("acme", "openai", text.replace(sealed, &changed)));
    }
    for (tenant, what, record) in forged {
        // A process that has nothing of it open.
        let (vault, _) = world.vault(OLD);
        let key = format!("{tenant}/{what}");
        world.records.put("secrets", &key, record.clone().into(), Expect::Anything, None).await.unwrap();
        let error = vault.read(&tenant.parse().unwrap(), &name(what)).await.unwrap_err();
        let wrong_key = matches!(error, VaultError::Keyring(KeyringError::UnknownKey { .. }));
        assert!(wrong_key || matches!(error, VaultError::Broken { .. }), "{error}: {record}");
        assert!(!error.to_string().contains("hunter"), "{error}");
    }
}

#[tokio::test]
async fn a_change_is_seen_here_at_once_and_elsewhere_within_ten_seconds() {
    let world = world();
    let ((here, _), (there, _)) = (world.vault(OLD), world.vault(OLD));
    set(&here, "openai", "first").await;
    assert_eq!(read(&there, "openai").await.unwrap(), "first");
    set(&here, "openai", "second").await;
    assert_eq!(read(&here, "openai").await.unwrap(), "second");
    world.clock.advance(TRUSTED_FOR);
    assert_eq!(read(&there, "openai").await.unwrap(), "second");
    // Removed and stored anew: the version is the same, the value is not.
    here.remove(&acme(), &name("openai"), &Acting::system()).await.unwrap();
    set(&here, "openai", "third").await;
    set(&here, "openai", "fourth").await;
    world.clock.advance(TRUSTED_FOR);
    assert_eq!(read(&there, "openai").await.unwrap(), "fourth");
    here.remove(&acme(), &name("openai"), &Acting::system()).await.unwrap();
    assert!(read(&here, "openai").await.is_err());
    world.clock.advance(TRUSTED_FOR);
    assert!(read(&there, "openai").await.is_err());
}

#[tokio::test]
async fn what_is_open_outlives_an_outage_of_the_store_by_five_minutes_at_most() {
    let world = world();
    let (vault, _) = world.vault(OLD);
    set(&vault, "openai", "sk-hunter2").await;
    read(&vault, "openai").await.unwrap();
    world.cut.1.store(true, Ordering::SeqCst);
    let minutes = Duration::from_secs(5 * 60);
    world.clock.advance(minutes - Duration::from_micros(1));
    assert_eq!(read(&vault, "openai").await.unwrap(), "sk-hunter2");
    assert!(matches!(read(&vault, "other").await, Err(VaultError::Store(StoreError::Unavailable { .. }))));
    let failed = vault.set(&acme(), &name("openai"), &SecretString::from("x"), &Acting::system()).await;
    assert!(failed.is_err());
    world.clock.advance(Duration::from_micros(1));
    assert!(matches!(read(&vault, "openai").await, Err(VaultError::Store(StoreError::Unavailable { .. }))));
    world.cut.1.store(false, Ordering::SeqCst);
    assert_eq!(read(&vault, "openai").await.unwrap(), "sk-hunter2");
}

#[tokio::test]
async fn what_is_open_is_wiped_after_five_minutes_though_nobody_asks() {
    let world = world();
    let (vault, _) = world.vault(OLD);
    set(&vault, "openai", "sk-hunter2").await;
    let value = Arc::downgrade(&vault.read(&acme(), &name("openai")).await.unwrap());
    assert!(
        value.upgrade().is_some() && vault.opened().is_watched,
        "it is open, and a task waits for its end"
    );
    // What the task does, and for how long it waits.
    let inner = Arc::downgrade(&vault.0);
    assert_eq!(wipe(&inner), Some(cache::OPENED_FOR));
    world.clock.advance(cache::OPENED_FOR - Duration::from_secs(1));
    assert_eq!(wipe(&inner), Some(Duration::from_secs(1)));
    world.clock.advance(Duration::from_secs(1));
    assert_eq!(wipe(&inner), None);
    assert!(value.upgrade().is_none() && vault.opened().values.len() == 0 && !vault.opened().is_watched);
    read(&vault, "openai").await.unwrap();
    assert!(vault.opened().is_watched, "another one is waited for again");
    drop(vault);
    assert_eq!(wipe(&inner), None, "the task ends with the vault");
}

#[tokio::test]
async fn data_and_master_keys_are_rotated_while_secrets_are_in_use() {
    let world = world();
    let (vault, keyring) = world.vault(OLD);
    for n in 0..3 {
        set(&vault, &format!("key-{n}"), &format!("value {n}")).await;
    }
    let old = vault.facts(&acme(), &name("key-0")).await.unwrap().unwrap().sealed_with.unwrap();
    let new = keyring.rotate(&acme()).await.unwrap().keys[0].id;
    set(&vault, "key-2", "value 2").await;
    for n in 0..3 {
        assert_eq!(read(&vault, &format!("key-{n}")).await.unwrap(), format!("value {n}"));
    }
    let done = vault.rewrap(&acme(), &Acting::system()).await.unwrap();
    assert_eq!(done, Resealed { resealed: 2, broken: 0 });
    assert_eq!(vault.rewrap(&acme(), &Acting::system()).await.unwrap(), Resealed::default());
    for n in 0..3 {
        let facts = vault.facts(&acme(), &name(&format!("key-{n}"))).await.unwrap().unwrap();
        assert!(old != new && facts.sealed_with == Some(new));
        assert_eq!(facts.version, if n == 2 { 2 } else { 1 }, "rewrapping makes no version");
        assert_eq!(read(&vault, &format!("key-{n}")).await.unwrap(), format!("value {n}"));
    }

    // The master key: with both at hand all is wrapped anew, and then the old one is not needed.
    let (_, both) = world.vault(&format!("{NEW},{OLD}"));
    assert_eq!(both.rewrap(&acme()).await.unwrap().rewrapped, 2);
    let (vault, _) = world.vault(NEW);
    assert_eq!(read(&vault, "key-1").await.unwrap(), "value 1");
    let (vault, _) = world.vault(OLD);
    let error = read(&vault, "key-1").await.unwrap_err();
    assert!(matches!(error, VaultError::Keyring(KeyringError::MasterKeyAway { .. })), "{error}");
}

#[tokio::test]
async fn secrets_are_listed_in_pages_by_tenant_and_are_only_so_many() {
    let world = world();
    let (vault, _) = world.vault(OLD);
    for n in 0..MOST_SECRETS {
        set(&vault, &format!("n{n:04}"), "x").await;
    }
    let one_more = vault.set(&acme(), &name("more"), &SecretString::from("x"), &Acting::system()).await;
    assert!(matches!(one_more, Err(VaultError::TooMany { .. })));
    set(&vault, "n0001", "a new value of one that is there").await;
    let acme2: TenantId = "acme2".parse().unwrap();
    vault.set(&acme2, &name("theirs"), &SecretString::from("x"), &Acting::system()).await.unwrap();
    let (mut names, mut after) = (Vec::new(), None);
    loop {
        let page = vault.list(&acme(), after.as_ref(), 300).await.unwrap();
        names.extend(page.items.into_iter().map(|facts| facts.name));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert!(names.len() == MOST_SECRETS && names.is_sorted(), "{}", names.len());
}
