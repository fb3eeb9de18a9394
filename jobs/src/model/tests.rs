//! The clients before sockets that say exactly what they are told to; see `tests/product/models.rs` for real servers.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use presswork::{
    domain::clock::SystemClock,
    security::outgoing::{Outgoing, OutgoingRules},
};
use secrecy::SecretString;
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use super::{call::Read, *};

const KEY: &str = "sk-test-4242424242";

/// What a protocol makes of these events.
pub(super) fn read_all(reader: super::call::Reader, events: &[Value]) -> Result<Vec<Event>, ModelError> {
    let mut read = Read::default();
    for event in events {
        reader(event.to_string().as_bytes(), None, &mut read)?;
    }
    Ok(read.events.into())
}

pub(super) fn text(events: &[Event]) -> String {
    let piece = |event: &Event| if let Event::Text(text) = event { Some(text.clone()) } else { None };
    events.iter().filter_map(piece).collect()
}

/// A server that sends the same pieces to everybody, the head among them, and then waits for the other side to close.
struct Says {
    address: String,
    connections: Arc<AtomicUsize>,
    /// A word for each connection that the other side has closed.
    closed: mpsc::UnboundedReceiver<()>,
    /// The heads of requests.
    heads: mpsc::UnboundedReceiver<String>,
}

impl Says {
    async fn new(pieces: &[&str], ends: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let pieces: Vec<Vec<u8>> = pieces.iter().map(|piece| piece.as_bytes().to_vec()).collect();
        let connections = Arc::new(AtomicUsize::new(0));
        let (close, closed) = mpsc::unbounded_channel();
        let (hear, heads) = mpsc::unbounded_channel();
        let counted = connections.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                counted.fetch_add(1, SeqCst);
                tokio::spawn(serve(stream, pieces.clone(), ends, close.clone(), hear.clone()));
            }
        });
        Self { address, connections, closed, heads }
    }

    /// One that begins an answer of a type.
    async fn stream(content_type: &str, pieces: &[&str], ends: bool) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n");
        Self::new(&[&[head.as_str()], pieces].concat(), ends).await
    }

    fn model(&self, protocol: Protocol, patience: Patience) -> ServerModel {
        let (base_url, model) = (format!("http://{}/v1/", self.address), "m".to_owned());
        let allow = [self.address.parse().unwrap()].into();
        let outgoing = Outgoing::new(OutgoingRules { allow, ..OutgoingRules::default() });
        let server = Server { protocol, base_url, model, patience };
        ServerModel::new(
            server,
            Some(SecretString::from(format!("{KEY}\n"))),
            &outgoing,
            Arc::new(SystemClock),
        )
        .unwrap()
    }
}

async fn serve(
    mut stream: TcpStream,
    pieces: Vec<Vec<u8>>,
    ends: bool,
    close: mpsc::UnboundedSender<()>,
    hear: mpsc::UnboundedSender<String>,
) {
    let mut heard = vec![0; 64 << 10];
    // A request is short enough to come at once, and the connection may be used for more than one.
    while let Ok(count @ 1..) = stream.read(&mut heard).await {
        let _ = hear.send(String::from_utf8_lossy(&heard[..count]).into_owned());
        for piece in &pieces {
            if stream.write_all(piece).await.is_err() || stream.flush().await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        if ends {
            return;
        }
    }
    let _ = close.send(());
}

const OPENAI: Protocol = Protocol::OpenAi { max_completion_tokens: false, include_usage: true };
const OLLAMA: Protocol = Protocol::Ollama { context: None };
const SSE: &str = "text/event-stream; charset=utf-8";
const ONE: &str = "data: {\"choices\":[{\"delta\":{\"content\":\"Größe 本 \"}}]}\r\n\r\n";
const STOP: &str = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
const USAGE: &str =
    "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":4}}\n\ndata: [DONE]\n\n";

fn request() -> Request {
    Request::new("Say hello.", 100).unwrap()
}

fn short() -> Patience {
    Patience {
        first_token: Duration::from_millis(300),
        idle: Duration::from_millis(300),
        ..Patience::default()
    }
}

#[tokio::test]
async fn an_answer_is_the_same_however_its_bytes_come() {
    let openai = [": alive\n\n", ONE, STOP, USAGE].concat();
    let anthropic = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"usage\":{\"input_tokens\":9}}}\n\n\
        data: {\"type\":\"content_block_delta\",\"delta\":{\"text\":\"Größe 本 \"}}\n\nevent: ping\ndata: {\"type\":\"ping\"}\n\n\
        data: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"},\"usage\":{\"output_tokens\":4}}\n\n\
        data: {\"type\":\"message_stop\"}\n\n";
    let ollama = "{\"message\":{\"content\":\"Größe 本 \"},\"done\":false}\n\
        {\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":9,\"eval_count\":4}\n";
    for (protocol, kind, body) in [
        (OPENAI, SSE, openai.as_str()),
        (Protocol::Anthropic, SSE, anthropic),
        (OLLAMA, "application/x-ndjson", ollama),
    ] {
        let letters: Vec<String> = body.chars().map(String::from).collect();
        let letters: Vec<&str> = letters.iter().map(String::as_str).collect();
        for pieces in [&[body], letters.as_slice()] {
            let mut says = Says::stream(kind, pieces, true).await;
            let mut answer = says.model(protocol, Patience::default()).ask(&request());
            assert_eq!(answer.text().await.unwrap(), "Größe 本 ");
            assert_eq!(answer.finish(), Some(&Finish::Stop));
            let usage = Usage { input: 9, output: 4, ..Usage::default() };
            assert_eq!(answer.spent(), Spent { usage, is_estimate: false });
            let head = says.heads.recv().await.unwrap();
            let key = if protocol == Protocol::Anthropic { "x-api-key: " } else { "authorization: Bearer " };
            assert!(head.contains(&format!("{key}{KEY}\r\n")), "{head}");
        }
    }
}

