//! Who calls, and from where, as handlers see it. Must not know: credentials.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use axum::{
    extract::{ConnectInfo, FromRequestParts, Request},
    http::{Extensions, request::Parts},
};

use super::problem::Problem;
use crate::{
    domain::TenantId,
    security::{
        Acting,
        access::{Permission, Principal},
        audit::Actor,
    },
};

/// Where a request comes from. Set by the server before anything else looks at a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// The caller's address; behind a proxy that is trusted, the one that it names.
    pub(crate) address: Option<IpAddr>,
    /// The request's id, in its answer and in the log.
    pub(crate) request: Option<String>,
}

impl Origin {
    /// The origin of a request.
    pub(crate) fn of(request: &Request) -> Self {
        Self::among(request.extensions())
    }

    /// What the server has set; where it has set nothing, at least the connection's other end.
    fn among(extensions: &Extensions) -> Self {
        extensions.get().cloned().unwrap_or_else(|| {
            let connection = extensions.get::<ConnectInfo<SocketAddr>>();
            Self { address: connection.map(|info| info.0.ip()), request: None }
        })
    }

    /// Somebody from here who has not proved who he is.
    pub(crate) fn acting(&self) -> Acting {
        Acting { actor: Actor::Anonymous, address: self.address, request: self.request.clone() }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(Self::among(&parts.extensions))
    }
}

/// Somebody who has proved who he is and was let in.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) principal: Arc<Principal>,
    pub(crate) origin: Origin,
}

impl Caller {
    /// For whom he acts.
    pub fn tenant(&self) -> &TenantId {
        &self.principal.tenant
    }

    /// Who he is, and what he may do.
    pub fn principal(&self) -> &Principal {
        &self.principal
    }

    /// As the audit names him.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Subject(self.principal.subject.name())
    }

    /// As what records acts itself is told of him.
    pub(crate) fn acting(&self) -> Acting {
        Acting { actor: self.actor(), ..self.origin.acting() }
    }

    /// Asks for a permission beyond what the route's `x-permission` has asked for.
    ///
    /// # Errors
    /// [`Problem`] where he may not.
    pub fn needs(&self, permission: &Permission) -> Result<(), Problem> {
        if self.principal.may(permission) {
            Ok(())
        } else {
            Err(super::authority::denied(permission.as_str()))
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let principal = parts.extensions.get::<Arc<Principal>>().cloned();
        let principal =
            principal.ok_or_else(|| Problem::internal("a handler was reached without a caller"))?;
        let Ok(origin) = Origin::from_request_parts(parts, state).await;
        Ok(Self { principal, origin })
    }
}
