//! One caller's way through all of the API, canaries in his hands. Every answer is kept in a file, but for those in which
//! something secret is handed out, and what a tenant asks for of its own.

use std::{
    cell::Cell,
    fs,
    path::{Path, PathBuf},
};

use presswork::domain::clock::{Clock as _, SystemClock};
use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};
use totp_rs::{Builder, Secret};

use super::search::Canaries;

const PASSWORD: &str = "canaryPasswordOfJo4711";
const NEW_PASSWORD: &str = "canaryPasswordOfLi4711";
const WRONG_PASSWORD: &str = "canaryPasswordOfNobody4711";
const SECRET: &str = "canarySecretInTheVault4711";
const OLD_SECRET: &str = "canarySecretOfYesterday4711";
const PAYLOAD: &str = "canaryPayloadOfAJob4711";
const BROKEN_PAYLOAD: &str = "canaryPayloadThatIsRefused4711";
const TEXT: &str = "canaryTextOfABook4711";

/// Of a credential what nobody can guess, without what tells its kind.
pub(crate) fn inner(text: &str) -> &str {
    let secret = text.rsplit('.').next().unwrap();
    let secret = ["pw_live_", "pw_refresh_", "pw_link_", "pw_login_"]
        .iter()
        .find_map(|kind| secret.strip_prefix(kind))
        .unwrap_or(secret);
    &secret[..secret.len().min(40)]
}

/// Whether an answer may be kept to be searched.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    /// It must not have a secret in it.
    Searched,
    /// It is the one in which a secret is handed out, or the tenant's own content.
    HandsOut,
}

/// A caller.
pub(super) struct Visit {
    url: String,
    key: String,
    said: PathBuf,
    client: reqwest::Client,
    answers: Cell<usize>,
    canaries: Canaries,
}

impl Visit {
    pub(super) fn begin(address: &str, key: &str, said: &Path, canaries: Canaries) -> Self {
        // The process's crypto provider; reqwest asks for it also where it speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        let (url, key, said) = (format!("http://{address}"), key.to_owned(), said.to_owned());
        Self { url, key, said, client, answers: Cell::new(0), canaries }
    }

    /// Keeps what an answer says, its headers too.
    async fn told(&self, what: &str, keep: Keep, answer: Response) -> (StatusCode, Value) {
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = answer.bytes().await.unwrap();
        if keep == Keep::Searched {
            let number = self.answers.replace(self.answers.get() + 1);
            let head = format!("{what}\n{status}\n{headers:?}\n").into_bytes();
            let name = format!("answer-{}-{number:03}", inner(&self.key).split_at(6).0);
            fs::write(self.said.join(name), [&head[..], &body].concat()).unwrap();
        }
        let text = || Value::String(String::from_utf8_lossy(&body).into_owned());
        (status, serde_json::from_slice(&body).unwrap_or_else(|_| text()))
    }

    /// With this credential; none where it is empty.
    async fn send(
        &self,
        keep: Keep,
        credential: &str,
        method: Method,
        path: &str,
        body: impl Into<reqwest::Body>,
    ) -> (StatusCode, Value) {
        let mut request = self.client.request(method.clone(), format!("{}{path}", self.url)).body(body);
        if !credential.is_empty() {
            request = request.bearer_auth(credential);
        }
        let answer = request.header("content-type", "application/json").send().await.unwrap();
        self.told(&format!("{method} {}", path.split('?').next().unwrap()), keep, answer).await
    }

    async fn get(&self, path: &str) -> (StatusCode, Value) {
        self.send(Keep::Searched, &self.key, Method::GET, path, "").await
    }

    async fn ask(&self, method: Method, path: &str, body: Value) -> (StatusCode, Value) {
        self.send(Keep::Searched, &self.key, method, path, body.to_string()).await
    }

    /// What must be refused.
    async fn refused(&self, credential: &str, method: Method, path: &str, body: &str) {
        let (status, told) = self.send(Keep::Searched, credential, method, path, body.to_owned()).await;
        assert!(status.is_client_error(), "{path}: {status} {told}");
    }

    /// What hands out secrets; answers them by name.
    async fn handed(&self, credential: &str, path: &str, body: Value) -> Value {
        let (status, told) =
            self.send(Keep::HandsOut, credential, Method::POST, path, body.to_string()).await;
        assert!(status.is_success(), "{path}: {status} {told}");
        told
    }

