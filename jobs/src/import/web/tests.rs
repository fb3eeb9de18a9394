//! Files from a server of the test's own that cuts, lies, redirects, drips and changes its mind.

use std::{
    io::Read as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use presswork::{
    domain::{Failure, ManualClock, SystemRandom, Timestamp},
    security::outgoing::{Outgoing, OutgoingRules},
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::watch,
};

use super::*;

/// How a server answers its n-th call, which it has read: all of the bytes that it sends, one after the other.
type Script = Arc<dyn Fn(usize, &str) -> Vec<Step> + Send + Sync>;

/// What a server does with a connection; at the end it closes it.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    /// Sends a byte every few milliseconds, for ever.
    Drip,
    /// Says nothing more.
    Hang,
}

struct Server {
    port: u16,
    asked: Arc<Mutex<Vec<String>>>,
    _open: watch::Sender<()>,
}

impl Server {
    async fn start(script: impl Fn(usize, &str) -> Vec<Step> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (asked, count) = (Arc::new(Mutex::new(Vec::new())), Arc::new(AtomicUsize::new(0)));
        let (open, mut closed) = watch::channel(());
        let (script, heard): (Script, _) = (Arc::new(script), asked.clone());
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted.unwrap().0,
                    _ = closed.changed() => return,
                };
                let (script, heard, count) = (script.clone(), heard.clone(), count.clone());
                tokio::spawn(async move {
                    let _gone = serve(stream, &script, &heard, &count).await;
                });
            }
        });
        Self { port, asked, _open: open }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

async fn serve(
    mut stream: TcpStream,
    script: &Script,
    heard: &Mutex<Vec<String>>,
    count: &AtomicUsize,
) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await? == 0 {
            return Ok(());
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    heard.lock().unwrap().push(head.clone());
    for step in script(count.fetch_add(1, SeqCst), &head) {
        match step {
            Step::Send(bytes) => stream.write_all(&bytes).await?,
            Step::Drip => loop {
                stream.write_all(b"x").await?;
                stream.flush().await?;
                sleep(Duration::from_millis(5)).await;
            },
            Step::Hang => {
                // Until the caller goes.
                stream.read_to_end(&mut Vec::new()).await?;
            }
        }
    }
    stream.shutdown().await
}

/// An answer with a head and a body.
fn answer(status: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<Step> {
    let lines: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let head = format!("HTTP/1.1 {status}\r\n{lines}connection: close\r\n\r\n");
    vec![Step::Send([head.as_bytes(), body].concat())]
}

/// Where a call wants its part to begin.
fn wanted(head: &str) -> Option<usize> {
    head.lines().find_map(|line| line.strip_prefix("range: bytes=")?.strip_suffix('-')?.parse().ok())
}

/// A well-kept server's answer, cut behind so many bytes of its body.
fn kept(head: &str, tag: &str, body: &[u8], cut: usize) -> Vec<Step> {
    let is_same = head.contains(&format!("if-range: {tag}"));
    match wanted(head).filter(|_| is_same) {
        Some(first) => {
            let range = format!("bytes {first}-{}/{}", body.len() - 1, body.len());
            let rest = &body[first..];
            let length = rest.len().to_string();
            let headers = [("content-range", &*range), ("content-length", &length), ("etag", tag)];
            answer("206 Partial Content", &headers, &rest[..cut.min(rest.len())])
        }
        None => {
            let length = body.len().to_string();
            answer("200 OK", &[("content-length", &length), ("etag", tag)], &body[..cut.min(body.len())])
        }
    }
}

fn book(bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| (place * 31 % 251) as u8).collect()
}

const SOON: Patience = Patience {
    head: Duration::from_millis(500),
    idle: Duration::from_millis(300),
    window: Duration::from_millis(400),
    least: 1_000,
    whole: Duration::from_secs(20),
    pause: Duration::from_millis(1),
    longest_pause: Duration::from_millis(50),
    cuts: 20,
    barren_cuts: 3,
    anew: 2,
    redirects: 3,
};

