//! Jobs that ask a model which does what a test tells it; see `tests/product/money.rs` for real servers.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use futures_util::{StreamExt as _, stream};
use presswork::{
    domain::{Failure, KindName, Reason},
    spending::Totals,
    testing::{Inline, Ran},
    worker::{Context, Kind},
};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::*;
use crate::model::{Answer, Event, Finish, LanguageModel, ModelError, ModelFacts, Price, Request, Used};

/// A model that says the same to everybody, and counts.
#[derive(Debug)]
pub(super) struct Says {
    facts: ModelFacts,
    says: Vec<Result<Event, ModelError>>,
    /// What it says when it is let go.
    then: Vec<Result<Event, ModelError>>,
    held: watch::Sender<bool>,
    asked: watch::Sender<usize>,
    open: Arc<AtomicUsize>,
}

/// An answer that is being written.
struct Stream(Arc<AtomicUsize>);

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

static MODELS: Mutex<BTreeMap<String, Arc<Says>>> = Mutex::new(BTreeMap::new());

impl Says {
    /// Under this name, which is the test's own.
    pub(super) fn known_as(name: &str, says: Vec<Result<Event, ModelError>>) -> Arc<Self> {
        let model = Self::held_after(name, says, Vec::new());
        model.let_go();
        model
    }

    /// One that says nothing before it is let go.
    pub(super) fn held(name: &str, then: Vec<Result<Event, ModelError>>) -> Arc<Self> {
        Self::held_after(name, Vec::new(), then)
    }

    /// One that says something, and the rest when it is let go.
    pub(super) fn held_after(
        name: &str,
        says: Vec<Result<Event, ModelError>>,
        then: Vec<Result<Event, ModelError>>,
    ) -> Arc<Self> {
        let (provider, model) = ("test".to_owned(), name.to_owned());
        let facts = ModelFacts { provider, base_url: String::new(), model };
        let (held, asked, open) = (watch::Sender::new(true), watch::Sender::new(0), Arc::default());
        let model = Arc::new(Self { facts, says, then, held, asked, open });
        MODELS.lock().unwrap().insert(name.to_owned(), model.clone());
        model
    }

    pub(super) fn let_go(&self) {
        self.held.send_replace(false);
    }

    pub(super) fn asked(&self) -> usize {
        *self.asked.borrow()
    }

    pub(super) async fn until_asked(&self) {
        self.asked.subscribe().wait_for(|asked| *asked > 0).await.unwrap();
    }

    pub(super) fn open_streams(&self) -> usize {
        self.open.load(SeqCst)
    }
}

impl LanguageModel for Says {
    fn facts(&self) -> &ModelFacts {
        &self.facts
    }

    fn ask(&self, request: &Request) -> Answer {
        self.open.fetch_add(1, SeqCst);
        let (open, mut held) = (Stream(self.open.clone()), self.held.subscribe());
        let (says, then) = (self.says.clone(), self.then.clone());
        let rest = stream::once(async move {
            held.wait_for(|held| !held).await.unwrap();
            stream::iter(then)
        });
        let said = stream::iter(says).chain(rest.flatten()).map(move |event| {
            let _open = &open;
            event
        });
        self.asked.send_modify(|asked| *asked += 1);
        Answer::new(request, said)
    }
}

/// Asks one question.
#[derive(Serialize, Deserialize)]
pub(super) struct Ask {
    pub(super) model: String,
    pub(super) question: String,
    #[serde(default)]
    pub(super) caching: Caching,
    #[serde(default)]
    pub(super) is_priced: bool,
    /// What an answer has to have in it to be of use.
    #[serde(default)]
    pub(super) wanted: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Answers {
    pub(super) text: String,
    pub(super) told: String,
    pub(super) from_cache: bool,
    pub(super) bill: Bill,
}

pub(super) fn price() -> Price {
    toml::from_str("input = 1\noutput = 10").unwrap()
}

impl Kind for Ask {
    const NAME: KindName = KindName::literal("ask");
    type Output = Answers;

