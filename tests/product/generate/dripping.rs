//! A provider that plans a book, then writes a word each few milliseconds until nobody listens. It knows when that was.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use serde_json::json;

pub(super) struct Dripping {
    port: u16,
    closed: mpsc::Receiver<Instant>,
}

impl Dripping {
    pub(super) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (close, closed) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let close = close.clone();
                thread::spawn(move || serve(stream.unwrap(), &close));
            }
        });
        Self { port, closed }
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// When the reader of a chapter has gone.
    pub(super) fn closed(&self) -> Instant {
        self.closed.recv_timeout(Duration::from_secs(60)).unwrap()
    }
}

fn serve(mut stream: TcpStream, close: &mpsc::Sender<Instant>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let (mut line, mut length) = (String::new(), 0);
    loop {
        line.clear();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        let lower = line.to_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    let event = |text: &str, finish: Option<&str>| {
        let choice = json!({"index": 0, "delta": {"content": text}, "finish_reason": finish});
        format!("data: {}\n\n", json!({"choices": [choice]}))
    };
    if String::from_utf8_lossy(&body).contains("Plan the book") {
        let plan = "1. One: a\\n2. Two: b\\n3. Three: c\\n4. Four: d".replace("\\n", "\n");
        stream.write_all((event(&plan, Some("stop")) + "data: [DONE]\n\n").as_bytes()).unwrap();
        return;
    }
    // Whoever closes is noticed by reading: writing may go on for a while.
    let mut closes = stream.try_clone().unwrap();
    let close = close.clone();
    let hears = thread::spawn(move || {
        let _ = closes.read(&mut [0; 1]);
        let _ = close.send(Instant::now());
    });
    while stream.write_all(event("drip ", None).as_bytes()).is_ok() && !hears.is_finished() {
        pause();
    }
}

#[expect(clippy::disallowed_methods, reason = "it is to be slow")]
fn pause() {
    thread::sleep(Duration::from_millis(20));
}
