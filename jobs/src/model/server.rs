//! Models behind a server. Owns: [`ServerModel`], and what is set for one.

use std::{fmt, sync::Arc, time::Duration};

use presswork::{
    domain::Clock,
    security::outgoing::{HeaderMap, HeaderName, HeaderValue, Method, Outgoing},
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    Answer, LanguageModel, ModelError, ModelFacts, Request, anthropic,
    call::{Call, Framing, events},
    ollama, openai,
};

/// What a server speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// OpenAI's chat completions, as very many servers do; `base_url` ends in `/v1` with most.
    OpenAi {
        /// Whether the answer's length goes by `max_completion_tokens`, as OpenAI's newer models ask for, instead of
        /// `max_tokens`, which is what most others know.
        max_completion_tokens: bool,
        /// Whether to ask for the usage at the end of the stream. Where a server does not know that, it is estimated.
        include_usage: bool,
    },
    /// Anthropic's messages; `base_url` is `https://api.anthropic.com` there.
    Anthropic,
    /// Ollama's own chat; `base_url` is `http://127.0.0.1:11434` mostly, which has to be allowed (`[outgoing] allow`).
    Ollama {
        /// How many tokens question and answer may have together (`num_ctx`). Without it Ollama takes a few thousand, and cuts
        /// what is longer without a word.
        context: Option<u32>,
    },
}

impl Protocol {
    /// What a provider of it is called.
    pub fn name(&self) -> &'static str {
        match self {
            Self::OpenAi { .. } => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama { .. } => "ollama",
        }
    }
}

/// How long is waited. A connection has 5 seconds to be made, as all calls that go out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// From the request to the first of the text or of thoughts that are shown: models think, and servers load them.
    pub first_token: Duration,
    /// From then on, from one byte to the next, whatever it says.
    pub idle: Duration,
    /// From the request to the end.
    pub whole: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            first_token: Duration::from_secs(120),
            idle: Duration::from_secs(60),
            whole: Duration::from_secs(3_600),
        }
    }
}

/// What is set for a model behind a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// What it speaks.
    pub protocol: Protocol,
    /// What the protocol's paths are put behind.
    pub base_url: String,
    /// Which model, in the server's words.
    pub model: String,
    /// How long is waited.
    pub patience: Patience,
}

impl Server {
    /// Which model this is.
    pub fn facts(&self) -> ModelFacts {
        ModelFacts {
            provider: self.protocol.name().to_owned(),
            base_url: self.base_url.trim_end_matches('/').to_owned(),
            model: self.model.clone(),
        }
    }
}

/// A model behind a server. Cheap to make: connections are [`Outgoing`]'s.
pub struct ServerModel {
    facts: ModelFacts,
    server: Server,
    url: String,
    headers: HeaderMap,
    key: Option<SecretString>,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for ServerModel {
    /// Without the key.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ServerModel").field(&self.facts).finish()
    }
}

impl ServerModel {
    /// The model, called with this key.
    ///
    /// # Errors
    /// [`ModelError::Settings`] where its address may not be called, [`ModelError::Key`] where the key could be none.
    pub fn new(
        server: Server,
        key: Option<SecretString>,
        outgoing: &Outgoing,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ModelError> {
        let facts = server.facts();
        let base_url = &facts.base_url;
        if base_url.contains(['?', '#']) {
            return Err(ModelError::settings("its base_url has a query: only a path can be put behind it"));
        }
        let (path, mut headers) = match server.protocol {
            Protocol::OpenAi { .. } => (openai::PATH, HeaderMap::new()),
            Protocol::Anthropic => (anthropic::PATH, anthropic::headers()),
            Protocol::Ollama { .. } => (ollama::PATH, HeaderMap::new()),
        };
        headers.insert(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"));
        let url = format!("{base_url}{path}");
        outgoing.check(&url).map_err(|error| {
            ModelError::settings(format_args!("{error} (a server of your own: `[outgoing] allow`)"))
        })?;
        // A line feed at the end of a file is no part of a key.
        let key = key.map(|key| SecretString::from(key.expose_secret().trim().to_owned()));
        if let Some(key) = &key {
            let (name, value) = match server.protocol {
                Protocol::Anthropic => (anthropic::KEY, key.expose_secret().to_owned()),
                _ => (HeaderName::from_static("authorization"), format!("Bearer {}", key.expose_secret())),
            };
            let mut value = HeaderValue::from_str(&value)
                .map_err(|_| ModelError::key("it holds characters that no key has"))?;
            value.set_sensitive(true);
            headers.insert(name, value);
        }
        Ok(Self { facts, server, url, headers, key, outgoing: outgoing.clone(), clock })
    }

    fn call(&self, request: &Request) -> Result<Call, ModelError> {
        request.check()?;
        let model = &self.server.model;
        let (body, framing) = match self.server.protocol {
            Protocol::OpenAi { max_completion_tokens, include_usage } => {
                (openai::body(request, model, max_completion_tokens, include_usage), Framing::sse())
            }
            Protocol::Anthropic => (anthropic::body(request, model), Framing::sse()),
            Protocol::Ollama { context } => (ollama::body(request, model, context), Framing::lines()),
        };
        let read = match self.server.protocol {
            Protocol::OpenAi { .. } => openai::read,
            Protocol::Anthropic => anthropic::read,
            Protocol::Ollama { .. } => ollama::read,
        };
        let outgoing = self.outgoing.request(Method::POST, &self.url).map_err(ModelError::settings)?;
        let outgoing = self
            .headers
            .iter()
            .fold(outgoing, |call, (name, value)| call.header(name.clone(), value.clone()));
        let request = outgoing.body(body.map_err(ModelError::request)?);
        Ok(Call::new(request, framing, read, self.server.patience, self.key.clone(), self.clock.clone()))
    }
}

impl LanguageModel for ServerModel {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn ask(&self, request: &Request) -> Answer {
        match self.call(request) {
            Ok(call) => Answer::new(request, events(call)),
            Err(error) => Answer::failed(request, error),
        }
    }
}