    fn canary(&mut self, what: &str, value: &Value) -> String {
        let text = value.as_str().unwrap_or_else(|| panic!("{what}: {value}")).to_owned();
        self.canaries.add(what, inner(&text));
        text
    }

    /// All of it; answers a dead job, and what is to be found nowhere.
    pub(super) async fn all(mut self) -> (String, Canaries) {
        for (what, text) in [
            ("a password", PASSWORD),
            ("a password set by a link", NEW_PASSWORD),
            ("a wrong password", WRONG_PASSWORD),
            ("a secret", SECRET),
            ("a secret's old value", OLD_SECRET),
            ("a payload", PAYLOAD),
            ("a payload that is refused", BROKEN_PAYLOAD),
            ("a book's text", TEXT),
        ] {
            self.canaries.add(what, text);
        }
        self.vault().await;
        self.keys().await;
        self.logins().await;
        let job = self.work(PAYLOAD).await;
        self.refused_work().await;
        self.book(TEXT, false).await;
        self.reports().await;
        (job, self.canaries)
    }

    /// What a tenant that does not seal leaves behind.
    pub(super) async fn openly(self, payload: &str, text: &str) {
        self.work(payload).await;
        self.book(text, true).await;
    }

    async fn vault(&self) {
        for value in [OLD_SECRET, SECRET] {
            let put = self.ask(Method::PUT, "/v1/secrets/openai", json!({ "value": value })).await;
            assert!(put.0.is_success(), "{}", put.1);
        }
        for body in [
            format!("{{\"value\":\"{SECRET}\""),
            format!("{{\"value\":{{\"{SECRET}\":1}}}}"),
            format!("{{\"valu\":\"{SECRET}\"}}"),
            format!("{{\"{SECRET}\":1}}"),
            format!("\"{SECRET}\""),
            SECRET.to_owned(),
        ] {
            self.refused(&self.key, Method::PUT, "/v1/secrets/openai", &body).await;
        }
        self.refused("", Method::PUT, "/v1/secrets/openai", &json!({ "value": SECRET }).to_string()).await;
        let named = json!({ "value": SECRET });
        self.refused(&self.key, Method::PUT, "/v1/secrets/NOT%20ONE", &named.to_string()).await;
        for path in ["/v1/secrets", "/v1/secrets/openai"] {
            assert_eq!(self.get(path).await.0, StatusCode::OK);
        }
    }

    async fn keys(&mut self) {
        let new = json!({ "name": "one", "permissions": ["jobs:read"] });
        let made = self.handed(&self.key, "/v1/keys", new).await;
        let (id, key) = (made["key"]["id"].as_str().unwrap(), self.canary("an API key", &made["text"]));
        let rotate = format!("/v1/keys/{id}/rotate");
        let rotated = self.handed(&self.key, &rotate, json!({ "overlap_seconds": 60 })).await;
        self.canary("an API key that replaced another", &rotated["text"]);
        self.refused(&key, Method::GET, "/v1/users", "").await;
        let revoked = self.ask(Method::DELETE, &format!("/v1/keys/{id}"), json!({})).await;
        assert_eq!(revoked.0, StatusCode::OK, "{}", revoked.1);
        self.refused(&key, Method::GET, "/v1/jobs", "").await;
        self.refused(&format!("{key}0"), Method::GET, "/v1/jobs", "").await;
        self.get("/v1/keys").await;
        self.refused("", Method::POST, "/v1/auth/refresh", &json!({ "refresh_token": key }).to_string())
            .await;
    }

    async fn log_in(&mut self, name: &str, password: &str) -> Value {
        let body = json!({ "tenant": "acme", "name": name, "password": password });
        self.handed("", "/v1/auth/login", body).await
    }

    fn tokens(&mut self, told: &Value) -> (String, String) {
        let access = self.canary("an access token", &told["access_token"]);
        (access, self.canary("a refresh token", &told["refresh_token"]))
    }

