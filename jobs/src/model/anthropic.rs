//! Anthropic's messages. Must not know: how bytes come.

use presswork::{
    domain::Reason,
    security::outgoing::{HeaderMap, HeaderName, HeaderValue},
};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Event, Finish, ModelError, Request, Used,
    call::{Read, object},
    refusal,
};

pub(super) const PATH: &str = "/v1/messages";
pub(super) const KEY: HeaderName = HeaderName::from_static("x-api-key");

pub(super) fn headers() -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert(HeaderName::from_static("anthropic-version"), HeaderValue::from_static("2023-06-01"));
    headers
}

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    max_tokens: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    system: Option<&'a str>,
    messages: Vec<Said<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop_sequences: &'a [String],
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'a str,
    content: &'a str,
}

pub(super) fn body(request: &Request, model: &str) -> serde_json::Result<Vec<u8>> {
    let said = request.messages.iter();
    serde_json::to_vec(&Body {
        model,
        max_tokens: request.max_output_tokens,
        system: request.system.as_deref(),
        messages: said.map(|message| Said { role: message.role.name(), content: &message.text }).collect(),
        stream: true,
        temperature: request.temperature,
        top_p: request.top_p,
        stop_sequences: &request.stop,
    })
}

/// What comes.
#[derive(Deserialize)]
struct Told {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    message: Option<Value>,
    #[serde(default)]
    content_block: Option<Delta>,
    #[serde(default)]
    delta: Option<Delta>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Default, Deserialize)]
struct Delta {
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    thinking: Option<String>,
    #[serde(default)]
    stop_reason: Option<String>,
}

/// The events that are read. Others are let pass, whatever is in them: more will be added.
const KNOWN: [&str; 6] =
    ["message_start", "content_block_start", "content_block_delta", "message_delta", "message_stop", "error"];

fn is_unknown(data: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Kind {
        #[serde(rename = "type")]
        kind: String,
    }
    object::<Kind>(data).is_ok_and(|told| !KNOWN.contains(&told.kind.as_str()))
}

/// Reads an event.
pub(super) fn read(data: &[u8], key: Option<&str>, read: &mut Read) -> Result<(), ModelError> {
    let told = match object::<Told>(data) {
        Ok(told) => told,
        Err(_) if is_unknown(data) => return Ok(()),
        Err(error) => return Err(error),
    };
    match told.kind.as_str() {
        "message_start" => {
            // The answer's tokens are told here as well, but it has hardly begun.
            let usage = told.message.as_ref().and_then(|message| message.get("usage"));
            if let Some(used) = usage.map(used) {
                read.push(Event::Used(Used { output: None, ..used }));
            }
        }
        "content_block_start" | "content_block_delta" => {
            let Delta { text, thinking, .. } = told.delta.or(told.content_block).unwrap_or_default();
            if let Some(thinking) = thinking {
                read.push(Event::Thoughts(thinking.len()));
            }
            if let Some(text) = text {
                read.push(Event::Text(text));
            }
        }
        "message_delta" => {
            if let Some(usage) = &told.usage {
                read.push(Event::Used(used(usage)));
            }
            if let Some(reason) = told.delta.and_then(|delta| delta.stop_reason) {
                read.push(Event::Finished(finished(&reason)));
            }
        }
        "message_stop" => read.is_over = true,
        "error" => {
            return Err(refusal::within(&serde_json::json!({ "error": told.error }), key));
        }
        _ => {}
    }
    Ok(())
}

fn finished(reason: &str) -> Finish {
    match reason {
        "end_turn" | "stop_sequence" => Finish::Stop,
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "refusal" | "content_filter" => Finish::Refused,
        other => Finish::Other(Reason::new(other)),
    }
}

