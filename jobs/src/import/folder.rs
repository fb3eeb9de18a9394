//! A folder's chapters: which of its files they are, by their names, and in what order they come.

use super::{SourceFile, SourceFormat, order::in_order};
use crate::book::BookError;

/// What the names of a format's files end in.
const fn extensions(format: SourceFormat) -> &'static [&'static str] {
    match format {
        SourceFormat::Markdown => &["md", "markdown", "mkd", "mdown"],
        SourceFormat::Html => &["html", "htm", "xhtml"],
        SourceFormat::Text => &["txt", "text", "asc"],
        SourceFormat::Epub => &["epub"],
        SourceFormat::Docx => &["docx", "docm", "dotx"],
        SourceFormat::Json => &["json"],
    }
}

/// What stands behind a name's last point, in small letters; nothing where there is none.
pub(super) fn extension(name: &str) -> String {
    name.rsplit_once('.').map(|(_, extension)| extension.to_ascii_lowercase()).unwrap_or_default()
}

/// Whether a file's name says that it is of a format.
pub(super) fn is_named(name: &str, format: SourceFormat) -> bool {
    extensions(format).contains(&extension(name).as_str())
}

/// The chapters of a format among a folder's files, in order, and what their owner should know of that.
///
/// # Errors
/// `Input` where there are none; `Storage` where the file that says the order can't be read.
pub(super) fn chapters(
    files: &[SourceFile],
    format: SourceFormat,
) -> Result<(Vec<&SourceFile>, Option<String>), BookError> {
    let chapters: Vec<&SourceFile> = files.iter().filter(|file| is_named(&file.name, format)).collect();
    if chapters.is_empty() {
        let first = files.first().map_or("the folder", |file| &file.name);
        let (what, ending) = (format.title(), extensions(format)[0]);
        return Err(BookError::input(first, format!("there is no {what} file (.{ending}) in the folder")));
    }
    in_order(chapters)
}
