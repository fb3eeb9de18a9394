//! Secrets and sealed content go the whole way through the product, on each engine, and are looked for in all that it leaves
//! behind: what the stores keep, the bucket, the data directory, the logs with all their levels, metrics, events, the audit,
//! and what every answer says that is not the one in which they are handed out.

mod search;
mod visit;

use std::{
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::{Child, Command},
};

use serde_json::Value;

use self::{search::Canaries, visit::Visit};
use crate::{
    servers::{RedisServer, S3Server, redis::RedisOptions, s3::SECRET_KEY},
    world::{World, text},
};

/// The master key, as the environment has it.
const MASTER: &str = "5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed00c0ffee5eed";
/// What a Redis lets in by.
const REDIS_PASSWORD: &str = "canaryOfTheRedisPassword4711";
/// What the tenant that does not seal writes: it is found, or the search is blind.
const OPEN_PAYLOAD: &str = "openPayloadEverybodyMaySee4711";
const OPEN_TEXT: &str = "openTextEverybodyMaySee4711";

/// A running `presswork up --listen`, all that it says in files.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(world: &World, said: &Path) -> Self {
        let mut command = world.command(&["up", "--json", "--listen", "127.0.0.1:0", "--log", "trace"]);
        command.stderr(File::create(said.join("log")).unwrap());
        let mut child = command.spawn().unwrap();
        let mut told = crate::world::lines(&mut child);
        let mut kept = File::create(said.join("stdout")).unwrap();
        let mut keep = move |line: &str| writeln!(kept, "{line}").unwrap();
        let address = loop {
            let line = told.next().expect("it does not listen").unwrap();
            keep(&line);
            let line: Value = serde_json::from_str(&line).unwrap();
            if line["event"] == "listening" {
                break line["address"].as_str().unwrap().to_owned();
            }
        };
        std::thread::spawn(move || told.map_while(Result::ok).for_each(|line| keep(&line)));
        Self { child, address }
    }

    /// Asks it to end, and waits for that.
    fn stop(&mut self) {
        let asked = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(asked.success());
        self.child.wait().unwrap();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The command's standard output; with all that it has said kept.
fn run(world: &World, said: &Path, arguments: &[&str]) -> String {
    let output = world.run(arguments);
    let place = said.join(format!("command-{}", arguments.join("-").replace('/', "_")));
    fs::write(place, text(&output)).unwrap();
    String::from_utf8(output.stdout).unwrap()
}

/// A key that may all; its text, which is told here only.
fn key(world: &World, tenant: &str) -> String {
    let made = world.json(&["apikeys", "create", "walker", "--role", "root", "--tenant", tenant]);
    made["text"].as_str().unwrap().to_owned()
}

/// All ways through the product; `stores` are where it keeps things, `save` lets a store write down what it has in memory.
async fn nothing_is_left_behind(world: World, stores: &[(&str, PathBuf)], save: impl Fn()) {
    let said = world.path("said");
    fs::create_dir_all(&said).unwrap();
    world.file("presswork.toml", "[limits]\napi = \"none\"\nanonymous = \"none\"\nimport = \"none\"\n");
    let sealed = world.run(&["tenants", "set", "acme", "--seal", "on"]);
    assert!(sealed.status.success(), "{}", text(&sealed));
    let (acme, open) = (key(&world, "acme"), key(&world, "open"));
    let mut server = Server::start(&world, &said);

    let mut canaries = Canaries::default();
    canaries.add("the master key", MASTER);
    canaries.add("the password of the Redis", REDIS_PASSWORD);
    canaries.add("the secret key of the storage", SECRET_KEY);
    canaries.add("the first API key", visit::inner(&acme));
    let (job, canaries) = Visit::begin(&server.address, &acme, &said, canaries).all().await;
    Visit::begin(&server.address, &open, &said, Canaries::default()).openly(OPEN_PAYLOAD, OPEN_TEXT).await;

    for arguments in [
        &["jobs", "why", &job, "--tenant", "acme", "--log", "trace"][..],
        &["jobs", "show", &job, "--tenant", "acme"],
        &["jobs", "list", "--tenant", "acme", "--json"],
        &["secrets", "list", "--tenant", "acme", "--log", "trace"],
        &["users", "list", "--tenant", "acme", "--json"],
        &["apikeys", "list", "--tenant", "acme", "--json"],
        &["schedules", "list", "--tenant", "acme"],
        &["audit", "tail", "--json"],
        &["audit", "report"],
        &["audit", "verify"],
        &["keys", "list", "--tenant", "acme"],
        &["stats", "--json"],
        &["doctor", "--log", "trace"],
        &["verify"],
        &["verify", "--env", "production"],
    ] {
        run(&world, &said, arguments);
    }
    let all = || {
        let places = stores.iter().map(|(_, path)| path.clone());
        places.chain([world.data(), said.clone()]).collect::<Vec<_>>()
    };
    save();
    // The search is not blind: in each store something of the tenant that does not seal is found, and the log has all levels.
    for (what, path) in stores {
        let mut controls = Canaries::default();
        controls.add(what, if *what == "the bucket" { OPEN_TEXT } else { OPEN_PAYLOAD });
        assert!(
            !controls.found(std::slice::from_ref(path)).is_empty(),
            "{what} shows not even what lies open"
        );
    }
    let log = fs::read_to_string(said.join("log")).unwrap();
    assert!(log.contains("\"TRACE\"") && log.contains("\"DEBUG\""), "not all levels are logged");

    let found = canaries.found(&all());
    assert!(found.is_empty(), "{} places, such as\n{}", found.len(), found[..found.len().min(40)].join("\n"));
    server.stop();
    save();
    let found = canaries.found(&all());
    assert!(found.is_empty(), "once it has ended:\n{}", found[..found.len().min(40)].join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_left_behind_by_the_embedded_engine() {
    let world = World::new().with("PRESSWORK_MASTER_KEY", MASTER);
    let stores =
        [("the database", world.data().join("presswork.db")), ("the bucket", world.data().join("objects"))];
    // What is new stands beside the file until SQLite puts it there.
    let database = world.data().join("presswork.db");
    let save = || {
        let opened = rusqlite::Connection::open(&database).unwrap();
        let put = |row: &rusqlite::Row<'_>| row.get::<_, i64>(0);
        opened.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], put).unwrap();
    };
    nothing_is_left_behind(world, &stores, save).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_canary_is_left_behind_on_a_redis_and_an_s3_server() {
    let redis = RedisServer::start_with(RedisOptions {
        append_only: true,
        users: vec![format!("user app on >{REDIS_PASSWORD} ~* &* +@all")],
        login: Some(format!("app:{REDIS_PASSWORD}")),
        // Compressed, nothing would be found.
        settings: vec!["rdbcompression no".to_owned()],
        ..RedisOptions::default()
    });
    let s3 = S3Server::start();
    let world = World::on_s3(&s3, "books").with("PRESSWORK_MASTER_KEY", MASTER);
    let world = world.with("PRESSWORK_REDIS_URL", &redis.url());
    let stores = [
        ("the dump of the Redis", redis.folder().join("dump.rdb")),
        ("the log of the Redis", redis.folder().join("appendonlydir")),
        ("the bucket", s3.folder().to_owned()),
    ];
    nothing_is_left_behind(world, &stores, || {
        redis.command("SAVE");
    })
    .await;
}
