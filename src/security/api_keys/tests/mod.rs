//! Keys in an engine's records: who is let in, and what is written down of it.

mod moment;
mod room;

use std::{collections::BTreeMap, net::IpAddr, sync::Mutex, time::Duration};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Notify;

use super::*;
use crate::{
    domain::{ManualClock, SeededRandom},
    security::{
        access::{Grants, Role},
        audit::{Actor, Entry, Outcome},
    },
    store::{
        Record, RecordPage,
        sqlite::{Database, SqliteRecords},
    },
};

/// Records that answer at once, so that no task runs between.
#[derive(Default)]
struct AtOnce(Mutex<BTreeMap<(String, String), Record>>, Mutex<Option<&'static str>>);

impl AtOnce {
    /// Whether the test has said that the next write to this collection fails.
    fn fails(&self, collection: &str) -> Result<(), StoreError> {
        match self.1.lock().unwrap().take_if(|failing| *failing == collection) {
            Some(_) => Err(StoreError::Unavailable { doing: "write", cause: "the test says so".into() }),
            None => Ok(()),
        }
    }
}

#[async_trait]
impl Records for AtOnce {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        Ok(self.0.lock().unwrap().get(&(collection.to_owned(), key.to_owned())).cloned())
    }
    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        _: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        self.fails(collection)?;
        let (mut all, place) = (self.0.lock().unwrap(), (collection.to_owned(), key.to_owned()));
        let version = all.get(&place).map_or(1, |record| record.version + 1);
        all.insert(place, Record { key: key.to_owned(), version, value, expires_at });
        Ok(version)
    }
    async fn delete(&self, collection: &str, key: &str, _: Expect) -> Result<bool, StoreError> {
        Ok(self.0.lock().unwrap().remove(&(collection.to_owned(), key.to_owned())).is_some())
    }
    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        let all = self.0.lock().unwrap();
        let wanted = all.range((collection.to_owned(), after.unwrap_or(prefix).to_owned())..);
        let wanted = wanted.take_while(|((of, key), _)| of == collection && key.starts_with(prefix));
        let wanted = wanted.filter(|((_, key), _)| Some(key.as_str()) != after);
        let mut items: Vec<Record> = wanted.take(most + 1).map(|(_, record)| record.clone()).collect();
        let has_more = items.len() > most;
        items.truncate(most);
        let next = items.last().filter(|_| has_more).map(|last| last.key.clone());
        Ok(RecordPage { items, next })
    }
    async fn sweep(&self) -> Result<usize, StoreError> {
        Ok(0)
    }
}

/// Remembers what the audit log would be told.
#[derive(Default)]
struct Entries(Mutex<Vec<Entry>>, Notify);

#[async_trait]
impl Recorder for Entries {
    async fn record(&self, entry: Entry) {
        self.0.lock().unwrap().push(entry);
        self.1.notify_one();
    }
}

impl Entries {
    /// What was told of one sort of act: how it ended, why, and how many it stands for.
    fn told(&self, action: Action) -> Vec<(Outcome, String, u64)> {
        let mut all = self.0.lock().unwrap();
        let (of_it, others): (Vec<_>, Vec<_>) = all.drain(..).partition(|entry| entry.action == action);
        *all = others;
        let told = |entry: Entry| {
            let why = entry.detail.get("why").or_else(|| entry.detail.get("reason")).cloned();
            (entry.outcome, why.unwrap_or_default(), entry.detail["stands_for"].parse().unwrap())
        };
        of_it.into_iter().map(told).collect()
    }
}

struct World {
    entries: Arc<Entries>,
    keys: ApiKeys,
    records: Arc<dyn Records>,
    clock: Arc<ManualClock>,
    _folder: Option<tempfile::TempDir>,
}

fn world() -> World {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
    world_on(records, clock, Some(folder))
}

/// The same on records that answer at once.
fn world_at_once() -> World {
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
    world_on(Arc::new(AtOnce::default()), clock, None)
}

