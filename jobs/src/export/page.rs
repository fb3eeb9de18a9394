//! What a printed page looks like, as users choose it. Pure values: nothing here writes.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// How the pages of a format with pages look. What is not said is chosen so that it looks like a book.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageOptions {
    /// The paper; A5 where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<PageSize>,
    /// Room around the text in millimetres; where nothing is said, as much as suits the paper, more at the spine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub margin: Option<u16>,
    /// The letters of running text; serif where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font: Option<PageFont>,
    /// Their size; 10 points where nothing is said, 11 on large paper.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub font_size: Option<FontSize>,
    /// The language by whose rules words are divided (BCP 47); the book's where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub language: Option<String>,
}

/// The least margin, which running heads need.
const LEAST_MARGIN: u16 = 10;
/// The least width and height that is left for text, in tenths of a millimetre.
const LEAST_TEXT: u32 = 400;

impl PageOptions {
    /// Whether a page can be made of it.
    ///
    /// # Errors
    /// What is wrong and what may be chosen instead.
    pub fn check(&self) -> Result<(), String> {
        let size = self.size.unwrap_or_default();
        if let Some(margin) = self.margin {
            if margin < LEAST_MARGIN {
                return Err(format!("a margin of {margin} mm: running heads need {LEAST_MARGIN} mm"));
            }
            let text = size.width.min(size.height).saturating_sub(u32::from(margin) * 20);
            if text < LEAST_TEXT {
                return Err(format!(
                    "a margin of {margin} mm on {size}: leave at least {} mm for the text",
                    LEAST_TEXT / 10
                ));
            }
        }
        match &self.language {
            Some(language) if super::language::tag(language) == "und" && language != "und" => {
                Err(format!("the language {language:?}: give a tag such as en, de-AT or pt-BR"))
            }
            _ => Ok(()),
        }
    }
}

/// The size of paper, in tenths of a millimetre. Written `a4`, `a5`, `letter`, `6x9in` or `120x190mm`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PageSize {
    width: u32,
    height: u32,
}

/// Sizes that have a name.
const NAMED: [(&str, u32, u32); 5] = [
    ("a4", 2100, 2970),
    ("a5", 1480, 2100),
    ("a6", 1050, 1480),
    ("letter", 2159, 2794),
    ("6x9in", 1524, 2286),
];

impl PageSize {
    /// Width and height in points.
    pub fn points(self) -> (f32, f32) {
        (points(self.width), points(self.height))
    }
}

/// Tenths of a millimetre as points.
#[expect(clippy::cast_precision_loss, reason = "paper is small")]
pub(super) fn points(tenths: u32) -> f32 {
    tenths as f32 * 72.0 / 254.0
}

impl Default for PageSize {
    fn default() -> Self {
        Self { width: 1480, height: 2100 }
    }
}

impl fmt::Display for PageSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = NAMED.iter().find(|(_, width, height)| (*width, *height) == (self.width, self.height));
        match named {
            Some((name, ..)) => f.pad(name),
            None => {
                let mm = |tenths: u32| format!("{}.{}", tenths / 10, tenths % 10);
                let (width, height) = (mm(self.width), mm(self.height));
                let short = |text: &str| text.strip_suffix(".0").unwrap_or(text).to_owned();
                write!(f, "{}x{}mm", short(&width), short(&height))
            }
        }
    }
}

/// The text is not a size of paper.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a page size: a4, a5, a6, letter, 6x9in, or a size such as 120x190mm, from 70 to 1000 mm a side")]
pub struct PageSizeError;

impl FromStr for PageSize {
    type Err = PageSizeError;

    fn from_str(text: &str) -> Result<Self, PageSizeError> {
        let text = text.trim().to_ascii_lowercase();
        if let Some((_, width, height)) = NAMED.iter().find(|(name, ..)| *name == text) {
            return Ok(Self { width: *width, height: *height });
        }
        let (sides, unit) = match (text.strip_suffix("mm"), text.strip_suffix("in")) {
            (Some(sides), _) => (sides, 10.0),
            (None, Some(sides)) => (sides, 254.0),
            (None, None) => return Err(PageSizeError),
        };
        let (width, height) = sides.split_once('x').ok_or(PageSizeError)?;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked first"
        )]
        let side = |text: &str| match text.trim().parse::<f32>() {
            Ok(side) if (700.0..=10_000.0).contains(&(side * unit)) => Ok((side * unit).round() as u32),
            _ => Err(PageSizeError),
        };
        Ok(Self { width: side(width)?, height: side(height)? })
    }
}

