//! What an entry of the audit log says.

use std::{collections::BTreeMap, net::IpAddr};

use serde::{Deserialize, Serialize};

use crate::domain::TenantId;

/// Who acted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Actor {
    /// Somebody who had proved who he is: `user:…` or `key:…`.
    Subject(String),
    /// Somebody who had not, or failed to.
    Anonymous,
    /// Whoever may run the program on its machine.
    CommandLine,
    /// The program itself: a worker, a schedule, maintenance.
    System,
}

impl Actor {
    /// As the log names him: `user:…`, `key:…`, `anonymous`, `command-line` or `system`.
    pub fn name(&self) -> &str {
        match self {
            Self::Subject(name) => name,
            Self::Anonymous => "anonymous",
            Self::CommandLine => "command-line",
            Self::System => "system",
        }
    }
}

/// How it ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// It was done.
    Done,
    /// It was refused.
    Refused,
    /// It failed.
    Failed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Done, Self::Refused, Self::Failed];

    /// Its name in the log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Refused => "refused",
            Self::Failed => "failed",
        }
    }
}

/// The text is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an outcome: done, refused or failed")]
pub struct OutcomeError;

impl std::str::FromStr for Outcome {
    type Err = OutcomeError;

    fn from_str(text: &str) -> Result<Self, OutcomeError> {
        Self::ALL.into_iter().find(|outcome| outcome.name() == text).ok_or(OutcomeError)
    }
}

macro_rules! actions {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// What was done, or tried: the whole vocabulary of the log.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        pub enum Action {
            $($(#[$doc])* #[serde(rename = $name)] $variant,)*
        }

        impl Action {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// Its name in the log: what it was about, and what happened.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

actions! {
    /// A password was given.
    Login = "auth.login",
    /// A password was right, and a second factor was asked for.
    PasswordAccepted = "auth.password",
    /// A second factor was given.
    SecondFactor = "auth.second_factor",
    /// Somebody logged out, or was.
    Logout = "auth.logout",
    /// A refresh token was given.
    Refresh = "auth.refresh",
    /// A refresh token was given a second time: its family is revoked.
    RefreshReuse = "auth.refresh_reuse",
    /// Logins of an account or an address are being put off.
    LoginThrottled = "auth.throttled",
    /// Somebody came back from an OIDC provider.
    OidcLogin = "auth.oidc",
    /// A credential was refused: unknown, expired, revoked, forged.
    CredentialRefused = "auth.credential_refused",
    /// Somebody may not do what he asked for.
    AccessDenied = "access.denied",
    /// A user was made, changed or removed.
    UserChanged = "user.changed",
    /// A password was changed.
    PasswordChanged = "user.password_changed",
    /// A second factor was set up or taken away.
    FactorChanged = "user.factor_changed",
    /// An API key was made.
    KeyCreated = "key.created",
    /// An API key was revoked.
    KeyRevoked = "key.revoked",
    /// An API key was used (a sample; how many uses one entry stands for is in it).
    KeyUsed = "key.used",
    /// A secret was stored or rotated.
    SecretStored = "secret.stored",
    /// A secret was read by a handler.
    SecretRead = "secret.read",
    /// A secret was removed.
    SecretRemoved = "secret.removed",
    /// Keys that seal were rotated or wrapped anew.
    KeyringRotated = "keyring.rotated",
    /// A tenant, its limits or its sealing were changed.
    TenantChanged = "tenant.changed",
    /// A schedule was made, changed, paused, resumed or removed.
    ScheduleChanged = "schedule.changed",
    /// Something was paused or resumed.
    QueuePaused = "queue.paused",
    /// A setting differs from what this node started with before.
    ConfigChanged = "config.changed",
    /// A limit of use was hit.
    LimitHit = "limit.hit",
    /// Input looked like an attack: a path that leaves its root, a forged token, an address that may not be called.
    SuspiciousInput = "input.suspicious",
    /// What a job made was removed.
    ArtifactRemoved = "artifact.removed",
    /// A file of a tenant was removed.
    FileRemoved = "file.removed",
    /// A project was removed, with all that was in it.
    ProjectRemoved = "project.removed",
    /// The log itself was rotated, checked, or found broken.
    AuditChecked = "audit.checked",
}

/// What happened. Whatever a caller wrote is cleaned of control characters when it is recorded; secrets never belong here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What.
    pub action: Action,
    /// How it ended.
    pub outcome: Outcome,
    /// By whom.
    pub actor: Actor,
    /// Whose data it was about, where that is somebody's.
    pub tenant: Option<TenantId>,
    /// What it was done to: the id or name of a user, a key, a secret, a setting.
    pub target: Option<String>,
    /// From where.
    pub address: Option<IpAddr>,
    /// In which request.
    pub request: Option<String>,
    /// What else there is to say, by name.
    pub detail: BTreeMap<&'static str, String>,
}

impl Action {
    /// Whether what it tells of is done only once it is on disk. The others are refusals and samples, of which many may come
    /// at one time: nothing that they tell of waits for the disk.
    pub(super) fn waits(self) -> bool {
        !matches!(
            self,
            Self::CredentialRefused
                | Self::AccessDenied
                | Self::LoginThrottled
                | Self::KeyUsed
                | Self::LimitHit
                | Self::SuspiciousInput
        )
    }
}

impl Entry {
    /// An act of the program itself, done.
    pub fn new(action: Action) -> Self {
        Self {
            action,
            outcome: Outcome::Done,
            actor: Actor::System,
            tenant: None,
            target: None,
            address: None,
            request: None,
            detail: BTreeMap::new(),
        }
    }

    /// By whom.
    #[must_use]
    pub fn by(self, actor: Actor) -> Self {
        Self { actor, ..self }
    }

    /// How it ended.
    #[must_use]
    pub fn ended(self, outcome: Outcome) -> Self {
        Self { outcome, ..self }
    }

    /// Whose data.
    #[must_use]
    pub fn of(self, tenant: &TenantId) -> Self {
        Self { tenant: Some(tenant.clone()), ..self }
    }

    /// What it was done to.
    #[must_use]
    pub fn to(self, target: impl Into<String>) -> Self {
        Self { target: Some(target.into()), ..self }
    }

    /// Something else to say.
    #[must_use]
    pub fn with(mut self, name: &'static str, value: impl ToString) -> Self {
        self.detail.insert(name, value.to_string());
        self
    }
}
