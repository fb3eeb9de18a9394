//! One export that is killed and goes on, and the bench on which that happens: a world, an S3 server or one that speaks as
//! Google's does, two books.

use std::{
    collections::{HashMap, HashSet},
    fmt, fs,
    path::PathBuf,
};

use presswork::domain::{Encoding, Random as _, SeededRandom};
use presswork_jobs::export::Format;
use serde_json::Value;

use super::book;
use crate::{
    servers::{
        S3Server,
        s3::{Gate, Matching, Moment, Operation, UploadState},
    },
    world::{Running, World},
};

/// One run of the matrix.
#[derive(Clone, Copy, Debug)]
pub(super) struct Case {
    pub(super) format: Format,
    pub(super) encoding: Encoding,
    pub(super) sealed: bool,
    pub(super) seed: u64,
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { format, encoding, sealed, seed } = self;
        write!(f, "{format}-{encoding}-{}-{seed}", if *sealed { "sealed" } else { "plain" })
    }
}

/// What a bench has seen.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    pub(super) kills: u32,
    pub(super) parts: u32,
    /// Parts stored more than once, over all attempts of an export.
    pub(super) twice: u32,
    /// Parts that were sent although their upload had them.
    pub(super) again: u32,
    pub(super) open: u32,
}

pub(super) struct Bench {
    world: World,
    server: S3Server,
    /// What comes out where nobody disturbs: the plain bytes' hash, and a copy of what is stored.
    undisturbed: HashMap<(Format, Encoding, bool), (String, PathBuf)>,
    /// By tenant and name.
    imported: HashSet<(bool, &'static str)>,
    kills: u32,
}

/// What an export has made.
struct Made {
    sha256: String,
    stored: Vec<u8>,
}

impl Case {
    /// One whose artifacts are sealed, or one whose are not.
    fn tenant(self) -> [&'static str; 2] {
        ["--tenant", if self.sealed { "sealed" } else { "plain" }]
    }

    fn project(self) -> &'static str {
        // Plain text has no pictures.
        if self.format == Format::Text { "words" } else { "pictures" }
    }
}

impl Bench {
    pub(super) fn on(server: S3Server) -> Self {
        let world = World::on_s3(&server, "kills");
        book::of_pictures(&world.path("pictures"));
        book::of_words(&world.path("words"));
        let bench = Self { world, server, undisturbed: HashMap::new(), imported: HashSet::new(), kills: 0 };
        bench.world.json(&["tenants", "set", "sealed", "--seal", "on"]);
        bench
    }

    /// A worker, as a process that hears signals.
    fn worker(&self, lease: &str) -> Running {
        let mut worker = self.world.start(&["up", "--json", "--lease", lease, "--log", "error"]);
        assert_eq!(worker.next_json().unwrap()["event"], "started");
        worker
    }

    fn enqueue(&self, case: Case) -> String {
        let project = case.project();
        let (format, encoding) = (case.format.name(), case.encoding.name());
        let export = ["enqueue", "export", project, "--format", format, "--compression", encoding];
        let enqueued = self.world.json(&[&case.tenant()[..], &export].concat());
        enqueued["id"].as_str().unwrap().to_owned()
    }

    /// What an export that has been enqueued has made, once it has completed.
    fn made(&self, case: Case, id: &str) -> Made {
        let tenant = case.tenant();
        let mut watcher = self.world.start(&[&tenant[..], &["watch", id, "--json"]].concat());
        let last = watcher.until(|line| {
            line["type"] == "state" && ["completed", "dead"].iter().any(|state| line["state"] == *state)
        });
        assert_eq!(last["state"], "completed", "{case}: {last}");
        let job: Value = self.world.json(&[&tenant[..], &["jobs", "show", id]].concat());
        assert_eq!(job["artifacts"].as_array().unwrap().len(), 1, "{case}: {job}");
        let artifact = &job["artifacts"][0];
        assert_eq!(artifact["seal"].is_null(), !case.sealed, "{case}: {job}");
        // Reads all of it, and compares it with what the manifest says.
        let copy = self.world.path("copy");
        self.world.json(&[&tenant[..], &["artifacts", "get", id, "-o", copy.to_str().unwrap()]].concat());
        fs::remove_file(copy).unwrap();
        let name = format!("/{}", artifact["name"].as_str().unwrap());
        let objects = self.server.objects().into_iter().map(|(key, _)| key);
        let keys: Vec<String> = objects.filter(|key| key.contains(id) && key.ends_with(&name)).collect();
        assert_eq!(keys.len(), 1, "{case}: one object is there, and nothing of other attempts: {keys:?}");
        let stored = self.server.object(&keys[0]);
        // A full matrix would fill the disk.
        fs::remove_file(self.server.file(&keys[0])).unwrap();
        Made { sha256: artifact["sha256"].as_str().unwrap().to_owned(), stored }
    }

