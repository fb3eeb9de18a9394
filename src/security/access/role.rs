//! Roles: names for sets of permissions.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

use super::permission::{Grant, Grants, PERMISSIONS};

/// What somebody is in his tenant; the one table that says what that allows is [`Role::grants`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything but secrets, keys, users and the audit log.
    Viewer,
    /// A viewer who gives work, brings manuscripts and takes what was made: an app, or an editor.
    Producer,
    /// A producer who also stops, repeats, pauses and schedules work, and sets limits.
    Operator,
    /// Everything in his tenant: users, keys, secrets, audit.
    Admin,
    /// Everything in every tenant: who runs the installation.
    Root,
}

const VIEWER: &[&str] =
    &["artifacts:read", "jobs:read", "limits:read", "projects:read", "schedules:read", "status:read"];
const PRODUCER: &[&str] = &["jobs:cancel", "jobs:create", "projects:write"];
const OPERATOR: &[&str] =
    &["artifacts:delete", "jobs:retry", "queue:pause", "schedules:write", "secrets:read", "users:read"];
/// All but what reaches beyond the tenant: limits are what the tenant pays for.
const NOT_OF_A_TENANT: &[&str] = &["limits:write", "tenants:manage"];

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 5] = [Self::Viewer, Self::Producer, Self::Operator, Self::Admin, Self::Root];

    /// What it allows.
    pub fn grants(self) -> Grants {
        let all = || PERMISSIONS.iter().map(|(name, _)| *name);
        let names: Vec<&str> = match self {
            Self::Viewer => VIEWER.to_vec(),
            Self::Producer => [VIEWER, PRODUCER].concat(),
            Self::Operator => [VIEWER, PRODUCER, OPERATOR].concat(),
            Self::Admin => all().filter(|name| !NOT_OF_A_TENANT.contains(name)).collect(),
            Self::Root => all().collect(),
        };
        names.into_iter().filter_map(|name| name.parse::<Grant>().ok()).collect()
    }

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Producer => "producer",
            Self::Operator => "operator",
            Self::Admin => "admin",
            Self::Root => "root",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The text is not a role.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a role: one of viewer, producer, operator, admin, root")]
pub struct RoleError;

impl FromStr for Role {
    type Err = RoleError;

    fn from_str(text: &str) -> Result<Self, RoleError> {
        Self::ALL.into_iter().find(|role| role.name() == text).ok_or(RoleError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::security::access::Permission;

    #[test]
    fn each_role_can_what_the_one_below_it_can_and_more() {
        for pair in Role::ALL.windows(2) {
            let (less, more) = (pair[0].grants(), pair[1].grants());
            assert!(more.cover(&less) && !less.cover(&more), "{} and {}", pair[0], pair[1]);
        }
    }

    #[test]
    fn every_name_in_the_table_is_a_permission() {
        let named = [VIEWER, PRODUCER, OPERATOR, NOT_OF_A_TENANT].concat();
        assert!(named.iter().all(|name| PERMISSIONS.iter().any(|(known, _)| known == name)));
    }

    #[test]
    fn only_root_reaches_beyond_its_tenant() {
        for role in Role::ALL {
            assert_eq!(
                role.grants().allow(&Permission::literal("tenants:manage")),
                role == Role::Root,
                "{role}"
            );
        }
    }
}
