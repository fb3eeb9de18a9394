//! The clients of models before servers that nobody here wrote: llmock, which breaks its answers on demand and judges how a
//! client takes it, and aimock, which speaks Ollama as well.

use std::{
    process::{Child, Command},
    sync::Arc,
    time::Duration,
};

use presswork::{
    domain::clock::SystemClock,
    security::outgoing::{Method, Outgoing, OutgoingRules},
};
use presswork_jobs::model::{
    Answer, Finish, LanguageModel, ModelError, Patience, Protocol, Request, Server, ServerModel, Spent,
};
use serde_json::{Value, json};

use crate::{
    servers::process::{free_port, start, until},
    world::{prepared, validate},
};

const TEXT: &str = "Größe, 本 and 🎭: a whole answer of some words.";
const KEY: &str = "sk-test-4242424242";
const OPENAI: Protocol = Protocol::OpenAi { max_completion_tokens: false, include_usage: true };
const NEWER_OPENAI: Protocol = Protocol::OpenAi { max_completion_tokens: true, include_usage: true };
const OLLAMA: Protocol = Protocol::Ollama { context: Some(8_192) };

pub(crate) const LLMOCK: &str = "models/bin/llmock";
const AIMOCK: &str = "node/node_modules/@copilotkit/aimock/dist/cli.js";

/// A file that `tests/run` has installed.
pub(crate) fn tool(path: &str) -> String {
    let file = prepared("PRESSWORK_TEST_TOOLS").join(path);
    assert!(file.is_file(), "there is no {}: run the tests by tests/run", file.display());
    file.to_str().unwrap().to_owned()
}

/// A server of models.
pub(crate) struct Mock {
    process: Child,
    pub(crate) port: u16,
    outgoing: Outgoing,
}

impl Drop for Mock {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Mock {
    pub(crate) async fn start(program: &str, arguments: &[&str]) -> Self {
        let port = free_port();
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        let process = start(program, arguments.chain(["--port".to_owned(), port.to_string()]));
        let allow = [format!("127.0.0.1:{port}").parse().unwrap()].into();
        let outgoing = Outgoing::new(OutgoingRules { allow, ..OutgoingRules::default() });
        let mock = Self { process, port, outgoing };
        let listens = async || tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok();
        until("the server of models listens", listens).await;
        mock
    }

    async fn llmock() -> Self {
        Self::start(&tool(LLMOCK), &["serve", "--log-level", "error"]).await
    }

