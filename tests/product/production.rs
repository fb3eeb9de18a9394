//! A production process: what it does not start with, what it starts with, and what it leaves behind. And what `doctor` says of
//! the audit log.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::Path,
    process::{Command, Output},
};

use reqwest::StatusCode;

use crate::{
    api::Door,
    servers::{RedisServer, S3Server, redis::RedisOptions},
    world::{World, text},
};

const MASTER: &str = "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a";
const PASSWORD: &str = "q7Zp2vLx9Rk4Tn8Wm3Yb6Hd1";

fn deployed(name: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy").join(name)).unwrap()
}

/// A world with a master key, and the shipped settings filled in; of them what `change` makes.
struct Production {
    world: World,
    variables: Vec<(String, String)>,
}

impl Production {
    fn new(redis: &str, s3: &S3Server, change: impl Fn(&str) -> String) -> Self {
        let world = World::new();
        let key = world.file("master.key", format!("{MASTER}\n"));
        fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
        fs::create_dir(world.data()).unwrap();
        fs::set_permissions(world.data(), fs::Permissions::from_mode(0o700)).unwrap();
        let fill = |text: &str| {
            let shipped = "rediss://presswork:CHANGE-ME@redis.example.com:6380/0?namespace=pw";
            text.replace(shipped, redis)
                .replace("s3://presswork-CHANGE-ME/artifacts", &s3.storage_url("production"))
                .replace("/run/secrets/presswork-master.key", &key)
                .replace("/etc/presswork/production.toml", &world.path("production.toml").to_string_lossy())
                .replace("/var/lib/presswork", &world.data().to_string_lossy())
                .replace("0.0.0.0:8080", "127.0.0.1:0")
                .replace("example.com", "books.io")
        };
        world.file("production.toml", change(&fill(&deployed("production.toml"))));
        let lines = fill(&deployed(".env.production"));
        let lines =
            lines.lines().filter(|line| !line.starts_with('#')).filter_map(|line| line.split_once('='));
        let mut variables: Vec<(String, String)> =
            lines.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        for (name, value) in s3.environment() {
            variables.retain(|(known, _)| known != name);
            variables.push((name.to_owned(), value));
        }
        Self { world, variables }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.world.command(arguments);
        command.env_remove("PRESSWORK_DATA_DIR").envs(self.variables.clone());
        command
    }

    fn with(self, name: &str, value: &str) -> Self {
        let mut changed = self.without(name);
        changed.variables.push((name.to_owned(), value.to_owned()));
        changed
    }

    fn without(mut self, name: &str) -> Self {
        self.variables.retain(|(known, _)| known != name);
        self
    }

    fn starts(&self, command: &str) -> Output {
        self.command(&[command]).output().unwrap()
    }
}

/// A Redis over TLS with a user of its own, and its address as settings have it.
fn redis() -> (RedisServer, String) {
    let server = RedisServer::start_with(RedisOptions {
        tls: true,
        users: vec![format!("user presswork on >{PASSWORD} ~* &* +@all")],
        login: Some(format!("presswork:{PASSWORD}")),
        ..RedisOptions::default()
    });
    let url = server.url();
    (server, url)
}

#[test]
fn production_starts_with_the_shipped_settings_filled_in_and_ends_when_it_is_told_to() {
    let ((_redis, url), s3) = (redis(), S3Server::start());
    let production = Production::new(&url, &s3, str::to_owned);
    let verified = production.command(&["verify", "--env", "production"]).output().unwrap();
    assert!(verified.status.success(), "{}", text(&verified));
    for command in ["api", "up"] {
        let mut process = production.command(&[command, "--json"]).spawn().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(process.stdout.take().unwrap()));
        let mut running = crate::world::Running { child: process, lines };
        let listening = running.until(|line| line["event"] == "listening");
        assert!(listening["address"].as_str().unwrap().starts_with("127.0.0.1:"), "{listening}");
        terminate(running.child.id());
        assert!(running.child.wait().unwrap().success(), "{command}");
    }
}

