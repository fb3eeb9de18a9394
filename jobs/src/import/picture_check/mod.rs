//! Whether a picture is whole, by its structure alone: chunks, segments and blocks, told while the bytes pass. Nothing of
//! the picture is held but the few bytes that a walk asks for. Nothing here knows pixels, names, or where the bytes come
//! from and go to.
//!
//! - `png`, `jpeg`, `gif`, `webp`: one format's walk each. What has no walk is whole.

mod gif;
mod jpeg;
mod png;
#[cfg(test)]
mod tests;
mod webp;

use self::{gif::Gif, jpeg::Jpeg, png::Png, webp::WebP};

/// What a walk wants next.
enum Ask {
    /// So many bytes at once, at least one.
    Bytes(usize),
    /// So many bytes as they pass.
    Pass(u64),
    /// Nothing more, whatever follows: whether the picture is whole.
    End(bool),
}

/// One format's way through a picture.
trait Walk {
    /// What it asked for is there: the bytes if it asked for some at once.
    fn step(&mut self, bytes: &[u8]) -> Ask;

    /// A piece of what it lets pass.
    fn passing(&mut self, _piece: &[u8]) {}

    /// Whether the picture may end here, before it says so itself.
    fn may_end(&self) -> bool {
        false
    }
}

/// A format without a walk.
struct Anything;

impl Walk for Anything {
    fn step(&mut self, _bytes: &[u8]) -> Ask {
        Ask::End(true)
    }
}

/// Looks at a picture while it passes.
pub(super) struct PictureCheck {
    walk: Box<dyn Walk>,
    ask: Ask,
    /// What is there of the bytes that are asked for at once.
    held: Vec<u8>,
}

impl PictureCheck {
    /// Before the picture's first byte.
    pub(super) fn new(media_type: &str) -> Self {
        let (walk, ask): (Box<dyn Walk>, Ask) = match media_type {
            "image/png" => (Box::new(Png::default()), Ask::Bytes(png::FIRST)),
            "image/jpeg" => (Box::new(Jpeg::default()), Ask::Bytes(jpeg::FIRST)),
            "image/gif" => (Box::new(Gif::default()), Ask::Bytes(gif::FIRST)),
            "image/webp" => (Box::new(WebP::default()), Ask::Bytes(webp::FIRST)),
            _ => (Box::new(Anything), Ask::End(true)),
        };
        Self { walk, ask, held: Vec::new() }
    }

    /// The next piece of the picture.
    pub(super) fn take(&mut self, mut piece: &[u8]) {
        while !piece.is_empty() {
            let (rest, is_met) = match &mut self.ask {
                Ask::Bytes(wanted) => {
                    let missing = wanted.saturating_sub(self.held.len());
                    let (now, rest) = piece.split_at(missing.min(piece.len()));
                    self.held.extend_from_slice(now);
                    (rest, now.len() == missing)
                }
                Ask::Pass(left) => {
                    let most = usize::try_from(*left).unwrap_or(usize::MAX);
                    let (now, rest) = piece.split_at(most.min(piece.len()));
                    self.walk.passing(now);
                    *left -= now.len() as u64;
                    (rest, *left == 0)
                }
                Ask::End(_) => return,
            };
            piece = rest;
            if is_met {
                self.go_on();
            }
        }
    }

    fn go_on(&mut self) {
        self.ask = self.walk.step(&self.held);
        self.held.clear();
        while let Ask::Pass(0) = self.ask {
            self.ask = self.walk.step(&[]);
        }
    }

    /// Whether the picture is whole if nothing follows.
    pub(super) fn is_whole(&self) -> bool {
        match self.ask {
            Ask::End(is_whole) => is_whole,
            _ => self.held.is_empty() && self.walk.may_end(),
        }
    }
}
