//! One page: what is drawn on it, in reading order and marked with what it is, and its links.

use std::{
    collections::BTreeSet,
    io::{self, Write},
};

use pdf_writer::{Content, Ref, Settings, types::LineCapStyle};

use super::{
    objects::{Objects, resource, string, text},
    paper::At,
    structure::{ARTIFACT, Action, Structure},
    text::{FontIndex, Line, Piece},
};

/// What carries a mark.
enum Item {
    Text(At, Piece),
    Picture(At, (f32, f32), Ref),
}

/// A page that is being made.
pub(super) struct Sheet {
    page: Ref,
    /// The paper's width, and the size of running text.
    size: (f32, f32),
    /// Rules and leaders, which mean nothing.
    ornaments: Content,
    has_ornaments: bool,
    /// In the order of rows.
    items: Vec<(u32, Item)>,
}

/// What is set in the page's content.
#[derive(Default)]
struct State {
    font: Option<(FontIndex, f32)>,
    fonts: BTreeSet<FontIndex>,
    pictures: BTreeSet<Ref>,
}

/// Two places behind the point are a hundredth of a millimetre.
fn round(length: f32) -> f32 {
    (length * 100.0).round() / 100.0
}

/// How many characters say to who can't see it where a link leads, once more for each of its lines.
const MOST_CONTENTS: usize = 200;

/// The colour of links: dark enough to print well.
const LINK: [f32; 3] = [0.08, 0.2, 0.45];

impl Sheet {
    /// An empty page.
    pub(super) fn new(page: Ref, size: (f32, f32)) -> Self {
        let ornaments = Content::with_settings(Settings { pretty: false });
        Self { page, size, ornaments, has_ornaments: false, items: Vec::new() }
    }

    /// Text at its base line.
    pub(super) fn text(&mut self, at: At, piece: Piece) {
        self.items.push((piece.mark, Item::Text(at, piece)));
    }

    /// A line of text.
    pub(super) fn line(&mut self, at: At, line: Line) {
        for piece in line.pieces {
            self.text(at, piece);
        }
    }

    /// A rectangle.
    pub(super) fn rule(&mut self, at: At, width: f32, height: f32, grey: f32) {
        self.has_ornaments = true;
        self.ornaments.set_fill_gray(grey);
        self.ornaments.rect(round(at.x), round(at.y), round(width), round(height)).fill_nonzero();
    }

    /// Dots.
    pub(super) fn leader(&mut self, at: At, width: f32) {
        self.has_ornaments = true;
        let step = self.size.1 * 0.55;
        // Dots of neighbouring lines stand below each other.
        let begin = (at.x / step).ceil() * step;
        self.ornaments.save_state().set_line_cap(LineCapStyle::RoundCap).set_line_width(0.7);
        self.ornaments.set_stroke_gray(0.35).set_dash_pattern([0.0, step], 0.0);
        self.ornaments.move_to(round(begin), round(at.y)).line_to(round(at.x + width), round(at.y)).stroke();
        self.ornaments.restore_state();
    }

    /// A picture, from its lower left corner.
    pub(super) fn picture(&mut self, at: At, size: (f32, f32), picture: Ref, mark: u32) {
        self.items.push((mark, Item::Picture(at, size, picture)));
    }

