//! A file that is handed in for an import: it lies in the tenant's storage, or at an address from where the job fetches it.

use std::fmt;

use futures_util::StreamExt as _;
use object_store::{ObjectStore, ObjectStoreExt as _, path::Path as Key};
use presswork::{
    artifact::key,
    domain::{Failure, FileName},
    worker::Context,
};
use serde::{Deserialize, Serialize};

use super::{SourceFile, arriving::Arriving, web};
use crate::scratch::{Scratch, SealedFile};

/// Where uploads are, in the tenant's storage.
const FOLDERS: [&str; 2] = ["files/", "uploads/"];
/// How many bytes an address has at most.
const MOST_URL_BYTES: usize = 2_048;

/// A file that is handed in: `{"name": …, "key": …}` or `{"url": …}`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Given", into = "Given")]
pub struct Handed {
    /// As its owner knows it; in a folder the path from its root, with `/`. What comes from an address may have none: then the
    /// answer says it, or the address.
    pub name: Option<String>,
    /// Where it is.
    pub place: Place,
}

/// Where a file is that is handed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Its key in the tenant's storage: below `files/` where it was uploaded by the API (`PUT /v1/files/{name}`), below
    /// `uploads/` where it was by the command line.
    Key(String),
    /// Its address, `https://…`.
    Url(SourceUrl),
}

/// An address to fetch a file from. What stands behind `?` may be as good as a password, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct SourceUrl(String);

impl SourceUrl {
    /// Whether a text is meant for one.
    pub fn is_meant(text: &str) -> bool {
        let begins = |with: &str| text.get(..with.len()).is_some_and(|head| head.eq_ignore_ascii_case(with));
        begins("https://") || begins("http://")
    }

    /// An address as somebody writes it. Whether it may be called is found out when it is.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// All of it.
    pub(super) fn whole(&self) -> &str {
        &self.0
    }

    fn check(&self) -> Result<(), String> {
        if self.0.len() > MOST_URL_BYTES {
            return Err(format!("an address has at most {MOST_URL_BYTES} bytes"));
        }
        if !Self::is_meant(&self.0) {
            return Err(format!("{self} is no address to fetch from: it begins with https://"));
        }
        Ok(())
    }
}

impl fmt::Display for SourceUrl {
    /// Without what may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.split(['?', '#']).next().unwrap_or_default();
        let (scheme, rest) = shown.split_once("://").unwrap_or(("", shown));
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let host = authority.rsplit('@').next().unwrap_or_default();
        let sep = if scheme.is_empty() { "" } else { "://" };
        f.pad(&format!("{scheme}{sep}{host}{path}").chars().take(200).collect::<String>())
    }
}

impl fmt::Debug for SourceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// A file as the payload says it.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Given {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    url: Option<String>,
}

impl TryFrom<Given> for Handed {
    type Error = &'static str;

    fn try_from(Given { name, key, url }: Given) -> Result<Self, &'static str> {
        let place = match (key, url) {
            (Some(key), None) if name.is_some() => Place::Key(key),
            (Some(_), None) => return Err("a source with a `key` needs a `name`"),
            (None, Some(url)) => Place::Url(SourceUrl(url)),
            _ => return Err("a source has either a `key`, of an uploaded file, or a `url`"),
        };
        Ok(Self { name, place })
    }
}

impl From<Handed> for Given {
    fn from(Handed { name, place }: Handed) -> Self {
        match place {
            Place::Key(key) => Self { name, key: Some(key), url: None },
            Place::Url(url) => Self { name, key: None, url: Some(url.0) },
        }
    }
}

impl Handed {
    /// A file in the tenant's storage.
    pub fn at(key: impl Into<String>, name: impl Into<String>) -> Self {
        Self { name: Some(name.into()), place: Place::Key(key.into()) }
    }

    /// A file at an address.
    pub fn from_web(url: SourceUrl) -> Self {
        Self { name: None, place: Place::Url(url) }
    }

    pub(super) fn check(&self) -> Result<(), String> {
        let named = |text: &str| text.split('/').try_for_each(|name| name.parse::<FileName>().map(drop));
        self.name.as_deref().map_or(Ok(()), named).map_err(|error| error.to_string())?;
        let key = match &self.place {
            Place::Url(url) => return url.check(),
            Place::Key(key) => key,
        };
        match FOLDERS.iter().find_map(|folder| key.strip_prefix(folder)) {
            Some(below) => named(below).map_err(|error| error.to_string()),
            None => Err(format!("{key:?} is no upload: keys of uploads begin with files/ or uploads/")),
        }
    }