    async fn logins(&mut self) {
        let jo = json!({ "name": "jo", "role": "operator", "password": PASSWORD });
        assert_eq!(self.ask(Method::POST, "/v1/users", jo.clone()).await.0, StatusCode::CREATED);
        self.refused(&self.key, Method::POST, "/v1/users", &jo.to_string()).await;
        let odd = json!({ "name": "NOT ONE", "role": "operator", "password": PASSWORD });
        self.refused(&self.key, Method::POST, "/v1/users", &odd.to_string()).await;
        for (name, password) in [("nobody", PASSWORD), ("jo", WRONG_PASSWORD)] {
            let body = json!({ "tenant": "acme", "name": name, "password": password });
            self.refused("", Method::POST, "/v1/auth/login", &body.to_string()).await;
        }
        for body in [
            format!("{{\"tenant\":\"acme\",\"name\":\"jo\",\"password\":\"{PASSWORD}\""),
            format!("{{\"tenant\":\"acme\",\"name\":7,\"password\":\"{PASSWORD}\"}}"),
            format!("{{\"tenant\":\"acme\",\"name\":\"jo\",\"password\":{{\"{PASSWORD}\":1}}}}"),
        ] {
            self.refused("", Method::POST, "/v1/auth/login", &body).await;
        }
        let told = self.log_in("jo", PASSWORD).await;
        let (access, refresh) = self.tokens(&told);
        self.refused(&refresh, Method::GET, "/v1/jobs", "").await;
        self.second_factor(&access).await;
        let told = self.handed("", "/v1/auth/refresh", json!({ "refresh_token": refresh })).await;
        self.tokens(&told);
        let twice = json!({ "refresh_token": refresh }).to_string();
        for _ in 0..2 {
            // The first may come within the time in which a lost answer is given again.
            self.send(Keep::HandsOut, "", Method::POST, "/v1/auth/refresh", twice.clone()).await;
        }
        self.browser().await;
    }

