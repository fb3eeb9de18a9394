//! What a text says of itself in front, as Project Gutenberg and others write it: `Title: …`, `Author: …`, and the marks
//! between which the book itself stands.

/// What was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) title: String,
    pub(super) authors: Vec<String>,
    pub(super) language: String,
    pub(super) date: String,
    /// Which field an indented line goes on with.
    open: bool,
}

impl Header {
    /// Looks at a line; true where it belongs to the header.
    pub(super) fn line(&mut self, line: &str) -> bool {
        if self.open && line.starts_with(' ') && !line.trim().is_empty() {
            self.title.push(' ');
            self.title.push_str(line.trim());
            return true;
        }
        self.open = false;
        let Some((key, value)) = line.split_once(':') else { return false };
        let value = value.trim();
        if value.is_empty() {
            return false;
        }
        match key.trim().to_ascii_lowercase().as_str() {
            "title" if self.title.is_empty() => {
                value.clone_into(&mut self.title);
                self.open = true;
            }
            "author" | "authors" if self.authors.is_empty() => {
                let names = value.split(" and ").flat_map(|names| names.split(';'));
                self.authors = names.map(|name| name.trim().to_owned()).filter(|n| !n.is_empty()).collect();
            }
            "language" if self.language.is_empty() => self.language = language(value).to_owned(),
            "release date" | "date" if self.date.is_empty() => {
                value.split('[').next().unwrap_or_default().trim().clone_into(&mut self.date);
            }
            _ => return false,
        }
        true
    }
}

/// The BCP 47 tag of a language's English name; empty for an unknown one.
fn language(name: &str) -> &'static str {
    match name.to_ascii_lowercase().as_str() {
        "english" | "en" => "en",
        "german" | "deutsch" | "de" => "de",
        "french" | "français" | "fr" => "fr",
        "spanish" | "español" | "es" => "es",
        "italian" | "it" => "it",
        "portuguese" | "pt" => "pt",
        "dutch" | "nl" => "nl",
        "japanese" | "ja" => "ja",
        "chinese" | "zh" => "zh",
        "finnish" | "fi" => "fi",
        "swedish" | "sv" => "sv",
        "latin" | "la" => "la",
        "greek" | "el" => "el",
        "russian" | "ru" => "ru",
        "polish" | "pl" => "pl",
        _ => "",
    }
}

/// Whether the book begins after this line.
pub(super) fn is_start(line: &str) -> bool {
    line.starts_with("***") && line.contains("START OF") && line.contains("PROJECT GUTENBERG")
}

/// Whether the book ended before this line.
pub(super) fn is_end(line: &str) -> bool {
    (line.starts_with("***") && line.contains("END OF") && line.contains("PROJECT GUTENBERG"))
        || line.starts_with("End of the Project Gutenberg")
        || line.starts_with("End of Project Gutenberg")
}