    /// What comes out where nobody disturbs; made once.
    fn undisturbed(&mut self, case: Case) -> (String, PathBuf) {
        let which = (case.format, case.encoding, case.sealed);
        if let Some(made) = self.undisturbed.get(&which) {
            return made.clone();
        }
        let worker = self.worker(LONG);
        if self.imported.insert((case.sealed, case.project())) {
            let folder = self.world.path(case.project());
            let import =
                ["enqueue", "import", folder.to_str().unwrap(), "--project", case.project(), "--wait"];
            self.world.json(&[&case.tenant()[..], &import].concat());
        }
        let before = self.server.figures().parts_stored();
        let id = self.enqueue(case);
        let made = self.made(case, &id);
        end(worker);
        let parts = self.server.figures().parts_stored() - before;
        assert!(parts >= PARTS, "{case}: the book is too small: {parts} parts");
        let file = self.world.path(&format!("{case}.undisturbed"));
        fs::write(&file, made.stored).unwrap();
        self.undisturbed.insert(which, (made.sha256.clone(), file.clone()));
        (made.sha256, file)
    }

    /// Runs one case; panics where it does not end as it should.
    pub(super) fn run(&mut self, case: Case) {
        let (sha256, stored) = self.undisturbed(case);
        let random =
            SeededRandom::new(case.seed + 1_000 * (case.format as u64) + 100_000 * (case.encoding as u64));
        let id = self.enqueue(case);
        let mut step = 0;
        for place in 0..1 + random.below(2) {
            // A later one each time: what is durable is not sent again, so that nothing earlier comes by.
            step += random.below(STEPS - step);
            let gate = self.gate(&id, step, &random);
            let mut worker = self.worker(SHORT);
            let finished = |written: &str| written.contains(&id) && written.contains("/.manifests/");
            self.server.wait_until(&format!("{case}: kill {place} at step {step}"), |figures| {
                gate.was_reached() || figures.written.iter().any(|key| finished(key))
            });
            let was_reached = gate.was_reached();
            worker.child.kill().unwrap();
            worker.child.wait().unwrap();
            gate.cut();
            self.server.behave();
            self.kills += 1;
            if !was_reached || step == STEPS - 1 {
                break;
            }
            step += 1;
        }
        let worker = self.worker(LONG);
        let made = self.made(case, &id);
        end(worker);
        assert_eq!(made.sha256, sha256, "{case}: other plain bytes");
        // Each sealed artifact has a salt of its own.
        assert!(case.sealed || made.stored == fs::read(stored).unwrap(), "{case}: other bytes on storage");
        let figures = self.server.figures();
        assert_eq!(figures.parts_stored_twice(), 0, "{case}: {figures}");
    }

    /// Where a worker is to be killed.
    fn gate(&self, id: &str, step: u64, random: &SeededRandom) -> Gate {
        let (operation, part) = match step {
            0 => (Operation::CreateUpload, None),
            1..=3 => (Operation::UploadPart, u32::try_from(step).ok()),
            4 => (Operation::CompleteUpload, None),
            _ => (Operation::Put, None),
        };
        let moment = match random.below(4) {
            0 => Moment::Arrived,
            1 => Moment::Body(usize::try_from(random.below(5 << 20)).unwrap()),
            2 => Moment::Whole,
            _ => Moment::Done,
        };
        let matching = Matching::operation(operation).key(id);
        let matching = match part {
            Some(part) => matching.part(part),
            None if operation == Operation::Put => matching.key("/.manifests/"),
            None => matching,
        };
        self.server.hold(matching, 1, moment)
    }

    /// Sweeps, and tells.
    pub(super) fn end(self) -> Told {
        // A worker sweeps when it starts, and now and then.
        let worker = self.worker(LONG);
        self.server.wait_until("every upload is complete or given up", |figures| {
            figures.uploads(UploadState::Open) == 0
        });
        end(worker);
        let figures = self.server.figures();
        Told {
            kills: self.kills,
            parts: figures.parts_stored(),
            twice: figures.parts_stored_twice(),
            again: figures.parts_sent_again(),
            open: u32::try_from(figures.uploads(UploadState::Open)).unwrap(),
        }
    }
}

/// How long a lease holds of a worker that is to be killed: so long the next one waits. A machine with other things to do
/// must be able to renew it.
const SHORT: &str = "2s";
/// And of one that is to live.
const LONG: &str = "30s";
/// Parts that an export has at least.
const PARTS: u32 = 3;
/// The beginning of an upload, three parts, its end, its manifest.
const STEPS: u64 = 6;

/// Asks a worker to stop, and waits until it has.
fn end(mut worker: Running) {
    let asked = std::process::Command::new("kill").args(["-TERM", &worker.child.id().to_string()]).status();
    assert!(asked.unwrap().success());
    assert!(worker.child.wait().unwrap().success());
}
