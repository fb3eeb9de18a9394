//! What people bring, through the binary: characters by the thousand, pages, archives; killed in the middle and gone on with.

use std::{
    io::{Cursor, Read as _, Write as _},
    net::TcpListener,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use zip::{ZipWriter, write::SimpleFileOptions};

use crate::world::{World, text};

/// Enqueues, waits, and gives the job.
fn done(world: &World, arguments: &[&str]) -> Value {
    let output = world.run(&[&["enqueue"], arguments, &["--wait", "--json"]].concat());
    assert!(output.status.success(), "{arguments:?}: {}", text(&output));
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", text(&output)))
}

/// The result of the job that `done` gives.
fn result(job: &Value) -> &Value {
    &job["result"]
}

#[test]
fn characters_of_a_table_are_stored_or_reported_with_their_lines() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    let table = "Figur;Rolle;Notiz\r\nOdysseus;protagonist;'=1+1\r\n;nobody;\r\nPenelope;wife;\"a; b\"\r\n";
    let file = world.file("cast.csv", table);
    let job = done(
        &world,
        &[
            "characters",
            &file,
            "--project",
            "p",
            "--column",
            "Figur=name",
            "--column",
            "Rolle=role",
            "--ids-from-names",
        ],
    );
    let told = result(&job);
    assert_eq!(
        (&told["items"], &told["created"], &told["failed"]),
        (&3.into(), &2.into(), &1.into()),
        "{job}"
    );
    assert_eq!((&told["failures"][0]["line"], &told["delimiter"]), (&3.into(), &"semicolon".into()), "{job}");
    let shown = world.json(&["characters", "show", "p", "odysseus"]);
    assert_eq!((&shown["role"], &shown["Notiz"]), (&"protagonist".into(), &"=1+1".into()), "{shown}");

    let output = world.run(&[
        "enqueue",
        "characters",
        &file,
        "--project",
        "q",
        "--column",
        "Figur=name",
        "--ids-from-names",
        "--max-failures",
        "30%",
        "--wait",
        "--json",
    ]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output));
    assert!(text(&output).contains("line 3"), "{}", text(&output));
    assert!(!world.objects().iter().any(|key| key.contains("projects/q")), "{:?}", world.objects());
    let refused = world.run(&["enqueue", "characters", &file, "--project", "q", "--max-failures", "x"]);
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
}

#[test]
fn an_import_of_characters_that_is_killed_goes_on_and_stores_each_once() {
    let world = World::new();
    let rows: String = (0..6_000).map(|n| format!("{{\"id\":\"c{n}\",\"name\":\"N{n}\"}}\n")).collect();
    let file = world.file("cast.jsonl", rows);
    let enqueued = world.json(&["enqueue", "characters", &file, "--project", "p", "--batch-size", "100"]);
    let id = enqueued["id"].as_str().unwrap().to_owned();
    let mut first = world.start(&["up", "--json"]);
    let mut watch = world.start(&["watch", &id, "--json"]);
    watch.until(|event| event["type"] == "progress" && event["done"].as_u64() >= Some(500));
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    let _second = world.start(&["up", "--json"]);
    watch.until(|event| event["type"] == "state" && event["state"] == "completed");
    let job = world.json(&["jobs", "show", &id]);
    assert!(job["attempt"].as_u64() >= Some(2), "{job}");
    let told = result(&job);
    let count = |name: &str| told[name].as_u64().unwrap();
    assert_eq!(
        (count("items"), count("created") + count("unchanged"), count("failed")),
        (6_000, 6_000, 0),
        "{job}"
    );
    // At most what was stored of one batch when it was killed.
    assert!(count("unchanged") <= 100, "{job}");
    let stored = world
        .objects()
        .iter()
        .filter(|key| key.contains("projects/p/characters/") && key.ends_with(".json"))
        .count();
    assert_eq!(stored, 6_000);
}

