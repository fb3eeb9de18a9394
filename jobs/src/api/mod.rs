//! Routes of the HTTP API that belong to the book: projects and their characters. Owns: how they look over HTTP. What they are
//! on storage is [`book`](crate::book)'s affair.

mod characters;
mod projects;

use std::sync::Arc;

use object_store::{ObjectStore, ObjectStoreExt as _, prefix::PrefixStore};
use presswork::{
    api::{ApiState, Caller, Problem, ProblemType, Routes},
    artifact::key,
    domain::ProjectId,
};

use crate::book::BookError;

/// All of them; the binary adds them with [`Cli::routes`](presswork::Cli::routes).
pub fn routes() -> Routes {
    projects::routes().merge(characters::routes())
}

/// The folder, in a tenant's, of its projects.
const PROJECTS: &str = "projects";
/// So many objects are asked for side by side: storage answers slowly, and takes many questions at a time.
const SIDE_BY_SIDE: usize = 16;

/// A project of the caller's on storage; nothing can be named there that is outside of it.
fn storage_of(state: &ApiState, caller: &Caller, project: &ProjectId) -> Arc<dyn ObjectStore> {
    let folder = key([caller.tenant().as_str(), PROJECTS, project.as_str()]);
    Arc::new(PrefixStore::new(state.engine().storage.clone(), folder))
}

/// Whether there is anything of a project.
async fn exists(storage: &dyn ObjectStore) -> Result<bool, Problem> {
    use futures_util::StreamExt as _;
    match storage.head(&key(["book.json"])).await {
        Ok(_) => return Ok(true),
        Err(object_store::Error::NotFound { .. }) => {}
        Err(error) => return Err(Problem::unavailable(error)),
    }
    storage.list(None).next().await.transpose().map(|first| first.is_some()).map_err(Problem::unavailable)
}

/// A project that is not there, or another tenant's.
fn unknown(project: &ProjectId) -> Problem {
    Problem::not_found(format_args!("project {project}"))
}

impl From<BookError> for Problem {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Input { .. } => Self::new(ProblemType::Unprocessable, error),
            BookError::Storage { .. } | BookError::Stopped(_) => Self::unavailable(error),
        }
    }
}
