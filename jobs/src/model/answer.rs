//! What a model answers, piece by piece. Owns: [`Answer`], which also counts what is spent.

use std::{fmt, pin::Pin};

use futures_util::{Stream, StreamExt as _, stream};
use presswork::domain::Reason;
use serde::{Deserialize, Serialize};

use super::{ModelError, Request, tokens};

/// How many bytes a token has at most, for the bound on an answer's text; the longest of known vocabularies has 128.
const MOST_TOKEN_BYTES: u64 = 128;

/// Why an answer ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or came to a text that it was to stop at.
    Stop,
    /// It was cut: it may have no more tokens, or there is no more room for them.
    Length,
    /// The provider did not want to go on. [`Answer::next`] gives it as an error.
    Refused,
    /// For a reason of the provider's own.
    Other(Reason),
}

/// What a provider has told of the tokens used. Each report replaces those before it, in what it names; only the question does
/// not shrink, for some reports leave out what was cached.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Used {
    /// All of the question's, those from and for a cache included.
    pub input: Option<u64>,
    /// Those of the question that the provider had in a cache.
    pub cache_read: Option<u64>,
    /// Those of the question that the provider has put into a cache.
    pub cache_write: Option<u64>,
    /// All of the answer's, thoughts included.
    pub output: Option<u64>,
}

/// What comes of an answer, as an implementation of [`LanguageModel`](super::LanguageModel) tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// More of the text.
    Text(String),
    /// So many bytes of thoughts, which are paid for and not given out.
    Thoughts(usize),
    /// What has been used.
    Used(Used),
    /// Why the text has ended. [`Event::Used`] may come after it.
    Finished(Finish),
}

/// How many tokens were used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// All of the question's.
    pub input: u64,
    /// Those of them that the provider had in a cache.
    pub cache_read: u64,
    /// Those of them that the provider has put into a cache.
    pub cache_write: u64,
    /// The answer's.
    pub output: u64,
}

/// What an answer has cost until now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spent {
    /// In tokens.
    pub usage: Usage,
    /// Whether some of it is estimated: the provider has not told it, or not yet.
    pub is_estimate: bool,
}

/// An answer that is being written. Dropped, it ends the work behind it at once.
pub struct Answer {
    events: Pin<Box<dyn Stream<Item = Result<Event, ModelError>> + Send>>,
    input_tokens: u64,
    room: u64,
    used: Used,
    /// Tokens of text and thoughts that have come, estimated piece by piece.
    written: u64,
    finish: Option<Finish>,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nobody has waited for it yet.
    Fresh,
    /// It is being written.
    Open,
    /// It is whole.
    Whole,
    /// It failed.
    Failed,
    /// It failed before it could cost anything.
    Free,
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("state", &self.state)
            .field("spent", &self.spent())
            .finish_non_exhaustive()
    }
}

impl Answer {
    /// What comes of a request. The stream does nothing until it is polled, ends the work behind it when it is dropped, and
    /// ends itself after [`Event::Finished`] or an error.
    pub fn new(
        request: &Request,
        events: impl Stream<Item = Result<Event, ModelError>> + Send + 'static,
    ) -> Self {
        Self {
            events: Box::pin(events),
            input_tokens: request.input_tokens(),
            // The room of a few long tokens more: a stop text, or an end that a server adds.
            room: (u64::from(request.max_output_tokens) + 16).saturating_mul(MOST_TOKEN_BYTES),
            used: Used::default(),
            written: 0,
            finish: None,
            state: State::Fresh,
        }
    }

    /// One that fails before anything is sent.
    pub fn failed(request: &Request, error: ModelError) -> Self {
        Self::new(request, stream::once(async { Err(error) }))
    }

