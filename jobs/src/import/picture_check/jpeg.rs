//! JPEG (<https://www.w3.org/Graphics/JPEG/itu-t81.pdf>): segments up to the first scan, with a frame among them. What
//! is behind is not looked at: every viewer shows what there is of it, also where the end is missing.

use super::{Ask, Walk};
use crate::book::jpeg::is_frame;

/// How many bytes the walk begins with: the start of the image.
pub(super) const FIRST: usize = 2;

const FILL: u8 = 0xff;
const START: u8 = 0xd8;
const END: u8 = 0xd9;
const SCAN: u8 = 0xda;
/// A frame's precision, size and number of colours.
const FRAME: usize = 6;

/// What is asked for.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Start,
    /// The byte before a marker's kind.
    Marker,
    Kind,
    Length,
    Frame,
    Segment,
}

/// The walk through a JPEG.
#[derive(Default)]
pub(super) struct Jpeg {
    place: Place,
    /// The segment's marker and how many bytes follow its length.
    kind: u8,
    length: u16,
    has_frame: bool,
}

impl Jpeg {
    fn ask(&mut self, place: Place, bytes: usize) -> Ask {
        self.place = place;
        Ask::Bytes(bytes)
    }

    fn pass(&mut self, bytes: u16) -> Ask {
        self.place = Place::Segment;
        Ask::Pass(u64::from(bytes))
    }

    fn marker(&mut self, kind: u8) -> Ask {
        match kind {
            FILL => self.ask(Place::Kind, 1),
            // Markers that stand alone.
            0x01 | 0xd0..=0xd7 => self.ask(Place::Marker, 1),
            0 | START | END => Ask::End(false),
            SCAN if !self.has_frame => Ask::End(false),
            _ => {
                self.kind = kind;
                self.ask(Place::Length, 2)
            }
        }
    }

    fn segment(&mut self, length: [u8; 2]) -> Ask {
        // The length counts itself.
        let Some(length) = u16::from_be_bytes(length).checked_sub(2) else { return Ask::End(false) };
        self.length = length;
        match is_frame(self.kind) {
            true => self.ask(Place::Frame, FRAME),
            false => self.pass(length),
        }
    }

    fn frame(&mut self, frame: &[u8]) -> Ask {
        let &[_, h0, h1, w0, w1, colours] = frame else { return Ask::End(false) };
        // Three bytes for each colour.
        let rest = 3 * u16::from(colours);
        let is_sane = [h0, h1] != [0, 0] && [w0, w1] != [0, 0] && colours > 0;
        if !is_sane || self.length != FRAME as u16 + rest {
            return Ask::End(false);
        }
        self.has_frame = true;
        self.pass(rest)
    }
}

impl Walk for Jpeg {
    fn step(&mut self, bytes: &[u8]) -> Ask {
        match (self.place, bytes) {
            (Place::Start, &[FILL, START]) => self.ask(Place::Marker, 1),
            (Place::Marker, &[FILL]) => self.ask(Place::Kind, 1),
            (Place::Kind, &[kind]) => self.marker(kind),
            (Place::Length, &[high, low]) => self.segment([high, low]),
            (Place::Frame, frame) => self.frame(frame),
            (Place::Segment, _) if self.kind == SCAN => Ask::End(true),
            (Place::Segment, _) => self.ask(Place::Marker, 1),
            _ => Ask::End(false),
        }
    }
}
