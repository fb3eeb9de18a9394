//! Words to glyphs, by harfrust: kerning, ligatures, marks, joined letters. Words that were shaped are kept, up to a
//! bound, as books repeat theirs; all of them in a few long vectors, as many small pieces would tear memory apart.

use std::hash::{BuildHasher, RandomState};

use harfrust::{
    Buffer, BufferFlags, Direction, Feature, Language, Script, ShapeOptions, ShapePlan, ShaperFont, Tag,
};

use super::{
    Face, Family, FontIndex,
    code::Used,
    face::{FACES, FaceId},
    kept::{Kept, units},
    segment::{Segment, segments},
};

/// Kept words; beyond that all are forgotten.
const MOST_WORDS: usize = 8_000;
/// Kept glyphs of all words: 0.8 MiB.
const MOST_GLYPHS: usize = 64_000;
/// Places in the table: a power of two, well above the words.
const PLACES: usize = 1 << 15;
/// What stands for a character that no font has.
const BOX: char = '\u{25a1}';

/// A word that is kept. Good until [`Shaper::tidy`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct WordId(u32);

/// A shaped word. Lengths are in ems.
#[derive(Clone, Copy, Debug)]
pub(super) struct Word {
    hash: u64,
    face: FaceId,
    rtl: bool,
    key: (u32, u32),
    parts: (u32, u32),
    /// The sum of its advances.
    pub(super) width: f32,
    /// Boxes in it.
    pub(super) missing: u32,
}

/// Glyphs of one font, in reading order of their word, but from left to right within.
#[derive(Clone, Copy, Debug)]
pub(super) struct Part {
    pub(super) font: FontIndex,
    /// The font's units in an em.
    em: f32,
    glyphs: (u32, u32),
    /// Its bytes of the word.
    pub(super) text: (u32, u32),
    /// As in [`Piece::tell`](super::Piece::tell).
    pub(super) tell: bool,
}

/// A glyph. Lengths are in ems.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shape {
    pub(super) code: u16,
    pub(super) advance: f32,
    pub(super) width: f32,
    pub(super) x: f32,
    pub(super) y: f32,
    /// Where its text starts in the word, in bytes.
    pub(super) cluster: u32,
}

/// Shapes words, keeps them, and knows which fonts they used.
pub(super) struct Shaper {
    language: Option<Language>,
    /// The book's language as it was given.
    pub(super) tag: String,
    /// Characters that were set as boxes.
    pub(super) missing: u64,
    used: Vec<Used>,
    fonts: [Option<FontIndex>; FACES],
    hyphens: [Option<(FontIndex, Shape)>; FACES],
    buffer: Buffer,
    plans: Vec<(FaceId, Script, bool, ShapePlan)>,
    hasher: RandomState,
    places: Vec<u32>,
    keys: String,
    words: Vec<Word>,
    parts: Vec<Part>,
    glyphs: Vec<Kept>,
}

impl Shaper {
    /// Nothing shaped so far. The regular cut of `main` becomes the first font.
    pub(super) fn new(language: &str, main: Family) -> Self {
        let mut buffer = Buffer::new();
        buffer.set_flags(BufferFlags::REMOVE_DEFAULT_IGNORABLES | BufferFlags::DO_NOT_INSERT_DOTTED_CIRCLE);
        let mut shaper = Self {
            language: Language::new(language),
            tag: language.to_owned(),
            missing: 0,
            used: Vec::new(),
            fonts: [None; FACES],
            hyphens: [None; FACES],
            buffer,
            plans: Vec::new(),
            hasher: RandomState::new(),
            places: vec![0; PLACES],
            // At once, and touched as they fill: growing, they would be there twice.
            keys: String::with_capacity(8 * MOST_WORDS),
            words: Vec::with_capacity(MOST_WORDS),
            parts: Vec::with_capacity(MOST_WORDS),
            glyphs: Vec::with_capacity(MOST_GLYPHS),
        };
        shaper.font(FaceId::of(Face { family: main, bold: false, italic: false }));
        shaper
    }

    /// How many fonts are in use.
    pub(super) fn fonts(&self) -> usize {
        self.used.len()
    }

    /// A font in use.
    pub(super) fn used(&self, index: FontIndex) -> &Used {
        &self.used[usize::from(index.0)]
    }

    /// The font's place among those in use, which it gets at the first question.
    fn font(&mut self, face: FaceId) -> FontIndex {
        if let Some(index) = self.fonts[face.index()] {
            return index;
        }
        let index = FontIndex(self.used.len() as u16);
        self.used.push(Used::new(face));
        self.fonts[face.index()] = Some(index);
        index
    }

    /// Forgets all words if there are too many. No [`WordId`] is good after that.
    pub(super) fn tidy(&mut self) {
        if self.words.len() > MOST_WORDS || self.glyphs.len() > MOST_GLYPHS {
            self.forget();
        }
    }

