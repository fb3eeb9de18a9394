//! What it means that a provider answers with an error, before an answer or within it. Must not know: how it came.

use std::time::Duration;

use presswork::domain::Reason;
use serde_json::Value;

use super::{ModelError, scrub::scrub};

/// How many characters of a provider's message are looked at, and how many repeated.
const MOST_READ: usize = 4_000;
const MOST_CHARACTERS: usize = 500;

/// Types and codes that mean: pay.
const CREDIT: [&str; 6] = [
    "insufficient_quota",
    "insufficient_credits",
    "insufficient_balance",
    "billing_error",
    "billing_hard_limit_reached",
    "billing_not_active",
];
/// How Anthropic says so, with the type and status of a request that is wrong.
const CREDIT_MESSAGE: &str = "credit balance is too low";
/// Types and codes that mean: not this content.
const CONTENT: [&str; 5] = [
    "content_filter",
    "content_policy_violation",
    "moderation_blocked",
    "moderation",
    "ResponsibleAIPolicyViolation",
];
/// Types and codes that mean: no such model, or not for this account, whatever the status.
const MODEL: [&str; 2] = ["model_not_found", "DeploymentNotFound"];
/// What types of errors within a stream would have had for a status before it.
const STATUSES: [(&str, u16); 12] = [
    ("authentication_error", 401),
    ("invalid_api_key", 401),
    ("invalid_request_error", 400),
    ("context_length_exceeded", 400),
    ("not_found_error", 404),
    ("overloaded_error", 529),
    ("permission_error", 403),
    ("rate_limit_error", 429),
    ("rate_limit_exceeded", 429),
    ("request_too_large", 413),
    ("requests", 429),
    ("tokens", 429),
];

/// What a provider says of an error.
#[derive(Debug, Default)]
struct Told {
    kind: String,
    code: String,
    message: String,
}

impl Told {
    /// All known forms: `{"error": {"type", "code", "message"}}`, `{"error": "…"}`, `{"message"}`, `{"detail"}`.
    fn of(value: &Value) -> Self {
        let error = value.get("error").unwrap_or(value);
        let text = |value: &Value| match value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(_) => Some(value.to_string()),
            _ => None,
        };
        let field = |name: &str| error.get(name).and_then(text);
        let message = field("message").or_else(|| text(error)).or_else(|| field("detail"));
        Self {
            kind: field("type").unwrap_or_default(),
            code: field("code").unwrap_or_default(),
            message: message.unwrap_or_default(),
        }
    }

    fn is_named(&self, names: &[&str]) -> bool {
        names.contains(&self.kind.as_str()) || names.contains(&self.code.as_str())
    }

    fn status(&self) -> u16 {
        let named = STATUSES.iter().find(|(name, _)| self.is_named(&[name])).map(|(_, status)| *status);
        let coded = || self.code.parse().ok().filter(|status| (400..600).contains(status));
        named.or_else(coded).unwrap_or(500)
    }

    fn judged(&self, status: u16, after: Option<Duration>, key: Option<&str>) -> ModelError {
        let message: String = self.message.chars().take(MOST_READ).collect();
        let message: String = scrub(&message, key).chars().take(MOST_CHARACTERS).collect();
        let reason = match message.trim() {
            "" => Reason::new(format!("status {status}")),
            message => Reason::new(format!("{message} (status {status})")),
        };
        if status == 402 || self.is_named(&CREDIT) || self.message.contains(CREDIT_MESSAGE) {
            return ModelError::OutOfCredit(reason);
        }
        if self.is_named(&CONTENT) {
            return ModelError::Refused(reason);
        }
        if self.is_named(&MODEL) {
            return ModelError::Settings(reason);
        }
        match status {
            401 | 403 => ModelError::Key(reason),
            404 => ModelError::Settings(reason),
            429 => ModelError::Throttled { reason, after },
            // 425 too early, 498 no capacity (Groq).
            408 | 409 | 425 | 498 | 500.. => ModelError::Retry { reason, after },
            _ => ModelError::Request(reason),
        }
    }
}

/// What an answer of this status means. The body may be anything: only JSON and plain text are repeated.
pub(super) fn answered(status: u16, body: &[u8], after: Option<Duration>, key: Option<&str>) -> ModelError {
    let told = match serde_json::from_slice(body) {
        Ok(value) => Told::of(&value),
        Err(_) => Told { message: plain(body), ..Told::default() },
    };
    told.judged(status, after, key)
}

/// What an error within an answer means, of which something may have been written already.
pub(super) fn within(value: &Value, key: Option<&str>) -> ModelError {
    let told = Told::of(value);
    match told.judged(told.status(), None, key) {
        ModelError::Retry { reason, .. } => ModelError::Broken(reason),
        error => error,
    }
}

