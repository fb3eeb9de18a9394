//! Asks a model for text that is a step of a job: fits what is asked into the model's window, passes what comes on to subscribers,
//! goes on where an answer was cut. Owns: [`Pen`]. Must not know: what the text is for.

use futures_util::FutureExt as _;
use presswork::{domain::Failure, worker::Context};

use super::{
    clean::{is_text, shown, unwrapped},
    extract::{tail, whole_sentences},
    templates::{Template, Values},
};
use crate::{
    asking::{Answered, Asker, Bill, Caching},
    book::words::WordCount,
    model::{Finish, Request},
};

/// In so many steps what is asked gets shorter, until it fits.
pub(super) const LEVELS: usize = 5;
/// How often a model that gives nothing is asked for the same.
const MOST_TRIES: u32 = 3;
/// How often a text that was cut is gone on with.
const MOST_CONTINUATIONS: u32 = 6;
/// An answer of fewer tokens is not worth its question.
const LEAST_OUTPUT: u64 = 64;
/// The longest answer that is asked for where nobody has said what the model gives.
const USUAL_OUTPUT: u32 = 8_192;
/// How many characters of a text that was cut are shown to the model that goes on with it.
const SHOWN_TAIL: usize = 3_000;
/// No text is longer, in bytes, whatever comes.
const MOST_BYTES: usize = 2 << 20;

/// Asks one model after the other, and holds the bill.
pub(super) struct Pen {
    context: Context,
    caching: Caching,
    model: String,
    asker: Asker,
}

/// A text that is wanted.
pub(super) struct Wanted<'a> {
    /// What the step is called on the bill.
    pub(super) step: &'a str,
    /// How it is asked for.
    pub(super) template: &'a Template,
    /// What stands in it, from everything (0) to as little as can be.
    pub(super) values: &'a (dyn Fn(usize) -> Values + Sync),
    /// How a text is gone on with.
    pub(super) continuation: &'a Template,
    /// How many words it is to have.
    pub(super) words: u32,
}

/// A text that came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prose {
    pub(super) text: String,
    /// How often it was gone on with.
    pub(super) continued: u32,
    /// Whether it is too short because it was cut: it ends with its last whole sentence.
    pub(super) is_cut: bool,
}

/// What is asked does not fit into the model's window, however short it is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "what the model {model_window} tokens wide is to be asked has {input}: choose one with a larger context, or shorten it"
)]
pub(super) struct TooLong {
    model_window: u64,
    input: u64,
}

impl Pen {
    /// With this model first, going on with the bill of earlier attempts.
    ///
    /// # Errors
    /// Where there is no such model.
    pub(super) fn new(context: &Context, model: &str, caching: Caching, bill: Bill) -> Result<Self, Failure> {
        let asker = Asker::new(context, model, caching, bill)?;
        Ok(Self { context: context.clone(), caching, model: model.to_owned(), asker })
    }

    /// Asks this model from now on.
    ///
    /// # Errors
    /// Where there is no such model.
    pub(super) fn take(&mut self, model: &str) -> Result<(), Failure> {
        if model != self.model {
            self.asker = Asker::new(&self.context, model, self.caching, self.asker.bill().clone())?;
            model.clone_into(&mut self.model);
        }
        Ok(())
    }

    /// What was spent until now.
    pub(super) fn bill(&self) -> &Bill {
        self.asker.bill()
    }

    /// How many tokens an answer of so many words may take.
    pub(super) fn output(&self, words: u32) -> u32 {
        // Two tokens a word are enough for most languages; what is cut is gone on with.
        words
            .saturating_mul(2)
            .saturating_add(256)
            .min(self.asker.max_output_tokens().unwrap_or(USUAL_OUTPUT))
    }

    /// The request that says the most of those that fit.
    ///
    /// # Errors
    /// [`TooLong`].
    pub(super) fn request(
        &self,
        template: &Template,
        values: &(dyn Fn(usize) -> Values + Sync),
        output: u32,
    ) -> Result<Result<Request, TooLong>, Failure> {
        let window = self.asker.context_window().map(u64::from);
        let mut left = None;
        for level in 0..LEVELS {
            let (system, message) = template.fill(&values(level));
            let request = Request::new(message, output).map_err(Failure::fatal)?;
            let request = match system {
                Some(system) => request.system(system),
                None => request,
            };
            match window {
                Some(window) if request.most_tokens() > window => left = Some((window, request)),
                _ => return Ok(Ok(request)),
            }
        }
        let Some((window, mut request)) = left else { return Err(Failure::fatal("nothing to ask")) };
        let input = request.input_tokens();
        let room = window.saturating_sub(input);
        if room < LEAST_OUTPUT {
            return Ok(Err(TooLong { model_window: window, input }));
        }
        request.max_output_tokens = u32::try_from(room).unwrap_or(u32::MAX).min(output);
        Ok(Ok(request))
    }

