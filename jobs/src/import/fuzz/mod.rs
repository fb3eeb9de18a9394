//! Every parser of what others bring, fed with what a seeded mutator makes of sound files: each input ends in a book or in a
//! reason, soon, and in little memory. A few by seed in every run of the tests; for long, over all targets in turn:
//!
//! ```sh
//! PRESSWORK_FUZZ_SECONDS=600 PRESSWORK_FUZZ_SEED=7 cargo test --release -p presswork-jobs --lib \
//!     import::fuzz::for_long -- --ignored --nocapture
//! ```
//!
//! What brings a parser down is kept as a file below the system's temporary folder, and its seed and number are told.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    path::PathBuf,
    sync::{
        Arc, Mutex,
        mpsc::{RecvTimeoutError, channel},
    },
    thread,
    time::{Duration, Instant},
};

use crate::memory;

mod mutate;
mod seeds;
mod targets;

use mutate::Mutator;
use targets::{TARGETS, Target};

/// How long an input may take. Builds without optimisation beside other tests are slow.
const LONGEST: Duration = Duration::from_secs(30);
/// How many bytes of memory all inputs together may take at most, beyond what there was before.
const MOST_BYTES: u64 = 160 << 20;

/// What is to be done with a target.
#[derive(Clone, Copy)]
struct Run {
    seed: u64,
    /// The number of its first input.
    first: u64,
    /// So many inputs, or so long.
    inputs: u64,
    time: Option<Duration>,
    /// What the process may have taken at most, where that is looked at.
    memory: Option<u64>,
}

/// Feeds a target; answers how many inputs it got.
fn feed(target: &'static Target, run: Run) -> u64 {
    let (told, heard) = channel();
    let last: Arc<Mutex<Vec<u8>>> = Arc::default();
    let (current, begun) = (last.clone(), Instant::now());
    let worker = thread::Builder::new().stack_size(2 << 20);
    // As small a stack as the importers' threads have: what nests must not need more.
    let working = worker.spawn(move || {
        let seeds = (target.seeds)();
        for number in run.first..run.first + run.inputs {
            if run.time.is_some_and(|time| begun.elapsed() > time) {
                break;
            }
            let input = Mutator::new(run.seed, target.name, number).input(&seeds, target.words);
            current.lock().unwrap().clone_from(&input);
            let survived = catch_unwind(AssertUnwindSafe(|| (target.run)(&input)));
            let problem = match (survived, run.memory) {
                (Err(_), _) => Some("it panicked"),
                (Ok(()), Some(most)) if memory::peak_bytes() > Some(most) => Some("it took too much memory"),
                (Ok(()), _) => None,
            };
            told.send((number, problem)).unwrap();
            if problem.is_some() {
                return;
            }
        }
    });
    let working = working.unwrap();
    let mut count = 0;
    let problem = loop {
        match heard.recv_timeout(LONGEST) {
            Ok((_, None)) => count += 1,
            Ok((number, Some(problem))) => break Some((number, problem)),
            Err(RecvTimeoutError::Timeout) => break Some((run.first + count, "it took too long")),
            Err(RecvTimeoutError::Disconnected) => break None,
        }
    };
    let Some((number, problem)) = problem else {
        // A stack that overflows ends the process, a panic of the harness comes out here.
        working.join().unwrap();
        return count;
    };
    let (kept, seed) = (keep(target, run.seed, number, &last.lock().unwrap()), run.seed);
    panic!("{}: input {number} of seed {seed}: {problem}: {}", target.name, kept.display());
}

fn keep(target: &Target, seed: u64, number: u64, input: &[u8]) -> PathBuf {
    let path = std::env::temp_dir().join(format!("presswork-fuzz-{}-{seed}-{number}", target.name));
    std::fs::write(&path, input).unwrap();
    path
}

#[test]
fn every_parser_survives_a_few_inputs_of_each_seed() {
    for target in TARGETS {
        for seed in [1, 2] {
            let run = Run { seed, first: 0, inputs: target.few / 2, time: None, memory: None };
            assert_eq!(feed(target, run), target.few / 2, "{}", target.name);
        }
    }
}

/// One input again, such as `epub:7:1234`.
#[test]
#[ignore = "for the input that PRESSWORK_FUZZ_INPUT names"]
fn once_more() {
    let Ok(named) = std::env::var("PRESSWORK_FUZZ_INPUT") else { return };
    let mut parts = named.split(':');
    let target = parts.next().and_then(|name| TARGETS.iter().find(|target| target.name == name)).unwrap();
    let mut number = || parts.next().unwrap().parse::<u64>().unwrap();
    let (seed, number) = (number(), number());
    let input = Mutator::new(seed, target.name, number).input(&(target.seeds)(), target.words);
    println!("{} bytes", input.len());
    (target.run)(&input);
}

#[test]
#[ignore = "takes as long as PRESSWORK_FUZZ_SECONDS says"]
fn for_long() {
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let seconds = number("PRESSWORK_FUZZ_SECONDS").unwrap_or(60);
    let seed = number("PRESSWORK_FUZZ_SEED").unwrap_or(1);
    // In turns, so that no target waits for the others' end.
    let turn = Duration::from_secs((seconds / 4).max(1)) / u32::try_from(TARGETS.len()).unwrap();
    let begun = Instant::now();
    let most = memory::peak_bytes().map(|bytes| bytes + MOST_BYTES);
    let mut counts = vec![0; TARGETS.len()];
    while begun.elapsed() < Duration::from_secs(seconds) {
        for (target, count) in TARGETS.iter().zip(&mut counts) {
            let run = Run { seed, first: *count, inputs: 1 << 40, time: Some(turn), memory: most };
            *count += feed(target, run);
        }
    }
    for (target, count) in TARGETS.iter().zip(counts) {
        println!("{:12} {count:9} inputs of seed {seed}", target.name);
    }
    let peak = memory::peak_bytes().unwrap_or_default() >> 20;
    println!("{} s, at most {peak} MiB", begun.elapsed().as_secs());
}