fn world_on(records: Arc<dyn Records>, clock: Arc<ManualClock>, folder: Option<tempfile::TempDir>) -> World {
    let entries = Arc::new(Entries::default());
    let keys = process(&records, &clock, &entries, 1);
    World { entries, keys, records, clock, _folder: folder }
}

/// The keys as one more process sees them.
fn process(
    records: &Arc<dyn Records>,
    clock: &Arc<ManualClock>,
    entries: &Arc<Entries>,
    seed: u64,
) -> ApiKeys {
    ApiKeys::new(records, entries.clone(), clock.clone(), Arc::new(SeededRandom::new(seed)))
}

fn tenant(name: &str) -> TenantId {
    name.parse().unwrap()
}

fn new(name: &str) -> NewApiKey {
    let (tenant, name) = (tenant("acme"), name.to_owned());
    NewApiKey { tenant, name, grants: Role::Viewer.grants(), from: Vec::new(), expires_at: None }
}

fn from(address: &str) -> Acting {
    let address: Option<IpAddr> = Some(address.parse().unwrap());
    Acting { address, ..Acting::new(Actor::Anonymous) }
}

impl World {
    async fn make(&self, new: NewApiKey) -> (ApiKey, ApiKeyText) {
        self.keys.create(new, &Acting::command_line()).await.unwrap()
    }

    /// What the task that writes does when it is woken.
    async fn step(&self) {
        let ledger = &self.keys.ledger;
        let (uses, refusals) = ledger.take(self.clock.elapsed());
        ledger.write(uses, refusals, false).await;
    }

    async fn holds(&self, text: &ApiKeyText) -> bool {
        self.keys.verify(text.reveal(), &from("192.0.2.1"), true).await.unwrap().is_some()
    }
}

#[tokio::test]
async fn a_key_holds_until_it_expires_or_is_revoked_by_any_process() {
    let world = world();
    let end = world.clock.now().after(Duration::from_secs(60));
    let (_, short) = world.make(NewApiKey { expires_at: Some(end), ..new("short") }).await;
    let (long, text) = world.make(new("long")).await;
    assert!(world.holds(&short).await && world.holds(&text).await);
    world.clock.advance(Duration::from_secs(60));
    assert!(!world.holds(&short).await && world.holds(&text).await);

    let elsewhere = process(&world.records, &world.clock, &world.entries, 2);
    assert!(elsewhere.revoke(&tenant("globex"), &long.id, &Acting::system()).await.unwrap().is_none());
    assert!(world.holds(&text).await, "another tenant's administrator ends nothing");
    elsewhere.revoke(&long.tenant, &long.id, &Acting::system()).await.unwrap().unwrap();
    let there = elsewhere.verify(text.reveal(), &from("192.0.2.1"), true).await.unwrap();
    assert!(there.is_none(), "refused at once by the process that has revoked it");
    world.clock.advance(trust::MOMENT);
    assert!(!world.holds(&text).await, "and within a moment by every other one");
    let found = world.keys.find(&text).await.unwrap().unwrap();
    assert_eq!(found.standing(world.clock.now()), Standing::Revoked);
}

#[tokio::test]
async fn a_key_that_is_bound_to_addresses_holds_nowhere_else() {
    let world = world();
    let ranges = ["203.0.113.0/24", "2001:db8::/32"].map(|range| range.parse().unwrap());
    let (_, text) = world.make(NewApiKey { from: ranges.to_vec(), ..new("bound") }).await;
    for (address, holds) in [
        ("203.0.113.9", true),
        ("::ffff:203.0.113.9", true),
        ("2001:db8::1", true),
        ("203.0.114.1", false),
        ("::1", false),
    ] {
        let found = world.keys.verify(text.reveal(), &from(address), true).await.unwrap();
        assert_eq!(found.is_some(), holds, "{address}");
    }
    // Where nobody knows the address it is none of those.
    let nowhere = Acting::new(Actor::Anonymous);
    assert!(world.keys.verify(text.reveal(), &nowhere, true).await.unwrap().is_none());
}

