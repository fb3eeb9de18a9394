//! Channels (`SSUBSCRIBE`): one connection a server, however many listen. Owns: who listens to what, the coming back of
//! connections. Must not know: what is told there.
//!
//! Listeners are called by the task that reads the connection, so they must be quick and never wait. Nothing piles up
//! here. What is told while a connection is away is lost: listeners are told when nothing is heard any more
//! ([`News::Lost`]) and, as soon as they are listening again, that they have missed something ([`News::Missed`]).

mod keeper;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use redis::{PushInfo, PushKind, RedisError, Value};
use tokio::sync::mpsc;

use self::keeper::{Keeper, Order};
use super::servers::Servers;

/// What a listener is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News<'a> {
    /// Somebody has published this.
    Message(&'a [u8]),
    /// Nothing is heard from now on, until [`Missed`](Self::Missed).
    Lost,
    /// Something may have been published that was not heard; from now on all is heard again.
    Missed,
}

/// Called for each piece of news. Must be quick, and never wait.
pub type Listener = Arc<dyn Fn(News<'_>) + Send + Sync>;

/// The listeners of a channel, and the number by which each is removed.
type Numbered = Vec<(u64, Listener)>;

/// Who listens to what.
#[derive(Default)]
struct Listeners {
    by_channel: Mutex<HashMap<Vec<u8>, Numbered>>,
}

impl Listeners {
    fn tell(&self, channel: &[u8], news: News<'_>) {
        let listeners = {
            let by_channel = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
            by_channel.get(channel).cloned().unwrap_or_default()
        };
        for (_, listener) in listeners {
            listener(news);
        }
    }

    fn has(&self, channel: &[u8]) -> bool {
        self.by_channel.lock().unwrap_or_else(PoisonError::into_inner).contains_key(channel)
    }

    fn add(&self, channel: &[u8], number: u64, listener: Listener) {
        let mut by_channel = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        by_channel.entry(channel.to_vec()).or_default().push((number, listener));
    }

    fn remove(&self, channel: &[u8], number: u64) {
        let mut by_channel = self.by_channel.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(listeners) = by_channel.get_mut(channel) {
            listeners.retain(|(known, _)| *known != number);
            if listeners.is_empty() {
                by_channel.remove(channel);
            }
        }
    }

    /// What a server has pushed. Answers what the keeper must know.
    fn hear(&self, push: &PushInfo) -> Option<Heard> {
        match (&push.kind, push.data.as_slice()) {
            (PushKind::SMessage, [Value::BulkString(channel), Value::BulkString(message)]) => {
                self.tell(channel, News::Message(message));
                None
            }
            (PushKind::Disconnection, _) => Some(Heard::Lost),
            // Not asked for: the channel's slot has moved.
            (PushKind::SUnsubscribe, [Value::BulkString(channel), ..]) if self.has(channel) => {
                Some(Heard::Lost)
            }
            _ => None,
        }
    }
}

enum Heard {
    Lost,
}

/// Channels to listen to.
pub struct Channels {
    servers: Arc<Servers>,
    listeners: Arc<Listeners>,
    numbers: AtomicU64,
    keeper: Mutex<Option<mpsc::UnboundedSender<Order>>>,
}

impl Channels {
    pub(super) fn new(servers: Arc<Servers>) -> Self {
        Self { servers, listeners: Arc::default(), numbers: AtomicU64::new(0), keeper: Mutex::new(None) }
    }

    /// Listens to a channel: what is published once this has answered is heard, until the ear is dropped.
    ///
    /// # Errors
    /// Where the server can't be reached or refuses.
    pub async fn listen(&self, channel: &[u8], listener: Listener) -> Result<Ear, RedisError> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        // First the listener, then the subscription: none is missed.
        self.listeners.add(channel, number, listener);
        let orders = self.orders();
        let ear = Ear { listeners: self.listeners.clone(), orders, channel: channel.to_vec(), number };
        ear.confirm().await?;
        Ok(ear)
    }

    fn orders(&self) -> mpsc::UnboundedSender<Order> {
        let mut keeper = self.keeper.lock().unwrap_or_else(PoisonError::into_inner);
        // One whose runtime has ended is gone with it.
        if let Some(orders) = keeper.as_ref().filter(|orders| !orders.is_closed()) {
            return orders.clone();
        }
        let orders = Keeper::start(self.servers.clone(), self.listeners.clone());
        *keeper = Some(orders.clone());
        orders
    }
}

/// Somebody who listens. Dropped: listens no more.
pub struct Ear {
    listeners: Arc<Listeners>,
    orders: mpsc::UnboundedSender<Order>,
    channel: Vec<u8>,
    number: u64,
}

impl Ear {
    async fn confirm(&self) -> Result<(), RedisError> {
        let (done, answer) = tokio::sync::oneshot::channel();
        let ended = || super::servers::away("the runtime of the channels has ended");
        self.orders.send(Order::Subscribe(self.channel.clone(), done)).map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }
}

impl std::fmt::Debug for Ear {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ear({})", String::from_utf8_lossy(&self.channel))
    }
}

impl Drop for Ear {
    fn drop(&mut self) {
        self.listeners.remove(&self.channel, self.number);
        let _ = self.orders.send(Order::Forget(std::mem::take(&mut self.channel)));
    }
}
