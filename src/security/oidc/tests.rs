//! A provider that changes its keys, one that says it is another one, and a store that fails while somebody new comes by one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use ring::{
    rand::SystemRandom,
    signature::{Ed25519KeyPair, KeyPair as _},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpListener,
};

use super::*;
use crate::{
    domain::{ManualClock, SeededRandom, Timestamp},
    security::{access::Role, outgoing::OutgoingRules},
    store::{
        Record, RecordPage,
        sqlite::{Database, SqliteRecords},
    },
};

const NOW: i64 = 1_800_000_000;

/// A provider that signs whatever the test says.
struct Provider {
    issuer: String,
    said: Mutex<Said>,
    asked_for_keys: AtomicUsize,
}

struct Said {
    /// What it calls itself.
    name: String,
    key: Ed25519KeyPair,
    kid: String,
    nonce: String,
    /// Who logs in.
    sub: String,
}

fn new_key() -> Ed25519KeyPair {
    let document = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    Ed25519KeyPair::from_pkcs8(document.as_ref()).unwrap()
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

impl Provider {
    async fn start() -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let (kid, sub) = ("1".to_owned(), "jo".to_owned());
        let said = Said { name: issuer.clone(), key: new_key(), kid, nonce: String::new(), sub };
        let provider = Arc::new(Self { issuer, said: Mutex::new(said), asked_for_keys: AtomicUsize::new(0) });
        let serving = provider.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let serving = serving.clone();
                tokio::spawn(async move {
                    let mut head = [0; 8_192];
                    let read = stream.read(&mut head).await.unwrap();
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    let body = serving.answer(head.split(' ').nth(1).unwrap()).to_string();
                    let length = body.len();
                    let answer = format!(
                        "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
                    );
                    let _ = stream.write_all(answer.as_bytes()).await;
                });
            }
        });
        provider
    }

    fn answer(&self, path: &str) -> Value {
        let (issuer, said) = (&self.issuer, self.said.lock().unwrap());
        match path {
            "/.well-known/openid-configuration" => json!({
                "issuer": said.name, "authorization_endpoint": format!("{issuer}/auth"),
                "token_endpoint": format!("{issuer}/token"), "jwks_uri": format!("{issuer}/keys"),
            }),
            "/keys" => {
                self.asked_for_keys.fetch_add(1, SeqCst);
                let x = encode(said.key.public_key());
                json!({ "keys": [{ "kty": "OKP", "crv": "Ed25519", "kid": said.kid, "x": x }] })
            }
            _ => {
                let header = encode(json!({ "alg": "EdDSA", "kid": said.kid }).to_string());
                let claims = json!({
                    "iss": issuer, "sub": said.sub, "aud": "us", "exp": NOW + 7_200, "iat": NOW, "nonce": said.nonce,
                    "preferred_username": said.sub,
                });
                let signed = format!("{header}.{}", encode(claims.to_string()));
                json!({ "id_token": format!("{signed}.{}", encode(said.key.sign(signed.as_bytes()))) })
            }
        }
    }
}

/// A store whose so-and-so-many-th write fails, of those that are not of a login on its way.
struct Failing {
    inner: SqliteRecords,
    left: AtomicUsize,
    /// Whether what fails was written all the same.
    writes: bool,
}

impl Failing {
    fn fails(&self, collection: &str) -> bool {
        let less = |left: usize| Some(left.saturating_sub(1));
        collection != "oidc_logins" && self.left.fetch_update(SeqCst, SeqCst, less) == Ok(1)
    }

    fn error() -> StoreError {
        StoreError::Unavailable { doing: "write", cause: "the test says so".into() }
    }
}

#[async_trait]
impl Records for Failing {
    async fn get(&self, collection: &str, key: &str) -> Result<Option<Record>, StoreError> {
        self.inner.get(collection, key).await
    }

    async fn put(
        &self,
        collection: &str,
        key: &str,
        value: bytes::Bytes,
        expect: Expect,
        expires_at: Option<Timestamp>,
    ) -> Result<u64, StoreError> {
        let fails = self.fails(collection);
        if fails && !self.writes {
            return Err(Self::error());
        }
        let written = self.inner.put(collection, key, value, expect, expires_at).await;
        if fails { Err(Self::error()) } else { written }
    }

    async fn delete(&self, collection: &str, key: &str, expect: Expect) -> Result<bool, StoreError> {
        let fails = self.fails(collection);
        if fails && !self.writes {
            return Err(Self::error());
        }
        let deleted = self.inner.delete(collection, key, expect).await;
        if fails { Err(Self::error()) } else { deleted }
    }

    async fn list(
        &self,
        collection: &str,
        prefix: &str,
        after: Option<&str>,
        most: usize,
    ) -> Result<RecordPage, StoreError> {
        self.inner.list(collection, prefix, after, most).await
    }