impl TryFrom<String> for PageSize {
    type Error = PageSizeError;

    fn try_from(text: String) -> Result<Self, PageSizeError> {
        text.parse()
    }
}

impl From<PageSize> for String {
    fn from(size: PageSize) -> Self {
        size.to_string()
    }
}

/// The letters of running text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageFont {
    /// With feet, as books have them.
    #[default]
    Serif,
    /// Without.
    Sans,
}

impl PageFont {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Serif, Self::Sans];

    /// The name users write.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Serif => "serif",
            Self::Sans => "sans",
        }
    }
}

/// The text is not a font.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a font: serif or sans")]
pub struct PageFontError;

impl FromStr for PageFont {
    type Err = PageFontError;

    fn from_str(text: &str) -> Result<Self, PageFontError> {
        Self::ALL.into_iter().find(|font| font.name() == text).ok_or(PageFontError)
    }
}

/// The size of letters, in tenths of a point: 6 to 24 points. Written `10` or `10.5`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "f32", into = "f32")]
pub struct FontSize(u16);

impl FontSize {
    /// In points.
    pub fn points(self) -> f32 {
        f32::from(self.0) / 10.0
    }
}

/// The number is not a size of letters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a font size: 6 to 24 points, such as 10 or 10.5")]
pub struct FontSizeError;

impl TryFrom<f32> for FontSize {
    type Error = FontSizeError;

    fn try_from(points: f32) -> Result<Self, FontSizeError> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the range is checked first"
        )]
        let tenths = || (points * 10.0).round() as u16;
        if (6.0..=24.0).contains(&points) { Ok(Self(tenths())) } else { Err(FontSizeError) }
    }
}

impl From<FontSize> for f32 {
    fn from(size: FontSize) -> Self {
        size.points()
    }
}

impl FromStr for FontSize {
    type Err = FontSizeError;

    fn from_str(text: &str) -> Result<Self, FontSizeError> {
        let number = text.trim().trim_end_matches("pt");
        number.trim().parse::<f32>().map_err(|_| FontSizeError)?.try_into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_back_and_wrong_ones_refused() {
        for size in ["a4", "a5", "letter", "6x9in", "120x190mm", "120.5x190mm"] {
            assert_eq!(size.parse::<PageSize>().unwrap().to_string(), size);
        }
        assert_eq!("148x210mm".parse(), Ok(PageSize::default()));
        for wrong in ["", "a3x", "10x10mm", "x", "axbmm", "-100x100mm", "NaNxNaNmm", "120x190", "99999x100mm"]
        {
            assert_eq!(wrong.parse::<PageSize>(), Err(PageSizeError), "{wrong}");
        }
        assert_eq!("10.5".parse(), Ok(FontSize(105)));
        for wrong in ["", "5", "25", "NaN", "big"] {
            assert_eq!(wrong.parse::<FontSize>(), Err(FontSizeError), "{wrong}");
        }
    }

    #[test]
    fn a_page_without_room_for_text_is_refused() {
        let options = |json: &str| serde_json::from_str::<PageOptions>(json).unwrap();
        for fits in ["{}", r#"{"size":"a6","margin":20}"#, r#"{"font_size":12.5,"language":"de-AT"}"#] {
            assert_eq!(options(fits).check(), Ok(()), "{fits}");
            assert_eq!(serde_json::to_string(&options(fits)).unwrap(), fits);
        }
        for (wrong, part) in [
            (r#"{"margin":5}"#, "10 mm"),
            (r#"{"size":"a6","margin":40}"#, "40 mm for the text"),
            (r#"{"language":"??"}"#, "de-AT"),
        ] {
            assert!(options(wrong).check().unwrap_err().contains(part), "{wrong}");
        }
        assert!(serde_json::from_str::<PageOptions>(r#"{"size":"a99"}"#).is_err());
        assert!(serde_json::from_str::<PageOptions>(r#"{"font_size":1}"#).is_err());
    }
}
