//! Buckets: clients from variables, as the environment has them, with bounded patience: a server that hangs fails the attempt,
//! and the job's own retry takes over. Owns: what of each kind is told who lacks a credential. Must not know: keys.

use std::{error::Error, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ClientConfigKey, RetryConfig,
    aws::{AmazonS3Builder, AmazonS3ConfigKey},
    azure::{AzureConfigKey, MicrosoftAzureBuilder},
    gcp::{GoogleCloudStorageBuilder, GoogleConfigKey},
    path::Path,
    prefix::PrefixStore,
    signer::Url,
};

use super::{
    Storage,
    listed::{Bucket, ListedUploads},
};

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

/// Variables by their names.
pub(super) type Variables = [(String, String)];

/// The variables whose names begin so, in small letters.
fn beginning<'a>(variables: &'a Variables, beginning: &str) -> impl Iterator<Item = (String, &'a str)> {
    let of_it = variables.iter().filter(move |(name, _)| name.starts_with(beginning));
    of_it.map(|(name, value)| (name.to_ascii_lowercase(), value.as_str()))
}

/// The one TLS provider of this program; that somebody has named it before is as well.
fn provide_tls() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}

pub(super) fn s3(bucket: &str, prefix: &Path, variables: &Variables) -> Opened {
    provide_tls();
    let mut builder = AmazonS3Builder::new().with_retry(retries());
    for (key, value) in PATIENCE {
        builder = builder.with_config(AmazonS3ConfigKey::Client(key), value);
    }
    for (name, value) in beginning(variables, "AWS_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let s3 = builder.with_bucket_name(bucket).build()?;
    let uploads = ListedUploads::new(Bucket::S3(s3.clone()), prefix.clone())?;
    let prefixed = Arc::new(PrefixStore::new(s3, prefix.clone()));
    let storage = Storage::new(prefixed.clone(), prefixed.clone());
    Ok(storage.with_signer(prefixed).with_unfinished(Arc::new(uploads)))
}

pub(super) fn google(bucket: &str, prefix: &Path, variables: &Variables) -> Opened {
    provide_tls();
    let mut builder = GoogleCloudStorageBuilder::new().with_retry(retries());
    if let Some((_, path)) = variables.iter().find(|(name, _)| name == "SERVICE_ACCOUNT") {
        builder = builder.with_service_account_path(path);
    }
    for (key, value) in PATIENCE {
        builder = builder.with_config(GoogleConfigKey::Client(key), value);
    }
    for (name, value) in beginning(variables, "GOOGLE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let set = |key| builder.get_config_value(&key);
    let address = set(GoogleConfigKey::BaseUrl).or_else(|| account_address(&builder));
    let mut address: Url = address.as_deref().unwrap_or(GOOGLE).parse()?;
    address.path_segments_mut().map_err(|()| "its base URL is no address")?.pop_if_empty().push(bucket);
    // As `object_store` reads it.
    let yes = ["1", "true", "on", "yes", "y", "t"];
    let skip = set(GoogleConfigKey::SkipSignature).unwrap_or_default().to_ascii_lowercase();
    let is_public = yes.contains(&skip.as_str());
    let google = builder.with_bucket_name(bucket).build()?;
    let listed = Bucket::Google { google: google.clone(), address, is_public };
    let uploads = ListedUploads::new(listed, prefix.clone())?;
    let prefixed = Arc::new(PrefixStore::new(google, prefix.clone()));
    let storage = Storage::new(prefixed.clone(), prefixed.clone());
    Ok(storage.with_signer(prefixed).with_unfinished(Arc::new(uploads)))
}

/// Where Google's storage is.
const GOOGLE: &str = "https://storage.googleapis.com";

/// Where else it is, by a service account's file: such files are made for servers that stand in for Google's.
fn account_address(builder: &GoogleCloudStorageBuilder) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Account {
        gcs_base_url: Option<String>,
    }
    let key = builder.get_config_value(&GoogleConfigKey::ServiceAccountKey);
    let file = || std::fs::read_to_string(builder.get_config_value(&GoogleConfigKey::ServiceAccount)?).ok();
    serde_json::from_str::<Account>(&key.or_else(file)?).ok()?.gcs_base_url
}

/// Uploads that are not complete are not told of: Azure names blocks by nothing that says what they are, lists no blob that has
/// no others, and drops them by itself after a week.
pub(super) fn azure(container: &str, prefix: &Path, variables: &Variables) -> Opened {
    provide_tls();
    let mut builder = MicrosoftAzureBuilder::new().with_retry(retries());
    for (key, value) in PATIENCE {
        builder = builder.with_config(AzureConfigKey::Client(key), value);
    }
    for (name, value) in beginning(variables, "AZURE_") {
        if let Ok(key) = name.parse() {
            builder = builder.with_config(key, value);
        }
    }
    let azure = builder.with_container_name(container).build()?;
    let prefixed = Arc::new(PrefixStore::new(azure, prefix.clone()));
    Ok(Storage::new(prefixed.clone(), prefixed.clone()).with_signer(prefixed))
}
