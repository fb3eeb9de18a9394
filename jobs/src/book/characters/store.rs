//! Characters on storage: one file each, read side by side, listed in order without holding all.

use std::{collections::BinaryHeap, sync::Arc};

use futures_util::{
    StreamExt as _, TryStreamExt as _,
    stream::{self, BoxStream},
};
use object_store::{Error, ObjectStore, ObjectStoreExt as _, PutMode, PutPayload, path::Path};
use presswork::artifact::key;

use super::{Character, CharacterId, FOLDER, MOST_CHARACTER_BYTES};
use crate::book::BookError;

/// So many files are read side by side: storage answers slowly, and takes many questions at a time.
const SIDE_BY_SIDE: usize = 16;
/// So many ids are held at a time, a few megabytes of them: most projects need one listing, a million characters sixteen.
const MOST_HELD_IDS: usize = 1 << 16;

/// What [`Characters::ensure`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stored {
    /// There was none of this id.
    Created,
    /// There was another one, which it has replaced.
    Replaced,
    /// It was there already, just so.
    Unchanged,
    /// There is another one, which was left alone.
    Kept,
}

/// The characters of one project.
#[derive(Clone, Debug)]
pub struct Characters {
    storage: Arc<dyn ObjectStore>,
    most_held_ids: usize,
}

impl Characters {
    /// Those of the project at the root of `storage`.
    pub fn of(storage: Arc<dyn ObjectStore>) -> Self {
        Self { storage, most_held_ids: MOST_HELD_IDS }
    }

    /// The same with fewer ids in memory, for tests.
    #[cfg(test)]
    pub(super) fn holding(storage: Arc<dyn ObjectStore>, most_held_ids: usize) -> Self {
        Self { storage, most_held_ids }
    }

    /// Stores a character; where there is one of this id, it is replaced only if `replace` says so, and the answer is
    /// whether this one is stored now.
    ///
    /// # Errors
    /// `Input` where the name is blank or the file would be too large, `Storage` where storage fails.
    pub async fn put(&self, character: &Character, replace: bool) -> Result<bool, BookError> {
        let mode = if replace { PutMode::Overwrite } else { PutMode::Create };
        self.write(&character.id, character.file()?, mode).await
    }

    async fn write(&self, id: &CharacterId, json: Vec<u8>, mode: PutMode) -> Result<bool, BookError> {
        match self.storage.put_opts(&path(id), PutPayload::from(json), mode.into()).await {
            Ok(_) => Ok(true),
            Err(Error::AlreadyExists { .. }) => Ok(false),
            Err(error) => Err(BookError::storage(format!("writing {}", file_of(id)), error)),
        }
    }

    /// Sees to it that there is this character, however often it is called, and tells what it took; where there is another one
    /// of this id, `replace` says whether it is replaced.
    ///
    /// # Errors
    /// As [`put`](Self::put).
    pub async fn ensure(&self, character: &Character, replace: bool) -> Result<Stored, BookError> {
        let json = character.file()?;
        if self.write(&character.id, json.clone(), PutMode::Create).await? {
            return Ok(Stored::Created);
        }
        let is_same = match self.get(&character.id).await {
            Ok(there) => there.as_ref() == Some(character),
            // Somebody has spoilt its file.
            Err(BookError::Input { .. }) => false,
            Err(error) => return Err(error),
        };
        if is_same || !replace {
            return Ok(if is_same { Stored::Unchanged } else { Stored::Kept });
        }
        self.write(&character.id, json, PutMode::Overwrite).await?;
        Ok(Stored::Replaced)
    }

    /// A character, if there is one of this id.
    ///
    /// # Errors
    /// `Input` where the file is no character, `Storage` where storage fails.
    pub async fn get(&self, id: &CharacterId) -> Result<Option<Character>, BookError> {
        let file = file_of(id);
        let failed = |error| BookError::storage(format!("reading {file}"), error);
        let got = match self.storage.get(&path(id)).await {
            Err(Error::NotFound { .. }) => return Ok(None),
            other => other.map_err(failed)?,
        };
        if got.meta.size > MOST_CHARACTER_BYTES as u64 {
            return Err(too_large(file));
        }
        let bytes = got.bytes().await.map_err(failed)?;
        let character: Character = serde_json::from_slice(&bytes).map_err(|error| {
            let place = format!("line {} column {}", error.line(), error.column());
            BookError::at(file_of(id), place, format!("is no character: {error}"))
        })?;
        character.check()?;
        if character.id != *id {
            let problem =
                format!("its id is {:?}: give it the file's name, or rename the file", character.id);
            return Err(BookError::input(file, problem));
        }
        Ok(Some(character))
    }