    /// Forgets all words and gives up their room, as no text is to come. What fonts they used stays known.
    pub(super) fn end(&mut self) {
        self.forget();
        self.keys.shrink_to_fit();
        self.words.shrink_to_fit();
        self.parts.shrink_to_fit();
        self.glyphs.shrink_to_fit();
    }

    fn forget(&mut self) {
        self.places.fill(0);
        self.keys.clear();
        self.words.clear();
        self.parts.clear();
        self.glyphs.clear();
    }

    /// A shaped word.
    pub(super) fn word(&self, id: WordId) -> &Word {
        &self.words[id.0 as usize]
    }

    /// Its parts, in reading order.
    pub(super) fn parts(&self, id: WordId) -> &[Part] {
        let (start, end) = self.word(id).parts;
        &self.parts[start as usize..end as usize]
    }

    /// A part's glyphs, from left to right.
    pub(super) fn glyphs(&self, part: &Part) -> impl Iterator<Item = Shape> {
        let (kept, em) = (&self.glyphs[part.glyphs.0 as usize..part.glyphs.1 as usize], part.em);
        kept.iter().map(move |kept| kept.shape(em))
    }

    /// Shapes a word, or finds it again.
    pub(super) fn shape(&mut self, face: FaceId, rtl: bool, text: &str) -> WordId {
        let hash = self.hasher.hash_one((text, face.index() * 2 + usize::from(rtl)));
        let mut place = hash as usize % PLACES;
        while let Some(found) = self.places[place].checked_sub(1) {
            let word = &self.words[found as usize];
            let key = word.key.0 as usize..word.key.1 as usize;
            if word.hash == hash && word.face == face && word.rtl == rtl && &self.keys[key] == text {
                return WordId(found);
            }
            place = (place + 1) % PLACES;
        }
        let id = self.shape_anew(hash, face, rtl, text);
        // Where a paragraph is beyond all bounds its words are shaped, but not found again.
        if self.words.len() < PLACES / 2 {
            self.places[place] = id.0 + 1;
        }
        id
    }

    /// Where the clusters of a word start, in bytes and in ems, in reading order. A cut between them is a fair one.
    pub(super) fn clusters(&self, id: WordId) -> Vec<(usize, f32)> {
        let glyphs = self.parts(id).iter().flat_map(|part| self.glyphs(part));
        let mut clusters: Vec<(usize, f32)> =
            glyphs.map(|glyph| (glyph.cluster as usize, glyph.advance)).collect();
        clusters.sort_by_key(|(place, _)| *place);
        let mut sum = 0.0;
        for (_, width) in &mut clusters {
            let before = sum;
            sum += *width;
            *width = before;
        }
        clusters.dedup_by_key(|(place, _)| *place);
        clusters
    }

    /// The width of a word's text before a place in it, in ems.
    pub(super) fn width_to(&self, id: WordId, byte: usize) -> f32 {
        let glyphs = self.parts(id).iter().flat_map(|part| self.glyphs(part));
        glyphs.filter(|glyph| (glyph.cluster as usize) < byte).map(|glyph| glyph.advance).sum()
    }

    /// The hyphen at a line's end. It means U+00AD, which readers drop from the text they copy.
    pub(super) fn hyphen(&mut self, face: FaceId) -> Option<(FontIndex, Shape)> {
        if self.hyphens[face.index()].is_none() {
            let glyph = face.hyphen()?;
            let width = advance(face, glyph);
            let font = self.font(face);
            let (code, _) = self.used[usize::from(font.0)].code(glyph, "\u{ad}");
            let shape = Shape { code, advance: width, width, x: 0.0, y: 0.0, cluster: 0 };
            self.hyphens[face.index()] = Some((font, shape));
        }
        self.hyphens[face.index()]
    }

    fn shape_anew(&mut self, hash: u64, face: FaceId, rtl: bool, text: &str) -> WordId {
        let key = self.keys.len() as u32;
        let parts = self.parts.len() as u32;
        self.keys.push_str(text);
        let mut missing = 0;
        for segment in segments(face, text) {
            match segment.face {
                Some(face) => self.shape_segment(face, rtl, text, &segment),
                None => {
                    self.boxes(text, &segment);
                    missing += text[segment.text].chars().count() as u32;
                }
            }
        }
        let word = Word {
            hash,
            face,
            rtl,
            key: (key, self.keys.len() as u32),
            parts: (parts, self.parts.len() as u32),
            width: 0.0,
            missing,
        };
        self.words.push(word);
        let id = WordId(self.words.len() as u32 - 1);
        self.words[id.0 as usize].width = self.width_to(id, usize::MAX);
        id
    }

