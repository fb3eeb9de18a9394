//! The same book's jobs twice: what of it the cache answers, and what that saves. A book is an outline, chapters and their
//! summaries, each a job with one question. First one book is written; then the same again, with another one's jobs among them.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use clap::Args;
use futures_util::{StreamExt as _, stream};
use presswork::{
    cli::{App, CliError},
    domain::{Cost, Failure, JobId, KindName, NewJob, TenantId},
    worker::{Context, Kind, Registry, Worker, new_job},
};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{
    noop::tenants,
    place::{Place, engine_name},
    rounded, unless_stopped,
};
use crate::{
    asking::{Asker, Bill, Caching},
    in_process::{Working, completed, enqueue},
    model::{Answer, Event, Finish, LanguageModel, ModelFacts, Price, Request, Used, tokens},
};

/// What `bench cache` is told.
#[derive(Debug, Args)]
pub(super) struct CacheArguments {
    /// How many chapters the book has that is written twice
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    chapters: u32,
    /// How many the new one has whose jobs are among those of the second time
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(0..=1_000))]
    new: u32,
}

/// Of the repeated questions.
const WANTED: f64 = 0.8;
const SLOTS: usize = 8;
/// As one of the larger models costs, a million tokens.
const PRICE: &str = "input = 3\noutput = 15";

#[derive(Debug, Serialize)]
struct Figures {
    bench: &'static str,
    engine: &'static str,
    repeated: u64,
    new: u64,
    hits: u64,
    hit_share: f64,
    first_cost: String,
    second_cost: String,
    /// What the second time would have cost without the cache.
    second_cost_uncached: String,
    saved: String,
    saved_share: f64,
    /// Questions that the model was asked, all in all.
    asked: u64,
    first_s: f64,
    second_s: f64,
}

/// A question of a book's.
#[derive(Debug, Serialize, Deserialize)]
struct Step {
    book: u32,
    chapter: u32,
    part: Part,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
enum Part {
    Outline,
    Chapter,
    Summary,
}

impl Kind for Step {
    const NAME: KindName = KindName::literal("bench-step");
    type Output = Bill;

    async fn run(self, context: Context) -> Result<Bill, Failure> {
        let price: Price = toml::from_str(PRICE).map_err(Failure::fatal)?;
        let model: Arc<dyn LanguageModel> = DRAFTS.clone();
        let mut asker =
            Asker::in_process(&context, "drafts", model, Some(price), Caching::Shared, Bill::default())?;
        let request = self.request().map_err(Failure::fatal)?;
        asker.ask("the step", &request, &mut |piece| context.text(piece)).await?;
        Ok(asker.bill().clone())
    }
}

impl Step {
    fn request(&self) -> Result<Request, CliError> {
        let Self { book, chapter, part } = self;
        let outline = words(&format!("outline {book}"), 400);
        let (ask, output) = match part {
            Part::Outline => (format!("Plan book {book}."), 800),
            Part::Chapter => {
                (format!("The plan:\n{outline}\nWrite chapter {chapter} of book {book}."), 2_000)
            }
            Part::Summary => {
                let chapter = words(&format!("chapter {chapter} of {book}"), 1_500);
                (format!("Tell in short what happens:\n{chapter}"), 200)
            }
        };
        Request::new(ask, output).map_err(CliError::usage)
    }

