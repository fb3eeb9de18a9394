//! `Context::secret`: only for who holds the lease, only the tenant's own, and never without a word in the audit log.

use std::{sync::OnceLock, time::Duration};

use presswork::{
    domain::{Failure, KindName, State},
    security::{
        Acting,
        audit::{Action, Entry, Outcome},
    },
    testing::{Inline, TestEngine},
    worker::{Context, Kind, Registry},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use tokio::sync::{Notify, watch};

use super::world::World;

const CANARY: &str = "sk-canary-nobody-may-see-1984";

/// Asks for secrets, one after the other, and answers how long they are.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Asks {
    pub(crate) names: Vec<String>,
}

impl Kind for Asks {
    const NAME: KindName = KindName::literal("asks");
    type Output = Vec<usize>;

    async fn run(self, context: Context) -> Result<Vec<usize>, Failure> {
        let mut lengths = Vec::new();
        for name in self.names {
            let secret = context.secret(&name).await?;
            assert!(!format!("{secret:?} {context:?}").contains("canary"));
            lengths.push(secret.expose_secret().len());
        }
        Ok(lengths)
    }
}

fn asks(names: &[&str]) -> Asks {
    Asks { names: names.iter().map(|name| (*name).to_owned()).collect() }
}

#[tokio::test]
async fn a_handler_gets_its_tenants_secret_and_the_log_says_so_once() {
    let world = World::new();
    let (vault, by) = (world.vault(), Acting::command_line());
    let name = "openai".parse().unwrap();
    let facts = vault.set(&world.tenant, &name, &SecretString::from(CANARY), &by).await.unwrap();
    assert_eq!(facts.version, 1);
    world.entries.take();
    let (job, _) = world.run_one(&asks(&["openai", "openai", "openai"]), State::Completed).await;
    assert_eq!(job.output.as_ref().unwrap().result, serde_json::json!([29, 29, 29]));
    let entries = world.entries.take();
    let [Entry { action, outcome, target, tenant, detail, .. }] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!((*action, *outcome), (Action::SecretRead, Outcome::Done));
    assert_eq!((target.as_deref(), tenant.as_ref()), (Some("openai"), Some(&world.tenant)));
    assert_eq!((detail["job"].clone(), detail["attempt"].as_str()), (job.id.to_string(), "1"));
    assert!(!format!("{entries:?} {job:?}").contains("canary"));
}

#[tokio::test]
async fn a_secret_that_is_not_there_ends_the_job_with_what_to_do() {
    let world = World::new();
    let theirs = "globex".parse().unwrap();
    let (name, value) = ("openai".parse().unwrap(), SecretString::from(CANARY));
    world.vault().set(&theirs, &name, &value, &Acting::command_line()).await.unwrap();
    world.entries.take();
    let (job, _) = world.run_one(&asks(&["openai"]), State::Dead).await;
    let reason = job.reason.unwrap().to_string();
    assert!(reason.contains("secrets set openai --tenant acme") && reason.contains("jobs retry"), "{reason}");
    let entries = world.entries.take();
    assert_eq!(entries.len(), 1);
    assert_eq!((entries[0].action, entries[0].outcome), (Action::SecretRead, Outcome::Refused));
    let (job, _) = world.run_one(&asks(&["../globex/openai"]), State::Dead).await;
    assert!(job.reason.unwrap().to_string().contains("not a secret's name"));
}

/// Keeps its context beyond its end, and asks once when it is told to.
#[derive(Serialize, Deserialize)]
struct Clings {
    lapses: bool,
}

struct Wires {
    kept: watch::Sender<Option<Context>>,
    go: Notify,
}

fn wires() -> &'static Wires {
    static WIRES: OnceLock<Wires> = OnceLock::new();
    WIRES.get_or_init(|| Wires { kept: watch::Sender::new(None), go: Notify::new() })
}

impl Kind for Clings {
    const NAME: KindName = KindName::literal("clings");
    type Output = ();

    async fn run(self, context: Context) -> Result<(), Failure> {
        context.secret("openai").await?;
        if context.job().attempt == 1 {
            wires().kept.send_replace(Some(context.clone()));
            if self.lapses {
                wires().go.notified().await;
                let refused = context.secret("openai").await;
                assert!(matches!(refused, Err(Failure::LeaseLost)), "{refused:?}");
                return Err(Failure::LeaseLost);
            }
        }
        Ok(())
    }
}

#[tokio::test]
async fn without_a_lease_there_is_no_secret() {
    let world = TestEngine::new(Registry::new().register::<Clings>());
    world.set_secret("openai", CANARY).await;
    let job = world.enqueue(&Clings { lapses: false }).await;
    world.drain().await;
    assert_eq!(world.job(job).await.state, State::Completed);
    let context = wires().kept.send_replace(None).unwrap();
    let refused = context.secret("openai").await;
    assert!(matches!(refused, Err(Failure::LeaseLost)), "the attempt has ended: {refused:?}");

    // The lease lapses while the handler runs: the worker was stopped for a while.
    let job = world.enqueue(&Clings { lapses: true }).await;
    let lapse = async {
        wires().kept.subscribe().wait_for(Option::is_some).await.unwrap();
        world.manual_clock().unwrap().advance(Duration::from_secs(20));
        wires().go.notify_one();
    };
    let (attempts, ()) = tokio::join!(world.drain(), lapse);
    assert_eq!(attempts[0].failure, Some(Failure::LeaseLost));
    assert_eq!((world.job(job).await.state, attempts.len()), (State::Completed, 2));
}

#[tokio::test]
async fn a_test_gives_its_handler_secrets() {
    let ran = Inline::new(asks(&["openai", "other"]))
        .secret("openai", CANARY)
        .secret("other", "x")
        .run()
        .await
        .unwrap();
    assert_eq!(ran.result.unwrap(), serde_json::json!([29, 1]));
    let ran = Inline::new(asks(&["openai"])).run().await.unwrap();
    assert!(ran.result.unwrap_err().to_string().contains("secrets set openai --tenant test"));

    let world = TestEngine::new(Registry::new().register::<Asks>());
    world.set_secret("openai", "old").await;
    world.set_secret("openai", CANARY).await;
    let job = world.enqueue(&asks(&["openai"])).await;
    world.drain().await;
    assert_eq!(world.job(job).await.output.unwrap().result, serde_json::json!([29]));
}
