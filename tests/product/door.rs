//! The HTTP API of a running server before checkers that nobody here wrote: schemathesis, which makes requests from the
//! OpenAPI document, and wapiti, which attacks what it finds.

use std::{fs, process::Command};

use presswork::{
    config::Settings,
    engine::Engine,
    security::{Acting, access::Role, api_keys::NewApiKey},
};
use serde_json::Value;

use crate::world::{Running, World, prepared, text};

/// A server that limits nobody, for a checker asks more than anybody else.
struct Door {
    world: World,
    _server: Running,
    url: String,
    key: String,
}

impl Door {
    fn open() -> Self {
        let world = World::new();
        world
            .file("presswork.toml", "[limits]\napi = \"none\"\nanonymous = \"none\"\ncharacter = \"none\"\n");
        let key = key(&world, Role::Root);
        let mut server = world.start(&["up", "--json", "--listen", "127.0.0.1:0", "--log", "error"]);
        let listening = server.until(|line| line["event"] == "listening");
        let url = format!("http://{}", listening["address"].as_str().unwrap());
        Self { world, _server: server, url, key }
    }
}

/// A key that may all that a role may.
fn key(world: &World, role: Role) -> String {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let engine =
            Engine::connect(&Settings { data_dir: world.data(), ..Settings::default() }).await.unwrap();
        let new = NewApiKey {
            tenant: "default".parse().unwrap(),
            name: "checker".to_owned(),
            grants: role.grants(),
            from: Vec::new(),
            expires_at: None,
        };
        engine.api_keys.create(new, &Acting::command_line()).await.unwrap().1.reveal().to_owned()
    })
}

#[test]
fn schemathesis_finds_no_server_error_and_no_answer_that_is_not_documented() {
    let door = Door::open();
    let report = door.world.path("schemathesis.json");
    let mut checker = Command::new(prepared("PRESSWORK_TEST_TOOLS").join("venv/bin/schemathesis"));
    checker.current_dir(door.world.path("."));
    checker.args(["run", &format!("{}/openapi.json", door.url)]);
    checker.args(["--header", &format!("Authorization: Bearer {}", door.key)]);
    let checks = "not_a_server_error,status_code_conformance,content_type_conformance,\
                  response_headers_conformance,response_schema_conformance";
    checker.args(["--checks", checks, "--phases", "examples,coverage,fuzzing"]);
    checker.args(["--max-examples", "12", "--seed", "7", "--workers", "2", "--no-shrink"]);
    // What follows, follows without an end.
    checker.args(["--exclude-path-regex", "/events"]);
    checker.args(["--request-timeout", "30", "--report", "json", "--report-json-path"]).arg(&report);
    let output = checker.output().unwrap();
    assert!(output.status.success(), "{}", text(&output));
    let found: Value = serde_json::from_slice(&fs::read(report).unwrap()).unwrap();
    assert!(found.to_string().len() > 2, "the checker has looked at nothing");
}
