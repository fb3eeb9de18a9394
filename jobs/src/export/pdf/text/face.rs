//! The fonts in the binary (`jobs/fonts`, with their licences), and which of them has a character.

use std::sync::OnceLock;

use harfrust::Font;

use super::{Face, Family};

/// A font of [`FILES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FaceId(u8);

/// A font's file.
struct File {
    name: &'static str,
    bytes: &'static [u8],
}

macro_rules! file {
    ($name:literal, $extension:literal) => {
        File { name: $name, bytes: include_bytes!(concat!("../../../../fonts/", $name, ".", $extension)) }
    };
}

/// Regular, bold, italic, bold italic of each family; then those that only help out.
static FILES: [File; 14] = [
    file!("LibertinusSerif-Regular", "otf"),
    file!("LibertinusSerif-Bold", "otf"),
    file!("LibertinusSerif-Italic", "otf"),
    file!("LibertinusSerif-BoldItalic", "otf"),
    file!("OpenSans-Regular", "ttf"),
    file!("OpenSans-Bold", "ttf"),
    file!("OpenSans-Italic", "ttf"),
    file!("OpenSans-BoldItalic", "ttf"),
    file!("DejaVuSansMono", "ttf"),
    file!("DejaVuSansMono-Bold", "ttf"),
    file!("DejaVuSansMono-Oblique", "ttf"),
    file!("DejaVuSansMono-BoldOblique", "ttf"),
    file!("DejaVuSans", "ttf"),
    file!("DejaVuSans-Bold", "ttf"),
];

/// How many fonts there are.
pub(super) const FACES: usize = FILES.len();
/// The first of those that only help out; its bold cut follows.
const HELP: u8 = 12;

/// Parsed once for the process: the bytes never change.
static FONTS: [OnceLock<Option<Font>>; FACES] = [const { OnceLock::new() }; FACES];

/// A font's measures, in ems.
#[derive(Clone, Copy, Debug)]
pub(super) struct Measures {
    pub(super) ascent: f32,
    pub(super) descent: f32,
}

impl FaceId {
    /// The font with the most characters.
    pub(super) const HELP: Self = Self(HELP);

    /// The font of a face.
    pub(super) fn of(face: Face) -> Self {
        let family = match face.family {
            Family::Serif => 0,
            Family::Sans => 4,
            Family::Mono => 8,
        };
        Self(family + u8::from(face.bold) + 2 * u8::from(face.italic))
    }

    /// Its place in tables of [`FACES`].
    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// The font's PostScript name.
    pub(super) fn name(self) -> &'static str {
        FILES[self.index()].name
    }

    /// The font's file.
    pub(super) fn bytes(self) -> &'static [u8] {
        FILES[self.index()].bytes
    }

    /// The font; `None` only if its file is broken, which a test rules out.
    pub(super) fn font(self) -> Option<&'static Font> {
        FONTS[self.index()].get_or_init(|| Font::new(self.bytes(), 0)).as_ref()
    }

    /// The glyph of a character.
    pub(super) fn glyph(self, character: char) -> Option<u16> {
        let glyph = self.font()?.charmap().map_unicode(character)?;
        u16::try_from(glyph.to_u32()).ok().filter(|glyph| *glyph != 0)
    }

    /// The glyph of the hyphen.
    pub(super) fn hyphen(self) -> Option<u16> {
        self.glyph('\u{2010}').or_else(|| self.glyph('-'))
    }

    /// Whether every letter is as wide as the next.
    pub(super) fn is_mono(self) -> bool {
        (8..12).contains(&self.0)
    }

    /// Whether the letters have serifs.
    pub(super) fn is_serif(self) -> bool {
        self.0 < 4
    }

    /// Whether it is a bold cut.
    pub(super) fn is_bold(self) -> bool {
        self.0 % 2 == 1
    }

    /// Whether it is a slanted cut.
    pub(super) fn is_italic(self) -> bool {
        self.0 < HELP && self.0 % 4 >= 2
    }

    /// Its height and depth. They come from the font's own table, so that lines of one face are all alike.
    pub(super) fn measures(self) -> Measures {
        let read = || {
            let metrics = self.font()?.metrics();
            let line = metrics.hhea_line?;
            let em = f32::from(metrics.units_per_em);
            let measures = Measures {
                ascent: line.ascender.to_f64() as f32 / em,
                descent: -line.descender.to_f64() as f32 / em,
            };
            Some(measures)
        };
        read().unwrap_or(Measures { ascent: 0.8, descent: 0.2 })
    }

    /// Whom to ask for a character that this font lacks, best first: its family's upright cut, the font with the
    /// most characters, then all others.
    pub(super) fn helpers(self) -> impl Iterator<Item = Self> {
        let bold = u8::from(self.is_bold());
        let family = if self.0 < HELP { self.0 & !3 } else { HELP };
        [family + bold, family, HELP + bold, HELP + 1 - bold, 0, 8, 4]
            .into_iter()
            .filter(move |id| *id != self.0)
            .map(Self)
    }
}
