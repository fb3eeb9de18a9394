//! The log on a real folder and a real store: what survives, and what is found.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use super::*;
use crate::{
    domain::{SystemRandom, clock::SystemClock},
    security::{
        alerts::{Alert, AlertOptions, Rule},
        master::MasterKeys,
        outgoing::{Outgoing, OutgoingRules},
    },
    store::sqlite::{Database, SqliteRecords},
};

const MASTER: &str = "1111111111111111111111111111111111111111111111111111111111111111";

pub(super) struct World {
    _root: Option<tempfile::TempDir>,
    path: PathBuf,
    pub(super) records: Arc<dyn Records>,
    pub(super) masters: MasterSource,
    pub(super) keeping: Keeping,
}

impl World {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let world = Self::at(root.path().to_owned());
        Self { _root: Some(root), ..world }
    }

    /// In this folder, which stays.
    pub(super) fn at(path: PathBuf) -> Self {
        let database = Database::open(&path.join("x.db"), &[SqliteRecords::MIGRATIONS]).unwrap();
        let records = SqliteRecords::new(Arc::new(database), Arc::new(SystemClock));
        let masters = MasterSource::Given(MASTER.parse::<MasterKeys>().unwrap());
        Self { _root: None, path, records: Arc::new(records), masters, keeping: Keeping::default() }
    }

    /// A process of this node.
    pub(super) fn audit(&self) -> Audit {
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let outgoing = Outgoing::new(OutgoingRules::default());
        let alerts = Alerts::new(AlertOptions::default(), outgoing, clock.clone(), random.clone());
        Audit::new(Parts {
            folder: self.folder(),
            keeping: self.keeping.clone(),
            masters: self.masters.clone(),
            records: self.records.clone(),
            alerts,
            settings: "Settings {\n    lease: 1,\n}".to_owned(),
            clock,
            random,
        })
    }

    pub(super) fn folder(&self) -> Folder {
        Folder::new(self.path.join("audit"))
    }

    pub(super) fn path(&self) -> &std::path::Path {
        &self.path
    }

    pub(super) fn paths(&self) -> Vec<PathBuf> {
        self.folder().files().unwrap().into_iter().map(|(_, path)| path).collect()
    }

    pub(super) async fn verdict(&self) -> Verdict {
        let audit = self.audit();
        verify(&self.paths(), audit.head().await.unwrap().as_ref(), &audit.signer()).unwrap()
    }

    /// Lines of the only file.
    pub(super) fn lines(&self) -> Vec<String> {
        fs::read_to_string(&self.paths()[0]).unwrap().lines().map(ToOwned::to_owned).collect()
    }

    fn rewrite(&self, lines: &[String]) {
        fs::write(&self.paths()[0], lines.join("\n") + "\n").unwrap();
    }
}

pub(super) fn login(n: u32) -> Entry {
    Entry::new(Action::Login).to(format!("user-{n}")).with("n", n)
}

