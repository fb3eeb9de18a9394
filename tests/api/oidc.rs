//! `/v1/auth/oidc` against a provider that somebody else wrote, started as a process of its own.

use std::{collections::BTreeMap, path::PathBuf, process::Child};

use presswork::{
    config::Settings,
    security::{
        access::Role,
        oidc::{ClientSecret, OidcProvider, SecondFactor},
        users::NewUser,
    },
    store::Expect,
};
use reqwest::{Method, StatusCode, Url, header};
use serde_json::{Value, json};

use crate::{
    identity,
    servers::process::{free_port, start, until},
    world::{World, answer},
};

/// The provider.
struct Provider {
    process: Child,
    port: u16,
}

impl Drop for Provider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Provider {
    async fn start() -> Self {
        let tools =
            std::env::var("PRESSWORK_TEST_TOOLS").unwrap_or_else(|_| panic!("run the tests by tests/run"));
        let modules = PathBuf::from(tools).join("node/node_modules").display().to_string();
        let script = format!("{}/tests/api/oidc_provider.mjs", env!("CARGO_MANIFEST_DIR"));
        let port = free_port();
        let process = start("node", [script, modules, port.to_string()]);
        let provider = Self { process, port };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("the provider listens", listens).await;
        provider
    }

    fn settings(&self, name: &str, provision: bool, secret: &std::path::Path) -> OidcProvider {
        OidcProvider {
            issuer: format!("http://127.0.0.1:{}", self.port),
            client_id: format!("presswork {name}"),
            client_secret: Some(ClientSecret::File(secret.to_owned())),
            redirect_uri: format!("https://books.example/v1/auth/oidc/{name}/callback"),
            tenant: "acme".parse().unwrap(),
            provision,
            default_role: Role::Producer,
            scopes: vec!["profile".to_owned()],
            second_factor: if name == "ed" { SecondFactor::Never } else { SecondFactor::default() },
        }
    }

    /// A server that knows this provider under three names; by `es` nobody new is let in.
    async fn world(&self) -> (World, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let secret = folder.path().join("secret");
        std::fs::write(&secret, "a secret: of & the client\n").unwrap();
        let world = World::start_with(|settings: &mut Settings| {
            let provider = |name: &str| (name.to_owned(), self.settings(name, name != "es", &secret));
            settings.oidc = ["rs", "es", "ed"].map(provider).into();
            settings.outgoing.allow = [format!("127.0.0.1:{}", self.port).parse().unwrap()].into();
        });
        (world.await, folder)
    }
}

/// A browser with its cookies.
struct Browser<'a> {
    world: &'a World,
    client: reqwest::Client,
    cookies: BTreeMap<String, String>,
}

impl<'a> Browser<'a> {
    fn new(world: &'a World) -> Self {
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { world, client: client.build().unwrap(), cookies: BTreeMap::new() }
    }

    async fn go(&mut self, method: Method, url: &str, token: Option<&str>) -> reqwest::Response {
        self.go_with(method, url, token, json!({})).await
    }