/// Fetches from servers that are allowed.
async fn fetch(servers: &[&Server], url: &str, most: u64) -> Result<(Fetched, Vec<u8>), Failure> {
    let mut rules = OutgoingRules::default();
    rules.allow.extend(servers.iter().map(|one| format!("127.0.0.1:{}", one.port).parse().unwrap()));
    let (outgoing, url) = (Outgoing::new(rules), SourceUrl::new(url));
    let folder = tempfile::tempdir().unwrap();
    let scratch = Scratch::within(folder.path(), &SystemRandom);
    let clock = ManualClock::at(Timestamp::from_millis(784_111_777_000));
    let fetch = Fetch {
        outgoing: &outgoing,
        url: &url,
        most,
        too_large: "it is too large",
        patience: &SOON,
        clock: &clock,
        tell: &|_, _| {},
    };
    let (fetched, file) = fetch.to(&scratch).await?;
    let mut bytes = Vec::new();
    file.open().unwrap().read_to_end(&mut bytes).unwrap();
    assert_eq!(bytes.len() as u64, fetched.bytes);
    Ok((fetched, bytes))
}

fn fatal(result: Result<(Fetched, Vec<u8>), Failure>) -> String {
    match result {
        Err(Failure::Fatal(reason)) => reason.to_string(),
        other => panic!("not fatal: {other:?}"),
    }
}

fn again(result: Result<(Fetched, Vec<u8>), Failure>) -> (String, Option<Duration>) {
    match result {
        Err(Failure::Retry { reason, after }) => (reason.to_string(), after),
        other => panic!("not to be tried again: {other:?}"),
    }
}

#[tokio::test]
async fn a_connection_that_is_cut_goes_on_where_it_was_and_each_byte_comes_once() {
    let body = book(50_000);
    let sent = body.clone();
    let server = Server::start(move |_, head| kept(head, "\"one\"", &sent, 7_001)).await;
    let (fetched, bytes) = fetch(&[&server], &server.url("/a/My%20Novel.epub?key=x"), 1 << 20).await.unwrap();
    assert!(bytes == body, "the bytes are the file's");
    assert_eq!(fetched.name, "My Novel.epub");
    let places: Vec<_> = server.asked().iter().map(|head| wanted(head)).collect();
    let steps: Vec<_> = (1..8).map(|step| Some(step * 7_001)).collect();
    assert_eq!((places[0], &places[1..]), (None, &steps[..]));
}

#[tokio::test]
async fn a_file_that_changes_meanwhile_is_begun_anew_and_so_is_one_that_nothing_tells() {
    let (old, new) = (vec![b'o'; 20_000], book(30_000));
    let (first, second) = (old.clone(), new.clone());
    // Another entity tag: the server answers with all of it.
    let server = Server::start(move |call, head| match call {
        0 => kept(head, "\"old\"", &first, 9_000),
        _ => kept(head, "\"new\"", &second, usize::MAX),
    })
    .await;
    let (_, bytes) = fetch(&[&server], &server.url("/"), 1 << 20).await.unwrap();
    assert!(bytes == new, "nothing of the old one is left");
    // A server that knows no If-Range sends a part of the new one.
    let (first, second) = (old.clone(), new.clone());
    let server = Server::start(move |call, head| match (call, wanted(head)) {
        (0, _) => kept(head, "\"old\"", &first, 9_000),
        (_, Some(place)) => {
            let range = format!("bytes {place}-29999/30000");
            answer("206 Partial Content", &[("content-range", &range), ("etag", "\"new\"")], &second[place..])
        }
        _ => kept(head, "\"new\"", &second, usize::MAX),
    })
    .await;
    let (_, bytes) = fetch(&[&server], &server.url("/"), 1 << 20).await.unwrap();
    assert!(bytes == new, "nothing of the old one is left");
    // No validator, or a weak one: never a range.
    for headers in
        [&[("content-length", "20000")] as &[_], &[("content-length", "20000"), ("etag", "W/\"a\"")]]
    {
        let sent = old.clone();
        let server = Server::start(move |call, _| {
            answer("200 OK", headers, &sent[..if call == 0 { 9_000 } else { 20_000 }])
        })
        .await;
        let (_, bytes) = fetch(&[&server], &server.url("/"), 1 << 20).await.unwrap();
        assert!(bytes == old && server.asked().iter().all(|head| wanted(head).is_none()));
    }
    // One that changes every time is given up.
    let server = Server::start(move |call, head| kept(head, &format!("\"{call}\""), &new, 9_000)).await;
    let (reason, _) = again(fetch(&[&server], &server.url("/"), 1 << 20).await);
    assert!(reason.contains("changes") && server.asked().len() <= 4, "{reason}");
}

