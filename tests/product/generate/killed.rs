//! Workers that are killed with -9 while a book is written, between its steps and in the middle of them, at places that a seed
//! chooses. What was finished is not asked for again, counted by the server; in the end the book is whole.

use std::thread;

use presswork::domain::{Random as _, SeededRandom};
use presswork::security::outgoing::Method;
use serde_json::Value;
use tokio::runtime::Handle;

use super::{CHAPTERS, author, book, enqueue, up, whole, world};
use crate::{
    models::Mock,
    world::{Running, World},
};

const SEEDS: u64 = 20;
/// So many seeds run side by side: most of the time a dead worker's lease is waited for.
const LANES: u64 = 4;
/// As many as the steps of a book: its plan, and each chapter with its summary.
const STEPS: u64 = 1 + 2 * CHAPTERS as u64;

/// The questions that aimock was asked for a book, by what they ask for.
struct Asked(Vec<String>);

impl Asked {
    fn of(author: &Mock, runtime: &Handle, title: &str) -> Self {
        let journal = runtime.block_on(author.control(Method::GET, "/__aimock/journal", &Value::Null));
        let title = format!("the book \"{title}\"");
        let questions =
            journal.as_array().unwrap().iter().filter(|entry| entry["path"] == "/v1/chat/completions");
        let texts = questions.map(|entry| {
            let messages = entry["body"]["messages"].as_array().unwrap();
            messages.last().unwrap()["content"].as_str().unwrap().to_owned()
        });
        Self(texts.filter(|text| text.contains(&title)).collect())
    }

    fn count(&self, part: &str) -> usize {
        self.0.iter().filter(|text| text.contains(part)).count()
    }

    fn plans(&self) -> usize {
        self.count("Plan the book")
    }

    fn chapter(&self, number: usize) -> usize {
        self.count(&format!("Write chapter {number} of"))
    }

    fn summary(&self, number: usize) -> usize {
        self.count(&format!("\nChapter {number}, "))
    }
}

/// How far the project says that the book is: chapters, and of those how many are summed up.
fn finished(world: &World, project: &str) -> (usize, usize) {
    let root = world.data().join("objects/default/projects").join(project);
    let outline = std::fs::read(root.join("outline.json")).ok();
    let outline: Option<Value> = outline.map(|json| serde_json::from_slice(&json).unwrap());
    let summed = outline.map_or(0, |outline| {
        let chapters = outline["chapters"].as_array().unwrap().clone();
        chapters
            .iter()
            .filter(|chapter| chapter["summary"].as_str().is_some_and(|summary| !summary.is_empty()))
            .count()
    });
    (book(world, project).len(), summed)
}

/// Watches until step `step` has begun, and so many pieces of text beyond.
fn reach(watcher: &mut Running, step: u64, pieces: u64) {
    // Of reports without text between them only the last may be told: what comes behind a step tells of it, too.
    let writes =
        |number: u64| ["writing chapter", "writing anew chapter"].map(|does| format!("{does} {number} of"));
    let sums_up = |number: u64| {
        ["summing up chapter", "summing up anew chapter"].map(|does| format!("{does} {number} of"))
    };
    let begins = match step {
        0 => [["planning".to_owned(), "planning".to_owned()], writes(1)].concat(),
        step if step % 2 == 1 => writes(step / 2 + 1).to_vec(),
        step => [sums_up(step / 2), writes(step / 2 + 1)].concat(),
    };
    let mut left = None;
    while let Some(event) = watcher.next_json() {
        match event["type"].as_str() {
            Some("progress") => {
                let message = event["message"].as_str().unwrap();
                if left.is_none() && begins.iter().any(|begin| message.starts_with(begin)) {
                    left = Some(if step % 2 == 1 { pieces } else { 0 });
                } else if left.is_some() {
                    return;
                }
            }
            Some("text") => left = left.map(|left| left.saturating_sub(1)),
            _ if event["state"] == "completed" => return,
            _ => {}
        }
        if left == Some(0) {
            return;
        }
    }
}

fn one(author: &Mock, runtime: &Handle, world: &World, config: &str, seed: u64) -> u64 {
    let random = SeededRandom::new(seed);
    let title = format!("seed-{seed}");
    let enqueued = world.json(&enqueue(&title, config));
    let id = enqueued["id"].as_str().unwrap();
    let (mut step, mut kills) = (0, 0);
    for _ in 0..1 + random.below(2) {
        // A later one each time.
        step += random.below(STEPS - step);
        let mut worker = world.start(&up(config));
        let mut watcher = world.start(&["watch", id, "--json"]);
        reach(&mut watcher, step, random.below(6));
        worker.child.kill().unwrap();
        worker.child.wait().unwrap();
        kills += 1;
        let (before, (chapters, summed)) = (Asked::of(author, runtime, &title), finished(world, &title));
        let worker = world.start(&up(config));
        let mut watcher = world.start(&["watch", id, "--json"]);
        // Until the next one has begun, or the book is whole.
        reach(&mut watcher, (step + 2).min(STEPS - 1), 0);
        drop(worker);
        kills += 1;
        let after = Asked::of(author, runtime, &title);
        assert!(
            chapters == 0 || after.plans() == before.plans(),
            "{title}: a plan that was finished was asked for again"
        );
        for number in 1..=chapters {
            assert_eq!(
                after.chapter(number),
                before.chapter(number),
                "{title}: chapter {number} was finished"
            );
        }
        for number in 1..=summed {
            assert_eq!(
                after.summary(number),
                before.summary(number),
                "{title}: summary {number} was finished"
            );
        }
        if step + 1 >= STEPS {
            break;
        }
        step += 1;
    }
    let _worker = world.start(&up(config));
    let ended = world.json(&["jobs", "wait", id, "--timeout", "2m"]);
    assert_eq!(ended["state"], "completed", "{title}: {ended}");
    assert_eq!(book(world, &title), whole(), "{title}");
    let asked = Asked::of(author, runtime, &title);
    let kills_in_all = usize::try_from(kills).unwrap();
    // A question that nobody saw the end of is asked again, once for each kill; no other one.
    assert!(
        asked.0.len() <= 2 * CHAPTERS + kills_in_all,
        "{title}: {} questions, {kills} kills",
        asked.0.len()
    );
    let leftover =
        world.objects().into_iter().filter(|key| key.contains(&title) && key.contains("state-")).count();
    assert_eq!(leftover, 0, "{title}");
    kills
}

#[tokio::test(flavor = "multi_thread")]
async fn killed_anywhere_a_book_is_gone_on_with_and_no_finished_step_is_asked_for_again() {
    let author = std::sync::Arc::new(author().await);
    let runtime = Handle::current();
    let lanes: Vec<_> = (0..LANES)
        .map(|lane| {
            let (author, runtime) = (author.clone(), runtime.clone());
            thread::spawn(move || {
                let (world, config) = world(author.port);
                (0..SEEDS)
                    .filter(|seed| seed % LANES == lane)
                    .map(|seed| one(&author, &runtime, &world, &config, seed))
                    .sum::<u64>()
            })
        })
        .collect();
    let kills: u64 = lanes.into_iter().map(|lane| lane.join().unwrap()).sum();
    println!("{SEEDS} books, {kills} kills, no finished step asked for again");
    assert!(kills >= SEEDS);
}
