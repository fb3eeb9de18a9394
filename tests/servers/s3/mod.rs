//! An S3 server of one's own, in the test process: `s3s-fs`, which somebody else wrote, on a folder and a free port of the
//! loopback, asking for signatures. Owns: its life and its address. In front of it stands a door of ours ([`door`]) that
//! counts, holds requests at a moment of one's choice, and breaks them; behind it a book of uploads ([`uploads`]) that adds
//! what `s3s-fs` lacks.
//!
//! It works on threads of its own, so that tests without a runtime use it too, and so that nothing a test does to its own
//! runtime reaches it.

mod count;
mod door;
mod orders;
mod uploads;

use std::{net::Ipv4Addr, path::PathBuf, sync::Arc};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};
use tokio::{
    net::TcpListener,
    runtime::{Builder, Runtime},
    sync::watch,
};

pub(crate) use self::{
    count::{Figures, Operation, UploadState},
    orders::{Conditioned, Fault, Gate, Matching, Moment},
};
use self::{door::Door, orders::Orders, uploads::Uploads};

/// The one bucket that there is.
pub(crate) const BUCKET: &str = "presswork-tests";
/// Who is let in.
pub(crate) const ACCESS_KEY: &str = "AKIDPRESSWORKTESTS";
/// By what.
pub(crate) const SECRET_KEY: &str = "the-secret-of-a-server-on-the-loopback";

/// A server. Dropped: gone, with all that it kept.
#[derive(Debug)]
pub(crate) struct S3Server {
    folder: tempfile::TempDir,
    port: u16,
    figures: watch::Receiver<Figures>,
    orders: Arc<Orders>,
    runtime: Option<Runtime>,
}

impl S3Server {
    /// One with an empty bucket, ready to answer.
    pub(crate) fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (counting, figures) = watch::channel(Figures::default());
        let orders = Arc::new(Orders::default());
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        let mut service = S3ServiceBuilder::new(Uploads::over(files, orders.clone()));
        service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
        let door = Arc::new(Door::new(service.build(), counting, orders.clone()));
        // Bound here: whoever connects from now on waits until it is accepted.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(serve(listener, door));
        Self { folder, port, figures, orders, runtime: Some(runtime) }
    }

    /// Where clients connect.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// A storage address below the bucket: `s3://presswork-tests/<prefix>`.
    pub(crate) fn storage_url(&self, prefix: &str) -> String {
        format!("s3://{BUCKET}/{prefix}")
    }

    /// The environment variables that a program needs to be let in, as everybody's programs know them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// What has come by so far.
    pub(crate) fn figures(&self) -> Figures {
        self.figures.borrow().clone()
    }

    /// Waits until the figures are so; panics where that takes too long.
    pub(crate) async fn until(&self, what: &str, is_so: impl FnMut(&Figures) -> bool) {
        let mut figures = self.figures.clone();
        let seen = tokio::time::timeout(super::READY_WITHIN, figures.wait_for(is_so)).await;
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

    /// The keys and sizes of the objects in the bucket, read from the disk: without a request.
    pub(crate) fn objects(&self) -> Vec<(String, u64)> {
        let root = self.folder.path().join(BUCKET);
        let mut found = Vec::new();
        let mut folders = vec![root.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let (path, about) = (entry.path(), entry.metadata().unwrap());
                if about.is_dir() {
                    folders.push(path);
                } else {
                    found.push((path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(), about.len()));
                }
            }
        }
        found.sort();
        found
    }

    /// An object's bytes, read from the disk.
    pub(crate) fn object(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.file(key)).unwrap()
    }

    /// The same; nothing where there is none.
    pub(crate) fn object_or_nothing(&self, key: &str) -> Vec<u8> {
        std::fs::read(self.file(key)).unwrap_or_default()
    }

    /// All that it keeps on the disk: the bucket and what is on its way there.
    pub(crate) fn folder(&self) -> &std::path::Path {
        self.folder.path()
    }

    /// Where an object lies, for a test that spoils it.
    pub(crate) fn file(&self, key: &str) -> PathBuf {
        self.folder.path().join(BUCKET).join(key)
    }

    fn handle(&self) -> &tokio::runtime::Handle {
        self.runtime.as_ref().unwrap().handle()
    }
}

impl Drop for S3Server {
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