    /// Whether there is a character of this id.
    ///
    /// # Errors
    /// `Storage` where storage fails.
    pub async fn has(&self, id: &CharacterId) -> Result<bool, BookError> {
        match self.storage.head(&path(id)).await {
            Ok(_) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(BookError::storage(format!("looking for {}", file_of(id)), error)),
        }
    }

    /// At most so many ids in order, from behind one.
    ///
    /// # Errors
    /// `Storage` where storage fails.
    pub async fn page(
        &self,
        after: Option<&CharacterId>,
        most: usize,
    ) -> Result<Vec<CharacterId>, BookError> {
        self.next_ids(after, most).await
    }

    /// Removes a character; answers whether there was one.
    ///
    /// # Errors
    /// `Storage` where storage fails.
    pub async fn remove(&self, id: &CharacterId) -> Result<bool, BookError> {
        let failed = |error| BookError::storage(format!("removing {}", file_of(id)), error);
        // Not every storage says whether there was anything to delete.
        match self.storage.head(&path(id)).await {
            Err(Error::NotFound { .. }) => return Ok(false),
            other => other.map_err(failed)?,
        };
        match self.storage.delete(&path(id)).await {
            Ok(()) => Ok(true),
            Err(Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(failed(error)),
        }
    }

    /// All ids in order. Not every storage lists in order, so the listing is gone through as often as there are
    /// `MOST_HELD_IDS` characters; each time the next ones are held. Files of other names are no characters.
    pub fn ids(&self) -> BoxStream<'static, Result<CharacterId, BookError>> {
        let (all, most) = (self.clone(), self.most_held_ids);
        stream::try_unfold(Some(None), move |after: Option<Option<CharacterId>>| {
            let all = all.clone();
            async move {
                let Some(after) = after else { return Ok::<_, BookError>(None) };
                let ids = all.next_ids(after.as_ref(), most).await?;
                let next = (ids.len() == most).then(|| ids.last().cloned());
                Ok(Some((stream::iter(ids.into_iter().map(Ok)), next)))
            }
        })
        .try_flatten()
        .boxed()
    }

    /// The `most` least ids that come after one, in order.
    async fn next_ids(
        &self,
        after: Option<&CharacterId>,
        most: usize,
    ) -> Result<Vec<CharacterId>, BookError> {
        let folder = key([FOLDER]);
        let mut listed = self.storage.list(Some(&folder));
        let mut least = BinaryHeap::new();
        while let Some(object) = listed.next().await {
            let object = object.map_err(|error| BookError::storage("listing the characters", error))?;
            let name = object.location.as_ref().strip_prefix(FOLDER).and_then(|name| name.strip_prefix('/'));
            let id = name.and_then(|name| name.strip_suffix(".json")).and_then(|id| id.parse().ok());
            let Some(id) = id.filter(|id| after.is_none_or(|after| id > after)) else { continue };
            if least.len() < most {
                least.push(id);
            } else if let Some(mut greatest) = least.peek_mut()
                && id < *greatest
            {
                *greatest = id;
            }
        }
        Ok(least.into_sorted_vec())
    }

    /// All characters by id, read side by side as they are asked for. One that is removed meanwhile is left out.
    pub fn all(&self) -> BoxStream<'static, Result<Character, BookError>> {
        let all = self.clone();
        let read = move |id: CharacterId| {
            let all = all.clone();
            async move { all.get(&id).await }
        };
        self.ids()
            .map_ok(read)
            .try_buffered(SIDE_BY_SIDE)
            .try_filter_map(|found| std::future::ready(Ok(found)))
            .boxed()
    }
}

impl Character {
    /// Whether it can be stored, but for its size.
    ///
    /// # Errors
    /// `Input` where its name is blank.
    pub fn check(&self) -> Result<(), BookError> {
        if self.name.trim().is_empty() {
            return Err(BookError::input(file_of(&self.id), "its name is blank: give it one"));
        }
        Ok(())
    }

    /// Its file's content.
    ///
    /// # Errors
    /// `Input` where its name is blank or the file would be too large.
    pub fn file(&self) -> Result<Vec<u8>, BookError> {
        self.check()?;
        let file = || file_of(&self.id);
        let mut json = serde_json::to_vec_pretty(self)
            .map_err(|error| BookError::storage(format!("writing {}", file()), error))?;
        json.push(b'\n');
        if json.len() > MOST_CHARACTER_BYTES { Err(too_large(file())) } else { Ok(json) }
    }
}

fn path(id: &CharacterId) -> Path {
    key([FOLDER, &id.file()])
}

fn file_of(id: &CharacterId) -> String {
    format!("{FOLDER}/{}", id.file())
}

fn too_large(file: String) -> BookError {
    BookError::input(file, "a character has at most 256 KiB: shorten it, or keep the rest elsewhere")
}
