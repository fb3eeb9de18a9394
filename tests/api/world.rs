//! A server of the API in the test's own process, on a free port of the loopback, over an engine in a folder of its own.

use std::{net::SocketAddr, sync::Arc};

use presswork::{
    api::{self, Api},
    config::Settings,
    domain::{Failure, KindName, TenantId},
    engine::Engine,
    limits::LimitRules,
    security::{Acting, access::Grants, api_keys::NewApiKey},
    worker::{Context, Kind, Registry},
};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// A kind that gives its text back.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Echo {
    pub(crate) text: String,
}

impl Kind for Echo {
    const NAME: KindName = KindName::literal("echo");
    type Output = String;

    async fn run(self, context: Context) -> Result<String, Failure> {
        context.progress(1, 2, "half");
        Ok(self.text)
    }
}

/// A server, its engine and a client.
pub(crate) struct World {
    pub(crate) engine: Engine,
    pub(crate) address: SocketAddr,
    pub(crate) client: reqwest::Client,
    pub(crate) stopping: CancellationToken,
    /// Ends when the server has.
    pub(crate) served: tokio::task::JoinHandle<()>,
    _folder: tempfile::TempDir,
}

impl Drop for World {
    fn drop(&mut self) {
        self.stopping.cancel();
    }
}

impl World {
    /// On the embedded engine.
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| ()).await
    }

    /// The same, with settings changed first.
    pub(crate) async fn start_with(change: impl FnOnce(&mut Settings)) -> Self {
        Self::start_with_routes(change, None).await
    }

    /// The same with routes beside the API's own. Calls are not limited unless `change` says so.
    pub(crate) async fn start_with_routes(
        change: impl FnOnce(&mut Settings),
        routes: Option<api::Routes>,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut settings = Settings { data_dir: folder.path().to_owned(), ..Settings::default() };
        for resource in [LimitRules::API, LimitRules::ANONYMOUS] {
            settings.limits.0.remove(&resource);
        }
        change(&mut settings);
        let engine = Engine::connect(&settings).await.unwrap();
        let registry = Arc::new(Registry::new().register::<Echo>());
        let stopping = CancellationToken::new();
        let api = Api::new(engine.clone(), registry.clone(), settings.api.clone(), "0.0.0");
        let router = routes.into_iter().fold(api, Api::routes).router(stopping.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let token = stopping.clone();
        let served = tokio::spawn(async move {
            api::serve(listener, router, &settings.api, token, settings.drain).await.unwrap();
        });
        // The process's crypto provider; reqwest asks for it also where it speaks no TLS.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder().no_proxy().build().unwrap();
        Self { engine, address, client, stopping, served, _folder: folder }
    }

    /// An API key of a tenant with these permissions.
    pub(crate) async fn key(&self, tenant: &str, permissions: &[&str]) -> String {
        let grants: Grants = permissions.iter().map(|name| name.parse().unwrap()).collect();
        let tenant: TenantId = tenant.parse().unwrap();
        let new =
            NewApiKey { tenant, name: "a test's".to_owned(), grants, from: Vec::new(), expires_at: None };
        self.engine.api_keys.create(new, &Acting::system()).await.unwrap().1.reveal().to_owned()
    }

    /// A request to a path.
    pub(crate) fn request(&self, method: Method, path: &str, key: &str) -> RequestBuilder {
        self.client.request(method, format!("http://{}{path}", self.address)).bearer_auth(key)
    }

    pub(crate) async fn get(&self, path: &str, key: &str) -> (StatusCode, Value) {
        answer(self.request(Method::GET, path, key).send().await.unwrap()).await
    }

    pub(crate) async fn post(&self, path: &str, key: &str, body: &Value) -> (StatusCode, Value) {
        let request = self.request(Method::POST, path, key);
        let request = request.header("content-type", "application/json").body(body.to_string());
        answer(request.send().await.unwrap()).await
    }
}

/// A response's status and JSON; null where there is no body.
pub(crate) async fn answer(response: Response) -> (StatusCode, Value) {
    let (status, body) = (response.status(), response.bytes().await.unwrap());
    (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
}