#[tokio::test]
async fn lengths_that_lie_bring_nothing_and_too_much_is_not_read() {
    // More is said than comes, each time.
    let server = Server::start(|_, head| {
        let first = wanted(head).unwrap_or(0);
        let range = format!("bytes {first}-8999/9000");
        let (status, rest) = if first == 0 { ("200 OK", 5_000) } else { ("206 Partial Content", 0) };
        let length = (9_000 - first).to_string();
        let headers = [("content-length", &*length), ("content-range", &range), ("etag", "\"a\"")];
        answer(status, &headers, &vec![b'x'; rest])
    })
    .await;
    let (reason, _) = again(fetch(&[&server], &server.url("/"), 1 << 20).await);
    assert!(server.asked().len() <= 6, "{reason}");
    // Less is said than comes: what is said counts.
    let server = Server::start(|_, _| answer("200 OK", &[("content-length", "3")], b"abcdef")).await;
    assert_eq!(fetch(&[&server], &server.url("/"), 1 << 20).await.unwrap().1, b"abc");
    // Parts that go past the length.
    let server = Server::start(|_, head| match wanted(head) {
        None => answer("200 OK", &[("content-length", "9000"), ("etag", "\"a\"")], &[b'x'; 5_000]),
        Some(first) => {
            let range = format!("bytes {first}-8999/9000");
            answer("206 Partial Content", &[("content-range", &range), ("etag", "\"a\"")], &[b'x'; 9_000])
        }
    })
    .await;
    again(fetch(&[&server], &server.url("/"), 1 << 20).await);
    // Too large, said and not said.
    let server = Server::start(|_, _| answer("200 OK", &[("content-length", "99999999999")], b"x")).await;
    assert!(fatal(fetch(&[&server], &server.url("/"), 10_000).await).ends_with("it is too large"));
    let server = Server::start(|_, _| answer("200 OK", &[], &vec![b'x'; 3 << 20])).await;
    assert!(fatal(fetch(&[&server], &server.url("/"), 10_000).await).ends_with("it is too large"));
    let server = Server::start(|_, _| answer("200 OK", &[("content-encoding", "gzip")], b"\x1f\x8b")).await;
    assert!(fatal(fetch(&[&server], &server.url("/"), 10_000).await).contains("compressed"));
    // All had come of a file of unknown length when the connection was cut.
    let server = Server::start(|_, head| match wanted(head) {
        None => answer("200 OK", &[("transfer-encoding", "chunked"), ("etag", "\"a\"")], b"3\r\nabc\r\n"),
        Some(_) => answer("416 Range Not Satisfiable", &[("content-range", "bytes */3")], b""),
    })
    .await;
    assert_eq!(fetch(&[&server], &server.url("/"), 10_000).await.unwrap().1, b"abc");
}

