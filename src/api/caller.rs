//! Who calls, and from where, as handlers see it. Must not know: credentials.

use std::{net::IpAddr, sync::Arc};

use axum::{
    extract::{FromRequestParts, Request},
    http::request::Parts,
};

use super::problem::Problem;
use crate::{
    domain::TenantId,
    security::{
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
        request.extensions().get().cloned().unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Origin {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts.extensions.get().cloned().unwrap_or_default())
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
