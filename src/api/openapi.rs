//! The OpenAPI document: made from the handlers' own words, and served. Must not know: any resource.

use axum::{
    extract::State,
    http::{HeaderValue, header},
    response::{IntoResponse, Response},
};
use utoipa::{
    OpenApi,
    openapi::{
        self,
        security::{ApiKey, ApiKeyValue, Http, HttpAuthScheme, SecurityScheme},
    },
};
use utoipa_axum::{router::OpenApiRouter, routes};

use super::{
    authority::{SCHEMES, operations},
    credential::SESSION_COOKIE,
    problem::ProblemBody,
    state::ApiState,
};

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Presswork",
        description = "Long jobs for many tenants: enqueue, follow, and download what was made. Whatever a credential's \
            tenant does not own is not there. Errors are RFC 9457 problems; look at their `type`.",
    ),
    components(schemas(ProblemBody)),
    tags(
        (name = "jobs", description = "Work: given, followed, stopped, repeated"),
        (name = "events", description = "Progress, as it happens"),
        (name = "artifacts", description = "What jobs have made"),
        (name = "projects", description = "Books, their files and characters"),
        (name = "schedules", description = "Jobs that are made again and again"),
        (name = "tenants", description = "Tenants, their limits, pauses"),
        (name = "spending", description = "What was spent on models, and what may be"),
        (name = "identity", description = "Logging in and out; tokens, sessions, second factors"),
        (name = "sessions", description = "Browsers that are logged in"),
        (name = "users", description = "Who may log in"),
        (name = "keys", description = "API keys"),
        (name = "secrets", description = "Keys of providers, never shown again"),
        (name = "audit", description = "Who did what"),
        (name = "status", description = "How the service is"),
    )
)]
struct Document;

/// The document before any resource has added its own.
pub(super) fn beginning(version: &str) -> openapi::OpenApi {
    let mut document = Document::openapi();
    document.info.version = version.to_owned();
    document.info.license = None;
    let components = document.components.get_or_insert_default();
    let [access_token, api_key, session] = SCHEMES;
    let token = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("JWT");
    components.add_security_scheme(
        access_token,
        SecurityScheme::Http(token.description(Some("An access token, from a login")).build()),
    );
    let key = Http::builder().scheme(HttpAuthScheme::Bearer).bearer_format("pw_live_…");
    components
        .add_security_scheme(api_key, SecurityScheme::Http(key.description(Some("An API key")).build()));
    let cookie =
        ApiKeyValue::with_description(SESSION_COOKIE, "A browser's session; changes need the CSRF token too");
    components.add_security_scheme(session, SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
    document
}

/// Names each operation by its method and path, so that no two have one name: `get_jobs_by_job_why`.
pub(super) fn name_operations(document: &mut openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words = path.split(['/', '.']).filter(|word| !word.is_empty() && *word != "v1");
        let words = words.map(|word| match word.strip_prefix('{').and_then(|word| word.strip_suffix('}')) {
            Some(name) => format!("_by_{name}"),
            None => format!("_{}", word.replace('-', "_")),
        });
        let name: String = words.collect();
        for (method, operation) in operations(item) {
            operation.operation_id = Some(method.as_str().to_lowercase() + &name);
        }
    }
}

/// Says of each operation how it refuses, where it does not say so itself: by a problem.
pub(super) fn add_refusals(document: &mut openapi::OpenApi) {
    let problem = |description: &str| {
        let content = openapi::ContentBuilder::new().schema(Some(openapi::Ref::from_schema_name("Problem")));
        let response = openapi::ResponseBuilder::new().description(description);
        response.content("application/problem+json", content.build()).build()
    };
    for item in document.paths.paths.values_mut() {
        for (_, operation) in operations(item) {
            let responses = &mut operation.responses.responses;
            for (status, description) in [("4XX", "Refused"), ("5XX", "Not now")] {
                responses.entry(status.to_owned()).or_insert_with(|| problem(description).into());
            }
        }
    }
}

/// The routes of the document itself.
pub(super) fn routes() -> OpenApiRouter<ApiState> {
    OpenApiRouter::new().routes(routes!(document))
}

/// This document
#[utoipa::path(
    get,
    path = "/openapi.json",
    tag = "status",
    responses(
        (status = OK, description = "The OpenAPI document", body = Object, content_type = "application/json"),
    ),
    extensions(("x-permission" = json!("public")))
)]
async fn document(State(state): State<ApiState>) -> Response {
    let json = HeaderValue::from_static("application/json");
    ([(header::CONTENT_TYPE, json)], state.document()).into_response()
}
