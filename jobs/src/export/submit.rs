//! `presswork enqueue export PROJECT --format epub`.

use clap::Args;
use presswork::{
    cli::{CliError, Door, Submit},
    config::ByteSize,
    domain::{Encoding, ProjectId},
};

use super::{Export, Format};

/// What `enqueue export` is told.
#[derive(Debug, Args)]
pub struct ExportArguments {
    /// The project whose book goes out
    project: ProjectId,
    /// Into what: epub, html, markdown, text or json
    #[arg(long)]
    format: Format,
    /// How the artifact is stored: zstd, gzip, brotli or none [default: zstd; none for EPUB, which is compressed inside]
    #[arg(long)]
    compression: Option<Encoding>,
    /// In what pieces it is streamed, 256B to 128KiB [default: the setting chunk_size, 8KiB]
    #[arg(long)]
    chunk_size: Option<ByteSize>,
}

impl Submit for Export {
    const ABOUT: &'static str = "Turn a project's book into one file";
    type Arguments = ExportArguments;

    async fn prepare(arguments: ExportArguments, door: &Door) -> Result<Self, CliError> {
        let given = arguments.chunk_size.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX));
        Ok(Self {
            project: arguments.project,
            format: arguments.format,
            compression: arguments.compression,
            chunk_bytes: Some(given.unwrap_or(door.settings().chunk_size)),
        })
    }
}
