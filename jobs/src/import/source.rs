//! What is imported, as it lies on this machine: files of somebody's own, or what a job has fetched, which is sealed there.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    path::PathBuf,
};

use crate::scratch::{Scratch, SealedFile, SealedReader};

/// A file that was handed in.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// As its owner knows it, for messages and for images: in a folder the path from its root, with `/`.
    pub name: String,
    lies: Lies,
}

/// Where it can be read now.
#[derive(Clone, Debug)]
enum Lies {
    Plain(PathBuf),
    Sealed(SealedFile),
}

/// A manuscript that was handed in.
#[derive(Clone, Debug)]
pub enum Source {
    /// One file.
    File(SourceFile),
    /// A folder of chapters and their pictures, in any order.
    Folder(Vec<SourceFile>),
}

impl SourceFile {
    /// A file of this machine.
    pub fn new(name: impl Into<String>, path: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), lies: Lies::Plain(path.into()) }
    }

    /// A file in a job's scratch.
    pub(crate) fn sealed(name: impl Into<String>, file: SealedFile) -> Self {
        Self { name: name.into(), lies: Lies::Sealed(file) }
    }

    /// Opens it at its beginning. Blocks.
    pub(crate) fn open(&self) -> io::Result<SourceReader> {
        Ok(match &self.lies {
            Lies::Plain(path) => SourceReader::Plain(File::open(path)?),
            Lies::Sealed(file) => SourceReader::Sealed(Box::new(file.open()?)),
        })
    }

    /// Where what is read of it can be put aside.
    pub(crate) fn scratch(&self) -> Scratch {
        match &self.lies {
            Lies::Plain(_) => Scratch::default(),
            Lies::Sealed(file) => file.scratch().clone(),
        }
    }
}

/// A file that is being read, from any place.
#[derive(Debug)]
pub(crate) enum SourceReader {
    Plain(File),
    Sealed(Box<SealedReader>),
}

impl Read for SourceReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(file) => file.read(into),
            Self::Sealed(file) => file.read(into),
        }
    }
}

impl Seek for SourceReader {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        match self {
            Self::Plain(file) => file.seek(to),
            Self::Sealed(file) => file.seek(to),
        }
    }
}
