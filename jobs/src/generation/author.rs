//! Writes a book: its plan, chapter after chapter, the summaries between them. Every step is kept as soon as it is finished, and
//! none that was kept is asked for again.

use std::{pin::pin, time::Duration};

use futures_util::FutureExt as _;
use presswork::{
    domain::{Failure, Reason, Timestamp},
    worker::{Context, JobFacts},
};

use super::{
    clean::is_text,
    extract,
    generate::{Generate, Generated, Summaries},
    keep::{Keeper, State, Written},
    outline::Outline,
    parts::{clean, metadata, plan, sum_up, without_title},
    pen::{Pen, Prose, Wanted},
    people::People,
    prompts::Scene,
    templates::{Name, Templates},
};
use crate::{
    asking::Asker,
    book::{
        Metadata,
        names::chapter_name,
        project::{Growing, Guard},
        words::WordCount,
    },
    model::Finish,
};

/// How many characters an extract has in its place.
const EXTRACT: usize = 800;
/// How long a provider that has failed is left alone.
const PAUSE: Duration = Duration::from_secs(10);
/// After so long the job goes back into its queue, at no cost: others have waited, and an attempt has an end.
const TURN: Duration = Duration::from_secs(4 * 3_600);

/// Writes one book, in one attempt.
pub(super) struct Author {
    order: Generate,
    context: Context,
    templates: Templates,
    people: People,
    growing: Growing,
    keeper: Keeper,
    state: State,
    pen: Pen,
    /// The text of the last chapter that is finished.
    previous: String,
    /// Whether the step at hand may have been begun before, by an attempt that did not come to its end.
    is_anew: bool,
    /// Whether this attempt has finished a step.
    has_got_on: bool,
    begun: Timestamp,
}

impl Author {
    /// Looks at all that can be wrong before anything is asked.
    ///
    /// # Errors
    /// Fatal where a template, a character or a model is missing or can't be used.
    pub(super) async fn new(order: Generate, context: Context) -> Result<Self, Failure> {
        let templates = Templates::load(&*context.storage(), order.templates.as_deref()).await?;
        let people = People::of(&context, &order.project, &order.brief.characters).await?;
        let JobFacts { id, epoch, .. } = context.job();
        let growing = Growing::begin(context.project(&order.project), &id.to_string(), *epoch)?;
        let growing = growing.guarded(Guard::of(&context));
        let (keeper, state) = Keeper::open(&context, &growing).await?;
        let bill = keeper.bill().clone();
        if let Some(model) = &order.revision_model {
            Asker::new(&context, model, order.caching, bill.clone())?;
        }
        let pen = Pen::new(&context, &order.model, order.caching, bill)?;
        let is_anew = *epoch > 1;
        let previous = String::new();
        let begun = context.clock().now();
        let has_got_on = false;
        Ok(Self {
            order,
            context,
            templates,
            people,
            growing,
            keeper,
            state,
            pen,
            previous,
            is_anew,
            has_got_on,
            begun,
        })
    }

    /// Writes what is not written yet.
    ///
    /// # Errors
    /// As the models and storage have it; what was finished until then is kept.
    pub(super) async fn write(mut self) -> Result<Generated, Failure> {
        if let Some(done) = self.keeper.done().cloned() {
            self.growing.sweep().await;
            return Ok(done);
        }
        match self.all().boxed().await {
            Ok(generated) => Ok(generated),
            Err(failure) => {
                self.stopped(&failure).await;
                Err(self.judged(failure))
            }
        }
    }

    /// A book is hundreds of questions, and providers fail now and then: an attempt that has got on costs none. One that has not
    /// does, so that this comes to an end.
    fn judged(&self, failure: Failure) -> Failure {
        match failure {
            Failure::Retry { reason, after } if self.has_got_on => {
                Failure::Snooze { wait: after.unwrap_or(PAUSE), reason }
            }
            failure => failure,
        }
    }

    async fn all(&mut self) -> Result<Generated, Failure> {
        self.plan().boxed().await?;
        if let Some(last) = self.state.chapters.last() {
            self.previous = self.body(&last.file).await?;
        }
        loop {
            let finished = self.state.chapters.len();
            if self
                .state
                .outline
                .iter()
                .take(finished)
                .next_back()
                .is_some_and(|last| last.summary.is_empty())
            {
                self.sum_up(finished - 1).boxed().await?;
            }
            if finished >= self.state.outline.len() {
                return self.finish().await;
            }
            if self.has_got_on && self.context.clock().now().since(self.begun) >= TURN {
                let reason = Reason::new("the job has had its turn: it goes on when it is next");
                return Err(Failure::Snooze { wait: Duration::ZERO, reason });
            }
            self.growing.holds(&self.metadata(), &self.state.entries()).await?;
            self.chapter(finished).boxed().await?;
        }
    }

