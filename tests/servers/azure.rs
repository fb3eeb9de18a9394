//! Azurite, Microsoft's own emulator of Azure's blobs, as a process that keeps everything in memory. Owns: its start, its life,
//! its account. In front of it stands the door that stands before the S3 server too ([`Gateway`]).

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    ops::Deref,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering},
    },
};

use async_trait::async_trait;
use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response,
    header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING},
};

use super::{
    process::{self, comes_true, free_port},
    s3::{
        Asked, Gateway, Operation,
        door::{Answer, Behind, BoxError, whole},
    },
};

/// Whose blobs they are.
pub(crate) const ACCOUNT: &str = "pressworktests";
/// The account's key: `the key of a storage account that is there on the loopback only!`, as base64.
pub(crate) const KEY: &str =
    "dGhlIGtleSBvZiBhIHN0b3JhZ2UgYWNjb3VudCB0aGF0IGlzIHRoZXJlIG9uIHRoZSBsb29wYmFjayBvbmx5IQ==";
/// What that key has signed once for all: this account's containers and blobs may be made, read, listed and removed, for a
/// hundred years (an account SAS). So no test needs to sign requests.
const SIGNED: &str = "sv=2021-12-02&ss=b&srt=sco&sp=rwdlac&se=2126-01-01T00%3A00%3A00Z&sig=BqIQQS98NpERBF14el7AqylAOTl9tmjwdW%2BoufuvOEY%3D";

/// The one process of this test process.
static AZURITE: LazyLock<Azurite> = LazyLock::new(Azurite::start);
static CONTAINERS: AtomicU64 = AtomicU64::new(0);

#[derive(Debug)]
struct Azurite {
    /// Killed with the test process.
    _child: Child,
    port: u16,
}

impl Azurite {
    fn start() -> Self {
        let program = program();
        for _ in 0..20 {
            let port = free_port();
            let accounts = format!("AZURITE_ACCOUNTS={ACCOUNT}:{KEY}");
            let program = program.to_str().unwrap();
            let settings = [
                "--inMemoryPersistence",
                "--silent",
                "--disableTelemetry",
                "--skipApiVersionCheck",
                "--disableProductStyleUrl",
                "--blobHost",
                "127.0.0.1",
                "--blobPort",
            ];
            let start = [&accounts, "node", program].into_iter().chain(settings).map(ToOwned::to_owned);
            let mut child = process::start("env", start.chain([port.to_string()]));
            let mut has_ended = false;
            let is_ready = comes_true(|| {
                has_ended = child.try_wait().unwrap().is_some();
                has_ended || ask(port, "GET", &format!("/{ACCOUNT}?comp=list&{SIGNED}")).is_some()
            });
            assert!(is_ready, "Azurite does not answer");
            if !has_ended {
                return Self { _child: child, port };
            }
            // Somebody else has taken the port.
        }
        panic!("Azurite does not start: {}", program.display());
    }
}

fn program() -> PathBuf {
    let tools = std::env::var_os("PRESSWORK_TEST_TOOLS").map(PathBuf::from);
    let program = tools.map(|tools| tools.join("node/node_modules/azurite/dist/src/blob/main.js"));
    program
        .filter(|program| Path::is_file(program))
        .unwrap_or_else(|| panic!("PRESSWORK_TEST_TOOLS has no Azurite: run the tests by tests/run"))
}

