//! `presswork enqueue export PROJECT --format epub`.

use clap::Args;
use presswork::{
    cli::{CliError, Door, Submit, one_of},
    config::ByteSize,
    domain::{Encoding, ProjectId},
};

use super::{
    Chapters, Export, Format, PageOptions, What,
    page::{FontSize, PageFont, PageSize},
};

/// What `enqueue export` is told.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The project whose book goes out
    project: ProjectId,
    /// Into what; characters go to csv, json or markdown, and nothing else goes to csv
    #[arg(long, value_parser = one_of::<Format>(Format::ALL.into_iter().chain([Format::Csv]).map(Format::name)))]
    format: Format,
    /// Its characters in place of its book
    #[arg(long, conflicts_with = "chapters")]
    characters: bool,
    /// Which chapters, counted from 1: 3, 2-5, or 2- for all from the second on [default: the whole book]
    #[arg(long, value_name = "RANGE")]
    chapters: Option<Chapters>,
    /// How the artifact is stored [default: zstd; none for EPUB, PDF and DOCX, which are compressed inside]
    #[arg(long, value_parser = one_of::<Encoding>(Encoding::ALL.map(Encoding::name)))]
    compression: Option<Encoding>,
    /// In what pieces it is streamed, 256B to 128KiB [default: the setting chunk_size, 8KiB]
    #[arg(long)]
    chunk_size: Option<ByteSize>,
    /// PDF: the paper, one of a4, a5, a6, letter, 6x9in, or a size such as 120x190mm [default: a5]
    #[arg(long)]
    page_size: Option<PageSize>,
    /// PDF: room around the text, in millimetres [default: what suits the paper]
    #[arg(long, value_name = "MM")]
    margin: Option<u16>,
    /// PDF: the letters of running text [default: serif]
    #[arg(long, value_parser = one_of::<PageFont>(PageFont::ALL.map(PageFont::name)))]
    font: Option<PageFont>,
    /// PDF: their size in points [default: 10, on large paper 11]
    #[arg(long, value_name = "POINTS")]
    font_size: Option<FontSize>,
    /// PDF: the language by whose rules words are divided [default: the book's]
    #[arg(long)]
    language: Option<String>,
}

impl Submit for Export {
    const ABOUT: &'static str = "Turns a project's book, a part of it or its characters into one file";
    type Arguments = ExportArguments;

    async fn prepare(arguments: ExportArguments, door: &Door) -> Result<Self, CliError> {
        let given = arguments.chunk_size.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        let page = PageOptions {
            size: arguments.page_size,
            margin: arguments.margin,
            font: arguments.font,
            font_size: arguments.font_size,
            language: arguments.language,
        };
        Ok(Self {
            project: arguments.project,
            format: arguments.format,
            what: if arguments.characters { What::Characters } else { What::Book },
            chapters: arguments.chapters,
            compression: arguments.compression,
            chunk_bytes: Some(given.unwrap_or(door.settings().chunk_size)),
            page: (page != PageOptions::default()).then_some(page),
        })
    }
}
