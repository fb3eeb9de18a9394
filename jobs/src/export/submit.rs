//! `presswork enqueue export PROJECT --format epub`.

use clap::Args;
use presswork::{
    cli::{CliError, Door, Submit, one_of},
    config::ByteSize,
    domain::{Encoding, ProjectId},
};

use super::{Chapters, Export, Format, What};

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
    /// How the artifact is stored [default: zstd; none for EPUB, which is compressed inside]
    #[arg(long, value_parser = one_of::<Encoding>(Encoding::ALL.map(Encoding::name)))]
    compression: Option<Encoding>,
    /// In what pieces it is streamed, 256B to 128KiB [default: the setting chunk_size, 8KiB]
    #[arg(long)]
    chunk_size: Option<ByteSize>,
}

impl Submit for Export {
    const ABOUT: &'static str = "Turns a project's book, a part of it or its characters into one file";
    type Arguments = ExportArguments;

    async fn prepare(arguments: ExportArguments, door: &Door) -> Result<Self, CliError> {
        let given = arguments.chunk_size.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        Ok(Self {
            project: arguments.project,
            format: arguments.format,
            what: if arguments.characters { What::Characters } else { What::Book },
            chapters: arguments.chapters,
            compression: arguments.compression,
            chunk_bytes: Some(given.unwrap_or(door.settings().chunk_size)),
        })
    }
}
