//! Access tokens as attackers make them: with every header and claim that some verifier somewhere fell for. The forger here has
//! even the right key for what it signs, so that only the claims and the header stand in its way.

use std::time::Instant;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use presswork::{
    domain::TenantId,
    security::{
        access::Role,
        seal::{self, Preamble, SealContext},
    },
};
use reqwest::StatusCode;
use ring::{hmac, signature::Ed25519KeyPair};
use serde_json::{Value, json};

use crate::{
    identity::{login, user},
    world::World,
};

fn encode(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

fn decode(part: &str) -> Value {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

/// The key that the server signs with, out of its own records.
async fn server_key(world: &World) -> (Ed25519KeyPair, String) {
    let record = world.engine.records.get("signing_keys", "access").await.unwrap().unwrap();
    let keys: Value = serde_json::from_slice(&record.value).unwrap();
    let sealed = URL_SAFE_NO_PAD.decode(keys[0]["sealed"].as_str().unwrap()).unwrap();
    let (tenant, kid): (TenantId, _) =
        ("presswork-signing".parse().unwrap(), keys[0]["kid"].as_str().unwrap());
    let (preamble, _) = Preamble::split(&sealed).unwrap();
    let key = world.engine.keyring.key(&tenant, &preamble.key).await.unwrap();
    let object = format!("signing-key/{kid}");
    let seed = seal::open(&key, &SealContext { tenant: &tenant, object: &object }, &sealed).unwrap();
    assert!(!String::from_utf8_lossy(&record.value).contains(&URL_SAFE_NO_PAD.encode(&seed)));
    (Ed25519KeyPair::from_seed_unchecked(&seed).unwrap(), keys[0]["public"].as_str().unwrap().to_owned())
}

fn sign(key: &Ed25519KeyPair, header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

fn with(value: &Value, name: &str, other: Value) -> Value {
    let mut value = value.clone();
    value[name] = other;
    value
}

fn without(value: &Value, name: &str) -> Value {
    let mut value = value.clone();
    value.as_object_mut().unwrap().remove(name);
    value
}

#[tokio::test(flavor = "multi_thread")]
async fn no_forged_token_is_taken() {
    let world = World::start().await;
    let jo = user(&world, "acme", "jo", Role::Viewer).await;
    let eve = user(&world, "globex", "eve", Role::Admin).await;
    let (access, refresh) = login(&world, "acme", "jo").await;
    let parts: Vec<&str> = access.split('.').collect();
    let (header, claims) = (decode(parts[0]), decode(parts[1]));
    let (key, public) = server_key(&world).await;
    // The forger's own work is good: what follows fails by its contents.
    assert_eq!(world.get("/v1/jobs", &sign(&key, &header, &claims)).await.0, StatusCode::OK);
    assert_eq!(world.get("/v1/jobs", &access).await.0, StatusCode::OK);
    let now = claims["iat"].as_i64().unwrap();

    let mut forged: Vec<(String, String)> = Vec::new();
    let mut add = |what: &str, token: String| forged.push((what.to_owned(), token));
    let unsigned = |header: &Value| format!("{}.{}.", encode(header), parts[1]);
    for alg in ["none", "None", "NONE", "nOnE", ""] {
        add("alg none", unsigned(&with(&header, "alg", json!(alg))));
        add("alg none, signed", sign(&key, &with(&header, "alg", json!(alg)), &claims));
        add(
            "alg none, old signature",
            format!("{}{}", unsigned(&with(&header, "alg", json!(alg))), parts[2]),
        );
    }
    // The public key as the secret of HMAC, in each form that it is published in.
    let raw = URL_SAFE_NO_PAD.decode(&public).unwrap();
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "x": public }).to_string();
    for secret in [raw.as_slice(), public.as_bytes(), jwk.as_bytes(), b""] {
        let message = format!("{}.{}", encode(&with(&header, "alg", json!("HS256"))), parts[1]);
        let mac = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, secret), message.as_bytes());
        add("key confusion", format!("{message}.{}", URL_SAFE_NO_PAD.encode(mac)));
    }
    for alg in ["HS256", "RS256", "ES256", "PS256", "EdDSA ", "eddsa", "Ed25519"] {
        add("another alg", sign(&key, &with(&header, "alg", json!(alg)), &claims));
    }
    let kids = [
        json!("../../../../dev/null"),
        json!("/etc/passwd"),
        json!("' OR '1'='1"),
        json!("x' UNION SELECT 'key';--"),
        json!("access"),
        json!("acme"),
        json!("globex/key"),
        json!("0000000000000000"),
        json!(""),
        json!("\0"),
        json!(null),
        json!(0),
        json!([header["kid"]]),
        json!("k".repeat(4_000)),
    ];
    for kid in kids {
        add("kid", sign(&key, &with(&header, "kid", kid.clone()), &claims));
    }
    add("no kid", sign(&key, &without(&header, "kid"), &claims));
    let other = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    add("another key", sign(&other, &header, &claims));
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "alg": "EdDSA",
        "x": URL_SAFE_NO_PAD.encode(ring::signature::KeyPair::public_key(&other)) });
    for (name, value) in [
        ("jwk", jwk),
        ("jku", json!("http://127.0.0.1:1/jwks.json")),
        ("x5u", json!("http://127.0.0.1:1/cert.pem")),
        ("x5c", json!(["AAAA"])),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("crit", json!(["b64"])),
        ("b64", json!(false)),
        ("zip", json!("DEF")),
        ("cty", json!("JWT")),
        ("enc", json!("A256GCM")),
        ("anything", json!(1)),
    ] {
        add(name, sign(&key, &with(&header, name, value.clone()), &claims));
        add(name, sign(&other, &with(&header, name, value), &claims));
    }
    for typ in [json!("JWT"), json!("at+JWT"), json!("rt+jwt"), json!("logout+jwt"), json!(""), json!(null)] {
        add("typ", sign(&key, &with(&header, "typ", typ), &claims));
    }
    add("no typ", sign(&key, &without(&header, "typ"), &claims));
    for name in claims.as_object().unwrap().keys() {
        add(&format!("no {name}"), sign(&key, &header, &without(&claims, name)));
        add(&format!("null {name}"), sign(&key, &header, &with(&claims, name, json!(null))));
        add(&format!("list {name}"), sign(&key, &header, &with(&claims, name, json!([claims[name]]))));
    }
    for (name, value) in [
        ("exp", json!(now - 6)),
        ("exp", json!(now + 601)),
        ("exp", json!(now + 1_000_000)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(i64::MIN)),
        ("exp", json!("9999999999")),
        ("exp", json!(1e300)),
        ("iat", json!(now + 60)),
        ("iat", json!(i64::MIN)),
        ("aud", json!("another-api")),
        ("aud", json!(["another-api", "presswork-api"])),
        ("aud", json!("")),
        ("iss", json!("https://evil.example")),
        ("sub", json!(eve.id)),
        ("sub", json!("user_00000000000000000000000000")),
        ("sub", json!("../acme")),
        ("sub", json!("")),
        ("tenant", json!("globex")),
        ("tenant", json!("ACME")),
        ("tenant", json!("../globex")),
        ("role", json!("god")),
        ("gen", json!(0)),
        ("gen", json!(2)),
        ("gen", json!(-1)),
        ("nbf", json!(now + 1_000)),
        ("grants", json!(["tenants:manage"])),
    ] {
        add(&format!("{name} {value}"), sign(&key, &header, &with(&claims, name, value)));
    }
    let expired = with(&with(&claims, "iat", json!(now - 606)), "exp", json!(now - 6));
    add("expired", sign(&key, &header, &expired));
    let future = with(&with(&claims, "iat", json!(now + 60)), "exp", json!(now + 660));
    add("future", sign(&key, &header, &future));
    for end in 0..access.len() {
        add("truncated", access[..end].to_owned());
    }
    for place in (0..access.len()).step_by(7) {
        let mut bytes = access.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        add("changed", String::from_utf8(bytes).unwrap());
    }
    add("four parts", format!("{access}.{}", parts[2]));
    add("padded", format!("{access}="));
    add("two headers", format!("{}.{access}", parts[0]));
    add("detached", format!("{}..{}", parts[0], parts[2]));
    add("oversize", sign(&key, &header, &with(&claims, "jti", json!("x".repeat(3_000)))));
    let doubled = format!("{{\"alg\":\"none\",{}", &header.to_string()[1..]);
    let doubled = format!("{}.{}.{}", URL_SAFE_NO_PAD.encode(doubled), parts[1], parts[2]);
    add("alg twice", doubled);
    add("a refresh token", refresh);
    add("a list", encode(&json!([access])));

    let total = forged.len();
    assert!(total > 250, "only {total}");
    for (what, token) in forged {
        // The server's word for "no credential at all" is the same status.
        let (status, problem) = world.get("/v1/jobs", &token).await;
        // A changed last character may stand for the same bytes, which base 64 without padding must refuse as well.
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{what}: {token}: {problem}");
        assert_eq!(problem["type"], "urn:presswork:problem:unauthenticated", "{what}");
    }
    // The role in a token is not what counts, but the user's.
    let root = sign(&key, &header, &with(&claims, "role", json!("root")));
    assert_eq!(world.get("/v1/users", &root).await.0, StatusCode::FORBIDDEN);
    assert_eq!(world.get("/v1/jobs", &access).await.0, StatusCode::OK);
    world.engine.identity.users.end_all(&jo.tenant, &jo.id).await.unwrap();
    assert_eq!(world.get("/v1/jobs", &access).await.0, StatusCode::UNAUTHORIZED);
    println!("{total} forged tokens refused");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_of_a_key_that_was_thrown_away_holds_no_more_and_new_ones_do() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (old, _) = login(&world, "acme", "jo").await;
    let keys = async || world.get("/.well-known/jwks.json", "").await.1["keys"].as_array().unwrap().clone();
    let before = keys().await;
    world.engine.identity.tokens.rotate_keys(false).await.unwrap();
    // The new key is published and signs nothing yet.
    let (between, _) = login(&world, "acme", "jo").await;
    assert_eq!((keys().await.len(), between.split('.').next()), (2, old.split('.').next()));
    assert_eq!(keys().await[0], before[0]);
    world.engine.identity.tokens.rotate_keys(true).await.unwrap();
    let (new, _) = login(&world, "acme", "jo").await;
    assert_eq!(keys().await.len(), 1);
    for (token, status) in
        [(old, StatusCode::UNAUTHORIZED), (between, StatusCode::UNAUTHORIZED), (new, StatusCode::OK)]
    {
        assert_eq!(world.get("/v1/jobs", &token).await.0, status);
    }
    for key in keys().await {
        assert!(key.get("d").is_none() && key["kty"] == "OKP" && key["alg"] == "EdDSA", "{key}");
    }
}

/// Not a benchmark: only that no password hash and no second round trip has come into the way.
#[tokio::test(flavor = "multi_thread")]
async fn checking_a_token_is_cheap() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (access, _) = login(&world, "acme", "jo").await;
    let mut times: Vec<_> = Vec::new();
    for _ in 0..300 {
        let started = Instant::now();
        assert!(world.engine.identity.tokens.principal(&access).await.unwrap().is_some());
        times.push(started.elapsed());
    }
    times.sort_unstable();
    println!("an access token is checked in {:?} (median), {:?} (9 of 10)", times[150], times[270]);
    assert!(times[150].as_millis() < 10, "{:?}", times[150]);
}