/// What was put into a cache or was found there is told beside the rest of the question.
fn used(usage: &Value) -> Used {
    let number = |name: &str| usage.get(name).and_then(Value::as_u64);
    let (read, write) = (number("cache_read_input_tokens"), number("cache_creation_input_tokens"));
    Used {
        input: number("input_tokens")
            .map(|rest| rest.saturating_add(read.unwrap_or(0)).saturating_add(write.unwrap_or(0))),
        cache_read: read,
        cache_write: write,
        output: number("output_tokens"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::{
        Message, Role,
        tests::{read_all, text},
    };

    #[test]
    fn the_system_prompt_is_no_message_and_sampling_is_sent_only_where_it_is_given() {
        let mut request = Request::new("Go on", 9).unwrap().system("Be brief");
        let sent =
            |request: &Request| -> Value { serde_json::from_slice(&body(request, "m").unwrap()).unwrap() };
        assert_eq!(
            sent(&request),
            json!({"model": "m", "max_tokens": 9, "system": "Be brief", "stream": true,
                   "messages": [{"role": "user", "content": "Go on"}]})
        );
        request.messages.insert(0, Message { role: Role::Assistant, text: "Once".to_owned() });
        let request = Request { system: None, top_p: Some(0.5), stop: vec!["END".to_owned()], ..request };
        assert_eq!(
            sent(&request),
            json!({"model": "m", "max_tokens": 9, "stream": true, "top_p": 0.5, "stop_sequences": ["END"],
                   "messages": [{"role": "assistant", "content": "Once"}, {"role": "user", "content": "Go on"}]})
        );
    }

    #[test]
    fn an_answer_is_read_with_all_that_may_come_between() {
        let events = [
            json!({"type": "message_start", "message": {"id": "m", "content": [], "stop_reason": null, "usage": {
                "input_tokens": 10, "cache_creation_input_tokens": 5, "cache_read_input_tokens": 20, "output_tokens": 1}}}),
            json!({"type": "content_block_start", "index": 0, "content_block": {"type": "thinking", "thinking": ""}}),
            json!({"type": "ping"}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "thinking_delta", "thinking": "hmm"}}),
            json!({"type": "content_block_delta", "index": 0, "delta": {"type": "signature_delta", "signature": "x"}}),
            json!({"type": "content_block_start", "index": 1, "content_block": {"type": "text", "text": ""}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "Grö"}}),
            json!({"type": "something_new", "delta": {"text": 7}}),
            json!({"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": "ße"}}),
            json!({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": null},
                   "usage": {"output_tokens": 7}}),
        ];
        // What is new may have fields of another type.
        let known: Vec<Value> =
            events.iter().filter(|event| event["type"] != "something_new").cloned().collect();
        let found = read_all(read, &known).unwrap();
        assert_eq!(text(&found), "Größe");
        let input = Used { input: Some(35), cache_read: Some(20), cache_write: Some(5), output: None };
        assert_eq!(found.first(), Some(&Event::Used(input)));
        assert!(found.contains(&Event::Thoughts(3)));
        let output = Used { output: Some(7), ..Used::default() };
        assert_eq!(found[found.len() - 2..], [Event::Used(output), Event::Finished(Finish::Stop)]);
        assert_eq!(read_all(read, &events).unwrap(), found);
    }

    #[test]
    fn every_reason_to_end_is_known_and_errors_end_the_answer() {
        for (reason, finish) in [
            ("stop_sequence", Finish::Stop),
            ("max_tokens", Finish::Length),
            ("refusal", Finish::Refused),
            ("pause_turn", Finish::Other(Reason::new("pause_turn"))),
        ] {
            let event = json!({"type": "message_delta", "delta": {"stop_reason": reason}});
            assert_eq!(read_all(read, &[event]).unwrap(), [Event::Finished(finish)]);
        }
        let error = json!({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}});
        assert_eq!(read_all(read, &[error]).unwrap_err(), ModelError::broken("Overloaded (status 529)"));
        assert!(matches!(read_all(read, &[json!(["type"])]), Err(ModelError::Broken(_))));
        let mut into = Read::default();
        read(b"{\"type\":\"message_stop\"}", None, &mut into).unwrap();
        assert!(into.is_over);
    }
}
