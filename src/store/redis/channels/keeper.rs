//! The one task that subscribes. Owns: the connections of the channels, their coming back.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use redis::{AsyncConnectionConfig, ProtocolVersion, PushInfo, RedisError, aio::MultiplexedConnection, cmd};
use tokio::{
    sync::{mpsc, oneshot},
    time::{MissedTickBehavior, interval, sleep},
};

use super::{Heard, Listeners, News};
use crate::store::redis::{
    servers::{ANSWER_WITHIN, Servers},
    slots::{Slots, slot},
    url::Address,
};

/// How often one makes sure that a connection on which nothing is said still is one.
const LOOK_AFTER: Duration = Duration::from_secs(10);
/// How long one rests before one tries again to listen.
const REST: Duration = Duration::from_millis(100);
const MOST_REST: Duration = Duration::from_secs(2);

/// What the keeper is asked for.
pub(super) enum Order {
    /// Somebody listens to the channel: subscribe, and say when it is done.
    Subscribe(Vec<u8>, oneshot::Sender<Result<(), RedisError>>),
    /// Perhaps nobody listens to it any more.
    Forget(Vec<u8>),
    /// The connection with this number was cut, or the server has sent its channels away.
    Lost(u64),
    /// Try those again that are not subscribed.
    Again,
}

struct Line {
    number: u64,
    connection: MultiplexedConnection,
    channels: HashSet<Vec<u8>>,
}

/// The one task that subscribes.
pub(super) struct Keeper {
    servers: Arc<Servers>,
    listeners: Arc<Listeners>,
    orders: mpsc::WeakUnboundedSender<Order>,
    lines: HashMap<Address, Line>,
    /// Channels that should be subscribed and aren't.
    lost: HashSet<Vec<u8>>,
    slots: Option<Slots>,
    numbers: u64,
    rest: Duration,
    /// Whether [`Order::Again`] is on its way.
    will_try: bool,
}

impl Keeper {
    /// Starts it on this runtime. It ends when nobody can ask it for anything any more.
    pub(super) fn start(servers: Arc<Servers>, listeners: Arc<Listeners>) -> mpsc::UnboundedSender<Order> {
        let (sender, inbox) = mpsc::unbounded_channel();
        let keeper = Self {
            servers,
            listeners,
            orders: sender.downgrade(),
            lines: HashMap::new(),
            lost: HashSet::new(),
            slots: None,
            numbers: 0,
            rest: REST,
            will_try: false,
        };
        tokio::spawn(keeper.work(inbox));
        sender
    }