#[tokio::test]
async fn an_answer_that_is_dropped_closes_its_connection_at_once_and_says_what_it_cost() {
    let mut says = Says::stream(SSE, &[ONE], false).await;
    let model = says.model(OPENAI, Patience::default());
    let mut answer = model.ask(&request());
    assert_eq!(answer.next().await.unwrap().as_deref(), Some("Größe 本 "));
    // Somebody gives up waiting, and goes on: nothing is lost by it.
    assert!(tokio::time::timeout(Duration::from_millis(20), answer.next()).await.is_err());
    let spent = answer.spent();
    assert!(spent.is_estimate && spent.usage.input > 0 && spent.usage.output > 0);
    assert!(says.closed.try_recv().is_err());
    drop(answer);
    let told = tokio::time::timeout(Duration::from_secs(1), says.closed.recv()).await;
    assert!(told.unwrap().is_some());
    // Also one that has not got a byte yet.
    let mut says = Says::new(&[], false).await;
    let mut answer = says.model(OPENAI, Patience::default()).ask(&request());
    assert!(tokio::time::timeout(Duration::from_millis(50), answer.next()).await.is_err());
    assert!(answer.spent().is_estimate);
    drop(answer);
    assert!(tokio::time::timeout(Duration::from_secs(1), says.closed.recv()).await.unwrap().is_some());
}

#[tokio::test]
async fn silence_ends_an_answer_before_its_first_word_and_after_it() {
    let alive = ": alive\n\n".repeat(100);
    for pieces in [&[] as &[&str], &[&alive], &[ONE], &[ONE, &alive]] {
        let mut says = Says::stream(SSE, pieces, false).await;
        let mut answer = says.model(OPENAI, short()).ask(&request());
        let error = answer.text().await.unwrap_err();
        let why = if pieces.contains(&ONE) { "nothing came for 300ms" } else { "no text came for 300ms" };
        assert_eq!(error, ModelError::broken(why));
        // Closed with the failure, not only when the answer is dropped.
        assert!(tokio::time::timeout(Duration::from_secs(1), says.closed.recv()).await.unwrap().is_some());
    }
    let mut says = Says::new(&[], false).await;
    let mut answer = says.model(OPENAI, short()).ask(&request());
    assert_eq!(answer.text().await, Err(ModelError::broken("nothing came for 300ms")));
    assert!(says.heads.recv().await.is_some());
}

#[tokio::test]
async fn comments_keep_nobody_waiting_for_a_first_word_beyond_its_time() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (_close, closed) = mpsc::unbounded_channel();
    let (_hear, heads) = mpsc::unbounded_channel();
    let address = listener.local_addr().unwrap().to_string();
    let says = Says { address, connections: Arc::default(), closed, heads };
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        assert!(stream.read(&mut [0; 4_096]).await.unwrap() > 0);
        let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\n";
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut beat = tokio::time::interval(Duration::from_millis(20));
        while stream.write_all(b": alive\n\n").await.is_ok() {
            beat.tick().await;
        }
    });
    let mut answer = says.model(OPENAI, short()).ask(&request());
    assert_eq!(answer.text().await, Err(ModelError::broken("no text came for 300ms")));
}

#[tokio::test]
async fn a_text_without_its_end_is_a_failure_and_one_with_it_outlives_what_comes_after() {
    for cut in [
        &[ONE] as &[&str],
        &[ONE, "data: [DONE]\n\n"],
        &[ONE, "data: {\"choi"],
        &[ONE, "data: no json\n\n", STOP],
    ] {
        let says = Says::stream(SSE, cut, true).await;
        let mut answer = says.model(OPENAI, Patience::default()).ask(&request());
        assert!(matches!(answer.text().await, Err(ModelError::Broken(_))), "{cut:?}");
        assert!(answer.spent().is_estimate && answer.finish().is_none());
    }
    for (whole, ends) in [
        (&[ONE, STOP] as &[&str], true),
        (&[ONE, STOP.trim_end()], true),
        (&[ONE, STOP, "data: {\"usage\":"], true),
        (&[ONE, STOP, "data: {\"error\":{\"message\":\"late\"}}\n\n"], true),
        // No usage, and no end.
        (&[ONE, STOP], false),
    ] {
        let says = Says::stream(SSE, whole, ends).await;
        let mut answer = says.model(OPENAI, short()).ask(&request());
        assert_eq!(answer.text().await.unwrap(), "Größe 本 ", "{whole:?}");
        assert!(answer.spent().is_estimate);
    }
}

