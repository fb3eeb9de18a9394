//! `/v1/users`: who may log in. Nobody hands out what he has not, changes somebody who has more, or takes the last admin away.

mod documents;

use axum::{
    Json,
    extract::State,
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) use self::documents::UserDocument;
use self::documents::{CreatedUser, LinkDocument, NewUserBody, UserChanges};
use super::{
    Routes,
    caller::Caller,
    extract::{Body, Path, Query},
    page::{PageOf, PageQuery},
    problem::{Problem, ProblemType},
    state::ApiState,
};
use crate::{
    domain::UserId,
    security::{
        access::Role,
        audit::{Action, Entry},
        login::Links,
        passwords::{self, Passwords},
        users::{NewUser, User},
    },
};

/// What `/v1/users` answers to.
pub(super) fn routes() -> Routes {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, change, remove))
        .routes(routes!(reset))
        .routes(routes!(log_out))
}

fn private(status: StatusCode, body: impl Serialize) -> Response {
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}

pub(super) fn unknown() -> Problem {
    Problem::not_found("such user")
}

/// # Errors
/// [`Problem`] where the role has something that the caller has not.
pub(super) fn may_give(caller: &Caller, role: Role) -> Result<(), Problem> {
    if caller.principal.grants.cover(&role.grants()) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemType::Forbidden,
        format_args!(
            "the role {role} may do what you may not: only who has it hands it out or takes it away"
        ),
    ))
}

/// The user of the caller's tenant whom he may change.
pub(super) async fn changeable(state: &ApiState, caller: &Caller, id: &UserId) -> Result<User, Problem> {
    let user = state.engine().identity.users.get(caller.tenant(), &id.to_string()).await?;
    let user = user.ok_or_else(unknown)?;
    may_give(caller, user.role)?;
    Ok(user)
}

async fn told(state: &ApiState, caller: &Caller, user: &User, change: &str) {
    let entry = Entry::new(Action::UserChanged).to(user.id.clone()).with("change", change);
    let entry = entry.with("name", &user.name).with("role", user.role);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
}

async fn link(state: &ApiState, user: &User, life: std::time::Duration) -> Result<LinkDocument, Problem> {
    let (link, expires_at) = state.engine().identity.logins.links().make(user, life).await?;
    Ok(LinkDocument { link: link.reveal().to_owned(), expires_at })
}

/// Make a user
#[utoipa::path(
    post,
    path = "/v1/users",
    tag = "users",
    request_body = NewUserBody,
    responses(
        (status = CREATED, description = "The user, and a link where he has no password", body = CreatedUser),
    ),
    extensions(("x-permission" = json!("users:manage")))
)]
async fn create(
    State(state): State<ApiState>,
    caller: Caller,
    Body(body): Body<NewUserBody>,
) -> Result<Response, Problem> {
    may_give(&caller, body.role)?;
    let identity = &state.engine().identity;
    let password = match (&body.password, &body.password_hash) {
        (Some(_), Some(_)) => {
            return Err(Problem::at(
                ProblemType::Unprocessable,
                "/password_hash",
                "a password or a hash, not both",
            ));
        }
        (Some(password), None) => {
            passwords::check(password, &body.name)
                .map_err(|weakness| Problem::at(ProblemType::Unprocessable, "/password", weakness))?;
            Some(identity.passwords.hash(password).await?)
        }
        (None, Some(hash)) => Some(
            Passwords::import(hash)
                .map_err(|error| Problem::at(ProblemType::Unprocessable, "/password_hash", error))?,
        ),
        (None, None) => None,
    };
    let new = NewUser {
        tenant: caller.tenant().clone(),
        name: body.name,
        role: body.role,
        password,
        created_by: caller.principal.subject.name(),
    };
    let user = identity.users.create(new).await?;
    told(&state, &caller, &user, "created").await;
    let link = if user.has_password { None } else { Some(link(&state, &user, Links::INVITATION).await?) };
    let location = HeaderValue::try_from(format!("/v1/users/{}", user.id)).map_err(Problem::internal)?;
    let created = CreatedUser { user: UserDocument::new(&user), link };
    let mut response = private(StatusCode::CREATED, created);
    response.headers_mut().insert(header::LOCATION, location);
    Ok(response)
}

/// List users
///
/// Oldest first.
#[utoipa::path(
    get,
    path = "/v1/users",
    tag = "users",
    params(PageQuery),
    responses(
        (status = OK, description = "A page of users", body = PageOf<UserDocument>),
    ),
    extensions(("x-permission" = json!("users:read")))
)]
async fn list(
    State(state): State<ApiState>,
    caller: Caller,
    Query(page): Query<PageQuery>,
) -> Result<Response, Problem> {
    if page.cursor().is_some_and(|cursor| cursor.parse::<UserId>().is_err()) {
        return Err(PageQuery::bad_cursor());
    }
    let users = &state.engine().identity.users;
    let found = users.list(caller.tenant(), page.cursor(), page.limit()?).await?;
    let items = found.items.iter().map(UserDocument::new).collect();
    Ok(Json(PageOf { items, next: found.next }).into_response())
}

