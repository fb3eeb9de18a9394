//! The page: A4 with an inch around, a number at the foot of all pages but the first.

/// In twentieths of a point.
const WIDTH: u32 = 11_906;
const HEIGHT: u32 = 16_838;
const MARGIN: u32 = 1_440;
/// What is left for the text.
pub(super) const TEXT_WIDTH: u32 = WIDTH - 2 * MARGIN;
/// As high as a picture may be, with its caption below.
pub(super) const PICTURE_HEIGHT: u32 = HEIGHT - 2 * MARGIN - 1_000;

/// Ends the document: the section that all of it is.
pub(super) fn section(footer: &str, is_right_to_left: bool) -> String {
    let direction = if is_right_to_left { "<w:bidi/>" } else { "" };
    format!(
        "<w:sectPr><w:footerReference w:type=\"default\" r:id=\"{footer}\"/>\
         <w:pgSz w:w=\"{WIDTH}\" w:h=\"{HEIGHT}\"/><w:pgMar w:top=\"{MARGIN}\" w:right=\"{MARGIN}\" \
         w:bottom=\"{MARGIN}\" w:left=\"{MARGIN}\" w:header=\"720\" w:footer=\"720\" w:gutter=\"0\"/>\
         <w:titlePg/>{direction}</w:sectPr>"
    )
}
