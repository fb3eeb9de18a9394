//! Books that models write: the job kind [`Generate`], and its steps as kinds of their own. Must not know: which model it is, how
//! it is asked and paid for ([`asking`](crate::asking)), imports, exports.
//!
//! - [`brief`]: what is to be written. `generate`: the kind `generate`, `author` its work, `parts` what that shares with the
//!   steps. `keep`: what it has got so far.
//! - [`outline`]: a book's plan. `people`: its characters, as models are told. `prompts`: what of a book goes into a question.
//! - `templates`: what models are asked. `pen`: how a text comes of that. `clean`: how a chapter comes of a model's text.
//! - `extract`: what can be taken from a text without a model.
//! - [`steps`]: single steps as kinds of job. `submit`: their arguments on the command line.

mod author;
pub mod brief;
mod clean;
mod extract;
mod generate;
mod keep;
pub mod outline;
mod parts;
mod pen;
mod people;
mod prompts;
pub mod steps;
mod submit;
mod templates;
#[cfg(test)]
mod tests;

pub use brief::Brief;
pub use generate::{Generate, Generated, Summaries, SummariesError};
pub use outline::{Outline, Planned};
pub use submit::{
    BriefArguments, ChapterArguments, ContinuationArguments, GenerateArguments, ModelArguments,
    OutlineArguments, RewriteArguments, SheetArguments, SynopsisArguments,
};
