//! A provider that changes its keys, and one that says it is another one.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

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
    store::sqlite::{Database, SqliteRecords},
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
        let said = Said { name: issuer.clone(), key: new_key(), kid: "1".to_owned(), nonce: String::new() };
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
                    "iss": issuer, "sub": "jo", "aud": "us", "exp": NOW + 7_200, "iat": NOW, "nonce": said.nonce,
                });
                let signed = format!("{header}.{}", encode(claims.to_string()));
                json!({ "id_token": format!("{signed}.{}", encode(said.key.sign(signed.as_bytes()))) })
            }
        }
    }
}

struct World {
    oidc: Oidc,
    clock: Arc<ManualClock>,
    _folder: tempfile::TempDir,
}

fn world(provider: &Provider) -> World {
    let folder = tempfile::tempdir().unwrap();
    let database = Database::open(&folder.path().join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
    let clock = Arc::new(ManualClock::at(Timestamp::from_millis(NOW * 1_000)));
    let records: Arc<dyn Records> = Arc::new(SqliteRecords::new(Arc::new(database), clock.clone()));
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
        default_role: Role::Viewer,
        scopes: Vec::new(),
        second_factor: SecondFactor::default(),
    };
    let providers = BTreeMap::from([("idp".to_owned(), settings)]);
    let oidc = Oidc::new(&providers, &records, users, &outgoing, clock.clone(), random);
    World { oidc, clock, _folder: folder }
}

async fn log_in(world: &World, provider: &Provider) -> Result<Finished, OidcError> {
    let Begun { url, binding } = world.oidc.begin("idp", "/", None).await?;
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
