//! `presswork enqueue generate …`, and its steps.

use clap::Args;
use presswork::{
    cli::{CliError, Door, Submit, one_of},
    domain::ProjectId,
};
use tokio::io::AsyncReadExt as _;

use super::{
    Brief, Generate, Summaries,
    brief::{LONGEST_TEXT, usual_chapters, usual_language, usual_words},
    steps::{
        CharacterSheet, Continuation, Rewrite, Synopsis, WriteChapter, WriteOutline, continuation, synopsis,
    },
};
use crate::{asking::Caching, book::CharacterId};

/// What all of them are told.
#[derive(Debug, Args)]
pub struct ModelArguments {
    /// The project
    #[arg(long)]
    project: ProjectId,
    /// Which model writes: a name of [models] in presswork.toml, or builtin
    #[arg(long)]
    model: String,
    /// Ask again what was asked before, in place of an answer from the cache
    #[arg(long)]
    fresh: bool,
    /// The set of templates to ask with: noir for the files noir.chapter.md, noir.outline.md and so on [default: built in]
    #[arg(long, value_name = "SET")]
    templates: Option<String>,
}

impl ModelArguments {
    fn caching(&self) -> Caching {
        if self.fresh { Caching::Fresh } else { Caching::Shared }
    }
}

/// What a book is to be.
#[derive(Debug, Args)]
pub struct BriefArguments {
    /// The book's title
    #[arg(long)]
    title: String,
    /// What sort of book, such as "crime novel"
    #[arg(long, default_value = "")]
    genre: String,
    /// How it is written, such as "first person, dry"
    #[arg(long, default_value = "")]
    style: String,
    /// What it is about; @FILE for a file's content
    #[arg(long, default_value = "")]
    premise: String,
    /// What else the models must know; @FILE for a file's content
    #[arg(long, default_value = "")]
    notes: String,
    /// A character of the project who is in it, by id or name; may be repeated
    #[arg(long = "character", value_name = "NAME")]
    characters: Vec<String>,
    /// How many chapters
    #[arg(long, default_value_t = usual_chapters())]
    chapters: u32,
    /// How many words a chapter has, more or less
    #[arg(long, default_value_t = usual_words())]
    words: u32,
    /// In which language
    #[arg(long, default_value_t = usual_language())]
    language: String,
    /// Whose name stands on it
    #[arg(long, default_value = "")]
    author: String,
}

impl BriefArguments {
    async fn brief(self) -> Result<Brief, CliError> {
        Ok(Brief {
            title: self.title,
            genre: self.genre,
            style: self.style,
            premise: text(&self.premise).await?,
            notes: text(&self.notes).await?,
            characters: self.characters,
            chapters: self.chapters,
            words: self.words,
            language: self.language,
            author: self.author,
        })
    }
}

/// A text that a flag means: itself, or a file's.
async fn text(given: &str) -> Result<String, CliError> {
    let Some(path) = given.strip_prefix('@') else { return Ok(given.to_owned()) };
    let unreadable = |error: std::io::Error| CliError::usage(format_args!("{path} can't be read: {error}"));
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let mut text = String::new();
    // One byte more than any text may have; what is too long is said by the kind.
    file.take(4 * LONGEST_TEXT as u64 + 1).read_to_string(&mut text).await.map_err(unreadable)?;
    Ok(text)
}

/// What `enqueue generate` is told.
#[derive(Debug, Args)]
pub struct GenerateArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    brief: BriefArguments,
    /// Revise each chapter once it is written
    #[arg(long)]
    revise: bool,
    /// Which model revises [default: the one that writes]
    #[arg(long, value_name = "MODEL", requires = "revise")]
    revision_model: Option<String>,
    /// How a chapter is remembered for those behind it: summed up by the model, or by an extract of its own sentences
    #[arg(long, value_parser = one_of::<Summaries>(Summaries::ALL.map(Summaries::name)), default_value = "model")]
    summaries: Summaries,
}

impl Submit for Generate {
    const ABOUT: &'static str = "Writes a whole book into a project: its plan, its chapters, their revision";
    type Arguments = GenerateArguments;

    async fn prepare(arguments: GenerateArguments, _: &Door) -> Result<Self, CliError> {
        let GenerateArguments { model, brief, revise, revision_model, summaries } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            brief: brief.brief().await?,
            model: model.model,
            revision: revise,
            revision_model,
            summaries,
            templates: model.templates,
        })
    }
}

/// What `enqueue outline` is told.
#[derive(Debug, Args)]
pub struct OutlineArguments {
    #[command(flatten)]
    model: ModelArguments,
    #[command(flatten)]
    brief: BriefArguments,
}

impl Submit for WriteOutline {
    const ABOUT: &'static str =
        "Plans a book in a project: the titles of its chapters, and what happens in each";
    type Arguments = OutlineArguments;

    async fn prepare(arguments: OutlineArguments, _: &Door) -> Result<Self, CliError> {
        let OutlineArguments { model, brief } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            brief: brief.brief().await?,
            model: model.model,
            templates: model.templates,
        })
    }
}

