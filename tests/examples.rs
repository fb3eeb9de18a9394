//! The examples, run as their users run them: each a process, on a Redis between them. Examples are not built for a test, so
//! this binary contains them: started under an example's name it is that example.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../examples/own_kind.rs"]
mod own_kind;
#[path = "../examples/producer.rs"]
mod producer;
#[path = "servers/mod.rs"]
mod servers;
#[path = "../examples/subscriber.rs"]
mod subscriber;

use std::{
    io::{BufRead as _, BufReader, Lines},
    os::unix::fs::symlink,
    panic::catch_unwind,
    path::Path,
    process::{Child, ChildStdout, Command, ExitCode, Stdio},
};

use servers::RedisServer;

const TEST: &str = "a_worker_of_ones_own_does_what_a_producer_gives_and_a_subscriber_sees_it";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    match Path::new(&arguments[0]).file_name().and_then(|name| name.to_str()) {
        Some("own_kind") => own_kind::main(),
        Some("producer") => ended(producer::main()),
        Some("subscriber") => ended(subscriber::main()),
        _ => run_tests(&arguments[1..]),
    }
}

fn ended(end: Result<(), Box<dyn std::error::Error>>) -> ExitCode {
    end.map_or_else(
        |error| {
            eprintln!("{error}");
            ExitCode::FAILURE
        },
        |()| ExitCode::SUCCESS,
    )
}

/// What cargo and `tests/run` expect of a test binary.
fn run_tests(arguments: &[String]) -> ExitCode {
    if arguments.iter().any(|argument| argument == "--list") {
        println!("{TEST}: test");
        return ExitCode::SUCCESS;
    }
    let mut filters = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
    if filters.peek().is_some() && !filters.any(|filter| TEST.contains(filter.as_str())) {
        println!("test result: ok. 0 passed; 0 failed; 1 filtered out");
        return ExitCode::SUCCESS;
    }
    let is_ok =
        catch_unwind(a_worker_of_ones_own_does_what_a_producer_gives_and_a_subscriber_sees_it).is_ok();
    let (word, passed, failed) = if is_ok { ("ok", 1, 0) } else { ("FAILED", 0, 1) };
    println!("test {TEST} ... {word}\n\ntest result: {word}. {passed} passed; {failed} failed");
    if is_ok { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A process that is ended with the test, and its lines.
struct Running {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    fn start(folder: &Path, example: &str, arguments: &[&str], url: &str) -> Self {
        let link = folder.join(example);
        symlink(std::env::current_exe().unwrap(), &link).unwrap();
        let mut command = Command::new(link);
        command.args(arguments).current_dir(folder).stdin(Stdio::null()).stdout(Stdio::piped());
        command.env("PRESSWORK_REDIS_URL", url).env("PRESSWORK_DATA_DIR", folder.join("data"));
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    fn line(&mut self) -> String {
        self.lines.next().expect("a line more").unwrap()
    }

    /// Its lines to its end, which must be a good one.
    fn rest(mut self) -> Vec<String> {
        let lines = self.lines.by_ref().map(Result::unwrap).collect();
        assert!(self.child.wait().unwrap().success());
        lines
    }
}

fn a_worker_of_ones_own_does_what_a_producer_gives_and_a_subscriber_sees_it() {
    let (server, folder) = (RedisServer::start(), tempfile::tempdir().unwrap());
    let (folder, url) = (folder.path(), server.url());
    let mut producer = Running::start(folder, "producer", &[&url, "acme"], &url);
    let jobs: Vec<String> =
        (0..3).map(|_| producer.line().strip_prefix("accepted ").unwrap().to_owned()).collect();
    let subscriber = Running::start(folder, "subscriber", &[&url, "acme", &jobs[0]], &url);
    let _worker = Running::start(folder, "own_kind", &["up", "--json"], &url);

    let words = [6, 5, 6];
    let wanted: Vec<String> =
        jobs.iter().zip(words).map(|(job, words)| format!("{job} completed: {words}")).collect();
    assert_eq!(producer.rest(), wanted);
    assert_eq!(subscriber.rest(), ["1: running", "2: completed"]);
}
