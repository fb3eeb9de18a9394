//! Single steps of a book as kinds of job: its plan, a chapter, a chapter once more, what comes next in one, who is in it, what it
//! is about. `desk` is what they share: an answer is kept as soon as it is whole, and put into the project once. `turn` is whose turn
//! it is to write the next chapter.

mod chapter;
pub(super) mod continuation;
mod desk;
mod outline;
mod rewrite;
mod sheet;
pub(super) mod synopsis;
mod turn;

pub use chapter::WriteChapter;
pub use continuation::Continuation;
pub use desk::WrittenChapter;
pub use outline::{Outlined, WriteOutline};
pub use rewrite::Rewrite;
pub use sheet::{CharacterSheet, Sheet};
pub use synopsis::{Synopsis, Told};
