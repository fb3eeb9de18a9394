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
//!
//! The [built-in model](Builtin) is always there, as `builtin`: it needs no server, no key and no money. Another name, or
//! another price for it: `provider = "builtin"`, and nothing of what is for servers.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use presswork::{
    config::TimeSpan,
    domain::Clock,
    limits::Resource,
    security::{outgoing::Outgoing, vault::SecretName},
};
use secrecy::SecretString;
use serde::Deserialize;

use super::{
    Builtin, LanguageModel, ModelError, ModelFacts, Patience, Protocol, Server, ServerModel, prices::Price,
};

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
    /// What it is and where; `None` for the [built-in model](Builtin), which runs in this process.
    pub server: Option<Server>,
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
    ) -> Result<Arc<dyn LanguageModel>, ModelError> {
        match (&self.server, &self.key, &key) {
            (None, ..) => Ok(Arc::new(Builtin::new())),
            (_, Some(name), None) => Err(ModelError::key(format_args!("the secret {name} is not given"))),
            (Some(server), ..) => Ok(Arc::new(ServerModel::new(server.clone(), key, outgoing, clock)?)),
        }
    }

    /// Which model it is, before it is called.
    pub fn facts(&self) -> ModelFacts {
        self.server.as_ref().map_or_else(|| Builtin::new().facts().clone(), Server::facts)
    }

    /// The built-in model, by this name, for nothing.
    fn builtin(name: &str) -> Result<Self, String> {
        let resource = |text: String| text.parse().map_err(|problem| format!("{problem}"));
        Ok(Self {
            name: name.to_owned(),
            server: None,
            key: None,
            max_output_tokens: Some(Builtin::MOST_OUTPUT_TOKENS),
            context: None,
            cache: CACHED_FOR,
            price: Some(Price::FREE),
            tokens: resource(format!("tokens:{name}"))?,
            parked: resource(format!("key:none/{name}"))?,
        })
    }
}

/// All models that are configured, and the built-in one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Registry(BTreeMap<String, Configured>);

/// What the built-in model is called where nothing else is called so.
const BUILTIN: &str = "builtin";

impl Default for Registry {
    /// Where there is no `[models]`: the built-in model alone.
    fn default() -> Self {
        let builtin = Configured::builtin(BUILTIN).ok();
        Self(builtin.map(|model| (model.name.clone(), model)).into_iter().collect())
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Provider {
    OpenAi,
    Anthropic,
    Ollama,
    Builtin,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    provider: Provider,
    model: Option<String>,
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
        let mut registry = Self::default();
        for entry in entries {
            let (name, configured) = read(entry)?;
            registry.0.insert(name, configured);
        }
        Ok(registry)
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
        if self.max_output_tokens == Some(0) || self.context == Some(0) {
            return Err("max_output_tokens and context are at least 1, or left out".to_owned());
        }
        let lives = self.cache.map_or(CACHED_FOR, |span| span.0);
        if lives > LONGEST_CACHED {
            return Err("cache is from 0s to 7d".to_owned());
        }
        let at = |usual: &str| self.base_url.clone().unwrap_or_else(|| usual.to_owned());
        let (base_url, protocol) = match self.provider {
            Provider::Builtin => return self.in_process(name),
            Provider::OpenAi => {
                let base_url = at("https://api.openai.com/v1");
                let is_their_own = base_url.starts_with("https://api.openai.com/");
                let protocol = Protocol::OpenAi {
                    max_completion_tokens: self.max_completion_tokens.unwrap_or(is_their_own),
                    include_usage: self.include_usage.unwrap_or(true),
                };
                (base_url, protocol)
            }
            Provider::Anthropic => (at("https://api.anthropic.com"), Protocol::Anthropic),
            Provider::Ollama => (at("http://127.0.0.1:11434"), Protocol::Ollama { context: self.context }),
        };
        let model = self.model.filter(|model| !model.trim().is_empty()).ok_or("model is empty or missing")?;
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
            server: Some(Server { protocol, base_url, model, patience }),
            key: self.key,
            max_output_tokens: self.max_output_tokens,
            context: self.context,
            price: self.price,
            cache: lives,
            tokens: resource(format!("tokens:{name}"))?,
            parked: parked?,
        })
    }

    /// The built-in model under another name, or with other settings.
    fn in_process(self, name: &str) -> Result<Configured, String> {
        let is_for_servers = self.key.is_some()
            || self.base_url.is_some()
            || self.context.is_some()
            || [self.first_token, self.idle, self.whole].iter().any(Option::is_some);
        if is_for_servers {
            return Err("key, base_url, context, first_token, idle and whole are for servers only".to_owned());
        }
        if self.model.is_some_and(|model| model != Builtin::MODEL) {
            return Err(format!("the built-in model is {:?}: leave `model` out", Builtin::MODEL));
        }
        let most = Builtin::MOST_OUTPUT_TOKENS;
        let builtin = Configured::builtin(name)?;
        Ok(Configured {
            max_output_tokens: Some(self.max_output_tokens.unwrap_or(most).min(most)),
            price: self.price.or(builtin.price),
            cache: self.cache.map_or(CACHED_FOR, |span| span.0),
            ..builtin
        })
    }
}

