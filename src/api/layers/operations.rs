//! What single operations need otherwise than the rest, as the OpenAPI document says it. Must not know: what follows from it.

use std::collections::{HashMap, HashSet};

use axum::http::Method;
use utoipa::openapi::OpenApi;

use crate::api::authority::operations;

/// Probes: whoever asks whether the service is well is never counted and may call it by any name.
const PROBES: [&str; 2] = ["/healthz", "/readyz"];

/// The operations that are not as the others.
#[derive(Debug, Default)]
pub(crate) struct Operations {
    untimed: Paths,
    uncounted: Paths,
}

/// Paths by method.
type Paths = HashMap<Method, HashSet<String>>;

impl Operations {
    /// Reads `x-timeout` and `x-limit`, and takes them out of the document.
    pub(crate) fn of(document: &mut OpenApi) -> Self {
        let mut found = Self::default();
        for (path, item) in &mut document.paths.paths {
            for (method, operation) in operations(item) {
                let Some(extensions) = operation.extensions.as_mut() else { continue };
                let mut is_none = |name: &str| extensions.remove(name).is_some_and(|value| value == "none");
                if is_none("x-timeout") {
                    found.untimed.entry(method.clone()).or_default().insert(path.clone());
                }
                if is_none("x-limit") {
                    found.uncounted.entry(method).or_default().insert(path.clone());
                }
            }
        }
        found
    }

    /// Whether it may take as long as it takes.
    pub(super) fn is_untimed(&self, method: &Method, path: Option<&str>) -> bool {
        path.is_some_and(|path| has(&self.untimed, method, path))
    }

    /// Whether nobody is counted who calls it.
    pub(super) fn is_uncounted(&self, method: &Method, path: Option<&str>) -> bool {
        path.is_some_and(|path| PROBES.contains(&path) || has(&self.uncounted, method, path))
    }
}

fn has(operations: &Paths, method: &Method, path: &str) -> bool {
    let method = if method == Method::HEAD { &Method::GET } else { method };
    operations.get(method).is_some_and(|paths| paths.contains(path))
}
