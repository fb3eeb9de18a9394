//! `[models]` of `presswork.toml`: which models there are, by the names that jobs call them. Owns: [`Registry`]. Must not know:
//! who asks them.
//!
//! ```toml
//! [models.writer]
//! provider = "anthropic"            # openai (any server that speaks its chat completions), anthropic, ollama
//! model = "claude-sonnet-4-5"
//! key = "anthropic"                 # the secret's name in the tenant's vault; none where a server asks for none
//! base_url = "https://…"            # default: the provider's own
//! max_output_tokens = 8192          # the longest answer that the model gives
//! context = 200000                  # how many tokens question and answer may have together
//! price = { input = 3, output = 15, cache_read = 0.3, cache_write = 3.75 }   # a million tokens; unknown without it
//! first_token = "2m"                # how long is waited: for the first word,
//! idle = "1m"                       # then between bytes,
//! whole = "1h"                      # and for all
//! cache = "1d"                      # how long an answer is given again to an identical question; "0s" for never
//! ```
//! With `openai` also `max_completion_tokens` (default: at api.openai.com only) and `include_usage` (default true).

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use presswork::{
    config::TimeSpan,
    domain::Clock,
    limits::Resource,
    security::{outgoing::Outgoing, vault::SecretName},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{ModelError, Patience, Protocol, Server, ServerModel, prices::Price};

/// How many models there may be.
const MOST_MODELS: usize = 1_000;
/// How long a model's name may be: it is part of a resource's.
const LONGEST_NAME: usize = 60;
/// How long an answer is given again unless it is said otherwise.
pub const CACHED_FOR: Duration = Duration::from_secs(86_400);
/// No entry of the cache lives longer.
const LONGEST_CACHED: Duration = Duration::from_secs(7 * 86_400);
/// A day: no answer takes longer.
const LONGEST_WAIT: Duration = Duration::from_secs(86_400);

/// The section is wrong: mend it where the message says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("[models.{name}] {problem}")]
pub struct RegistryError {
    name: String,
    problem: String,
}

/// A model that jobs can ask, by the name that it has here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Configured {
    /// Its name.
    pub name: String,
    /// What it is and where.
    pub server: Server,
    /// The secret that is its key; `None` where the server asks for none.
    pub key: Option<SecretName>,
    /// The longest answer that it gives, where that is known.
    pub max_output_tokens: Option<u32>,
    /// How many tokens question and answer may have together, where that is known.
    pub context: Option<u32>,
    /// What it costs; `None` where nobody knows.
    pub price: Option<Price>,
    /// How long an answer is given again to an identical question of the same tenant; zero for never.
    pub cache: Duration,
    /// What is reserved for its tokens, `tokens:<name>`: the rate stands in `[limits]`.
    pub tokens: Resource,
    /// What is parked where the provider limits the key, `key:<secret>`: all models of a key wait together. Without a key
    /// `key:none/<name>`.
    pub parked: Resource,
}

impl Configured {
    /// The model, called with its key.
    ///
    /// # Errors
    /// As [`ServerModel::new`], and [`ModelError::Key`] where it needs a key and there is none.
    pub fn connect(
        &self,
        key: Option<SecretString>,
        outgoing: &Outgoing,
        clock: Arc<dyn Clock>,
    ) -> Result<ServerModel, ModelError> {
        match (&self.key, &key) {
            (Some(name), None) => Err(ModelError::key(format_args!("the secret {name} is not given"))),
            _ => ServerModel::new(self.server.clone(), key, outgoing, clock),
        }
    }
}

/// All models that are configured.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry(BTreeMap<String, Configured>);

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Provider {
    OpenAi,
    Anthropic,
    Ollama,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: Provider,
    model: String,
    key: Option<SecretName>,
    base_url: Option<String>,
    max_output_tokens: Option<u32>,
    context: Option<u32>,
    price: Option<Price>,
    first_token: Option<TimeSpan>,
    idle: Option<TimeSpan>,
    whole: Option<TimeSpan>,
    cache: Option<TimeSpan>,
    max_completion_tokens: Option<bool>,
    include_usage: Option<bool>,
}

