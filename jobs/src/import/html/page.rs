//! A page of the web holds more than what is to be read: where most of its text stands in `<main>`, what stands around that is
//! left out, but for a title page, and notes that the text refers to.

use std::{
    collections::HashSet,
    io::{self, Read as _},
};

use encoding_rs::Encoding;

use super::{
    marks::{is_left_out, marked},
    tokens::Tokens,
    tree::{Step, Tree},
};
use crate::{
    book::BookError,
    import::{
        SourceFile,
        epub::{hidden::is_hidden, xml::Element},
        letters::Text,
        read_error,
    },
};

/// How many notes are remembered.
const MOST_NOTES: usize = 100_000;
/// In what pieces a file is looked through.
const PIECE_BYTES: usize = 64 << 10;

/// A page whose furniture is left out.
#[derive(Debug)]
pub(super) struct Furnished {
    /// The notes that its text refers to.
    notes: HashSet<String>,
}

/// A file's elements, balanced, without a page's furniture.
pub(super) struct Page<'a> {
    tree: Tree,
    furnished: Option<&'a Furnished>,
    depth: usize,
    /// How deep what is kept, and what is left out, has begun.
    kept: Option<usize>,
    left_out: Option<usize>,
    /// How many elements were left out, with all that was in them.
    pub(super) pieces: u64,
}

impl<'a> Page<'a> {
    pub(super) fn new(tree: Tree, furnished: Option<&'a Furnished>) -> Self {
        Self { tree, furnished, depth: 0, kept: None, left_out: None, pieces: 0 }
    }

    /// The tokens that it reads.
    pub(super) fn tokens(&self) -> &Tokens {
        self.tree.tokens()
    }

    /// How many elements nest too deep.
    pub(super) fn too_deep(&self) -> u64 {
        self.tree.too_deep
    }

    /// The next step.
    ///
    /// # Errors
    /// Where the file can't be read on.
    pub(super) fn next(&mut self) -> Result<Option<Step>, BookError> {
        while let Some(step) = self.tree.next()? {
            if self.passes(&step) {
                return Ok(Some(step));
            }
        }
        Ok(None)
    }

    /// What comes behind that in the file.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn peek(&mut self) -> Result<Option<&Step>, BookError> {
        self.tree.peek()
    }

    fn passes(&mut self, step: &Step) -> bool {
        let Some(furnished) = self.furnished else { return true };
        match step {
            Step::Start(element) => {
                self.depth += 1;
                if self.left_out.is_some() || self.kept.is_some() {
                    return self.left_out.is_none();
                }
                if is_kept(element, &furnished.notes) {
                    self.kept = Some(self.depth);
                } else if !is_frame(&element.name, !furnished.notes.is_empty()) {
                    (self.left_out, self.pieces) = (Some(self.depth), self.pieces + 1);
                    return false;
                }
                true
            }
            Step::Text(_) => self.kept.is_some(),
            Step::End => {
                let passes = self.left_out.is_none();
                self.left_out = self.left_out.filter(|depth| *depth != self.depth);
                self.kept = self.kept.filter(|depth| *depth != self.depth);
                self.depth = self.depth.saturating_sub(1);
                passes
            }
        }
    }
}

/// What is read although it stands outside: a title page's header, a note; and what others leave out, who count it.
fn is_kept(element: &Element, notes: &HashSet<String>) -> bool {
    let is_plain = element.get("class").is_none() && element.get("role").is_none();
    match element.name.as_str() {
        "main" | "head" => true,
        "header" if is_plain => true,
        name if is_left_out(name) => true,
        _ => element.get("id").is_some_and(|id| id == "title-block-header" || notes.contains(id)),
    }
}

/// What may stand around the text, or around its notes.
fn is_frame(name: &str, has_notes: bool) -> bool {
    let frames =
        ["html", "body", "div", "section", "article", "header", "hgroup", "center", "font", "span", "form"];
    let around_notes = ["aside", "footer", "ol", "ul", "dl", "table", "tbody", "tr"];
    frames.contains(&name) || (has_notes && around_notes.contains(&name))
}

/// Whether a page is one that has furniture: its text stands in `<main>` for the most part.
///
/// # Errors
/// Where the file can't be read.
pub(super) fn furnished(
    source: &SourceFile,
    charset: &'static Encoding,
) -> Result<Option<Furnished>, BookError> {
    // Most manuscripts have none, and need not be read once more.
    if !mentions_main(source).map_err(read_error(&source.name))? {
        return Ok(None);
    }
    let mut tree = Tree::new(Text::open(source, charset)?, &source.name);
    let (mut path, mut notes): (Vec<String>, _) = (Vec::new(), HashSet::new());
    let (mut main, mut other) = (None, None);
    let (mut inside, mut outside) = (0_usize, 0_usize);
    while let Some(step) = tree.next()? {
        match step {
            Step::Start(element) => {
                if main.is_some()
                    && notes.len() < MOST_NOTES
                    && let Some(id) = marked(&element, &path)
                {
                    notes.insert(id);
                }
                let is_unread = is_left_out(&element.name) || element.name == "head" || is_hidden(&element);
                path.push(element.name);
                if is_unread {
                    other = other.or(Some(path.len()));
                } else if path.last().is_some_and(|name| name == "main") {
                    main = main.or(Some(path.len()));
                }
            }
            Step::Text(text) if other.is_none() => {
                let letters = text.split_whitespace().map(str::len).sum::<usize>();
                *(if main.is_some() { &mut inside } else { &mut outside }) += letters;
            }
            Step::Text(_) => {}
            Step::End => {
                main = main.filter(|depth| *depth != path.len());
                other = other.filter(|depth| *depth != path.len());
                path.pop();
            }
        }
    }
    Ok((inside > outside).then_some(Furnished { notes }))
}

/// Whether `<main` stands anywhere in a file, as ASCII.
fn mentions_main(source: &SourceFile) -> io::Result<bool> {
    const MARK: &[u8] = b"<main";
    let mut file = source.open()?;
    let (mut piece, mut held) = (vec![0; PIECE_BYTES], 0);
    loop {
        let read = file.read(&mut piece[held..])?;
        if read == 0 {
            return Ok(false);
        }
        let bytes = &piece[..held + read];
        let mut places = bytes.iter().enumerate().filter(|(_, byte)| **byte == b'<');
        if places
            .any(|(at, _)| bytes[at..].get(..MARK.len()).is_some_and(|tag| tag.eq_ignore_ascii_case(MARK)))
        {
            return Ok(true);
        }
        // It may be cut.
        let end = bytes.len();
        let begin = end.saturating_sub(MARK.len() - 1);
        piece.copy_within(begin..end, 0);
        held = end - begin;
    }
}
