//! Tokens under a clock that is moved.

use super::*;
use crate::{
    domain::{ManualClock, SystemRandom},
    security::{MasterSource, access::Role, users::NewUser},
    store::sqlite::{Database, SqliteRecords},
};

struct Store {
    _folder: tempfile::TempDir,
    records: Arc<dyn Records>,
    clock: Arc<ManualClock>,
}

impl Store {
    fn open() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let clock = Arc::new(ManualClock::at(Timestamp::from_millis(1_800_000_000_000)));
        let records = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
        Self { _folder: folder, records, clock }
    }

    /// The tokens of one more process.
    fn process(&self) -> Tokens {
        let (clock, random) = (self.clock.clone(), Arc::new(SystemRandom));
        let master = MasterSource::Given("11".repeat(32).parse().unwrap());
        let keyring = Keyring::new(&self.records, master, clock.clone(), random.clone());
        let users = Users::new(&self.records, clock.clone(), random.clone());
        Tokens::new(&self.records, users, keyring, clock, random)
    }

    fn pass(&self, seconds: u64) {
        self.clock.advance(Duration::from_secs(seconds));
    }
}

async fn jo(tokens: &Tokens) -> User {
    let new = NewUser {
        tenant: "acme".parse().unwrap(),
        name: "jo".parse().unwrap(),
        role: Role::Viewer,
        password: None,
        created_by: "test".to_owned(),
    };
    tokens.users.create(new).await.unwrap()
}