    /// Fetches it to scratch, where it can be sought in; answers how many of the bytes that may come are left.
    ///
    /// # Errors
    /// Where it is gone, may not be had, or is larger than `left`.
    pub(super) async fn fetch(
        &self,
        context: &Context,
        scratch: &Scratch,
        left: u64,
        too_large: &str,
    ) -> Result<(SourceFile, u64), Failure> {
        match &self.place {
            Place::Key(key) => {
                let name = self.name.as_deref().unwrap_or(key);
                let storage = context.storage();
                let (file, left) = fetch_object(&*storage, (key, name), scratch, left, too_large).await?;
                Ok((SourceFile::sealed(name, file), left))
            }
            Place::Url(url) => {
                let clock = context.shared_clock();
                let tell = |done: u64, total: u64| context.progress(done, total, "bytes fetched");
                let fetching = web::Fetch {
                    outgoing: context.outgoing().for_imports(),
                    url,
                    most: left,
                    too_large,
                    patience: &web::Patience::USUAL,
                    clock: &*clock,
                    tell: &tell,
                };
                let (fetched, file) = tokio::select! {
                    fetched = fetching.to(scratch) => fetched?,
                    () = context.cancelled() => return Err(Failure::Cancelled),
                };
                let name = self.name.as_deref().unwrap_or(&fetched.name);
                Ok((SourceFile::sealed(name, file), left.saturating_sub(fetched.bytes)))
            }
        }
    }
}

async fn fetch_object(
    storage: &dyn ObjectStore,
    (key, name): (&str, &str),
    scratch: &Scratch,
    left: u64,
    too_large: &str,
) -> Result<(SealedFile, u64), Failure> {
    let got = match storage.get(&object_key(key)?).await {
        Err(object_store::Error::NotFound { .. }) => {
            return Err(Failure::fatal(format_args!("{name}: the upload is gone: upload it again")));
        }
        got => got.map_err(Failure::retry)?,
    };
    let Some(left) = left.checked_sub(got.meta.size) else {
        return Err(Failure::fatal(format_args!("{name}: {too_large}")));
    };
    let mut file = Arriving::create(scratch).await?;
    let mut pieces = got.into_stream();
    while let Some(piece) = pieces.next().await {
        file.write(&piece.map_err(Failure::retry)?).await?;
    }
    Ok((file.finish().await?, left))
}

/// A key as it is on storage: each name in its normal form, and in letters of any script.
fn object_key(text: &str) -> Result<Key, Failure> {
    let names: Result<Vec<FileName>, _> = text.split('/').map(str::parse).collect();
    let names = names.map_err(Failure::fatal)?;
    Ok(key(names.iter().map(FileName::as_str)))
}

/// A file name for messages: as it is, where it is a proper name, else the letters of it.
pub(super) fn presentable(name: &str) -> String {
    match name.parse::<FileName>() {
        Ok(name) => name.to_string(),
        Err(_) => {
            let letters: String =
                name.chars().map(|c| if c.is_alphanumeric() || c == '.' { c } else { '_' }).collect();
            let letters: String = letters.trim_matches('.').chars().take(60).collect();
            letters.parse::<FileName>().map_or_else(|_| "manuscript".to_owned(), |name| name.to_string())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_a_key_or_an_address_and_an_address_shows_no_secrets() {
        let read = |json: &str| serde_json::from_str::<Handed>(json);
        let key = read(r#"{"name":"a.md","key":"files/a.md"}"#).unwrap();
        assert_eq!((key.check(), key.clone()), (Ok(()), Handed::at("files/a.md", "a.md")));
        let url = read(r#"{"url":"https://u:p@x.example/a/b.epub?token=secret#x"}"#).unwrap();
        assert_eq!(url.check(), Ok(()));
        let shown = format!("{url:?}");
        assert!(shown.contains("https://x.example/a/b.epub"), "{shown}");
        assert!(!shown.contains("secret") && !shown.contains("u:p"), "{shown}");
        let again = serde_json::to_string(&url).unwrap();
        assert_eq!(read(&again).unwrap(), url);
        for wrong in [
            r#"{"name":"a"}"#,
            r#"{"key":"files/a"}"#,
            r#"{"name":"a","key":"files/a","url":"https://x/"}"#,
            r#"{"url":"https://x/","other":1}"#,
        ] {
            assert!(read(wrong).is_err(), "{wrong}");
        }
        let long = format!("https://x.example/{}", "a".repeat(2_048));
        for wrong in ["ftp://x.example/a", "file:///etc/passwd", "/a", "", &long] {
            let handed = Handed::from_web(SourceUrl::new(wrong));
            assert!(handed.check().is_err(), "{wrong}");
        }
        let named = Handed { name: Some("../a".to_owned()), ..url };
        assert!(named.check().is_err());
    }
}
