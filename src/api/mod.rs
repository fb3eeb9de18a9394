//! The HTTP API under `/v1`: one file a resource. Owns: routes, who may call them (`authority`), and how an answer looks.
//! Must not know: any kind of job, any engine.
//!
//! A resource's file has a function `routes` that answers an [`OpenApiRouter`]; each handler's `#[utoipa::path]` is its entry in
//! the OpenAPI document and says by `x-permission` who may call it. An app adds routes of its own in the same way.

mod artifacts;
mod audit;
mod authority;
mod batches;
mod browser;
pub(crate) mod caller;
mod content;
mod credential;
mod csrf;
mod descriptors;
mod docs;
mod documents;
mod events;
pub(crate) mod extract;
mod files;
mod identity;
mod jobs;
mod keys;
mod kinds;
mod layers;
mod limits;
mod metrics;
mod oidc;
mod openapi;
pub(crate) mod page;
pub mod problem;
mod queue;
mod room;
mod schedules;
mod secrets;
mod server;
mod sessions;
mod socket;
mod spending;
mod state;
mod status;
mod tenants;
mod tls;
mod transfer;
mod users;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, middleware};
use tokio_util::sync::CancellationToken;
use utoipa_axum::router::OpenApiRouter;

pub use caller::Caller;
pub use descriptors::allow_files;
pub(crate) use documents::{JobDocument, sealed};
pub use extract::{Body, Path, Query};
pub(crate) use keys::ApiKeyDocument;
pub use page::{PageOf, PageQuery};
pub use problem::{Problem, ProblemBody, ProblemType};
pub use server::serve;
pub(crate) use spending::{BudgetsDocument, DayDocument, SpendingDocument};
pub use state::ApiState;
pub use tls::{Tls, TlsError};

use self::{
    authority::Authority,
    layers::{Layers, Operations},
};
use crate::{config::ApiSettings, engine::Engine, worker::Registry};

/// Routes with their part of the OpenAPI document.
pub type Routes = OpenApiRouter<ApiState>;

/// The API before it is served.
pub struct Api {
    engine: Engine,
    registry: Arc<Registry>,
    settings: ApiSettings,
    version: String,
    routes: Vec<Routes>,
}

impl Api {
    /// The API of a program with these kinds.
    pub fn new(engine: Engine, registry: Arc<Registry>, settings: ApiSettings, version: &str) -> Self {
        Self { engine, registry, settings, version: version.to_owned(), routes: Vec::new() }
    }

    /// Adds an app's own routes.
    #[must_use]
    pub fn routes(mut self, routes: Routes) -> Self {
        self.routes.push(routes);
        self
    }

    /// All routes, with every layer. `stopping` ends what streams.
    pub fn router(self, stopping: CancellationToken) -> Router {
        let mut all = OpenApiRouter::with_openapi(openapi::beginning(&self.version));
        let own = [
            openapi::routes(),
            jobs::routes(),
            artifacts::routes(),
            files::routes(),
            sessions::routes(),
            oidc::routes(),
            keys::routes(),
            secrets::routes(),
            audit::routes(),
            batches::routes(),
            events::routes(),
            schedules::routes(),
            kinds::routes(),
            queue::routes(),
            tenants::routes(),
            limits::routes(),
            spending::routes(),
            status::routes(),
            docs::routes(),
            identity::routes(),
            users::routes(),
        ];
        for routes in own.into_iter().chain(self.routes) {
            all = all.merge(routes);
        }
        let (router, mut document) = all.split_for_parts();
        openapi::name_operations(&mut document);
        openapi::add_refusals(&mut document);
        let authority = Authority::of(&mut document);
        let operations = Arc::new(Operations::of(&mut document));
        let json = document.to_json().unwrap_or_default();
        let state = ApiState::new(
            self.engine,
            self.registry,
            self.settings,
            authority,
            json,
            operations.clone(),
            stopping,
        );
        let most_bytes = state.settings().most_body_bytes;
        let layers = Layers::new(state.clone(), operations);
        let router = router
            .layer(DefaultBodyLimit::max(most_bytes))
            .route_layer(middleware::from_fn_with_state(state.clone(), csrf::guard))
            .route_layer(middleware::from_fn_with_state(state.clone(), authority::admit))
            .fallback(async || Problem::not_found("such path"))
            .method_not_allowed_fallback(async || {
                Problem::new(ProblemType::MethodNotAllowed, "the OpenAPI document lists what each path takes")
            })
            .with_state(state.clone());
        // Outside of all that may answer instead of a handler, such as time.
        layers.around(router).layer(middleware::from_fn_with_state(state, metrics::measure))
    }
}
