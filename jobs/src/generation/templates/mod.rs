//! What models are asked, as templates: files that come with the program, each of which a tenant can replace by a file of its
//! own. Owns: [`Templates`], and which names each may use. `parse` reads and fills one. Must not know: jobs, models.
//!
//! A tenant's set `noir` is made of its files `noir.chapter.md`, `noir.outline.md` and so on (`PUT /v1/files/noir.chapter.md`);
//! what it lacks is the program's own.

mod parse;

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Error, ObjectStore, ObjectStoreExt as _};
use presswork::{
    artifact::key,
    domain::{Failure, FileName},
};

pub(super) use parse::{Template, Values};

/// How many bytes a template has at most.
const MOST_BYTES: u64 = 64 << 10;
/// How many bytes the name of a set has at most.
const LONGEST_SET: usize = 100;
/// The folder of a tenant's uploads.
const FOLDER: &str = "files";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Name {
    Outline,
    Chapter,
    Summary,
    Revision,
    Rewrite,
    Continuation,
    Synopsis,
    CharacterSheet,
}

impl Name {
    pub(super) const ALL: [Self; 8] = [
        Self::Outline,
        Self::Chapter,
        Self::Summary,
        Self::Revision,
        Self::Rewrite,
        Self::Continuation,
        Self::Synopsis,
        Self::CharacterSheet,
    ];

    /// What its file is called, without the set and `.md`.
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Outline => "outline",
            Self::Chapter => "chapter",
            Self::Summary => "summary",
            Self::Revision => "revision",
            Self::Rewrite => "rewrite",
            Self::Continuation => "continuation",
            Self::Synopsis => "synopsis",
            Self::CharacterSheet => "character-sheet",
        }
    }

    /// The program's own.
    const fn own(self) -> &'static str {
        match self {
            Self::Outline => include_str!("outline.md"),
            Self::Chapter => include_str!("chapter.md"),
            Self::Summary => include_str!("summary.md"),
            Self::Revision => include_str!("revision.md"),
            Self::Rewrite => include_str!("rewrite.md"),
            Self::Continuation => include_str!("continuation.md"),
            Self::Synopsis => include_str!("synopsis.md"),
            Self::CharacterSheet => include_str!("character-sheet.md"),
        }
    }

    /// What may stand in `{{…}}`.
    pub(super) const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Outline => &[
                "title",
                "genre",
                "style",
                "premise",
                "notes",
                "author",
                "language",
                "chapters",
                "words",
                "characters",
            ],
            Self::Chapter => &[
                "title",
                "genre",
                "style",
                "premise",
                "notes",
                "author",
                "language",
                "chapters",
                "words",
                "characters",
                "outline",
                "so_far",
                "previous",
                "number",
                "chapter_title",
                "plan",
            ],
            Self::Summary => &["title", "language", "words", "number", "chapter_title", "text"],
            Self::Revision => &[
                "title",
                "genre",
                "style",
                "notes",
                "language",
                "words",
                "characters",
                "so_far",
                "number",
                "chapter_title",
                "plan",
                "text",
            ],
            Self::Rewrite => &[
                "title",
                "language",
                "characters",
                "so_far",
                "number",
                "chapter_title",
                "instruction",
                "text",
            ],
            Self::Continuation => &[
                "title",
                "style",
                "language",
                "words",
                "characters",
                "so_far",
                "number",
                "chapter_title",
                "plan",
                "instruction",
                "text",
            ],
            Self::Synopsis => &["title", "genre", "author", "language", "words", "text"],
            Self::CharacterSheet => &["title", "genre", "premise", "notes", "language", "name", "characters"],
        }
    }
}

/// One of each.
#[derive(Debug)]
pub(super) struct Templates([Template; Name::ALL.len()]);

