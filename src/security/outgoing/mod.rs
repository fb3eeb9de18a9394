//! Calls to addresses that others have chosen: webhooks, OIDC providers. Owns: [`Outgoing`], the one way out for them, against
//! requests forged on the server's behalf (SSRF). Must not know: who calls, or for what.
//!
//! A URL is https with no user in it, at a port that is allowed. Its name is asked for once; one address of it that is not of
//! the public internet refuses the whole name, and the connection goes to the addresses that were checked. Redirects are not
//! followed, proxies of the environment not used, answers are bounded in time and size, also those that are read while they
//! come ([`OutgoingRequest::stream`]). Who wants to follow a redirect is shown it ([`OutgoingRequest::showing_redirects`]) and makes a
//! call of its own, under all checks. Exactly the hosts of [`OutgoingRules::allow`] are exempt: private ones, and those that
//! speak http.

mod address;
mod lookup;
mod rules;
mod stream;

use std::{
    error::Error,
    fmt,
    sync::{Arc, OnceLock},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use reqwest::{Client, Response, redirect::Policy};
use tokio::sync::OnceCell;

pub use lookup::{Lookup, SystemLookup};
pub use reqwest::{
    Method, StatusCode,
    header::{HeaderMap, HeaderName, HeaderValue},
};
pub use rules::{AllowedHost, AllowedHostError, OutgoingRules, PORTS};
pub use stream::OutgoingStream;
pub use url::Url;

use lookup::{Checked, Closed};
use rules::Target;

/// How long a call may take, from the name to the last byte.
const USUAL_TIME: Duration = Duration::from_secs(10);
/// How long a connection may take to be made.
const CONNECTS_WITHIN: Duration = Duration::from_secs(5);
/// How many bytes an answer may have.
const USUAL_BYTES: usize = 1 << 20;

/// A call could not be made, one variant per next action.
#[derive(Debug, thiserror::Error)]
pub enum OutgoingError {
    /// Choose another URL, or have the host allowed (`[outgoing] allow`).
    #[error("the URL may not be called: {0}")]
    Refused(&'static str),
    /// Have its owner mend the service: it answers with a redirect, or with more than it should.
    #[error("the service's answer is not taken: {0}")]
    Answer(&'static str),
    /// Try again later.
    #[error("the service can't be reached: {0}")]
    Unavailable(String),
    /// Try again later, knowing that the service may have done what it was asked to. Of
    /// [`OutgoingRequest::stream`] only.
    #[error("the call was cut short: {0}")]
    Cut(String),
    /// Mend this machine: it has no certificates to trust, for example.
    #[error("no calls can be made from here: {0}")]
    Broken(String),
}

/// The one way out. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub struct Outgoing(Arc<Inner>);

struct Inner {
    rules: OutgoingRules,
    lookup: Arc<dyn Lookup>,
    /// For all hosts but those allowed.
    open: OnceCell<Client>,
    /// For those that are allowed, with connections of its own.
    allowed: OnceCell<Client>,
    /// For what tenants import, which has other hosts of that sort.
    imports: OnceLock<Outgoing>,
}

impl fmt::Debug for Outgoing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Outgoing").field(&self.0.rules).finish()
    }
}

impl Outgoing {
    /// By these rules, with the system's names.
    pub fn new(rules: OutgoingRules) -> Self {
        Self::with_lookup(rules, Arc::new(SystemLookup))
    }

    /// The same with another source of names.
    pub fn with_lookup(rules: OutgoingRules, lookup: Arc<dyn Lookup>) -> Self {
        let (open, allowed, imports) = (OnceCell::new(), OnceCell::new(), OnceLock::new());
        Self(Arc::new(Inner { rules, lookup, open, allowed, imports }))
    }

    /// The same for what a tenant imports: of private hosts exactly [`OutgoingRules::imports`], as what comes is his to read.
    pub fn for_imports(&self) -> &Self {
        self.0.imports.get_or_init(|| {
            let OutgoingRules { imports, ports, .. } = self.0.rules.clone();
            let rules = OutgoingRules { allow: imports.clone(), imports, ports };
            Self::with_lookup(rules, self.0.lookup.clone())
        })
    }

    /// Whether a URL has a form that may be called; for when somebody sets one. Its name is asked for when it is called.
    ///
    /// # Errors
    /// [`OutgoingError::Refused`].
    pub fn check(&self, url: &str) -> Result<Url, OutgoingError> {
        self.0.rules.check(url).map(|target| target.url)
    }

    /// A call to be made.
    ///
    /// # Errors
    /// [`OutgoingError::Refused`].
    pub fn request(&self, method: Method, url: &str) -> Result<OutgoingRequest, OutgoingError> {
        Ok(OutgoingRequest {
            outgoing: self.clone(),
            target: self.0.rules.check(url)?,
            method,
            headers: HeaderMap::new(),
            body: Bytes::new(),
            time: USUAL_TIME,
            most_bytes: USUAL_BYTES,
            shows_redirects: false,
        })
    }

    async fn client(&self, is_allowed: bool) -> Result<&Client, OutgoingError> {
        let cell = if is_allowed { &self.0.allowed } else { &self.0.open };
        let resolver = Checked { lookup: self.0.lookup.clone(), is_allowed };
        // The certificates that the system trusts are read from files.
        let build = || async {
            let built = tokio::task::spawn_blocking(move || build(resolver)).await;
            let built = built.map_err(|error| OutgoingError::Broken(error.to_string()))?;
            built.map_err(|error| OutgoingError::Broken(told(&error)))
        };
        cell.get_or_try_init(build).await
    }
}

fn build(resolver: Checked) -> reqwest::Result<Client> {
    // The process's crypto provider; reqwest asks for it also where it speaks no TLS. It may be there already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .dns_resolver(Arc::new(resolver))
        .redirect(Policy::none())
        .no_proxy()
        .referer(false)
        .no_gzip()
        .no_brotli()
        .no_zstd()
        .no_deflate()
        .http1_only()
        .connect_timeout(CONNECTS_WITHIN)
        .timeout(USUAL_TIME)
        .pool_max_idle_per_host(2)
        .user_agent(concat!("presswork/", env!("CARGO_PKG_VERSION")))
        .build()
}

/// A call to be made.
pub struct OutgoingRequest {
    outgoing: Outgoing,
    target: Target,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    time: Duration,
    most_bytes: usize,
    shows_redirects: bool,
}

/// What came back.
#[derive(Clone, PartialEq, Eq)]
pub struct OutgoingAnswer {
    /// The status; a redirect only where those were asked for.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Bytes,
}

impl fmt::Debug for OutgoingAnswer {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "OutgoingAnswer({}, {} bytes)", self.status, self.body.len())
    }
}

