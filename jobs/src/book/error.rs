//! What can go wrong with a book, one variant per next action.

use std::io;

use presswork::domain::Failure;

/// What can go wrong with a book.
#[derive(Debug, thiserror::Error)]
pub enum BookError {
    /// The input can't be used: mend the file. Trying again can't help.
    #[error("{file}{}: {problem}", place.as_deref().map(|place| format!(", {place}")).unwrap_or_default())]
    Input {
        /// The file, as its owner knows it; an entry of an archive as `book.epub!OEBPS/x.xhtml`.
        file: String,
        /// Where in it, for people: `line 12`, `byte 4,711`.
        place: Option<String>,
        /// What is wrong and what to do.
        problem: String,
    },
    /// Reading, writing or storage failed: try again.
    #[error("{doing}: {cause}")]
    Storage {
        /// What was tried.
        doing: String,
        /// Why it failed.
        #[source]
        cause: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The job was asked to stop, or its lease is gone.
    #[error("{0}")]
    Stopped(Failure),
}

impl BookError {
    /// The input can't be used.
    pub fn input(file: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Input { file: file.into(), place: None, problem: problem.into() }
    }

    /// The input can't be used, and here is where.
    pub fn at(file: impl Into<String>, place: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Input { file: file.into(), place: Some(place.into()), problem: problem.into() }
    }

    /// Reading, writing or storage failed.
    pub fn storage(
        doing: impl Into<String>,
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Storage { doing: doing.into(), cause: cause.into() }
    }
}

impl From<io::Error> for BookError {
    /// A writer's own error: an output that can't take more. A `BookError` that travelled inside comes out again.
    fn from(error: io::Error) -> Self {
        match error.downcast::<Self>() {
            Ok(own) => own,
            Err(error) => Self::storage("writing the output", error),
        }
    }
}

impl From<BookError> for io::Error {
    fn from(error: BookError) -> Self {
        Self::other(error)
    }
}

impl From<BookError> for Failure {
    fn from(error: BookError) -> Self {
        match error {
            BookError::Input { .. } => Self::fatal(error),
            BookError::Storage { .. } => Self::retry(error),
            BookError::Stopped(failure) => failure,
        }
    }
}
