//! What all handlers share.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;

use super::{
    authority::Authority,
    caller::{Caller, Origin},
    docs,
    events::{Live, Watch},
    layers::{Limits, Operations},
    metrics::Requests,
    status::Readiness,
};
use crate::{
    config::ApiSettings,
    engine::Engine,
    security::{
        access::Principal,
        audit::{Actor, Entry},
    },
    store::breaker::Breaker,
    worker::Registry,
};

/// How long the store of credentials may take before it counts as away.
const PATIENCE: Duration = Duration::from_secs(2);
/// How often it is tried then.
const PAUSE: Duration = Duration::from_secs(1);

/// What all handlers share. Cheap to clone.
#[derive(Clone)]
pub struct ApiState(Arc<Inner>);

struct Inner {
    engine: Engine,
    registry: Arc<Registry>,
    settings: ApiSettings,
    authority: Authority,
    document: Bytes,
    limits: Limits,
    stopping: tokio_util::sync::CancellationToken,
    docs: Bytes,
    live: Live,
    watch: Watch,
    requests: Requests,
    readiness: Readiness,
    credentials: Breaker,
    begun: tokio::time::Instant,
}

impl ApiState {
    pub(super) fn new(
        engine: Engine,
        registry: Arc<Registry>,
        settings: ApiSettings,
        authority: Authority,
        document: String,
        operations: Arc<Operations>,
        stopping: tokio_util::sync::CancellationToken,
    ) -> Self {
        let limits = Limits::new(&engine, operations);
        let docs = Bytes::from(docs::render(&serde_json::from_str(&document).unwrap_or_default()));
        let live = Live::new(engine.progress.clone(), settings.most_streams);
        let watch = Watch::new(engine.clone(), stopping.clone());
        let (requests, readiness) = (Requests::default(), Readiness::default());
        let credentials = Breaker::new("credentials", engine.clock.clone(), PATIENCE, PAUSE);
        let begun = tokio::time::Instant::now();
        Self(Arc::new(Inner {
            engine,
            registry,
            settings,
            authority,
            document: document.into(),
            limits,
            stopping,
            docs,
            live,
            watch,
            requests,
            readiness,
            credentials,
            begun,
        }))
    }

    /// What the process holds.
    pub fn engine(&self) -> &Engine {
        &self.0.engine
    }

    /// The kinds of the program.
    pub fn registry(&self) -> &Registry {
        &self.0.registry
    }

    /// How the API is set up.
    pub fn settings(&self) -> &ApiSettings {
        &self.0.settings
    }

    /// Fires when the server is to end: streams end then.
    pub fn stopping(&self) -> &tokio_util::sync::CancellationToken {
        &self.0.stopping
    }

    pub(super) fn authority(&self) -> &Authority {
        &self.0.authority
    }

    /// How often who may call.
    pub(crate) fn limits(&self) -> &Limits {
        &self.0.limits
    }

    /// The OpenAPI document, as JSON; one copy for all who read it.
    pub(super) fn document(&self) -> Bytes {
        self.0.document.clone()
    }

    /// Records what a caller did in the audit log.
    pub async fn audit(&self, caller: &Caller, entry: Entry) {
        self.record(entry, &caller.origin, Some(&caller.principal)).await;
    }

    /// The OpenAPI document, as a page.
    pub(super) fn docs(&self) -> Bytes {
        self.0.docs.clone()
    }

    /// What is followed, and how many streams are open.
    pub(super) fn live(&self) -> &Live {
        &self.0.live
    }

    /// Whether those who follow still may.
    pub(super) fn watch(&self) -> &Watch {
        &self.0.watch
    }

    /// What was counted of HTTP.
    pub(super) fn requests(&self) -> &Requests {
        &self.0.requests
    }

    /// Whether the stores are there.
    pub(super) fn readiness(&self) -> &Readiness {
        &self.0.readiness
    }

    /// Whether the store of credentials is there.
    pub(super) fn credentials(&self) -> &Breaker {
        &self.0.credentials
    }

    /// When the API began.
    pub(super) fn begun(&self) -> tokio::time::Instant {
        self.0.begun
    }

    /// Records an act in the audit log, with who called and from where.
    pub(crate) async fn record(&self, entry: Entry, origin: &Origin, principal: Option<&Principal>) {
        let actor = principal.map_or(Actor::Anonymous, |principal| Actor::Subject(principal.subject.name()));
        let tenant = entry.tenant.clone().or_else(|| principal.map(|principal| principal.tenant.clone()));
        let (address, request) = (origin.address, origin.request.clone());
        self.engine().audit.record(Entry { actor, tenant, address, request, ..entry }).await;
    }
}
