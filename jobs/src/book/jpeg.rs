//! What JPEG's markers mean (ITU-T T.81, table B.1), for who takes pictures in and who sends them out.

/// Whether a marker begins a frame, of whatever process.
pub(crate) fn is_frame(marker: u8) -> bool {
    matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc)
}
