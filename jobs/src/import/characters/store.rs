//! The second pass: stores what can be used, batch by batch.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use presswork::{domain::Failure, worker::ContextArtifact};
use serde::{Deserialize, Serialize};

use super::{
    BroughtCharacters, Place, Work,
    check::Checked,
    items::{Item, Items},
};
use crate::book::{BookError, Character, Stored};

/// So many are written side by side: storage answers slowly, and takes many questions at a time.
const SIDE_BY_SIDE: usize = 32;
/// How many bytes of the file a batch has, but for its last character.
const MOST_BATCH_BYTES: usize = 4 << 20;
/// How many of those that were left alone are named.
const MOST_KEPT_NAMED: usize = 50;

/// Up to where they are stored, and what became of them: where a later attempt goes on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Through {
    /// Of which file.
    pub(super) checksum: u32,
    /// How many of its items are done, failures included.
    pub(super) items: u64,
    pub(super) created: u64,
    pub(super) replaced: u64,
    pub(super) unchanged: u64,
    pub(super) kept: u64,
    pub(super) kept_first: Vec<Place>,
}

impl Through {
    fn count(&mut self, line: u64, character: &Character, stored: Stored) {
        match stored {
            Stored::Created => self.created += 1,
            Stored::Replaced => self.replaced += 1,
            Stored::Unchanged => self.unchanged += 1,
            Stored::Kept => {
                self.kept += 1;
                if self.kept_first.len() < MOST_KEPT_NAMED {
                    self.kept_first.push(Place { line, id: character.id.to_string() });
                }
            }
        }
    }
}

impl Work {
    /// Stores them; answers with the report of failures, which is still to be finished.
    ///
    /// # Errors
    /// Where storage fails, or the attempt is to end.
    pub(super) fn store(
        self,
        checked: Checked,
    ) -> Result<(BroughtCharacters, Option<ContextArtifact>), Failure> {
        let new = Through { checksum: checked.checksum, ..Through::default() };
        // What was stored of another file is none of this one.
        let through =
            self.context.checkpoint::<Through>().filter(|through| through.checksum == checked.checksum);
        let mut through = through.unwrap_or(new);
        let mut items = Items::open(&self.source, &checked.how)?;
        let (mut batch, mut bytes, done) = (Vec::new(), 0, through.items);
        let most = usize::try_from(self.payload.batch_size).unwrap_or(usize::MAX);
        while let Some(item) = items.next()? {
            let Item { number, line, bytes: more, character } = item;
            if number <= done {
                continue;
            }
            through.items = number;
            if let Ok(character) = character {
                batch.push((line, character));
                bytes += more;
            }
            if batch.len() >= most || bytes >= MOST_BATCH_BYTES {
                self.batch(std::mem::take(&mut batch), &mut through, checked.items)?;
                bytes = 0;
            }
        }
        self.batch(batch, &mut through, checked.items)?;
        Ok(self.told(checked, through))
    }

    /// Stores a batch, and notes that.
    fn batch(&self, batch: Vec<(u64, Character)>, through: &mut Through, of: u64) -> Result<(), Failure> {
        self.goes_on()?;
        if batch.is_empty() {
            return Ok(());
        }
        let (characters, replace) = (&self.characters, self.payload.replace);
        let stored = stream::iter(batch).map(|(line, character)| async move {
            let stored = characters.ensure(&character, replace).await?;
            Ok::<_, BookError>((line, character, stored))
        });
        let stored: Vec<_> = self.runtime.block_on(stored.buffered(SIDE_BY_SIDE).try_collect())?;
        for (line, character, stored) in &stored {
            through.count(*line, character, *stored);
        }
        self.runtime.block_on(self.context.save(&*through))?;
        self.context.progress(through.items, of, "characters");
        Ok(())
    }

    fn told(self, checked: Checked, through: Through) -> (BroughtCharacters, Option<ContextArtifact>) {
        let Through { created, replaced, unchanged, kept, kept_first, .. } = through;
        let (failures_file, report) = checked.report.unzip();
        let mut warnings = checked.warnings;
        if kept > 0 {
            warnings.push(format!(
                "{kept} were left alone, as the project has another character of their id: say replace to replace those"
            ));
        }
        let brought = BroughtCharacters {
            project: self.payload.project,
            format: checked.how.form,
            charset: checked.how.charset.name().to_owned(),
            delimiter: checked.delimiter,
            columns: checked.columns,
            items: checked.items,
            created,
            replaced,
            unchanged,
            kept,
            kept_first,
            failed: checked.failed,
            failures: checked.failures,
            failures_file,
            warnings,
        };
        (brought, report)
    }
}