#[tokio::test]
async fn redirects_are_followed_a_few_times_each_checked_anew() {
    let target = Server::start(|_, head| kept(head, "\"t\"", &book(9_000), 5_000)).await;
    let location = target.url("/files/novel.epub?signature=secret");
    let server = Server::start(move |_, head| match head.split(' ').nth(1).unwrap() {
        "/start" => answer("302 Found", &[("location", "/next")], b""),
        _ => answer("307 Temporary Redirect", &[("location", &location)], b""),
    })
    .await;
    let (fetched, bytes) = fetch(&[&server, &target], &server.url("/start"), 1 << 20).await.unwrap();
    assert!(bytes == book(9_000), "what was cut behind redirects went on");
    assert_eq!((fetched.name.as_str(), target.asked().len()), ("novel.epub", 2));

    // What is inside is never reached, by whatever way it is written.
    let inside = Server::start(|_, _| answer("200 OK", &[], b"inside")).await;
    for location in [
        inside.url("/"),
        format!("//127.0.0.1:{}/", inside.port),
        "https://169.254.169.254/latest/meta-data/".to_owned(),
        "https://localhost:8443/".to_owned(),
        "https://[::ffff:127.0.0.1]/".to_owned(),
        "https://0x7f.1/".to_owned(),
        "http://example.org/".to_owned(),
        "file:///etc/passwd".to_owned(),
        "https://user@example.org/".to_owned(),
    ] {
        let to = location.clone();
        let server = Server::start(move |_, _| answer("302 Found", &[("location", &to)], b"")).await;
        let reason = fatal(fetch(&[&server], &server.url("/?token=secret"), 1 << 20).await);
        assert!(reason.contains("may not be called") && !reason.contains("secret"), "{location}: {reason}");
    }
    assert!(inside.asked().is_empty());
    for url in [inside.url("/"), "https://169.254.169.254/".to_owned()] {
        assert!(fatal(fetch(&[], &url, 1 << 20).await).contains("Upload the file instead"));
    }
    let server = Server::start(|_, _| answer("302 Found", &[("location", "/again")], b"")).await;
    assert!(fatal(fetch(&[&server], &server.url("/"), 1 << 20).await).contains("more than 3 times"));
    assert_eq!(server.asked().len(), 4);
    let server = Server::start(|_, _| answer("302 Found", &[], b"")).await;
    assert!(fatal(fetch(&[&server], &server.url("/"), 1 << 20).await).contains("nowhere"));
}

#[tokio::test]
async fn a_server_that_drips_hangs_or_is_away_is_given_up_soon() {
    for head in
        ["HTTP/1.1 200 OK\r\netag: \"a\"\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\r\nx: "]
    {
        let server = Server::start(move |_, _| vec![Step::Send(head.into()), Step::Drip]).await;
        let (reason, _) = again(fetch(&[&server], &server.url("/"), 1 << 20).await);
        assert!(server.asked().len() <= 5, "{reason}");
    }
    let server = Server::start(|_, _| vec![Step::Hang]).await;
    let (reason, _) = again(fetch(&[&server], &server.url("/"), 1 << 20).await);
    assert!(reason.contains("nothing came"), "{reason}");
    let mut gone = Server::start(|_, _| Vec::new()).await;
    (gone.port, _) = (1, again(fetch(&[&gone], &gone.url("/"), 1 << 20).await));
    again(fetch(&[&gone], &gone.url("/"), 1 << 20).await);
}

#[tokio::test]
async fn a_status_says_whether_to_come_back_and_when() {
    for (status, word) in [
        ("403 Forbidden", "without leave"),
        ("401 Unauthorized", "without leave"),
        ("404 Not Found", "nothing at that address"),
        ("410 Gone", "nothing at that address"),
        ("204 No Content", "instead of a file"),
        ("206 Partial Content", "instead of a file"),
        ("400 Bad Request", "instead of a file"),
    ] {
        let server = Server::start(move |_, _| answer(status, &[("content-length", "0")], b"")).await;
        let reason = fatal(fetch(&[&server], &server.url("/a?token=secret"), 100).await);
        assert!(reason.contains(word) && !reason.contains("secret"), "{reason}");
        assert_eq!(server.asked().len(), 1);
    }
    for (status, asks, wait) in [
        ("429 Too Many Requests", "90", Some(90)),
        ("503 Service Unavailable", "Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
        ("500 Internal Server Error", "soon", None),
    ] {
        let headers = [("retry-after", asks), ("content-length", "0")];
        let server = Server::start(move |_, _| answer(status, &headers, b"")).await;
        let (reason, after) = again(fetch(&[&server], &server.url("/a"), 100).await);
        assert_eq!(after, wait.map(Duration::from_secs), "{reason}");
    }
    // In the middle it is waited for, if it is not long.
    for (asks, is_waited_for) in [("0", true), ("5", false)] {
        let server = Server::start(move |call, head| match call {
            1 => answer("503 Service Unavailable", &[("retry-after", asks)], b""),
            _ => kept(head, "\"a\"", &book(3_000), 2_000),
        })
        .await;
        let fetched = fetch(&[&server], &server.url("/"), 1 << 20).await;
        assert_eq!(fetched.is_ok(), is_waited_for, "{fetched:?}");
    }
}