/// Asks something with no more than a socket; `None` where nothing answers.
fn ask(port: u16, method: &str, target: &str) -> Option<Vec<u8>> {
    let mut socket = TcpStream::connect(("127.0.0.1", port)).ok()?;
    let request = format!(
        "{method} {target} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).ok()?;
    (!answer.is_empty()).then_some(answer)
}

/// An empty container of its own, and the door to it. Dropped: the door is gone.
#[derive(Debug)]
pub(crate) struct AzureServer {
    container: String,
    gateway: Gateway,
}

impl Deref for AzureServer {
    type Target = Gateway;

    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

impl AzureServer {
    /// One that is ready to answer.
    pub(crate) fn start() -> Self {
        let container = format!("books-{}", CONTAINERS.fetch_add(1, Ordering::Relaxed));
        let made = Self::said("PUT", &format!("/{ACCOUNT}/{container}?restype=container&{SIGNED}"));
        assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
        Self { container, gateway: Gateway::before(Box::new(Forward::to(AZURITE.port))) }
    }

    /// What Azurite answers, past the door.
    fn said(method: &str, target: &str) -> String {
        String::from_utf8_lossy(&ask(AZURITE.port, method, target).unwrap()).into_owned()
    }

    /// Its name.
    pub(crate) fn container(&self) -> &str {
        &self.container
    }

    /// A storage address in the container.
    pub(crate) fn storage_url(&self, prefix: &str) -> String {
        format!("az://{}/{prefix}", self.container)
    }

    /// The environment variables that a program needs to be let in.
    pub(crate) fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("AZURE_STORAGE_ENDPOINT", format!("{}/{ACCOUNT}", self.endpoint())),
            ("AZURE_STORAGE_ACCOUNT_NAME", ACCOUNT.to_owned()),
            ("AZURE_STORAGE_ACCOUNT_KEY", KEY.to_owned()),
            ("AZURE_ALLOW_HTTP", "true".to_owned()),
        ]
    }

    /// The keys of the blobs that are there, as whoever lists them sees them.
    pub(crate) fn objects(&self) -> Vec<String> {
        let place = format!("/{ACCOUNT}/{}?restype=container&comp=list&{SIGNED}", self.container);
        let answer = Self::said("GET", &place);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        let names = answer.split("<Name>").skip(1).filter_map(|name| name.split_once("</Name>"));
        names.map(|(name, _)| name.to_owned()).collect()
    }

    /// A blob's bytes.
    pub(crate) fn object(&self, key: &str) -> Vec<u8> {
        let target = format!("/{ACCOUNT}/{}/{key}?{SIGNED}", self.container);
        let answer = ask(AZURITE.port, "GET", &target).unwrap();
        let end = answer.windows(4).position(|four| four == b"\r\n\r\n").unwrap();
        let head = String::from_utf8_lossy(&answer[..end]).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200 ") && !head.contains("chunked"), "{key}: {head}");
        answer[end + 4..].to_vec()
    }

    /// How many blocks were put that no blob of this key has (yet).
    pub(crate) fn uncommitted(&self, key: &str) -> usize {
        let what = "comp=blocklist&blocklisttype=uncommitted";
        let answer = Self::said("GET", &format!("/{ACCOUNT}/{}/{key}?{what}&{SIGNED}", self.container));
        answer.matches("<Block>").count()
    }
}

/// Hands requests on as they are.
struct Forward {
    port: u16,
    client: reqwest::Client,
}

impl Forward {
    fn to(port: u16) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { port, client: reqwest::Client::builder().no_proxy().build().unwrap() }
    }
}

#[async_trait]
impl Behind for Forward {
    fn asked(&self, request: &Request<()>) -> Asked {
        let asked = Asked::of(request);
        // Behind the account comes the container.
        let key = asked.key.split_once('/').map_or(String::new(), |(_, key)| key.to_owned());
        let query = request.uri().query().unwrap_or_default();
        let comp = query.split('&').find_map(|pair| pair.strip_prefix("comp="));
        let operation = match (request.method(), comp) {
            (&Method::PUT, Some("block")) => Operation::UploadPart,
            (&Method::PUT, Some("blocklist")) => Operation::CompleteUpload,
            (&Method::PUT, None) => Operation::Put,
            (&Method::GET, Some("list")) => Operation::List,
            (&Method::POST, Some("batch")) => Operation::DeleteMany,
            (&Method::GET, None) => Operation::Get,
            (&Method::HEAD, None) => Operation::Head,
            (&Method::DELETE, None) => Operation::Delete,
            _ => Operation::Other,
        };
        Asked { operation, key, upload: None, part: None }
    }

    async fn answer(&self, request: Request<Bytes>) -> Result<Answer, BoxError> {
        let (mut head, body) = request.into_parts();
        let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
        let address = format!("http://127.0.0.1:{}{target}", self.port);
        head.headers.remove(HOST);
        let sent = self.client.request(head.method.clone(), address).headers(head.headers).body(body);
        let answer: Response<reqwest::Body> = sent.send().await?.into();
        let (mut about, body) = answer.into_parts();
        let body = BodyExt::collect(body).await?.to_bytes();
        about.headers.remove(TRANSFER_ENCODING);
        if head.method != Method::HEAD {
            about.headers.remove(CONTENT_LENGTH);
        }
        Ok(Response::from_parts(about, whole(body)))
    }
}
