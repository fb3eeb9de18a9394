//! Blocks as Markdown: what stands before each line, and where blank lines are needed. Containers (quotes, lists,
//! items, notes) are begun only with the first block inside, because what that is decides about the lines above it.

use super::{
    Naming,
    escape::{Place, push_text},
    inline::Runs,
    plain_name,
    render::render,
};
use crate::book::{EndTag, Event, Losses, Tag};

mod leaf;

use leaf::Leaf;

/// What kind a written block is, as far as its neighbours are concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Paragraph,
    /// The runs of a tight item.
    Plain,
    Heading,
    Rule,
    Code,
    Table,
    Quote,
    Footnote,
    /// With its sign: two lists of one sign would be one list.
    List(char),
    /// A container's end, without anything inside.
    Nothing,
}

/// What can hold blocks.
#[derive(Debug, PartialEq, Eq)]
enum Holder {
    Root,
    Quote,
    /// Next number where it is numbered; whether blank lines part its items.
    List {
        next: Option<u64>,
        sign: char,
        is_loose: bool,
    },
    /// How far its lines are indented.
    Item {
        width: usize,
    },
    Footnote {
        label: String,
    },
}

/// A container that is open.
#[derive(Debug)]
struct Frame {
    holder: Holder,
    /// Whether anything of it is written.
    is_begun: bool,
    last: Option<Kind>,
}

/// Writes blocks.
#[derive(Debug)]
pub(super) struct Blocks {
    /// What is written; its user empties it.
    pub(super) out: String,
    is_line_start: bool,
    frames: Vec<Frame>,
    leaf: Option<Leaf>,
    runs: Runs,
    /// States that wait while a note inside them is written: Markdown wants notes outside of everything.
    suspended: Vec<(Vec<Frame>, String, bool)>,
    /// Notes that wait for the end of the block that they stood in.
    notes: Vec<String>,
}

