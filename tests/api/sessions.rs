//! `/v1/sessions`: browsers that log in, stay so, and are not misled.

use presswork::{
    config::Settings,
    security::{
        access::Role,
        passwords::Password,
        users::{NewUser, User},
    },
};
use reqwest::{Method, RequestBuilder, Response, StatusCode, header};
use serde_json::{Value, json};

use crate::{
    servers::RedisServer,
    world::{World, answer},
};

const PASSWORD: &str = "a long enough passphrase";

/// A user of a tenant, with [`PASSWORD`].
async fn user(world: &World, tenant: &str, name: &str, role: Role) -> User {
    let identity = &world.engine.identity;
    let hash = identity.passwords.hash(&Password::from(PASSWORD.to_owned())).await.unwrap();
    let new = NewUser {
        tenant: tenant.parse().unwrap(),
        name: name.parse().unwrap(),
        role,
        password: Some(hash),
        created_by: "test".to_owned(),
    };
    identity.users.create(new).await.unwrap()
}

/// A browser: its cookie, and the token that its page knows.
struct Browser<'a> {
    world: &'a World,
    cookie: String,
    token: String,
    id: String,
}

fn request(world: &World, method: Method, path: &str) -> RequestBuilder {
    world.client.request(method, format!("http://{}{path}", world.address))
}

async fn try_log_in(world: &World, tenant: &str, name: &str, password: &str, cookie: &str) -> Response {
    let body = json!({ "tenant": tenant, "name": name, "password": password });
    let request = request(world, Method::POST, "/v1/sessions").header("cookie", cookie);
    let request = request.header("sec-fetch-site", "same-origin").header("content-type", "application/json");
    request.body(body.to_string()).send().await.unwrap()
}

fn set_cookie(response: &Response) -> String {
    response.headers()[header::SET_COOKIE].to_str().unwrap().to_owned()
}

impl<'a> Browser<'a> {
    async fn log_in(world: &'a World, tenant: &str, name: &str) -> Self {
        let response = try_log_in(world, tenant, name, PASSWORD, "other=1").await;
        assert_eq!(response.status(), StatusCode::CREATED);
        Self::of(world, response).await
    }

    async fn of(world: &'a World, response: Response) -> Self {
        let cookie = set_cookie(&response).split(';').next().unwrap().to_owned();
        let (_, body) = answer(response).await;
        let text = |name: &str| body[name].as_str().unwrap().to_owned();
        Self { world, cookie, token: text("csrf_token"), id: text("id") }
    }

