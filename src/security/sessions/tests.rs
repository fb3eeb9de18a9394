//! How sessions end, and how they go on without their store.

use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use async_trait::async_trait;
use bytes::Bytes;

use super::{session::MOST_AGENT_BYTES, *};
use crate::{
    domain::{ManualClock, SeededRandom},
    security::{access::Role, users::NewUser},
    store::{
        Record, RecordPage,
        sqlite::{Database, SqliteRecords},
    },
};

const MINUTE: Duration = Duration::from_secs(60);

/// A store that goes away when it is told to.
struct Leaving {
    records: SqliteRecords,
    is_away: AtomicBool,
    /// Whether places of sessions are to be taken away before the next session is kept: somebody lists them then.
    is_listed: AtomicBool,
}

impl Leaving {
    fn there(&self) -> Result<(), StoreError> {
        if self.is_away.load(SeqCst) { Err(away()) } else { Ok(()) }
    }
}

#[async_trait]
impl Records for Leaving {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        self.there()?;
        self.records.get(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        self.there()?;
        if collection == "sessions" && self.is_listed.swap(false, SeqCst) {
            for place in self.records.list("session_places", "", None, 100).await?.items {
                self.records.delete("session_places", &place.key, Expect::Anything).await?;
            }
        }
        self.records.put(collection, key, value, expect, expires_at).await
    }

    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        self.there()?;
        self.records.delete(collection, key, expect).await
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        self.there()?;
        self.records.list(collection, prefix, after, most).await
    }

    async fn sweep(&self) -> Result<usize, StoreError> {
        self.there()?;
        self.records.sweep().await
    }
}

struct World {
    store: Arc<Leaving>,
    users: Users,
    sessions: Sessions,
    clock: Arc<ManualClock>,
    random: Arc<dyn Random>,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let random: Arc<dyn Random> = Arc::new(SeededRandom::new(7));
        let records = SqliteRecords::new(Arc::new(database), clock.clone());
        let store =
            Arc::new(Leaving { records, is_away: AtomicBool::new(false), is_listed: AtomicBool::new(false) });
        let records: Arc<dyn Records> = store.clone();
        let users = Users::new(&records, clock.clone(), random.clone());
        let sessions = Self::process(&store, &users, &clock, &random);
        Self { store, users, sessions, clock, random, _folder: folder }
    }

    /// The sessions as another process sees them.
    fn process(
        store: &Arc<Leaving>,
        users: &Users,
        clock: &Arc<ManualClock>,
        random: &Arc<dyn Random>,
    ) -> Sessions {
        let records: Arc<dyn Records> = store.clone();
        let rules = SessionRules { most: 3, ..SessionRules::default() };
        Sessions::new(&records, users.clone(), rules, clock.clone(), random.clone())
    }

    fn another_process(&self) -> Sessions {
        Self::process(&self.store, &self.users, &self.clock, &self.random)
    }

    async fn user(&self, name: &str) -> User {
        let new = NewUser {
            tenant: "acme".parse().unwrap(),
            name: name.parse().unwrap(),
            role: Role::Producer,
            password: None,
            created_by: "test".to_owned(),
        };
        self.users.create(new).await.unwrap()
    }

    async fn begin(&self, user: &User) -> (Session, SessionText) {
        let by = Beginning { method: "password".to_owned(), ..Beginning::default() };
        self.sessions.begin(user, by).await.unwrap()
    }

    async fn holds(&self, text: &SessionText) -> bool {
        self.sessions.verify(text).await.unwrap().is_some()
    }

    fn leave(&self, is_away: bool) {
        self.store.is_away.store(is_away, SeqCst);
    }
}

