//! Books that models write, through the binary: written and streamed, exported, cancelled, killed and gone on with. The model is
//! aimock, which nobody here wrote and which counts what it is asked; where a connection has to be watched, a server that drips.

mod dripping;
mod killed;

use serde_json::{Value, json};

use self::dripping::Dripping;
use crate::{
    demo::check_all,
    models::Mock,
    world::{World, text},
};

/// Chapters of each book here.
const CHAPTERS: usize = 4;

/// What chapter `number` says.
fn chapter(number: usize) -> String {
    let paragraph = |part: usize| {
        format!("Part {part} of chapter {number} *begins* here, and so it goes on until it ends.")
    };
    (1..=6).map(paragraph).collect::<Vec<_>>().join("\n\n")
}

/// An aimock that knows a book of four chapters.
async fn author() -> Mock {
    let says = |part: &str, text: String| json!({"match": {"userMessage": part}, "response": {"content": text}, "latency": 8});
    let planned =
        |number: usize| json!({"title": format!("Part {number}"), "plan": format!("Plan {number}.")});
    let plan = json!({"chapters": (1..=CHAPTERS).map(planned).collect::<Vec<_>>()});
    let mut fixtures = vec![
        says("Plan the book", plan.to_string()),
        says("Sum up this chapter", "It went on from part to part until it ended.".to_owned()),
    ];
    fixtures
        .extend((1..=CHAPTERS).map(|number| says(&format!("Write chapter {number} of"), chapter(number))));
    Mock::aimock(&Value::from(fixtures)).await
}

/// A world whose model `m` is at a port.
fn world(port: u16) -> (World, String) {
    let world = World::new();
    let file = world.file(
        "presswork.toml",
        format!(
            "[outgoing]\nallow = [\"127.0.0.1:{port}\"]\n[models.m]\nprovider = \"openai\"\nmodel = \"m\"\n\
             base_url = \"http://127.0.0.1:{port}/v1\"\nprice = {{ input = 1, output = 2 }}\n"
        ),
    );
    (world, file)
}

/// The arguments that ask for a book, into the project of its title.
fn enqueue<'a>(title: &'a str, config: &'a str) -> Vec<&'a str> {
    let chapters = ["--chapters", "4", "--words", "100", "--author", "Nobody"];
    let mut arguments =
        vec!["--config", config, "enqueue", "generate", "--project", title, "--title", title, "--model", "m"];
    arguments.extend(chapters);
    arguments
}

fn up(config: &str) -> [&str; 7] {
    ["--config", config, "up", "--json", "--lease", "2s", "--log=error"]
}

/// The chapters that a project's book has now, as they stand on storage; none where it has no book.
fn book(world: &World, project: &str) -> Vec<String> {
    let root = world.data().join("objects/default/projects").join(project);
    let Ok(json) = std::fs::read(root.join("book.json")) else { return Vec::new() };
    let book: Value = serde_json::from_slice(&json).unwrap();
    let files = book["chapters"].as_array().unwrap().iter().map(|chapter| chapter["file"].as_str().unwrap());
    files.map(|file| std::fs::read_to_string(root.join(file)).unwrap()).collect()
}

/// What the whole book says.
fn whole() -> Vec<String> {
    (1..=CHAPTERS).map(|number| format!("# Part {number}\n\n{}\n", chapter(number))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_book_is_written_streamed_to_who_watches_and_goes_out_to_every_format() {
    let author = author().await;
    let (world, config) = world(author.port);
    let _up = world.start(&up(&config));
    let enqueued = world.json(&enqueue("novel", &config));
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    let (mut told, mut messages) = (String::new(), Vec::new());
    let last = loop {
        let event = watcher.next_json().unwrap();
        match event["type"].as_str().unwrap() {
            "text" => told.push_str(event["text"].as_str().unwrap()),
            "progress" => messages.push(event["message"].as_str().unwrap().to_owned()),
            _ if ["completed", "dead"].iter().any(|state| event["state"] == *state) => break event,
            _ => {}
        }
    };
    assert_eq!(last["state"], "completed", "{last}");
    for number in 1..=CHAPTERS {
        let text = format!("# Part {number}\n\n{}", chapter(number));
        assert!(told.contains(&text), "{number}: {told}");
        let begins = format!("writing chapter {number} of 4: Part {number}");
        assert!(messages.contains(&begins), "{begins}: {messages:?}");
    }
    assert_eq!(book(&world, "novel"), whole());
    let job = world.json(&["jobs", "show", id]);
    let result = &job["result"];
    assert_eq!((&result["chapters"], &result["warnings"]), (&4.into(), &json!([])), "{job}");
    assert!(result["bill"]["total"]["calls"] == 8 && result["bill"]["cost"].is_string(), "{job}");

    let mut files = std::collections::BTreeMap::new();
    for format in ["docx", "epub", "html", "json", "markdown", "pdf", "text"] {
        let job = world.json(&["enqueue", "export", "novel", "--format", format, "--wait"]);
        let name = format!("novel.{format}");
        let path = world.path(&name);
        let got = world.run(&["artifacts", "get", job["id"].as_str().unwrap(), "-o", path.to_str().unwrap()]);
        assert!(got.status.success(), "{}", text(&got));
        let bytes = std::fs::metadata(&path).unwrap().len();
        files.insert(format.to_owned(), json!({"file": name, "bytes": bytes}));
    }
    check_all(&world, &files);
}

#[test]
fn cancelled_in_the_middle_of_a_chapter_the_providers_stream_is_closed_at_once_and_what_was_spent_is_told() {
    let provider = Dripping::start();
    let (world, config) = world(provider.port());
    let _up = world.start(&up(&config));
    let enqueued = world.json(&enqueue("novel", &config));
    let id = enqueued["id"].as_str().unwrap();
    let mut watcher = world.start(&["watch", id, "--json"]);
    watcher.until(|event| event["type"] == "text" && event["text"].as_str().unwrap().contains("drip"));
    let asked = std::time::Instant::now();
    world.json(&["jobs", "cancel", id]);
    let closed = provider.closed();
    println!(
        "the provider's stream was closed {:?} after the cancel was asked for",
        closed.duration_since(asked)
    );
    let told = watcher.until(|event| {
        event["type"] == "progress"
            && event["message"].as_str().unwrap().starts_with("stopped with 0 of 4 chapters")
    });
    let message = told["message"].as_str().unwrap();
    assert!(message.contains("spent: 2 calls; ") && message.contains("cost 0.000"), "{message}");
    let last = watcher.until(|event| event["type"] == "state" && event["state"] != "running");
    assert_eq!(last["state"], "cancelled");
    assert_eq!(world.integrity(), "ok");
}

#[test]
fn what_is_wrong_with_an_order_is_said_at_once() {
    let world = World::new();
    for (more, what) in [
        (&["--chapters", "0"][..], "1 to 200 chapters"),
        (&["--words", "1"], "20 to 20000"),
        (&["--revision-model", "m"], "--revise"),
        (&["--templates", "../x"], "template set"),
        (&["--premise", "@/nowhere"], "/nowhere"),
    ] {
        let base = ["enqueue", "generate", "--project", "p", "--title", "T", "--model", "m"];
        let output = world.run(&[&base[..], more].concat());
        assert_eq!(output.status.code(), Some(2), "{more:?}: {}", text(&output));
        assert!(text(&output).contains(what), "{more:?}: {}", text(&output));
    }
}
