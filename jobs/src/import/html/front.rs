//! What a page says of its book: in its head, and on the lines of its title.

use crate::{
    book::Metadata,
    import::{epub::xml::Element, one_line},
};

/// How many authors a book has at most.
const MOST_AUTHORS: usize = 100;

/// Reads a `<meta>`; what was said first counts.
pub(super) fn meta(element: &Element, metadata: &mut Metadata) {
    let name = element.get("name").or(element.get("property")).unwrap_or_default().to_ascii_lowercase();
    let content = one_line(element.get("content").unwrap_or_default(), 2_000);
    let field = match name.trim_start_matches("dcterms.").trim_start_matches("dc.") {
        "author" | "creator" => {
            if !content.is_empty() && metadata.authors.len() < MOST_AUTHORS {
                metadata.authors.push(content);
            }
            return;
        }
        "title" | "og:title" => &mut metadata.title,
        "description" | "og:description" => &mut metadata.description,
        "date" => &mut metadata.date,
        "publisher" => &mut metadata.publisher,
        "rights" => &mut metadata.rights,
        "identifier" => &mut metadata.identifier,
        "language" => &mut metadata.language,
        _ => return,
    };
    if field.is_empty() {
        *field = content;
    }
}

/// A line of a title page.
#[derive(Clone, Copy, Debug)]
pub(super) enum Line {
    Subtitle,
    Author,
    Date,
}

impl Line {
    /// By its class, as pandoc and our own export write it.
    pub(super) fn of(element: &Element) -> Option<Self> {
        let has = |class| element.has_word("class", class);
        match () {
            () if has("subtitle") => Some(Self::Subtitle),
            () if has("author") => Some(Self::Author),
            () if has("date") => Some(Self::Date),
            () => None,
        }
    }

    /// Notes what it says.
    pub(super) fn tell(self, text: &str, metadata: &mut Metadata) {
        match self {
            Self::Author => {
                let is_new = !text.is_empty() && !metadata.authors.iter().any(|author| author == text);
                if is_new && metadata.authors.len() < MOST_AUTHORS {
                    metadata.authors.push(text.to_owned());
                }
            }
            Self::Subtitle => text.clone_into(&mut metadata.subtitle),
            Self::Date => text.clone_into(&mut metadata.date),
        }
    }
}