/// Look at a user
#[utoipa::path(
    get,
    path = "/v1/users/{user}",
    tag = "users",
    params(("user" = String, Path, description = "Its id")),
    responses(
        (status = OK, description = "The user", body = UserDocument),
    ),
    extensions(("x-permission" = json!("users:read")))
)]
async fn get(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Response, Problem> {
    let user = state.engine().identity.users.get(caller.tenant(), &user.to_string()).await?;
    Ok(Json(UserDocument::new(&user.ok_or_else(unknown)?)).into_response())
}

/// Change a user
#[utoipa::path(
    patch,
    path = "/v1/users/{user}",
    tag = "users",
    params(("user" = String, Path, description = "Its id")),
    request_body = UserChanges,
    responses(
        (status = OK, description = "The user as he is now", body = UserDocument),
    ),
    extensions(("x-permission" = json!("users:manage")))
)]
async fn change(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
    Body(changes): Body<UserChanges>,
) -> Result<Response, Problem> {
    let mut user = changeable(&state, &caller, &user).await?;
    let (users, tenant) = (&state.engine().identity.users, caller.tenant());
    if let Some(role) = changes.role {
        may_give(&caller, role)?;
        user = users.set_role(tenant, &user.id, role, false).await?.ok_or_else(unknown)?;
        told(&state, &caller, &user, "role").await;
    }
    if let Some(disabled) = changes.disabled {
        user = users.set_disabled(tenant, &user.id, disabled, false).await?.ok_or_else(unknown)?;
        told(&state, &caller, &user, if disabled { "disabled" } else { "enabled" }).await;
    }
    Ok(Json(UserDocument::new(&user)).into_response())
}

/// Remove a user
///
/// For good; nothing of him holds from then on.
#[utoipa::path(
    delete,
    path = "/v1/users/{user}",
    tag = "users",
    params(("user" = String, Path, description = "Its id")),
    responses(
        (status = NO_CONTENT, description = "He is gone"),
    ),
    extensions(("x-permission" = json!("users:manage")))
)]
async fn remove(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Response, Problem> {
    let user = changeable(&state, &caller, &user).await?;
    let users = &state.engine().identity.users;
    let removed = users.remove(caller.tenant(), &user.id, false).await?.ok_or_else(unknown)?;
    told(&state, &caller, &removed, "removed").await;
    Ok(StatusCode::NO_CONTENT.into_response())
}

/// Give a user a one-time link for a new password
///
/// For half an hour. His second factor is taken away with `?factor=remove`, where he has lost that, too. With
/// `?accounts=remove` all accounts at providers that are tied to him are untied, which else go on logging in as him, and he is
/// logged out everywhere.
#[utoipa::path(
    post,
    path = "/v1/users/{user}/reset",
    tag = "users",
    params(("user" = String, Path, description = "Its id"), ResetQuery),
    responses(
        (status = CREATED, description = "The link, to be handed to him", body = LinkDocument),
    ),
    extensions(("x-permission" = json!("users:manage")))
)]
async fn reset(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
    Query(query): Query<ResetQuery>,
) -> Result<Response, Problem> {
    let mut user = changeable(&state, &caller, &user).await?;
    if query.factor.is_some() {
        state.engine().identity.factors.remove(&user.tenant, &user.id).await?;
        told(&state, &caller, &user, "second factor removed").await;
    }
    if query.accounts.is_some() {
        user = state.engine().oidc.untie_all(&user).await?.ok_or_else(unknown)?;
        told(&state, &caller, &user, "accounts untied").await;
    }
    told(&state, &caller, &user, "link").await;
    Ok(private(StatusCode::CREATED, link(&state, &user, Links::RESET).await?))
}

/// What else of a user is reset.
#[derive(Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
struct ResetQuery {
    /// `remove` takes the second factor away
    #[param(value_type = Option<String>)]
    factor: Option<Lost>,
    /// `remove` unties all accounts at providers, whenever they were tied, and logs him out everywhere
    #[param(value_type = Option<String>)]
    accounts: Option<Lost>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Lost {
    Remove,
}

/// Log a user out everywhere
#[utoipa::path(
    post,
    path = "/v1/users/{user}/logout",
    tag = "users",
    params(("user" = String, Path, description = "Its id")),
    responses(
        (status = NO_CONTENT, description = "Nothing that was given to him holds"),
    ),
    extensions(("x-permission" = json!("sessions:manage")))
)]
async fn log_out(
    State(state): State<ApiState>,
    caller: Caller,
    Path(user): Path<UserId>,
) -> Result<Response, Problem> {
    let user = changeable(&state, &caller, &user).await?;
    state.engine().identity.users.end_all(&user.tenant, &user.id).await?;
    let entry = Entry::new(Action::Logout).to(user.id).with("everywhere", true);
    state.record(entry, &caller.origin, Some(&caller.principal)).await;
    Ok(StatusCode::NO_CONTENT.into_response())
}