impl Templates {
    /// The program's own, or those of a set of the tenant's. All are read before anything is asked, so that a slip in the
    /// last one costs nothing.
    ///
    /// # Errors
    /// Fatal where the set has no file, or one of them can't be used: with file, line and column.
    pub(super) async fn load(storage: &dyn ObjectStore, set: Option<&str>) -> Result<Self, Failure> {
        let read = |name: Name| async move {
            let file = set.map(|set| format!("{set}.{}.md", name.as_str()));
            let own = match &file {
                Some(file) => read(storage, file).await?,
                None => None,
            };
            let shown = match (&file, &own) {
                (Some(file), Some(_)) => format!("{FOLDER}/{file}"),
                _ => format!("the built-in template {}", name.as_str()),
            };
            let text = own.as_deref().unwrap_or(name.own());
            let template = Template::parse(&shown, text, name.known()).map_err(Failure::fatal)?;
            Ok::<_, Failure>((own.is_some(), template))
        };
        let all: Vec<(bool, Template)> =
            stream::iter(Name::ALL).map(read).buffered(Name::ALL.len()).try_collect().await?;
        if let Some(set) = set
            && !all.iter().any(|(own, _)| *own)
        {
            return Err(Failure::fatal(format_args!(
                "there is no template of the set {set:?}: upload {FOLDER}/{set}.chapter.md, or another one of {}",
                Name::ALL.map(Name::as_str).join(", ")
            )));
        }
        let all: Vec<Template> = all.into_iter().map(|(_, template)| template).collect();
        all.try_into().map(Self).map_err(|_| Failure::fatal("a template is missing"))
    }

    /// The one for this.
    pub(super) fn get(&self, name: Name) -> &Template {
        &self.0[name as usize]
    }
}

/// A file of the tenant's; `None` where there is none.
async fn read(storage: &dyn ObjectStore, file: &str) -> Result<Option<String>, Failure> {
    let got = match storage.get(&key([FOLDER, file])).await {
        Err(Error::NotFound { .. }) => return Ok(None),
        got => got.map_err(Failure::retry)?,
    };
    if got.meta.size > MOST_BYTES {
        return Err(Failure::fatal(format_args!("{FOLDER}/{file} is larger than 64 KiB: shorten it")));
    }
    let bytes = got.bytes().await.map_err(Failure::retry)?;
    let text = String::from_utf8(bytes.into());
    text.map(Some).map_err(|_| Failure::fatal(format_args!("{FOLDER}/{file} is not UTF-8: save it in UTF-8")))
}

/// Whether a set can be called so.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check_set(set: &str) -> Result<(), String> {
    if set.len() > LONGEST_SET {
        return Err(format!("the name of a template set has at most {LONGEST_SET} bytes"));
    }
    Name::ALL.into_iter().try_for_each(|name| {
        let file = format!("{set}.{}.md", name.as_str());
        file.parse::<FileName>()
            .map(drop)
            .map_err(|error| format!("a template set is named like a file: {error}"))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{PutPayload, memory::InMemory};

    use super::*;

    #[tokio::test]
    async fn every_template_of_the_program_can_be_used_and_each_can_be_replaced() {
        let storage: Arc<dyn ObjectStore> = Arc::new(InMemory::new());
        Templates::load(&*storage, None).await.unwrap();
        let missing = Templates::load(&*storage, Some("noir")).await.unwrap_err();
        assert!(missing.to_string().contains("files/noir.chapter.md"), "{missing}");
        for name in Name::ALL {
            let file = format!("noir.{}.md", name.as_str());
            let text = format!("mine: {{{{{}}}}}", name.known()[0]);
            storage.put(&key([FOLDER, &file]), PutPayload::from(text)).await.unwrap();
            let templates = Templates::load(&*storage, Some("noir")).await.unwrap();
            let filled = templates.get(name).fill(&Values::new([(name.known()[0], "X".to_owned())]));
            assert_eq!(filled, (None, "mine: X".to_owned()));
        }
        storage
            .put(&key([FOLDER, "noir.summary.md"]), PutPayload::from_static(b"a\nb {{titel}}"))
            .await
            .unwrap();
        let wrong = Templates::load(&*storage, Some("noir")).await.unwrap_err().to_string();
        assert!(
            wrong.contains("files/noir.summary.md, line 2, column 3") && wrong.contains("titel"),
            "{wrong}"
        );
    }

    #[test]
    fn a_set_is_named_like_a_file() {
        assert!(check_set("noir").is_ok());
        for wrong in ["../x", "a/b", "a\u{7}", &"x".repeat(300)] {
            assert!(check_set(wrong).is_err(), "{wrong:?}");
        }
    }
}