    /// A box for each character.
    fn boxes(&mut self, text: &str, segment: &Segment) {
        let face = FaceId::HELP;
        let font = self.font(face);
        let glyph = face.glyph(BOX).unwrap_or(0);
        let (start, mut tell) = (self.glyphs.len() as u32, false);
        let width = thousandths(face, glyph);
        for (place, character) in text[segment.text.clone()].char_indices() {
            let meaning = character.encode_utf8(&mut [0; 4]).to_owned();
            let (code, told) = self.used[usize::from(font.0)].code(glyph, &meaning);
            tell |= !told;
            let cluster = (segment.text.start + place) as u16;
            let advance = width as i16;
            self.glyphs.push(Kept { code, advance, width, x: 0, y: 0, cluster });
        }
        let glyphs = (start, self.glyphs.len() as u32);
        let text = (segment.text.start as u32, segment.text.end as u32);
        // Boxes are as wide as the table of widths has them.
        self.parts.push(Part { font, em: 1000.0, glyphs, text, tell });
    }

    fn shape_segment(&mut self, face: FaceId, rtl: bool, text: &str, segment: &Segment) {
        let Some(loaded) = face.font() else { return };
        let font = self.font(face);
        let plain = [Feature::new(Tag::new(b"liga"), 0, ..), Feature::new(Tag::new(b"clig"), 0, ..)];
        // Ligatures would tear the columns of code apart.
        let features: &[Feature] = if face.is_mono() { &plain } else { &[] };
        let direction = if rtl { Direction::RightToLeft } else { Direction::LeftToRight };
        let same = |(plan_face, script, plan_rtl, _): &(FaceId, Script, bool, ShapePlan)| {
            *plan_face == face && *script == segment.script && *plan_rtl == rtl
        };
        let plan = match self.plans.iter().position(same) {
            Some(plan) => plan,
            None => {
                let script = Some(segment.script);
                let plan = ShapePlan::new(loaded, direction, script, self.language.as_ref(), features);
                self.plans.push((face, segment.script, rtl, plan));
                self.plans.len() - 1
            }
        };
        self.buffer.clear();
        self.buffer.push_str(&text[segment.text.clone()]);
        self.buffer.set_direction(direction);
        self.buffer.set_script(Some(segment.script));
        self.buffer.set_language(self.language.clone());
        let options = ShapeOptions::new().plan(Some(&self.plans[plan].3)).features(features);
        // The plan is made for this buffer and the buffer is fresh: there is nothing else that could be wrong.
        if harfrust::shape(&ShaperFont::new(loaded), &mut self.buffer, options).is_ok() {
            self.keep(face, font, rtl, text, segment);
        }
    }

    /// Takes the glyphs out of the buffer and gives each its text.
    fn keep(&mut self, face: FaceId, font: FontIndex, rtl: bool, text: &str, segment: &Segment) {
        let em = face.font().map_or(1000.0, |font| f32::from(font.units_per_em()));
        let (start, mut tell) = (self.glyphs.len() as u32, false);
        let (infos, positions) = (self.buffer.glyph_infos(), self.buffer.glyph_positions());
        let used = &mut self.used[usize::from(font.0)];
        let mut first = 0;
        while first < infos.len() {
            let cluster = infos[first].cluster;
            let count = infos[first..].iter().take_while(|info| info.cluster == cluster).count();
            // From right to left, the text goes on with the cluster before.
            let next = if rtl { first.checked_sub(1) } else { Some(first + count) };
            let next = next
                .and_then(|next| infos.get(next))
                .map_or(segment.text.len(), |info| info.cluster as usize);
            let place = segment.text.start + cluster as usize;
            let meaning = text.get(place..segment.text.start + next).unwrap_or_default();
            let one_by_one = count > 1 && meaning.chars().count() == count;
            for number in 0..count {
                let (info, position) = (infos[first + number], positions[first + number]);
                let reading = if rtl { count - 1 - number } else { number };
                let mut letter = [0; 4];
                let meaning = match (one_by_one, reading) {
                    (true, _) => match meaning.chars().nth(reading) {
                        Some(character) => character.encode_utf8(&mut letter),
                        None => "",
                    },
                    (false, 0) => meaning,
                    (false, _) => "",
                };
                let glyph = u16::try_from(info.glyph_id).unwrap_or(0);
                let (code, told) = used.code(glyph, meaning);
                tell |= !told;
                self.glyphs.push(Kept {
                    code,
                    advance: units(position.x_advance),
                    width: thousandths(face, glyph),
                    x: units(position.x_offset),
                    y: units(position.y_offset),
                    cluster: place as u16,
                });
            }
            first += count;
        }
        let glyphs = (start, self.glyphs.len() as u32);
        let text = (segment.text.start as u32, segment.text.end as u32);
        self.parts.push(Part { font, em, glyphs, text, tell });
    }
}

/// A glyph's width in ems, as a PDF's table of widths has it: in thousandths.
pub(super) fn advance(face: FaceId, glyph: u16) -> f32 {
    f32::from(thousandths(face, glyph)) / 1000.0
}

fn thousandths(face: FaceId, glyph: u16) -> u16 {
    let Some(font) = face.font() else { return 0 };
    let units = font.glyph_metrics().h_advance(u32::from(glyph).into());
    (units * 1000.0 / f32::from(font.units_per_em())).round() as u16
}
