//! Tags as balanced steps: elements that end where nobody says so, end tags without a start, runs that cross blocks. What browsers
//! make a tree of, in one pass and with nothing held but the names of what is open.

use std::collections::VecDeque;

use super::tokens::{Token, Tokens};
use crate::{
    book::BookError,
    import::{epub::xml::Element, letters::Text},
};

/// How deep elements may be nested; what is deeper counts for its text.
const MOST_DEPTH: usize = 512;
/// How many runs go on behind the end of their block.
const MOST_CROSSING: usize = 16;

/// A step of a document.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Start(Element),
    /// The innermost element ends.
    End,
    Text(String),
}

/// The steps of a document.
pub(super) struct Tree {
    tokens: Tokens,
    steps: VecDeque<Step>,
    open: Vec<String>,
    /// How many elements are open beyond the depth that is followed.
    beyond: usize,
    /// Runs that were open where their block ended.
    crossing: Vec<String>,
    /// Whether elements may close themselves, as in XHTML.
    is_xml: bool,
    has_ended: bool,
    /// How many elements were nested too deep.
    pub(super) too_deep: u64,
}

const VOID: [&str; 16] = [
    "area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "link",
    "meta", "param", "source", "wbr",
];
const IN_HEAD: [&str; 10] =
    ["base", "link", "meta", "title", "style", "script", "noscript", "template", "head", "html"];
/// Runs that mean something and go on where they cross a block's end.
const RUNS: [&str; 10] = ["b", "strong", "i", "em", "s", "strike", "del", "sup", "sub", "u"];
/// What begins behind a paragraph and never in one.
const BLOCKS: [&str; 40] = [
    "address",
    "article",
    "aside",
    "blockquote",
    "center",
    "details",
    "dialog",
    "dir",
    "div",
    "dl",
    "dd",
    "dt",
    "fieldset",
    "figcaption",
    "figure",
    "footer",
    "form",
    "h1",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "header",
    "hgroup",
    "hr",
    "li",
    "main",
    "menu",
    "nav",
    "ol",
    "p",
    "pre",
    "section",
    "summary",
    "table",
    "ul",
    "listing",
    "caption",
    "legend",
];

/// Beyond what an end does not reach.
fn is_wall(name: &str) -> bool {
    matches!(name, "td" | "th" | "caption" | "table" | "svg" | "math")
}

fn is_block(name: &str) -> bool {
    BLOCKS.contains(&name)
        || matches!(name, "body" | "html" | "tr" | "thead" | "tbody" | "tfoot")
        || is_wall(name)
}

impl Tree {
    pub(super) fn new(text: Text, file: &str) -> Self {
        Self {
            tokens: Tokens::new(text, file),
            steps: VecDeque::new(),
            open: Vec::new(),
            beyond: 0,
            crossing: Vec::new(),
            is_xml: false,
            has_ended: false,
            too_deep: 0,
        }
    }

    /// The tokens that it reads.
    pub(super) fn tokens(&self) -> &Tokens {
        &self.tokens
    }

    /// The next step.
    ///
    /// # Errors
    /// Where the file can't be read on.
    pub(super) fn next(&mut self) -> Result<Option<Step>, BookError> {
        self.peek()?;
        Ok(self.steps.pop_front())
    }