#[tokio::test]
async fn a_rotated_key_goes_on_for_the_overlap_and_then_its_successor_alone() {
    let world = world();
    let by = Acting::command_line();
    let (old, old_text) = world.make(new("app")).await;
    let hour = Duration::from_secs(3_600);
    let (next, text) = world.keys.rotate(&old.tenant, &old.id, hour, &by).await.unwrap().unwrap();
    assert_eq!((&next.name, &next.grants, next.expires_at), (&old.name, &old.grants, None));
    assert!(world.holds(&old_text).await && world.holds(&text).await);
    let again = world.keys.rotate(&old.tenant, &old.id, hour, &by).await.unwrap_err().to_string();
    assert!(again.contains(&next.id), "{again}");
    world.clock.advance(hour);
    assert!(!world.holds(&old_text).await && world.holds(&text).await);
    assert!(world.keys.rotate(&old.tenant, &old.id, hour, &by).await.is_err(), "it has ended");
    assert!(world.keys.rotate(&tenant("globex"), &next.id, hour, &by).await.unwrap().is_none());
}

#[tokio::test]
async fn keys_are_listed_in_pages_by_tenant_and_forgotten_long_after_their_end() {
    let world = world();
    let by = Acting::command_line();
    let mut ids = Vec::new();
    for n in 0..5 {
        ids.push(world.make(new(&format!("key {n}"))).await.0.id);
    }
    world.make(NewApiKey { tenant: tenant("acme2"), ..new("another's") }).await;
    ids.sort_unstable();
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = world.keys.list(&tenant("acme"), after.as_deref(), 2).await.unwrap();
        assert!(page.items.len() <= 2);
        listed.extend(page.items.into_iter().map(|(key, _)| key.id));
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    assert_eq!(listed, ids);
    assert!(world.keys.list(&tenant("acme"), Some("key_x"), 2).await.is_err());
    world.keys.revoke(&tenant("acme"), &ids[0], &by).await.unwrap().unwrap();
    world.clock.advance(KEPT_AFTER_END);
    assert!(world.keys.get(&tenant("acme"), &ids[0]).await.unwrap().is_none());
    assert_eq!(world.keys.list(&tenant("acme"), None, 10).await.unwrap().items.len(), 4);
}

#[tokio::test]
async fn what_makes_no_sense_is_no_key() {
    let world = world();
    let past = Some(world.clock.now());
    let range: AddressRange = "10.0.0.0/8".parse().unwrap();
    for wrong in [
        new(""),
        new("a\u{1b}[2J"),
        new(&"x".repeat(101)),
        NewApiKey { expires_at: past, ..new("over") },
        NewApiKey { from: vec![range; 33], ..new("wide") },
        NewApiKey { grants: Grants::default(), ..new("idle") },
    ] {
        let error = world.keys.create(wrong, &Acting::command_line()).await.unwrap_err();
        assert!(matches!(error, StoreError::Invalid(_)), "{error}");
    }
}

#[tokio::test]
async fn uses_are_counted_and_the_latest_is_known_over_processes() {
    let world = world();
    let (key, text) = world.make(new("busy")).await;
    let elsewhere = process(&world.records, &world.clock, &world.entries, 2);
    for _ in 0..3 {
        world.keys.verify(text.reveal(), &from("192.0.2.1"), true).await.unwrap().unwrap();
    }
    world.keys.settle().await;
    world.clock.advance(Duration::from_secs(1));
    elsewhere.verify(text.reveal(), &from("2001:db8::1"), true).await.unwrap().unwrap();
    elsewhere.settle().await;
    let (_, used) = world.keys.get(&key.tenant, &key.id).await.unwrap().unwrap();
    let used = used.unwrap();
    assert_eq!((used.uses, used.last_at), (4, world.clock.now()));
    assert_eq!(used.last_address, Some("2001:db8::1".parse().unwrap()));
    // Refusals are no uses.
    world.keys.revoke(&key.tenant, &key.id, &Acting::command_line()).await.unwrap();
    assert!(!world.holds(&text).await);
    world.keys.settle().await;
    assert_eq!(world.keys.get(&key.tenant, &key.id).await.unwrap().unwrap().1.unwrap().uses, 4);
}