    /// The job ends before the book does: what was spent is saved, and told where nobody else tells why.
    async fn stopped(&mut self, failure: &Failure) {
        if matches!(failure, Failure::LeaseLost) {
            return;
        }
        let bill = self.pen.bill().clone();
        if let Err(error) = self.keeper.save_bill(&bill).await {
            tracing::warn!(%error, "what was spent could not be saved");
        }
        if matches!(failure, Failure::Cancelled) {
            let (written, all) = (self.state.chapters.len(), self.order.brief.chapters);
            self.context.says(&format!("stopped with {written} of {all} chapters written; spent: {bill}"));
        }
    }

    /// Tells how far the book is, and so many steps of the chapter at hand.
    fn tell(&self, steps: u64, message: &str) {
        let each = 1 + u64::from(self.order.revision) + u64::from(self.order.summaries == Summaries::Model);
        let chapters = u64::from(self.order.brief.chapters);
        let done =
            u64::from(!self.state.outline.is_empty()) + self.state.chapters.len() as u64 * each + steps;
        self.context.progress(done, 1 + chapters * each, message);
    }

    async fn save(&mut self) -> Result<(), Failure> {
        self.keeper.save(&self.state, self.pen.bill()).await?;
        self.has_got_on = true;
        Ok(())
    }

