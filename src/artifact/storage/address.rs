//! The address of a storage. Owns: its forms, and that no secret is in it: credentials come from the environment.

use std::{fmt, path::PathBuf, str::FromStr};

use object_store::path::Path;
use serde::{Deserialize, Deserializer, de};
use url::Url;

/// Where artifacts are kept, as people write it: `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`,
/// `file:///folder`, `memory://`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StorageUrl(pub(super) Place);

/// What an address names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// A folder of this machine.
    Folder(PathBuf),
    /// This process's memory: for trying out.
    Memory,
    /// A prefix in a bucket.
    Bucket { cloud: Cloud, bucket: String, prefix: Path },
}

/// Whose bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cloud {
    /// Amazon's, or whoever speaks S3.
    S3,
    /// Google's.
    Google,
    /// Microsoft's.
    Azure,
}

impl Cloud {
    const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Google => "gs",
            Self::Azure => "az",
        }
    }
}

/// The text is no storage's address. What was given is never repeated: it may hold a secret.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StorageUrlError {
    /// Write one that is.
    #[error(
        "not a storage: write s3://bucket/prefix, gs://bucket/prefix, az://container/prefix, file:///folder or memory://"
    )]
    Form,
    /// Take them out of the address.
    #[error(
        "a storage's address holds no credentials and no options: they come from the environment (AWS_…, GOOGLE_…, AZURE_…)"
    )]
    Secret,
}

impl FromStr for StorageUrl {
    type Err = StorageUrlError;

    fn from_str(text: &str) -> Result<Self, StorageUrlError> {
        let url = Url::parse(text).map_err(|_| StorageUrlError::Form)?;
        let bare = url.username().is_empty() && url.password().is_none();
        if !bare || url.query().is_some() || url.fragment().is_some() || url.port().is_some() {
            return Err(StorageUrlError::Secret);
        }
        let host = url.host_str().filter(|host| !host.is_empty());
        let cloud = match (url.scheme(), host) {
            ("file", None) => {
                let folder = url.to_file_path().map_err(|()| StorageUrlError::Form)?;
                return Ok(Self(Place::Folder(folder)));
            }
            ("memory", None) if matches!(url.path(), "" | "/") => return Ok(Self(Place::Memory)),
            ("s3", Some(_)) => Cloud::S3,
            ("gs", Some(_)) => Cloud::Google,
            ("az", Some(_)) => Cloud::Azure,
            _ => return Err(StorageUrlError::Form),
        };
        let prefix = Path::from_url_path(url.path()).map_err(|_| StorageUrlError::Form)?;
        let bucket = host.unwrap_or_default().to_owned();
        Ok(Self(Place::Bucket { cloud, bucket, prefix }))
    }
}

impl fmt::Display for StorageUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Folder(folder) => write!(f, "file://{}", folder.display()),
            Place::Memory => f.write_str("memory://"),
            Place::Bucket { cloud, bucket, prefix } => write!(f, "{}://{bucket}/{prefix}", cloud.scheme()),
        }
    }
}

impl<'de> Deserialize<'de> for StorageUrl {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read_and_shown_again() {
        for text in
            ["s3://books/presswork/a", "gs://books/", "az://books/x", "file:///var/lib/p", "memory://"]
        {
            assert_eq!(text.parse::<StorageUrl>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_address_or_holds_a_secret_is_refused_without_being_repeated() {
        for text in ["", "books", "s3://", "s3:///x", "ftp://a/b", "memory://x", "file://host/x"] {
            assert_eq!(text.parse::<StorageUrl>(), Err(StorageUrlError::Form), "{text}");
        }
        for text in
            ["s3://id:hunter2@books/x", "s3://books/x?secret=hunter2", "s3://books/x#hunter2", "s3://a:1/b"]
        {
            let error = text.parse::<StorageUrl>().unwrap_err();
            assert_eq!(error, StorageUrlError::Secret);
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
