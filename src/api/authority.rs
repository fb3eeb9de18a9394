//! Who may call what, in one place. Each operation of the OpenAPI document says what it needs; [`Authority`] is that table, and
//! [`admit`] the one layer that holds every request against it. What the table does not name is refused: a route that was
//! added without a word about it is closed, not open.
//!
//! An operation says it by an extension: `x-permission = "jobs:read"`; `x-permission = "jobs:create:*"` where a part of the
//! permission is enough to be let in and the handler asks for the rest; `x-permission = "signed-in"` for whoever has proved
//! who he is; `x-permission = "public"` for everybody.

use std::{collections::HashMap, sync::Arc, time::Duration};

use axum::{
    extract::{MatchedPath, Request, State},
    http::{HeaderMap, Method},
    middleware::Next,
    response::{IntoResponse, Response},
};
use utoipa::openapi::{
    OpenApi,
    path::{Operation, PathItem},
    security::SecurityRequirement,
};

use super::{
    caller::Origin,
    credential, csrf,
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::TenantId,
    security::{
        access::{PERMISSIONS, Permission, Principal},
        audit::{Action, Entry, Outcome},
    },
};

/// What an operation needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// Nothing.
    Public,
    /// That the caller has proved who he is.
    SignedIn,
    /// A permission.
    All(Permission),
    /// A permission, or a part of it.
    SomeOf(Permission),
}

impl Need {
    fn read(text: &str) -> Option<Self> {
        let known = |name: &str| {
            let (name, _) = PERMISSIONS.iter().find(|(known, _)| *known == name)?;
            Some(Permission::literal(name))
        };
        match text {
            "public" => Some(Self::Public),
            "signed-in" => Some(Self::SignedIn),
            _ => match text.strip_suffix(":*") {
                Some(whole) => known(whole).map(Self::SomeOf),
                None => known(text).map(Self::All),
            },
        }
    }
}

/// What changes who may do what, or how much.
const ADMINISTRATIVE: [&str; 7] = [
    "keys:manage",
    "limits:write",
    "queue:pause",
    "secrets:write",
    "sessions:manage",
    "tenants:manage",
    "users:manage",
];

impl Need {
    /// Whether it is a change of who may do what, or how much.
    fn is_of_administration(&self, method: &Method) -> bool {
        let (Self::All(permission) | Self::SomeOf(permission)) = self else { return false };
        !method.is_safe() && ADMINISTRATIVE.contains(&permission.as_str())
    }

    /// Whether it is a change that nobody may make unseen. What takes something away (`DELETE`) is none: a key that has leaked
    /// is revoked at once, and waits for its entry in memory.
    fn is_administrative(&self, method: &Method) -> bool {
        method != Method::DELETE && self.is_of_administration(method)
    }

    /// Whether a key that was read a moment ago does not do: what it could change would outlive its revocation. What any caller
    /// may change is his own account.
    fn asks_anew(&self, method: &Method) -> bool {
        let is_own = matches!(self, Self::Public | Self::SignedIn);
        (is_own && !method.is_safe()) || self.is_of_administration(method)
    }

    /// The permission that a caller would need and has not.
    fn missing(&self, principal: &Principal) -> Option<&Permission> {
        match self {
            Self::Public | Self::SignedIn => None,
            Self::All(permission) => (!principal.may(permission)).then_some(permission),
            Self::SomeOf(permission) => (!principal.grants.allow_some_of(permission)).then_some(permission),
        }
    }
}

/// What every operation needs, by its method and the pattern of its path.
#[derive(Debug, Default)]
pub(super) struct Authority(HashMap<Method, HashMap<String, Need>>);

impl Authority {
    /// Reads the table from a document, and writes what it found into the document's own words: the operation's `security`.
    pub(super) fn of(document: &mut OpenApi) -> Self {
        let mut table: HashMap<_, HashMap<_, _>> = HashMap::new();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let text =
                    operation.extensions.as_mut().and_then(|extensions| extensions.remove("x-permission"));
                let need = text.as_ref().and_then(serde_json::Value::as_str).and_then(Need::read);
                // A word that is no permission closes the operation; a test looks for such.
                let Some(need) = need else { continue };
                operation.security = Some(security(&need));
                table.entry(method).or_default().insert(path.clone(), need);
            }
        }
        Self(table)
    }

    /// What an operation needs; `None` where nobody has said.
    pub(super) fn need(&self, method: &Method, path: &str) -> Option<&Need> {
        let method = if method == Method::HEAD { &Method::GET } else { method };
        self.0.get(method)?.get(path)
    }
}

/// The names of the security schemes, as the document has them.
pub(super) const SCHEMES: [&str; 3] = ["accessToken", "apiKey", "session"];

fn security(need: &Need) -> Vec<SecurityRequirement> {
    let scopes: Vec<String> = match need {
        Need::Public => return vec![SecurityRequirement::default()],
        Need::SignedIn => Vec::new(),
        Need::All(permission) | Need::SomeOf(permission) => vec![permission.to_string()],
    };
    SCHEMES.iter().map(|scheme| SecurityRequirement::new(*scheme, scopes.clone())).collect()
}