    /// The next piece of the text, never empty; `None` where it is whole. Loses nothing where it is given up.
    ///
    /// # Errors
    /// [`ModelError`]. What has come until then is no answer.
    pub async fn next(&mut self) -> Result<Option<String>, ModelError> {
        match self.state {
            State::Fresh => self.state = State::Open,
            State::Open => {}
            State::Whole => return Ok(None),
            State::Failed | State::Free => return Err(ModelError::broken("it had failed before")),
        }
        loop {
            match self.events.next().await {
                Some(Ok(Event::Text(text))) => {
                    self.written += tokens(&text);
                    let length = u64::try_from(text.len()).unwrap_or(u64::MAX);
                    let Some(room) = self.room.checked_sub(length) else {
                        return self.fail(ModelError::broken("it is much longer than was asked for"));
                    };
                    self.room = room;
                    if !text.is_empty() {
                        return Ok(Some(text));
                    }
                }
                Some(Ok(Event::Thoughts(bytes))) => self.written += (bytes as u64).div_ceil(3),
                Some(Ok(Event::Used(used))) => self.used.take(used),
                Some(Ok(Event::Finished(finish))) => self.finish = Some(finish),
                Some(Err(error)) => return self.fail(error),
                None => return self.end(),
            }
        }
    }

    /// The whole text, for answers that are short.
    ///
    /// # Errors
    /// As [`next`](Self::next).
    pub async fn text(&mut self) -> Result<String, ModelError> {
        let mut text = String::new();
        while let Some(piece) = self.next().await? {
            text.push_str(&piece);
        }
        Ok(text)
    }

    /// Why it ended; `None` until it has.
    pub fn finish(&self) -> Option<&Finish> {
        self.finish.as_ref().filter(|_| self.state == State::Whole)
    }

    /// What it has cost until now. Where the provider has told nothing, or no longer gets to it, an estimate: rather too much
    /// than too little, so that a budget holds. Nothing, where it was not begun or was turned down.
    pub fn spent(&self) -> Spent {
        if matches!(self.state, State::Fresh | State::Free) {
            return Spent::default();
        }
        let is_whole = self.finish.is_some();
        // A server that counts no token of a text that is there has not counted.
        let input = self.used.input.filter(|told| *told > 0);
        let output = self.used.output.filter(|told| *told > 0 || self.written == 0);
        let usage = Usage {
            input: input.unwrap_or(self.input_tokens),
            cache_read: self.used.cache_read.unwrap_or(0),
            cache_write: self.used.cache_write.unwrap_or(0),
            output: match output {
                Some(told) if is_whole => told,
                told => told.unwrap_or(0).max(self.written),
            },
        };
        Spent { usage, is_estimate: !is_whole || input.is_none() || output.is_none() }
    }

    fn fail(&mut self, error: ModelError) -> Result<Option<String>, ModelError> {
        let has_cost = error.may_have_cost() || self.written > 0 || self.used != Used::default();
        self.state = if has_cost { State::Failed } else { State::Free };
        // The connection is closed now, not when somebody drops the answer.
        self.events = Box::pin(stream::empty());
        Err(error)
    }

    fn end(&mut self) -> Result<Option<String>, ModelError> {
        match &self.finish {
            None => self.fail(ModelError::broken("it ended without saying why")),
            Some(Finish::Refused) => {
                // It was written until there, and is paid for.
                self.state = State::Failed;
                Err(ModelError::Refused(Reason::new("the answer was stopped by the provider's filter")))
            }
            Some(_) => {
                self.state = State::Whole;
                Ok(None)
            }
        }
    }
}