/// What `enqueue chapter` is told.
#[derive(Debug, Args)]
pub struct ChapterArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Which chapter, counted from 1 [default: the one behind the last]
    #[arg(long)]
    chapter: Option<u32>,
    /// Write another one in the place of one that is there
    #[arg(long)]
    replace: bool,
    /// Its title [default: the plan's]
    #[arg(long)]
    title: Option<String>,
    /// What happens in it; @FILE for a file's content [default: what is planned]
    #[arg(long)]
    plan: Option<String>,
    /// How many words it has, more or less [default: as many as the brief says]
    #[arg(long)]
    words: Option<u32>,
}

impl Submit for WriteChapter {
    const ABOUT: &'static str = "Writes one chapter of a project's plan into its book";
    type Arguments = ChapterArguments;

    async fn prepare(arguments: ChapterArguments, _: &Door) -> Result<Self, CliError> {
        let ChapterArguments { model, chapter, replace, title, plan, words } = arguments;
        let plan = match plan {
            Some(plan) => Some(text(&plan).await?),
            None => None,
        };
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            model: model.model,
            chapter,
            replace,
            title,
            plan,
            words,
            brief: None,
            templates: model.templates,
        })
    }
}

/// What `enqueue rewrite` is told.
#[derive(Debug, Args)]
pub struct RewriteArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Which chapter, counted from 1
    #[arg(long)]
    chapter: u32,
    /// What is to become of it; @FILE for a file's content
    #[arg(long)]
    instruction: String,
    /// A character of the project whom the model is to know, by id or name; may be repeated
    #[arg(long = "character", value_name = "NAME")]
    characters: Vec<String>,
}

impl Submit for Rewrite {
    const ABOUT: &'static str = "Rewrites a chapter of a project's book";
    type Arguments = RewriteArguments;

    async fn prepare(arguments: RewriteArguments, _: &Door) -> Result<Self, CliError> {
        let RewriteArguments { model, chapter, instruction, characters } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            model: model.model,
            chapter,
            instruction: text(&instruction).await?,
            characters,
            templates: model.templates,
        })
    }
}

/// What `enqueue continuation` is told.
#[derive(Debug, Args)]
pub struct ContinuationArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// Which chapter, counted from 1 [default: the last one]
    #[arg(long)]
    chapter: Option<u32>,
    /// How many words more
    #[arg(long, default_value_t = continuation::usual_words())]
    words: u32,
    /// What is to happen; @FILE for a file's content
    #[arg(long, default_value = "")]
    instruction: String,
}

impl Submit for Continuation {
    const ABOUT: &'static str = "Goes on with a chapter of a project's book where it ends";
    type Arguments = ContinuationArguments;

    async fn prepare(arguments: ContinuationArguments, _: &Door) -> Result<Self, CliError> {
        let ContinuationArguments { model, chapter, words, instruction } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            model: model.model,
            chapter,
            words,
            instruction: text(&instruction).await?,
            templates: model.templates,
        })
    }
}

/// What `enqueue character-sheet` is told.
#[derive(Debug, Args)]
pub struct SheetArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// What people call the character
    #[arg(long)]
    name: String,
    /// What the file is called [default: made of the name]
    #[arg(long)]
    id: Option<CharacterId>,
    /// What is known of the character already; @FILE for a file's content
    #[arg(long, default_value = "")]
    notes: String,
    /// Another character of the project whom the model is to know, by id or name; may be repeated
    #[arg(long = "character", value_name = "NAME")]
    characters: Vec<String>,
    /// In which language
    #[arg(long, default_value_t = usual_language())]
    language: String,
    /// Replace the one of this id that is there
    #[arg(long)]
    replace: bool,
}

impl Submit for CharacterSheet {
    const ABOUT: &'static str = "Describes a character and puts it among a project's";
    type Arguments = SheetArguments;

    async fn prepare(arguments: SheetArguments, _: &Door) -> Result<Self, CliError> {
        let SheetArguments { model, name, id, notes, characters, language, replace } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            model: model.model,
            name,
            id,
            notes: text(&notes).await?,
            characters,
            language,
            replace,
            templates: model.templates,
        })
    }
}

/// What `enqueue synopsis` is told.
#[derive(Debug, Args)]
pub struct SynopsisArguments {
    #[command(flatten)]
    model: ModelArguments,
    /// How many words at most
    #[arg(long, default_value_t = synopsis::usual_words())]
    words: u32,
    /// In which language [default: the book's]
    #[arg(long)]
    language: Option<String>,
    /// Make it the book's description, too
    #[arg(long)]
    describe: bool,
}

impl Submit for Synopsis {
    const ABOUT: &'static str = "Tells what a project's book is about";
    type Arguments = SynopsisArguments;

    async fn prepare(arguments: SynopsisArguments, _: &Door) -> Result<Self, CliError> {
        let SynopsisArguments { model, words, language, describe } = arguments;
        Ok(Self {
            caching: model.caching(),
            project: model.project,
            model: model.model,
            words,
            language,
            describe,
            templates: model.templates,
        })
    }
}