impl Registry {
    /// Reads the section. What is no model's setting is refused, so that a slip of the pen is noticed.
    ///
    /// # Errors
    /// [`RegistryError`].
    pub fn read(section: &serde_json::Value) -> Result<Self, RegistryError> {
        let wrong = |name: &str, problem: &dyn std::fmt::Display| RegistryError {
            name: name.to_owned(),
            problem: problem.to_string(),
        };
        let Some(entries) = section.as_object().filter(|entries| entries.len() <= MOST_MODELS) else {
            return Err(wrong("*", &"is not a table of at most 1000 models"));
        };
        let read = |(name, entry): (&String, &serde_json::Value)| {
            let plain =
                |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
            if name.is_empty() || name.len() > LONGEST_NAME || !name.bytes().all(plain) {
                return Err(wrong(name, &"a name has 1 to 60 of a-z 0-9 - _ ."));
            }
            let entry = Entry::deserialize(entry).map_err(|problem| wrong(name, &problem))?;
            let configured = entry.configured(name).map_err(|problem| wrong(name, &problem))?;
            Ok((name.clone(), configured))
        };
        entries.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    /// The model of this name.
    pub fn get(&self, name: &str) -> Option<&Configured> {
        self.0.get(name)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Configured> {
        self.0.values()
    }
}

impl Entry {
    fn configured(self, name: &str) -> Result<Configured, String> {
        let only_openai = self.max_completion_tokens.is_some() || self.include_usage.is_some();
        if only_openai && self.provider != Provider::OpenAi {
            return Err("max_completion_tokens and include_usage are for provider openai only".to_owned());
        }
        if self.model.trim().is_empty() {
            return Err("model is empty".to_owned());
        }
        if self.max_output_tokens == Some(0) || self.context == Some(0) {
            return Err("max_output_tokens and context are at least 1, or left out".to_owned());
        }
        let base_url = self.base_url.unwrap_or_else(|| {
            match self.provider {
                Provider::OpenAi => "https://api.openai.com/v1",
                Provider::Anthropic => "https://api.anthropic.com",
                Provider::Ollama => "http://127.0.0.1:11434",
            }
            .to_owned()
        });
        let protocol = match self.provider {
            Provider::OpenAi => Protocol::OpenAi {
                max_completion_tokens: self
                    .max_completion_tokens
                    .unwrap_or_else(|| base_url.starts_with("https://api.openai.com/")),
                include_usage: self.include_usage.unwrap_or(true),
            },
            Provider::Anthropic => Protocol::Anthropic,
            Provider::Ollama => Protocol::Ollama { context: self.context },
        };
        let usual = Patience::default();
        let wait = |span: Option<TimeSpan>, otherwise| match span.map_or(otherwise, |span| span.0) {
            wait if wait.is_zero() || wait > LONGEST_WAIT => Err("a wait is from 1ms to 1d".to_owned()),
            wait => Ok(wait),
        };
        let patience = Patience {
            first_token: wait(self.first_token, usual.first_token)?,
            idle: wait(self.idle, usual.idle)?,
            whole: wait(self.whole, usual.whole)?,
        };
        let resource = |text: String| text.parse().map_err(|problem| format!("{problem}"));
        let parked = match &self.key {
            Some(key) => resource(format!("key:{key}")),
            None => resource(format!("key:none/{name}")),
        };
        Ok(Configured {
            name: name.to_owned(),
            server: Server { protocol, base_url, model: self.model, patience },
            key: self.key,
            max_output_tokens: self.max_output_tokens,
            context: self.context,
            price: self.price,
            cache: match self.cache.map_or(CACHED_FOR, |span| span.0) {
                lives if lives > LONGEST_CACHED => return Err("cache is from 0s to 7d".to_owned()),
                lives => lives,
            },
            tokens: resource(format!("tokens:{name}"))?,
            parked: parked?,
        })
    }
}

#[cfg(test)]
mod tests {
    use presswork::{domain::clock::SystemClock, security::outgoing::OutgoingRules};

    use super::*;

    fn read(text: &str) -> Result<Registry, RegistryError> {
        Registry::read(&toml::from_str(text).unwrap())
    }

    #[test]
    fn models_are_read_with_what_their_providers_usually_are() {
        let registry = read(
            "[writer]\nprovider = \"anthropic\"\nmodel = \"m\"\nkey = \"anthropic\"\nmax_output_tokens = 8192\n\
             price = { input = 3, output = 15.5 }\nfirst_token = \"2m30s\"\n\
             [local]\nprovider = \"ollama\"\nmodel = \"m:1b\"\ncontext = 8192\n\
             [new]\nprovider = \"openai\"\nmodel = \"m\"\nkey = \"openai\"\n\
             [other]\nprovider = \"openai\"\nmodel = \"m\"\nbase_url = \"https://x.example/v1\"\ninclude_usage = false",
        )
        .unwrap();
        assert_eq!(
            registry.iter().map(|model| &*model.name).collect::<Vec<_>>(),
            ["local", "new", "other", "writer"]
        );
        let writer = registry.get("writer").unwrap();
        assert_eq!(
            (&*writer.server.base_url, writer.max_output_tokens),
            ("https://api.anthropic.com", Some(8_192))
        );
        assert_eq!(writer.server.patience.first_token, Duration::from_secs(150));
        assert_eq!((writer.tokens.as_str(), writer.parked.as_str()), ("tokens:writer", "key:anthropic"));
        assert!(writer.price.is_some());
        let local = registry.get("local").unwrap();
        assert_eq!(local.server.protocol, Protocol::Ollama { context: Some(8_192) });
        // Nobody has said that it is free.
        assert_eq!((local.price, local.parked.as_str()), (None, "key:none/local"));
        let protocol = |name: &str| registry.get(name).unwrap().server.protocol;
        assert_eq!(protocol("new"), Protocol::OpenAi { max_completion_tokens: true, include_usage: true });
        assert_eq!(
            protocol("other"),
            Protocol::OpenAi { max_completion_tokens: false, include_usage: false }
        );
        assert!(registry.get("nobody").is_none());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_models_name() {
        let model = "provider = \"ollama\"\nmodel = \"m\"\n";
        for (wrong, what) in [
            ("[w]\nmodel = \"m\"".to_owned(), "missing field `provider`"),
            ("[w]\nprovider = \"gopher\"\nmodel = \"m\"".to_owned(), "unknown variant `gopher`"),
            ("[w]\nprovider = \"ollama\"\nmodel = \" \"".to_owned(), "model is empty"),
            (format!("[w]\n{model}kee = \"x\""), "unknown field `kee`"),
            (format!("[w]\n{model}include_usage = true"), "for provider openai only"),
            (format!("[w]\n{model}idle = \"0s\""), "a wait is from"),
            (format!("[w]\n{model}context = 0"), "at least 1"),
            (format!("[w]\n{model}cache = \"8d\""), "cache is from"),
            (format!("[w]\n{model}price = {{ input = 1 }}"), "missing field `output`"),
            (format!("[w]\n{model}price = {{ input = -1, output = 1 }}"), "a price is a number"),
            (format!("[w]\n{model}key = \"no name\""), "[models.w]"),
            (format!("[\"a b\"]\n{model}"), "a name has"),
            ("w = 1".to_owned(), "[models.w]"),
        ] {
            let error = read(&wrong).unwrap_err().to_string();
            assert!(error.contains(what), "{wrong}: {error}");
        }
    }

    #[test]
    fn a_model_that_needs_a_key_is_not_called_without_one() {
        let registry = read("[w]\nprovider = \"anthropic\"\nmodel = \"m\"\nkey = \"k\"").unwrap();
        let model = registry.get("w").unwrap();
        let connect = |key: Option<&str>| {
            let outgoing = Outgoing::new(OutgoingRules::default());
            model.connect(key.map(SecretString::from), &outgoing, Arc::new(SystemClock))
        };
        assert!(matches!(connect(None), Err(ModelError::Key(_))));
        assert!(connect(Some("sk")).is_ok());
    }
}