    async fn go_with(
        &mut self,
        method: Method,
        url: &str,
        token: Option<&str>,
        body: Value,
    ) -> reqwest::Response {
        let cookies: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let has_body = method == Method::POST;
        let mut request = self.client.request(method, url).header("cookie", cookies.join("; "));
        if has_body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        if let Some(token) = token {
            request = request.header("x-csrf-token", token);
        }
        let response = request.send().await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            let value = rest.split(';').next().unwrap();
            if value.is_empty() {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        response
    }

    fn here(&self, path: &str) -> String {
        format!("http://{}{path}", self.world.address)
    }

    async fn start(&mut self, provider: &str) -> String {
        let url = self.here(&format!("/v1/auth/oidc/{provider}/start?return_to=/jobs?a=1%26b=2"));
        let response = self.go(Method::GET, &url, None).await;
        assert_eq!(response.status(), StatusCode::SEE_OTHER);
        location(&response)
    }

    /// Through the provider's pages as somebody, up to the path and query here that it sends back to.
    async fn through(&mut self, url: &str, account: &str) -> String {
        let mut url = Url::parse_with_params(url, [("login_hint", account)]).unwrap();
        loop {
            let response = self.go(Method::GET, url.as_str(), None).await;
            assert!(response.status().is_redirection(), "{url}: {}", response.text().await.unwrap());
            url = url.join(&location(&response)).unwrap();
            if url.host_str() == Some("books.example") {
                // Another login at the provider is somebody else's.
                self.cookies.retain(|name, _| name.starts_with("__Host-"));
                return format!("{}?{}", url.path(), url.query().unwrap());
            }
        }
    }

    async fn come_back(&mut self, path: &str) -> (StatusCode, String) {
        let url = self.here(path);
        let response = self.go(Method::GET, &url, None).await;
        (response.status(), response.text().await.unwrap())
    }

    async fn log_in(&mut self, provider: &str, account: &str) -> (StatusCode, String) {
        let url = self.start(provider).await;
        let back = self.through(&url, account).await;
        self.come_back(&back).await
    }

    async fn session(&mut self) -> (StatusCode, Value) {
        let url = self.here("/v1/sessions/current");
        answer(self.go(Method::GET, &url, None).await).await
    }
}

fn location(response: &reqwest::Response) -> String {
    response.headers()[header::LOCATION].to_str().unwrap().to_owned()
}

fn with(path: &str, name: &str, value: Option<&str>) -> String {
    let mut url = Url::parse("http://x").unwrap().join(path).unwrap();
    let pairs: Vec<(String, String)> =
        url.query_pairs().into_owned().filter(|(known, _)| known != name).collect();
    url.query_pairs_mut().clear().extend_pairs(pairs).extend_pairs(value.map(|value| (name, value)));
    format!("{}?{}", url.path(), url.query().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_whom_a_real_provider_vouches_for_logs_in_and_is_known_the_next_time() {
    let provider = Provider::start().await;
    let (world, _folder) = provider.world().await;
    for (name, account) in [("rs", "kim"), ("ed", "lee")] {
        let mut browser = Browser::new(&world);
        let (status, page) = browser.log_in(name, account).await;
        assert_eq!(status, StatusCode::OK, "{page}");
        assert!(page.contains("url=/jobs?a=1&amp;b=2\""), "{page}");
        let (_, session) = browser.session().await;
        assert_eq!(
            (&session["method"], &session["tenant"]),
            (&json!(format!("oidc:{name}")), &json!("acme"))
        );
        let again = Browser::new(&world).log_in(name, account).await;
        assert_eq!(again.0, StatusCode::OK);
        let mut elsewhere = Browser::new(&world);
        elsewhere.log_in(name, account).await;
        assert_eq!(elsewhere.session().await.1["user"], session["user"]);
        let tenant = "acme".parse().unwrap();
        let user = world
            .engine
            .identity
            .users
            .get(&tenant, session["user"].as_str().unwrap())
            .await
            .unwrap()
            .unwrap();
        assert_eq!((user.name.as_str(), user.role, user.has_password), (account, Role::Producer, false));
        world.engine.identity.users.set_disabled(&tenant, &user.id, true, true).await.unwrap();
        assert_eq!(browser.session().await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(browser.log_in(name, account).await.0, StatusCode::UNAUTHORIZED, "he is disabled");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_login_holds_once_and_only_in_its_own_browser_with_its_own_provider() {
    let provider = Provider::start().await;
    let (world, _folder) = provider.world().await;
    let issuer = format!("http://127.0.0.1:{}", provider.port);
    let refused = StatusCode::UNAUTHORIZED;
    // Each change to what comes back; the login is over afterwards, also for what was right.
    let changes: [(&str, Option<&str>); 7] = [
        ("state", None),
        ("state", Some("x")),
        ("code", None),
        ("code", Some("x")),
        ("iss", None),
        ("iss", Some("https://evil.example")),
        ("error", Some("access_denied")),
    ];
    for (name, value) in changes {
        let mut browser = Browser::new(&world);
        let url = browser.start("rs").await;
        let back = browser.through(&url, "kim").await;
        assert!(back.contains("iss="), "{back}");
        assert_eq!(browser.come_back(&with(&back, name, value)).await.0, refused, "{name} {value:?}");
        let (status, _) = browser.come_back(&back).await;
        assert_eq!(status, refused, "{name} {value:?}");
        assert_eq!(browser.session().await.0, refused);
    }
    // Somebody else's browser, and none at all: whoever sends his own answer to another logs him in as himself.
    let (mut attacker, mut victim) = (Browser::new(&world), Browser::new(&world));
    let url = attacker.start("rs").await;
    let back = attacker.through(&url, "mallory").await;
    victim.start("rs").await;
    assert_eq!(victim.come_back(&back).await.0, refused);
    let url = attacker.start("rs").await;
    let back = attacker.through(&url, "mallory").await;
    assert_eq!(Browser::new(&world).come_back(&back).await.0, refused);
    // Another's code in one's own login: the verifier is not its own.
    let (mut one, mut other) = (Browser::new(&world), Browser::new(&world));
    let (mine, theirs) = (one.start("rs").await, other.start("rs").await);
    let (mine, theirs) = (one.through(&mine, "kim").await, other.through(&theirs, "lee").await);
    let code = Url::parse("http://x").unwrap().join(&theirs).unwrap();
    let code = code.query_pairs().find(|(name, _)| name == "code").unwrap().1.into_owned();
    assert_eq!(one.come_back(&with(&mine, "code", Some(&code))).await.0, refused);
    // At another provider's callback.
    let mut browser = Browser::new(&world);
    let url = browser.start("rs").await;
    let back = browser.through(&url, "kim").await;
    assert_eq!(browser.come_back(&back.replace("/rs/", "/ed/")).await.0, refused);
    // And once only where all is right.
    let url = browser.start("rs").await;
    assert!(url.starts_with(&format!("{issuer}/")) && url.contains("code_challenge_method=S256"), "{url}");
    let back = browser.through(&url, "kim").await;
    let cookies = browser.cookies.clone();
    assert_eq!(browser.come_back(&back).await.0, StatusCode::OK);
    browser.cookies = cookies;
    assert_eq!(browser.come_back(&back).await.0, refused);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_is_somebodys_by_its_subject_alone_and_only_who_is_logged_in_ties_one_to_himself() {
    let provider = Provider::start().await;
    let (world, _folder) = provider.world().await;
    let new = NewUser {
        tenant: "acme".parse().unwrap(),
        name: "boss".parse().unwrap(),
        role: Role::Admin,
        password: None,
        created_by: "test".to_owned(),
    };
    let boss = world.engine.identity.users.create(new).await.unwrap();
    // Called like him there: somebody else here.
    let mut browser = Browser::new(&world);
    assert_eq!(browser.log_in("rs", "boss").await.0, StatusCode::OK);
    let (_, session) = browser.session().await;
    assert_ne!(session["user"], json!(boss.id));
    // By this one nobody new comes in.
    assert_eq!(Browser::new(&world).log_in("es", "somebody").await.0, StatusCode::UNAUTHORIZED);

    let (_, text) = world.engine.sessions.begin(&boss, Default::default()).await.unwrap();
    let mut browser = Browser::new(&world);
    browser.cookies.insert("__Host-presswork".to_owned(), text.reveal().to_owned());
    let url = browser.here("/v1/auth/oidc/es/link");
    let forged = browser.go(Method::POST, &url, None).await;
    assert_eq!(forged.status(), StatusCode::FORBIDDEN, "without the session's token");
    let (status, body) = answer(browser.go(Method::POST, &url, Some(&text.csrf_token())).await).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    let back = browser.through(body["url"].as_str().unwrap(), "the boss there").await;
    assert_eq!(browser.come_back(&back).await.0, StatusCode::OK);
    let mut elsewhere = Browser::new(&world);
    assert_eq!(elsewhere.log_in("es", "the boss there").await.0, StatusCode::OK);
    assert_eq!(elsewhere.session().await.1["user"], json!(boss.id));
    // A session alone may be stolen: who has a password proves that he knows it.
    let jo = identity::user(&world, "acme", "jo", Role::Viewer).await;
    let (_, text) = world.engine.sessions.begin(&jo, Default::default()).await.unwrap();
    let mut stolen = Browser::new(&world);
    stolen.cookies.insert("__Host-presswork".to_owned(), text.reveal().to_owned());
    for (body, expected) in [
        (json!({}), StatusCode::FORBIDDEN),
        (json!({ "password": "not this one at all" }), StatusCode::FORBIDDEN),
        (json!({ "password": identity::PASSWORD }), StatusCode::OK),
    ] {
        let response = stolen.go_with(Method::POST, &url, Some(&text.csrf_token()), body.clone()).await;
        assert_eq!(response.status(), expected, "{body}");
    }
    // What is somebody's can't become another's.
    let (_, session) = elsewhere.session().await;
    let token = session["csrf_token"].as_str().unwrap();
    let (_, body) = answer(elsewhere.go(Method::POST, &url, Some(token)).await).await;
    let back = elsewhere.through(body["url"].as_str().unwrap(), "boss").await;
    assert_eq!(elsewhere.come_back(&back).await.0, StatusCode::UNAUTHORIZED);
}

/// The provider says nothing of several factors, so the user's own is asked for; by `ed` the settings take its word.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_a_second_factor_here_is_asked_for_it_behind_a_provider_too() {
    let provider = Provider::start().await;
    let (world, _folder) = provider.world().await;
    let engine = &world.engine;
    let mut browser = Browser::new(&world);
    assert_eq!(browser.log_in("rs", "kim").await.0, StatusCode::OK);
    let tenant = "acme".parse().unwrap();
    let id = browser.session().await.1["user"].as_str().unwrap().to_owned();
    let user = engine.identity.users.get(&tenant, &id).await.unwrap().unwrap();
    let setup = engine.identity.factors.begin(&user).await.unwrap().unwrap();
    let secret = totp_rs::Secret::try_from_base32(setup.secret.as_str()).unwrap();
    let totp = totp_rs::Builder::new().with_secret(secret).with_account_name("kim").build().unwrap();
    let now = || u64::try_from(engine.clock.now().as_millis() / 1_000).unwrap();
    let code = |later: u64| totp.generate(now() + later).to_string();
    engine.identity.factors.confirm(&tenant, &id, &code(0)).await.unwrap().unwrap();

    let mut browser = Browser::new(&world);
    let (status, page) = browser.log_in("rs", "kim").await;
    assert!(status == StatusCode::OK && page.contains("name=\"code\""), "{page}");
    assert!(page.contains("value=\"/jobs?a=1&amp;b=2\""), "{page}");
    assert_eq!(browser.session().await.0, StatusCode::UNAUTHORIZED, "the provider's word is not enough");
    let url = browser.here("/v1/auth/oidc/rs/code");
    let send = async |browser: &mut Browser<'_>, code: &str, site: &str| {
        let cookies: Vec<_> = browser.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let body = format!("code={code}&return_to=%2Fjobs%3Fa%3D1%26b%3D2");
        let request = browser.client.post(&url).header("cookie", cookies.join("; ")).body(body);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let response = request.header("sec-fetch-site", site).send().await.unwrap();
        for cookie in response.headers().get_all(header::SET_COOKIE) {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            browser.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        (response.status(), response.text().await.unwrap())
    };
    let (status, page) = send(&mut browser, "000000", "same-origin").await;
    assert!(status == StatusCode::UNAUTHORIZED && page.contains("That did not fit"), "{page}");
    assert_eq!(send(&mut browser, &code(30), "cross-site").await.0, StatusCode::FORBIDDEN);
    let (status, page) = send(&mut Browser::new(&world), &code(30), "same-origin").await;
    assert_eq!(status, StatusCode::UNAUTHORIZED, "without the login before it: {page}");
    let (status, page) = send(&mut browser, &code(30), "same-origin").await;
    assert!(status == StatusCode::OK && page.contains("url=/jobs?a=1&amp;b=2\""), "{page}");
    let (_, session) = browser.session().await;
    assert_eq!((&session["user"], &session["method"]), (&json!(id), &json!("oidc:rs")));

    // Tied to the same user at another provider, whose word the settings take.
    let token = session["csrf_token"].as_str().unwrap();
    let link = browser.here("/v1/auth/oidc/ed/link");
    let (_, body) = answer(browser.go(Method::POST, &link, Some(token)).await).await;
    let back = browser.through(body["url"].as_str().unwrap(), "kim there").await;
    assert_eq!(browser.come_back(&back).await.0, StatusCode::OK);
    let mut elsewhere = Browser::new(&world);
    elsewhere.log_in("ed", "kim there").await;
    assert_eq!(elsewhere.session().await.1["user"], json!(id));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_provider_that_is_unknown_away_or_private_is_said_so_without_details() {
    let world = World::start_with(|settings: &mut Settings| {
        let provider = |(name, issuer): (&str, &str)| {
            let provider = OidcProvider {
                issuer: issuer.to_owned(),
                client_id: "us".to_owned(),
                client_secret: None,
                redirect_uri: format!("https://books.example/v1/auth/oidc/{name}/callback"),
                tenant: "acme".parse().unwrap(),
                provision: true,
                default_role: Role::Viewer,
                scopes: Vec::new(),
                second_factor: SecondFactor::default(),
            };
            (name.to_owned(), provider)
        };
        settings.oidc =
            [("away", "http://127.0.0.1:1"), ("private", "https://169.254.169.254")].map(provider).into();
        settings.outgoing.allow = ["127.0.0.1:1".parse().unwrap()].into();
    })
    .await;
    let mut browser = Browser::new(&world);
    for (name, status) in [
        ("unknown", StatusCode::NOT_FOUND),
        ("away", StatusCode::SERVICE_UNAVAILABLE),
        ("private", StatusCode::SERVICE_UNAVAILABLE),
    ] {
        let url = browser.here(&format!("/v1/auth/oidc/{name}/start"));
        let (found, problem) = answer(browser.go(Method::GET, &url, None).await).await;
        assert_eq!(found, status);
        assert!(!problem.to_string().contains("169.254"), "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_tied_to_a_user_is_seen_and_untied_by_himself_or_who_manages_him() {
    let provider = Provider::start().await;
    let (world, _folder) = provider.world().await;
    let grants = Role::Admin.grants();
    let names: Vec<&str> = grants.0.iter().map(|grant| grant.as_str()).collect();
    let (admin, other) = (world.key("acme", &names).await, world.key("globex", &names).await);
    let mut browser = Browser::new(&world);
    assert_eq!(browser.log_in("rs", "ann").await.0, StatusCode::OK);
    let (_, session) = browser.session().await;
    let (user, token) = (session["user"].as_str().unwrap(), session["csrf_token"].as_str().unwrap());
    let url = browser.here("/v1/auth/accounts");
    let (_, own) = answer(browser.go(Method::GET, &url, None).await).await;
    assert_eq!((own["items"].as_array().unwrap().len(), &own["items"][0]["provider"]), (1, &json!("rs")));
    let id = own["items"][0]["id"].as_str().unwrap();
    for (account, expected) in [(id, StatusCode::CONFLICT), ("x", StatusCode::NOT_FOUND)] {
        let response = browser.go(Method::POST, &format!("{url}/{account}/remove"), Some(token)).await;
        assert_eq!(response.status(), expected, "{account}: the only way in stays");
    }

    let path = format!("/v1/users/{user}/accounts");
    assert_eq!(world.get(&path, &admin).await, (StatusCode::OK, own.clone()));
    assert_eq!(world.get(&path, &other).await.0, StatusCode::NOT_FOUND);
    let untie = async |key: &str| {
        let sent = world.request(Method::DELETE, &format!("{path}/{id}"), key).send().await;
        sent.unwrap().status()
    };
    assert_eq!(untie(&other).await, StatusCode::NOT_FOUND);
    assert_eq!(untie(&admin).await, StatusCode::NO_CONTENT);
    assert_eq!(untie(&admin).await, StatusCode::NOT_FOUND);
    assert_eq!(world.get(&path, &admin).await.1["items"], json!([]));
    // Who comes by it now is somebody new.
    let mut again = Browser::new(&world);
    assert_eq!(again.log_in("rs", "ann").await.0, StatusCode::OK);
    let (_, session) = again.session().await;
    let stranger = session["user"].as_str().unwrap();
    assert_ne!(stranger, user);

    // A password that is set anew leaves it as it is, unless it is said.
    let (path, reset) = (format!("/v1/users/{stranger}/accounts"), format!("/v1/users/{stranger}/reset"));
    for (query, left, session) in [("", 1, StatusCode::OK), ("?accounts=remove", 0, StatusCode::UNAUTHORIZED)]
    {
        let (status, link) = world.post(&format!("{reset}{query}"), &admin, &json!({})).await;
        assert_eq!(status, StatusCode::CREATED);
        assert_eq!(again.session().await.0, session, "{query}: he is logged out with his accounts");
        if left == 0 {
            let body = json!({ "link": link["link"], "new_password": "a long enough pass phrase" });
            assert_eq!(world.post("/v1/auth/link", &admin, &body).await.0, StatusCode::NO_CONTENT);
        }
        assert_eq!(world.get(&path, &admin).await.1["items"].as_array().unwrap().len(), left);
    }
    let (_, log) = world.get("/v1/audit?text=untied", &admin).await;
    assert_eq!(log["items"].as_array().unwrap().len(), 2, "{log}");
}

/// As a change of the password and the taking away of a second factor do it.
#[tokio::test(flavor = "multi_thread")]
async fn who_unties_an_account_from_himself_proves_that_he_is_not_somebody_with_his_session() {
    let world = World::start().await;
    let jo = identity::user(&world, "acme", "jo", Role::Viewer).await;
    let id = "5a".repeat(32);
    let (link, tie) =
        (json!({ "user": jo.id }), json!({ "provider": "idp", "since": "2026-11-22T00:00:00Z" }));
    for (collection, key, value) in
        [("oidc_links", format!("acme/{id}"), link), ("oidc_ties", format!("acme/{}/{id}", jo.id), tie)]
    {
        let value = value.to_string().into();
        world.engine.records.put(collection, &key, value, Expect::Anything, None).await.unwrap();
    }
    let (_, text) = world.engine.sessions.begin(&jo, Default::default()).await.unwrap();
    let mut stolen = Browser::new(&world);
    stolen.cookies.insert("__Host-presswork".to_owned(), text.reveal().to_owned());
    let url = stolen.here(&format!("/v1/auth/accounts/{id}"));
    let old = stolen.go(Method::DELETE, &url, Some(&text.csrf_token())).await;
    assert_eq!(old.status(), StatusCode::NOT_FOUND, "there is no way without proof");
    for (body, expected) in [
        (json!({}), StatusCode::FORBIDDEN),
        (json!({ "password": "not this one at all" }), StatusCode::FORBIDDEN),
        (json!({ "password": identity::PASSWORD }), StatusCode::NO_CONTENT),
        (json!({ "password": identity::PASSWORD }), StatusCode::NOT_FOUND),
    ] {
        let tied = world.engine.oidc.ties(&jo).await.unwrap().len();
        let url = format!("{url}/remove");
        let response = stolen.go_with(Method::POST, &url, Some(&text.csrf_token()), body.clone()).await;
        assert_eq!(response.status(), expected, "{body}");
        let is_untied = expected == StatusCode::NO_CONTENT;
        assert_eq!(world.engine.oidc.ties(&jo).await.unwrap().len(), tied - usize::from(is_untied), "{body}");
    }
}