    /// What is said of a step that may have been begun before.
    fn anew(&mut self) -> &'static str {
        if std::mem::take(&mut self.is_anew) { " anew" } else { "" }
    }

    async fn plan(&mut self) -> Result<(), Failure> {
        if !self.state.outline.is_empty() {
            return Ok(());
        }
        self.tell(0, "planning the book");
        let Self { pen, people, templates, order, .. } = self;
        let sheets = people.all().await?;
        let (chapters, warning) = plan(pen, templates, &order.brief, &sheets).await?;
        if let Some(warning) = warning {
            self.state.warn(warning);
        }
        self.state.outline = chapters;
        self.is_anew = false;
        self.save().await
    }

    /// Writes chapter `index`, from its draft where there is one.
    async fn chapter(&mut self, index: usize) -> Result<(), Failure> {
        let planned = self.state.outline[index].clone();
        let sheets = self.people.in_chapter(&planned).await?;
        let of = format!("chapter {} of {}: {}", index + 1, self.state.outline.len(), planned.title);
        let anew = self.anew();
        let mut text = match &self.state.draft {
            Some(file) => self.own(file).await?,
            None => {
                self.tell(0, &format!("writing{anew} {of}"));
                let prose = self.first_text(index, &sheets).await?;
                self.state.told_of(index, &prose);
                if self.order.revision {
                    let file = format!("drafts/{:04}.md", index + 1);
                    self.state.draft = Some(self.growing.put(&file, prose.text.clone().into()).await?);
                    self.save().await?;
                }
                prose.text
            }
        };
        // What is no text is not revised, but written anew.
        if self.order.revision && is_text(&text) {
            self.tell(1, &format!("revising{anew} {of}"));
            text = self.revised(index, &sheets, text).await?;
        }
        let title = planned.title;
        let chapter = clean(text, &title).await?;
        if chapter.words == 0 {
            // A draft of no use would be found by each attempt; and this one has got on to nothing, so that it counts.
            self.has_got_on = false;
            if let Some(draft) = self.state.draft.take() {
                self.keeper.save(&self.state, self.pen.bill()).await?;
                self.growing.remove(&draft).await;
            }
            return Err(Failure::retry(format_args!("chapter {}: the model wrote no text", index + 1)));
        }
        self.state.measure(index, chapter.words, self.order.brief.words);
        self.state.dropped.merge(&chapter.losses);
        self.previous = without_title(&chapter.markdown).to_owned();
        let file = self.growing.chapter(&chapter_name(index, &title), chapter.markdown).await?;
        self.state.chapters.push(Written { file, title, words: chapter.words });
        let draft = self.state.draft.take();
        self.save().await?;
        if let Some(draft) = draft {
            self.growing.remove(&draft).await;
        }
        if self.growing.show(&self.metadata(), &self.state.entries()).await? {
            self.show_outline().await?;
        }
        Ok(())
    }

    /// A chapter's text as the model writes it first. What the next chapter needs is brought meanwhile.
    async fn first_text(&mut self, index: usize, sheets: &[String]) -> Result<Prose, Failure> {
        let Self { pen, people, templates, order, state, previous, context, .. } = self;
        let chapters = &state.outline;
        let scene = Scene { brief: order.brief.values(), chapters, index, sheets, previous };
        let (step, values) = (format!("chapter {}", index + 1), |level| scene.values(level));
        let wanted = Wanted {
            step: &step,
            template: templates.get(Name::Chapter),
            values: &values,
            continuation: templates.get(Name::Continuation),
            words: order.brief.words,
        };
        context.text(&format!("# {}\n\n", chapters[index].title));
        let mut prose = pen.prose(&wanted).boxed();
        let mut bringing = pin!(people.bring(chapters.get(index + 1)));
        let mut is_brought = false;
        let prose = loop {
            tokio::select! {
                biased;
                prose = &mut prose => break prose?,
                () = &mut bringing, if !is_brought => is_brought = true,
            }
        };
        context.text("\n\n");
        Ok(prose)
    }

    /// The text after its revision; as it was, where no good revision comes.
    async fn revised(&mut self, index: usize, sheets: &[String], draft: String) -> Result<String, Failure> {
        let Self { pen, templates, order, state, context, .. } = self;
        let scene =
            Scene { brief: order.brief.values(), chapters: &state.outline, index, sheets, previous: "" };
        let values = |level| scene.values(level).with("text", draft.clone());
        let words = u32::try_from(WordCount::of(&draft)).unwrap_or(u32::MAX);
        pen.take(order.revision_model.as_deref().unwrap_or(&order.model))?;
        let output = pen.output(words.max(order.brief.words).saturating_mul(5) / 4);
        let (step, number) = (format!("revision of chapter {}", index + 1), index + 1);
        let kept = match pen.request(templates.get(Name::Revision), &values, output)? {
            Err(_) => Some("it is too long for the model"),
            Ok(request) => {
                context.text(&format!("# {}\n\n", state.outline[index].title));
                let revised = pen.once_if_any(&step, request).await?;
                context.text("\n\n");
                let is_short = |text: &str| WordCount::of(text) * 2 < u64::from(words) || !is_text(text);
                match revised {
                    None => Some("the model wrote no text"),
                    Some((_, Finish::Length)) => Some("the revised text is longer than the model's answers"),
                    Some((text, _)) if is_short(&text) => {
                        Some("the revised text had less than half of the words")
                    }
                    Some((text, _)) => {
                        pen.take(&order.model)?;
                        return Ok(text);
                    }
                }
            }
        };
        pen.take(&order.model)?;
        if let Some(why) = kept {
            state.warn(format!("chapter {number} is kept as it was before its revision: {why}"));
        }
        Ok(draft)
    }

    /// Remembers chapter `index` for those behind it.
    async fn sum_up(&mut self, index: usize) -> Result<(), Failure> {
        let is_last = index + 1 == self.state.outline.len();
        let mut summary = String::new();
        if self.order.summaries == Summaries::Model && !is_last {
            let steps = u64::from(self.order.revision) + 1;
            let each = steps + 1;
            let anew = self.anew();
            // The chapter counts as written already.
            let (done, all) = (1 + index as u64 * each + steps, self.state.outline.len());
            let message = format!("summing up{anew} chapter {} of {all}", index + 1);
            self.context.progress(done, 1 + all as u64 * each, &message);
            let Self { pen, templates, order, state, previous, .. } = self;
            let values = order.brief.values();
            let title = state.outline[index].title.clone();
            let of_chapter = values.with("number", (index + 1).to_string()).with("chapter_title", title);
            summary =
                sum_up(pen, templates, &of_chapter, previous, &format!("summary of chapter {}", index + 1))
                    .await?;
        }
        if summary.is_empty() {
            summary = extract::summary(&self.previous, EXTRACT);
        }
        if summary.is_empty() {
            // It was edited meanwhile, or has no sentences.
            summary = format!("{} {}", self.state.outline[index].title, self.state.outline[index].plan);
        }
        self.state.outline[index].summary = summary;
        self.save().await
    }

    async fn finish(&mut self) -> Result<Generated, Failure> {
        self.growing.finish(&self.metadata(), &self.state.entries()).await?;
        self.show_outline().await?;
        let generated = Generated {
            project: self.order.project.clone(),
            title: self.order.brief.title.clone(),
            chapters: self.state.chapters.len() as u64,
            words: self.state.words(),
            bill: self.pen.bill().clone(),
            dropped: self.state.dropped.clone(),
            warnings: self.state.warnings.clone(),
        };
        self.keeper.finish(&generated).await?;
        self.growing.sweep().await;
        self.tell(0, "the book is written");
        Ok(generated)
    }

    /// The project's outline is this book's, as far as it has got.
    async fn show_outline(&self) -> Result<(), Failure> {
        let brief = Some(self.order.brief.clone());
        let outline = Outline { brief, ..Outline::new(self.state.outline.clone()) };
        outline.write(&*self.context.project(&self.order.project)).await
    }

    fn metadata(&self) -> Metadata {
        metadata(&self.order.brief.title, &self.order.brief.author, &self.order.brief.language)
    }

    /// A file of this job's.
    async fn own(&self, file: &str) -> Result<String, Failure> {
        let gone = || {
            Failure::fatal(format_args!("{file} has gone from the project: another book has taken its place"))
        };
        let bytes = self.growing.get(file).await?.ok_or_else(gone)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The text of a chapter; empty where somebody has put another in its place.
    async fn body(&self, file: &str) -> Result<String, Failure> {
        let bytes = self.growing.get(file).await?.unwrap_or_default();
        Ok(without_title(&String::from_utf8_lossy(&bytes)).to_owned())
    }
}
