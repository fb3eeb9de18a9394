//! `styles.xml` and `numbering.xml`: what a paragraph's style makes of it, and what a list's number looks like. Styles are
//! known by their ids where the export of ours has them, else by their English names (which Word writes in every
//! language), what they are based on, and their outline level.

use std::{collections::HashMap, io::Read};

use super::xml::{Element, Node, Xml};
use crate::book::BookError;

/// How many styles and lists are read.
const MOST: usize = 100_000;

/// What a paragraph is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Body,
    /// From 1.
    Heading(u8),
    /// Begins a chapter without a title.
    ChapterStart,
    /// Runs of a tight list.
    Compact,
    Quote,
    /// Whether every paragraph is a block of its own, as ours are.
    Code {
        own: bool,
    },
    Rule,
    Figure,
    Caption,
    Separator,
    UnmentionedNotes,
    /// The book's own title page.
    Title,
    Subtitle,
    Author,
    Date,
    /// Contents and the like: said again by the book itself.
    Front,
}

/// Marks around text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Look {
    pub(super) bold: Option<bool>,
    pub(super) italic: Option<bool>,
    pub(super) strike: Option<bool>,
    /// Above or below the line.
    pub(super) rise: Option<i8>,
    pub(super) code: Option<bool>,
    pub(super) hidden: Option<bool>,
    /// Whether a style says so, or part of it.
    pub(super) styled: bool,
}

impl Look {
    /// Reads one property of a `w:rPr`; whether it was one of these.
    pub(super) fn set(&mut self, element: &Element) {
        match element.name.as_str() {
            "b" => self.bold = Some(element.is_on()),
            "i" => self.italic = Some(element.is_on()),
            "strike" | "dstrike" => self.strike = Some(element.is_on()),
            "vanish" => self.hidden = Some(element.is_on()),
            "vertAlign" => {
                self.rise = Some(match element.value() {
                    "superscript" => 1,
                    "subscript" => -1,
                    _ => 0,
                });
            }
            _ => {}
        }
    }

    /// These, and what `under` says where these say nothing.
    pub(super) fn over(self, under: Self) -> Self {
        Self {
            bold: self.bold.or(under.bold),
            italic: self.italic.or(under.italic),
            strike: self.strike.or(under.strike),
            rise: self.rise.or(under.rise),
            code: self.code.or(under.code),
            hidden: self.hidden.or(under.hidden),
            styled: self.styled || under.styled,
        }
    }
}

/// A paragraph's or run's style.
#[derive(Clone, Debug, Default)]
struct Style {
    name: String,
    based_on: String,
    outline: Option<u8>,
    list: Option<(String, u8)>,
    look: Look,
}

/// What a style comes to.
#[derive(Clone, Debug)]
pub(super) struct Resolved {
    pub(super) role: Role,
    /// `Q` and `L` for the quotes and items around it, outermost first.
    pub(super) path: String,
    /// Whether our own export wrote that path.
    pub(super) is_own: bool,
    pub(super) list: Option<(String, u8)>,
    pub(super) look: Look,
}

/// All styles and lists.
#[derive(Debug, Default)]
pub(super) struct Styles {
    styles: HashMap<String, Style>,
    /// Whether paragraphs run from right to left where they don't say.
    pub(super) right_to_left: bool,
    default: String,
    lists: HashMap<String, List>,
    levels: HashMap<(String, u8), Level>,
}

#[derive(Debug, Default)]
struct List {
    kind: String,
    starts: HashMap<u8, u64>,
}

/// How a list's level is numbered.
#[derive(Clone, Debug)]
struct Level {
    start: u64,
    format: String,
    text: String,
}

/// What stands before an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sign {
    Bullet,
    /// The number that the list begins with.
    Number(u64),
    /// Nothing: it goes on with the item before.
    Nothing,
}

