//! Ollama's own chat, a JSON object a line. Must not know: how bytes come.

use presswork::domain::Reason;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{
    Event, Finish, ModelError, Request, Used,
    call::{Read, object},
    openai::{Said, said},
    refusal,
};

pub(super) const PATH: &str = "/api/chat";

#[derive(Serialize)]
struct Body<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    stream: bool,
    options: Options<'a>,
}

#[derive(Serialize)]
struct Options<'a> {
    num_predict: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f32>,
    #[serde(skip_serializing_if = "<[String]>::is_empty")]
    stop: &'a [String],
}

pub(super) fn body(request: &Request, model: &str, context: Option<u32>) -> serde_json::Result<Vec<u8>> {
    let options = Options {
        num_predict: request.max_output_tokens,
        num_ctx: context,
        temperature: request.temperature,
        top_p: request.top_p,
        stop: &request.stop,
    };
    serde_json::to_vec(&Body { model, messages: said(request), stream: true, options })
}

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    message: Option<Wrote>,
    #[serde(default)]
    done: bool,
    #[serde(default)]
    done_reason: Option<String>,
    #[serde(default)]
    prompt_eval_count: Option<u64>,
    #[serde(default)]
    eval_count: Option<u64>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Wrote {
    #[serde(default)]
    content: Option<String>,
    #[serde(default, alias = "reasoning_content")]
    thinking: Option<String>,
}

/// Reads a line.
pub(super) fn read(data: &[u8], key: Option<&str>, read: &mut Read) -> Result<(), ModelError> {
    let line: Line = object(data)?;
    if let Some(error) = line.error.filter(|error| !error.is_null()) {
        return Err(refusal::within(&serde_json::json!({ "error": error }), key));
    }
    if let Some(Wrote { content, thinking }) = line.message {
        if let Some(thinking) = thinking {
            read.push(Event::Thoughts(thinking.len()));
        }
        if let Some(content) = content {
            read.push(Event::Text(content));
        }
    }
    if line.done {
        let (input, output) = (line.prompt_eval_count, line.eval_count);
        read.push(Event::Used(Used { input, output, ..Used::default() }));
        // Versions before 0.3 say only that it is done.
        read.push(Event::Finished(match line.done_reason.as_deref() {
            None | Some("stop" | "") => Finish::Stop,
            Some("length") => Finish::Length,
            Some(other) => Finish::Other(Reason::new(other)),
        }));
        read.is_over = true;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::tests::{read_all, text};

    #[test]
    fn lengths_and_sampling_are_options_and_sent_only_where_they_are_given() {
        let request = Request::new("Hello", 9).unwrap();
        let sent = |request: &Request, context| -> Value {
            serde_json::from_slice(&body(request, "m", context).unwrap()).unwrap()
        };
        let messages = json!([{"role": "user", "content": "Hello"}]);
        assert_eq!(
            sent(&request, None),
            json!({"model": "m", "messages": messages, "stream": true, "options": {"num_predict": 9}})
        );
        let request = Request { temperature: Some(0.5), stop: vec!["END".to_owned()], ..request };
        assert_eq!(
            sent(&request, Some(8_192))["options"],
            json!({"num_predict": 9, "num_ctx": 8_192, "temperature": 0.5, "stop": ["END"]})
        );
    }

    #[test]
    fn an_answer_ends_with_the_line_that_says_so_and_an_error_ends_it_too() {
        let lines = [
            json!({"model": "m", "message": {"role": "assistant", "content": "", "thinking": "hmm"}, "done": false}),
            json!({"model": "m", "message": {"role": "assistant", "content": "Grö"}, "done": false}),
            json!({"model": "m", "message": {"role": "assistant", "content": "ße"}, "done": false}),
            json!({"model": "m", "message": {"role": "assistant", "content": ""}, "done": true, "done_reason": "length",
                   "total_duration": 1, "prompt_eval_count": 26, "eval_count": 9}),
        ];
        let events = read_all(read, &lines).unwrap();
        assert_eq!(text(&events), "Größe");
        let used = Used { input: Some(26), output: Some(9), ..Used::default() };
        assert_eq!(events[events.len() - 2..], [Event::Used(used), Event::Finished(Finish::Length)]);
        assert!(
            !read_all(read, &lines[..3]).unwrap().iter().any(|event| matches!(event, Event::Finished(_)))
        );
        let old = read_all(read, &[json!({"done": true})]).unwrap();
        assert_eq!(old.last(), Some(&Event::Finished(Finish::Stop)));
        let error = read_all(read, &[json!({"error": "runner stopped"})]).unwrap_err();
        assert_eq!(error, ModelError::broken("runner stopped (status 500)"));
        assert!(matches!(read(b"{\"done\"", None, &mut Read::default()), Err(ModelError::Broken(_))));
    }
}