impl Used {
    fn take(&mut self, newer: Self) {
        self.input = newer.input.max(self.input);
        self.cache_read = newer.cache_read.or(self.cache_read);
        self.cache_write = newer.cache_write.or(self.cache_write);
        self.output = newer.output.or(self.output);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const USED: Used = Used { input: Some(7), cache_read: Some(2), cache_write: None, output: Some(3) };

    fn answer(events: Vec<Result<Event, ModelError>>) -> Answer {
        Answer::new(&Request::new("Say hello.", 10).unwrap(), stream::iter(events))
    }

    fn said(text: &str) -> Result<Event, ModelError> {
        Ok(Event::Text(text.to_owned()))
    }

    #[tokio::test]
    async fn an_answer_is_whole_where_its_end_is_told_and_then_its_cost_is_exact() {
        let stop = || Ok(Event::Finished(Finish::Stop));
        for events in [
            vec![said("a"), said(""), said("b"), Ok(Event::Used(USED)), stop()],
            vec![said("a"), said("b"), stop(), Ok(Event::Used(USED))],
        ] {
            let mut answer = answer(events);
            assert_eq!((answer.spent(), answer.finish()), (Spent::default(), None));
            assert_eq!(answer.next().await.unwrap().as_deref(), Some("a"));
            assert!(answer.spent().is_estimate && answer.finish().is_none());
            assert_eq!(answer.next().await.unwrap().as_deref(), Some("b"));
            for _ in 0..2 {
                assert_eq!(answer.next().await.unwrap(), None);
            }
            let usage = Usage { input: 7, cache_read: 2, cache_write: 0, output: 3 };
            assert_eq!(answer.spent(), Spent { usage, is_estimate: false });
            assert_eq!(answer.finish(), Some(&Finish::Stop));
        }
    }

    #[tokio::test]
    async fn what_is_not_told_is_estimated_and_said_to_be() {
        let question = Request::new("Say hello.", 10).unwrap().input_tokens();
        let text = "hello, hello, hello";
        let none = Used { input: Some(0), output: Some(0), ..Used::default() };
        for used in [Used::default(), none] {
            let mut answer =
                answer(vec![said(text), Ok(Event::Finished(Finish::Stop)), Ok(Event::Used(used))]);
            assert_eq!(answer.text().await.unwrap(), text);
            let spent = answer.spent();
            assert!(spent.is_estimate);
            assert_eq!((spent.usage.input, spent.usage.output), (question, tokens(text)));
        }
        let mut late = answer(vec![
            said(text),
            Ok(Event::Used(USED)),
            Ok(Event::Finished(Finish::Stop)),
            Ok(Event::Used(Used { input: Some(0), output: Some(5), ..Used::default() })),
        ]);
        late.text().await.unwrap();
        let usage = Usage { input: 7, cache_read: 2, cache_write: 0, output: 5 };
        assert_eq!(late.spent(), Spent { usage, is_estimate: false });
        // Thoughts are paid for; what was told at the beginning is less than what has come since.
        let early = Used { output: Some(1), ..USED };
        let mut cut = answer(vec![Ok(Event::Used(early)), Ok(Event::Thoughts(300)), said(text)]);
        cut.next().await.unwrap();
        assert_eq!((cut.spent().usage.input, cut.spent().usage.output), (7, 100 + tokens(text)));
        assert!(cut.spent().is_estimate);
    }

    #[tokio::test]
    async fn an_answer_without_its_end_is_a_failure_and_so_is_one_that_was_refused() {
        let mut cut = answer(vec![said("a"), Ok(Event::Used(USED))]);
        assert_eq!(cut.text().await, Err(ModelError::broken("it ended without saying why")));
        assert!(cut.spent().is_estimate && cut.finish().is_none());
        assert!(matches!(cut.next().await, Err(ModelError::Broken(_))));
        let mut refused =
            answer(vec![said("a"), Ok(Event::Finished(Finish::Refused)), Ok(Event::Used(USED))]);
        assert!(matches!(refused.text().await, Err(ModelError::Refused(_))));
        assert_eq!(refused.spent().usage.output, 3);
    }

    #[tokio::test]
    async fn what_was_turned_down_costs_nothing_and_what_broke_off_may_have() {
        let mut down = answer(vec![Err(ModelError::retry("away"))]);
        assert!(down.next().await.is_err());
        assert_eq!(down.spent(), Spent::default());
        let mut broke = answer(vec![Err(ModelError::broken("silent"))]);
        assert!(broke.next().await.is_err());
        assert!(broke.spent().usage.input > 0 && broke.spent().is_estimate);
        let mut late = answer(vec![said("a"), Err(ModelError::Refused(Reason::new("x")))]);
        assert!(late.text().await.is_err());
        assert!(late.spent().usage.output > 0);
    }

    #[tokio::test]
    async fn a_text_much_longer_than_was_asked_for_is_not_taken() {
        let mut endless = answer(vec![said(&"x".repeat(2_000)), said(&"x".repeat(2_000))]);
        endless.next().await.unwrap();
        assert!(matches!(endless.next().await, Err(ModelError::Broken(_))));
    }
}
