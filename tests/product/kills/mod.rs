//! The kill matrix: exports of every format, in every encoding, sealed or not, whose worker is killed with -9 at a seeded
//! place (before, while or after S3 stores a part; around the beginning and the end of an upload) and which another worker
//! goes on with: the bytes are those of an export that nobody disturbed, and no part that S3 had is sent again.
//!
//! By default a seeded sample of it; all of it, 7 × 4 × 2 × 20 runs, by
//! `PRESSWORK_KILL_MATRIX=full cargo test --release -p presswork-jobs --test product kill_matrix`
//! (a number instead of `full`: so many seeds of each). A failure names its case; `PRESSWORK_KILL_CASE=html-zstd-sealed-7`
//! runs that one alone, `PRESSWORK_KILL_CASE=pdf` all of that format.

pub(super) mod book;
mod export;

use std::{io::Write as _, sync::Mutex, thread};

use presswork::domain::Encoding;
use presswork_jobs::export::Format;

use self::export::{Bench, Case};
use crate::servers::S3Server;

/// Seeds of each combination in the full matrix.
const SEEDS: u64 = 20;

/// What is run: by default each format once, so that all encodings come up, sealed and not. The cases of each
/// combination stand together.
fn cases() -> Vec<Vec<Case>> {
    let wanted = std::env::var("PRESSWORK_KILL_MATRIX").ok();
    let single = std::env::var("PRESSWORK_KILL_CASE").ok();
    let seeds = wanted.map(|wanted| if wanted == "full" { SEEDS } else { wanted.parse().unwrap() });
    let mut all = Vec::new();
    for (place, format) in Format::ALL.into_iter().enumerate() {
        for (turn, encoding) in Encoding::ALL.into_iter().enumerate() {
            for sealed in [false, true] {
                let in_sample = turn == place % 4 && sealed == ((place + place / 4) % 2 == 0);
                let seeds = seeds.unwrap_or(if single.is_some() { SEEDS } else { u64::from(in_sample) });
                let mut cases: Vec<_> =
                    (0..seeds).map(|seed| Case { format, encoding, sealed, seed }).collect();
                if let Some(single) = &single {
                    cases.retain(|case| format!("{case}-").starts_with(&format!("{single}-")));
                }
                all.push(cases);
            }
        }
    }
    all.retain(|cases| !cases.is_empty());
    all
}

/// Benches at once for each processor: most of a run is waiting for leases to lapse.
const BENCHES: usize = 2;

#[test]
fn the_kill_matrix_ends_in_the_bytes_of_an_undisturbed_export() {
    let cases = cases();
    assert!(!cases.is_empty(), "PRESSWORK_KILL_CASE names no case");
    let total: usize = cases.iter().map(Vec::len).sum();
    let processors = thread::available_parallelism().map_or(2, usize::from);
    let benches = (BENCHES * processors).min(cases.len());
    let (left, told) = (Mutex::new(cases), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        let work = || {
            // A bench of its own for each combination: sweeps look through all that a storage holds.
            while let Some(cases) = { left.lock().unwrap().pop() } {
                let mut bench = Bench::on(S3Server::start());
                let (first, runs) = (cases[0], cases.len());
                cases.into_iter().for_each(|case| bench.run(case));
                let ended = bench.end();
                say(&format!("kill matrix: {first} and on, {runs} runs: {ended:?}"));
                told.lock().unwrap().push(ended);
            }
        };
        let workers: Vec<_> = (0..benches).map(|_| scope.spawn(work)).collect();
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
    let told = told.into_inner().unwrap();
    let sum = |figure: fn(&export::Told) -> u32| told.iter().map(figure).sum::<u32>();
    let (kills, parts) = (sum(|told| told.kills), sum(|told| told.parts));
    say(&format!(
        "kill matrix: {total} exports, {kills} kills, {parts} parts stored; parts uploaded twice: {}; parts sent again: {}; \
         uploads left open: {}",
        sum(|told| told.twice),
        sum(|told| told.again),
        sum(|told| told.open),
    ));
    assert!(kills >= u32::try_from(total).unwrap());
    assert_eq!((sum(|told| told.twice), sum(|told| told.again), sum(|told| told.open)), (0, 0, 0));
}

#[test]
fn kills_on_googles_storage_end_in_the_bytes_of_an_undisturbed_export() {
    let cases = [(Format::Epub, Encoding::None, true), (Format::Html, Encoding::Zstd, false)];
    let told = thread::scope(|scope| {
        let benches = cases.map(|(format, encoding, sealed)| {
            scope.spawn(move || {
                let mut bench = Bench::on(S3Server::start_google());
                bench.run(Case { format, encoding, sealed, seed: 1 });
                bench.end()
            })
        });
        benches.map(|bench| bench.join().unwrap())
    });
    for told in told {
        assert!(told.kills >= 1, "{told:?}");
        assert_eq!((told.twice, told.again, told.open), (0, 0, 0), "{told:?}");
    }
}

/// Past the test harness, which keeps to itself what a test prints.
#[expect(clippy::explicit_write, reason = "the harness catches what `eprintln!` prints")]
fn say(line: &str) {
    writeln!(std::io::stderr(), "{line}").unwrap();
}