    pub(crate) async fn aimock(fixtures: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("fixtures.json");
        std::fs::write(&file, json!({ "fixtures": fixtures }).to_string()).unwrap();
        let script = tool(AIMOCK);
        let arguments = [&*script, "--strict", "--fixtures", file.to_str().unwrap()];
        // It has read them when it listens.
        Self::start("node", &arguments).await
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    fn model(&self, protocol: Protocol, path: &str) -> ServerModel {
        let patience = Patience {
            first_token: Duration::from_secs(3),
            idle: Duration::from_millis(700),
            ..Patience::default()
        };
        let server = Server { protocol, base_url: self.url(path), model: "m".to_owned(), patience };
        ServerModel::new(server, Some(KEY.to_owned().into()), &self.outgoing, Arc::new(SystemClock)).unwrap()
    }

    /// Tells llmock something, or asks it.
    pub(crate) async fn control(&self, method: Method, path: &str, body: &Value) -> Value {
        let request = self.outgoing.request(method, &self.url(path)).unwrap();
        let request = if body.is_null() { request } else { request.body(body.to_string()) };
        let answer = request.send().await.unwrap();
        assert!(answer.status.is_success(), "{path}: {}", String::from_utf8_lossy(&answer.body));
        serde_json::from_slice(&answer.body).unwrap()
    }

    async fn script(&self, behaviors: Value) {
        self.control(Method::POST, "/_llmock/scenario", &json!({ "behaviors": behaviors })).await;
    }

    /// Until llmock has noted the end of so many requests. It takes what begins before that for another call, not for a retry.
    async fn noted(&self, requests: usize) {
        let noted = async || {
            let served = self.control(Method::GET, "/_llmock/requests", &Value::Null).await;
            served["count"] == json!(requests)
        };
        until("llmock has noted how the requests ended", noted).await;
    }
}

fn request(text: &str) -> Request {
    Request::new(text, 500).unwrap().system("Write.")
}

/// What the queue does with an answer's errors, here within one test: waits as long as a server asks, or longer each time, and
/// gives up where waiting can't help. The text, what it cost, and what failed before it. `ended` is awaited after each request.
async fn at_last(
    model: &dyn LanguageModel,
    text: &str,
    mut ended: impl AsyncFnMut(),
) -> (Result<String, ModelError>, Spent, Vec<ModelError>) {
    let mut failed = Vec::new();
    loop {
        let mut answer = model.ask(&request(text));
        let backoff = Duration::from_millis(100) * 2_u32.pow(u32::try_from(failed.len()).unwrap());
        let (text, spent, finish) = (answer.text().await, answer.spent(), answer.finish().cloned());
        drop(answer);
        ended().await;
        match text {
            Ok(text) => {
                assert_eq!(finish, Some(Finish::Stop));
                return (Ok(text), spent, failed);
            }
            Err(
                error @ (ModelError::Retry { .. } | ModelError::Throttled { .. } | ModelError::Broken(_)),
            ) if failed.len() < 5 => {
                let after = match error {
                    ModelError::Retry { after, .. } | ModelError::Throttled { after, .. } => after,
                    _ => None,
                };
                failed.push(error);
                tokio::time::sleep(after.unwrap_or(backoff)).await;
            }
            Err(error) => return (Err(error), spent, failed),
        }
    }
}

async fn begun(answer: &mut Answer) -> String {
    answer.next().await.unwrap().unwrap()
}

#[tokio::test]
async fn llmock_finds_no_fault_with_the_clients_of_openai_and_anthropic() {
    let mock = Mock::llmock().await;
    let mut requests = 0;
    let mut ended = async || {
        requests += 1;
        mock.noted(requests).await;
    };
    for (name, model) in [
        ("openai", mock.model(OPENAI, "/v1")),
        ("newer", mock.model(NEWER_OPENAI, "/v1/")),
        ("anthropic", mock.model(Protocol::Anthropic, "/anthropic")),
    ] {
        let reply = |text: &str| json!({"type": "reply", "text": text});
        let fail = |status: u16, wait: f64| json!({"type": "fail", "status": status, "retry_after": wait});
        let fault = |kind: &str| json!({"type": "stream_fault", "kind": kind, "after_chunks": 3, "stall_seconds": 5.0});
        let slow = json!({"type": "slow_first_token", "seconds": 20.0});
        for (what, behaviors) in [
            ("plain", vec![]),
            ("limited", vec![fail(429, 0.3), fail(429, 0.1)]),
            ("overloaded", vec![fail(529, 0.2)]),
            ("ill", vec![fail(500, 0.1), fail(503, 0.2), fail(408, 0.1), fail(409, 0.1)]),
            ("truncated", vec![fault("truncate")]),
            ("disconnected", vec![fault("disconnect")]),
            ("malformed", vec![fault("malformed")]),
            ("stalled", vec![fault("stall")]),
            ("silent", vec![slow]),
        ] {
            let faults = behaviors.len();
            // The first attempt that comes so far takes it; those after it have llmock's own. What is malformed goes on for so
            // long that no server has sent all of it before the client has left.
            let text = if what == "malformed" { TEXT.repeat(20_000) } else { TEXT.to_owned() };
            mock.script(json!([behaviors, vec![reply(&text)]].concat())).await;
            let (text, spent, failed) = at_last(&model, &format!("{name} {what}"), &mut ended).await;
            mock.control(Method::DELETE, "/_llmock/scenario", &Value::Null).await;
            let text = text.unwrap_or_else(|error| panic!("{name} {what}: {error}"));
            assert!(!text.is_empty() && (faults > 0 || text == TEXT), "{name} {what}: {text}");
            assert_eq!(failed.len(), faults, "{name} {what}: {failed:?}");
            assert!(!spent.is_estimate && spent.usage.input > 0 && spent.usage.output > 0, "{spent:?}");
        }
        for (status, what) in
            [(400, "request"), (401, "key"), (403, "key"), (404, "settings"), (422, "request")]
        {
            mock.script(json!([{"type": "fail", "status": status}])).await;
            let (error, spent, failed) = at_last(&model, &format!("{name} {status}"), &mut ended).await;
            let is_so = match error.unwrap_err() {
                ModelError::Request(_) => what == "request",
                ModelError::Key(_) => what == "key",
                ModelError::Settings(_) => what == "settings",
                _ => false,
            };
            assert!(is_so && failed.is_empty() && spent == Spent::default(), "{name} {status}");
        }
    }
    let url = mock.url("");
    let mut report = Command::new(tool(LLMOCK));
    report.args(["report", "--strict", "--url", &url]);
    validate(report);
    let verdict = mock.control(Method::GET, "/_llmock/verdict", &Value::Null).await;
    assert_eq!(verdict["findings"], json!([]));
    // Three clients, each 9 calls with 13 faults and 5 calls with one.
    assert_eq!((&verdict["calls"], &verdict["attempts"]), (&json!(42), &json!(78)), "{verdict}");
}

#[tokio::test]
async fn an_answer_that_is_dropped_stops_the_server_and_what_is_out_of_credit_is_not_asked_again() {
    let mock = Mock::llmock().await;
    for model in [mock.model(OPENAI, "/v1"), mock.model(Protocol::Anthropic, "/anthropic")] {
        mock.control(Method::POST, "/_llmock/reset", &Value::Null).await;
        let stall =
            json!({"type": "stream_fault", "kind": "stall", "after_chunks": 6, "stall_seconds": 20.0});
        mock.script(json!([{"type": "reply", "text": TEXT}, stall])).await;
        let mut answer = model.ask(&request("to be stopped"));
        assert!(TEXT.starts_with(&begun(&mut answer).await));
        let spent = answer.spent();
        assert!(spent.is_estimate && spent.usage.input > 0 && spent.usage.output > 0, "{spent:?}");
        drop(answer);
        // It waits up to two seconds for requests that are still served; this one has ended long before its stall.
        let served = mock.control(Method::GET, "/_llmock/requests", &Value::Null).await;
        assert_eq!(
            (&served["count"], &served["requests"][0]["completed"]),
            (&json!(1), &json!(false)),
            "{served}"
        );
        assert!(served["requests"][0]["duration"].as_f64().unwrap() < 2.0, "{served}");

        let code = "insufficient_quota";
        mock.script(
            json!([{"type": "fail", "status": 429, "code": code, "message": format!("pay for {KEY}")}]),
        )
        .await;
        let error = model.ask(&request("to be paid")).text().await.unwrap_err();
        assert!(matches!(&error, ModelError::OutOfCredit(_)), "{error}");
        assert!(error.to_string().contains("pay for …"), "{error}");
    }
}

#[tokio::test]
async fn aimock_is_understood_in_all_three_protocols() {
    let usage = json!({"prompt_tokens": 11, "completion_tokens": 12, "total_tokens": 23, "input_tokens": 11,
                       "output_tokens": 12});
    let error = |kind: &str| json!({"message": format!("not now, {KEY}"), "type": kind});
    let mock = Mock::aimock(&json!([
        {"match": {"userMessage": "plain"}, "response": {"content": TEXT, "usage": usage}},
        {"match": {"userMessage": "thoughtful"}, "response": {"content": TEXT, "reasoning": "hmm, hmm", "usage": usage}},
        {"match": {"userMessage": "long"}, "response": {"content": TEXT, "finishReason": "length"}},
        {"match": {"userMessage": "filtered"}, "response": {"content": TEXT, "finishReason": "content_filter"}},
        {"match": {"userMessage": "cut"}, "response": {"content": TEXT}, "truncateAfterChunks": 2, "latency": 20},
        {"match": {"userMessage": "limited"},
         "response": {"error": error("rate_limit_error"), "status": 429, "retryAfter": 3}},
        {"match": {"userMessage": "overloaded"}, "response": {"error": error("overloaded_error"), "status": 529}},
        {"match": {"userMessage": "unpaid"}, "response": {"error": error("insufficient_quota"), "status": 429}},
    ]))
    .await;
    for (protocol, path) in [(OPENAI, "/v1"), (NEWER_OPENAI, "/v1"), (Protocol::Anthropic, ""), (OLLAMA, "")]
    {
        let model = mock.model(protocol, path);
        let name = &model.facts().provider;
        for what in ["plain", "thoughtful"] {
            let mut answer = model.ask(&request(what));
            assert_eq!(answer.text().await.unwrap(), TEXT, "{name}");
            assert_eq!(answer.finish(), Some(&Finish::Stop));
            // It counts nothing for Ollama.
            let spent = answer.spent();
            assert_eq!(spent.is_estimate, protocol == OLLAMA, "{name}");
            assert!(
                spent.is_estimate || (spent.usage.input, spent.usage.output) == (11, 12),
                "{name} {spent:?}"
            );
            assert!(spent.usage.input > 0 && spent.usage.output > 0);
        }
        // Nor does it end for another reason there than being done.
        if protocol != OLLAMA {
            let mut answer = model.ask(&request("long"));
            assert_eq!(answer.text().await.unwrap(), TEXT);
            assert_eq!(answer.finish(), Some(&Finish::Length), "{name}");
            let refused = model.ask(&request("filtered")).text().await;
            assert!(matches!(refused, Err(ModelError::Refused(_))), "{name}: {refused:?}");
        }
        let mut answer = model.ask(&request("cut"));
        let error = answer.text().await.unwrap_err();
        assert!(matches!(error, ModelError::Broken(_)) && answer.spent().is_estimate, "{name}: {error}");
        let wait = Some(Duration::from_secs(3));
        for (what, wait) in [("limited", wait), ("overloaded", None), ("unpaid", None)] {
            let mut answer = model.ask(&request(what));
            let error = answer.text().await.unwrap_err();
            let is_so = match (&error, what) {
                (ModelError::Throttled { after, .. }, "limited") => *after == wait,
                (ModelError::Retry { after, .. }, "overloaded") => *after == wait,
                (ModelError::OutOfCredit(_), "unpaid") => true,
                _ => false,
            };
            assert!(is_so && answer.spent() == Spent::default(), "{name} {what}: {error:?}");
            assert!(error.to_string().contains("not now, …"), "{name} {what}: {error}");
        }
    }
}
