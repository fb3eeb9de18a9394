//! A server of a model that answers as a test says: chat completions, streamed. What speaks to it is the real client.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
};

use axum::{
    Json, Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use futures_util::{StreamExt as _, stream};
use presswork::{security::outgoing::OutgoingRules, testing::Inline, worker::Kind};
use serde_json::{Value, json};

/// What was asked.
#[derive(Clone, Debug)]
pub(super) struct Question {
    pub(super) system: String,
    pub(super) text: String,
    pub(super) model: String,
    pub(super) most_tokens: u64,
}

/// What is answered.
#[derive(Clone, Debug)]
pub(super) enum Reply {
    /// A whole answer.
    Says(String),
    /// One that is cut where it may have no more tokens.
    Cut(String),
    /// None, by this status.
    Fails(u16),
}

type Author = dyn Fn(&Question, usize) -> Reply + Send + Sync;

#[derive(Clone)]
pub(super) struct Server {
    address: String,
    asked: Arc<Mutex<Vec<Question>>>,
    author: Arc<Author>,
}

impl Server {
    /// One that answers so; it is told how many questions came before, too.
    pub(super) async fn new(author: impl Fn(&Question, usize) -> Reply + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let server = Self { address, asked: Arc::default(), author: Arc::new(author) };
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(server.clone());
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        server
    }

    /// All questions until now.
    pub(super) fn asked(&self) -> Vec<Question> {
        self.asked.lock().unwrap().clone()
    }

    /// How many questions have this in them.
    pub(super) fn count(&self, part: &str) -> usize {
        self.asked().iter().filter(|question| question.text.contains(part)).count()
    }

    /// A job whose models `m` and `editor` are this one.
    pub(super) fn job<K: Kind>(&self, payload: K) -> Inline<K> {
        let model = |more: Value| {
            let mut model = json!({
                "provider": "openai", "model": "m", "base_url": format!("http://{}/v1", self.address),
                "price": {"input": 1, "output": 2}
            });
            model.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            model
        };
        let models = json!({
            "m": model(json!({})),
            "editor": model(json!({"model": "editor"})),
            "narrow": model(json!({"context": 1_400, "max_output_tokens": 300})),
        });
        let allow: BTreeSet<_> = [self.address.parse().unwrap()].into();
        Inline::new(payload).models(models).calls(OutgoingRules { allow, ..OutgoingRules::default() })
    }
}

async fn answer(State(server): State<Server>, Json(body): Json<Value>) -> Response {
    let said = |role: &str| {
        let messages = body["messages"].as_array().unwrap().iter().filter(|message| message["role"] == role);
        messages.map(|message| message["content"].as_str().unwrap()).collect::<Vec<_>>().join("\n")
    };
    let question = Question {
        system: said("system"),
        text: said("user"),
        model: body["model"].as_str().unwrap().to_owned(),
        most_tokens: body["max_tokens"].as_u64().unwrap(),
    };
    let before = {
        let mut asked = server.asked.lock().unwrap();
        asked.push(question.clone());
        asked.len() - 1
    };
    let (text, finish) = match (server.author)(&question, before) {
        Reply::Says(text) => (text, "stop"),
        Reply::Cut(text) => (text, "length"),
        Reply::Fails(status) => {
            let error = Json(json!({"error": {"message": "not now"}}));
            return (StatusCode::from_u16(status).unwrap(), error).into_response();
        }
    };
    let event = |value: Value| format!("data: {value}\n\n");
    let words: Vec<&str> = text.split_inclusive(' ').collect();
    let pieces = words.chunks(8).map(|piece| {
        let piece = piece.concat();
        event(json!({"choices": [{"index": 0, "delta": {"content": piece}, "finish_reason": null}]}))
    });
    let tokens = text.split_whitespace().count();
    let end = [
        event(json!({"choices": [{"index": 0, "delta": {}, "finish_reason": finish}]})),
        event(json!({"choices": [], "usage": {"prompt_tokens": 100, "completion_tokens": tokens}})),
        "data: [DONE]\n\n".to_owned(),
    ];
    let all: Vec<String> = pieces.chain(end).collect();
    let body = Body::from_stream(stream::iter(all).map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece))));
    ([("content-type", "text/event-stream")], body).into_response()
}

/// The number behind some words of a question.
pub(super) fn number(text: &str, behind: &str) -> usize {
    let rest = text.split_once(behind).unwrap_or_else(|| panic!("{behind} is not in {text}")).1;
    rest.chars().take_while(char::is_ascii_digit).collect::<String>().parse().unwrap()
}

/// Prose of so many words, which says whose it is.
pub(super) fn prose(of: &str, words: usize) -> String {
    let mut text = format!("This is {of}.");
    let mut count = of.split_whitespace().count() + 2;
    while count < words {
        text.push_str(if count % 60 < 6 { "\n\n" } else { " " });
        text.push_str("And then she went on.");
        count += 5;
    }
    text
}

/// A novelist who does as asked.
pub(super) fn novelist(question: &Question) -> Reply {
    let text = &question.text;
    Reply::Says(if text.contains("Plan the book") {
        let count = number(text, "with exactly ");
        let chapter = |n: usize| json!({"title": format!("Title {n}"), "plan": format!("Plan {n} of Ann.")});
        json!({"chapters": (1..=count).map(chapter).collect::<Vec<_>>()}).to_string()
    } else if text.contains("Write chapter ") {
        prose(&format!("chapter {}", number(text, "Write chapter ")), 100)
    } else if text.contains("Sum up this chapter") {
        format!("Summary {} tells what has happened until now.", number(text, "\nChapter "))
    } else if text.contains("Revise chapter ") {
        prose(&format!("revision {}", number(text, "Revise chapter ")), 100)
    } else if text.contains("Rewrite chapter ") {
        prose("the rewritten chapter", 100)
    } else if text.contains("Go on with chapter ") {
        prose("what comes next", 50)
    } else if text.contains("Write a synopsis") {
        "Ann goes on and on, until she arrives.".to_owned()
    } else {
        json!({"role": "heroine", "description": "She goes on.", "traits": ["brave"]}).to_string()
    })
}