/// A text, but no page.
fn plain(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let text = text.trim();
    if text.starts_with(['<', '{', '[']) { String::new() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sk-test-4242424242";

    fn name(error: &ModelError) -> &'static str {
        match error {
            ModelError::Retry { .. } => "retry",
            ModelError::Throttled { .. } => "throttled",
            ModelError::OutOfCredit(_) => "credit",
            ModelError::Request(_) => "request",
            ModelError::Key(_) => "key",
            ModelError::Settings(_) => "settings",
            ModelError::Refused(_) => "refused",
            ModelError::Broken(_) => "broken",
        }
    }

    #[test]
    fn each_error_of_a_provider_becomes_what_to_do_next() {
        for (status, body, next) in [
            (
                429,
                r#"{"error":{"type":"tokens","code":"rate_limit_exceeded","message":"slow"}}"#,
                "throttled",
            ),
            (429, r#"{"error":{"type":"insufficient_quota","code":"insufficient_quota"}}"#, "credit"),
            (429, r#"{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}"#, "throttled"),
            (402, r#"{"error":{"code":402,"message":"Insufficient credits"}}"#, "credit"),
            (
                400,
                r#"{"error":{"type":"invalid_request_error","message":"Your credit balance is too low to …"}}"#,
                "credit",
            ),
            (400, r#"{"error":{"code":"context_length_exceeded","message":"long"}}"#, "request"),
            (400, r#"{"error":{"code":"content_filter","message":"no"}}"#, "refused"),
            (413, r#"{"error":{"type":"request_too_large"}}"#, "request"),
            (422, r#"{"detail":[{"loc":["body","model"],"msg":"field required"}]}"#, "request"),
            (401, r#"{"error":{"code":"invalid_api_key"}}"#, "key"),
            (403, r#"{"error":{"type":"permission_error"}}"#, "key"),
            (403, r#"{"error":{"code":"model_not_found"}}"#, "settings"),
            (404, r#"{"error":"model 'x' not found, try pulling it first"}"#, "settings"),
            (408, "", "retry"),
            (409, "", "retry"),
            (500, "<html>oops</html>", "retry"),
            (503, "upstream connect error", "retry"),
            (529, r#"{"type":"error","error":{"type":"overloaded_error"}}"#, "retry"),
            (418, "", "request"),
        ] {
            assert_eq!(name(&answered(status, body.as_bytes(), None, None)), next, "{status} {body}");
        }
        for (event, next) in [
            (r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#, "broken"),
            (
                r#"{"error":{"message":"The server had an error","type":"server_error","code":null}}"#,
                "broken",
            ),
            (r#"{"error":{"code":502,"message":"Provider disconnected"}}"#, "broken"),
            (r#"{"error":{"code":429,"message":"slow"}}"#, "throttled"),
            (r#"{"error":{"type":"invalid_request_error","message":"long"}}"#, "request"),
            (r#"{"error":"llama runner process no longer running"}"#, "broken"),
        ] {
            assert_eq!(name(&within(&serde_json::from_str(event).unwrap(), None)), next, "{event}");
        }
    }

    #[test]
    fn messages_are_bounded_and_clean_and_hold_no_key_and_no_page() {
        let body = format!(r#"{{"error":{{"message":"\u001b[31mno: {KEY} {}"}}}}"#, "x".repeat(100_000));
        let told = answered(401, body.as_bytes(), None, Some(KEY)).to_string();
        assert!(told.contains("[31mno: … xxx") && told.len() < 700, "{told}");
        let told = answered(401, format!("wrong key {KEY}").as_bytes(), None, Some(KEY)).to_string();
        assert!(told.contains("wrong key …") && !told.contains("4242"), "{told}");
        for hidden in [format!("<html>{KEY}</html>"), format!("{{\"key\":\"{KEY}")] {
            let told = answered(502, hidden.as_bytes(), None, Some(KEY)).to_string();
            assert!(told.ends_with(": status 502"), "{told}");
        }
        let event = serde_json::json!({"error": {"message": format!("key {KEY} is wrong")}});
        assert!(within(&event, Some(KEY)).to_string().contains("key … is wrong"));
    }

    #[test]
    fn the_servers_wait_is_handed_on() {
        let wait = Some(Duration::from_millis(1_500));
        assert!(
            matches!(answered(429, b"", wait, None), ModelError::Throttled { after, .. } if after == wait)
        );
        assert!(matches!(answered(503, b"", wait, None), ModelError::Retry { after, .. } if after == wait));
    }
}