    async fn work(mut self, mut inbox: mpsc::UnboundedReceiver<Order>) {
        let mut ticks = interval(LOOK_AFTER);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                order = inbox.recv() => match order {
                    Some(order) => self.obey(order).await,
                    None => return,
                },
                _ = ticks.tick() => self.look_after().await,
            }
        }
    }

    async fn obey(&mut self, order: Order) {
        match order {
            Order::Subscribe(channel, done) => {
                let was_known = self.slots.is_some() || !self.lines.is_empty();
                let mut answer = self.subscribe(&channel).await;
                // What was known may be out of date: the slot has moved, the connection was cut.
                if answer.is_err() && was_known {
                    answer = self.subscribe(&channel).await;
                }
                // Who asked may have gone; then the channel is forgotten next.
                let _ = done.send(answer);
            }
            Order::Forget(channel) => self.forget(&channel).await,
            Order::Lost(number) => {
                let lost = self.lines.iter().find(|(_, line)| line.number == number);
                if let Some(address) = lost.map(|(address, _)| address.clone()) {
                    self.lose(&address);
                    self.again().await;
                }
            }
            Order::Again => {
                self.will_try = false;
                self.again().await;
            }
        }
    }

    async fn subscribe(&mut self, channel: &[u8]) -> Result<(), RedisError> {
        if self.lines.values().any(|line| line.channels.contains(channel)) {
            return Ok(());
        }
        let address = self.address(channel).await?;
        if !self.lines.contains_key(&address) {
            let line = self.open(&address).await?;
            self.lines.insert(address.clone(), line);
        }
        let Some(line) = self.lines.get_mut(&address) else { return Ok(()) };
        let asked = cmd("SSUBSCRIBE").arg(channel).query_async::<redis::Value>(&mut line.connection).await;
        match asked {
            Ok(_) => {
                line.channels.insert(channel.to_vec());
                Ok(())
            }
            Err(error) => {
                // Moved, or away: the next try asks anew where to go.
                self.slots = None;
                if super::super::link::is_of_no_use(&error) {
                    self.lose(&address);
                    self.try_later();
                }
                Err(error)
            }
        }
    }

    async fn address(&mut self, channel: &[u8]) -> Result<Address, RedisError> {
        if !self.servers.is_cluster() {
            // Where there is a connection it leads to the master, else it would have been cut.
            return match self.lines.keys().next() {
                Some(address) => Ok(address.clone()),
                None => self.servers.master().await,
            };
        }
        if self.slots.is_none() {
            let known: Vec<Address> = self.lines.keys().cloned().collect();
            self.slots = Some(self.servers.slots(&known).await?);
        }
        let node = self.slots.as_ref().and_then(|slots| slots.node(slot(channel)));
        node.cloned().ok_or_else(|| super::super::servers::away("no node serves the slot of the channel"))
    }

    async fn open(&mut self, address: &Address) -> Result<Line, RedisError> {
        self.numbers += 1;
        let number = self.numbers;
        let (listeners, orders) = (self.listeners.clone(), self.orders.clone());
        let hear = move |push: PushInfo| {
            if let Some(Heard::Lost) = listeners.hear(&push)
                && let Some(orders) = orders.upgrade()
            {
                let _ = orders.send(Order::Lost(number));
            }
            Ok::<_, redis::aio::SendError>(())
        };
        let config =
            AsyncConnectionConfig::new().set_response_timeout(Some(ANSWER_WITHIN)).set_push_sender(hear);
        let connection = self.servers.connect(address, ProtocolVersion::RESP3, config).await?;
        Ok(Line { number, connection, channels: HashSet::new() })
    }

    async fn forget(&mut self, channel: &[u8]) {
        if self.listeners.has(channel) {
            return;
        }
        self.lost.remove(channel);
        let Some((address, line)) = self.lines.iter_mut().find(|(_, line)| line.channels.contains(channel))
        else {
            return;
        };
        line.channels.remove(channel);
        let asked = cmd("SUNSUBSCRIBE").arg(channel).query_async::<redis::Value>(&mut line.connection).await;
        if asked.is_err() {
            let address = address.clone();
            self.lose(&address);
            self.again().await;
        } else if line.channels.is_empty() {
            // A connection that nothing needs may lead to a server that leaves.
            let address = address.clone();
            self.lines.remove(&address);
        }
    }

    fn lose(&mut self, address: &Address) {
        if let Some(line) = self.lines.remove(address) {
            for channel in &line.channels {
                self.listeners.tell(channel, News::Lost);
            }
            self.lost.extend(line.channels);
        }
        self.slots = None;
    }

    /// Subscribes what was lost, and tells those who listen that they may have missed something.
    async fn again(&mut self) {
        // A server that is away is tried once, not once a channel.
        let mut away = HashSet::new();
        for channel in std::mem::take(&mut self.lost) {
            if !self.listeners.has(&channel) {
                continue;
            }
            let address = self.address(&channel).await.ok();
            let subscribed = match &address {
                Some(address) if !away.contains(address) => self.subscribe(&channel).await.is_ok(),
                _ => false,
            };
            if subscribed {
                self.listeners.tell(&channel, News::Missed);
            } else {
                self.lost.insert(channel);
                away.extend(address);
            }
        }
        if self.lost.is_empty() {
            self.rest = REST;
        } else {
            self.try_later();
        }
    }

    fn try_later(&mut self) {
        if std::mem::replace(&mut self.will_try, true) {
            return;
        }
        let (orders, rest) = (self.orders.clone(), self.rest);
        self.rest = (rest * 2).min(MOST_REST);
        tokio::spawn(async move {
            sleep(rest).await;
            if let Some(orders) = orders.upgrade() {
                let _ = orders.send(Order::Again);
            }
        });
    }

    /// A connection may be cut without a word: ask.
    async fn look_after(&mut self) {
        let mut dead = Vec::new();
        // In a fail-over the old master may live on as a replica, where nothing is said any more.
        let master = if self.servers.has_sentinels() { self.servers.master().await.ok() } else { None };
        for (address, line) in &mut self.lines {
            let is_left = master.as_ref().is_some_and(|master| master != address);
            if is_left || cmd("PING").query_async::<redis::Value>(&mut line.connection).await.is_err() {
                dead.push(address.clone());
            }
        }
        for address in &dead {
            self.lose(address);
        }
        if !dead.is_empty() {
            self.again().await;
        }
    }
}
