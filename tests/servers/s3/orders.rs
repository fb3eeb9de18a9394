//! What a test has ordered for requests to come: faults, and holds at a moment.

use std::sync::{Arc, Mutex};

use tokio::{runtime::Handle, sync::watch};

use super::count::{Asked, Operation};
use crate::servers::READY_WITHIN;

/// Which requests are meant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Matching {
    operation: Option<Operation>,
    key_holds: Vec<String>,
    part: Option<u32>,
}

impl Matching {
    /// Every request.
    pub(crate) fn any() -> Self {
        Self::default()
    }

    /// Those that ask for this.
    pub(crate) fn operation(operation: Operation) -> Self {
        Self { operation: Some(operation), ..Self::default() }
    }

    /// Of these, those whose key holds a text, and every other one asked for.
    pub(crate) fn key(mut self, text: &str) -> Self {
        self.key_holds.push(text.to_owned());
        self
    }

    /// Of these, those of one part number.
    pub(crate) fn part(self, number: u32) -> Self {
        Self { part: Some(number), ..self }
    }

    fn fits(&self, asked: &Asked) -> bool {
        self.operation.is_none_or(|operation| operation == asked.operation)
            && self.key_holds.iter().all(|text| asked.key.contains(text))
            && self.part.is_none_or(|number| asked.part == Some(number))
    }
}

/// How a request is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 500 InternalError; nothing is done.
    InternalError,
    /// 503 SlowDown; nothing is done.
    SlowDown,
    /// 403 AccessDenied; nothing is done.
    AccessDenied,
    /// Nothing is done and no answer comes, ever.
    Silence,
    /// The connection is cut once so many bytes of the request's body have come; nothing is done.
    CutRequest(usize),
    /// It is done, and the connection is cut in the middle of the answer.
    CutAnswer,
    /// It is done, and the connection is cut before the answer.
    LoseAnswer,
}

/// What the server makes of the conditions of a write (`If-Match`, `If-None-Match`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Conditioned {
    /// As S3 does.
    #[default]
    Kept,
    /// It takes no notice, and writes.
    Ignored,
    /// 400 InvalidRequest; nothing is done.
    Invalid,
    /// 405 MethodNotAllowed; nothing is done.
    NotAllowed,
    /// 501 NotImplemented; nothing is done.
    NotImplemented,
}

/// When a request is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Moment {
    /// Its head is there, its body not read.
    Arrived,
    /// So many bytes of its body are read (or all, where it has fewer).
    Body(usize),
    /// All of it is there, and nothing is done.
    Whole,
    /// It is done, and not answered.
    Done,
}

/// How a held request goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Gating {
    Awaited,
    Reached,
    GoOn,
    Cut,
}

/// A request that is to be held, or is.
#[derive(Clone, Debug)]
pub(crate) struct Gate {
    state: watch::Sender<Gating>,
    runtime: Handle,
}

impl Gate {
    /// Waits until a request is held here; panics where none comes.
    pub(crate) async fn reached(&self) {
        let mut state = self.state.subscribe();
        let came = tokio::time::timeout(READY_WITHIN, state.wait_for(|now| *now != Gating::Awaited)).await;
        drop(came.expect("in vain: no request came to be held").unwrap());
    }

    /// The same on a thread that may block.
    pub(crate) fn wait(&self) {
        self.runtime.block_on(self.reached());
    }

    /// Whether a request is held here, or was.
    pub(crate) fn was_reached(&self) -> bool {
        *self.state.borrow() != Gating::Awaited
    }

    /// Lets the request go on.
    pub(crate) fn open(&self) {
        self.tell(Gating::GoOn);
    }

    /// Cuts its connection. What was not done is not done.
    pub(crate) fn cut(&self) {
        self.tell(Gating::Cut);
    }

    /// The first word counts.
    fn tell(&self, word: Gating) {
        self.state.send_if_modified(|now| {
            let is_news = matches!(now, Gating::Awaited | Gating::Reached);
            if is_news {
                *now = word;
            }
            is_news
        });
    }