impl Default for Blocks {
    fn default() -> Self {
        Self {
            out: String::new(),
            is_line_start: true,
            frames: vec![root()],
            leaf: None,
            runs: Runs::default(),
            suspended: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn root() -> Frame {
    Frame { holder: Holder::Root, is_begun: true, last: None }
}

impl Blocks {
    /// Takes an event.
    pub(super) fn event(&mut self, event: &Event<'_>, naming: &mut dyn Naming, losses: &mut Losses) {
        match event {
            Event::ChapterStart { title, .. } => return self.title(title, naming),
            Event::ChapterEnd => {
                self.end_plain(losses);
                self.frames = vec![root()];
                return;
            }
            Event::BookStart | Event::BookEnd => return,
            Event::Text(text) if matches!(self.leaf, Some(Leaf::Code { .. })) => {
                if let Some(Leaf::Code { text: before, .. }) = &mut self.leaf {
                    before.push_str(text);
                }
                return;
            }
            _ => {}
        }
        if self.runs.event(event, naming, losses) {
            self.leaf.get_or_insert(Leaf::Plain);
            return;
        }
        match event {
            Event::Start(tag) => self.start(tag, naming, losses),
            Event::End(end) => self.end(*end, losses),
            Event::Rule => {
                self.end_plain(losses);
                self.begin(Kind::Rule);
                // Not hyphens, which would make a heading of the line above.
                self.out.push_str("***");
                self.end_line();
                self.flush_notes();
            }
            _ => {}
        }
    }

    fn title(&mut self, title: &str, naming: &dyn Naming) {
        self.begin(Kind::Heading);
        self.out.push('#');
        let words: Vec<&str> = title.split_whitespace().collect();
        if !words.is_empty() {
            self.out.push(' ');
            push_text(&mut self.out, &words.join(" "), Place::Heading, None);
        }
        if let Some(anchor) = naming.chapter_anchor() {
            self.out.push_str(&format!(" {{#{anchor}}}"));
        }
        self.end_line();
    }

    fn start(&mut self, tag: &Tag<'_>, naming: &dyn Naming, losses: &mut Losses) {
        match tag {
            // Rows and cells collect into their table.
            Tag::TableHead | Tag::TableRow | Tag::TableCell => return,
            _ => self.end_plain(losses),
        }
        match tag {
            Tag::Paragraph => self.leaf = Some(Leaf::Paragraph),
            Tag::Heading { level, anchor } => {
                let anchor = anchor.as_ref().map(|anchor| {
                    // Braces hold words: the anchor must be one.
                    plain_name(&naming.anchor(anchor)).into_owned()
                });
                self.leaf = Some(Leaf::Heading { level: (*level).clamp(1, 6), anchor });
            }
            Tag::CodeBlock { language } => {
                let language = language.trim().replace(['\n', '\r'], " ");
                self.leaf = Some(Leaf::Code { language, text: String::new() });
            }
            Tag::Table { columns } => {
                let columns = columns.clone();
                self.leaf = Some(Leaf::Table { columns, cells: Vec::new(), has_head: false });
            }
            Tag::Quote => self.open(Holder::Quote),
            Tag::List { first } => {
                let signs = if first.is_some() { ['.', ')'] } else { ['-', '+'] };
                // Another sign than the list before, and than one that begins on the same line.
                let taken = self.frames.iter().rev().find_map(|frame| match (frame.last, &frame.holder) {
                    (Some(Kind::List(sign)), _) => Some(Some(sign)),
                    (None, Holder::List { sign, .. }) => Some(Some(*sign)),
                    (Some(_), _) => Some(None),
                    (None, _) => None,
                });
                let sign = if taken.flatten() == Some(signs[0]) { signs[1] } else { signs[0] };
                self.open(Holder::List { next: *first, sign, is_loose: false });
            }
            Tag::Item => self.open(Holder::Item { width: 2 }),
            Tag::Footnote { label } => {
                let label = plain_name(&naming.label(label)).into_owned();
                let frames = std::mem::replace(&mut self.frames, vec![root()]);
                let out = std::mem::take(&mut self.out);
                self.suspended.push((frames, out, std::mem::replace(&mut self.is_line_start, true)));
                self.open(Holder::Footnote { label });
            }
            _ => {}
        }
    }

    fn open(&mut self, holder: Holder) {
        self.frames.push(Frame { holder, is_begun: false, last: None });
    }

    fn end(&mut self, end: EndTag, losses: &mut Losses) {
        match end {
            EndTag::Paragraph | EndTag::Heading(_) | EndTag::CodeBlock | EndTag::Table => {
                self.end_leaf(losses);
            }
            EndTag::TableCell => {
                let pieces = self.runs.take(losses);
                if let Some(Leaf::Table { cells, .. }) = &mut self.leaf {
                    cells.push(render(&pieces, Place::Cell, losses));
                }
                return;
            }
            EndTag::TableHead | EndTag::TableRow => return self.row(end == EndTag::TableHead, losses),
            _ => {
                self.end_plain(losses);
                // Nothing stands for a list without items.
                let is_list = matches!(end, EndTag::List(_));
                if self.frames.last().is_some_and(|frame| !frame.is_begun && !is_list) {
                    self.begin(Kind::Nothing);
                    self.out.truncate(self.out.trim_end_matches(' ').len());
                    self.end_line();
                }
                if self.frames.len() > 1 {
                    self.frames.pop();
                }
                if end == EndTag::Footnote
                    && let Some((frames, out, is_line_start)) = self.suspended.pop()
                {
                    self.frames = frames;
                    self.is_line_start = is_line_start;
                    self.notes.push(std::mem::replace(&mut self.out, out));
                }
            }
        }
        self.flush_notes();
    }

    /// Writes the notes that wait, once no block is open around them.
    fn flush_notes(&mut self) {
        if self.frames.len() == 1 && self.suspended.is_empty() {
            for note in std::mem::take(&mut self.notes) {
                self.begin(Kind::Footnote);
                self.out.push_str(&note);
                self.is_line_start = true;
            }
        }
    }

    fn end_plain(&mut self, losses: &mut Losses) {
        if matches!(self.leaf, Some(Leaf::Plain)) {
            self.end_leaf(losses);
        }
    }

    /// Begins a block: first the containers that wait, each after what its own parent has.
    fn begin(&mut self, kind: Kind) {
        let waiting = self.frames.iter().position(|frame| !frame.is_begun).unwrap_or(self.frames.len());
        for at in waiting..self.frames.len() {
            let inside = self.frames.get(at + 1).map_or(kind, |frame| match frame.holder {
                Holder::Quote => Kind::Quote,
                Holder::List { sign, .. } => Kind::List(sign),
                Holder::Item { .. } | Holder::Footnote { .. } | Holder::Root => Kind::Nothing,
            });
            match &self.frames[at].holder {
                Holder::Quote => {
                    self.part(at, Kind::Quote, true);
                    self.out.push_str("> ");
                    self.is_line_start = false;
                }
                Holder::Footnote { label } => {
                    let label = label.clone();
                    self.part(at, Kind::Footnote, true);
                    self.out.push_str(&format!("[^{label}]: "));
                    self.is_line_start = false;
                }
                Holder::List { next, sign, .. } => {
                    // Only these lists may stand right below a line of text (CommonMark §5.2).
                    let is_empty = self.frames.len() <= at + 2 && kind == Kind::Nothing;
                    let may_follow = matches!(next, None | Some(1)) && !is_empty;
                    let sign = *sign;
                    self.part(at, Kind::List(sign), may_follow);
                }
                Holder::Item { .. } => self.item(at, inside),
                Holder::Root => {}
            }
            self.frames[at].is_begun = true;
        }
        self.part(self.frames.len(), kind, true);
        if let [.., list, Frame { holder: Holder::Item { .. }, .. }] = self.frames.as_mut_slice()
            && let (Holder::List { is_loose, .. }, Kind::Paragraph) = (&mut list.holder, kind)
        {
            *is_loose = true;
        }
        self.is_line_start = false;
    }

    /// Writes an item's bullet or number.
    fn item(&mut self, at: usize, inside: Kind) {
        let is_first = self.frames[at - 1].last.is_none();
        let Holder::List { next, sign, is_loose } = &mut self.frames[at - 1].holder else { return };
        let bullet = match next {
            Some(number) => {
                // Readers take nine digits at most.
                let bullet = format!("{}{sign} ", (*number).min(999_999_999));
                *number = number.saturating_add(1);
                bullet
            }
            None => format!("{sign} "),
        };
        let sign = *sign;
        *is_loose |= inside == Kind::Paragraph;
        let blank = *is_loose && !is_first;
        self.frames[at].holder = Holder::Item { width: bullet.len() };
        self.frames[at - 1].last = Some(Kind::List(sign));
        if blank {
            self.blank_line(at);
        }
        if self.is_line_start {
            let prefix = self.prefix_of(at);
            self.out.push_str(&prefix);
        }
        self.out.push_str(&bullet);
        self.is_line_start = false;
    }

    /// Parts a block in frame `at - 1` from the one before, and writes what stands before its first line.
    fn part(&mut self, at: usize, kind: Kind, may_follow: bool) {
        if kind == Kind::Nothing {
            return;
        }
        let (outer, frame) = self.frames[..at].split_at_mut(at - 1);
        let Some(frame) = frame.first_mut() else { return };
        let is_tight = matches!(frame.holder, Holder::Item { .. })
            && matches!(outer.last().map(|frame| &frame.holder), Some(Holder::List { is_loose: false, .. }));
        let interrupts = match kind {
            Kind::Heading | Kind::Rule | Kind::Code => true,
            Kind::Quote => frame.last != Some(Kind::Quote),
            Kind::List(_) => may_follow,
            _ => false,
        };
        let close = match frame.last {
            Some(Kind::Heading | Kind::Rule | Kind::Code) => true,
            Some(Kind::Plain | Kind::Quote | Kind::List(_)) => interrupts,
            _ => false,
        };
        let blank = frame.last.is_some() && !(is_tight && close);
        frame.last = Some(kind);
        if blank {
            self.blank_line(at);
        }
        // A list's first line is its first item's.
        if self.is_line_start && !matches!(kind, Kind::List(_)) {
            let prefix = self.prefix_of(at);
            self.out.push_str(&prefix);
        }
    }

    fn blank_line(&mut self, at: usize) {
        let prefix = self.prefix_of(at);
        self.out.push_str(prefix.trim_end());
        self.out.push('\n');
    }

    fn end_line(&mut self) {
        self.out.push('\n');
        self.is_line_start = true;
    }

    fn prefix(&self) -> String {
        self.prefix_of(self.frames.len())
    }

    /// What stands before a line of a block in frame `at - 1`.
    fn prefix_of(&self, at: usize) -> String {
        let mut prefix = String::new();
        for frame in &self.frames[..at] {
            match frame.holder {
                Holder::Quote => prefix.push_str("> "),
                Holder::Item { width } => prefix.push_str(&" ".repeat(width)),
                Holder::Footnote { .. } => prefix.push_str("    "),
                Holder::Root | Holder::List { .. } => {}
            }
        }
        prefix
    }
}
