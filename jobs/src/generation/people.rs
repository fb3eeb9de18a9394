//! Who is in the book, as models are told: sheets of the project's characters, read when a chapter needs them and kept in the
//! tenant's cache, where what the next chapter needs is brought while one is being written.

use std::{collections::BTreeMap, time::Duration};

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{
    cache::{CacheKey, TenantCache},
    domain::{Failure, ProjectId},
    worker::Context,
};

use super::{extract::cut, outline::Planned};
use crate::book::{Character, CharacterId, Characters, names::slug};

/// How long a sheet is kept: somebody who edits it is heard after this.
const KEPT: Duration = Duration::from_secs(300);
/// So many are read side by side.
const SIDE_BY_SIDE: usize = 8;
/// How many sheets a chapter is given where nobody has said who is in it.
const USUAL_CAST: usize = 8;
/// How many characters of text a sheet has at most.
const MOST_SHEET: usize = 2_000;

/// The characters of a brief.
pub(super) struct People {
    characters: Characters,
    cache: TenantCache,
    project: ProjectId,
    /// As the brief calls them, and who they are.
    cast: Vec<(String, CharacterId)>,
}

impl People {
    /// Those that a brief names, by id or name.
    ///
    /// # Errors
    /// Fatal where there is no character of a name; Retry where storage fails.
    pub(super) async fn of(
        context: &Context,
        project: &ProjectId,
        names: &[String],
    ) -> Result<Self, Failure> {
        let characters = Characters::of(context.project(project));
        let known = &characters;
        let find = |name: String| async move {
            for id in [name.trim().to_owned(), slug(&name, 100)] {
                let Ok(id) = id.parse::<CharacterId>() else { continue };
                if known.has(&id).await? {
                    return Ok((name, id));
                }
            }
            Err(Failure::fatal(format_args!(
                "project {project} has no character {name:?}: add one with `characters add`, or leave the name out"
            )))
        };
        let cast = stream::iter(names.to_vec()).map(find).buffered(SIDE_BY_SIDE).try_collect().await?;
        Ok(Self { characters, cache: context.cache(), project: project.clone(), cast })
    }

    /// All of them in short, for the plan of the book.
    ///
    /// # Errors
    /// Where a sheet can't be read.
    pub(super) async fn all(&self) -> Result<Vec<String>, Failure> {
        self.sheets(self.cast.iter().map(|(_, id)| id.clone()).collect()).await
    }

    /// The sheets of those who are in a chapter.
    ///
    /// # Errors
    /// Where one can't be read.
    pub(super) async fn in_chapter(&self, planned: &Planned) -> Result<Vec<String>, Failure> {
        self.sheets(self.cast_of(planned)).await
    }

    /// Brings what a chapter will need into the cache. What can't be had now is tried again when it is needed.
    pub(super) async fn bring(&self, planned: Option<&Planned>) {
        let Some(planned) = planned else { return };
        let ids: BTreeMap<CacheKey, CharacterId> =
            self.cast_of(planned).into_iter().filter_map(|id| Some((self.key(&id)?, id))).collect();
        let keys: Vec<CacheKey> = ids.keys().cloned().collect();
        let load = |key: CacheKey| {
            let id = ids.get(&key).cloned();
            async move {
                match id {
                    Some(id) => self.read(&id).await,
                    None => Err(Failure::fatal("nobody of this key was asked for")),
                }
            }
        };
        let warmed = self.cache.warm(keys, KEPT, SIDE_BY_SIDE, load).await;
        tracing::debug!(?warmed, "brought what the next chapter needs");
    }

    /// Who is in a chapter: those whom its plan names; else the first ones of the book.
    fn cast_of(&self, planned: &Planned) -> Vec<CharacterId> {
        let text =
            format!("{} {} {}", planned.characters.join(" "), planned.title, planned.plan).to_lowercase();
        let is_named = |name: &str, id: &CharacterId| {
            let first = name.split_whitespace().next().unwrap_or(name);
            [name, id.as_str(), first].iter().any(|name| has_word(&text, &name.to_lowercase()))
        };
        let mut named: Vec<_> =
            self.cast.iter().filter(|(name, id)| is_named(name, id)).map(|(_, id)| id.clone()).collect();
        if named.is_empty() {
            named.extend(self.cast.iter().take(USUAL_CAST).map(|(_, id)| id.clone()));
        }
        named
    }

    async fn sheets(&self, ids: Vec<CharacterId>) -> Result<Vec<String>, Failure> {
        let one = |id: CharacterId| async move { self.sheet(&id).await };
        stream::iter(ids).map(one).buffered(SIDE_BY_SIDE).try_collect().await
    }

    async fn sheet(&self, id: &CharacterId) -> Result<String, Failure> {
        let bytes = match self.key(id) {
            Some(key) => self.cache.get_or_load(&key, KEPT, || self.read(id)).await?,
            None => self.read(id).await?,
        };
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    async fn read(&self, id: &CharacterId) -> Result<Bytes, Failure> {
        match self.characters.get(id).await? {
            Some(character) => Ok(Bytes::from(sheet(&character))),
            None => {
                Err(Failure::fatal(format_args!("project {} no longer has the character {id}", self.project)))
            }
        }
    }

    /// `None` where the name can't stand in a key.
    fn key(&self, id: &CharacterId) -> Option<CacheKey> {
        format!("generation:sheet:{}:{id}", self.project).parse().ok()
    }
}

/// Whether a text has a name as words of its own; both in lower case.
fn has_word(text: &str, name: &str) -> bool {
    let is_letter = |c: Option<char>| c.is_some_and(char::is_alphanumeric);
    !name.is_empty()
        && text.match_indices(name).any(|(place, found)| {
            !is_letter(text[..place].chars().next_back())
                && !is_letter(text[place + found.len()..].chars().next())
        })
}

/// A character as models are told.
pub(super) fn sheet(character: &Character) -> String {
    let mut sheet = character.name.clone();
    let mut add = |what: &str, text: String| {
        if !text.trim().is_empty() {
            sheet.push_str(&format!("{what}{}", text.trim()));
        }
    };
    add(", ", character.role.clone());
    add(", also called ", character.aliases.join(", "));
    add(". ", character.description.clone());
    add(" Traits: ", character.traits.join(", "));
    add(" Looks: ", character.appearance.clone());
    add(" Background: ", character.background.clone());
    let related = character.relationships.iter().map(|other| format!("{} of {}", other.kind, other.to));
    add(" Is ", related.collect::<Vec<_>>().join(", "));
    add(" Notes: ", character.notes.clone());
    cut(&sheet, MOST_SHEET)
}

/// Sheets as a list; each at most so many characters.
pub(super) fn listed(sheets: &[String], most: usize) -> String {
    sheets.iter().map(|sheet| format!("- {}", cut(sheet, most))).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_says_what_is_known_and_names_are_found_as_words() {
        let character: Character = serde_json::from_value(serde_json::json!({
            "id": "ann", "name": "Ann", "role": "heroine", "traits": ["brave", "late"],
            "relationships": [{"to": "bob", "kind": "sister"}]
        }))
        .unwrap();
        assert_eq!(sheet(&character), "Ann, heroine Traits: brave, late Is sister of bob");
        assert!(has_word("then ann's hat", "ann") && !has_word("annual", "ann") && !has_word("x", ""));
    }
}
