//! The snippets of `deploy/README.md`, run as they stand there, by interpreters that know nothing of Presswork, against a real
//! server and worker.

use std::{
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::Value;

use crate::{
    servers::{RedisServer, process::comes_true},
    world::{World, prepared, text},
};

const SHARDS: u16 = 3;

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// The code of the page that begins with a comment with the file's name.
fn snippet(name: &str) -> String {
    let page = fs::read_to_string(repository().join("deploy/README.md")).unwrap();
    let blocks = page.split("\n```").skip(1).step_by(2);
    let mut found = blocks.filter_map(|block| {
        let (_, code) = block.split_once('\n')?;
        let first = code.lines().next()?;
        [format!("# {name}"), format!("// {name}")].contains(&first.to_owned()).then(|| code.to_owned())
    });
    let code = found.next().unwrap_or_else(|| panic!("deploy/README.md has no {name}"));
    assert!(found.next().is_none(), "deploy/README.md has {name} twice");
    code
}

/// Who runs the snippets of a language.
struct Language {
    program: PathBuf,
    files: [&'static str; 2],
}

impl Language {
    fn python() -> Self {
        Self { program: prepared("PRESSWORK_TEST_TOOLS").join("python"), files: ["enqueue.py", "follow.py"] }
    }

    fn node() -> Self {
        Self { program: "node".into(), files: ["enqueue.mjs", "follow.mjs"] }
    }
}

/// A worker on a server with several shards, and a project to export.
struct Stage {
    server: RedisServer,
    world: World,
}

impl Stage {
    fn set() -> Self {
        let server = RedisServer::start();
        let world = World::on_redis(&format!("{}?shards={SHARDS}", server.url()));
        // Where Node looks for modules: beside the program, and above it.
        symlink(prepared("PRESSWORK_TEST_TOOLS").join("node/node_modules"), world.path("node_modules"))
            .unwrap();
        Self { server, world }
    }

    fn command(&self, language: &Language, file: &str, arguments: &[&str]) -> Command {
        let path = self.world.file(file, snippet(file));
        let mut command = Command::new(&language.program);
        command.arg(path).args(arguments).current_dir(repository()).stdin(Stdio::null());
        command.env("REDIS_URL", self.server.url()).env("SHARDS", SHARDS.to_string());
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    fn run(&self, language: &Language, file: &str, arguments: &[&str]) -> Output {
        let output = self.command(language, file, arguments).output();
        output.unwrap_or_else(|error| {
            panic!("{}: {error}: run the tests by tests/run", language.program.display())
        })
    }

    /// Waits until so many listen to the tenant's channel.
    fn until_listeners(&self, count: usize) {
        let question = "CLIENT LIST TYPE pubsub";
        let listens = |client: &&str| client.contains(" ssub=1 ");
        let came = comes_true(|| self.server.command(question).lines().filter(listens).count() == count);
        assert!(came, "{}", self.server.command(question));
    }

    /// Gives a job; its id.
    fn enqueue(&self, language: &Language) -> String {
        let output = self.run(language, language.files[0], &[]);
        assert!(output.status.success(), "{}", text(&output));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }
}

/// The lines that a follower printed: events, and the output at the end.
fn lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{}", text(output));
    let lines = str::from_utf8(&output.stdout).unwrap().lines();
    lines.map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn check_events(events: &[Value], job: &str) {
    for (place, event) in events.iter().enumerate() {
        assert_eq!((&event["sequence"], &event["job"]), (&(place + 1).into(), &job.into()), "{event}");
        assert_eq!(event["tenant"], "acme");
    }
    let last = events.last().unwrap();
    assert_eq!((&last["type"], &last["state"]), (&"state".into(), &"completed".into()), "{last}");
}

fn the_page_gives_a_job_and_follows_it(language: &Language) {
    let stage = Stage::set();
    let book = stage.world.file("novel.md", "# One\n\nWords *here*.\n\n# Two\n\nMore.\n");
    // Followed before it runs: all comes live.
    let early = stage.enqueue(language);
    let shown = stage.world.json(&["jobs", "show", &early, "--tenant", "acme"]);
    assert_eq!((&shown["state"], &shown["priority"]), (&"waiting".into(), &"high".into()), "{shown}");
    stage.world.json(&["pause", "--kind", "export"]);
    let _up = stage.world.start(&["up", "--json"]);
    stage.world.json(&["enqueue", "import", &book, "--project", "novel", "--tenant", "acme", "--wait"]);

    let follower = stage.command(language, language.files[1], &[&early]).spawn().unwrap();
    stage.until_listeners(1);
    // It is cut off, and comes back by itself.
    stage.server.command("CLIENT KILL TYPE pubsub");
    stage.until_listeners(1);
    stage.world.json(&["resume", "--kind", "export"]);
    let mut live = lines(&follower.wait_with_output().unwrap());
    let output = live.pop().unwrap();
    check_events(&live, &early);
    assert!(live.iter().any(|event| event["type"] == "progress"), "{live:?}");
    assert_eq!(output["artifacts"][0]["content_type"], "application/epub+zip", "{output}");

    // Followed after its end: all is replayed, and the same.
    let mut replayed = lines(&stage.run(language, language.files[1], &[&early]));
    assert_eq!(replayed.pop(), Some(output));
    assert_eq!(replayed, live);

    let unknown = stage.run(language, language.files[1], &["job_00000000000000000000000000"]);
    assert!(
        !unknown.status.success() && text(&unknown).contains("there is no job_0000"),
        "{}",
        text(&unknown)
    );
}

#[test]
fn the_python_of_the_page_gives_a_job_and_follows_it() {
    the_page_gives_a_job_and_follows_it(&Language::python());
}

#[test]
fn the_javascript_of_the_page_gives_a_job_and_follows_it() {
    the_page_gives_a_job_and_follows_it(&Language::node());
}