#[tokio::test]
async fn an_event_without_end_is_not_read() {
    let huge = format!("data: {}", "x".repeat(3 << 20));
    for (protocol, kind) in [(OPENAI, SSE), (OLLAMA, "application/x-ndjson")] {
        let mut says = Says::stream(kind, &[&huge], false).await;
        let mut answer = says.model(protocol, Patience::default()).ask(&request());
        let error = answer.text().await.unwrap_err();
        assert!(error.to_string().contains("larger than 1048576 bytes"), "{error}");
        assert!(tokio::time::timeout(Duration::from_secs(1), says.closed.recv()).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_refusal_before_the_answer_says_what_to_do_and_costs_nothing() {
    let body = format!("{{\"error\":{{\"message\":\"no {KEY} {}\"}}}}", "x".repeat(100_000));
    let answer = |status: &str, headers: &str| {
        format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
    };
    for (answer, seconds) in [
        (answer("401 No", ""), None),
        (answer("429 Slow", "retry-after: 7\r\nretry-after-ms: 1500\r\n"), Some(1.5)),
        (answer("503 Away", "retry-after: 2\r\n"), Some(2.0)),
    ] {
        let says = Says::new(&[&answer], false).await;
        let mut told = says.model(OPENAI, Patience::default()).ask(&request());
        let error = told.text().await.unwrap_err();
        let wait = seconds.map(Duration::from_secs_f64);
        match (&error, &answer[9..12]) {
            (ModelError::Key(_), "401") => {}
            (ModelError::Throttled { after, .. }, "429") | (ModelError::Retry { after, .. }, "503") => {
                assert_eq!(*after, wait);
            }
            _ => panic!("{error:?}"),
        }
        let shown = format!("{error} {error:?} {told:?}");
        assert!(!shown.contains("4242") && shown.len() < 2_000, "{shown}");
        assert_eq!(told.spent(), Spent::default());
    }
}

#[tokio::test]
async fn what_is_no_such_server_is_told_from_what_is_away() {
    let head =
        |kind: &str| format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: 2\r\n\r\n{{}}");
    let moved = "HTTP/1.1 308 Moved\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n".to_owned();
    for other in [head("text/html"), head("application/json"), moved] {
        let says = Says::new(&[&other], false).await;
        let mut answer = says.model(OPENAI, Patience::default()).ask(&request());
        assert!(matches!(answer.text().await, Err(ModelError::Settings(_))), "{other}");
    }
    let says = Says::new(&[], true).await;
    let mut dropped = says.model(OPENAI, Patience::default()).ask(&request());
    assert!(matches!(dropped.text().await, Err(ModelError::Broken(_))));
    let nobody = Says { address: "127.0.0.1:1".to_owned(), ..says };
    let mut away = nobody.model(OPENAI, Patience::default()).ask(&request());
    assert!(matches!(away.text().await, Err(ModelError::Retry { .. })));
    assert_eq!(away.spent(), Spent::default());
}

#[test]
fn an_address_that_may_not_be_called_and_a_key_that_is_none_are_refused_before_any_call() {
    let outgoing = Outgoing::new(OutgoingRules::default());
    let new = |base_url: &str, key: &str| {
        let (base_url, model) = (base_url.to_owned(), "m".to_owned());
        let server = Server { protocol: OPENAI, base_url, model, patience: Patience::default() };
        ServerModel::new(server, Some(SecretString::from(key)), &outgoing, Arc::new(SystemClock))
    };
    for closed in
        ["http://127.0.0.1:11434", "https://169.254.169.254/v1", "ftp://x", "https://example.org/v1?key=x"]
    {
        assert!(matches!(new(closed, KEY), Err(ModelError::Settings(_))), "{closed}");
    }
    let error = new("https://example.org/v1", "sk-test\n4242").unwrap_err();
    assert!(matches!(error, ModelError::Key(_)) && !format!("{error:?}").contains("4242"));
    let model = new("https://example.org/v1/", KEY).unwrap();
    assert_eq!(model.facts().base_url, "https://example.org/v1");
    assert!(!format!("{model:?}").contains("4242"));
}

#[tokio::test]
async fn a_connection_whose_answer_was_read_to_its_end_is_used_again() {
    let body = [ONE, STOP, USAGE].concat();
    let chunked = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{body}\r\n0\r\n\r\n",
        body.len()
    );
    let says = Says::new(&[&chunked], false).await;
    let model = says.model(OPENAI, Patience::default());
    for _ in 0..3 {
        assert_eq!(model.ask(&request()).text().await.unwrap(), "Größe 本 ");
    }
    assert_eq!(says.connections.load(SeqCst), 1);
}