    async fn sweep(&self) -> Result<usize, StoreError> {
        self.inner.sweep().await
    }
}

struct World {
    oidc: Oidc,
    users: Users,
    failing: Arc<Failing>,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn world(provider: &Provider) -> World {
    world_that_fails(provider, 0, false)
}

/// Its so-and-so-many-th write fails, none where that is 0.
fn world_that_fails(provider: &Provider, left: usize, writes: bool) -> World {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOW * 1_000)));
    let inner = SqliteRecords::new(Arc::new(database), clock.clone());
    let failing = Arc::new(Failing { inner, left: AtomicUsize::new(left), writes });
    let records: Arc<dyn Records> = failing.clone();
    let random: Arc<dyn Random> = Arc::new(SeededRandom::new(3));
    let users = Users::new(&records, clock.clone(), random.clone());
    let allow = [provider.issuer.trim_start_matches("http://").parse().unwrap()].into();
    let outgoing = Outgoing::new(OutgoingRules { allow, ..OutgoingRules::default() });
    let settings = OidcProvider {
        issuer: provider.issuer.clone(),
        client_id: "us".to_owned(),
        client_secret: None,
        redirect_uri: "https://books.example/v1/auth/oidc/idp/callback".to_owned(),
        tenant: "acme".parse().unwrap(),
        provision: true,
        default_role: Role::Admin,
        scopes: Vec::new(),
        second_factor: SecondFactor::default(),
    };
    let providers = BTreeMap::from([("idp".to_owned(), settings)]);
    let oidc = Oidc::new(&providers, &records, users.clone(), &outgoing, clock.clone(), random);
    World { oidc, users, failing, clock, _folder: folder }
}

async fn log_in(world: &World, provider: &Provider) -> Result<Finished, OidcError> {
    come_back(world, provider, None).await
}

async fn come_back(world: &World, provider: &Provider, link: Option<LinkTo>) -> Result<Finished, OidcError> {
    let Begun { url, binding } = world.oidc.begin("idp", "/", link).await?;
    let value = |wanted: &str| url.query_pairs().find(|(name, _)| name == wanted).unwrap().1.into_owned();
    provider.said.lock().unwrap().nonce = value("nonce");
    let returned = Returned { state: value("state"), code: Some("code".to_owned()), ..Returned::default() };
    world.oidc.finish("idp", returned, Some(binding)).await
}

#[tokio::test]
async fn a_new_key_is_asked_for_soon_but_not_again_and_again() {
    let provider = Provider::start().await;
    let world = world(&provider);
    let first = log_in(&world, &provider).await.unwrap();
    assert!(first.is_new);
    {
        let mut said = provider.said.lock().unwrap();
        (said.key, said.kid) = (new_key(), "2".to_owned());
    }
    for _ in 0..3 {
        assert!(matches!(log_in(&world, &provider).await, Err(OidcError::Refused(_))), "just asked");
    }
    assert_eq!(provider.asked_for_keys.load(SeqCst), 1);
    world.clock.advance(Duration::from_secs(30));
    let again = log_in(&world, &provider).await.unwrap();
    assert_eq!((again.user.id, again.is_new), (first.user.id, false));
    assert_eq!(provider.asked_for_keys.load(SeqCst), 2);
    // The same key id with another key behind it holds only once the keys are asked for anew.
    provider.said.lock().unwrap().key = new_key();
    assert!(matches!(log_in(&world, &provider).await, Err(OidcError::Refused(_))));
}

#[tokio::test]
async fn a_login_is_over_after_ten_minutes_and_a_provider_under_another_name_is_not_used() {
    let provider = Provider::start().await;
    let one = world(&provider);
    let Begun { url, binding } = one.oidc.begin("idp", "/", None).await.unwrap();
    let state = url.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    one.clock.advance(LOGIN_LIFE);
    let returned = Returned { state, code: Some("code".to_owned()), ..Returned::default() };
    assert!(matches!(one.oidc.finish("idp", returned, Some(binding)).await, Err(OidcError::Refused(_))));

    provider.said.lock().unwrap().name = "https://another.example".to_owned();
    let other = world(&provider);
    assert!(matches!(other.oidc.begin("idp", "/", None).await, Err(OidcError::Provider(_))));
}

