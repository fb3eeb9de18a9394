//! `presswork api` or `presswork up` as a process, the engine on its data directory, and what its OpenAPI document says.

use std::process::Stdio;

use presswork::{
    config::Settings,
    domain::TenantId,
    engine::Engine,
    security::{
        Acting,
        access::{Grants, PERMISSIONS, Role},
        api_keys::NewApiKey,
        sessions::Beginning,
        users::{NewUser, User},
    },
};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use crate::world::{Running, World};

/// Who asks: nobody, an app, or a user with a browser.
#[derive(Clone, Debug)]
pub(crate) enum Caller {
    Key(String),
    Browser { cookie: String, token: String },
}

impl Caller {
    /// The request with what proves who he is.
    pub(crate) fn signs(&self, request: RequestBuilder) -> RequestBuilder {
        match self {
            Self::Key(key) => request.bearer_auth(key),
            Self::Browser { cookie, token } => request
                .header("cookie", format!("__Host-presswork={cookie}"))
                .header("sec-fetch-site", "same-origin")
                .header("x-csrf-token", token),
        }
    }
}

/// A running server that limits nobody, and its engine.
pub(crate) struct Served {
    pub(crate) world: World,
    pub(crate) engine: Engine,
    pub(crate) url: String,
    client: reqwest::Client,
    _server: Running,
}

impl Served {
    /// Of `settings`, beside what lifts the limits.
    pub(crate) async fn start(command: &str, settings: &str) -> Self {
        Self::start_saying(command, settings, "presswork=error", Stdio::inherit()).await
    }

    /// The same with these levels of its log, which goes there.
    pub(crate) async fn start_saying(command: &str, settings: &str, levels: &str, log: Stdio) -> Self {
        let world = World::new();
        let lifted = "[limits]\napi = \"none\"\nanonymous = \"none\"\ncharacter = \"none\"\n";
        world.file("presswork.toml", format!("{settings}\n{lifted}"));
        let arguments = [command, "--json", "--listen", "127.0.0.1:0", "--log", levels];
        let mut server = world.start_saying(&arguments, log);
        let listening = server.until(|line| line["event"] == "listening");
        let url = format!("http://{}", listening["address"].as_str().unwrap());
        let engine =
            Engine::connect(&Settings { data_dir: world.data(), ..Settings::default() }).await.unwrap();
        // The process's crypto provider; reqwest asks for it also where it speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
        Self { world, engine, url, client: client.build().unwrap(), _server: server }
    }

    pub(crate) fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url))
    }

    /// A key of a tenant with every permission that is not among these.
    pub(crate) async fn key_without(&self, tenant: &str, without: &[&str]) -> Caller {
        let names = PERMISSIONS.iter().map(|(name, _)| *name).filter(|name| !without.contains(name));
        let grants: Grants = names.map(|name| name.parse().unwrap()).collect();
        let tenant: TenantId = tenant.parse().unwrap();
        let name = "a test's".to_owned();
        let new = NewApiKey { tenant, name, grants, from: Vec::new(), expires_at: None };
        let made = self.engine.api_keys.create(new, &Acting::command_line()).await;
        Caller::Key(made.unwrap().1.reveal().to_owned())
    }

    /// A new user of a tenant, who may everything.
    pub(crate) async fn user(&self, tenant: &str, name: &str) -> User {
        let new = NewUser {
            tenant: tenant.parse().unwrap(),
            name: name.parse().unwrap(),
            role: Role::Root,
            password: None,
            created_by: "a test".to_owned(),
        };
        self.engine.identity.users.create(new).await.unwrap()
    }

    /// A browser of his, and the id of its session.
    pub(crate) async fn browser(&self, user: &User) -> (Caller, String) {
        let begun = Beginning { method: "password".to_owned(), address: None, agent: None };
        let (session, text) = self.engine.sessions.begin(user, begun).await.unwrap();
        (Caller::Browser { cookie: text.reveal().to_owned(), token: text.csrf_token() }, session.id)
    }

    /// The document, as everybody gets it.
    pub(crate) async fn document(&self) -> Value {
        let answer = self.request(Method::GET, "/openapi.json").send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }
}

/// An operation as the document has it.
#[derive(Clone, Debug)]
pub(crate) struct Operation {
    pub(crate) method: Method,
    pub(crate) path: String,
    /// What it needs: nothing where it is for everybody; no scope where whoever has proved who he is may.
    pub(crate) needs: Option<Vec<String>>,
    /// All that the document says of it.
    pub(crate) says: Value,
}

impl Operation {
    /// All of a document.
    pub(crate) fn all(document: &Value) -> Vec<Self> {
        let mut found = Vec::new();
        for (path, item) in document["paths"].as_object().unwrap() {
            for (method, says) in item.as_object().unwrap() {
                let method = method.to_uppercase();
                if !["GET", "PUT", "POST", "DELETE", "PATCH"].contains(&method.as_str()) {
                    continue;
                }
                let requirements = says["security"].as_array().unwrap();
                let is_public = requirements.iter().any(|one| one.as_object().unwrap().is_empty());
                let scopes = || requirements[0].as_object().unwrap().values().next().unwrap().clone();
                let needs = (!is_public).then(|| serde_json::from_value(scopes()).unwrap());
                let (method, path) = (method.parse().unwrap(), path.clone());
                found.push(Self { method, path, needs, says: says.clone() });
            }
        }
        assert!(found.len() > 80, "the document has {} operations", found.len());
        found
    }

    /// The path of the thing that it is about, which ends with that one's id: `/v1/jobs/{job}` of `/v1/jobs/{job}/why`.
    pub(crate) fn thing(&self) -> Option<&str> {
        self.path.rfind('}').map(|end| &self.path[..=end])
    }

    /// Its path with these in place of the parameters.
    pub(crate) fn with(&self, values: &[String]) -> String {
        filled(&self.path, values)
    }
}

/// A path with these in place of its parameters.
pub(crate) fn filled(path: &str, values: &[String]) -> String {
    let mut values = values.iter();
    let pieces = path.split('/').map(|piece| {
        if piece.starts_with('{') { values.next().unwrap_or_else(|| panic!("{path}")) } else { piece }
    });
    pieces.collect::<Vec<_>>().join("/")
}
