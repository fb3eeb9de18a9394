//! The port on which a server is reached, with a door before it. Owns: its life, its figures, its orders. Must not know: who
//! answers behind.
//!
//! It works on threads of its own, so that tests without a runtime use it too, and so that nothing a test does to its own
//! runtime reaches it.

use std::{net::Ipv4Addr, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
};

use super::{
    Conditioned, Fault, Figures, Gate, Matching, Moment,
    door::{Behind, Door},
    orders::Orders,
};

/// A door on a free port of the loopback. Dropped: gone.
#[derive(Debug)]
pub(crate) struct Gateway {
    port: u16,
    figures: watch::Receiver<Figures>,
    orders: Arc<Orders>,
    runtime: Option<Runtime>,
}

impl Gateway {
    /// One before a server, ready to answer.
    pub(in crate::servers) fn before(server: Box<dyn Behind>) -> Self {
        Self::before_with(server, Arc::default())
    }

    /// The same, whose server follows the same orders.
    pub(super) fn before_with(server: Box<dyn Behind>, orders: Arc<Orders>) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (counting, figures) = watch::channel(Figures::default());
        let door = Arc::new(Door::new(server, counting, orders.clone()));
        // Bound here: whoever connects from now on waits until it is accepted.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(serve(listener, door));
        Self { port, figures, orders, runtime: Some(runtime) }
    }

    /// Where clients connect.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// What has come by so far.
    pub(crate) fn figures(&self) -> Figures {
        self.figures.borrow().clone()
    }

    /// Waits until the figures are so; panics where that takes too long.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Figures) -> bool) {
        let mut figures = self.figures.clone();
        let seen = tokio::time::timeout(crate::servers::READY_WITHIN, figures.wait_for(is_so)).await;
        drop(seen.unwrap_or_else(|_| panic!("in vain: {what}")).unwrap());
    }

    /// The same on a thread that may block.
    pub(crate) fn wait_until(&self, what: &str, is_so: impl FnMut(&Figures) -> bool) {
        self.handle().block_on(self.until(what, is_so));
    }

    /// Breaks the `nth` matching request from now on (the first is 1), once.
    pub(crate) fn break_one(&self, matching: Matching, nth: u32, fault: Fault) {
        self.orders.fault(matching, nth, 1, fault);
    }

    /// Breaks every matching request from the `nth` on, `times` times.
    pub(crate) fn break_many(&self, matching: Matching, nth: u32, times: u32, fault: Fault) {
        self.orders.fault(matching, nth, times, fault);
    }

    /// Holds the `nth` matching request from now on at a moment, until it is told how to go on.
    pub(crate) fn hold(&self, matching: Matching, nth: u32, moment: Moment) -> Gate {
        self.orders.hold(matching, nth, moment, self.handle().clone())
    }

    /// What becomes of conditions of writes, from now on.
    pub(crate) fn condition(&self, conditioned: Conditioned) {
        self.orders.condition(conditioned);
    }

    /// Forgets all faults and holds that have not been met; what is held goes on.
    pub(crate) fn behave(&self) {
        self.orders.clear();
    }

    fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().unwrap().handle()
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.orders.clear();
        if let Some(runtime) = self.runtime.take() {
            // Also from within a test's own runtime, where nothing may wait.
            runtime.shutdown_background();
        }
    }
}

async fn serve(listener: std::net::TcpListener, door: Arc<Door>) {
    let listener = TcpListener::from_std(listener).unwrap();
    loop {
        let Ok((socket, _)) = listener.accept().await else { continue };
        let door = door.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| door.clone().pass(request));
            // A connection that the door or the client cuts ends with an error: that is what it is for.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(socket), service).await;
        });
    }
}
