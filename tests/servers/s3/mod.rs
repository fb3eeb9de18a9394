//! An S3 server of one's own, in the test process: `s3s-fs`, which somebody else wrote, on a folder and a free port of the
//! loopback, asking for signatures. Owns: its address and what it keeps. In front of it stands a door of ours ([`gateway`],
//! [`door`]) that counts, holds requests at a moment of one's choice, and breaks them; behind it a book of uploads ([`uploads`])
//! that adds what `s3s-fs` lacks. Where it is to speak as Google does, a translation stands between ([`google`]).

mod count;
pub(super) mod door;
mod gateway;
mod google;
mod orders;
mod uploads;

use std::{ops::Deref, path::PathBuf, sync::Arc};

use s3s::{auth::SimpleAuth, service::S3ServiceBuilder};

pub(super) use self::count::Asked;
pub(crate) use self::{
    count::{Figures, Operation, UploadState},
    gateway::Gateway,
    google::TOKEN as GOOGLE_TOKEN,
    orders::{Conditioned, Fault, Gate, Matching, Moment},
};
use self::{google::Google, orders::Orders, uploads::Uploads};

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
    gateway: Gateway,
    speaks_google: bool,
}

impl Deref for S3Server {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl S3Server {
    /// One with an empty bucket, ready to answer.
    pub(crate) fn start() -> Self {
        Self::speaking(false)
    }

    /// The same, as Google's storage speaks.
    pub(crate) fn start_google() -> Self {
        Self::speaking(true)
    }

    fn speaking(google: bool) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join(BUCKET)).unwrap();
        let orders = Arc::new(Orders::default());
        let files = s3s_fs::FileSystem::new(folder.path()).unwrap();
        let mut service = S3ServiceBuilder::new(Uploads::over(files, orders.clone()));
        let gateway = if google {
            // Its translation looks at the credentials.
            Gateway::before_with(Box::new(Google::over(service.build())), orders)
        } else {
            service.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
            Gateway::before_with(Box::new(service.build()), orders)
        };
        Self { folder, gateway, speaks_google: google }
    }

    /// A storage address below the bucket: `s3://presswork-tests/<prefix>`.
    pub(crate) fn storage_url(&self, prefix: &str) -> String {
        let scheme = if self.speaks_google { "gs" } else { "s3" };
        format!("{scheme}://{BUCKET}/{prefix}")
    }

    /// The environment variables that a program needs to be let in, as everybody's programs know them.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        if self.speaks_google {
            return vec![
                ("GOOGLE_BASE_URL", self.endpoint()),
                ("GOOGLE_BEARER_TOKEN", GOOGLE_TOKEN.to_owned()),
            ];
        }
        vec![
            ("AWS_ENDPOINT", self.endpoint()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", "us-east-1".to_owned()),
            ("AWS_ALLOW_HTTP", "true".to_owned()),
        ]
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
}