#[tokio::test]
async fn a_session_ends_when_it_is_idle_and_goes_on_while_it_is_used_up_to_its_age() {
    let world = World::new();
    let user = world.user("jo").await;
    let (_, idle) = world.begin(&user).await;
    let (_, used) = world.begin(&user).await;
    for _ in 0..28 {
        world.clock.advance(25 * MINUTE);
        assert!(world.holds(&used).await);
        let all = world.sessions.list(&user.tenant, &user.id).await.unwrap();
        assert!(all.iter().any(|session| session.seen_at == world.clock.now()));
    }
    assert!(!world.holds(&idle).await, "nobody used it");
    world.clock.advance(19 * MINUTE);
    assert!(world.holds(&used).await);
    world.clock.advance(MINUTE);
    assert!(!world.holds(&used).await, "it is 12 hours old");
    assert!(world.sessions.list(&user.tenant, &user.id).await.unwrap().is_empty());
}

#[tokio::test]
async fn who_calls_is_the_user_with_his_role_and_only_a_hash_of_the_secret_is_kept() {
    let world = World::new();
    let user = world.user("jo").await;
    let by = Beginning {
        method: "password".to_owned(),
        address: Some([192, 0, 2, 1].into()),
        agent: Some(format!("Browser\r\n{}", "ü".repeat(500))),
    };
    let (session, text) = world.sessions.begin(&user, by).await.unwrap();
    let (found, principal) = world.sessions.verify(&text).await.unwrap().unwrap();
    assert_eq!(found, session);
    assert_eq!(principal.subject, Subject::Session { user: user.id.clone(), session: session.id.clone() });
    assert_eq!((principal.grants, principal.until), (Role::Producer.grants(), Some(session.ends_at)));
    let agent = session.agent.unwrap();
    assert!(agent.len() <= MOST_AGENT_BYTES && !agent.contains(char::is_control), "{agent}");
    let page = world.store.records.list("sessions", "", None, 10).await.unwrap();
    let kept = format!("{} {:?}", page.items[0].key, page.items[0].value);
    assert!(!kept.contains(text.reveal()) && kept.contains(&user.id), "{kept}");
    assert_eq!(world.sessions.verify(&SessionText::new(&SeededRandom::new(9))).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_of_the_user_ends_his_sessions_at_once_and_nobody_elses() {
    let world = World::new();
    let (jo, other) = (world.user("jo").await, world.user("kim").await);
    let (_, untouched) = world.begin(&other).await;
    let (_, text) = world.begin(&jo).await;
    let jo = world.users.end_all(&jo.tenant, &jo.id).await.unwrap().unwrap();
    assert!(!world.holds(&text).await, "he was logged out everywhere");

    let (_, text) = world.begin(&jo).await;
    world.users.set_role(&jo.tenant, &jo.id, Role::Viewer, true).await.unwrap();
    let (_, principal) = world.sessions.verify(&text).await.unwrap().unwrap();
    assert_eq!(principal.grants, Role::Viewer.grants(), "less is so at once");
    world.users.set_role(&jo.tenant, &jo.id, Role::Admin, true).await.unwrap();
    assert!(!world.holds(&text).await, "more needs a new login");

    let jo = world.users.get(&jo.tenant, &jo.id).await.unwrap().unwrap();
    let (_, text) = world.begin(&jo).await;
    world.users.set_disabled(&jo.tenant, &jo.id, true, true).await.unwrap();
    assert!(!world.holds(&text).await, "he is disabled");
    assert!(world.holds(&untouched).await);
}

#[tokio::test]
async fn a_user_ends_one_session_or_this_one_and_nobody_elses() {
    let world = World::new();
    let (jo, other) = (world.user("jo").await, world.user("kim").await);
    let ((one, one_text), (two, two_text)) = (world.begin(&jo).await, world.begin(&jo).await);
    let (tenant, elsewhere) = (jo.tenant.clone(), "globex".parse().unwrap());
    assert_eq!(world.sessions.end(&tenant, &other.id, &one.id).await.unwrap(), None);
    assert_eq!(world.sessions.end(&elsewhere, &jo.id, &one.id).await.unwrap(), None);
    assert!(world.holds(&one_text).await);
    assert_eq!(world.sessions.end(&tenant, &jo.id, &one.id).await.unwrap().unwrap().id, one.id);
    assert!(!world.holds(&one_text).await && world.holds(&two_text).await);
    assert_eq!(world.sessions.end_this(&two_text).await.unwrap().unwrap().id, two.id);
    assert_eq!(world.sessions.end_this(&two_text).await.unwrap(), None);
    assert!(world.sessions.list(&tenant, &jo.id).await.unwrap().is_empty());
    let page = world.store.records.list("session_places", "", None, 10).await.unwrap();
    assert!(page.items.is_empty(), "nothing of them is left");
}

#[tokio::test]
async fn a_rotated_session_goes_on_under_another_secret_and_with_one_too_many_the_oldest_ends() {
    let world = World::new();
    let jo = world.user("jo").await;
    let (first, old) = world.begin(&jo).await;
    let (second, new) = world.sessions.rotate(&old).await.unwrap().unwrap();
    assert!(!world.holds(&old).await && world.holds(&new).await);
    assert_eq!((second.created_at, second.ends_at), (first.created_at, first.ends_at));
    assert_ne!(second.id, first.id);
    assert!(world.sessions.rotate(&old).await.unwrap().is_none());
    let mut texts = vec![new];
    for _ in 0..3 {
        world.clock.advance(Duration::from_secs(1));
        texts.push(world.begin(&jo).await.1);
    }
    assert!(!world.holds(&texts[0]).await, "it was the oldest of four");
    for text in &texts[1..] {
        assert!(world.holds(text).await);
    }
}

#[tokio::test]
async fn sessions_in_use_go_on_without_the_store_for_a_while_and_those_that_ended_stay_ended() {
    let world = World::new();
    let jo = world.user("jo").await;
    let ((_, used), (_, unused)) = (world.begin(&jo).await, world.begin(&jo).await);
    let (_, left) = world.begin(&jo).await;
    assert!(world.holds(&used).await && world.holds(&left).await);
    world.leave(true);
    assert!(world.holds(&used).await);
    assert!(matches!(world.sessions.health(), Health::Away { .. }));
    let unknown = world.sessions.verify(&unused).await;
    assert!(matches!(unknown, Err(StoreError::Unavailable { .. })), "it may hold: nobody here can say");
    // Ending one is refused, for others can't hear of it; here it is over all the same.
    assert!(matches!(world.sessions.end_this(&left).await, Err(StoreError::Unavailable { .. })));
    assert!(!world.holds(&left).await);
    world.clock.advance(4 * MINUTE);
    assert!(world.holds(&used).await);
    world.clock.advance(2 * MINUTE);
    assert!(world.sessions.verify(&used).await.is_err(), "the store has not spoken for it for too long");

    world.leave(false);
    world.clock.advance(PAUSE);
    assert!(world.holds(&used).await);
    assert_eq!(world.sessions.health(), Health::Well);
    assert!(!world.holds(&left).await);
    let elsewhere = world.another_process();
    assert_eq!(elsewhere.verify(&left).await.unwrap(), None, "the store was told");
    assert!(elsewhere.verify(&unused).await.unwrap().is_some());
}

#[tokio::test]
async fn what_one_process_ends_has_ended_in_all() {
    let world = World::new();
    let jo = world.user("jo").await;
    let (_, text) = world.begin(&jo).await;
    let elsewhere = world.another_process();
    assert!(world.holds(&text).await && elsewhere.verify(&text).await.unwrap().is_some());
    elsewhere.end_this(&text).await.unwrap();
    assert!(!world.holds(&text).await);
    world.leave(true);
    assert!(world.sessions.verify(&text).await.is_err(), "and is not remembered where the store has said so");
}

#[tokio::test]
async fn a_session_that_begins_while_they_are_listed_can_be_seen_and_ended() {
    let world = World::new();
    let user = world.user("jo").await;
    world.store.is_listed.store(true, SeqCst);
    let (session, text) = world.begin(&user).await;
    assert!(world.holds(&text).await);
    let listed = world.sessions.list(&user.tenant, &user.id).await.unwrap();
    let ids: Vec<&str> = listed.iter().map(|session| session.id.as_str()).collect();
    assert_eq!(ids, [session.id.as_str()]);
    assert!(world.sessions.end(&user.tenant, &user.id, &session.id).await.unwrap().is_some());
    assert!(!world.holds(&text).await);
}
