//! Posts alerts to an address, signed. Owns: the queue before it, the signature, how often it is tried.
//!
//! The body is the alert as JSON. `Presswork-Signature: t=<seconds since 1970>,v1=<hex>`, where the hexadecimal digits are
//! HMAC-SHA-256 of `<seconds>.<body>` under the secret that both sides know. A receiver compares in constant time and refuses
//! what is older than five minutes; `Presswork-Alert` is the alert's id, the same in each attempt.

use std::{
    fmt,
    str::FromStr,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::{
    Method,
    header::{HeaderName, HeaderValue},
};
use secrecy::{ExposeSecret as _, SecretString};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
};
use zeroize::Zeroizing;

use super::Alert;
use crate::{
    domain::{Clock, Random, Timestamp},
    security::{
        outgoing::{Outgoing, OutgoingError},
        text::hex,
    },
};

/// The header with the signature.
pub const SIGNATURE_HEADER: &str = "presswork-signature";
const ID_HEADER: HeaderName = HeaderName::from_static("presswork-alert");

/// How many alerts wait to be posted at most; what comes then is dropped, counted and logged.
const MOST_WAITING: usize = 256;
/// How often one is tried.
const TRIES: u32 = 5;
/// The wait before the second try; each is twice the one before.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const TIME: Duration = Duration::from_secs(5);
/// Shorter secrets can be guessed.
const LEAST_SECRET: usize = 16;

/// What both sides of a webhook know. Never shown.
#[derive(Clone)]
pub struct WebhookSecret(SecretString);

/// The text is no secret.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too short: at least 16 characters; `openssl rand -hex 32` makes a good one")]
pub struct WebhookSecretError;

impl FromStr for WebhookSecret {
    type Err = WebhookSecretError;

    fn from_str(text: &str) -> Result<Self, WebhookSecretError> {
        let text = text.trim();
        if text.len() < LEAST_SECRET {
            return Err(WebhookSecretError);
        }
        Ok(Self(SecretString::from(text)))
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(…)")
    }
}

impl PartialEq for WebhookSecret {
    fn eq(&self, other: &Self) -> bool {
        let digest = |secret: &Self| Sha256::digest(secret.0.expose_secret());
        digest(self) == digest(other)
    }
}

impl Eq for WebhookSecret {}

/// Where alerts are posted to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookTarget {
    /// The address. A part of it may be a secret: only its host is logged.
    pub url: SecretUrl,
    /// What they are signed with.
    pub secret: WebhookSecret,
}

/// An address whose path may be a secret. Shows its beginning only.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretUrl(String);

impl From<String> for SecretUrl {
    fn from(url: String) -> Self {
        Self(url)
    }
}

impl fmt::Debug for SecretUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = url::Url::parse(&self.0).ok().and_then(|url| url.host_str().map(ToOwned::to_owned));
        write!(f, "SecretUrl({})", host.unwrap_or_default())
    }
}