pub(super) async fn recorded(world: &World, count: u32) {
    let audit = world.audit();
    for n in 0..count {
        audit.record(login(n)).await;
    }
    audit.settle(Duration::from_secs(20)).await;
    assert!(audit.is_healthy());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_recorded_is_on_disk_in_the_store_and_whole() {
    let world = World::new();
    recorded(&world, 10).await;
    let verdict = world.verdict().await;
    assert!(verdict.whole, "{verdict:?}");
    // Where the file begins is an entry, and the checkpoint at the end.
    assert_eq!((verdict.entries, verdict.last, verdict.signed_until), (12, Some(12), Some(11)));
    assert!(verdict.tail.contains("signed word"), "{}", verdict.tail);
    #[cfg(unix)]
    for (path, mode) in [(world.folder().path().to_owned(), 0o700), (world.paths()[0].clone(), 0o600)] {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(fs::metadata(path).unwrap().permissions().mode() & 0o777, mode);
    }
    let filter = Filter { text: Some("USER-7".to_owned()), ..Filter::default() };
    let found = from_store(&world.records, &filter, None, 10).await.unwrap().unwrap();
    assert_eq!(found.lines.len(), 1);
    assert_eq!(found.lines[0].target.as_deref(), Some("user-7"));
    let all = from_store(&world.records, &Filter::default(), None, 5).await.unwrap().unwrap();
    assert_eq!(all.lines.iter().map(|line| line.seq).collect::<Vec<_>>(), [12, 11, 10, 9, 8]);
    let rest =
        from_store(&world.records, &Filter::default(), all.next.as_deref(), 50).await.unwrap().unwrap();
    assert_eq!((rest.lines[0].seq, rest.lines.len(), rest.next), (7, 7, None));
    assert!(from_store(&world.records, &Filter::default(), Some("nonsense"), 5).await.unwrap().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_tampering_is_found_and_its_place_is_told() {
    let world = World::new();
    recorded(&world, 20).await;
    let lines = world.lines();
    type Tamper = fn(&mut Vec<String>);
    let acts: [(&str, Tamper, &str); 8] = [
        ("an edit", |lines| lines[7] = lines[7].replace("user-6", "user-x"), "was changed"),
        ("a removed line", |lines| drop(lines.remove(7)), "1 entries are missing"),
        ("swapped lines", |lines| lines.swap(7, 8), "missing before it"),
        ("a line twice", |lines| lines.insert(8, lines[7].clone()), "inserted or swapped"),
        ("an inserted line", |lines| lines.insert(8, "{}".to_owned()), "no entry of the log"),
        ("a cut tail", |lines| lines.truncate(15), "the tail was cut"),
        ("a cut beginning", |lines| drop(lines.drain(..5)), "does not say that they were removed"),
        ("an empty file", Vec::clear, "the tail was cut"),
    ];
    for (act, tamper, told) in acts {
        let mut changed = lines.clone();
        tamper(&mut changed);
        world.rewrite(&changed);
        let verdict = world.verdict().await;
        let all: Vec<_> = verdict.findings.iter().map(|finding| finding.problem.as_str()).collect();
        assert!(!verdict.whole && all.iter().any(|problem| problem.contains(told)), "{act}: {all:?}");
        if act == "an edit" {
            let finding = &verdict.findings[0];
            assert_eq!((finding.line, finding.seq, verdict.breaks), (8, Some(8), 1), "{finding:?}");
        }
    }
    world.rewrite(&lines);
    assert!(world.verdict().await.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hashes_the_whole_log_anew_is_found_by_the_checkpoint_and_by_the_store() {
    let world = World::new();
    recorded(&world, 10).await;
    let mut prev = Hash::default();
    let forged: Vec<String> = world
        .lines()
        .iter()
        .map(|line| {
            let line = Line::read(line).unwrap();
            let mut entry = Clean::of(&Entry::new(Action::Login).to("forged"));
            if line.event() == Some("checkpoint") {
                entry = Clean::about_log(Outcome::Done, "checkpoint", &[]);
                entry.detail = line.detail.clone();
            }
            let mut out = String::new();
            prev = Line::write(&entry, line.seq, &line.node, line.at, prev, &mut out);
            out.trim_end().to_owned()
        })
        .collect();
    world.rewrite(&forged);
    let verdict = world.verdict().await;
    let problems: Vec<_> = verdict.findings.iter().map(|finding| finding.problem.as_str()).collect();
    assert!(problems.iter().any(|problem| problem.contains("signature does not hold")), "{problems:?}");
    assert!(
        problems.iter().any(|problem| problem.contains("not the one that the store has seen")),
        "{problems:?}"
    );
    assert_eq!(verdict.signed_until, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_another_node_are_told_apart() {
    let (world, other) = (World::new(), World::new());
    recorded(&world, 3).await;
    recorded(&other, 3).await;
    let mixed = [world.paths(), other.paths()].concat();
    let verdict = verify(&mixed, None, &world.audit().signer()).unwrap();
    assert!(
        verdict.findings.iter().any(|finding| finding.problem.contains("belongs to the log of node")),
        "{verdict:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn rotation_keeps_the_chain_and_retention_says_what_it_removed() {
    let mut world = World::new();
    world.keeping = Keeping { rotate_bytes: 4_000, keep_files: 3, ..Keeping::default() };
    recorded(&world, 60).await;
    let paths = world.paths();
    assert_eq!(paths.len(), 3, "{paths:?}");
    let verdict = world.verdict().await;
    assert!(verdict.whole, "{:?}", verdict.findings);
    assert!(
        verdict.first > Some(1) && verdict.notes.iter().any(|note| note.contains("removed by retention"))
    );
    // A file that somebody else removes is missed, also the first of those that are left.
    for (file, told) in [(0, "does not say that they were removed"), (1, "are missing")] {
        let kept = fs::read(&paths[file]).unwrap();
        fs::remove_file(&paths[file]).unwrap();
        let verdict = world.verdict().await;
        assert!(verdict.findings.iter().any(|finding| finding.problem.contains(told)), "{verdict:?}");
        if file == 0 {
            fs::write(&paths[file], kept).unwrap();
        }
    }
    // A process that starts now goes on behind the last file.
    recorded(&world, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_torn_line_is_cut_off_and_noted_and_the_chain_goes_on() {
    let world = World::new();
    recorded(&world, 3).await;
    let path = world.paths()[0].clone();
    let mut text = fs::read_to_string(&path).unwrap();
    text.push_str("{\"v\":1,\"seq\":6,\"node\":\"half");
    fs::write(&path, &text).unwrap();
    assert!(world.verdict().await.findings[0].problem.contains("no end"));
    recorded(&world, 1).await;
    let verdict = world.verdict().await;
    assert!(verdict.whole, "{:?}", verdict.findings);
    assert!(verdict.notes.iter().any(|note| note.contains("torn")), "{:?}", verdict.notes);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_lost_power_leaves_behind_the_last_line_is_cut_off_and_no_line_before_it() {
    let world = World::new();
    recorded(&world, 300).await;
    let path = world.paths()[0].clone();
    let before = fs::read(&path).unwrap();
    for size in [1, 128 << 10, 1 << 20] {
        fs::write(&path, [before.as_slice(), &vec![0; size]].concat()).unwrap();
        recorded(&world, 1).await;
        let verdict = world.verdict().await;
        let is_there = fs::read(&path).is_ok_and(|now| now.starts_with(&before));
        assert!(is_there && verdict.last > Some(300), "{size}: {verdict:?}");
        fs::write(&path, &before).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn processes_of_one_node_write_one_chain() {
    let world = World::new();
    let audits: Vec<_> = (0..4).map(|_| world.audit()).collect();
    let tasks: Vec<_> = audits
        .iter()
        .cloned()
        .map(|audit| {
            tokio::spawn(async move {
                for n in 0..50 {
                    audit.record(login(n)).await;
                }
                audit.settle(Duration::from_secs(20)).await;
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    world.audit().ship().await.unwrap();
    let verdict = world.verdict().await;
    assert!(verdict.whole, "{:?}", verdict.findings);
    let mut logins = 0;
    let filter = Filter { action: Some("auth.".to_owned()), ..Filter::default() };
    from_files(&world.paths(), &filter, |_| {
        logins += 1;
        true
    })
    .unwrap();
    assert_eq!(logins, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_cut_while_it_is_written_is_told_at_once_and_stays_told() {
    let world = World::new();
    let audit = world.audit();
    let mut heard = audit.alerts().subscribe();
    for n in 0..5 {
        audit.record(login(n)).await;
    }
    audit.ship().await.unwrap();
    let lines = world.lines();
    world.rewrite(&lines[..3]);
    audit.record(login(9)).await;
    let alert: Alert = heard.recv().await.unwrap();
    assert!(alert.rule == Rule::AuditBroken && alert.message.contains("was cut"), "{alert:?}");
    assert!(audit.health().broken.is_some());
    audit.settle(Duration::from_secs(20)).await;
    let verdict = world.verdict().await;
    assert!(verdict.findings.iter().any(|finding| finding.problem.contains("tampered with")), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_cut_between_two_processes_is_found_by_the_store() {
    let world = World::new();
    recorded(&world, 10).await;
    let lines = world.lines();
    world.rewrite(&lines[..6]);
    recorded(&world, 10).await;
    let verdict = world.verdict().await;
    let seen = |finding: &Finding| finding.problem.contains("the store has seen a break");
    assert!(verdict.findings.iter().any(seen), "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_master_key_it_is_said_that_a_cut_can_not_be_proved() {
    let mut world = World::new();
    world.masters = MasterSource::Absent;
    recorded(&world, 3).await;
    let verdict = world.verdict().await;
    assert!(verdict.whole && verdict.signed_until.is_none(), "{verdict:?}");
    assert!(verdict.tail.contains("not proved without the master key"), "{}", verdict.tail);
}
