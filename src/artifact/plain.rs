//! The SHA-256 of plain bytes, reckoned beside the compressor: on a thread of its own, once an artifact is longer than a
//! frame. What the bytes were up to a place is promised at once and told when somebody wants to know. Must not know: frames.

use std::{
    sync::mpsc::{SyncSender, sync_channel},
    thread,
};

use bytes::Bytes;
use sha2::{Digest as _, Sha256};
use tokio::sync::oneshot;

use super::{error::ArtifactError, tail::digest};
use crate::domain::Hex;

/// So many bytes are handed over at once: each time wakes a thread.
const TOGETHER_BYTES: usize = 128 << 10;
/// So many times before whoever hands over waits.
const WAITING: usize = 2;

/// Plain bytes, in order.
pub(super) struct Plain {
    bytes: u64,
    hash: Hash,
}

enum Hash {
    Here(Sha256),
    Beside(Beside),
}

/// The other thread's end. It ends with it.
struct Beside {
    pieces: SyncSender<Piece>,
    together: Vec<Bytes>,
    bytes: usize,
}

enum Piece {
    More(Vec<Bytes>),
    Tell(oneshot::Sender<Hex<32>>),
}

/// A digest that will be there.
pub(super) enum Promised {
    Told(Hex<32>),
    Coming(oneshot::Receiver<Hex<32>>),
}

impl Promised {
    /// Waits until it is there.
    pub(super) async fn told(&mut self) -> Result<Hex<32>, ArtifactError> {
        match self {
            Self::Told(digest) => Ok(*digest),
            Self::Coming(coming) => {
                let digest = coming.await.map_err(|_| stopped())?;
                *self = Self::Told(digest);
                Ok(digest)
            }
        }
    }
}

fn stopped() -> ArtifactError {
    ArtifactError::Stopped("the thread that digests has ended".to_owned())
}

impl Plain {
    /// No byte yet.
    pub(super) fn new() -> Self {
        Self { bytes: 0, hash: Hash::Here(Sha256::new()) }
    }

    /// How many bytes came.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Takes more.
    pub(super) fn update(&mut self, piece: Bytes) -> Result<(), ArtifactError> {
        self.bytes += piece.len() as u64;
        match &mut self.hash {
            Hash::Here(hash) => hash.update(&piece),
            Hash::Beside(beside) => {
                beside.bytes += piece.len();
                beside.together.push(piece);
                if beside.bytes >= TOGETHER_BYTES {
                    beside.hand_over()?;
                }
            }
        }
        Ok(())
    }

    /// What the bytes were so far.
    pub(super) fn so_far(&mut self) -> Result<Promised, ArtifactError> {
        match &mut self.hash {
            Hash::Here(hash) => Ok(Promised::Told(digest(hash))),
            Hash::Beside(beside) => {
                beside.hand_over()?;
                let (teller, coming) = oneshot::channel();
                beside.pieces.send(Piece::Tell(teller)).map_err(|_| stopped())?;
                Ok(Promised::Coming(coming))
            }
        }
    }

    /// There will be many bytes: another thread takes them from here on. Where there can't be one, it stays as it was.
    pub(super) fn step_aside(&mut self) {
        let Hash::Here(hash) = &self.hash else { return };
        let (mut hash, (pieces, taken)) = (hash.clone(), sync_channel(WAITING));
        // Not one of the runtime's: where all of those wait for digests, nobody would make any.
        let begun = thread::Builder::new().name("digest".to_owned()).spawn(move || {
            for piece in taken {
                match piece {
                    Piece::More(pieces) => pieces.iter().for_each(|piece| hash.update(piece)),
                    // Nobody may want to know any more.
                    Piece::Tell(teller) => drop(teller.send(digest(&hash))),
                }
            }
        });
        if begun.is_ok() {
            self.hash = Hash::Beside(Beside { pieces, together: Vec::new(), bytes: 0 });
        }
    }
}

impl Beside {
    fn hand_over(&mut self) -> Result<(), ArtifactError> {
        self.bytes = 0;
        let together = std::mem::take(&mut self.together);
        if together.is_empty() {
            return Ok(());
        }
        self.pieces.send(Piece::More(together)).map_err(|_| stopped())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_promised_is_what_the_bytes_were_at_that_place() {
        let text: Vec<u8> = (0..1_000_000_u32).map(|n| (n.wrapping_mul(n) >> 7) as u8).collect();
        let (mut plain, mut promised, mut whole) = (Plain::new(), Vec::new(), Sha256::new());
        for (index, piece) in text.chunks(7_001).enumerate() {
            promised.push((digest(&whole), plain.so_far().unwrap()));
            plain.update(Bytes::copy_from_slice(piece)).unwrap();
            whole.update(piece);
            if index == 20 {
                plain.step_aside();
            }
        }
        promised.push((digest(&whole), plain.so_far().unwrap()));
        assert_eq!(plain.bytes(), text.len() as u64);
        for (expected, promise) in promised.iter_mut().rev() {
            assert_eq!(promise.told().await.unwrap(), *expected);
            assert_eq!(promise.told().await.unwrap(), *expected);
        }
    }
}
