//! OpenAI's chat completions, as OpenAI and very many other servers speak them. Must not know: how bytes come.
//!
//! Read tolerantly, for servers differ: usage comes at the end with no choice, with each chunk, or never; contents are texts or
//! lists of parts; errors come in the middle; fields are null, empty or missing. What is no JSON is a broken stream, not a gap.

use presswork::domain::Reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Event, Finish, ModelError, Request, Used,
    call::{Read, object},
    refusal,
};

pub(super) const PATH: &str = "/chat/completions";
const END: &[u8] = b"[DONE]";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream_options: Option<StreamOptions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_completion_tokens: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

/// A message, as OpenAI and Ollama take it.
#[derive(Serialize)]
pub(super) struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

#[derive(Serialize)]
struct StreamOptions {
    include_usage: bool,
}

/// All messages, the system's first.
pub(super) fn said(request: &Request) -> Vec<Said<'_>> {
    let system = request.system.iter().map(|system| Said { role: "system", content: system });
    let messages =
        request.messages.iter().map(|message| Said { role: message.role.name(), content: &message.text });
    system.chain(messages).collect()
}

pub(super) fn body(
    request: &Request,
    model: &str,
    max_completion_tokens: bool,
    include_usage: bool,
) -> serde_json::Result<Vec<u8>> {
    let most = request.max_output_tokens;
    serde_json::to_vec(&Body {
        model,
        messages: said(request),
        stream: true,
        stream_options: include_usage.then_some(StreamOptions { include_usage }),
        max_tokens: (!max_completion_tokens).then_some(most),
        max_completion_tokens: max_completion_tokens.then_some(most),
        temperature: request.temperature,
        top_p: request.top_p,
        stop: &request.stop,
    })
}

#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: Option<u32>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Delta {
    #[serde(default)]
    content: Option<Content>,
    /// Of DeepSeek and vLLM; OpenRouter calls it `reasoning`.
    #[serde(default, alias = "reasoning")]
    reasoning_content: Option<Value>,
    #[serde(default)]
    refusal: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    /// Of Mistral.
    Parts(Vec<Part>),
}

#[derive(Deserialize)]
struct Part {
    #[serde(default)]
    text: Option<String>,
}

/// Reads a chunk.
pub(super) fn read(data: &[u8], key: Option<&str>, read: &mut Read) -> Result<(), ModelError> {
    if data.trim_ascii() == END {
        read.is_over = true;
        return Ok(());
    }
    let chunk: Chunk = object(data)?;
    if let Some(error) = chunk.error.filter(|error| !error.is_null()) {
        return Err(refusal::within(&serde_json::json!({ "error": error }), key));
    }
    let mine = |choice: &Choice| choice.index.unwrap_or(0) == 0;
    for choice in chunk.choices.unwrap_or_default().into_iter().filter(mine) {
        let Choice { delta, finish_reason, .. } = choice;
        if let Some(Delta { content, reasoning_content, refusal }) = delta {
            if let Some(Value::String(thoughts)) = reasoning_content {
                read.push(Event::Thoughts(thoughts.len()));
            }
            match content {
                Some(Content::Text(text)) => read.push(Event::Text(text)),
                Some(Content::Parts(parts)) => {
                    parts
                        .into_iter()
                        .filter_map(|part| part.text)
                        .for_each(|text| read.push(Event::Text(text)));
                }
                None => {}
            }
            // The model's own words for why it does not answer: no text of a book.
            if refusal.is_some_and(|refusal| !refusal.is_empty()) {
                read.push(Event::Finished(Finish::Refused));
            }
        }
        if let Some(finish) = finish_reason.filter(|reason| !reason.is_empty()) {
            read.push(Event::Finished(finished(&finish)));
        }
    }
    if let Some(used) = chunk.usage.as_ref().and_then(used) {
        read.push(Event::Used(used));
    }
    Ok(())
}

fn finished(reason: &str) -> Finish {
    match reason {
        "stop" | "eos" => Finish::Stop,
        "length" => Finish::Length,
        "content_filter" => Finish::Refused,
        other => Finish::Other(Reason::new(other)),
    }
}