impl Styles {
    /// Reads `styles.xml`.
    pub(super) fn read(&mut self, input: impl Read, place: &str) -> Result<(), BookError> {
        let mut xml = Xml::new(input, place);
        let mut current: Option<(String, Style)> = None;
        let mut depth = 0_usize;
        let mut style_depth = 0;
        loop {
            match xml.next()? {
                Node::Start(element) => {
                    depth += 1;
                    if element.name == "style" {
                        let id = element.get("styleId").unwrap_or_default().to_owned();
                        let is_default =
                            element.get("default").is_some_and(|on| matches!(on, "1" | "true" | "on"));
                        if is_default && element.get("type") == Some("paragraph") {
                            self.default.clone_from(&id);
                        }
                        style_depth = depth;
                        current = Some((id, Style::default()));
                        continue;
                    }
                    let Some((_, style)) = &mut current else {
                        self.right_to_left |= element.name == "bidi" && element.is_on();
                        continue;
                    };
                    match element.name.as_str() {
                        "name" if depth == style_depth + 1 => style.name = element.value().to_lowercase(),
                        "basedOn" => style.based_on = element.value().to_owned(),
                        "outlineLvl" => {
                            style.outline = element.value().parse().ok().filter(|level| *level < 9)
                        }
                        "numId" => style.list.get_or_insert_default().0 = element.value().to_owned(),
                        "ilvl" => {
                            style.list.get_or_insert_default().1 =
                                element.value().parse().unwrap_or(0).min(8);
                        }
                        _ => style.look.set(&element),
                    }
                }
                Node::End => {
                    if depth == style_depth
                        && let Some((id, style)) = current.take()
                        && self.styles.len() < MOST
                    {
                        self.styles.insert(id, style);
                    }
                    depth = depth.saturating_sub(1);
                }
                Node::Text(_) => {}
                Node::Eof => return Ok(()),
            }
        }
    }

    /// Reads `numbering.xml`.
    pub(super) fn read_lists(&mut self, input: impl Read, place: &str) -> Result<(), BookError> {
        let mut xml = Xml::new(input, place);
        let (mut kind, mut list, mut level) = (String::new(), String::new(), 0_u8);
        loop {
            let element = match xml.next()? {
                Node::Start(element) => element,
                Node::Eof => return Ok(()),
                Node::End | Node::Text(_) => continue,
            };
            if self.levels.len() + self.lists.len() > MOST {
                return Err(xml.wrong("there are more than 100,000 lists"));
            }
            let named = |name: &str| element.get(name).unwrap_or_default().to_owned();
            match element.name.as_str() {
                "abstractNum" => (kind, list) = (named("abstractNumId"), String::new()),
                "num" => {
                    list = named("numId");
                    self.lists.insert(list.clone(), List::default());
                }
                "abstractNumId" => {
                    if let Some(list) = self.lists.get_mut(&list) {
                        list.kind = element.value().to_owned();
                    }
                }
                "lvl" | "lvlOverride" => level = named("ilvl").parse().unwrap_or(0).min(8),
                "startOverride" => {
                    if let (Some(list), Ok(start)) = (self.lists.get_mut(&list), element.value().parse()) {
                        list.starts.insert(level, start);
                    }
                }
                "start" | "numFmt" | "lvlText" if list.is_empty() => {
                    let entry = self.levels.entry((kind.clone(), level)).or_insert_with(|| Level {
                        start: 1,
                        format: "decimal".to_owned(),
                        text: "%".to_owned(),
                    });
                    match element.name.as_str() {
                        "start" => entry.start = element.value().parse().unwrap_or(1),
                        "numFmt" => element.value().clone_into(&mut entry.format),
                        _ => element.value().clone_into(&mut entry.text),
                    }
                }
                _ => {}
            }
        }
    }

    /// What stands before an item of the list on this level.
    pub(super) fn sign(&self, list: &str, level: u8) -> Sign {
        let Some(list) = self.lists.get(list) else { return Sign::Bullet };
        let Some(found) = self.levels.get(&(list.kind.clone(), level)) else { return Sign::Bullet };
        match found.format.as_str() {
            _ if found.text.trim().is_empty() => Sign::Nothing,
            "bullet" | "none" => Sign::Bullet,
            _ => Sign::Number(list.starts.get(&level).copied().unwrap_or(found.start).min(999_999_999)),
        }
    }

    /// The look of a run's style, and whether it is one of code.
    pub(super) fn run(&self, id: &str) -> Look {
        let mut look = Look::default();
        for (id, style) in self.chain(id) {
            look = look.over(style.look);
            let name = style.name.as_str();
            let is_code = matches!(id, "CodeChar" | "VerbatimChar")
                || matches!(
                    name,
                    "html code"
                        | "verbatim char"
                        | "source text"
                        | "html typewriter"
                        | "code"
                        | "inline code"
                );
            match id {
                "Emphasis" => look.italic = look.italic.or(Some(true)),
                "Strong" => look.bold = look.bold.or(Some(true)),
                _ if is_code => look.code = Some(true),
                _ => {}
            }
        }
        look
    }