#[test]
fn production_starts_with_no_critical_finding_left_whichever_it_is() {
    let s3 = S3Server::start();
    let near = format!("redis://presswork:{PASSWORD}@127.0.0.1:1");
    let far = |url: &str| url.replace("127.0.0.1:1", "10.255.255.1:6379");
    let own = |text: &str| text.to_owned();
    let production = || Production::new(&near, &s3, own);
    let replaced = |from: &'static str, to: &'static str| {
        Production::new(&near, &s3, move |text| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        })
    };
    let proxies = "trusted_proxies = [\"10.0.0.0/24\"]";
    let outside = |text: &str| text.replace("127.0.0.1:0", "0.0.0.0:0");
    let cases: Vec<(&str, Production)> = vec![
        ("placeholders", replaced("api.books.io", "api.example.com")),
        ("cors.any", replaced("https://app.books.io", "*")),
        ("proxies.everybody", replaced("10.0.0.0/24", "0.0.0.0/0")),
        ("tls.half", replaced(proxies, "tls_cert = \"/nowhere/cert.pem\"")),
        ("tls.file", replaced(proxies, "tls_cert = \"/nowhere/cert.pem\"\ntls_key = \"/nowhere/key.pem\"")),
        ("tls.none", Production::new(&near, &s3, |text| outside(text).replace(proxies, ""))),
        (
            "hosts.none",
            Production::new(&near, &s3, |text| outside(text).replace("hosts = [\"api.books.io\"]", "")),
        ),
        ("redis.plain", Production::new(&far(&near), &s3, own)),
        ("redis.password", Production::new("rediss://10.255.255.1:6379", &s3, own)),
        ("storage.memory", production().with("PRESSWORK_STORAGE_URL", "memory://")),
        ("storage.plain", production().with("AWS_ENDPOINT_URL", "http://minio.internal:9000")),
        ("master-key.none", production().without("PRESSWORK_MASTER_KEY_FILE")),
        ("master-key.file", production().with("PRESSWORK_MASTER_KEY_FILE", "/nowhere/master.key")),
        ("data-dir.writable", {
            let open = production();
            fs::set_permissions(open.world.data(), fs::Permissions::from_mode(0o777)).unwrap();
            open
        }),
    ];
    for (check, production) in cases {
        for command in ["api", "up"] {
            let refused = production.starts(command);
            let said = text(&refused);
            assert_eq!(refused.status.code(), Some(4), "{check}, {command}: {said}");
            assert!(said.contains(&format!("({check})")), "{check}, {command}: {said}");
            assert!(!said.contains("listens on") && !said.contains(PASSWORD), "{check}, {command}: {said}");
        }
    }
}

fn terminate(process: u32) {
    let asked = Command::new("kill").args(["-TERM", &process.to_string()]).status();
    assert!(asked.unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_only_counted_of_a_keys_uses_is_written_down_when_the_process_ends() {
    for command in ["api", "up"] {
        let world = World::new();
        let mut door = Door::of(command, &world).await;
        for _ in 0..7 {
            assert_eq!(door.get("/v1/kinds").await.status(), StatusCode::OK);
        }
        terminate(door.process.child.id());
        assert!(door.process.child.wait().unwrap().success());
        let (_, used) = door.engine.api_keys.get(&door.known.tenant, &door.known.id).await.unwrap().unwrap();
        assert_eq!(used.unwrap().uses, 7, "{command}");
    }
}

#[test]
fn doctor_tells_of_an_audit_log_that_was_edited_or_can_not_be_written() {
    let world = World::new();
    for name in ["ann", "bob"] {
        world.json(&["users", "invite", name, "--role", "viewer"]);
    }
    let audit = |expected: &str| {
        let output = world.run(&["doctor", "--json"]);
        let found: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let check =
            found["checks"].as_array().unwrap().iter().find(|check| check["name"] == "audit").unwrap();
        assert_eq!(check["health"], expected, "{check}");
        (output.status.success(), check["detail"].as_str().unwrap().to_owned())
    };
    let (is_fine, detail) = audit("ok");
    assert!(is_fine && detail.contains("entries, as they were written"), "{detail}");

    let path = world.data().join("audit/audit-000001.jsonl");
    let kept = fs::read_to_string(&path).unwrap();
    fs::write(&path, kept.replacen("user.changed", "user.chonged", 1)).unwrap();
    let (is_fine, detail) = audit("bad");
    assert!(!is_fine && detail.contains("broken in"), "{detail}");
    fs::write(&path, kept).unwrap();

    let (folder, aside) = (world.data().join("audit"), world.data().join("aside"));
    fs::rename(&folder, &aside).unwrap();
    fs::write(&folder, "no folder").unwrap();
    let (is_fine, detail) = audit("bad");
    assert!(!is_fine && detail.contains("can't be written"), "{detail}");
}
