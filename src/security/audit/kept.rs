//! What is kept of what is recorded, how much of it, and what is said where it can't be kept.

use std::{fs, path::PathBuf, time::Duration};

use super::{
    tests::{World, login, recorded},
    *,
};
use crate::{domain::clock::SystemClock, security::alerts::Rule};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_values_reach_no_line_and_secrets_neither() {
    let world = World::new();
    let key = "pw_live_0123456789abcdefghijklmnopqrstuvwxyzABCDEFG_abcdef";
    let hostile = [
        "a\r\n{\"v\":1,\"seq\":99}",
        "\u{1b}[2J\u{1b}]0;owned\u{7}",
        "\u{9b}31m",
        "x\u{2028}y\u{2029}z",
        "\u{202e}cod.exe\u{2066}",
        "\u{0}\u{8}\u{7f}",
        "${jndi:ldap://x}",
        "%0d%0aSet-Cookie",
        key,
    ];
    let audit = world.audit();
    for text in hostile {
        let entry = Entry::new(Action::SuspiciousInput).by(Actor::Subject(text.to_owned())).to(text);
        audit.record(Entry { request: Some(text.to_owned()), ..entry.with("path", text) }).await;
    }
    audit.settle(Duration::from_secs(20)).await;
    let lines = world.lines();
    assert_eq!(lines.len(), hostile.len() + 2);
    for line in &lines {
        assert!(!line.chars().any(is_harmful) && !line.contains("0123456789ab"), "{line}");
        assert!(!Line::read(line).unwrap().to_text().chars().any(is_harmful));
    }
    assert!(world.verdict().await.whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_takes_nothing_is_told_and_what_waited_is_written_later() {
    let world = World::new();
    // A file stands where the folder should be.
    let place = world.folder().path().to_owned();
    fs::write(&place, "").unwrap();
    let audit = world.audit();
    let mut heard = audit.alerts().subscribe();
    audit.record(login(1)).await;
    assert!(!audit.is_healthy());
    assert_eq!(heard.recv().await.unwrap().rule, Rule::AuditBroken);
    fs::remove_file(&place).unwrap();
    audit.record(login(2)).await;
    audit.settle(Duration::from_secs(20)).await;
    assert!(audit.is_healthy());
    let verdict = world.verdict().await;
    assert!(verdict.whole && verdict.entries >= 3, "{verdict:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_differ_from_the_last_start_are_recorded_by_name() {
    let world = World::new();
    world.audit().note_start().await;
    assert_eq!(world.paths(), Vec::<PathBuf>::new(), "the first start differs from nothing");
    let path = world.folder().path().join("settings.json");
    fs::write(&path, fs::read_to_string(&path).unwrap().replace("lease", "drain")).unwrap();
    let audit = world.audit();
    audit.note_start().await;
    audit.settle(Duration::from_secs(20)).await;
    let line = Line::read(&world.lines()[1]).unwrap();
    assert_eq!((line.action.as_str(), line.detail["changed"].as_str()), ("config.changed", "drain, lease"));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_store_keeps_so_many_entries_and_no_more() {
    let mut world = World::new();
    world.keeping.keep_entries = 20;
    for _ in 0..10 {
        recorded(&world, 8).await;
    }
    let all = from_store(&world.records, &Filter::default(), None, 1_000).await.unwrap().unwrap();
    assert!((20..60).contains(&all.lines.len()), "{}", all.lines.len());
    assert!(world.verdict().await.whole);
}

/// Ten thousand entries are taken without anybody waiting; printed, for machines differ.
#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_entries_in_a_row() {
    let world = World::new();
    let (audit, clock) = (world.audit(), SystemClock);
    let begun = clock.elapsed();
    let mut longest = Duration::ZERO;
    for n in 0..10_000_u32 {
        let before = clock.elapsed();
        audit.record(Entry::new(Action::CredentialRefused).ended(Outcome::Refused).with("n", n)).await;
        longest = longest.max(clock.elapsed() - before);
    }
    let given = clock.elapsed() - begun;
    audit.settle(Duration::from_secs(60)).await;
    let written = clock.elapsed() - begun;
    println!(
        "10,000 entries: given in {given:?}, the longest wait {longest:?}; on disk and in the store in {written:?}"
    );
    assert_eq!(audit.health().lost, 0);
    assert!(world.verdict().await.whole);
}

#[test]
fn a_report_counts_what_a_reader_of_compliance_asks_for() {
    let mut report = Report::default();
    let mut prev = Hash::default();
    let entries = [
        Entry::new(Action::Login).ended(Outcome::Refused).to("ann"),
        Entry::new(Action::Login).to("ann"),
        Entry::new(Action::KeyUsed).to("key-1").with("stands_for", 100),
        Entry::new(Action::ConfigChanged).with("changed", "lease"),
    ];
    for (seq, entry) in (1..).zip(&entries) {
        let mut text = String::new();
        let at = crate::domain::Timestamp::from_millis(86_400_000);
        prev = Line::write(&Clean::of(entry), seq, "n", at, prev, &mut text);
        report.add(&Line::read(text.trim_end()).unwrap());
    }
    let report = report.end();
    assert_eq!((report.entries, report.changes_total, report.days["1970-01-02"]), (4, 1, 4));
    assert_eq!((report.failed_logins["ann"], report.keys_used["key-1"]), (1, 100));
    assert_eq!((report.actions["auth.login"]["done"], report.actions["auth.login"]["refused"]), (1, 1));
}
