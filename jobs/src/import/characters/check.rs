//! The first pass: reads all items, counts them, and tells those that can't be used.

use std::io::Read as _;

use presswork::{
    artifact::ArtifactOptions,
    domain::{Failure, FileName},
    worker::ContextArtifact,
};
use sha2::{Digest as _, Sha256};

use super::{
    ItemFailure, Work,
    csv::Sign,
    items::{Flaw, How, Item, Items},
};
use crate::book::BookError;

/// How many failures the job's result has; where they are more, an artifact has them all.
const MOST_LISTED: usize = 100;
/// How many a job's reason tells where it dies of them.
const MOST_IN_REASON: usize = 10;
/// How many items are read before the job looks whether it is to go on.
const ITEMS_A_LOOK: u64 = 256;
/// In what pieces a file is digested.
const READ_BYTES: usize = 256 << 10;
/// The artifact's name.
const FAILURES_FILE: &str = "failures.jsonl";

/// What the first pass has found out.
pub(super) struct Checked {
    pub(super) how: How,
    pub(super) items: u64,
    pub(super) failed: u64,
    pub(super) failures: Vec<ItemFailure>,
    pub(super) report: Option<(FileName, ContextArtifact)>,
    pub(super) columns: std::collections::BTreeMap<String, String>,
    pub(super) delimiter: Option<Sign>,
    /// Of the file's bytes.
    pub(super) checksum: u32,
    pub(super) warnings: Vec<String>,
}

impl Work {
    /// Reads all of the file.
    ///
    /// # Errors
    /// Where it can't be read to its end, where nothing is in it, and where more can't be used than may.
    pub(super) fn check(&self) -> Result<Checked, Failure> {
        let how = How::of(&self.payload, &self.source)?;
        let mut items = Items::open(&self.source, &how)?;
        let mut checked = Checked {
            columns: items.columns().map(|columns| columns.report()).unwrap_or_default(),
            delimiter: items.dialect.map(|dialect| Sign(dialect.delimiter)),
            how,
            items: 0,
            failed: 0,
            failures: Vec::new(),
            report: None,
            checksum: 0,
            warnings: Vec::new(),
        };
        while let Some(Item { number, line, character, .. }) = items.next()? {
            checked.items = number;
            if number % ITEMS_A_LOOK == 0 {
                self.goes_on()?;
            }
            if let Err(Flaw { id, problem }) = character {
                checked.failed += 1;
                self.note(&mut checked, ItemFailure { item: number, line, id, problem })?;
            }
        }
        checked.checksum = items.text().checksum();
        if checked.how.is_guessed {
            checked.warnings.push(format!("the charset was guessed: {}", checked.how.charset.name()));
        }
        if items.text().replaced {
            checked.warnings.push(format!("some bytes mean nothing in {}", checked.how.charset.name()));
        }
        self.judge(&checked)?;
        self.context.progress(0, checked.items, "checked");
        Ok(checked)
    }

    /// Whether the attempt is to go on.
    pub(super) fn goes_on(&self) -> Result<(), Failure> {
        if self.context.is_cancelled() { Err(Failure::Cancelled) } else { Ok(()) }
    }

    /// Keeps a failure: the first ones for the result, all of them in an artifact where they are many.
    fn note(&self, checked: &mut Checked, failure: ItemFailure) -> Result<(), Failure> {
        if let Some((_, report)) = &mut checked.report {
            return Ok(report.write_blocking(&line_of(&failure)?)?);
        }
        if checked.failures.len() < MOST_LISTED {
            checked.failures.push(failure);
            return Ok(());
        }
        let name: FileName = FAILURES_FILE.parse().map_err(Failure::fatal)?;
        let options = ArtifactOptions {
            content_type: "application/x-ndjson".to_owned(),
            source: Some(self.digest()?),
            ..ArtifactOptions::default()
        };
        let mut report = self.runtime.block_on(self.context.artifact(&name, options))?;
        for failure in checked.failures.iter().chain([&failure]) {
            report.write_blocking(&line_of(failure)?)?;
        }
        checked.report = Some((name, report));
        Ok(())
    }

    /// What the failures follow from: the file and how it is to be read. A later attempt goes on with a report of the same.
    fn digest(&self) -> Result<String, Failure> {
        let mut digest = Sha256::new();
        digest.update(serde_json::to_vec(&self.payload).map_err(Failure::fatal)?);
        let mut file = self.source.open().map_err(Failure::retry)?;
        let mut piece = vec![0; READ_BYTES];
        loop {
            let read = file.read(&mut piece).map_err(Failure::retry)?;
            if read == 0 {
                break;
            }
            digest.update(&piece[..read]);
        }
        Ok(digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Whether so many may fail.
    fn judge(&self, checked: &Checked) -> Result<(), Failure> {
        let (failed, of, file) = (checked.failed, checked.items, &self.source.name);
        if of == 0 {
            return Err(BookError::input(file, "there are no characters in it").into());
        }
        let most = self.payload.max_failures;
        if failed < of && most.is_none_or(|most| !most.is_passed(failed, of)) {
            return Ok(());
        }
        let first: Vec<String> = checked.failures.iter().take(MOST_IN_REASON).map(shown).collect();
        let may = most.map(|most| format!(", at most {most} may fail")).unwrap_or_default();
        let more = if failed > first.len() as u64 { "; and more" } else { "" };
        let first = first.join("; ");
        let text = format_args!(
            "{file}: {failed} of {of} characters can't be used{may}: {first}{more}. Nothing was stored"
        );
        Err(Failure::fatal(text))
    }
}

fn shown(failure: &ItemFailure) -> String {
    let id =
        failure.id.as_deref().map(|id| format!(" ({})", crate::import::one_line(id, 30))).unwrap_or_default();
    format!("line {}{id}: {}", failure.line, crate::import::one_line(&failure.problem, 120))
}

fn line_of(failure: &ItemFailure) -> Result<Vec<u8>, Failure> {
    let mut line = serde_json::to_vec(failure).map_err(Failure::fatal)?;
    line.push(b'\n');
    Ok(line)
}
