//! Words cut into what one font and one script can shape: a font that lacks a character has others to help it out.

use std::ops::Range;

use harfrust::{Script, unicode};
use unicode_normalization::UnicodeNormalization;

use super::face::FaceId;

/// Characters of one font and one script.
pub(super) struct Segment {
    /// `None` where no font has them.
    pub(super) face: Option<FaceId>,
    pub(super) script: Script,
    pub(super) text: Range<usize>,
}

/// Cuts a word into what one font and one script can shape.
pub(super) fn segments(face: FaceId, text: &str) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut rest = 0..text.len();
    while let Some(cluster) = next_cluster(text, &rest) {
        rest.start = cluster.end;
        match font_of(face, &text[cluster.clone()]) {
            Some(font) => push(&mut segments, Some(font), text, cluster),
            // Marks that no font has with their letter stand alone.
            None => {
                for (place, character) in text[cluster.clone()].char_indices() {
                    let start = cluster.start + place;
                    let one = start..start + character.len_utf8();
                    push(&mut segments, font_of(face, &text[one.clone()]), text, one);
                }
            }
        }
    }
    segments
}

/// A character and the marks on it.
fn next_cluster(text: &str, rest: &Range<usize>) -> Option<Range<usize>> {
    let mut characters = text[rest.clone()].char_indices();
    characters.next()?;
    let mark = |character: char| {
        is_ignorable(character) || unicode_normalization::char::is_combining_mark(character)
    };
    let end =
        characters.find(|(_, character)| !mark(*character)).map_or(rest.end, |(place, _)| rest.start + place);
    Some(rest.start..end)
}

/// The best font that has all of a cluster.
fn font_of(face: FaceId, cluster: &str) -> Option<FaceId> {
    std::iter::once(face).chain(face.helpers()).find(|face| has(*face, cluster))
}

/// Whether a font has all of a cluster, be it taken apart or put together.
fn has(face: FaceId, cluster: &str) -> bool {
    let known = |character: char| is_ignorable(character) || face.glyph(character).is_some();
    cluster.chars().all(known)
        || !cluster.is_ascii() && (cluster.nfc().all(known) || cluster.nfd().all(known))
}

/// Adds a cluster to the last segment if it fits there.
fn push(segments: &mut Vec<Segment>, face: Option<FaceId>, text: &str, cluster: Range<usize>) {
    let script = text[cluster.clone()].chars().map(|character| unicode::script(u32::from(character)));
    let common = |script: &Script| *script == Script::COMMON || *script == Script::INHERITED;
    let script = script.clone().find(|script| !common(script));
    if let Some(last) = segments.last_mut()
        && last.face == face
        && script.is_none_or(|script| last.script == script || common(&last.script))
    {
        last.text.end = cluster.end;
        last.script = script.unwrap_or(last.script);
        return;
    }
    segments.push(Segment { face, script: script.unwrap_or(Script::COMMON), text: cluster });
}

/// What has no look of its own and needs no glyph: joiners, variation selectors, tags.
fn is_ignorable(character: char) -> bool {
    matches!(character, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}'
        | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{e0000}'..='\u{e0fff}')
}
