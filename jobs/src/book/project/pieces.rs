//! What comes in pieces from storage, for a thread that may block. Must not know: what it is.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use futures_util::{StreamExt as _, stream::BoxStream};
use tokio::runtime::Handle;

/// A stream of pieces as a reader.
pub(crate) struct Pieces<E> {
    pieces: BoxStream<'static, Result<Bytes, E>>,
    runtime: Handle,
    left: Bytes,
}

impl<E> Pieces<E> {
    /// Waits for the pieces on `runtime`, of which the reading thread must be none of the workers.
    pub(crate) fn new(pieces: BoxStream<'static, Result<Bytes, E>>, runtime: Handle) -> Self {
        Self { pieces, runtime, left: Bytes::new() }
    }
}

impl<E: Into<io::Error>> Read for Pieces<E> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.left.is_empty() {
            match self.runtime.block_on(self.pieces.next()) {
                Some(piece) => self.left = piece.map_err(Into::into)?,
                None => return Ok(0),
            }
        }
        let bytes = self.left.len().min(out.len());
        self.left.copy_to_slice(&mut out[..bytes]);
        Ok(bytes)
    }
}