    async fn run(self, context: Context) -> Result<Answers, Failure> {
        let model = MODELS.lock().unwrap().get(&self.model).cloned();
        let bill = context.checkpoint::<Bill>().unwrap_or_default();
        let mut asker = match model {
            Some(model) => Asker::in_process(
                &context,
                &self.model,
                model,
                self.is_priced.then(price),
                self.caching,
                bill,
            )?,
            None => Asker::new(&context, &self.model, self.caching, bill)?,
        };
        let request = Request::new(&*self.question, 100).map_err(Failure::fatal)?;
        let mut told = String::new();
        let mut tell = |piece: &str| told.push_str(piece);
        let is_of_use = |text: &str| text.contains(&self.wanted);
        let outcome = asker.ask_for("the question", &request, &mut tell, &is_of_use).await;
        context.save(asker.bill()).await?;
        let Answered { text, from_cache, .. } = outcome?;
        Ok(Answers { text, told, from_cache, bill: asker.bill().clone() })
    }
}

pub(super) fn said(text: &str) -> Result<Event, ModelError> {
    Ok(Event::Text(text.to_owned()))
}

pub(super) fn used(input: u64, output: u64) -> Result<Event, ModelError> {
    Ok(Event::Used(Used { input: Some(input), output: Some(output), ..Used::default() }))
}

pub(super) fn stop() -> Result<Event, ModelError> {
    Ok(Event::Finished(Finish::Stop))
}

pub(super) fn ask(model: &str) -> Ask {
    Ask {
        model: model.to_owned(),
        question: "Who?".to_owned(),
        caching: Caching::Fresh,
        is_priced: true,
        wanted: String::new(),
    }
}

fn answers(ran: &Ran) -> Answers {
    serde_json::from_value(ran.result.clone().unwrap()).unwrap()
}

fn bill(ran: &Ran) -> Totals {
    ran.checkpoint::<Bill>().unwrap().total()
}

#[tokio::test]
async fn an_answer_is_told_as_it_comes_and_what_it_cost_is_on_the_bill() {
    Says::known_as("plain", vec![said("a"), said("b"), used(1_000, 200), stop()]);
    let answers = answers(&Inline::new(ask("plain")).run().await.unwrap());
    assert_eq!((&*answers.text, &*answers.told, answers.from_cache), ("ab", "ab", false));
    assert_eq!(answers.bill.to_string(), "1 call; 1000 tokens in, 200 out; cost 0.003");
    // Where nobody has said what it costs, nobody knows.
    let unknown = Ask { is_priced: false, ..ask("plain") };
    let ran = Inline::new(unknown).run().await.unwrap();
    assert_eq!((bill(&ran).whole_cost(), bill(&ran).unpriced_calls), (None, 1));
}

#[tokio::test]
async fn what_an_attempt_has_spent_before_it_failed_stays_on_the_bill() {
    Says::known_as("breaks", vec![said("some text"), Err(ModelError::broken("cut"))]);
    let first = Inline::new(ask("breaks")).run().await.unwrap();
    assert!(
        matches!(&first.result, Err(Failure::Retry { reason, .. }) if reason.as_str().contains("the question: "))
    );
    assert_eq!((bill(&first).calls, bill(&first).estimated_calls), (1, 1));
    let second = Inline::new(ask("breaks")).from_checkpoint(&first.checkpoint::<Bill>().unwrap());
    let second = second.attempt(2).run().await.unwrap();
    assert_eq!(bill(&second).output_tokens, 2 * bill(&first).output_tokens);
}

#[tokio::test]
async fn a_key_that_its_provider_limits_is_parked_and_nothing_is_spent() {
    let throttled =
        ModelError::Throttled { reason: Reason::new("slow down"), after: Some(Duration::from_secs(40)) };
    Says::known_as("throttled", vec![Err(throttled)]);
    let ran = Inline::new(ask("throttled")).run().await.unwrap();
    let Err(Failure::Snooze { wait, reason }) = &ran.result else { panic!("{:?}", ran.result) };
    assert!((40..=45).contains(&wait.as_secs()) && reason.as_str().contains("key:none/throttled is parked"));
    assert_eq!(bill(&ran), Totals::default());
}

#[tokio::test]
async fn a_limit_that_is_used_up_asks_nothing() {
    let model = Says::known_as("limited", vec![said("a"), stop()]);
    let tokens = "tokens:limited".parse().unwrap();
    let calls = "key:none/limited".parse().unwrap();
    // A debt from an earlier question is not made twice: more than the burst waits for a full bucket, which it is at first.
    let ran = Inline::new(ask("limited")).limited(&tokens, "1/min:1".parse().unwrap());
    assert!(ran.limited(&calls, "5/min".parse().unwrap()).run().await.unwrap().result.is_ok());
    assert_eq!(model.asked(), 1);
}

#[tokio::test]
async fn a_model_that_there_is_not_is_named_with_those_that_there_are() {
    let ran = Inline::new(ask("nobody")).models(serde_json::json!({
        "writer": { "provider": "ollama", "model": "m" }, "other": { "provider": "ollama", "model": "m" }
    }));
    let Err(Failure::Fatal(reason)) = ran.run().await.unwrap().result else { panic!("it was found") };
    assert_eq!(reason.as_str(), "there is no model \"nobody\" in [models]: there are builtin, other, writer");
    let Err(Failure::Fatal(reason)) = Inline::new(ask("nobody")).run().await.unwrap().result else {
        panic!("it was found")
    };
    assert!(reason.as_str().ends_with("there are builtin"), "{reason}");
}

#[tokio::test]
async fn a_key_that_the_vault_does_not_have_is_asked_for() {
    let models =
        serde_json::json!({ "writer": { "provider": "anthropic", "model": "m", "key": "anthropic" } });
    let ran = Inline::new(ask("writer")).models(models).run().await.unwrap();
    assert!(matches!(&ran.result, Err(Failure::Fatal(reason)) if reason.as_str().contains("anthropic")));
}