    /// Asks once; nobody sees what comes before it is whole.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) async fn ask(&mut self, step: &str, request: &Request) -> Result<Answered, Failure> {
        // Boxed, here and below: what is waited for in here goes deeper than the compiler likes to look.
        self.asker.ask(step, request, &mut |_| {}).boxed().await
    }

    /// Asks for a text, passes it on as it comes, and goes on where it was cut.
    ///
    /// # Errors
    /// As [`Asker::ask`]; Retry where the model gives nothing, Fatal where it is too small for what it is asked.
    pub(super) async fn prose(&mut self, wanted: &Wanted<'_>) -> Result<Prose, Failure> {
        let output = self.output(wanted.words);
        let request = self.request(wanted.template, wanted.values, output)?.map_err(Failure::fatal)?;
        self.prose_of(wanted, request).boxed().await
    }

    /// The same with a request that was made before.
    ///
    /// # Errors
    /// As [`prose`](Self::prose).
    pub(super) async fn prose_of(&mut self, wanted: &Wanted<'_>, request: Request) -> Result<Prose, Failure> {
        let (mut text, mut finish) = self.once(wanted.step, request).boxed().await?;
        let (mut continued, mut had) = (0, 0);
        while finish == Finish::Length && continued < MOST_CONTINUATIONS && text.len() < MOST_BYTES {
            let words = u32::try_from(WordCount::of(&text)).unwrap_or(u32::MAX);
            if u64::from(words) * 10 >= u64::from(wanted.words) * 13 {
                break;
            }
            cut_to_whole(&mut text);
            if text.len() <= had {
                // It does not get on: what came was the same again, or no sentence.
                break;
            }
            had = text.len();
            continued += 1;
            let more = wanted.words.saturating_sub(words).max(wanted.words / 5).max(20);
            let shown = |level: usize| {
                let values = (wanted.values)(level).with("text", tail(&text, SHOWN_TAIL >> level.min(3)));
                values.with("words", more.to_string())
            };
            let Ok(request) = self.request(wanted.continuation, &shown, self.output(more))? else { break };
            let answered =
                self.streamed(&format!("{}, continuation {continued}", wanted.step), &request).await?;
            let next = unwrapped(&answered.text);
            if WordCount::of(next) == 0 {
                break;
            }
            // Where the model begins with the end that it was shown, that stands there once.
            let next = next.strip_prefix(tail(&text, 200)).unwrap_or(next).trim_start();
            text.push_str(if text.ends_with('\n') || text.is_empty() { "" } else { " " });
            text.push_str(next);
            finish = answered.finish;
        }
        let is_cut = finish == Finish::Length;
        if is_cut {
            cut_to_whole(&mut text);
        }
        // One that has all the words it was to have only lacks an end of its own.
        let is_short = WordCount::of(&text) < u64::from(wanted.words);
        Ok(Prose { text, continued, is_cut: is_cut && is_short })
    }

    /// Asks for a text and passes it on as it comes; one that has words, and why it ended.
    ///
    /// # Errors
    /// As [`prose`](Self::prose).
    pub(super) async fn once(&mut self, step: &str, request: Request) -> Result<(String, Finish), Failure> {
        self.once_if_any(step, request).await?.ok_or_else(|| {
            Failure::retry(format_args!(
                "{step}: the model {} was asked {MOST_TRIES} times and wrote no text",
                self.model
            ))
        })
    }

    /// The same; nothing where the model writes no text, however often it is asked.
    ///
    /// # Errors
    /// As [`Asker::ask`].
    pub(super) async fn once_if_any(
        &mut self,
        step: &str,
        request: Request,
    ) -> Result<Option<(String, Finish)>, Failure> {
        for attempt in 1..=MOST_TRIES {
            let mut request = request.clone();
            if let Some(last) = request.messages.last_mut().filter(|_| attempt > 1) {
                // Another question: the same one may be answered from the cache.
                last.text
                    .push_str(&format!("\n\nThe answer was empty. Write the text. (Attempt {attempt}.)"));
            }
            // What is no text is kept for nobody: the next attempt asks anew.
            let answered = self.streamed_for(step, &request, &is_text).await?;
            if is_text(&answered.text) {
                let text = unwrapped(&answered.text);
                let text = text[..text.floor_char_boundary(MOST_BYTES)].to_owned();
                return Ok(Some((text, answered.finish)));
            }
        }
        Ok(None)
    }

    async fn streamed(&mut self, step: &str, request: &Request) -> Result<Answered, Failure> {
        self.streamed_for(step, request, &|_| true).await
    }

    async fn streamed_for(
        &mut self,
        step: &str,
        request: &Request,
        is_of_use: &(dyn Fn(&str) -> bool + Send + Sync),
    ) -> Result<Answered, Failure> {
        let context = self.context.clone();
        let mut told = |piece: &str| context.text(&shown(piece));
        self.asker.ask_for(step, request, &mut told, is_of_use).boxed().await
    }
}

/// Cuts a text behind its last whole sentence; where that is less than half of it, behind its last whole word.
fn cut_to_whole(text: &mut String) {
    let whole = whole_sentences(text);
    let end = if whole * 2 >= text.trim_end().len() {
        whole
    } else {
        text.trim_end().rfind(char::is_whitespace).unwrap_or(text.len())
    };
    // What parts paragraphs is kept.
    let rest = &text[end..];
    let breaks = rest.len() - rest.trim_start().len();
    let is_paragraph = rest[..breaks].matches('\n').count() > 1;
    text.truncate(end);
    if is_paragraph {
        text.push_str("\n\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_cut_ends_with_a_whole_sentence_or_word() {
        for (text, whole) in [
            ("It was late. She le", "It was late."),
            ("It was late.\n\nShe le", "It was late.\n\n"),
            ("It was late", "It was"),
            ("Yes. And then she went on and on without an en", "Yes. And then she went on and on without an"),
            ("word", "word"),
        ] {
            let mut cut = text.to_owned();
            cut_to_whole(&mut cut);
            assert_eq!(cut, whole, "{text}");
        }
    }
}