    /// A request with the cookie, as a page of this server sends it.
    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        request(self.world, method, path)
            .header("cookie", &self.cookie)
            .header("sec-fetch-site", "same-origin")
    }

    async fn send(&self, method: Method, path: &str) -> (StatusCode, Value) {
        let request = self.request(method, path).header("x-csrf-token", &self.token);
        answer(request.send().await.unwrap()).await
    }

    async fn is_in(&self) -> bool {
        self.send(Method::GET, "/v1/sessions/current").await.0 == StatusCode::OK
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_logs_in_works_and_logs_out() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Producer).await;
    let response = try_log_in(&world, "acme", "jo", PASSWORD, "").await;
    let cookie = set_cookie(&response);
    for part in
        ["__Host-presswork=", "; Path=/", "; Secure", "; HttpOnly", "; SameSite=Strict", "; Max-Age=4"]
    {
        assert!(cookie.contains(part), "{part}");
    }
    assert!(!cookie.contains("Domain"));
    assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
    let browser = Browser::of(&world, response).await;
    let (status, current) = browser.send(Method::GET, "/v1/sessions/current").await;
    assert_eq!((status, &current["csrf_token"]), (StatusCode::OK, &json!(browser.token)));
    assert_eq!((&current["method"], &current["current"]), (&json!("password"), &json!(true)));
    assert!(!current.to_string().contains(browser.cookie.split_once('=').unwrap().1));

    let body = json!({ "kind": "echo", "payload": { "text": "hello" } }).to_string();
    let give = || browser.request(Method::POST, "/v1/jobs").header("content-type", "application/json");
    let made = give().header("x-csrf-token", &browser.token).body(body).send().await.unwrap();
    assert_eq!(made.status(), StatusCode::CREATED);
    assert_eq!(browser.send(Method::GET, "/v1/jobs").await.1["items"].as_array().unwrap().len(), 1);

    let end = browser.request(Method::DELETE, "/v1/sessions/current").header("x-csrf-token", &browser.token);
    let ended = end.send().await.unwrap();
    assert_eq!(ended.status(), StatusCode::NO_CONTENT);
    assert!(
        set_cookie(&ended).starts_with("__Host-presswork=; ") && set_cookie(&ended).ends_with("Max-Age=0")
    );
    assert_eq!(browser.send(Method::GET, "/v1/jobs").await.0, StatusCode::UNAUTHORIZED);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_gives_a_new_secret_and_ends_the_one_that_the_browser_had() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    // One that somebody else has planted is not taken up.
    let planted = format!("__Host-presswork={}", "A".repeat(43));
    let response = try_log_in(&world, "acme", "jo", PASSWORD, &planted).await;
    let first = Browser::of(&world, response).await;
    assert_ne!(first.cookie, planted);
    let response = try_log_in(&world, "acme", "jo", PASSWORD, &first.cookie).await;
    let second = Browser::of(&world, response).await;
    assert!(!first.is_in().await && second.is_in().await);
    let path = "/v1/sessions/current/rotation";
    let rotation = second.request(Method::POST, path).header("x-csrf-token", &second.token);
    let third = Browser::of(&world, rotation.send().await.unwrap()).await;
    assert!(!second.is_in().await && third.is_in().await);
    assert_ne!((&second.cookie, &second.token), (&third.cookie, &third.token));
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_let_in_gets_no_cookie_and_is_not_told_why() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Viewer).await;
    let mut told = Vec::new();
    for (tenant, name, password) in [
        ("acme", "jo", "wrong"),
        ("acme", "nobody", PASSWORD),
        ("globex", "jo", PASSWORD),
        ("../acme", "jo\u{0}", PASSWORD),
    ] {
        let response = try_log_in(&world, tenant, name, password, "").await;
        assert!(response.headers().get(header::SET_COOKIE).is_none());
        let (status, problem) = answer(response).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{problem}");
        told.push(problem);
    }
    assert!(told.iter().all(|problem| *problem == told[0]), "{told:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_sites_page_can_neither_act_with_the_cookie_nor_log_its_visitors_in() {
    let world = World::start().await;
    user(&world, "acme", "jo", Role::Producer).await;
    let browser = Browser::log_in(&world, "acme", "jo").await;
    let own = format!("http://{}", world.address);
    let body = json!({ "kind": "echo", "payload": { "text": "hello" } }).to_string();
    let with_token = [("x-csrf-token", browser.token.as_str())];
    let cases: [(&[(&str, &str)], bool); 8] = [
        (&[("sec-fetch-site", "same-origin")], true),
        (&[("sec-fetch-site", "cross-site")], false),
        (&[("sec-fetch-site", "same-site")], false),
        (&[("origin", own.as_str())], true),
        (&[("origin", "https://evil.example")], false),
        (&[("origin", "null")], false),
        (&[("referer", "https://evil.example/x")], false),
        (&[], true),
    ];
    for (headers, is_fine) in cases {
        for (token, status) in
            [(&with_token[..], StatusCode::CREATED), (&with_token[..0], StatusCode::FORBIDDEN)]
        {
            let mut give = request(&world, Method::POST, "/v1/jobs").header("cookie", &browser.cookie);
            for (name, value) in headers.iter().chain(token) {
                give = give.header(*name, *value);
            }
            let given =
                give.header("content-type", "application/json").body(body.clone()).send().await.unwrap();
            let expected = if is_fine { status } else { StatusCode::FORBIDDEN };
            assert_eq!(given.status(), expected, "{headers:?} {token:?}");
        }
        let login = json!({ "tenant": "acme", "name": "jo", "password": PASSWORD }).to_string();
        let mut log_in = request(&world, Method::POST, "/v1/sessions");
        for (name, value) in headers {
            log_in = log_in.header(*name, *value);
        }
        let answered = log_in.header("content-type", "application/json").body(login).send().await.unwrap();
        let expected = if is_fine { StatusCode::CREATED } else { StatusCode::FORBIDDEN };
        assert_eq!(answered.status(), expected, "{headers:?}");
    }
    // A form can't send JSON.
    let form = request(&world, Method::POST, "/v1/sessions").header("content-type", "text/plain").body("{}");
    assert_eq!(form.send().await.unwrap().status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    // What no browser sends by itself is not concerned.
    let key = world.key("acme", &["jobs:create"]).await;
    let give = world.request(Method::POST, "/v1/jobs", &key).header("sec-fetch-site", "cross-site");
    let given = give.header("content-type", "application/json").body(body).send().await.unwrap();
    assert_eq!(given.status(), StatusCode::CREATED);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_are_listed_and_ended_by_their_user_and_by_who_may_manage_them_and_nobody_else() {
    let world = World::start().await;
    let jo = user(&world, "acme", "jo", Role::Viewer).await;
    user(&world, "acme", "boss", Role::Admin).await;
    user(&world, "globex", "boss", Role::Admin).await;
    let (here, there) =
        (Browser::log_in(&world, "acme", "jo").await, Browser::log_in(&world, "acme", "jo").await);
    let boss = Browser::log_in(&world, "acme", "boss").await;
    let stranger = Browser::log_in(&world, "globex", "boss").await;
    let (_, list) = here.send(Method::GET, "/v1/sessions").await;
    let listed: Vec<_> =
        list["items"].as_array().unwrap().iter().map(|item| (&item["id"], &item["current"])).collect();
    assert_eq!(listed.len(), 2);
    assert!(
        listed.contains(&(&json!(here.id), &json!(true)))
            && listed.contains(&(&json!(there.id), &json!(false)))
    );

    let of_jo = format!("/v1/users/{}/sessions", jo.id);
    let one = format!("{of_jo}/{}", there.id);
    assert_eq!(here.send(Method::GET, &of_jo).await.0, StatusCode::FORBIDDEN);
    assert_eq!(stranger.send(Method::GET, &of_jo).await.0, StatusCode::NOT_FOUND);
    assert_eq!(stranger.send(Method::DELETE, &one).await.0, StatusCode::NOT_FOUND);
    let not_own = format!("/v1/sessions/{}", there.id);
    assert_eq!(boss.send(Method::DELETE, &not_own).await.0, StatusCode::NOT_FOUND);
    assert!(there.is_in().await);
    assert_eq!(boss.send(Method::GET, &of_jo).await.1["items"].as_array().unwrap().len(), 2);
    assert_eq!(boss.send(Method::DELETE, &one).await.0, StatusCode::NO_CONTENT);
    assert!(!there.is_in().await && here.is_in().await);
    assert_eq!(
        here.send(Method::DELETE, &format!("/v1/sessions/{}", here.id)).await.0,
        StatusCode::NO_CONTENT
    );
    assert!(!here.is_in().await);

    let here = Browser::log_in(&world, "acme", "jo").await;
    world.engine.identity.users.end_all(&jo.tenant, &jo.id).await.unwrap();
    assert!(!here.is_in().await, "he was logged out everywhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_in_use_survive_an_outage_of_redis_and_what_ended_stays_ended() {
    let mut redis = RedisServer::start_durable();
    let url = redis.url();
    let world =
        World::start_with(|settings: &mut Settings| settings.redis_url = Some(url.parse().unwrap())).await;
    user(&world, "acme", "jo", Role::Producer).await;
    let (used, ended) =
        (Browser::log_in(&world, "acme", "jo").await, Browser::log_in(&world, "acme", "jo").await);
    assert!(used.is_in().await && ended.is_in().await);
    assert_eq!(ended.send(Method::DELETE, "/v1/sessions/current").await.0, StatusCode::NO_CONTENT);
    redis.kill();
    assert!(used.is_in().await, "without its store");
    assert!(!ended.is_in().await);
    let (status, _) = used.send(Method::GET, "/v1/sessions").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    redis.restart();
    let back = async || used.send(Method::GET, "/v1/sessions").await.0 == StatusCode::OK;
    crate::servers::process::until("sessions are back by themselves", back).await;
    assert!(used.is_in().await && !ended.is_in().await);
}

/// What a page of another origin asks for, by its browser: with credentials, with the session's cookie where the page is of the
/// same site.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_a_named_origin_logs_in_and_works_and_one_that_is_not_named_does_not() {
    const NAMED: &str = "https://app.books.io";
    let world = World::start_with(|settings| settings.api.cors_origins = vec![NAMED.parse().unwrap()]).await;
    user(&world, "acme", "jo", Role::Producer).await;
    let from = |request: RequestBuilder, origin: &str| {
        request.header("origin", origin).header("sec-fetch-site", "same-site")
    };
    let json = |request: RequestBuilder, body: Value| {
        request.header("content-type", "application/json").body(body.to_string())
    };
    let login = json!({ "tenant": "acme", "name": "jo", "password": PASSWORD });
    let log_in = |origin| json(from(request(&world, Method::POST, "/v1/sessions"), origin), login.clone());

    let preflight = request(&world, Method::OPTIONS, "/v1/jobs").header("origin", NAMED);
    let preflight = preflight
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type,x-csrf-token");
    let preflight = preflight.send().await.unwrap();
    let allows = |response: &Response| {
        let header =
            |name: &str| response.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
        (header("access-control-allow-origin"), header("access-control-allow-credentials"))
    };
    let with_credentials = (Some(NAMED.to_owned()), Some("true".to_owned()));
    assert_eq!(allows(&preflight), with_credentials);

    let response = log_in(NAMED).send().await.unwrap();
    assert_eq!((response.status(), allows(&response)), (StatusCode::CREATED, with_credentials.clone()));
    let browser = Browser::of(&world, response).await;
    let job = json!({ "kind": "echo", "payload": { "text": "hello" } });
    let give = |origin: &str, token: &str| {
        let request = request(&world, Method::POST, "/v1/jobs").header("cookie", &browser.cookie);
        json(from(request, origin), job.clone()).header("x-csrf-token", token)
    };
    let made = give(NAMED, &browser.token).send().await.unwrap();
    assert_eq!((made.status(), allows(&made)), (StatusCode::CREATED, with_credentials));
    let without = give(NAMED, "").send().await.unwrap();
    assert_eq!(without.status(), StatusCode::FORBIDDEN, "the token is asked for all the same");

    for other in ["https://blog.books.io", "https://app.books.io.evil.io", "http://app.books.io", "null"] {
        let refused = give(other, &browser.token).send().await.unwrap();
        assert_eq!((refused.status(), allows(&refused)), (StatusCode::FORBIDDEN, (None, None)), "{other}");
        assert_eq!(log_in(other).send().await.unwrap().status(), StatusCode::FORBIDDEN, "{other}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_any_page_may_call_none_but_the_servers_own_has_a_session() {
    let world = World::start_with(|settings| settings.api.cors_origins = vec!["*".parse().unwrap()]).await;
    user(&world, "acme", "jo", Role::Producer).await;
    let browser = Browser::log_in(&world, "acme", "jo").await;
    let request = request(&world, Method::DELETE, "/v1/sessions/current").header("cookie", &browser.cookie);
    let request = request.header("origin", "https://evil.io").header("sec-fetch-site", "cross-site");
    let refused = request.header("x-csrf-token", &browser.token).send().await.unwrap();
    assert_eq!(refused.status(), StatusCode::FORBIDDEN);
    assert!(!refused.headers().contains_key("access-control-allow-credentials") && browser.is_in().await);
}