    /// The same, which stays.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub(super) fn peek(&mut self) -> Result<Option<&Step>, BookError> {
        while self.steps.is_empty() && !self.has_ended {
            match self.tokens.next()? {
                None => {
                    self.has_ended = true;
                    self.close_to(0);
                }
                Some(Token::Text(text)) => {
                    if self.open.last().is_some_and(|name| name == "head") && !text.trim().is_empty() {
                        self.close_to(self.open.len() - 1);
                    }
                    if !text.trim().is_empty() {
                        self.go_on();
                    }
                    self.steps.push_back(Step::Text(text));
                }
                Some(Token::Start { name, attributes, closes_itself }) => {
                    self.start(name, attributes, closes_itself);
                }
                Some(Token::End { name }) => self.end(&name),
            }
        }
        Ok(self.steps.front())
    }

    fn push(&mut self, name: String, attributes: Vec<(String, String)>) {
        self.steps.push_back(Step::Start(Element::new(name.clone(), attributes)));
        self.open.push(name);
    }

    /// Ends all but so many elements.
    fn close_to(&mut self, left: usize) {
        while self.open.len() > left {
            self.open.pop();
            self.steps.push_back(Step::End);
        }
    }

    /// Ends all but so many elements; runs among them, but for the outermost, go on in what comes next.
    fn cut_to(&mut self, left: usize) {
        let runs = self.open.get(left + 1..).unwrap_or_default().iter();
        for run in runs.filter(|name| RUNS.contains(&name.as_str())) {
            if self.crossing.len() < MOST_CROSSING && !self.crossing.contains(run) {
                self.crossing.push(run.clone());
            }
        }
        self.close_to(left);
    }

    /// Runs that crossed a block's end begin again.
    fn go_on(&mut self) {
        for run in std::mem::take(&mut self.crossing) {
            if !self.open.contains(&run) && self.open.len() < MOST_DEPTH {
                self.push(run, Vec::new());
            }
        }
    }

    /// The innermost open element of some names, before one of others.
    fn find(&self, names: &[&str], walls: &[&str]) -> Option<usize> {
        for (place, open) in self.open.iter().enumerate().rev() {
            if names.contains(&open.as_str()) {
                return Some(place);
            }
            if walls.contains(&open.as_str()) {
                return None;
            }
        }
        None
    }

    /// Ends what the start of an element ends.
    fn make_room(&mut self, name: &str) {
        let is_in_head = self.open.iter().any(|open| open == "head");
        if is_in_head && !IN_HEAD.contains(&name) {
            let head = self.find(&["head"], &[]).unwrap_or(0);
            self.close_to(head);
        }
        if BLOCKS.contains(&name)
            && let Some(paragraph) = self.find(&["p"], &["td", "th", "caption", "table", "button", "object"])
        {
            self.cut_to(paragraph);
        }
        let cells = ["td", "th"];
        let ended = match name {
            "li" => self.find(&["li"], &["ul", "ol", "menu", "dir", "td", "th", "table"]),
            "dt" | "dd" => self.find(&["dt", "dd"], &["dl", "td", "th", "table"]),
            "td" | "th" => self.find(&cells, &["tr", "table"]),
            "tr" => self.find(&["tr"], &["table"]).or_else(|| self.find(&["caption"], &["table"])),
            "thead" | "tbody" | "tfoot" => self.find(&["thead", "tbody", "tfoot"], &["table"]),
            "option" | "optgroup" => self.find(&["option"], &["select"]),
            "rt" | "rp" => self.find(&["rt", "rp"], &["ruby"]),
            "a" => self.find(&["a"], &["td", "th", "table"]),
            "h1" | "h2" | "h3" | "h4" | "h5" | "h6" => {
                let last = self.open.len().checked_sub(1);
                last.filter(|last| matches!(self.open[*last].as_bytes(), [b'h', b'1'..=b'6']))
            }
            _ => None,
        };
        if let Some(ended) = ended {
            self.cut_to(ended);
        }
    }

    fn start(&mut self, name: String, mut attributes: Vec<(String, String)>, closes_itself: bool) {
        if self.beyond > 0 {
            self.beyond += usize::from(!VOID.contains(&name.as_str()) && !closes_itself);
            return;
        }
        // There is one of each, whatever the source says.
        if matches!(name.as_str(), "html" | "body") && self.open.contains(&name) {
            return;
        }
        if name == "html" {
            self.is_xml = attributes.iter().any(|(key, _)| key == "xmlns");
        }
        self.make_room(&name);
        if !is_block(&name) && !IN_HEAD.contains(&name.as_str()) {
            self.go_on();
        }
        // A place's name, whose end many forget.
        let is_place = name == "a" && !attributes.iter().any(|(key, _)| key == "href");
        if name == "a"
            && !attributes.iter().any(|(key, _)| key == "id")
            && let Some((_, named)) = attributes.iter().find(|(key, _)| key == "name").cloned()
        {
            attributes.push(("id".to_owned(), named));
        }
        if self.open.len() >= MOST_DEPTH {
            self.too_deep += 1;
            self.beyond = usize::from(!VOID.contains(&name.as_str()));
            return;
        }
        // Pages stand in forms as a whole; what is to be filled in is left out.
        let name = if name == "form" { "div".to_owned() } else { name };
        let may_close = self.is_xml || self.open.iter().any(|open| matches!(open.as_str(), "svg" | "math"));
        let is_void = is_place || VOID.contains(&name.as_str()) || (closes_itself && may_close);
        self.push(name, attributes);
        if is_void {
            self.close_to(self.open.len() - 1);
        }
    }

    fn end(&mut self, name: &str) {
        let name = if name == "form" { "div" } else { name };
        if self.beyond > 0 {
            self.beyond -= 1;
            return;
        }
        if name == "br" {
            return self.start("br".to_owned(), Vec::new(), true);
        }
        // What follows these belongs to the book still.
        if matches!(name, "body" | "html") || VOID.contains(&name) {
            return;
        }
        let is_wall_itself = is_wall(name) || matches!(name, "tr" | "thead" | "tbody" | "tfoot");
        let mut place = None;
        for (at, open) in self.open.iter().enumerate().rev() {
            let is_heading = |name: &str| matches!(name.as_bytes(), [b'h', b'1'..=b'6']);
            if open == name || (is_heading(open) && is_heading(name)) {
                place = Some(at);
                break;
            }
            let stops = if is_wall_itself { open == "table" } else { is_wall(open) };
            // A run's end does not end the blocks in it.
            let crosses = !is_block(name) && is_block(open);
            if stops || crosses {
                break;
            }
        }
        match place {
            // Runs inside of it go on.
            Some(place) => self.cut_to(place),
            None => {
                self.crossing.retain(|run| run != name);
                // One that stands around blocks ends with the outermost of them.
                if RUNS.contains(&name)
                    && let Some(place) = self.open.iter().rposition(|open| open == name)
                {
                    self.open[place].push('!');
                }
            }
        }
        // A run whose end came too early ends now.
        while self.open.last().is_some_and(|open| open.ends_with('!')) {
            self.close_to(self.open.len() - 1);
        }
    }
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