#[test]
fn a_page_and_an_archive_become_books_and_chapters_begin_where_that_is_said() {
    let world = World::new();
    let _up = world.start(&["up", "--json"]);
    let page = world
        .file("novel.html", "<title>N</title><h2>Chapter 1</h2><p>a<h3>Chapter 2</h3><p>b<script>x</script>");
    let job = done(&world, &["import", &page, "--project", "page", "--chapters", "Chapter #"]);
    let told = result(&job);
    assert_eq!(
        (&told["format"], &told["chapters"], &told["title"]),
        (&"html".into(), &2.into(), &"N".into()),
        "{job}"
    );
    assert_eq!(told["dropped"]["script"], 1, "{job}");

    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in [("b/10.md", "# Ten\n\nx\n"), ("b/9.md", "# Nine\n\ny\n")] {
        zip.start_file(name, SimpleFileOptions::default()).unwrap();
        zip.write_all(content.as_bytes()).unwrap();
    }
    let zip = world.file("book.zip", zip.finish().unwrap().into_inner());
    let job = done(&world, &["import", &zip, "--project", "zipped"]);
    assert_eq!(
        (&result(&job)["format"], &result(&job)["chapters"]),
        (&"markdown".into(), &2.into()),
        "{job}"
    );
    let chapters: Vec<String> = world
        .objects()
        .into_iter()
        .filter(|key| key.contains("projects/zipped/") && key.ends_with(".md"))
        .collect();
    assert!(chapters[0].ends_with("0001-nine.md") && chapters[1].ends_with("0002-ten.md"), "{chapters:?}");
}

/// Serves a file at any path, one call after the other, and cuts each connection behind so many bytes; what was asked.
fn server(file: Vec<u8>, cut: usize, redirects: bool) -> (u16, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, asked) = (listener.local_addr().unwrap().port(), Arc::new(Mutex::new(Vec::new())));
    let heard = asked.clone();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let (mut stream, mut head) = (stream.unwrap(), Vec::new());
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                if stream.read(&mut byte).unwrap() == 0 {
                    break;
                }
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let range = head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-'));
            let first = range.map_or(0, |first| first.parse::<usize>().unwrap());
            let (rest, length) = (&file[first.min(file.len())..], file.len());
            let answer = match (redirects, first) {
                (true, _) => "302 Found\r\nlocation: https://169.254.169.254/latest/meta-data/".to_owned(),
                (_, 0) => format!("200 OK\r\ncontent-length: {length}\r\netag: \"a\""),
                _ => {
                    let (last, left) = (length - 1, rest.len());
                    format!(
                        "206 Partial Content\r\ncontent-length: {left}\r\ncontent-range: bytes {first}-{last}/{length}\r\netag: \"a\""
                    )
                }
            };
            let sent = if redirects { 0 } else { cut.min(rest.len()) };
            heard.lock().unwrap().push(head);
            // The caller may have gone.
            let _gone = write!(stream, "HTTP/1.1 {answer}\r\nconnection: close\r\n\r\n")
                .and_then(|()| stream.write_all(&rest[..sent]));
        }
    });
    (port, asked)
}

#[test]
fn manuscripts_and_characters_are_fetched_from_the_web_through_cuts_and_never_from_inside() {
    let chapters: String =
        (0..200).map(|n| format!("# Chapter {n}\n\n{}\n\n", "words ".repeat(200))).collect();
    let (book, asked) = server(chapters.into_bytes(), 150_000, false);
    let table = "id,name\na,A\nb,B\n".as_bytes().to_vec();
    let (cast, _) = server(table, 1 << 20, false);
    let (elsewhere, _) = server(Vec::new(), 0, true);
    let world = World::new();
    let allowed = [book, cast, elsewhere].map(|port| format!("\"127.0.0.1:{port}\""));
    world.file("presswork.toml", format!("[outgoing]\nimports = [{}]\n", allowed.join(", ")));
    let _up = world.start(&["up", "--json"]);
    let url = |port: u16, path: &str| format!("http://127.0.0.1:{port}/{path}");

    let job = done(&world, &["import", &url(book, "My%20Novel.md?key=secret"), "--project", "p"]);
    assert_eq!(
        (&result(&job)["format"], &result(&job)["chapters"]),
        (&"markdown".into(), &200.into()),
        "{job}"
    );
    let heads = asked.lock().unwrap().clone();
    assert!(heads.len() > 1 && heads[1].contains("if-range: \"a\""), "{heads:?}");
    assert!(heads[1].contains("range: bytes=150000-"), "{heads:?}");
    let job = done(&world, &["characters", &url(cast, "cast.csv"), "--project", "p"]);
    assert_eq!(result(&job)["created"], 2, "{job}");

    for (address, word) in [
        (url(elsewhere, "x?key=secret"), "may not be called"),
        (url(1, "x"), "may not be called"),
        ("https://169.254.169.254/latest/meta-data/".to_owned(), "may not be called"),
        ("https://localhost/x".to_owned(), "may not be called"),
    ] {
        let output = world.run(&["enqueue", "import", &address, "--project", "q", "--wait", "--json"]);
        let told = text(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(word) && !told.contains("secret"), "{told}");
    }
    assert!(!world.objects().iter().any(|key| key.contains("projects/q")), "{:?}", world.objects());
}