    fn chain<'a>(&'a self, id: &'a str) -> impl Iterator<Item = (&'a str, &'a Style)> {
        let mut next = id;
        // A style may be based on itself, in the end.
        (0..20).map_while(move |_| {
            let style = self.styles.get(next)?;
            let id = std::mem::replace(&mut next, style.based_on.as_str());
            Some((id, style))
        })
    }

    /// What a paragraph of this style is.
    pub(super) fn paragraph(&self, id: &str) -> Resolved {
        let id = if id.is_empty() { self.default.as_str() } else { id };
        let (kind, path) = id.split_once('_').unwrap_or((id, ""));
        let is_path = path.bytes().all(|byte| matches!(byte, b'Q' | b'L'));
        let mut resolved = Resolved {
            role: Role::Body,
            path: String::new(),
            is_own: false,
            list: None,
            look: Look::default(),
        };
        let own = own_role(kind).filter(|_| is_path && !path.is_empty() || path.is_empty());
        let mut role = None;
        for (_, style) in self.chain(id) {
            resolved.look = resolved.look.over(style.look);
            if resolved.list.is_none() {
                resolved.list.clone_from(&style.list);
            }
            role = role
                .or_else(|| named_role(&style.name).or(style.outline.map(|level| Role::Heading(level + 1))));
        }
        resolved.list = resolved.list.filter(|(list, _)| !list.is_empty() && list != "0");
        resolved.role = own.or(role).unwrap_or(Role::Body);
        resolved.is_own = own.is_some() && !path.is_empty();
        let quotes = kind.strip_prefix("Quote").and_then(|count| count.parse::<usize>().ok());
        resolved.path = match (resolved.role, quotes) {
            _ if resolved.is_own => path.to_owned(),
            (Role::Quote, Some(count)) => "Q".repeat(count.min(60)),
            (Role::Quote, None) => "Q".to_owned(),
            _ => String::new(),
        };
        resolved
    }
}

/// The kinds of our own export.
fn own_role(kind: &str) -> Option<Role> {
    Some(match kind {
        "BodyText" | "FirstParagraph" | "ListParagraph" | "FootnoteText" | "TableText" => Role::Body,
        "ListCompact" => Role::Compact,
        "ChapterStart" => Role::ChapterStart,
        "CodeBlock" => Role::Code { own: true },
        "Rule" => Role::Rule,
        "Figure" => Role::Figure,
        "Separator" => Role::Separator,
        "UnmentionedNotes" => Role::UnmentionedNotes,
        "Caption" => Role::Caption,
        "Heading2" | "Heading3" | "Heading4" | "Heading5" | "Heading6" => {
            Role::Heading(kind.as_bytes()[7].saturating_sub(b'0'))
        }
        "BookTable" => Role::Body,
        "Cover" | "Imprint" => Role::Front,
        _ => {
            let rest = kind.strip_prefix("Quote")?;
            (rest.is_empty() || rest.len() == 1 && rest.bytes().all(|b| b.is_ascii_digit()))
                .then_some(Role::Quote)?
        }
    })
}

/// What a style's name means, in lower case. Word writes these in English whatever its language.
fn named_role(name: &str) -> Option<Role> {
    if let Some(level) = name.strip_prefix("heading ").and_then(|level| level.trim().parse::<u8>().ok()) {
        return (1..=9).contains(&level).then_some(Role::Heading(level));
    }
    Some(match name {
        "title" => Role::Title,
        "subtitle" => Role::Subtitle,
        "author" => Role::Author,
        "date" => Role::Date,
        "quote" | "intense quote" | "block text" | "block quotation" | "quotations" | "quotation" => {
            Role::Quote
        }
        "html preformatted" | "preformatted text" | "plain text" | "macro" | "macro text" | "code" => {
            Role::Code { own: false }
        }
        "source code" => Role::Code { own: true },
        "compact" => Role::Compact,
        "caption" | "image caption" | "table caption" => Role::Caption,
        "horizontal line" => Role::Rule,
        "captioned figure" | "figure" => Role::Body,
        "toc heading" | "contents heading" | "index heading" | "table of figures" => Role::Front,
        _ if name.starts_with("toc ") || name.starts_with("contents ") => Role::Front,
        _ => return None,
    })
}
