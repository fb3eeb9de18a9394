//! What other people's programs take for the same book: pandoc for EPUB, DOCX and HTML, WeasyPrint for PDF, pandoc's readers of EPUB and DOCX; where they are
//! installed. Must not know: how we do it.

use std::{
    path::Path,
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use presswork::cli::CliError;
use tokio::process::{Child, Command};

use super::book::FILE;
use crate::import::SourceFormat;

const PANDOC: &str = "pandoc";

/// A program that makes a format, and how it is called in the folder of the book.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Other {
    pub(super) program: &'static str,
    arguments: &'static [&'static str],
}

/// Where WeasyPrint finds what it sets: our own HTML of the book, as it reads no Markdown.
pub(super) const HTML: &str = "book.html";

impl Other {
    /// Who else makes a format, by the format's name.
    pub(super) fn of(format: &str) -> Option<Self> {
        let arguments: &[&str] = match format {
            "epub" => &["--from=markdown", "--to=epub3", "--toc", "--output=out.epub", FILE],
            "docx" => &["--from=markdown", "--to=docx", "--toc", "--output=out.docx", FILE],
            "html" => {
                &["--from=markdown", "--to=html5", "--toc", "--self-contained", "--output=out.html", FILE]
            }
            "pdf" => return Some(Self { program: "weasyprint", arguments: &["--quiet", HTML, "out.pdf"] }),
            _ => return None,
        };
        Some(Self { program: PANDOC, arguments })
    }

    /// Who else reads a format that is worth comparing.
    pub(in crate::bench) fn reading(format: SourceFormat) -> Option<Self> {
        let arguments: &[&str] = match format {
            SourceFormat::Epub => &["--from=epub", "--to=native", "--output=/dev/null"],
            SourceFormat::Docx => &["--from=docx", "--to=native", "--output=/dev/null"],
            _ => return None,
        };
        Some(Self { program: PANDOC, arguments })
    }

    /// What it takes to read a file; `None` where it is not installed.
    pub(in crate::bench) async fn read(self, file: &Path) -> Result<Option<Measured>, CliError> {
        let mut command = Command::new(self.program);
        command.args(self.arguments).arg(file);
        self.measured(command).await
    }

    /// Whether it reads our HTML instead of the Markdown.
    pub(super) fn reads_html(self) -> bool {
        self.arguments.contains(&HTML)
    }

    /// What it takes; `None` where it is not installed.
    pub(super) async fn run(self, folder: &Path) -> Result<Option<Measured>, CliError> {
        let mut command = Command::new(self.program);
        command.args(self.arguments).current_dir(folder);
        self.measured(command).await
    }

    async fn measured(self, mut command: Command) -> Result<Option<Measured>, CliError> {
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        match Measured::of(command).await {
            Ok((measured, ended, said)) => {
                if ended.success() {
                    return Ok(Some(measured));
                }
                Err(CliError::unavailable(format_args!("{} failed: {}", self.program, said.trim())))
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => {
                Err(CliError::unavailable(format_args!("{} can't be started: {error}", self.program)))
            }
        }
    }
}

/// What a process took, from its start to its end.
#[derive(Clone, Copy, Debug)]
pub(in crate::bench) struct Measured {
    pub(in crate::bench) elapsed: Duration,
    pub(in crate::bench) peak_bytes: u64,
}

/// How often a process is asked how much memory it has had. The system keeps the peak: only what is taken in the last moment
/// is missed.
const ASKED_EVERY: Duration = Duration::from_millis(5);

impl Measured {
    /// Runs a program to its end; what it said on standard error beside it.
    async fn of(mut command: Command) -> std::io::Result<(Self, ExitStatus, String)> {
        let begun = Instant::now();
        let child = command.kill_on_drop(true).spawn()?;
        let id = child.id();
        let mut ended = Box::pin(Child::wait_with_output(child));
        let (mut asked, mut peak_bytes) = (tokio::time::interval(ASKED_EVERY), 0);
        let output = loop {
            tokio::select! {
                output = &mut ended => break output?,
                _ = asked.tick() => peak_bytes = peak_of(id).await.unwrap_or(peak_bytes),
            }
        };
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Ok((Self { elapsed: begun.elapsed(), peak_bytes }, output.status, said))
    }
}

async fn peak_of(process: Option<u32>) -> Option<u64> {
    let status = tokio::fs::read_to_string(format!("/proc/{}/status", process?)).await.ok()?;
    crate::memory::peak_in(&status)
}
