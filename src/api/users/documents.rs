//! Users as callers write and see them.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::{
    domain::{TenantId, Timestamp},
    security::{
        access::Role,
        passwords::Password,
        users::{User, UserName},
    },
};

/// A user.
#[derive(Serialize, ToSchema)]
#[schema(as = User)]
pub(in crate::api) struct UserDocument {
    /// Its id.
    id: String,
    /// Whose user.
    #[schema(value_type = String)]
    tenant: TenantId,
    /// What he logs in with.
    #[schema(value_type = String)]
    name: UserName,
    /// What he may do.
    #[schema(value_type = String, example = "producer")]
    role: Role,
    /// Whether he may not log in.
    disabled: bool,
    /// Whether a second factor is asked for.
    second_factor: bool,
    /// Whether he has a password; else a link is waited for.
    has_password: bool,
    /// Who made him.
    created_by: String,
    /// When.
    #[schema(value_type = String, format = DateTime)]
    created_at: Timestamp,
    /// When he was changed last.
    #[schema(value_type = String, format = DateTime)]
    changed_at: Timestamp,
}

impl UserDocument {
    pub(in crate::api) fn new(user: &User) -> Self {
        let user = user.clone();
        Self {
            id: user.id,
            tenant: user.tenant,
            name: user.name,
            role: user.role,
            disabled: user.disabled,
            second_factor: user.second_factor,
            has_password: user.has_password,
            created_by: user.created_by,
            created_at: user.created_at,
            changed_at: user.changed_at,
        }
    }
}

/// A user to be.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewUserBody {
    /// What he logs in with: 1 to 100 of a-z, 0-9 and . _ - + @
    #[schema(value_type = String, example = "jo@books.example")]
    pub(super) name: UserName,
    /// viewer, producer, operator, admin or root.
    #[schema(value_type = String, example = "producer")]
    pub(super) role: Role,
    /// His password; without it and a hash the answer has a link by which he sets one.
    #[serde(default)]
    #[schema(value_type = Option<String>, format = Password)]
    pub(super) password: Option<Password>,
    /// A bcrypt or Argon2id hash from elsewhere; it is replaced when he logs in.
    #[serde(default)]
    pub(super) password_hash: Option<String>,
}

/// What of a user is to be another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UserChanges {
    /// What he may do, at once.
    #[serde(default)]
    #[schema(value_type = Option<String>)]
    pub(super) role: Option<Role>,
    /// Whether he may not log in; who may not is logged out everywhere.
    #[serde(default)]
    pub(super) disabled: Option<bool>,
}

/// A user who was made.
#[derive(Serialize, ToSchema)]
pub(super) struct CreatedUser {
    /// The user.
    pub(super) user: UserDocument,
    /// How he sets his password, where he has none.
    pub(super) link: Option<LinkDocument>,
}

/// A one-time link's secret part; shown once.
#[derive(Serialize, ToSchema)]
pub(super) struct LinkDocument {
    /// For `/v1/auth/link`.
    pub(super) link: String,
    /// When it ends.
    #[schema(value_type = String, format = DateTime)]
    pub(super) expires_at: Timestamp,
}