    async fn second_factor(&mut self, access: &str) {
        let wrong = json!({ "password": WRONG_PASSWORD }).to_string();
        self.refused(access, Method::POST, "/v1/auth/totp", &wrong).await;
        let setup = self.handed(access, "/v1/auth/totp", json!({ "password": PASSWORD })).await;
        let secret = self.canary("a second factor", &setup["secret"]);
        self.canaries.add_bytes("a second factor's bytes", &base32(&secret));
        let totp = Builder::new().with_secret(Secret::try_from_base32(&secret).unwrap());
        let totp = totp.with_account_name("jo").build().unwrap();
        let now = u64::try_from(SystemClock.now().as_millis() / 1_000).unwrap();
        let code = totp.generate(now).to_string();
        self.refused(access, Method::POST, "/v1/auth/totp/confirm", r#"{"code":"000"}"#).await;
        let codes = self.handed(access, "/v1/auth/totp/confirm", json!({ "code": code })).await;
        let codes: Vec<String> = serde_json::from_value(codes["recovery_codes"].clone()).unwrap();
        for code in codes.iter().filter(|code| code.len() >= 16) {
            self.canaries.add("a recovery code", code);
        }
        for code in [WRONG_PASSWORD, &codes[0]] {
            let told = self.log_in("jo", PASSWORD).await;
            let challenge = self.canary("a login that waits for its code", &told["challenge"]);
            let body = json!({ "challenge": challenge, "code": code });
            let sent = |keep| self.send(keep, "", Method::POST, "/v1/auth/login/code", body.to_string());
            if code == WRONG_PASSWORD {
                assert!(sent(Keep::Searched).await.0.is_client_error());
            } else {
                let (status, told) = sent(Keep::HandsOut).await;
                assert_eq!(status, StatusCode::OK, "{told}");
                self.tokens(&told);
            }
        }
    }

    async fn browser(&mut self) {
        let made = self.handed(&self.key, "/v1/users", json!({ "name": "li", "role": "viewer" })).await;
        let link = self.canary("a link", &made["link"]["link"]);
        let set = json!({ "link": link, "new_password": NEW_PASSWORD });
        let (status, told) = self.ask(Method::POST, "/v1/auth/link", set.clone()).await;
        assert_eq!(status, StatusCode::NO_CONTENT, "{told}");
        self.refused("", Method::POST, "/v1/auth/link", &set.to_string()).await;
        let body = json!({ "tenant": "acme", "name": "li", "password": NEW_PASSWORD }).to_string();
        let request = self.client.post(format!("{}/v1/sessions", self.url)).body(body);
        let request = request.header("content-type", "application/json");
        let answer = request.header("sec-fetch-site", "same-origin").send().await.unwrap();
        let cookie = answer.headers()["set-cookie"].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().split_once('=').unwrap().1.to_owned();
        let (_, told) = self.told("", Keep::HandsOut, answer).await;
        let cookie = self.canary("a session", &Value::String(cookie));
        let token = self.canary("a token against forged requests", &told["csrf_token"]);
        for (method, path, site) in [
            (Method::GET, "/v1/sessions", "same-origin"),
            (Method::POST, "/v1/jobs", "same-origin"),
            (Method::POST, "/v1/jobs", "cross-site"),
            (Method::DELETE, "/v1/sessions/current", "same-origin"),
            (Method::GET, "/v1/sessions", "same-origin"),
        ] {
            let request = self.client.request(method, format!("{}{path}", self.url));
            let request = request.header("cookie", format!("__Host-presswork={cookie}"));
            let request = request.header("x-csrf-token", &token).header("sec-fetch-site", site);
            self.told(path, Keep::Searched, request.send().await.unwrap()).await;
        }
        let told = self.log_in("li", NEW_PASSWORD).await;
        let (access, _) = self.tokens(&told);
        for (present, new) in [(WRONG_PASSWORD, PASSWORD), (NEW_PASSWORD, "short"), (NEW_PASSWORD, PASSWORD)]
        {
            let body = json!({ "password": present, "new_password": new }).to_string();
            self.send(Keep::Searched, &access, Method::POST, "/v1/auth/password", body).await;
        }
        self.refused(&access, Method::GET, "/v1/jobs", "").await;
        self.get("/v1/users").await;
    }

    /// A job's whole life with this in its payload: it waits, dies, is put back and dies again; and one in a batch.
    async fn work(&self, payload: &str) -> String {
        let payload = json!({
            "project": "missing", "source": [{ "name": "x.md", "key": "files/nothing.md" }],
            "title": payload, "authors": ["Somebody", payload],
        });
        let job = json!({ "kind": "import", "payload": payload });
        self.ask(Method::PUT, "/v1/queue/pause", json!({})).await;
        let (status, made) = self.ask(Method::POST, "/v1/jobs", job.clone()).await;
        assert_eq!(status, StatusCode::CREATED, "{made}");
        let id = made["id"].as_str().unwrap().to_owned();
        let path = format!("/v1/jobs/{id}");
        let looks = async || {
            for more in ["/why", "/result", "/artifacts", "/wait?timeout=0"] {
                self.get(&format!("{path}{more}")).await;
            }
            // A tenant that does not seal is shown its payload.
            self.get(&path).await;
            self.get("/v1/jobs").await;
        };
        looks().await;
        let many = json!({ "jobs": [job] });
        assert_eq!(self.ask(Method::POST, "/v1/jobs/batch", many).await.0, StatusCode::OK);
        let batch = json!({ "size": 1, "callback": { "kind": "import", "payload": payload } });
        let (status, opened) = self.ask(Method::POST, "/v1/batches", batch).await;
        assert_eq!(status, StatusCode::CREATED, "{opened}");
        self.ask(Method::DELETE, "/v1/queue/pause", json!({})).await;
        for _ in 0..2 {
            let ended = self.ended(&id).await;
            assert_eq!(ended["state"], "dead", "{ended}");
            looks().await;
            self.get(&format!("{path}/events")).await;
            self.ask(Method::POST, &format!("{path}/retry"), json!({})).await;
        }
        self.ended(&id).await;
        id
    }

    async fn ended(&self, id: &str) -> Value {
        loop {
            let (status, job) = self.get(&format!("/v1/jobs/{id}/wait?timeout=60")).await;
            if status != StatusCode::ACCEPTED {
                assert_eq!(status, StatusCode::OK, "{job}");
                return job;
            }
        }
    }

    /// Payloads that are none, in every way in.
    async fn refused_work(&self) {
        for payload in [
            json!({ "project": "missing", "source": BROKEN_PAYLOAD }),
            json!({ "project": "missing", "source": [], "folder": BROKEN_PAYLOAD }),
            json!({ "project": "missing", "source": [], "format": BROKEN_PAYLOAD }),
            json!({ "project": format!("{BROKEN_PAYLOAD}/.."), "source": [] }),
            json!(BROKEN_PAYLOAD),
        ] {
            let job = json!({ "kind": "import", "payload": payload });
            self.refused(&self.key, Method::POST, "/v1/jobs", &job.to_string()).await;
            self.ask(Method::POST, "/v1/jobs/batch", json!({ "jobs": [job] })).await;
            let batch = json!({ "size": 1, "callback": job });
            self.refused(&self.key, Method::POST, "/v1/batches", &batch.to_string()).await;
            let plan = json!({ "kind": "import", "payload": payload, "cron": "0 6 1 1 *" });
            self.refused(&self.key, Method::PUT, "/v1/schedules/wrong", &plan.to_string()).await;
        }
        let cut = format!("{{\"kind\":\"import\",\"payload\":{{\"title\":\"{BROKEN_PAYLOAD}\"}}");
        self.refused(&self.key, Method::POST, "/v1/jobs", &cut).await;
    }

    /// A book with this in it goes in and out; what it was made of is removed afterwards, unless it is to stay.
    async fn book(&self, text: &str, stays: bool) {
        let book = format!("# One\n\nOnce upon a time there was {text}.\n");
        let put = self.client.put(format!("{}/v1/files/book.md", self.url)).bearer_auth(&self.key);
        let (status, file) = self.told("file", Keep::Searched, put.body(book).send().await.unwrap()).await;
        assert_eq!(status, StatusCode::CREATED, "{file}");
        let source = json!([{ "name": "book.md", "key": file["key"] }]);
        let import = json!({ "kind": "import", "payload": { "project": "book", "source": source } });
        let export = json!({ "project": "book", "format": "text", "compression": "none" });
        let export = json!({ "kind": "export", "payload": export });
        let mut made = String::new();
        for job in [import, export] {
            let (status, given) = self.ask(Method::POST, "/v1/jobs", job).await;
            assert_eq!(status, StatusCode::CREATED, "{given}");
            made = given["id"].as_str().unwrap().to_owned();
            let ended = self.ended(&made).await;
            assert_eq!(ended["state"], "completed", "{ended}");
            self.get(&format!("/v1/jobs/{made}/events")).await;
        }
        let listed = self.get(&format!("/v1/jobs/{made}/artifacts")).await.1;
        let path = format!("/v1/jobs/{made}/artifacts/{}", listed["items"][0]["name"].as_str().unwrap());
        let (status, read) = self.send(Keep::HandsOut, &self.key, Method::GET, &path, "").await;
        assert!(status.is_success() && read.as_str().unwrap().contains(text), "{read}");
        self.ask(Method::POST, &format!("{path}/verify"), json!({})).await;
        if !stays {
            self.refused(&self.key, Method::POST, &format!("{path}/presign"), "{}").await;
            for path in ["/v1/projects/book", "/v1/files/book.md"] {
                let removed = self.ask(Method::DELETE, path, json!({})).await;
                assert_eq!(removed.0, StatusCode::NO_CONTENT, "{}", removed.1);
            }
        }
    }

    async fn reports(&self) {
        let mut path = "/v1/audit?limit=200".to_owned();
        loop {
            let (status, page) = self.get(&path).await;
            assert_eq!(status, StatusCode::OK, "{page}");
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/v1/audit?limit=200&cursor={next}");
        }
        for path in [
            "/metrics",
            "/v1/audit/report",
            "/v1/audit/verify",
            "/v1/status/security",
            "/v1/status/performance",
            "/v1/status/cache",
            "/v1/status/limits",
            "/v1/queue",
            "/v1/limits",
            "/v1/tenants",
            "/openapi.json",
        ] {
            let (status, told) = self.get(path).await;
            assert_eq!(status, StatusCode::OK, "{path}: {told}");
        }
    }
}

/// What base 32 stands for.
fn base32(text: &str) -> Vec<u8> {
    let (mut bytes, mut held, mut bits) = (Vec::new(), 0_u32, 0);
    for letter in text.bytes().filter(|letter| *letter != b'=') {
        let value = if letter.is_ascii_digit() { letter - b'2' + 26 } else { letter - b'A' };
        held = (held << 5 | u32::from(value)) & 0xfff;
        bits += 5;
        if bits >= 8 {
            bits -= 8;
            bytes.push((held >> bits & 0xff) as u8);
        }
    }
    bytes
}
