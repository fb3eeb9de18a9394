//! A process that writes the log is killed: what it was answered is there, and the chain goes on.

use std::{
    io::{BufRead as _, BufReader},
    process::{Command, Stdio},
};

use super::{tests::World, *};

const FOLDER: &str = "PRESSWORK_TEST_AUDIT_FOLDER";

/// Not a test: what the test below kills. Records without an end, and tells what it was answered.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "started by the test below, as a process of its own"]
async fn records_until_it_is_killed() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let world = World::at(folder.into());
    let audit = world.audit();
    for n in 0_u64.. {
        audit.record(Entry::new(Action::Login).with("n", n)).await;
        println!("answered {n}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_processes_that_are_killed_lose_nothing_that_was_answered() {
    let world = World::new();
    for round in 0..5 {
        let mut children: Vec<_> = (0..2)
            .map(|_| {
                Command::new(std::env::current_exe().unwrap())
                    .args(["--ignored", "--exact", "--nocapture"])
                    .arg("security::audit::kills::records_until_it_is_killed")
                    .env(FOLDER, world.path())
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let mut answered = 0;
        let mut outs: Vec<_> =
            children.iter_mut().map(|child| BufReader::new(child.stdout.take().unwrap()).lines()).collect();
        for out in &mut outs {
            answered += out
                .by_ref()
                .map_while(Result::ok)
                .filter(|line| line.contains("answered"))
                .take(20 + round)
                .count();
        }
        for child in &mut children {
            child.kill().unwrap();
            child.wait().unwrap();
        }
        for out in &mut outs {
            answered += out.map_while(Result::ok).filter(|line| line.contains("answered")).count();
        }
        // A process that starts now goes on behind what they have left.
        super::tests::recorded(&world, 1).await;
        let verdict = world.verdict().await;
        assert!(verdict.whole, "{:?}", verdict.findings);
        assert!(verdict.entries >= answered as u64, "{} of {answered}", verdict.entries);
    }
}