/// The operations of a path.
pub(super) fn operations(item: &mut PathItem) -> Vec<(Method, &mut Operation)> {
    let all = [
        (Method::GET, &mut item.get),
        (Method::PUT, &mut item.put),
        (Method::POST, &mut item.post),
        (Method::DELETE, &mut item.delete),
        (Method::PATCH, &mut item.patch),
    ];
    all.into_iter().filter_map(|(method, operation)| Some((method, operation.as_mut()?))).collect()
}

/// Lets a request through where its operation's need is met; the handler finds the caller in the request's extensions.
pub(super) async fn admit(State(state): State<ApiState>, mut request: Request, next: Next) -> Response {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    let Some(need) = path.and_then(|path| state.authority().need(request.method(), path)) else {
        // A method that a path has not is answered beyond this layer: what comes here has a handler, and is closed.
        return Problem::not_found("such path").into_response();
    };
    let (origin, limits) = (Origin::of(&request), state.limits());
    if *need == Need::Public {
        let is_counted = limits.count(&request);
        let told = match limits.public(is_counted, &origin).await {
            Ok(told) => told,
            Err(problem) => return problem.into_response(),
        };
        return told.onto(next.run(request).await);
    }
    let headers = request.headers();
    let is_trusted = !need.asks_anew(request.method());
    let recalled = if is_trusted { credential::recall(&state, headers, &origin) } else { None };
    let principal = match recalled {
        Some(principal) => principal,
        // What is seldom needed is kept out of each request's own memory.
        None => match Box::pin(credential::principal(&state, headers, &origin, is_trusted)).await {
            Ok(principal) => principal,
            Err(problem) => return Box::pin(limits.refused(&origin, problem)).await.into_response(),
        },
    };
    let (principal, other) = match acting(headers, &principal) {
        Ok(Some(tenant)) => (Arc::new(Principal { tenant, ..Principal::clone(&principal) }), None),
        Ok(None) => (principal, None),
        Err(other) => (principal, Some(other)),
    };
    // Also who names a tenant that is not his is counted, before the log hears of him.
    let told = match limits.principal(&principal, &origin).await {
        Ok(told) => told,
        Err(problem) => return problem.into_response(),
    };
    if let Some(other) = other {
        if let Some(tenant) = other {
            let entry =
                Entry::new(Action::AccessDenied).ended(Outcome::Refused).to(format!("tenant:{tenant}"));
            Box::pin(state.record(entry, &origin, Some(&principal))).await;
        }
        return told.onto(Problem::not_found("such tenant").into_response());
    }
    if let Some(missing) = need.missing(&principal) {
        let entry = Entry::new(Action::AccessDenied).ended(Outcome::Refused).to(missing.as_str());
        Box::pin(state.record(entry, &origin, Some(&principal))).await;
        return told.onto(denied(missing.as_str()).into_response());
    }
    if need.is_administrative(request.method()) && !state.engine().audit.is_healthy() {
        return told.onto(unrecorded().into_response());
    }
    if let Err(problem) = csrf::guard(&principal, &request, &state.settings().cors_origins) {
        return told.onto(problem.into_response());
    }
    request.extensions_mut().insert(principal);
    told.onto(next.run(request).await)
}

/// The answer to an administrative change while the audit log can't be written.
fn unrecorded() -> Problem {
    let detail = "the audit log can't be written now, and nothing is changed that it does not tell of: `doctor` says why";
    Problem::new(ProblemType::Unavailable, detail).after(Duration::from_secs(5))
}

/// Names the tenant for which somebody wants to act who may do so for any.
const ACTING_FOR: &str = "presswork-tenant";
/// Who may.
const MANAGES_TENANTS: Permission = Permission::literal("tenants:manage");

/// For which tenant the caller wants to act, where that is another than his own: the one that the header names, where he
/// manages tenants. To everybody else another tenant is one that there is not: `Err`, with its name where it can be one.
fn acting(headers: &HeaderMap, principal: &Principal) -> Result<Option<TenantId>, Option<TenantId>> {
    let mut named = headers.get_all(ACTING_FOR).iter();
    let Some(value) = named.next() else { return Ok(None) };
    let tenant = value.to_str().ok().filter(|_| named.next().is_none()).and_then(|name| name.parse().ok());
    let tenant: TenantId = tenant.ok_or(None)?;
    if tenant == principal.tenant {
        return Ok(None);
    }
    if principal.may(&MANAGES_TENANTS) { Ok(Some(tenant)) } else { Err(Some(tenant)) }
}

/// The answer to who has not the permission.
pub(super) fn denied(needed: &str) -> Problem {
    Problem::new(
        ProblemType::Forbidden,
        format_args!("this needs the permission {needed}: ask an administrator of your tenant for it"),
    )
}
