//! Permissions: what they are called, and when one that is granted is enough for one that is needed.

use std::{borrow::Cow, collections::BTreeSet, fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, de};

use crate::domain::KindName;

/// Every permission there is, with what it allows. `jobs:create` may be granted for one kind: `jobs:create:export`.
pub const PERMISSIONS: [(&str, &str); 22] = [
    ("artifacts:delete", "remove what jobs have made"),
    ("artifacts:read", "download what jobs have made"),
    ("audit:read", "read and verify the audit log"),
    ("jobs:cancel", "cancel jobs"),
    ("jobs:create", "enqueue jobs, open batches"),
    ("jobs:read", "see jobs, their events and why they wait"),
    ("jobs:retry", "put dead and cancelled jobs back"),
    ("keys:manage", "make, list and revoke API keys"),
    ("limits:read", "see limits and how much of them is left"),
    ("limits:write", "change limits of use"),
    ("projects:read", "read projects, their files and characters"),
    ("projects:write", "upload files, change projects and characters"),
    ("queue:pause", "pause and resume the tenant"),
    ("schedules:read", "see schedules"),
    ("schedules:write", "make, change and remove schedules"),
    ("secrets:read", "see the names of secrets, never their values"),
    ("secrets:write", "store, rotate and remove secrets"),
    ("sessions:manage", "see and end other users' sessions"),
    ("status:read", "see the state of the service"),
    ("tenants:manage", "see and change any tenant, act for it, pause everything"),
    ("users:manage", "make, change and remove users"),
    ("users:read", "see the tenant's users"),
];

/// A permission that something needs: one of [`PERMISSIONS`], where that can be narrowed with a kind behind it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Permission(Cow<'static, str>);

impl Permission {
    /// A permission named in the program.
    pub const fn literal(name: &'static str) -> Self {
        Self(Cow::Borrowed(name))
    }

    /// `jobs:create` for one kind.
    pub fn create(kind: &KindName) -> Self {
        Self(Cow::Owned(format!("jobs:create:{kind}")))
    }

    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Permission {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A permission that somebody has: one of [`PERMISSIONS`], or `jobs:create:<kind>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Grant(String);

/// The text names no permission.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a permission: one of those in the OpenAPI document, such as jobs:read, or jobs:create:<kind>")]
pub struct GrantError;

impl Grant {
    /// Its name.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is enough for what is needed: the same, or wider.
    fn covers(&self, needed: &str) -> bool {
        needed == self.0 || needed.strip_prefix(self.0.as_str()).is_some_and(|rest| rest.starts_with(':'))
    }
}

impl FromStr for Grant {
    type Err = GrantError;

    fn from_str(text: &str) -> Result<Self, GrantError> {
        let is_known = PERMISSIONS.iter().any(|(name, _)| *name == text);
        let kind = text.strip_prefix("jobs:create:").map(str::parse::<KindName>);
        if is_known || matches!(kind, Some(Ok(_))) { Ok(Self(text.to_owned())) } else { Err(GrantError) }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Grant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The permissions that somebody has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Grants(pub BTreeSet<Grant>);

impl Grants {
    /// Whether they are enough for a permission.
    pub fn allow(&self, needed: &Permission) -> bool {
        self.0.iter().any(|grant| grant.covers(needed.as_str()))
    }

    /// Whether they are enough for it at least narrowed, as `jobs:create:export` is for `jobs:create`: who asks for more than
    /// that is asked again where it is known what he wants.
    pub fn allow_some_of(&self, needed: &Permission) -> bool {
        let within = |grant: &Grant| {
            grant.0.strip_prefix(needed.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
        };
        self.allow(needed) || self.0.iter().any(within)
    }

    /// Whether everything in `others` is in these: nobody hands out what he has not.
    pub fn cover(&self, others: &Self) -> bool {
        others.0.iter().all(|other| self.0.iter().any(|grant| grant.covers(&other.0)))
    }

    /// What is in both.
    #[must_use]
    pub fn within(&self, bounds: &Self) -> Self {
        let mine = self.0.iter().filter(|grant| bounds.0.iter().any(|bound| bound.covers(&grant.0)));
        let theirs = bounds.0.iter().filter(|grant| self.0.iter().any(|bound| bound.covers(&grant.0)));
        Self(mine.chain(theirs).cloned().collect())
    }
}

impl FromIterator<Grant> for Grants {
    fn from_iter<I: IntoIterator<Item = Grant>>(grants: I) -> Self {
        Self(grants.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grants(names: &[&str]) -> Grants {
        names.iter().map(|name| name.parse::<Grant>().unwrap()).collect()
    }

    #[test]
    fn the_names_are_sorted_and_each_is_a_grant() {
        assert!(PERMISSIONS.is_sorted_by_key(|(name, _)| *name));
        assert_eq!(grants(&PERMISSIONS.map(|(name, _)| name)).0.len(), PERMISSIONS.len());
    }

    #[test]
    fn what_is_no_permission_can_not_be_granted() {
        for text in
            ["", "jobs", "jobs:", "jobs:*", "*", "jobs:read:export", "jobs:create:", "jobs:create:../x"]
        {
            assert_eq!(text.parse::<Grant>(), Err(GrantError), "{text}");
        }
    }

    #[test]
    fn a_wide_grant_covers_a_narrow_need_and_never_the_other_way() {
        let (export, import) = ("export".parse().unwrap(), "import".parse().unwrap());
        let (wide, narrow) = (grants(&["jobs:create"]), grants(&["jobs:create:export"]));
        assert!(wide.allow(&Permission::create(&export)) && wide.allow(&Permission::literal("jobs:create")));
        assert!(narrow.allow(&Permission::create(&export)) && !narrow.allow(&Permission::create(&import)));
        assert!(!narrow.allow(&Permission::literal("jobs:create")));
        assert!(narrow.allow_some_of(&Permission::literal("jobs:create")));
        assert!(!narrow.allow_some_of(&Permission::literal("jobs:read")));
        assert!(wide.cover(&narrow) && !narrow.cover(&wide));
        assert_eq!(wide.within(&narrow), narrow);
        assert_eq!(grants(&["jobs:create", "jobs:read"]).within(&grants(&["audit:read"])), Grants::default());
    }
}
