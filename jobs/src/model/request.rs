//! What a model is asked. Owns: [`Request`] and its canonical form.

use serde::Serialize;

use super::{ModelError, ModelFacts, tokens};

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Who asks.
    User,
    /// The model, earlier.
    Assistant,
}

impl Role {
    /// What every protocol calls it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
        }
    }
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What.
    pub text: String,
}

/// What a model is asked. Sampling is sent only where it is given: some models refuse it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Request {
    /// How it is to behave.
    pub system: Option<String>,
    /// The conversation; the last message is the one to answer.
    pub messages: Vec<Message>,
    /// How long the answer may be.
    pub max_output_tokens: u32,
    /// How freely it chooses: 0 for hardly, in the provider's scale.
    pub temperature: Option<f32>,
    /// From how much of the probability it chooses: above 0, at most 1.
    pub top_p: Option<f32>,
    /// Texts before which the answer ends.
    pub stop: Vec<String>,
}

/// How many tokens beside its text a message takes, at most: its role, and what separates it from others.
const AROUND_A_MESSAGE: u64 = 8;
/// Counts up with each change of what the same request means, so that no cache answers with what was asked otherwise.
const VERSION: u32 = 1;

impl Request {
    /// One message, and how long its answer may be.
    ///
    /// # Errors
    /// [`ModelError::Request`] where nothing is asked.
    pub fn new(text: impl Into<String>, max_output_tokens: u32) -> Result<Self, ModelError> {
        let request = Self {
            system: None,
            messages: vec![Message { role: Role::User, text: text.into() }],
            max_output_tokens,
            temperature: None,
            top_p: None,
            stop: Vec::new(),
        };
        request.check()?;
        Ok(request)
    }

    /// The same under a system prompt.
    #[must_use]
    pub fn system(self, text: impl Into<String>) -> Self {
        Self { system: Some(text.into()), ..self }
    }

    /// Whether it can be asked at all; what a provider thinks of it only the provider knows.
    ///
    /// # Errors
    /// [`ModelError::Request`].
    pub fn check(&self) -> Result<(), ModelError> {
        let wrong = |what: &str| Err(ModelError::request(what));
        let is_sane = |number: Option<f32>| number.is_none_or(|number| number.is_finite() && number >= 0.0);
        if self.max_output_tokens == 0 {
            return wrong("the answer may have no token: allow at least one");
        }
        if self.messages.last().is_none_or(|last| last.role != Role::User) {
            return wrong("nothing is asked: the last message has to be the user's");
        }
        if self.messages.iter().any(|message| message.text.trim().is_empty()) {
            return wrong("a message is empty");
        }
        if !is_sane(self.temperature) || !is_sane(self.top_p) {
            return wrong("temperature and top_p are numbers of at least 0");
        }
        if self.stop.iter().any(String::is_empty) {
            return wrong("an empty text can't be what the answer stops at");
        }
        Ok(())
    }

    /// How many tokens the question takes: an estimate, rather too many than too few ([`tokens`]).
    pub fn input_tokens(&self) -> u64 {
        let texts = self.system.iter().chain(self.messages.iter().map(|message| &message.text));
        texts.map(|text| tokens(text) + AROUND_A_MESSAGE).sum::<u64>() + AROUND_A_MESSAGE
    }

    /// How many tokens to reserve for it: the question's, and all that the answer may have.
    pub fn most_tokens(&self) -> u64 {
        self.input_tokens() + u64::from(self.max_output_tokens)
    }

    /// The same bytes for the same question to the same model, and others for any other: what a cache's key is made of,
    /// beside the tenant.
    pub fn canonical(&self, model: &ModelFacts) -> Vec<u8> {
        #[derive(Serialize)]
        struct Canonical<'a> {
            version: u32,
            provider: &'a str,
            base_url: &'a str,
            model: &'a str,
            request: &'a Request,
        }
        let ModelFacts { provider, base_url, model } = model;
        // Fields in the order of their declaration; text and numbers can't fail to be JSON.
        serde_json::to_vec(&Canonical { version: VERSION, provider, base_url, model, request: self })
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(model: &str) -> ModelFacts {
        ModelFacts { provider: "openai".to_owned(), base_url: "x".to_owned(), model: model.to_owned() }
    }

    #[test]
    fn whatever_makes_another_question_makes_other_bytes() {
        let request = Request::new("hello", 100).unwrap();
        let mut all = vec![request.canonical(&facts("a"))];
        assert_eq!(all[0], request.clone().canonical(&facts("a")));
        all.push(request.canonical(&facts("b")));
        for change in [
            |request: &mut Request| request.system = Some(String::new()),
            |request: &mut Request| request.messages[0].text.push(' '),
            |request: &mut Request| request.messages[0].role = Role::Assistant,
            |request: &mut Request| request.max_output_tokens = 101,
            |request: &mut Request| request.temperature = Some(0.0),
            |request: &mut Request| request.temperature = Some(0.1),
            |request: &mut Request| request.top_p = Some(0.1),
            |request: &mut Request| request.stop.push("\",\"".to_owned()),
            |request: &mut Request| request.stop.extend(["\"".to_owned(), "\"".to_owned()]),
            |request: &mut Request| request.messages.push(request.messages[0].clone()),
        ] {
            let mut other = request.clone();
            change(&mut other);
            all.push(other.canonical(&facts("a")));
        }
        let different: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(different.len(), all.len());
    }

    #[test]
    fn what_can_not_be_asked_is_refused_before_it_is_sent() {
        let request = Request::new("hello", 1).unwrap();
        for wrong in [
            Request { max_output_tokens: 0, ..request.clone() },
            Request { messages: Vec::new(), ..request.clone() },
            Request {
                messages: vec![Message { role: Role::Assistant, text: "x".to_owned() }],
                ..request.clone()
            },
            Request {
                messages: vec![Message { role: Role::User, text: " \n".to_owned() }],
                ..request.clone()
            },
            Request { temperature: Some(f32::NAN), ..request.clone() },
            Request { top_p: Some(-0.1), ..request.clone() },
            Request { stop: vec![String::new()], ..request.clone() },
        ] {
            assert!(matches!(wrong.check(), Err(ModelError::Request(_))), "{wrong:?}");
        }
    }
}
