//! The nodes of a cluster: each command goes to the one that serves its slot. Owns: the map of the slots, a link a node,
//! and what a node answers that doesn't serve a slot.
//!
//! Own, and not the one of the redis crate, for that sends a command again whose answer was lost; here a command is sent
//! again only where a node has said that it did not run it.
//!
//! While a slot moves from node to node, a script would find some of its keys here and some there. So scripts declare
//! two keys of their slot that never exist ([`Script`](super::Script)): a node that has not all of a slot then answers
//! TRYAGAIN before it runs anything, and the script waits until the slot has arrived.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use redis::{Cmd, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::time::{Instant, sleep};

use super::{
    link::{Link, Target},
    servers::{Servers, away},
    slots::Slots,
    url::Address,
};

/// For so long a command waits for a slot that is on its way or a node that is failing over.
const SETTLED_WITHIN: Duration = Duration::from_secs(10);
/// How long it rests before it asks again.
const REST: Duration = Duration::from_millis(25);

/// The nodes of a cluster.
pub(super) struct Cluster {
    servers: Arc<Servers>,
    slots: RwLock<Slots>,
    links: Mutex<HashMap<Address, Arc<Link>>>,
    /// Held by the one who asks for the slots.
    asking: tokio::sync::Mutex<()>,
    /// Set where a node was lost: another may serve its slots now.
    stale: AtomicBool,
}

impl Cluster {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        let (slots, links) = (RwLock::default(), Mutex::default());
        Self { servers, slots, links, asking: tokio::sync::Mutex::new(()), stale: AtomicBool::new(false) }
    }

    /// Sends a command to the node that serves a slot.
    pub(super) async fn send(&self, slot: u16, command: &Cmd) -> Result<Value, RedisError> {
        let deadline = Instant::now() + SETTLED_WITHIN;
        let mut asking: Option<Address> = None;
        loop {
            let (link, asked) = match asking.take() {
                Some(address) => (self.link(&address), true),
                None => (self.link(&self.node(slot).await?), false),
            };
            let (error, was_sent) = match link.live().await {
                Err(error) => (error, false),
                Ok(live) if asked => match link.send_asking(live, command).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (error, true),
                },
                Ok(live) => match link.send(live, command).await {
                    Ok(answer) => return Ok(answer),
                    Err(error) => (error, true),
                },
            };
            let late = Instant::now() >= deadline;
            match error.kind() {
                _ if late => return Err(error),
                ErrorKind::Server(ServerErrorKind::Moved) => self.note_move(slot, &error).await,
                ErrorKind::Server(ServerErrorKind::Ask) => asking = redirect(&error, &self.servers),
                // None of these was run.
                ErrorKind::Server(ServerErrorKind::TryAgain | ServerErrorKind::BusyLoading) => {
                    sleep(REST).await
                }
                ErrorKind::Server(
                    ServerErrorKind::ClusterDown | ServerErrorKind::MasterDown | ServerErrorKind::ReadOnly,
                ) => {
                    sleep(REST).await;
                    self.ask_for_slots().await?;
                }
                _ if !was_sent => {
                    sleep(REST).await;
                    self.ask_for_slots().await?;
                }
                _ => {
                    // It may have been run. The next one finds out who has taken over.
                    if super::link::is_of_no_use(&error) {
                        self.stale.store(true, Ordering::Relaxed);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// Who serves a slot.
    pub(super) async fn node(&self, slot: u16) -> Result<Address, RedisError> {
        let is_stale = self.stale.swap(false, Ordering::Relaxed);
        if let Some(address) = self.known(slot).filter(|_| !is_stale) {
            return Ok(address);
        }
        self.ask_for_slots().await?;
        self.known(slot).ok_or_else(|| away("no node serves the slot of the key"))
    }

    /// The link to a node.
    pub(super) fn link(&self, address: &Address) -> Arc<Link> {
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Arc::new(Link::new(self.servers.clone(), Target::Node(address.clone())));
        links.entry(address.clone()).or_insert_with(new).clone()
    }

    /// Asks who serves what, once for all who want to know now.
    pub(super) async fn ask_for_slots(&self) -> Result<(), RedisError> {
        let known = {
            let slots = self.slots.read().unwrap_or_else(PoisonError::into_inner);
            slots.nodes()
        };
        let Ok(_asks) = self.asking.try_lock() else {
            // Somebody asks already: what they are told will do.
            drop(self.asking.lock().await);
            return Ok(());
        };
        let slots = self.servers.slots(&known).await?;
        let nodes = slots.nodes();
        *self.slots.write().unwrap_or_else(PoisonError::into_inner) = slots;
        let mut links = self.links.lock().unwrap_or_else(PoisonError::into_inner);
        links.retain(|address, _| nodes.contains(address));
        Ok(())
    }

    /// All nodes that serve slots.
    pub(super) async fn nodes(&self) -> Result<Vec<Address>, RedisError> {
        self.ask_for_slots().await?;
        Ok(self.slots.read().unwrap_or_else(PoisonError::into_inner).nodes())
    }

    fn known(&self, slot: u16) -> Option<Address> {
        self.slots.read().unwrap_or_else(PoisonError::into_inner).node(slot).cloned()
    }

    async fn note_move(&self, slot: u16, error: &RedisError) {
        if let Some(to) = redirect(error, &self.servers) {
            self.slots.write().unwrap_or_else(PoisonError::into_inner).moved(slot, to);
        }
        // A node that errs about its successor must not make this a busy loop.
        sleep(Duration::from_millis(1)).await;
    }
}

/// Where a node sends one. One that doesn't name a host means its own, which is known from the map: ask for that.
fn redirect(error: &RedisError, servers: &Servers) -> Option<Address> {
    let (address, _) = error.redirect_node()?;
    let (host, port) = address.rsplit_once(':')?;
    let port = port.parse().ok()?;
    let host = host.trim_start_matches('[').trim_end_matches(']');
    let host = if host.is_empty() { servers.url.addresses[0].host.clone() } else { host.to_owned() };
    Some(Address { host, port })
}
