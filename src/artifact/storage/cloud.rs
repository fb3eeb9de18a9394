//! Buckets: clients from the environment, with bounded patience: a server that hangs fails the attempt, and the job's own
//! retry takes over. Must not know: keys.

use std::{error::Error, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
    prefix::PrefixStore,
};

use super::{Storage, s3::S3Uploads};

type Opened = Result<Storage, Box<dyn Error + Send + Sync>>;

/// How patient a client is, unless the environment says otherwise (`AWS_CONNECT_TIMEOUT` and so on): connecting, waiting
/// for a sign of life, one whole request.
const PATIENCE: [(ClientConfigKey, &str); 3] = [
    (ClientConfigKey::ConnectTimeout, "5 seconds"),
    (ClientConfigKey::ReadTimeout, "30 seconds"),
    (ClientConfigKey::Timeout, "180 seconds"),
];

/// Beside what is tried again here, the job has its own attempts, which cost nobody a connection while they wait.
fn retries() -> RetryConfig {
    let (init_backoff, max_backoff) = (Duration::from_millis(100), Duration::from_secs(5));
    RetryConfig {
        backoff: BackoffConfig { init_backoff, max_backoff, base: 2.0 },
        max_retries: 5,
        retry_timeout: Duration::from_secs(60),
    }
}

/// The variables whose names begin so, in small letters.
fn variables(beginning: &'static str) -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(move |(name, value)| {
        let name = name.into_string().ok().filter(|name| name.starts_with(beginning))?;
        Some((name.to_ascii_lowercase(), value.into_string().ok()?))
    })
}

/// The one TLS provider of this program; that somebody has named it before is as well.
fn provide_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn s3(bucket: &str, prefix: &Path) -> Opened {
    provide_tls();
    let mut builder = AmazonS3Builder::new().with_retry(retries());
    for (key, value) in PATIENCE {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (name, value) in variables("AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let s3 = builder.with_bucket_name(bucket).build()?;
    let uploads = S3Uploads::new(s3.clone(), prefix.clone())?;
    let prefixed = Arc::new(PrefixStore::new(s3, prefix.clone()));
    let storage = Storage::new(prefixed.clone(), prefixed.clone());
    Ok(storage.with_signer(prefixed).with_unfinished(Arc::new(uploads)))
}

pub(super) fn google(bucket: &str, prefix: &Path) -> Opened {
    provide_tls();
    let mut builder = GoogleCloudStorageBuilder::new().with_retry(retries());
    if let Ok(path) = std::env::var("SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in PATIENCE {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    for (name, value) in variables("GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let google = builder.with_bucket_name(bucket).build()?;
    let prefixed = Arc::new(PrefixStore::new(google, prefix.clone()));
    Ok(Storage::new(prefixed.clone(), prefixed.clone()).with_signer(prefixed))
}

pub(super) fn azure(container: &str, prefix: &Path) -> Opened {
    provide_tls();
    let mut builder = MicrosoftAzureBuilder::new().with_retry(retries());
    for (key, value) in PATIENCE {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    for (name, value) in variables("AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let azure = builder.with_container_name(container).build()?;
    let prefixed = Arc::new(PrefixStore::new(azure, prefix.clone()));
    Ok(Storage::new(prefixed.clone(), prefixed.clone()).with_signer(prefixed))
}
