//! Which model a job asks: one of `[models]`, or one that runs in the process.

use std::{sync::Arc, time::Duration};

use presswork::{domain::Failure, limits::Resource, worker::Context};

use crate::model::{CACHED_FOR, Configured, LanguageModel, ModelFacts, Price, Registry};

/// How much later than at its end a call is settled at most.
const LATE: Duration = Duration::from_secs(60);

/// A model, its price, and what its use is counted as.
pub(super) struct Source {
    pub(super) name: String,
    pub(super) facts: ModelFacts,
    pub(super) price: Option<Price>,
    pub(super) max_output_tokens: Option<u32>,
    pub(super) context_window: Option<u32>,
    /// How long an answer takes at most.
    pub(super) longest: Duration,
    /// How long its answers are kept.
    pub(super) lives: Duration,
    /// What is reserved for its tokens.
    pub(super) tokens: Resource,
    /// What is parked where the provider limits the key.
    pub(super) parked: Resource,
    answers: Answers,
}

/// Who answers.
enum Answers {
    Configured(Box<Configured>),
    Here(Arc<dyn LanguageModel>),
}

impl Source {
    /// The model of this name.
    pub(super) fn find(context: &Context, name: &str) -> Result<Self, Failure> {
        let registry = context.models().map(Registry::read).transpose().map_err(Failure::fatal)?;
        let registry = registry.unwrap_or_default();
        let Some(configured) = registry.get(name) else {
            let known: Vec<&str> = registry.iter().map(|model| &*model.name).collect();
            let known = known.join(", ");
            return Err(Failure::fatal(format_args!(
                "there is no model {name:?} in [models]: there are {known}"
            )));
        };
        Ok(Self {
            name: configured.name.clone(),
            facts: configured.facts(),
            // The clients give up before that.
            longest: configured.server.as_ref().map_or(Duration::MAX, |server| server.patience.whole + LATE),
            lives: configured.cache,
            price: configured.price,
            max_output_tokens: configured.max_output_tokens,
            context_window: configured.context,
            tokens: configured.tokens.clone(),
            parked: configured.parked.clone(),
            answers: Answers::Configured(Box::new(configured.clone())),
        })
    }

    /// One that runs in the process.
    pub(super) fn here(
        name: &str,
        model: Arc<dyn LanguageModel>,
        price: Option<Price>,
    ) -> Result<Self, Failure> {
        let resource = |text: String| text.parse().map_err(Failure::fatal);
        Ok(Self {
            name: name.to_owned(),
            facts: model.facts().clone(),
            longest: Duration::MAX,
            lives: CACHED_FOR,
            price,
            max_output_tokens: None,
            context_window: None,
            tokens: resource(format!("tokens:{name}"))?,
            parked: resource(format!("key:none/{name}"))?,
            answers: Answers::Here(model),
        })
    }

    /// The model, with the tenant's key.
    pub(super) async fn connect(&self, context: &Context) -> Result<Arc<dyn LanguageModel>, Failure> {
        let configured = match &self.answers {
            Answers::Here(model) => return Ok(model.clone()),
            Answers::Configured(configured) => configured,
        };
        let key = match &configured.key {
            Some(name) => Some(context.secret(name.as_str()).await?),
            None => None,
        };
        let connected = configured.connect(key, context.outgoing(), context.shared_clock());
        connected.map_err(Failure::fatal)
    }
}