    /// All of a book's.
    fn all(book: u32, chapters: u32) -> Vec<Self> {
        let of_chapter = |chapter| [Part::Chapter, Part::Summary].map(|part| Self { book, chapter, part });
        let outline = (chapters > 0).then_some(Self { book, chapter: 0, part: Part::Outline });
        outline.into_iter().chain((1..=chapters).flat_map(of_chapter)).collect()
    }
}

/// A model that writes words by what it is asked, at once: only what is around it takes time here.
#[derive(Debug)]
struct Drafts {
    facts: ModelFacts,
    asked: AtomicU64,
}

/// Handlers know nothing of who measures: what they ask stands here.
static DRAFTS: LazyLock<Arc<Drafts>> = LazyLock::new(|| {
    let facts =
        ModelFacts { provider: "bench".to_owned(), base_url: String::new(), model: "drafts".to_owned() };
    Arc::new(Drafts { facts, asked: AtomicU64::new(0) })
});

impl LanguageModel for Drafts {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn ask(&self, request: &Request) -> Answer {
        self.asked.fetch_add(1, Relaxed);
        let question = request.messages.last().map_or("", |message| &*message.text);
        let text = words(question, request.max_output_tokens / 3);
        let used =
            Used { input: Some(request.input_tokens()), output: Some(tokens(&text)), ..Used::default() };
        let events = [Event::Text(text), Event::Used(used), Event::Finished(Finish::Stop)];
        Answer::new(request, stream::iter(events.map(Ok)))
    }
}

/// So many words, always the same of the same seed.
fn words(seed: &str, count: u32) -> String {
    const WORDS: [&str; 16] = [
        "the", "keeper", "of", "a", "light", "went", "down", "to", "her", "boat", "and", "found", "it",
        "gone", "again", "then",
    ];
    let mut text = String::new();
    let mut digest = Sha256::digest(seed);
    for number in 0..count as usize {
        if number % 32 == 31 {
            digest = Sha256::digest(digest);
        }
        text.push_str(WORDS[usize::from(digest[number % 32] & 15)]);
        text.push(' ');
    }
    text
}

pub(super) async fn run(arguments: CacheArguments, app: &App) -> Result<(), CliError> {
    let place = Place::open(app).await?;
    let measured = unless_stopped(measure(&arguments, &place, app)).await;
    let closed = place.close().await;
    let figures = measured?;
    closed?;
    app.output().json_line(&figures)?;
    let so = if figures.hit_share >= WANTED { "yes" } else { "no" };
    let share = format!("{:.1} %", figures.hit_share * 100.0);
    let hits = format!("{} of {}", figures.hits, figures.repeated);
    let saved = format!("{} of {}", figures.saved, figures.second_cost_uncached);
    let saved_share = format!("{:.1} %", figures.saved_share * 100.0);
    let rows = [
        vec!["repeated questions from the cache".to_owned(), hits, share, "80 %".to_owned(), so.to_owned()],
        vec!["saved the second time".to_owned(), saved, saved_share, String::new(), String::new()],
    ];
    app.output().table(&["THE SAME BOOK TWICE", "HOW MANY", "SHARE", "WANTED", "SO"], &rows)
}

async fn measure(arguments: &CacheArguments, place: &Place, app: &App) -> Result<Figures, CliError> {
    let owner = tenants(1)?.remove(0);
    let registry = Arc::new(Registry::new().register::<Step>());
    let mut options = app.worker_options();
    options.concurrency = SLOTS;
    let working = Working::start(Worker::new(place.engine.parts(registry).await?, options)?);
    let before = DRAFTS.asked.load(Relaxed);
    let measured = async {
        let first = written(place, &owner, Step::all(1, arguments.chapters)).await?;
        let (old, new) = (Step::all(1, arguments.chapters), Step::all(2, arguments.new));
        let second = written(place, &owner, mixed(old, new)).await?;
        Ok::<_, CliError>((first, second))
    };
    let measured = measured.await;
    working.stop().await?;
    let (first, second) = measured?;
    let repeated = Step::all(1, arguments.chapters).len() as u64;
    let new = Step::all(2, arguments.new).len() as u64;
    let asked = DRAFTS.asked.load(Relaxed) - before;
    // New questions are all different: what comes from the cache is repeated.
    let hits = second.cached;
    let uncached = second.cost.plus(second.saved);
    Ok(Figures {
        bench: "cache",
        engine: engine_name(app),
        repeated,
        new,
        hits,
        hit_share: share(hits, repeated),
        first_cost: first.cost.to_string(),
        second_cost: second.cost.to_string(),
        second_cost_uncached: uncached.to_string(),
        saved: second.saved.to_string(),
        saved_share: share(second.saved.as_nanos(), uncached.as_nanos()),
        asked,
        first_s: rounded(first.seconds),
        second_s: rounded(second.seconds),
    })
}

/// What it took to have jobs done.
#[derive(Debug, Default)]
struct Taken {
    cost: Cost,
    saved: Cost,
    cached: u64,
    seconds: f64,
}

/// Has all of these done.
async fn written(place: &Place, owner: &TenantId, steps: Vec<Step>) -> Result<Taken, CliError> {
    let engine = &place.engine;
    let new = |step: &Step| -> Result<NewJob, CliError> {
        Ok(new_job(JobId::new(engine.clock.now(), &*engine.random), owner.clone(), step)?)
    };
    let jobs = steps.iter().map(new).collect::<Result<Vec<_>, _>>()?;
    let ids: Vec<JobId> = jobs.iter().map(|job| job.id).collect();
    let begun = Instant::now();
    enqueue(engine, jobs).await?;
    let mut taken = Taken::default();
    for id in ids {
        let mut events = engine.progress.follow(owner, id, 0).await?;
        while let Some(event) = events.next().await {
            event?;
        }
        let output = completed(engine, owner, id, "a step").await?.output.unwrap_or_default();
        let bill: Bill = serde_json::from_value(output.result).map_err(CliError::unavailable)?;
        let total = bill.total();
        taken.cost += total.cost;
        taken.saved += total.saved;
        taken.cached += total.cached_calls;
    }
    taken.seconds = begun.elapsed().as_secs_f64();
    Ok(taken)
}

/// One after the other's, as they would come.
fn mixed(old: Vec<Step>, new: Vec<Step>) -> Vec<Step> {
    let every = old.len().div_ceil(new.len().max(1)).max(1);
    let mut all = BTreeMap::new();
    for (place, step) in old.into_iter().enumerate() {
        all.insert((place, 0), step);
    }
    for (place, step) in new.into_iter().enumerate() {
        all.insert((place * every, place + 1), step);
    }
    all.into_values().collect()
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn share(part: u64, whole: u64) -> f64 {
    rounded(part as f64 / (whole.max(1)) as f64)
}