    /// Writes it.
    pub(super) fn write(
        mut self,
        objects: &mut Objects,
        structure: &mut Structure,
        fonts: &[Ref],
        parent: Ref,
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let mut content = Vec::new();
        if self.has_ornaments {
            let ornaments = std::mem::replace(&mut self.ornaments, Content::new()).finish();
            content.extend_from_slice(b"/Artifact BMC\n");
            content.extend_from_slice(&ornaments);
            content.extend_from_slice(b"\nEMC 0 g\n");
        }
        // Marks were given in reading order; rows of tables and words of both directions come in another one.
        self.items.sort_by_key(|(mark, _)| *mark);
        let (mut state, mut owners, mut annotations) = (State::default(), Vec::new(), Vec::new());
        let mut items = std::mem::take(&mut self.items).into_iter().peekable();
        while let Some((mark, first)) = items.next() {
            let mut group = vec![first];
            while let Some((_, item)) = items.next_if(|(next, _)| *next == mark) {
                group.push(item);
            }
            let number = i32::try_from(owners.len()).unwrap_or(i32::MAX);
            let owner = if mark == ARTIFACT { None } else { structure.shown(mark, self.page, number) };
            match owner {
                Some((kind, owner)) => {
                    owners.push(owner);
                    write!(content, "/{kind}<</MCID {number}>>BDC ")?;
                }
                None => content.extend_from_slice(b"/Artifact<</Type/Pagination>>BDC "),
            }
            self.group(&mut content, &mut state, structure, mark, &group)?;
            content.extend_from_slice(b"EMC\n");
            annotations.extend(self.links(objects, structure, mark, &group, out)?);
        }
        let contents = objects.alloc();
        objects.stream(out, contents, &content)?;
        let list = |refs: &[Ref]| refs.iter().map(|id| format!("{} 0 R ", id.get())).collect::<String>();
        let mut body =
            format!("<</Type/Page/Parent {} 0 R/Contents {} 0 R/Tabs/S", parent.get(), contents.get());
        body.push_str(&resources(&state, fonts));
        if !owners.is_empty() {
            let array = objects.alloc();
            objects.body(out, array, format!("[{}]", list(&owners).trim_end()).as_bytes())?;
            body.push_str(&format!("/StructParents {}", structure.parent_key(objects, out, array)?));
        }
        if !annotations.is_empty() {
            body.push_str(&format!("/Annots[{}]", list(&annotations).trim_end()));
        }
        body.push_str(">>");
        objects.body(out, self.page, body.as_bytes())
    }

    fn group(
        &self,
        content: &mut Vec<u8>,
        state: &mut State,
        structure: &mut Structure,
        mark: u32,
        group: &[Item],
    ) -> io::Result<()> {
        let span = structure.of(mark).cloned().unwrap_or_default();
        let shows = span.target.as_ref().is_some_and(|target| target.shows);
        if shows {
            write!(content, "{} {} {} rg ", LINK[0], LINK[1], LINK[2])?;
        }
        for item in group {
            match item {
                Item::Text(at, piece) => {
                    show(content, state, *at, piece)?;
                    if span.strike {
                        let width: f32 = piece.glyphs.iter().map(|glyph| glyph.advance).sum();
                        let (x, y) = (round(at.x + piece.x), round(at.y + piece.rise + piece.size * 0.24));
                        writeln!(content, "{x} {y} {} {} re f", round(width), round(piece.size * 0.05))?;
                    }
                }
                Item::Picture(at, (width, height), picture) => {
                    state.pictures.insert(*picture);
                    let (x, y) = (round(at.x), round(at.y));
                    let (width, height) = (round(*width), round(*height));
                    writeln!(content, "q {width} 0 0 {height} {x} {y} cm/X{} Do Q", picture.get())?;
                    let (right, upper) = (at.x + width, at.y + height);
                    structure.entry_of(
                        mark,
                        &format!(
                            "/A<</O/Layout/Placement/Block/BBox[{:.2} {:.2} {right:.2} {upper:.2}]>>",
                            at.x, at.y
                        ),
                    );
                }
            }
        }
        if shows {
            content.extend_from_slice(b"0 g ");
        }
        Ok(())
    }

