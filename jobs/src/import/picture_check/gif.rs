//! GIF (<https://www.w3.org/Graphics/GIF/spec-gif89a.txt>): blocks up to the trailer. What is in the images is not
//! decoded.

use super::{Ask, Walk};

/// How many bytes the walk begins with: the header and what it says of the screen.
pub(super) const FIRST: usize = 13;

/// What is said of an image.
const IMAGE: usize = 9;

/// What is asked for.
#[derive(Clone, Copy, Default)]
enum Place {
    #[default]
    Header,
    /// The colours of all images.
    Colours,
    /// The byte that tells blocks apart.
    Block,
    Image,
    /// The colours of one image.
    OwnColours,
    /// A byte before data: an extension's label, or the size of an image's codes.
    BeforeData,
    Size,
    Data,
}

/// The walk through a GIF.
#[derive(Default)]
pub(super) struct Gif {
    place: Place,
    /// The block is an image.
    is_image: bool,
    has_image: bool,
}

impl Gif {
    fn ask(&mut self, place: Place, bytes: usize) -> Ask {
        self.place = place;
        Ask::Bytes(bytes)
    }

    fn pass(&mut self, place: Place, bytes: u64) -> Ask {
        self.place = place;
        Ask::Pass(bytes)
    }

    fn block(&mut self, kind: u8) -> Ask {
        self.is_image = kind == b',';
        match kind {
            b',' => self.ask(Place::Image, IMAGE),
            b'!' => self.ask(Place::BeforeData, 1),
            b';' => Ask::End(self.has_image),
            _ => Ask::End(false),
        }
    }
}

impl Walk for Gif {
    fn step(&mut self, bytes: &[u8]) -> Ask {
        match (self.place, bytes) {
            (Place::Header, &[b'G', b'I', b'F', b'8', b'7' | b'9', b'a', _, _, _, _, flags, _, _]) => {
                self.pass(Place::Colours, colours(flags))
            }
            (Place::Colours, _) => self.ask(Place::Block, 1),
            (Place::Block, &[kind]) => self.block(kind),
            (Place::Image, &[.., flags]) => self.pass(Place::OwnColours, colours(flags)),
            (Place::OwnColours, _) => self.ask(Place::BeforeData, 1),
            (Place::BeforeData, _) | (Place::Data, _) => self.ask(Place::Size, 1),
            (Place::Size, &[0]) => {
                self.has_image |= self.is_image;
                self.ask(Place::Block, 1)
            }
            (Place::Size, &[size]) => self.pass(Place::Data, u64::from(size)),
            _ => Ask::End(false),
        }
    }

    /// Some programs leave the trailer out.
    fn may_end(&self) -> bool {
        matches!(self.place, Place::Block) && self.has_image
    }
}

/// How many bytes of colours follow.
fn colours(flags: u8) -> u64 {
    if flags & 0x80 == 0 { 0 } else { 3_u64 << ((flags & 7) + 1) }
}
