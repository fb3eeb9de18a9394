//! Runs one handler, alone. Owns: [`Inline`] and what it [`Ran`]. Must not know: engines.

use std::{collections::BTreeMap, sync::Arc};

use bytes::Bytes;
use object_store::{ObjectStore, memory::InMemory};
use secrecy::SecretString;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::{
    START,
    stand_ins::{LEASE, Memory, Remembered},
};
use crate::{
    artifact::ArtifactStore,
    cache::{Cache, CacheOptions},
    domain::{
        Checkpoint, Clock, EventBody, Failure, FileName, Job, JobId, ManualClock, NewJob, Random, Rate,
        SeededRandom, State, TenantId, Timestamp, Verdict, WorkerId,
    },
    limits::{LimitRules, MemoryLimiter, Resource, Rules},
    queue::{Claim, Lease},
    security::{
        Acting, Keyring, MasterKeys, MasterSource,
        outgoing::{Outgoing, OutgoingRules},
        vault::{SecretName, Vault},
    },
    spending::{Budget, Spending},
    store::Records,
    worker::{Kind, Parts, PayloadError, Registry, checkpoint::Parted, inline, new_job},
};

/// One attempt of one job, to be run without a queue: the handler has a real [`Context`](crate::worker::Context) on a storage in memory.
/// A panic of the handler is the test's.
pub struct Inline<K> {
    payload: K,
    tenant: TenantId,
    attempt: u32,
    checkpoint: Option<Checkpoint>,
    storage: Arc<dyn ObjectStore>,
    limits: LimitRules,
    budget: Budget,
    secrets: Vec<(SecretName, SecretString)>,
    outgoing: OutgoingRules,
    models: Option<Arc<Value>>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

/// What an attempt did.
pub struct Ran {
    /// What the handler answered: the kind's output as JSON, or how it failed.
    pub result: Result<Value, Failure>,
    /// What it has finished, whole and uncompressed, in order; nothing where it failed.
    pub artifacts: Vec<(FileName, Vec<u8>)>,
    /// What it told, in order: of fast reports the last ones.
    pub events: Vec<EventBody>,
    /// The jobs it has enqueued.
    pub children: Vec<NewJob>,
    /// What it saved last.
    pub checkpoint: Option<Checkpoint>,
    /// The storage as it is now, of all tenants.
    pub storage: Arc<dyn ObjectStore>,
}

impl<K: Kind> Inline<K> {
    /// The first attempt of a job with this payload, of tenant `test`.
    ///
    /// # Panics
    /// Never: `test` is a tenant's name.
    pub fn new(payload: K) -> Self {
        Self {
            payload,
            tenant: super::tenant("test"),
            attempt: 1,
            checkpoint: None,
            storage: Arc::new(InMemory::new()),
            limits: LimitRules(BTreeMap::new()),
            budget: Budget::default(),
            secrets: Vec::new(),
            outgoing: OutgoingRules::default(),
            models: None,
            clock: Arc::new(ManualClock::at(START)),
            random: Arc::new(SeededRandom::new(1)),
        }
    }

    /// The same as another attempt.
    #[must_use]
    pub fn attempt(self, attempt: u32) -> Self {
        Self { attempt: attempt.max(1), ..self }
    }

    /// The same, going on from what an earlier attempt has saved.
    ///
    /// # Panics
    /// Where the checkpoint is no JSON.
    #[must_use]
    pub fn from_checkpoint<T: Serialize>(self, checkpoint: &T) -> Self {
        let bytes = serde_json::to_vec(checkpoint);
        let bytes = bytes.unwrap_or_else(|error| panic!("the checkpoint is no JSON: {error}"));
        Self { checkpoint: Some(Checkpoint(Bytes::from(bytes))), ..self }
    }

    /// The same on a storage that has something in it already.
    #[must_use]
    pub fn on_storage(self, storage: Arc<dyn ObjectStore>) -> Self {
        Self { storage, ..self }
    }

    /// The same where the tenant may use only so much of a resource; else nothing is limited.
    #[must_use]
    pub fn limited(mut self, resource: &Resource, rate: Rate) -> Self {
        self.limits.0.insert(resource.clone(), rate);
        self
    }

    /// The same where the tenant may spend only so much on models; else as much as it likes.
    #[must_use]
    pub fn budget(self, budget: Budget) -> Self {
        Self { budget, ..self }
    }

    /// The same where the tenant has a secret of this name; else it has none.
    ///
    /// # Panics
    /// Where that is no secret's name.
    #[must_use]
    pub fn secret(mut self, name: &str, value: &str) -> Self {
        self.secrets.push((super::secret_name(name), SecretString::from(value)));
        self
    }

    /// The same where calls may go elsewhere than to the public internet, too: to a server of the test's own.
    #[must_use]
    pub fn calls(self, outgoing: OutgoingRules) -> Self {
        Self { outgoing, ..self }
    }

    /// The same with these models, as `[models]` of the settings would have them.
    #[must_use]
    pub fn models(self, models: Value) -> Self {
        Self { models: Some(Arc::new(models)), ..self }
    }

    /// The same with other random numbers, and so as another job: its id is one of them.
    #[must_use]
    pub fn seed(self, seed: u64) -> Self {
        Self { random: Arc::new(SeededRandom::new(seed)), ..self }
    }