    /// A request has come to be held here.
    fn reach(&self) {
        self.state.send_if_modified(|now| {
            let is_awaited = *now == Gating::Awaited;
            if is_awaited {
                *now = Gating::Reached;
            }
            is_awaited
        });
    }

    /// Holds the request that calls; whether it may go on.
    async fn pass(&self) -> bool {
        let mut state = self.state.subscribe();
        let told = state.wait_for(|now| matches!(now, Gating::GoOn | Gating::Cut)).await;
        told.is_ok_and(|now| *now == Gating::GoOn)
    }
}

#[derive(Clone, Debug)]
enum What {
    Break(Fault),
    Hold(Moment, Gate),
}

#[derive(Debug)]
struct Order {
    matching: Matching,
    /// How many matching requests pass before.
    before: u32,
    /// How many it is for.
    times: u32,
    what: What,
}

/// What is ordered, in order.
#[derive(Debug, Default)]
pub(super) struct Orders {
    orders: Mutex<Vec<Order>>,
    conditioned: Mutex<Conditioned>,
}

/// What is ordered for one request.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordered {
    pub(super) fault: Option<Fault>,
    holds: Vec<(Moment, Gate)>,
}

impl Ordered {
    /// Comes to the holds of a moment; whether there are any.
    pub(super) fn reach(&self, moment: Moment) -> bool {
        self.at(moment).inspect(|gate| gate.reach()).count() > 0
    }

    /// Passes the holds of a moment; whether the request may go on.
    pub(super) async fn pass(&self, moment: Moment) -> bool {
        for gate in self.at(moment) {
            if !gate.pass().await {
                return false;
            }
        }
        true
    }

    fn at(&self, moment: Moment) -> impl Iterator<Item = &Gate> {
        self.holds.iter().filter(move |(when, _)| *when == moment).map(|(_, gate)| gate)
    }

    /// After how many bytes of the body something is to happen, in order.
    pub(super) fn body_places(&self) -> Vec<usize> {
        let held = self.holds.iter().filter_map(|(moment, _)| match moment {
            Moment::Body(bytes) => Some(*bytes),
            _ => None,
        });
        let mut places: Vec<usize> = held.collect();
        places.extend(match self.fault {
            Some(Fault::CutRequest(bytes)) => Some(bytes),
            _ => None,
        });
        places.sort_unstable();
        places
    }
}

impl Orders {
    pub(super) fn fault(&self, matching: Matching, nth: u32, times: u32, fault: Fault) {
        self.order(Order { matching, before: nth.saturating_sub(1), times, what: What::Break(fault) });
    }

    pub(super) fn hold(&self, matching: Matching, nth: u32, moment: Moment, runtime: Handle) -> Gate {
        let gate = Gate { state: watch::Sender::new(Gating::Awaited), runtime };
        let what = What::Hold(moment, gate.clone());
        self.order(Order { matching, before: nth.saturating_sub(1), times: 1, what });
        gate
    }

    fn order(&self, order: Order) {
        self.orders.lock().unwrap().push(order);
    }

    /// What becomes of conditions, from now on.
    pub(super) fn condition(&self, conditioned: Conditioned) {
        *self.conditioned.lock().unwrap() = conditioned;
    }

    pub(super) fn conditioned(&self) -> Conditioned {
        *self.conditioned.lock().unwrap()
    }

    /// Forgets what has not been met; what is held goes on.
    pub(super) fn clear(&self) {
        for order in self.orders.lock().unwrap().drain(..) {
            if let What::Hold(_, gate) = order.what {
                gate.open();
            }
        }
    }

    /// What is ordered for a request that has arrived. Every order that fits counts it.
    pub(super) fn meet(&self, asked: &Asked) -> Ordered {
        let mut ordered = Ordered::default();
        for order in self.orders.lock().unwrap().iter_mut().filter(|order| order.matching.fits(asked)) {
            if order.before > 0 {
                order.before -= 1;
            } else if order.times > 0 {
                order.times -= 1;
                match &order.what {
                    What::Break(fault) => ordered.fault = ordered.fault.or(Some(*fault)),
                    What::Hold(moment, gate) => ordered.holds.push((*moment, gate.clone())),
                }
            }
        }
        ordered
    }
}