#[cfg(test)]
mod tests {
    use presswork::{domain::clock::SystemClock, security::outgoing::OutgoingRules};

    use super::*;
    use crate::model::{Cost, Usage};

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
            ["builtin", "local", "new", "other", "writer"]
        );
        let server = |name: &str| registry.get(name).unwrap().server.clone().unwrap();
        let writer = registry.get("writer").unwrap();
        assert_eq!(
            (&*server("writer").base_url, writer.max_output_tokens),
            ("https://api.anthropic.com", Some(8_192))
        );
        assert_eq!(server("writer").patience.first_token, Duration::from_secs(150));
        assert_eq!((writer.tokens.as_str(), writer.parked.as_str()), ("tokens:writer", "key:anthropic"));
        assert!(writer.price.is_some());
        let local = registry.get("local").unwrap();
        assert_eq!(server("local").protocol, Protocol::Ollama { context: Some(8_192) });
        // Nobody has said that it is free.
        assert_eq!((local.price, local.parked.as_str()), (None, "key:none/local"));
        let protocol = |name: &str| server(name).protocol;
        assert_eq!(protocol("new"), Protocol::OpenAi { max_completion_tokens: true, include_usage: true });
        assert_eq!(
            protocol("other"),
            Protocol::OpenAi { max_completion_tokens: false, include_usage: false }
        );
        assert!(registry.get("nobody").is_none());
    }

    #[test]
    fn the_built_in_model_is_there_without_any_setting_and_costs_nothing() {
        let everything = Usage { input: u64::MAX, output: u64::MAX, ..Usage::default() };
        for registry in [Registry::default(), read("").unwrap()] {
            let builtin = registry.get("builtin").unwrap();
            assert_eq!((&builtin.server, &builtin.key), (&None, &None));
            assert_eq!(builtin.price.unwrap().of(&everything), Cost::default());
            assert_eq!(builtin.max_output_tokens, Some(Builtin::MOST_OUTPUT_TOKENS));
            let outgoing = Outgoing::new(OutgoingRules::default());
            let model = builtin.connect(None, &outgoing, Arc::new(SystemClock)).unwrap();
            assert_eq!((&*model.facts().provider, &*model.facts().base_url), ("builtin", ""));
        }
        let registry = read(
            "[small]\nprovider = \"builtin\"\nmax_output_tokens = 100\nprice = { input = 1, output = 1 }\n\
             [builtin]\nprovider = \"ollama\"\nmodel = \"m\"",
        )
        .unwrap();
        let small = registry.get("small").unwrap();
        assert_eq!((small.max_output_tokens, small.tokens.as_str()), (Some(100), "tokens:small"));
        assert!(small.price.unwrap().of(&everything) > Cost::default());
        // Who calls another so has said so.
        assert!(registry.get("builtin").unwrap().server.is_some());
    }

    #[test]
    fn what_is_wrong_is_said_with_the_models_name() {
        let model = "provider = \"ollama\"\nmodel = \"m\"\n";
        for (wrong, what) in [
            ("[w]\nmodel = \"m\"".to_owned(), "missing field `provider`"),
            ("[w]\nprovider = \"gopher\"\nmodel = \"m\"".to_owned(), "unknown variant `gopher`"),
            ("[w]\nprovider = \"ollama\"\nmodel = \" \"".to_owned(), "model is empty"),
            ("[w]\nprovider = \"ollama\"".to_owned(), "model is empty"),
            ("[w]\nprovider = \"builtin\"\nkey = \"k\"".to_owned(), "are for servers only"),
            ("[w]\nprovider = \"builtin\"\nidle = \"1s\"".to_owned(), "are for servers only"),
            ("[w]\nprovider = \"builtin\"\nmodel = \"m\"".to_owned(), "leave `model` out"),
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