    /// The same for another tenant.
    #[must_use]
    pub fn for_tenant(self, tenant: TenantId) -> Self {
        Self { tenant, ..self }
    }

    /// Runs the handler.
    ///
    /// # Errors
    /// [`PayloadError`] where the kind refuses the payload: it would not have been enqueued.
    ///
    /// # Panics
    /// Where the handler does, or what it has finished can't be read back.
    pub async fn run(self) -> Result<Ran, PayloadError> {
        let now = self.clock.now();
        let tenant = self.tenant.clone();
        let new = new_job(JobId::new(now, &*self.random), self.tenant, &self.payload)?;
        let folder = tempfile::tempdir().unwrap_or_else(|error| panic!("no temporary folder: {error}"));
        let memory = Memory::new(self.clock.clone());
        let (clock, random) = (self.clock.clone(), self.random.clone());
        let records: Arc<dyn Records> = Arc::new(memory.clone());
        let keyring = Keyring::new(&records, MasterSource::Absent, clock.clone(), random.clone());
        let vault = vault(&memory, &clock, &random);
        for (name, value) in self.secrets {
            let stored = vault.set(&tenant, &name, &value, &Acting::system()).await;
            stored.unwrap_or_else(|error| panic!("the secret {name} can't be stored: {error}"));
        }
        let parts = Parts {
            queue: Arc::new(memory.clone()),
            progress: Arc::new(memory.clone()),
            artifacts: ArtifactStore::new(self.storage.clone()),
            limiter: Arc::new(MemoryLimiter::new(clock.clone(), random.clone())),
            rules: Arc::new(Rules::new(self.limits, records.clone(), clock.clone())),
            spending: Spending::new(self.budget, &records, clock.clone(), random.clone()),
            cache: Cache::in_memory(CacheOptions::default(), clock, random),
            keyring,
            vault,
            outgoing: Outgoing::new(self.outgoing),
            models: self.models,
            registry: Arc::new(Registry::new().register::<K>()),
            scratch: folder.path().to_owned(),
            clock: self.clock,
            random: self.random,
        };
        let claim = claim(new, self.attempt, self.checkpoint, now);
        let ended = inline::run(&parts, claim, LEASE, None).await;
        let mut artifacts = Vec::new();
        if let Some(Verdict::Done(output)) = ended.verdict {
            let store = ArtifactStore::new(self.storage.clone());
            for pointer in output.artifacts {
                let bytes = super::read(&store, &pointer).await;
                artifacts.push((pointer.name, bytes));
            }
        }
        let Remembered { children, checkpoint, events, .. } = memory.take();
        Ok(Ran { result: ended.outcome, artifacts, events, children, checkpoint, storage: self.storage })
    }
}

impl Ran {
    /// The artifact of that name, as text.
    pub fn text(&self, name: &str) -> Option<String> {
        let (_, bytes) = self.artifacts.iter().find(|(known, _)| known.as_str() == name)?;
        String::from_utf8(bytes.clone()).ok()
    }

    /// What it saved last, read.
    pub fn checkpoint<T: DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&Parted::of(self.checkpoint.as_ref()).ok()?.handler?).ok()
    }

    /// The payloads of the jobs of a kind that it has enqueued.
    pub fn enqueued<K: Kind>(&self) -> Vec<K> {
        let of_kind = self.children.iter().filter(|job| job.kind == K::NAME);
        of_kind.filter_map(|job| serde_json::from_slice(&job.payload.bytes).ok()).collect()
    }
}

/// A vault under a master key that nobody else has.
fn vault(memory: &Memory, clock: &Arc<dyn Clock>, random: &Arc<dyn Random>) -> Vault {
    let mut key = [0; 32];
    random.fill(&mut key);
    let key: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
    let masters: MasterKeys = key.parse().unwrap_or_else(|error| panic!("{error}"));
    let records: Arc<dyn Records> = Arc::new(memory.clone());
    let keyring = Keyring::new(&records, MasterSource::Given(masters), clock.clone(), random.clone());
    Vault::new(&records, &keyring, Arc::new(memory.clone()), clock.clone(), random.clone())
}

/// The claim that a worker would have been given.
fn claim(new: NewJob, attempt: u32, checkpoint: Option<Checkpoint>, now: Timestamp) -> Claim {
    let lease = Lease { tenant: new.tenant.clone(), job: new.id, epoch: u64::from(attempt) };
    let until = now.after(LEASE);
    let job = Job {
        id: new.id,
        tenant: new.tenant,
        kind: new.kind,
        payload: new.payload,
        priority: new.priority,
        cost: new.cost,
        state: State::Running,
        attempt,
        max_attempts: new.max_attempts.max(attempt),
        epoch: lease.epoch,
        created_at: now,
        run_at: now,
        started_at: Some(now),
        finished_at: None,
        cancel_asked: false,
        worker: Some(WorkerId::new("inline")),
        lease_until: Some(until),
        checkpoint,
        output: None,
        reason: None,
        idempotency_key: None,
        unique: None,
        after: Vec::new(),
        batch: None,
    };
    Claim { lease, until, job }
}
