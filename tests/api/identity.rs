//! `/v1/auth`: logging in and out, refresh tokens, passwords, second factors.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use presswork::{
    config::MasterKeySetting,
    domain::TenantId,
    security::{
        access::Role,
        users::{NewUser, User},
    },
};
use reqwest::StatusCode;
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use crate::{servers, world::World};

pub(crate) const PASSWORD: &str = "correct horse battery";

/// A user with [`PASSWORD`].
pub(crate) async fn user(world: &World, tenant: &str, name: &str, role: Role) -> User {
    let identity = &world.engine.identity;
    let hash = identity.passwords.hash(&PASSWORD.to_owned().into()).await.unwrap();
    add(world, tenant, name, role, Some(hash)).await
}

async fn add(world: &World, tenant: &str, name: &str, role: Role, password: Option<String>) -> User {
    let (tenant, name): (TenantId, _) = (tenant.parse().unwrap(), name.parse().unwrap());
    let new = NewUser { tenant, name, role, password, created_by: "test".to_owned() };
    world.engine.identity.users.create(new).await.unwrap()
}

pub(crate) async fn try_login(
    world: &World,
    tenant: &str,
    name: &str,
    password: &str,
) -> (StatusCode, Value) {
    let body = json!({ "tenant": tenant, "name": name, "password": password });
    world.post("/v1/auth/login", "", &body).await
}

/// An access token and a refresh token.
pub(crate) async fn login(world: &World, tenant: &str, name: &str) -> (String, String) {
    let (status, answer) = try_login(world, tenant, name, PASSWORD).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    tokens(&answer)
}

fn tokens(answer: &Value) -> (String, String) {
    let text = |name: &str| answer[name].as_str().unwrap().to_owned();
    (text("access_token"), text("refresh_token"))
}

async fn refresh(world: &World, token: &str) -> (StatusCode, Value) {
    world.post("/v1/auth/refresh", "", &json!({ "refresh_token": token })).await
}