#[tokio::test]
async fn whatever_fails_while_somebody_new_is_made_his_next_login_mends_it() {
    let provider = Provider::start().await;
    let tenant = "acme".parse().unwrap();
    for writes in [false, true] {
        let mut failed = 0;
        for write in 1.. {
            let world = world_that_fails(&provider, write, writes);
            let first = log_in(&world, &provider).await;
            if world.failing.left.load(SeqCst) > 0 {
                break;
            }
            assert!(matches!(first, Err(OidcError::Store(_))), "{write} {writes}: {first:?}");
            failed += 1;
            // Also behind the minute for which a name is held for who is being made.
            world.clock.advance(Duration::from_secs(90));
            let user =
                log_in(&world, &provider).await.unwrap_or_else(|error| panic!("{write} {writes}: {error}"));
            let again = log_in(&world, &provider).await.unwrap();
            assert_eq!((&again.user.id, again.is_new), (&user.user.id, false), "{write} {writes}");
            let all = world.users.list(&tenant, None, 10).await.unwrap().items;
            assert_eq!(all.len(), 1, "{write} {writes}: nobody else is left");
            assert_eq!(all[0].name.as_str(), "jo", "{write} {writes}");
            assert_eq!(world.oidc.ties(&again.user).await.unwrap().len(), 1, "{write} {writes}");
            assert!(world.users.has_admin().await.unwrap(), "{write} {writes}");
            let named = world.users.named(&tenant, &all[0].name).await.unwrap();
            assert_eq!(named.map(|named| named.id), Some(user.user.id), "{write} {writes}");
        }
        assert!(failed >= 5, "{failed} writes were tried");
    }
}

#[tokio::test]
async fn two_who_come_as_one_for_the_first_time_are_one() {
    let provider = Provider::start().await;
    let world = world(&provider);
    let claims = |name: &str| {
        let claims = json!({
            "iss": provider.issuer, "sub": "jo", "aud": "us", "exp": NOW, "iat": NOW, "preferred_username": name,
        });
        serde_json::from_value::<id_token::Claims>(claims).unwrap()
    };
    let peer = &world.oidc.0.peers["idp"];
    let (one, two) = (claims("jo"), claims("other"));
    let both = tokio::join!(world.oidc.user("idp", peer, &one), world.oidc.user("idp", peer, &two));
    let (one, two) = (both.0.unwrap().0, both.1.unwrap().0);
    assert_eq!(one.id, two.id);
    assert_eq!(world.users.list(&"acme".parse().unwrap(), None, 10).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn once_all_accounts_are_untied_none_logs_in_as_the_user_again_listed_or_not_however_many() {
    let provider = Provider::start().await;
    let world = world(&provider);
    let user = log_in(&world, &provider).await.unwrap().user;
    // One as it was tied before ties were written down, and more than are listed.
    let tied = |number: usize| format!("account {number}");
    for number in 0..150 {
        let id = hash(&[&provider.issuer, &tied(number)]);
        let link = serde_json::from_value(json!({ "user": user.id })).unwrap();
        world.oidc.0.links.put(&format!("acme/{id}"), &link, Expect::Nothing, None).await.unwrap();
        if number > 0 {
            let tie =
                serde_json::from_value(json!({ "provider": "idp", "since": Timestamp::EPOCH })).unwrap();
            let place = format!("acme/{}/{id}", user.id);
            world.oidc.0.ties.put(&place, &tie, Expect::Nothing, None).await.unwrap();
        }
    }
    let come = async |name: &str| {
        provider.said.lock().unwrap().sub = name.to_owned();
        log_in(&world, &provider).await.unwrap().user.id
    };
    assert_eq!(come(&tied(149)).await, user.id);
    assert_eq!(world.oidc.ties(&user).await.unwrap().len(), 100, "so many are listed");

    // Also where what is listed can't be removed, for a fault of the store behind the first write.
    world.failing.left.store(2, SeqCst);
    let after = world.oidc.untie_all(&user).await.unwrap().unwrap();
    assert!(after.generation > user.generation, "he is logged out everywhere");
    assert_eq!(world.failing.left.load(SeqCst), 0);
    assert_eq!(world.oidc.ties(&after).await.unwrap(), []);
    for name in ["jo", &tied(0), &tied(1), &tied(75), &tied(149)] {
        let other = come(name).await;
        assert_ne!(other, user.id, "{name}");
        assert_eq!(come(name).await, other, "{name}: he is somebody new, and stays it");
    }

    // He may tie one that was his before to himself again; not one that is somebody else's by now.
    let link = async |name: &str| {
        provider.said.lock().unwrap().sub = name.to_owned();
        let to = LinkTo { user: after.id.clone(), generation: after.generation };
        come_back(&world, &provider, Some(to)).await
    };
    assert!(link(&tied(2)).await.unwrap().is_link);
    assert!(matches!(link(&tied(1)).await, Err(OidcError::Refused(_))));
    assert_eq!(come(&tied(2)).await, user.id);
    let ties = world.oidc.ties(&after).await.unwrap();
    assert_eq!(ties.len(), 1);
    // And nothing of the earlier ones is left once the store is well.
    let last = world.oidc.untie_all(&after).await.unwrap().unwrap();
    let left = world.oidc.0.ties.list(&format!("acme/{}/", user.id), None, 1_000).await.unwrap();
    assert!(left.items.is_empty() && world.oidc.ties(&last).await.unwrap().is_empty());
}
