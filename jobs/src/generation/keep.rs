//! What a generation has got so far, and where that is kept: the state in a file of the attempt's folder in the project, in the
//! checkpoint no more than the file's name and the bill. Each step writes a file of its own, so that an attempt whose lease is gone
//! spoils nothing. Owns: [`Keeper`] and [`State`].

use bytes::Bytes;
use presswork::{domain::Failure, worker::Context};
use serde::{Deserialize, Serialize};

use super::{generate::Generated, outline::Planned, pen::Prose};
use crate::{
    asking::Bill,
    book::{ChapterEntry, Losses, project::Growing},
};

/// How many sentences the owner is told at most.
const MOST_WARNINGS: usize = 50;

/// What a generation has got so far.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    /// The plan, once there is one.
    pub(super) outline: Vec<Planned>,
    /// The chapters that are finished, in order.
    pub(super) chapters: Vec<Written>,
    /// The next one's text before its revision, as a file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) draft: Option<String>,
    /// What the owner should know.
    pub(super) warnings: Vec<String>,
    /// What of the models' texts was dropped.
    pub(super) dropped: Losses,
}

/// A chapter that is finished.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Written {
    /// Its file in the project.
    pub(super) file: String,
    /// Its title.
    pub(super) title: String,
    /// How many words it has.
    pub(super) words: u64,
}

impl State {
    /// Notes a sentence for the owner.
    pub(super) fn warn(&mut self, sentence: impl Into<String>) {
        match self.warnings.len() + 1 {
            number if number < MOST_WARNINGS => self.warnings.push(sentence.into()),
            MOST_WARNINGS => self.warnings.push("more warnings were left out".to_owned()),
            _ => {}
        }
    }

    /// Notes what is to be said of how a chapter's text came.
    pub(super) fn told_of(&mut self, index: usize, Prose { is_cut, continued, .. }: &Prose) {
        if *is_cut {
            let so = format!(
                "after {continued} continuations: it ends with a whole sentence, but maybe too early"
            );
            let number = index + 1;
            self.warn(format!("chapter {number} was cut where the model's longest answer ended, {so}"));
        }
    }

    /// Notes where a chapter is much shorter or longer than it was to be.
    pub(super) fn measure(&mut self, index: usize, words: u64, wanted: u32) {
        let (number, wanted) = (index + 1, u64::from(wanted));
        if words * 10 < wanted * 6 || words * 10 > wanted * 16 {
            self.warn(format!("chapter {number} has {words} words, {wanted} were asked for"));
        }
    }

    /// The chapters as the book names them.
    pub(super) fn entries(&self) -> Vec<ChapterEntry> {
        let entry =
            |chapter: &Written| ChapterEntry { file: chapter.file.clone(), title: chapter.title.clone() };
        self.chapters.iter().map(entry).collect()
    }

    pub(super) fn words(&self) -> u64 {
        self.chapters.iter().map(|chapter| chapter.words).sum()
    }
}

/// The checkpoint.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Point {
    /// The state's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// What was spent.
    #[serde(default)]
    bill: Bill,
    /// What the job will answer: the book is whole and in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done: Option<Generated>,
}

/// Keeps the state of one attempt.
pub(super) struct Keeper {
    context: Context,
    growing: Growing,
    point: Point,
    serial: u32,
}

impl Keeper {
    /// Goes on where an earlier attempt has stopped.
    ///
    /// # Errors
    /// Fatal where what it has written has gone from the project; Retry where storage fails.
    pub(super) async fn open(context: &Context, growing: &Growing) -> Result<(Self, State), Failure> {
        let point: Point = context.checkpoint().unwrap_or_default();
        let state = match &point.state {
            Some(file) if point.done.is_none() => {
                let gone = || {
                    let problem = "has gone from the project: another book has taken its place. Generate anew, into a \
                                   project of its own";
                    Failure::fatal(format_args!("what the job has written so far ({file}) {problem}"))
                };
                let json = growing.get(file).await?.ok_or_else(gone)?;
                serde_json::from_slice(&json)
                    .map_err(|error| Failure::fatal(format_args!("{file}: {error}")))?
            }
            _ => State::default(),
        };
        Ok((Self { context: context.clone(), growing: growing.clone(), point, serial: 0 }, state))
    }

    /// What earlier attempts and this one have spent, as far as it is saved.
    pub(super) fn bill(&self) -> &Bill {
        &self.point.bill
    }

    /// What the job answers, where all of it is done already.
    pub(super) fn done(&self) -> Option<&Generated> {
        self.point.done.as_ref()
    }

    /// Saves a step: once it answers, nothing of it is asked for again.
    ///
    /// # Errors
    /// As [`Context::save`], Retry where storage fails.
    pub(super) async fn save(&mut self, state: &State, bill: &Bill) -> Result<(), Failure> {
        let json = serde_json::to_vec(state).map_err(Failure::fatal)?;
        self.serial += 1;
        let file = self.growing.put(&format!("state-{:05}.json", self.serial), Bytes::from(json)).await?;
        let before = self.point.state.replace(file);
        self.point.bill = bill.clone();
        self.context.save(&self.point).await?;
        if let Some(before) = before {
            self.growing.remove(&before).await;
        }
        Ok(())
    }

    /// Saves what was spent, where a step has come to nothing.
    ///
    /// # Errors
    /// As [`Context::save`].
    pub(super) async fn save_bill(&mut self, bill: &Bill) -> Result<(), Failure> {
        if self.point.bill == *bill {
            return Ok(());
        }
        self.point.bill = bill.clone();
        self.context.save(&self.point).await
    }

    /// Saves that all is done.
    ///
    /// # Errors
    /// As [`Context::save`].
    pub(super) async fn finish(&mut self, done: &Generated) -> Result<(), Failure> {
        self.point =
            Point { state: self.point.state.take(), bill: done.bill.clone(), done: Some(done.clone()) };
        self.context.save(&self.point).await
    }
}