fn address(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

async fn next(tokens: &Tokens, text: &str, from: &str) -> Option<Issued> {
    match tokens.refresh(text, address(from)).await.unwrap() {
        Refreshed::Issued(issued) => Some(*issued),
        Refreshed::Refused | Refreshed::Reused { .. } => None,
    }
}

#[tokio::test]
async fn a_refresh_token_is_answered_alike_for_ten_seconds_and_from_one_address_only() {
    for (wait, from, holds) in [(9, "192.0.2.1", true), (11, "192.0.2.1", false), (0, "192.0.2.2", false)] {
        let store = Store::open();
        let tokens = store.process();
        let issued = tokens.issue(&jo(&tokens).await).await.unwrap();
        let first = next(&tokens, issued.refresh(), "192.0.2.1").await.unwrap();
        store.pass(wait);
        let again = next(&store.process(), issued.refresh(), from).await;
        assert_eq!(
            again.map(|again| again.refresh() == first.refresh()),
            holds.then_some(true),
            "{wait} {from}"
        );
        let access = tokens.principal(first.access()).await.unwrap();
        assert_eq!(access.is_some(), holds, "{wait} {from}");
        assert_eq!(next(&tokens, first.refresh(), "192.0.2.1").await.is_some(), holds, "{wait} {from}");
    }
}

#[tokio::test]
async fn a_login_ends_when_it_rests_and_when_it_is_old() {
    let store = Store::open();
    let tokens = store.process();
    let user = jo(&tokens).await;
    let mut issued = tokens.issue(&user).await.unwrap();
    let day = 86_400;
    for _ in 0..4 {
        store.pass(7 * day - 1);
        issued = next(&tokens, issued.refresh(), "192.0.2.1").await.unwrap();
    }
    store.pass(2 * day + 10);
    assert!(next(&tokens, issued.refresh(), "192.0.2.1").await.is_none());
    let rested = tokens.issue(&user).await.unwrap();
    store.pass(7 * day);
    assert!(next(&tokens, rested.refresh(), "192.0.2.1").await.is_none());
}

#[tokio::test]
async fn an_access_token_lives_ten_minutes_and_a_little_for_clocks_that_differ() {
    let store = Store::open();
    let tokens = store.process();
    let issued = tokens.issue(&jo(&tokens).await).await.unwrap();
    let holds = async || tokens.principal(issued.access()).await.unwrap().is_some();
    store.pass(604);
    assert!(holds().await);
    store.pass(1);
    assert!(!holds().await);
}

#[tokio::test]
async fn a_new_key_is_published_before_it_signs_and_the_old_one_goes_when_its_tokens_are_gone() {
    let store = Store::open();
    let (here, there) = (store.process(), store.process());
    let user = jo(&here).await;
    let old = here.issue(&user).await.unwrap();
    assert!(there.principal(old.access()).await.unwrap().is_some());
    here.rotate_keys(false).await.unwrap();
    store.pass(59);
    let between = there.issue(&user).await.unwrap();
    assert_eq!(access::key_id(between.access()), access::key_id(old.access()));
    assert_eq!(there.public_keys().await.unwrap().len(), 2);
    store.pass(11);
    let new = here.issue(&user).await.unwrap();
    assert_ne!(access::key_id(new.access()), access::key_id(old.access()));
    for (process, token) in [(&there, &new), (&here, &old), (&there, &between)] {
        assert!(process.principal(token.access()).await.unwrap().is_some());
    }
    // Once the second has signed for as long as a token lives, a third one takes the first one's place.
    store.pass(700);
    here.rotate_keys(false).await.unwrap();
    let kids: Vec<String> = here.public_keys().await.unwrap().into_iter().map(|key| key.kid).collect();
    assert_eq!((kids.len(), Some(&kids[0])), (2, access::key_id(new.access()).as_ref()));
}

#[tokio::test]
async fn a_key_of_thirty_days_is_followed_by_itself() {
    let store = Store::open();
    let tokens = store.process();
    let user = jo(&tokens).await;
    let first = tokens.issue(&user).await.unwrap();
    store.pass(31 * 86_400);
    let second = tokens.issue(&user).await.unwrap();
    assert_eq!(access::key_id(second.access()), access::key_id(first.access()));
    store.pass(61);
    let third = tokens.issue(&user).await.unwrap();
    assert_ne!(access::key_id(third.access()), access::key_id(first.access()));
    assert!(tokens.principal(second.access()).await.unwrap().is_some());
}

#[tokio::test]
async fn processes_that_race_for_the_first_key_make_one() {
    let store = Store::open();
    let user = jo(&store.process()).await;
    let racers = (0..6).map(|_| {
        let (tokens, user) = (store.process(), user.clone());
        tokio::spawn(async move { tokens.issue(&user).await.unwrap() })
    });
    let mut kids = std::collections::BTreeSet::new();
    for racer in racers.collect::<Vec<_>>() {
        kids.insert(access::key_id(racer.await.unwrap().access()));
    }
    assert_eq!(kids.len(), 1);
}

#[tokio::test]
async fn who_ends_very_many_logins_at_once_is_logged_out_everywhere() {
    let store = Store::open();
    let tokens = store.process();
    let user = jo(&tokens).await;
    let kept = tokens.issue(&user).await.unwrap();
    let mut last = user.clone();
    for turn in 0..=100 {
        last =
            tokens.users.end_login(&user.tenant, &user.id, &format!("login_{turn}")).await.unwrap().unwrap();
    }
    assert_eq!(last.generation, user.generation + 1);
    assert!(tokens.principal(kept.access()).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_that_was_rotated_away_and_stolen_signs_nothing_once_its_tokens_are_gone() {
    let store = Store::open();
    let (tokens, there) = (store.process(), store.process());
    let user = jo(&tokens).await;
    let issued = tokens.issue(&user).await.unwrap();
    let (kid, stolen) = tokens.keys.signer().await.unwrap();
    tokens.rotate_keys(false).await.unwrap();
    let forged = || {
        let iat = store.clock.now().as_millis() / 1_000;
        let claims = Claims {
            iss: access::ISSUER.to_owned(),
            aud: access::AUDIENCE.to_owned(),
            sub: user.id.clone(),
            tenant: user.tenant.clone(),
            role: user.role,
            generation: user.generation,
            sid: issued.login.clone(),
            iat,
            exp: iat + 600,
            jti: "forged".to_owned(),
        };
        access::write(&kid, &stolen, &claims).unwrap()
    };
    store.pass(60 + 600);
    assert!(there.principal(&forged()).await.unwrap().is_some(), "tokens of its own may live still");
    store.pass(71);
    for process in [&tokens, &there] {
        assert!(process.principal(&forged()).await.unwrap().is_none());
        assert_eq!(process.public_keys().await.unwrap().len(), 1);
    }
}

#[tokio::test]
async fn who_rotates_too_often_is_told_and_may_again_later() {
    let store = Store::open();
    let tokens = store.process();
    tokens.issue(&jo(&tokens).await).await.unwrap();
    for _ in 1..16 {
        tokens.rotate_keys(false).await.unwrap();
    }
    assert!(matches!(tokens.rotate_keys(false).await, Err(TokenError::Broken(_))), "nothing was rotated");
    for _ in 0..2 {
        store.pass(60 + 671);
        tokens.rotate_keys(false).await.unwrap();
    }
    assert_eq!(tokens.public_keys().await.unwrap().len(), 2);
}
