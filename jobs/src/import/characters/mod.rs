//! The job kind `characters`: brings many characters into a project out of a table (CSV), a JSON array or JSON Lines.
//!
//! The file is read twice. The first time each item is checked and told from the others, so that what is wrong is known, with its
//! line, before anything is stored; the second time they are stored in batches, behind each of which a later attempt goes on. A
//! character is stored under its id: to import the same file again changes nothing.
//! New characters count towards the tenant's limit `character`: a job waits until there is no debt of it, and may leave one.
//!
//! - `payload`: what is asked for. `submit`: its arguments on the command line.
//! - `csv`, `json`: where items begin and end. `sniff`: what nobody says. `columns`: which
//!   field is which. `items`: all of that together.
//! - `check` is the first pass, `store` the second.

mod check;
mod columns;
mod csv;
mod items;
mod json;
mod payload;
mod sniff;
mod store;
mod submit;
#[cfg(test)]
pub(super) mod tests;

use std::{collections::BTreeMap, time::Duration};

use presswork::{
    domain::{Failure, FileName, KindName, ProjectId, RetryPolicy},
    limits::LimitRules,
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};
use tokio::runtime::Handle;

use super::{SourceFile, letters::Text};
use crate::{book::Characters, scratch::Scratch};

pub use csv::{Sign, SignError};
pub use payload::{Form, FormError, ImportCharacters, Table, Tolerance, ToleranceError};
pub use submit::CharactersArguments;

/// How many bytes an item has at most in its file, blanks included.
const MOST_ITEM_BYTES: usize = 1 << 20;
/// How many bytes a file of characters has at most.
const MOST_FILE_BYTES: u64 = 1 << 30;

/// How many new characters of one import count towards the tenant's limit `character`. All of a large file would keep the tenant
/// from making any for days; so many do for ten minutes, at the usual rate.
const MOST_COUNTED: u32 = 500;

/// What an import of characters tells of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BroughtCharacters {
    /// The project.
    pub project: ProjectId,
    /// What the file was read as.
    pub format: Form,
    /// Its charset.
    pub charset: String,
    /// How the table is written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delimiter: Option<Sign>,
    /// What its columns became.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub columns: BTreeMap<String, String>,
    /// How many items the file has.
    pub items: u64,
    /// How many of them are new.
    pub created: u64,
    /// How many have replaced another.
    pub replaced: u64,
    /// How many were there already, just so.
    pub unchanged: u64,
    /// How many were left alone, as another one has their id.
    pub kept: u64,
    /// The first of those.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kept_first: Vec<Place>,
    /// How many could not be used.
    pub failed: u64,
    /// The first of those, and why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub failures: Vec<ItemFailure>,
    /// The artifact that has them all, where they are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures_file: Option<FileName>,
    /// What the owner should know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Where a character stands in its file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// The line in which it begins.
    pub line: u64,
    /// Its id.
    pub id: String,
}

/// One that could not be used.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemFailure {
    /// Which of the file's items, from 1.
    pub item: u64,
    /// The line in which it begins.
    pub line: u64,
    /// Its id, if that can be told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What is wrong with it.
    pub problem: String,
}

impl Kind for ImportCharacters {
    const NAME: KindName = KindName::literal("characters");
    const RETRY: RetryPolicy =
        RetryPolicy::attempts(5).backoff(Duration::from_secs(2), Duration::from_secs(600));
    const TIMEOUT: Duration = Duration::from_secs(4 * 3_600);
    type Output = BroughtCharacters;

    fn check(&self) -> Result<(), String> {
        self.source.check()?;
        self.problem()
    }

    async fn run(self, context: Context) -> Result<BroughtCharacters, Failure> {
        // A tenant that has made more than its share waits with the next import, too.
        let share = context.reserve(&LimitRules::CHARACTER, 1).await?;
        let brought = self.bring(&context).await;
        let new = brought.as_ref().map_or(0, |brought| brought.created);
        share.settle(u32::try_from(new).unwrap_or(u32::MAX).min(MOST_COUNTED)).await;
        brought
    }
}

impl ImportCharacters {
    async fn bring(self, context: &Context) -> Result<BroughtCharacters, Failure> {
        let scratch = context.scratch().await?;
        let sealed = Scratch::within(scratch.path(), context.random());
        let too_large = "a file of characters may have 1 GiB at most: divide it";
        let (source, _) = self.source.fetch(context, &sealed, MOST_FILE_BYTES, too_large).await?;
        let characters = Characters::of(context.project(&self.project));
        let (runtime, reading) = (Handle::current(), context.clone());
        let work = move || {
            let work = Work { payload: self, source, context: reading, runtime, characters };
            let checked = work.check()?;
            work.store(checked)
        };
        let (brought, report) = tokio::task::spawn_blocking(work).await.map_err(Failure::retry)??;
        if let Some(report) = report {
            report.finish().await?;
        }
        Ok(brought)
    }
}

/// One attempt, on a thread of its own.
struct Work {
    payload: ImportCharacters,
    source: SourceFile,
    context: Context,
    runtime: Handle,
    characters: Characters,
}