impl OutgoingRequest {
    /// One more header.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// What is sent.
    #[must_use]
    pub fn body(self, body: impl Into<Bytes>) -> Self {
        Self { body: body.into(), ..self }
    }

    /// How long it may take, from the name to the last byte. Default 10 s.
    #[must_use]
    pub fn within(self, time: Duration) -> Self {
        Self { time, ..self }
    }

    /// How many bytes the answer may have. Default 1 MiB.
    #[must_use]
    pub fn at_most(self, most_bytes: usize) -> Self {
        Self { most_bytes, ..self }
    }

    /// A redirect is an answer like any other, for a call to where it leads, which is checked as this one was.
    #[must_use]
    pub fn showing_redirects(self) -> Self {
        Self { shows_redirects: true, ..self }
    }

    /// Makes the call.
    ///
    /// # Errors
    /// [`OutgoingError`]. An answer of whatever status is none, except a redirect that was not asked for.
    pub async fn send(self) -> Result<OutgoingAnswer, OutgoingError> {
        let most = self.most_bytes;
        let mut response = self.begin(|error| failed(&error)).await?;
        if response.content_length().is_some_and(|length| usize::try_from(length).map_or(true, |n| n > most))
        {
            return Err(TOO_LARGE);
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| failed(&error))? {
            if chunk.len() > most - body.len() {
                return Err(TOO_LARGE);
            }
            body.extend_from_slice(&chunk);
        }
        Ok(OutgoingAnswer {
            status: response.status(),
            headers: std::mem::take(response.headers_mut()),
            body: body.freeze(),
        })
    }

    /// Sends it and takes the head of the answer, of whatever status but a redirect.
    async fn begin(self, failed: fn(reqwest::Error) -> OutgoingError) -> Result<Response, OutgoingError> {
        let client = self.outgoing.client(self.target.is_allowed).await?;
        let mut request =
            client.request(self.method, self.target.url).headers(self.headers).timeout(self.time);
        if !self.body.is_empty() {
            request = request.body(self.body);
        }
        let response = request.send().await.map_err(failed)?;
        if response.status().is_redirection() && !self.shows_redirects {
            return Err(OutgoingError::Answer("it is a redirect: set the URL that it leads to"));
        }
        Ok(response)
    }
}

const TOO_LARGE: OutgoingError = OutgoingError::Answer("it is too large");

/// What a failed call means for the caller.
fn failed(error: &reqwest::Error) -> OutgoingError {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<Closed>() {
            return OutgoingError::Refused("its name leads to an address that is not of the public internet");
        }
        cause = error.source();
    }
    OutgoingError::Unavailable(told(error))
}

/// The error and its causes, without the URL: that may hold a secret.
fn told(error: &reqwest::Error) -> String {
    let what = if error.is_timeout() {
        "it took too long"
    } else if error.is_connect() {
        "no connection"
    } else {
        "the connection broke"
    };
    let (mut cause, mut last) = (error.source(), None);
    while let Some(error) = cause {
        (cause, last) = (error.source(), Some(error.to_string()));
    }
    match last {
        Some(cause) => format!("{what}: {cause}"),
        None => what.to_owned(),
    }
}