async fn reads(world: &World, access: &str) -> StatusCode {
    world.get("/v1/jobs", access).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn who_logs_in_may_what_his_role_says_until_he_logs_out() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (access, first) = login(&world, "acme", "JO").await;
    assert_eq!(reads(&world, &access).await, StatusCode::OK);
    let body = json!({ "kind": "echo", "payload": { "text": "hello" } });
    assert_eq!(world.post("/v1/jobs", &access, &body).await.0, StatusCode::FORBIDDEN);

    // A refresh token is no access token.
    assert_eq!(reads(&world, &first).await, StatusCode::UNAUTHORIZED);
    let (status, answer) = refresh(&world, &first).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let (second_access, second) = tokens(&answer);
    // Another login of the same user, which stays.
    let (other, _) = login(&world, "acme", "jo").await;
    let (status, _) = world.post("/v1/auth/logout", "", &json!({ "refresh_token": second })).await;
    assert_eq!(status, StatusCode::NO_CONTENT);
    for token in [&access, &second_access] {
        assert_eq!(reads(&world, token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(refresh(&world, &second).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(reads(&world, &other).await, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refresh_token_that_is_used_again_ends_its_login_at_once() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (_, first) = login(&world, "acme", "jo").await;
    let (_, second) = tokens(&refresh(&world, &first).await.1);
    let (access, third) = tokens(&refresh(&world, &second).await.1);
    assert_eq!(reads(&world, &access).await, StatusCode::OK);
    // Somebody had kept the first one.
    assert_eq!(refresh(&world, &first).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&world, &third).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(reads(&world, &access).await, StatusCode::UNAUTHORIZED);
    for forged in
        ["", "pw_refresh_", "pw_refresh_AAAA", &format!("{third}A"), &third.replace("pw_refresh_", "")]
    {
        assert_eq!(refresh(&world, forged).await.0, StatusCode::UNAUTHORIZED, "{forged}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_at_one_time_with_one_refresh_token_get_the_same_successor() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (_, first) = login(&world, "acme", "jo").await;
    let answers = join_all((0..8).map(|_| refresh(&world, &first))).await;
    let successors: Vec<String> = answers
        .iter()
        .map(|(status, answer)| {
            assert_eq!(*status, StatusCode::OK, "{answer}");
            tokens(answer).1
        })
        .collect();
    assert!(successors.iter().all(|token| *token == successors[0] && *token != first));
    assert_eq!(refresh(&world, &successors[0]).await.0, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_password_and_logging_out_everywhere_end_all_logins() {
    let world = World::start().await;
    let jo = user(&world, "acme", "jo", Role::Viewer).await;
    let ((one, _), (two, again)) = (login(&world, "acme", "jo").await, login(&world, "acme", "jo").await);
    assert_eq!(world.post("/v1/auth/logout-everywhere", &one, &json!({})).await.0, StatusCode::NO_CONTENT);
    for token in [&one, &two] {
        assert_eq!(reads(&world, token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(refresh(&world, &again).await.0, StatusCode::UNAUTHORIZED);

    let (access, again) = login(&world, "acme", "jo").await;
    let change = |password: &str, new: &str| json!({ "password": password, "new_password": new });
    for (body, status) in [
        (change(PASSWORD, "short"), StatusCode::UNPROCESSABLE_ENTITY),
        (change("not this one at all", "a quiet evening by the sea"), StatusCode::FORBIDDEN),
        (change(PASSWORD, "a quiet evening by the sea"), StatusCode::NO_CONTENT),
    ] {
        assert_eq!(world.post("/v1/auth/password", &access, &body).await.0, status);
    }
    assert_eq!(reads(&world, &access).await, StatusCode::UNAUTHORIZED);
    assert_eq!(refresh(&world, &again).await.0, StatusCode::UNAUTHORIZED);
    assert_eq!(try_login(&world, "acme", "jo", PASSWORD).await.0, StatusCode::UNAUTHORIZED);
    let (status, answer) = try_login(&world, "acme", "jo", "a quiet evening by the sea").await;
    assert_eq!(status, StatusCode::OK);

    let (access, _) = tokens(&answer);
    world.engine.identity.users.set_disabled(&jo.tenant, &jo.id, true, true).await.unwrap();
    assert_eq!(reads(&world, &access).await, StatusCode::UNAUTHORIZED);
    let (status, refused) = try_login(&world, "acme", "jo", "a quiet evening by the sea").await;
    assert_eq!((status, refused), try_login(&world, "acme", "jo", PASSWORD).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn accounts_that_are_there_and_that_are_not_are_answered_alike_also_when_throttled() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let tries = |tenant: &'static str, name: &'static str| {
        let world = &world;
        async move {
            let mut answers = Vec::new();
            for _ in 0..11 {
                let started = Instant::now();
                let (status, answer) = try_login(world, tenant, name, "not this one at all").await;
                if status == StatusCode::UNAUTHORIZED {
                    assert!(started.elapsed() >= Duration::from_millis(400), "{name}");
                }
                answers.push((status, answer));
            }
            answers
        }
    };
    let (known, unknown, elsewhere, odd) = tokio::join!(
        tries("acme", "jo"),
        tries("acme", "nobody"),
        tries("nowhere", "jo"),
        tries("../ACME", "\u{1b}'; DROP TABLE users; --")
    );
    let statuses: Vec<u16> = known.iter().map(|(status, _)| status.as_u16()).collect();
    assert_eq!(statuses, [vec![401; 10], vec![429]].concat());
    assert_eq!((&known, &known, &known), (&unknown, &elsewhere, &odd));
    // Also with the right password, while it lasts.
    assert_eq!(try_login(&world, "acme", "jo", PASSWORD).await.0, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bcrypt_hash_lets_in_once_and_is_replaced() {
    let world = World::start().await;
    // Of the crate's own test vectors.
    let hash = "$2b$04$EGdrhbKUv8Oc9vGiXX0HQOxSg445d458Muh7DAHskb6QbtCvdxcie";
    let jo = add(&world, "acme", "jo", Role::Viewer, Some(hash.to_owned())).await;
    let kept = async || {
        let record = world.engine.records.get("users", &format!("acme/{}", jo.id)).await.unwrap().unwrap();
        String::from_utf8(record.value.to_vec()).unwrap()
    };
    assert_eq!(
        try_login(&world, "acme", "jo", "correctbatteryhorsestaple").await.0,
        StatusCode::UNAUTHORIZED
    );
    assert!(kept().await.contains(hash));
    for _ in 0..2 {
        assert_eq!(try_login(&world, "acme", "jo", "correctbatteryhorsestapler").await.0, StatusCode::OK);
        assert!(!kept().await.contains("$2b$") && kept().await.contains("$argon2id$v=19$m=19456,t=2,p=1$"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn codes_that_confirm_a_second_factor_are_not_tried_without_end() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let (access, _) = login(&world, "acme", "jo").await;
    let begun = world.post("/v1/auth/totp", &access, &json!({ "password": PASSWORD })).await;
    assert_eq!(begun.0, StatusCode::OK);
    let wrong = json!({ "code": "no code" });
    for _ in 0..5 {
        assert_eq!(world.post("/v1/auth/totp/confirm", &access, &wrong).await.0, StatusCode::FORBIDDEN);
    }
    let (status, problem) = world.post("/v1/auth/totp/confirm", &access, &wrong).await;
    assert_eq!(status, StatusCode::TOO_MANY_REQUESTS, "{problem}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_factor_is_asked_for_and_no_code_holds_twice() {
    let world = World::start().await;
    let jo = user(&world, "acme", "jo", Role::Viewer).await;
    let (access, _) = login(&world, "acme", "jo").await;
    let wrong = json!({ "password": "not this one at all" });
    assert_eq!(world.post("/v1/auth/totp", &access, &wrong).await.0, StatusCode::FORBIDDEN);
    let (status, setup) = world.post("/v1/auth/totp", &access, &json!({ "password": PASSWORD })).await;
    assert_eq!(status, StatusCode::OK, "{setup}");
    let secret = setup["secret"].as_str().unwrap();
    assert!(setup["url"].as_str().unwrap().starts_with("otpauth://totp/Presswork:jo?secret="));
    let totp = Builder::new()
        .with_secret(Secret::try_from_base32(secret).unwrap())
        .with_account_name("jo")
        .build()
        .unwrap();
    let now = || u64::try_from(world.engine.clock.now().as_millis() / 1_000).unwrap();
    let code = |seconds: u64| totp.generate(now() + seconds).to_string();

    // Until it is confirmed the password is enough.
    login(&world, "acme", "jo").await;
    let (first, second) = (code(0), code(30));
    let confirm =
        async |code: &str| world.post("/v1/auth/totp/confirm", &access, &json!({ "code": code })).await;
    assert_eq!(confirm("000").await.0, StatusCode::FORBIDDEN);
    let (status, codes) = confirm(&first).await;
    assert_eq!(status, StatusCode::OK, "{codes}");
    let recovery = codes["recovery_codes"][0].as_str().unwrap().to_owned();
    let kept = world.engine.records.get("users", &format!("acme/{}", jo.id)).await.unwrap().unwrap();
    let kept = String::from_utf8(kept.value.to_vec()).unwrap();
    assert!(!kept.contains(secret) && !kept.contains(&recovery));

    let answer = async |code: &str| {
        let (status, asked) = try_login(&world, "acme", "jo", PASSWORD).await;
        assert_eq!(status, StatusCode::ACCEPTED, "{asked}");
        assert!(asked.get("access_token").is_none());
        let body = json!({ "challenge": asked["challenge"], "code": code });
        let (status, _) = world.post("/v1/auth/login/code", "", &body).await;
        // A challenge is used up by a code that was right.
        if status == StatusCode::OK {
            assert_eq!(world.post("/v1/auth/login/code", "", &body).await.0, StatusCode::UNAUTHORIZED);
        }
        status
    };
    assert_eq!(answer(&first).await, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(&second).await, StatusCode::OK);
    assert_eq!(answer(&second).await, StatusCode::UNAUTHORIZED);
    assert_eq!(answer(&recovery.to_uppercase()).await, StatusCode::OK);
    assert_eq!(answer(&recovery).await, StatusCode::UNAUTHORIZED);
    let at_once =
        json!({ "tenant": "acme", "name": "jo", "password": PASSWORD, "code": codes["recovery_codes"][1] });
    assert_eq!(world.post("/v1/auth/login", "", &at_once).await.0, StatusCode::OK);

    // Each time that the password was right, and no code came with it, that was written down.
    let auditor = world.key("acme", &["audit:read"]).await;
    let (_, log) = world.get("/v1/audit?action=auth.password", &auditor).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 5, "{log}");
    let removed = world.post("/v1/auth/totp/remove", &access, &json!({ "password": PASSWORD })).await;
    assert_eq!(removed.0, StatusCode::NO_CONTENT);
    login(&world, "acme", "jo").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_on_one_redis_agree_on_logins_at_once() {
    let url = format!("{}?namespace={}", servers::shared_server().url(), servers::fresh_namespace());
    let start = async || {
        World::start_with(|settings| {
            settings.redis_url = Some(url.parse().unwrap());
            settings.master_key = Some(MasterKeySetting::Given("11".repeat(32).parse().unwrap()));
        })
        .await
    };
    let (here, there) = (start().await, start().await);
    user(&here, "acme", "jo", Role::Viewer).await;
    let (access, first) = login(&there, "acme", "jo").await;
    assert_eq!((reads(&here, &access).await, reads(&there, &access).await), (StatusCode::OK, StatusCode::OK));
    let (one, two) = tokio::join!(refresh(&here, &first), refresh(&there, &first));
    assert_eq!((one.0, two.0), (StatusCode::OK, StatusCode::OK));
    let second = tokens(&one.1).1;
    assert_eq!(second, tokens(&two.1).1);
    assert_eq!(
        here.post("/v1/auth/logout", "", &json!({ "refresh_token": second })).await.0,
        StatusCode::NO_CONTENT
    );
    for (world, token) in [(&here, &access), (&there, &access), (&there, &tokens(&one.1).0)] {
        assert_eq!(reads(world, token).await, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(refresh(&there, &second).await.0, StatusCode::UNAUTHORIZED);

    // Another key signs from now on, and both know it.
    let (old, _) = login(&here, "acme", "jo").await;
    here.engine.identity.tokens.rotate_keys(false).await.unwrap();
    assert_eq!(reads(&there, &old).await, StatusCode::OK);
    assert_eq!(here.get("/.well-known/jwks.json", "").await.1["keys"].as_array().unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn refused_logins_stand_in_the_log_of_their_tenant_and_raise_an_alert() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let mut heard = world.engine.audit.alerts().subscribe();
    let guess = |_| try_login(&world, "acme", "jo", "not this one at all");
    for (status, _) in join_all((0..5).map(guess)).await {
        assert_eq!(status, StatusCode::UNAUTHORIZED);
    }
    let alert = heard.recv().await.unwrap();
    assert_eq!((alert.rule.name(), alert.subject.as_str()), ("logins-of-account", "acme/jo"));
    let (acme, globex) =
        (world.key("acme", &["audit:read"]).await, world.key("globex", &["audit:read"]).await);
    let refused = async |key: &str| world.get("/v1/audit?action=auth.login&outcome=refused", key).await.1;
    let log = refused(&acme).await;
    let targets: Vec<_> = log["items"].as_array().unwrap().iter().map(|entry| &entry["target"]).collect();
    assert_eq!(targets, ["acme/jo"; 5], "{log}");
    assert_eq!(refused(&globex).await["items"], json!([]));
    let (_, report) = world.get("/v1/audit/report", &acme).await;
    assert_eq!(report["failed_logins"], json!({ "acme/jo": 5 }));
}