    /// Writes what can be clicked, a rectangle a line, and the destination that leads to this mark.
    fn links(
        &self,
        objects: &mut Objects,
        structure: &mut Structure,
        mark: u32,
        group: &[Item],
        out: &mut dyn Write,
    ) -> io::Result<Vec<Ref>> {
        let Some(span) = structure.of(mark).filter(|span| span.target.is_some() || span.place.is_some())
        else {
            return Ok(Vec::new());
        };
        let (target, place) = (span.target.clone(), span.place);
        let mut lines: Vec<[f32; 4]> = Vec::new();
        for item in group {
            let Item::Text(at, piece) = item else { continue };
            let width: f32 = piece.glyphs.iter().map(|glyph| glyph.advance).sum();
            let begin = at.x + piece.x;
            let (low, high) = (at.y - self.size.1 * 0.25, at.y + self.size.1 * 0.8);
            match lines.last_mut() {
                Some(line) if (line[1] - low).abs() < 0.1 => {
                    line[0] = line[0].min(begin);
                    line[2] = line[2].max(begin + width);
                }
                _ => lines.push([begin, low, begin + width, high]),
            }
        }
        if let (Some(place), Some(line)) = (place, lines.first()) {
            let body = format!("[{} 0 R/XYZ 0 {:.1} null]", self.page.get(), line[3] + self.size.1);
            objects.body(out, place, body.as_bytes())?;
        }
        let Some(target) = target else { return Ok(Vec::new()) };
        let contents: String = target.contents.chars().take(MOST_CONTENTS).collect();
        let mut annotations = Vec::new();
        for line in lines {
            let annotation = objects.alloc();
            let Some(element) = structure.annotated(mark, self.page, annotation) else { continue };
            let key = structure.parent_key(objects, out, element)?;
            let action = match &target.action {
                Action::Uri(uri, written) => {
                    let id = match written.get() {
                        Some(id) => *id,
                        None => {
                            let id = objects.alloc();
                            let body = format!("<</S/URI/URI{}>>", string(uri.as_bytes()));
                            objects.body(out, id, body.as_bytes())?;
                            *written.get_or_init(|| id)
                        }
                    };
                    format!("/A {} 0 R", id.get())
                }
                Action::Place(place) => format!("/Dest {} 0 R", place.get()),
            };
            let [left, low, right, high] = line;
            let body = format!(
                "<</Type/Annot/Subtype/Link/Rect[{left:.2} {low:.2} {right:.2} {high:.2}]/Border[0 0 0]/F 4\
                 /P {} 0 R/StructParent {key}/Contents {}{action}>>",
                self.page.get(),
                text(&contents)
            );
            objects.body(out, annotation, body.as_bytes())?;
            annotations.push(annotation);
        }
        Ok(annotations)
    }
}

/// The fonts and pictures that a page uses.
fn resources(state: &State, fonts: &[Ref]) -> String {
    let mut body = "/Resources<<".to_owned();
    if !state.fonts.is_empty() {
        body.push_str("/Font<<");
        for font in &state.fonts {
            let index = usize::from(font.0);
            if let Some(id) = fonts.get(index) {
                body.push_str(&format!("/{} {} 0 R", resource('F', index), id.get()));
            }
        }
        body.push_str(">>");
    }
    if !state.pictures.is_empty() {
        body.push_str("/XObject<<");
        for picture in &state.pictures {
            body.push_str(&format!("/X{0} {0} 0 R", picture.get()));
        }
        body.push_str(">>");
    }
    body + ">>"
}

/// Shows glyphs, each where it belongs.
fn show(content: &mut Vec<u8>, state: &mut State, at: At, piece: &Piece) -> io::Result<()> {
    if piece.glyphs.is_empty() || piece.size <= 0.0 {
        return Ok(());
    }
    state.fonts.insert(piece.font);
    content.extend_from_slice(b"BT");
    if state.font != Some((piece.font, piece.size)) {
        state.font = Some((piece.font, piece.size));
        write!(content, "/{} {} Tf", resource('F', usize::from(piece.font.0)), round(piece.size))?;
    }
    if piece.tell {
        write!(content, "/Span<</ActualText {}>>BDC", text(&piece.text))?;
    }
    let (x, y) = (at.x + piece.x, at.y + piece.rise);
    let mut wanted = 0.0;
    let mut rest = &piece.glyphs[..];
    while let Some(first) = rest.first() {
        // Glyphs of the same height go together.
        let height = first.y_offset;
        let end = rest.iter().position(|glyph| (glyph.y_offset - height).abs() > 0.001).unwrap_or(rest.len());
        let (same, further) = rest.split_at(end);
        rest = further;
        let begin = wanted + first.x_offset;
        write!(content, " 1 0 0 1 {} {} Tm[(", round(x + begin), round(y + height))?;
        let mut pen = begin;
        for glyph in same {
            let away = ((wanted + glyph.x_offset - pen) / piece.size * 1000.0).round();
            if away != 0.0 {
                write!(content, "){}(", -away)?;
                pen += away * piece.size / 1000.0;
            }
            for byte in glyph.id.to_be_bytes() {
                match byte {
                    b'(' | b')' | b'\\' => content.extend_from_slice(&[b'\\', byte]),
                    // Line ends in strings are read as line feeds, whatever they were.
                    b'\r' => content.extend_from_slice(b"\\r"),
                    plain => content.push(plain),
                }
            }
            pen += glyph.width;
            wanted += glyph.advance;
        }
        content.extend_from_slice(b")]TJ");
    }
    content.extend_from_slice(if piece.tell { b" EMC ET\n" } else { b" ET\n" });
    Ok(())
}