/// The value of [`SIGNATURE_HEADER`] for a body that is sent at a time.
pub fn sign(secret: &WebhookSecret, at: Timestamp, body: &[u8]) -> String {
    let seconds = at.as_millis() / 1_000;
    // Whatever is longer than a block is hashed first, as HMAC says.
    let mut block = Zeroizing::new([0; 64]);
    let secret = secret.0.expose_secret().as_bytes();
    if secret.len() > block.len() {
        block[..32].copy_from_slice(&Sha256::digest(secret));
    } else {
        block[..secret.len()].copy_from_slice(secret);
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    mac.update(seconds.to_string().as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("t={seconds},v1={}", hex(&mac.finalize().into_bytes()))
}

/// The way to the webhook.
pub(super) struct Webhook {
    sender: mpsc::Sender<Alert>,
    waiting: watch::Sender<usize>,
    dropped: AtomicU64,
    poster: Arc<Poster>,
    task: Mutex<Option<JoinHandle<()>>>,
}

struct Poster {
    receiver: tokio::sync::Mutex<mpsc::Receiver<Alert>>,
    waiting: watch::Sender<usize>,
    target: WebhookTarget,
    outgoing: Outgoing,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Webhook {
    pub(super) fn new(
        target: WebhookTarget,
        outgoing: Outgoing,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
    ) -> Self {
        let (sender, receiver) = mpsc::channel(MOST_WAITING);
        let waiting = watch::Sender::new(0);
        let receiver = tokio::sync::Mutex::new(receiver);
        let poster = Poster { receiver, waiting: waiting.clone(), target, outgoing, clock, random };
        let (dropped, task) = (AtomicU64::new(0), Mutex::default());
        Self { sender, waiting, dropped, poster: Arc::new(poster), task }
    }

    /// Begins to post, where nothing does and this is within a runtime.
    pub(super) fn run_in_background(&self) {
        let mut task = self.task.lock().unwrap_or_else(PoisonError::into_inner);
        if task.as_ref().is_some_and(|task| !task.is_finished()) {
            return;
        }
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let poster = self.poster.clone();
            *task = Some(runtime.spawn(async move { poster.run().await }));
        }
    }

    pub(super) fn give(&self, alert: &Alert) {
        self.waiting.send_modify(|waiting| *waiting += 1);
        if self.sender.try_send(alert.clone()).is_err() {
            self.waiting.send_modify(|waiting| *waiting -= 1);
            let dropped = self.dropped.fetch_add(1, Ordering::Relaxed) + 1;
            tracing::error!(
                dropped,
                rule = alert.rule.name(),
                "too many alerts wait for the webhook: one is not posted"
            );
        }
    }

    pub(super) async fn settle(&self) {
        let mut waiting = self.waiting.subscribe();
        // The sender is our own: it can't be gone.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }
}

impl Drop for Webhook {
    fn drop(&mut self) {
        if let Some(task) = self.task.lock().unwrap_or_else(PoisonError::into_inner).take() {
            task.abort();
        }
    }
}

impl Poster {
    async fn run(&self) {
        let mut receiver = self.receiver.lock().await;
        while let Some(alert) = receiver.recv().await {
            self.post(&alert).await;
            self.waiting.send_modify(|waiting| *waiting = waiting.saturating_sub(1));
        }
    }

    async fn post(&self, alert: &Alert) {
        let rule = alert.rule.name();
        // Strings and numbers can't fail to be JSON.
        let body = serde_json::to_vec(alert).unwrap_or_default();
        for tried in 1..=TRIES {
            match self.try_post(alert, &body).await {
                Ok(status) if (200..300).contains(&status) => return,
                Ok(status) if (400..500).contains(&status) && ![408, 425, 429].contains(&status) => {
                    tracing::error!(
                        status,
                        rule,
                        "the webhook refuses an alert: mend its address or its secret"
                    );
                    return;
                }
                Ok(status) => tracing::warn!(status, rule, tried, "the webhook does not take an alert"),
                Err(error @ (OutgoingError::Unavailable(_) | OutgoingError::Broken(_))) => {
                    tracing::warn!(%error, rule, tried, "the webhook can't be reached");
                }
                Err(error) => {
                    tracing::error!(%error, rule, "an alert can't be posted");
                    return;
                }
            }
            if tried < TRIES {
                let wait = FIRST_WAIT * 2_u32.pow(tried - 1);
                let jitter = self.random.below(u64::try_from(wait.as_millis()).unwrap_or(0) / 4);
                tokio::time::sleep(wait + Duration::from_millis(jitter)).await;
            }
        }
        tracing::error!(rule, "an alert is given up: the webhook takes none");
    }

    async fn try_post(&self, alert: &Alert, body: &[u8]) -> Result<u16, OutgoingError> {
        let signature = sign(&self.target.secret, self.clock.now(), body);
        // Digits and letters only.
        let value = |text: &str| HeaderValue::from_str(text).unwrap_or_else(|_| HeaderValue::from_static(""));
        let request = self.outgoing.request(Method::POST, &self.target.url.0)?;
        let request = request
            .header(HeaderName::from_static("content-type"), HeaderValue::from_static("application/json"))
            .header(HeaderName::from_static(SIGNATURE_HEADER), value(&signature))
            .header(ID_HEADER, value(&alert.id))
            .body(body.to_vec())
            .within(TIME);
        Ok(request.send().await?.status.as_u16())
    }
}
