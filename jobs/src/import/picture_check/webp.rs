//! WebP (<https://www.rfc-editor.org/rfc/rfc9649>): as many bytes as its head says, and a first chunk that a picture begins
//! with. What is in the chunks is not decoded.

use super::{Ask, Walk};

/// How many bytes the walk begins with: the file's head, and the first chunk's.
pub(super) const FIRST: usize = 20;

/// What of [`FIRST`] the file's size does not count.
const UNCOUNTED: usize = 8;
/// What of the file's size stands before the first chunk's data.
const BEFORE_DATA: u32 = 12;

/// The walk through a WebP.
#[derive(Default)]
pub(super) struct WebP {
    has_head: bool,
}

impl Walk for WebP {
    fn step(&mut self, bytes: &[u8]) -> Ask {
        if self.has_head {
            return Ask::End(true);
        }
        self.has_head = true;
        let &[b'R', b'I', b'F', b'F', a, b, c, d, b'W', b'E', b'B', b'P', b'V', b'P', b'8', kind, e, f, g, h] =
            bytes
        else {
            return Ask::End(false);
        };
        let (size, chunk) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([e, f, g, h]));
        match size.checked_sub(BEFORE_DATA) {
            Some(rest) if matches!(kind, b' ' | b'L' | b'X') && chunk > 0 && chunk <= rest => {
                Ask::Pass(u64::from(size) + UNCOUNTED as u64 - FIRST as u64)
            }
            _ => Ask::End(false),
        }
    }
}
