//! A data directory and the binary that works on it.

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Output, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::servers::{AzureServer, S3Server};

/// A data directory of its own for a test.
pub(crate) struct World {
    folder: TempDir,
    /// What the environment says beside: the address of a Redis or of a storage, its keys.
    environment: Vec<(&'static str, String)>,
}

/// A process that is ended with its test.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) lines: std::io::Lines<BufReader<ChildStdout>>,
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    /// The next line of standard output, as JSON; `None` at its end.
    pub(crate) fn next_json(&mut self) -> Option<Value> {
        self.lines.next().map(|line| serde_json::from_str(&line.unwrap()).unwrap())
    }

    /// Reads lines until one fits; fails where the output ends before.
    pub(crate) fn until(&mut self, fits: impl Fn(&Value) -> bool) -> Value {
        let mut seen = Vec::new();
        while let Some(line) = self.next_json() {
            if fits(&line) {
                return line;
            }
            seen.push(line);
        }
        panic!("the output ended with {:?}", seen.last());
    }
}

/// What it says on standard output, as it comes.
pub(crate) fn lines(child: &mut Child) -> std::io::Lines<BufReader<ChildStdout>> {
    BufReader::new(child.stdout.take().unwrap()).lines()
}

impl World {
    pub(crate) fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), environment: Vec::new() }
    }

    /// One whose jobs are kept on a Redis.
    pub(crate) fn on_redis(url: &str) -> Self {
        Self { environment: vec![("PRESSWORK_REDIS_URL", url.to_owned())], ..Self::new() }
    }

    /// One whose artifacts are kept on an S3 server, or one that speaks as Google's does, below a prefix.
    pub(crate) fn on_s3(server: &S3Server, prefix: &str) -> Self {
        let mut environment = server.environment();
        environment.push(("PRESSWORK_STORAGE_URL", server.storage_url(prefix)));
        Self { environment, ..Self::new() }
    }

    /// One whose artifacts are kept in a container on Azurite, below a prefix.
    pub(crate) fn on_azure(server: &AzureServer, prefix: &str) -> Self {
        let mut environment = server.environment();
        environment.push(("PRESSWORK_STORAGE_URL", server.storage_url(prefix)));
        Self { environment, ..Self::new() }
    }

    /// With one more variable in its environment.
    pub(crate) fn with(mut self, name: &'static str, value: &str) -> Self {
        self.environment.push((name, value.to_owned()));
        self
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// The binary with arguments, on this world's data directory and nothing of the caller's environment.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_presswork"));
        let beginnings = ["PRESSWORK_", "AWS_", "AZURE_", "GOOGLE_", "SERVICE_ACCOUNT"];
        let ours = |name: &str| beginnings.iter().any(|beginning| name.starts_with(beginning));
        for (name, _) in std::env::vars().filter(|(name, _)| ours(name)) {
            command.env_remove(name);
        }
        command.current_dir(self.folder.path()).env("PRESSWORK_DATA_DIR", self.data()).args(arguments);
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// Runs to success and gives standard output as JSON.
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        let output = self.run(&[arguments, &["--json"]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", text(&output));
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
    }

    /// Starts a process whose lines are read as they come; its errors go to the test's.
    pub(crate) fn start(&self, arguments: &[&str]) -> Running {
        self.start_saying(arguments, Stdio::inherit())
    }

    /// The same, its errors and its log going elsewhere.
    pub(crate) fn start_saying(&self, arguments: &[&str], errors: Stdio) -> Running {
        let mut child = self.command(arguments).stderr(errors).spawn().unwrap();
        let lines = lines(&mut child);
        Running { child, lines }
    }

    /// Writes a file beside the data directory.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    }

    /// What SQLite itself says of the data directory's file.
    pub(crate) fn integrity(&self) -> String {
        let database = rusqlite::Connection::open(self.data().join("presswork.db")).unwrap();
        database.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap()
    }

    /// The keys of all objects on storage, without what is being written.
    pub(crate) fn objects(&self) -> Vec<String> {
        let root = self.data().join("objects");
        let mut keys = Vec::new();
        collect(&root, &root, &mut keys);
        // What begins with a dot is no tenant's.
        keys.retain(|key| !key.starts_with('.'));
        keys.sort();
        keys
    }
}

fn collect(root: &Path, folder: &Path, keys: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, keys);
        } else {
            keys.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
        }
    }
}

pub(crate) fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// A folder that `tests/run` has prepared.
pub(crate) fn prepared(variable: &str) -> PathBuf {
    let folder = std::env::var_os(variable).map(PathBuf::from);
    folder
        .filter(|folder| folder.is_dir())
        .unwrap_or_else(|| panic!("{variable} is not set: run the tests by tests/run"))
}

/// Runs a validator; fails with what it said where it is not content.
pub(crate) fn validate(mut validator: Command) {
    let output = validator.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{validator:?}: {}", text(&output));
}

/// A Markdown book of about so many bytes.
pub(crate) fn long_book(bytes: usize) -> String {
    let mut book =
        String::from("+++\ntitle = \"A Long Book\"\nlanguage = \"en\"\nauthors = [\"Nobody\"]\n+++\n\n");
    let mut chapter = 0;
    while book.len() < bytes {
        chapter += 1;
        book.push_str(&format!("# Chapter {chapter}\n\n"));
        for paragraph in 0..40 {
            let sentence = format!(
                "It was the {paragraph}th *day* of the {chapter}th month, and **nothing** had happened yet. "
            );
            book.push_str(&sentence.repeat(6));
            book.push_str("\n\n");
        }
    }
    book
}
