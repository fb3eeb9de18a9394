//! Who acts and from where, as it is handed to what records acts itself, and where that goes. Must not know: how anybody proved
//! who he is, how entries are kept.

use std::net::IpAddr;

use async_trait::async_trait;

use super::audit::{Action, Actor, Audit, Entry};

/// Where acts are recorded: the audit log, or what a test looks at.
#[async_trait]
pub trait Recorder: Send + Sync {
    /// Records what happened; never fails.
    async fn record(&self, entry: Entry);
}

#[async_trait]
impl Recorder for Audit {
    async fn record(&self, entry: Entry) {
        Self::record(self, entry).await;
    }
}

/// Who acts, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Acting {
    /// Who.
    pub actor: Actor,
    /// From where, where that is known.
    pub address: Option<IpAddr>,
    /// In which request, where it is one.
    pub request: Option<String>,
}

impl Acting {
    /// Somebody without an address and a request.
    pub fn new(actor: Actor) -> Self {
        Self { actor, address: None, request: None }
    }

    /// Whoever may run the program on its machine.
    pub fn command_line() -> Self {
        Self::new(Actor::CommandLine)
    }

    /// The program itself.
    pub fn system() -> Self {
        Self::new(Actor::System)
    }

    /// As records name him.
    pub fn name(&self) -> String {
        match &self.actor {
            Actor::Subject(name) => name.clone(),
            Actor::Anonymous => "anonymous".to_owned(),
            Actor::CommandLine => "command line".to_owned(),
            Actor::System => "presswork".to_owned(),
        }
    }

    /// An entry of the audit log of what he does.
    pub(crate) fn entry(&self, action: Action) -> Entry {
        let Self { actor, address, request } = self.clone();
        Entry { actor, address, request, ..Entry::new(action) }
    }
}
