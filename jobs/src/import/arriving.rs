//! A file that arrives, from storage or the web: sealed on its way to the disk, on threads that may block.

use std::io::{self, Write as _};

use presswork::domain::Failure;
use tokio::task::spawn_blocking;

use crate::scratch::{Scratch, SealedFile, SealedWriter};

/// How many bytes are gathered before they are written.
const GATHERED_BYTES: usize = 256 << 10;

/// A file of which more may come.
pub(super) struct Arriving {
    /// Away while a thread works with it; lost where that fails.
    writer: Option<SealedWriter>,
    gathered: Vec<u8>,
}

impl Arriving {
    /// Nothing has come yet.
    pub(super) async fn create(scratch: &Scratch) -> Result<Self, Failure> {
        let scratch = scratch.clone();
        let writer = spawn_blocking(move || scratch.create()).await.map_err(Failure::retry)?;
        Ok(Self { writer: Some(writer.map_err(Failure::retry)?), gathered: Vec::new() })
    }

    /// Takes what has come.
    pub(super) async fn write(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() < GATHERED_BYTES {
            return Ok(());
        }
        self.pass_on().await
    }

    async fn pass_on(&mut self) -> Result<(), Failure> {
        let mut gathered = std::mem::take(&mut self.gathered);
        let written = move |writer: &mut SealedWriter| {
            writer.write_all(&gathered)?;
            gathered.clear();
            Ok(gathered)
        };
        self.gathered = self.work(written).await?;
        Ok(())
    }

    /// Forgets all that has come.
    pub(super) async fn anew(&mut self) -> Result<(), Failure> {
        self.gathered.clear();
        self.work(SealedWriter::anew).await
    }

    /// All has come.
    pub(super) async fn finish(mut self) -> Result<SealedFile, Failure> {
        self.pass_on().await?;
        let finished = match self.writer {
            Some(writer) => spawn_blocking(move || writer.finish()).await.map_err(Failure::retry)?,
            None => Err(lost()),
        };
        finished.map_err(Failure::retry)
    }

    async fn work<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut SealedWriter) -> io::Result<T> + Send + 'static,
    ) -> Result<T, Failure> {
        let Some(mut writer) = self.writer.take() else { return Err(Failure::retry(lost())) };
        let done = spawn_blocking(move || {
            let done = work(&mut writer);
            (writer, done)
        });
        let (writer, done) = done.await.map_err(Failure::retry)?;
        self.writer = Some(writer);
        done.map_err(Failure::retry)
    }
}

fn lost() -> io::Error {
    io::Error::other("writing to scratch was given up")
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use presswork::domain::SeededRandom;

    use super::*;

    #[tokio::test]
    async fn what_arrives_is_read_as_it_came_and_lies_sealed_on_the_disk() {
        let folder = tempfile::tempdir().unwrap();
        let scratch = Scratch::within(folder.path(), &SeededRandom::new(1));
        let mut file = Arriving::create(&scratch).await.unwrap();
        file.write(&b"what is forgotten ".repeat(30_000)).await.unwrap();
        file.anew().await.unwrap();
        let text = b"the words of a tenant ".repeat(40_000);
        for piece in text.chunks(70_001) {
            file.write(piece).await.unwrap();
        }
        let mut read = Vec::new();
        file.finish().await.unwrap().open().unwrap().read_to_end(&mut read).unwrap();
        assert!(read == text);
        let lies: Vec<_> =
            std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
        assert_eq!(lies.len(), 1);
        let bytes = std::fs::read(&lies[0]).unwrap();
        assert!(bytes.len() > text.len());
        assert!(bytes.windows(6).all(|bytes| bytes != b"tenant" && bytes != b"forgot"));
    }
}