fn used(usage: &Value) -> Option<Used> {
    let number = |path: &str| usage.pointer(path).and_then(Value::as_u64);
    usage.is_object().then(|| Used {
        input: number("/prompt_tokens"),
        cache_read: number("/prompt_tokens_details/cached_tokens"),
        cache_write: None,
        output: number("/completion_tokens"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::{read_all, text};

    fn all(chunks: &[Value]) -> Result<Vec<Event>, ModelError> {
        read_all(read, chunks)
    }

    #[test]
    fn sampling_is_sent_only_where_it_is_given_and_the_length_in_the_words_of_the_server() {
        let request = Request::new("Hello", 9).unwrap();
        let sent = |request: &Request, new, usage| -> Value {
            serde_json::from_slice(&body(request, "m", new, usage).unwrap()).unwrap()
        };
        let messages = json!([{"role": "user", "content": "Hello"}]);
        assert_eq!(
            sent(&request, false, true),
            json!({"model": "m", "messages": messages, "stream": true, "stream_options": {"include_usage": true},
                   "max_tokens": 9})
        );
        let request =
            Request { temperature: Some(0.5), stop: vec!["END".to_owned()], ..request }.system("Be brief");
        assert_eq!(
            sent(&request, true, false),
            json!({"model": "m", "stream": true, "max_completion_tokens": 9, "temperature": 0.5, "stop": ["END"],
                   "messages": [{"role": "system", "content": "Be brief"}, {"role": "user", "content": "Hello"}]})
        );
    }

    #[test]
    fn usage_is_found_wherever_a_server_puts_it() {
        let usage = json!({"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}});
        let used = Used { input: Some(9), cache_read: Some(4), cache_write: None, output: Some(3) };
        let delta = json!({"index": 0, "delta": {"content": "a"}, "finish_reason": null});
        let last = json!({"index": 0, "delta": {}, "finish_reason": "stop"});
        for chunks in [
            vec![
                json!({"choices": [delta], "usage": null}),
                json!({"choices": [last], "usage": null}),
                json!({"choices": [], "usage": usage}),
            ],
            vec![
                json!({"choices": [delta], "usage": {"prompt_tokens": 9, "completion_tokens": 1}}),
                json!({"choices": [last], "usage": usage}),
            ],
            vec![
                json!({"choices": [delta]}),
                json!({"choices": [last]}),
                json!({"choices": null, "usage": usage}),
            ],
        ] {
            let events = all(&chunks).unwrap();
            assert_eq!(text(&events), "a");
            assert!(events.contains(&Event::Finished(Finish::Stop)));
            assert_eq!(
                events.iter().rfind(|event| matches!(event, Event::Used(_))),
                Some(&Event::Used(used))
            );
        }
        let none = all(&[json!({"choices": [delta]}), json!({"choices": [last], "usage": []})]).unwrap();
        assert!(!none.iter().any(|event| matches!(event, Event::Used(_))));
    }

    #[test]
    fn what_differs_between_servers_is_read_all_the_same() {
        let events = all(&[
            json!({"id": "x", "choices": [{"delta": {"role": "assistant", "content": ""}}]}),
            json!({"choices": [{"index": 0, "delta": {"reasoning_content": "hmm"}, "finish_reason": ""}]}),
            json!({"choices": [{"index": 0, "delta": {"reasoning": "hmm"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": [{"type": "text", "text": "Grö"}, {"type": "x"}]}}]}),
            json!({"choices": [{"index": 1, "delta": {"content": "another choice"}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "ße", "tool_calls": null}, "logprobs": null}]}),
            json!({"choices": [{"index": 0, "delta": null, "finish_reason": "tool_calls"}]}),
        ])
        .unwrap();
        assert_eq!(text(&events), "Größe");
        assert_eq!(events.iter().filter(|event| **event == Event::Thoughts(3)).count(), 2);
        assert_eq!(events.last(), Some(&Event::Finished(Finish::Other(Reason::new("tool_calls")))));
        for (reason, finish) in
            [("length", Finish::Length), ("content_filter", Finish::Refused), ("stop", Finish::Stop)]
        {
            let events = all(&[json!({"choices": [{"finish_reason": reason}]})]).unwrap();
            assert_eq!(events, [Event::Finished(finish)]);
        }
        let refusal = json!({"choices": [{"delta": {"refusal": "I can't"}}]});
        let stop = json!({"choices": [{"delta": {}, "finish_reason": "stop"}]});
        assert_eq!(all(&[refusal, stop]).unwrap(), [Event::Finished(Finish::Refused)]);
    }

    #[test]
    fn an_error_in_the_middle_and_a_chunk_that_is_none_end_the_answer() {
        let error = all(&[json!({"error": {"message": "gone", "code": 502}, "choices": []})]).unwrap_err();
        assert_eq!(error, ModelError::broken("gone (status 502)"));
        let mut into = Read::default();
        for broken in [
            b"{\"choices\":[{\"delta\":{\"con".as_slice(),
            b"[]",
            b"{\"choices\":[{\"delta\":{\"content\":\"\xff\"}}]}",
        ] {
            assert!(matches!(read(broken, None, &mut into), Err(ModelError::Broken(_))), "{broken:?}");
        }
        read(b" [DONE] ", None, &mut into).unwrap();
        assert!(into.is_over && into.events.is_empty());
    }
}