#[tokio::test]
async fn uses_are_audited_by_samples_that_say_what_they_stand_for() {
    let world = world_at_once();
    let (_, text) = world.make(new("busy")).await;
    let minute = Duration::from_secs(60);
    let pass = async |time: Duration| {
        world.clock.advance(time);
        world.step().await;
    };
    let uses = async |count: usize, address: &str| {
        for _ in 0..count {
            world.keys.verify(text.reveal(), &from(address), true).await.unwrap().unwrap();
        }
    };
    let told = || world.entries.told(Action::KeyUsed);
    let done = |why: &str, count| vec![(Outcome::Done, why.to_owned(), count)];

    uses(1, "192.0.2.1").await;
    pass(Duration::from_millis(1)).await;
    assert_eq!(told(), done("first use", 1), "at once");
    uses(5, "192.0.2.1").await;
    pass(minute).await;
    assert_eq!(told(), [], "nothing new");
    uses(1, "2001:db8::1").await;
    uses(1, "2001:db8::2").await;
    pass(minute).await;
    assert_eq!(told(), done("new address", 7), "of one IPv6 network");
    uses(1_200, "192.0.2.1").await;
    pass(minute).await;
    assert_eq!(told(), done("sample", 1_200));
    uses(2, "2001:db8::9").await;
    for _ in 0..16 {
        pass(minute).await;
    }
    assert_eq!(told(), done("sample", 2), "the last ones, though none came after them");
    // Another process knows what was used before.
    let elsewhere = process(&world.records, &world.clock, &world.entries, 2);
    elsewhere.verify(text.reveal(), &from("192.0.2.1"), true).await.unwrap().unwrap();
    pass(minute).await;
    assert_eq!(told(), []);
    elsewhere.settle().await;
    assert_eq!(told(), done("sample", 1));
}

#[tokio::test]
async fn every_refusal_is_counted_in_the_audit_log_and_floods_do_not_fill_it() {
    let world = world_at_once();
    let (key, text) =
        world.make(NewApiKey { from: vec!["10.0.0.0/8".parse().unwrap()], ..new("bound") }).await;
    let told = || world.entries.told(Action::CredentialRefused);
    for _ in 0..50 {
        assert!(!world.holds(&text).await);
    }
    assert_eq!(told(), [(Outcome::Refused, "the key may not be used from this address".to_owned(), 1)]);
    world.clock.advance(Duration::from_secs(60));
    world.step().await;
    assert_eq!(told(), [(Outcome::Refused, "the key may not be used from this address".to_owned(), 49)]);

    // Of as many addresses as somebody likes.
    for n in 0..5_000_u32 {
        let by = Acting { address: Some(IpAddr::V4(n.into())), ..Acting::new(Actor::Anonymous) };
        assert!(world.keys.verify("pw_live_x", &by, true).await.unwrap().is_none());
    }
    world.keys.settle().await;
    let told = told();
    assert!(told.len() <= 1_002, "{}", told.len());
    assert_eq!(told.iter().map(|(_, _, count)| count).sum::<u64>(), 5_000);
    world.keys.revoke(&key.tenant, &key.id, &Acting::command_line()).await.unwrap();
    let audited: Vec<_> = world.entries.0.lock().unwrap().iter().map(|entry| entry.action).collect();
    assert_eq!(audited, [Action::KeyCreated, Action::KeyRevoked]);
    let shown = format!("{:?}", world.entries.0.lock().unwrap());
    assert!(!shown.contains(&text.reveal()[8..51]));
}

#[tokio::test]
async fn a_first_use_is_written_down_without_being_asked_for() {
    let world = world();
    let (key, text) = world.make(new("busy")).await;
    assert!(world.holds(&text).await);
    let told = async {
        while world.entries.told(Action::KeyUsed).is_empty() {
            world.entries.1.notified().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), told).await.unwrap();
    assert_eq!(world.keys.get(&key.tenant, &key.id).await.unwrap().unwrap().1.unwrap().uses, 1);
}
