//! What S3 and Google tell of unfinished uploads (`ListParts`, `ListMultipartUploads`: Google's XML API has them under the same
//! names), which `object_store` does not ask. The credentials are `object_store`'s: S3 is asked by signed addresses, Google with
//! the bearer's token. Answers are bounded, and so is the wait for them.

use std::time::Duration;

use async_trait::async_trait;
use object_store::{
    Error, Result,
    aws::AmazonS3,
    gcp::GoogleCloudStorage,
    path::Path,
    signer::{SignedUrlOptions, Signer as _, Url},
};

use super::{
    StoredPart, Unfinished,
    xml::{elements, text},
};
use crate::domain::Timestamp;

/// How long a signed address is good for: the request goes at once.
const SIGNED_FOR: Duration = Duration::from_secs(60);
/// An answer names at most 1,000 parts or uploads.
const MOST_ANSWER_BYTES: usize = 8 << 20;
/// More pages than 10,000 parts have, and enough uploads for one round of the sweep.
const MOST_PAGES: usize = 50;
const TRIES: u32 = 3;

/// Whose bucket it is, and what lets in.
#[derive(Debug)]
pub(super) enum Bucket {
    S3(AmazonS3),
    /// The bucket's own address.
    Google {
        google: GoogleCloudStorage,
        address: Url,
        /// Whether anybody is let in.
        is_public: bool,
    },
}

/// A bucket, and where in it the storage begins.
#[derive(Debug)]
pub(super) struct ListedUploads {
    bucket: Bucket,
    root: Path,
    http: reqwest::Client,
}

impl Bucket {
    /// A request for something about a key, the empty one for the bucket.
    async fn request(
        &self,
        http: &reqwest::Client,
        key: &Path,
        query: &[(&str, &str)],
    ) -> Result<reqwest::RequestBuilder> {
        match self {
            Self::S3(s3) => {
                let options = SignedUrlOptions::default().with_query(query.iter().copied());
                Ok(http.get(s3.signed_url_opts(reqwest::Method::GET, key, SIGNED_FOR, &options).await?))
            }
            Self::Google { google, address, is_public } => {
                let mut address = address.clone();
                address.path_segments_mut().map_err(|()| self.failed("no address"))?.extend(key.parts());
                address.query_pairs_mut().extend_pairs(query);
                let request = http.get(address);
                if *is_public {
                    return Ok(request);
                }
                Ok(request.bearer_auth(&google.credentials().get_credential().await?.bearer))
            }
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::S3(_) => "S3",
            Self::Google { .. } => "GCS",
        }
    }

    fn failed(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        Error::Generic { store: self.name(), source: cause.into() }
    }
}

impl ListedUploads {
    pub(super) fn new(bucket: Bucket, root: Path) -> std::result::Result<Self, reqwest::Error> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(5))
            .timeout(Duration::from_secs(30))
            .build()?;
        Ok(Self { bucket, root, http })
    }

    fn failed(&self, cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
        self.bucket.failed(cause)
    }

    /// Asks once more where the server is in trouble: what is asked changes nothing.
    async fn ask(&self, key: &Path, query: &[(&str, &str)]) -> Result<String> {
        let mut pause = Duration::from_millis(200);
        let mut tries = 1;
        loop {
            match self.ask_once(key, query).await {
                Err(Error::Generic { .. }) if tries < TRIES => tokio::time::sleep(pause).await,
                answer => return answer,
            }
            (pause, tries) = (pause * 4, tries + 1);
        }
    }

    async fn ask_once(&self, key: &Path, query: &[(&str, &str)]) -> Result<String> {
        let request = self.bucket.request(&self.http, key, query).await?;
        // A signed address is a secret for a minute: it must not be in an error.
        let answer = request.send().await.map_err(|error| self.failed(error.without_url()))?;
        let status = answer.status();
        let mut answer = answer;
        let mut body = Vec::new();
        while let Some(piece) = answer.chunk().await.map_err(|error| self.failed(error.without_url()))? {
            if body.len() + piece.len() > MOST_ANSWER_BYTES {
                return Err(self.failed("the answer is too long"));
            }
            body.extend_from_slice(&piece);
        }
        let body = String::from_utf8(body).map_err(|error| self.failed(error))?;
        if status.is_success() {
            return Ok(body);
        }
        let code = text(&body, "Code").unwrap_or_default().into_owned();
        if status == reqwest::StatusCode::NOT_FOUND && code != "NoSuchBucket" {
            return Err(Error::NotFound { path: key.to_string(), source: code.into() });
        }
        let path = key.to_string();
        match status.as_u16() {
            401 => Err(Error::Unauthenticated { path, source: code.into() }),
            403 => Err(Error::PermissionDenied { path, source: code.into() }),
            // What servers answer that speak S3 and do not know this request.
            400 | 405 | 501 => Err(Error::NotImplemented {
                operation: format!("a list of uploads or their parts ({status} {code})"),
                implementer: format!("the {} server", self.bucket.name()),
            }),
            _ => Err(self.failed(format!("{status} {code}"))),
        }
    }

    fn full(&self, key: &Path) -> Path {
        Path::from_iter(self.root.parts().chain(key.parts()))
    }
}

#[async_trait]
impl Unfinished for ListedUploads {
    async fn parts(&self, key: &Path, upload: &str) -> Result<Vec<StoredPart>> {
        let (full, mut parts, mut marker) = (self.full(key), Vec::new(), String::from("0"));
        for _ in 0..MOST_PAGES {
            let query = [("uploadId", upload), ("max-parts", "1000"), ("part-number-marker", &marker)];
            let answer = self.ask(&full, &query).await?;
            parts.extend(elements(&answer, "Part").filter_map(part));
            if text(&answer, "IsTruncated").as_deref() != Some("true") {
                return Ok(parts);
            }
            let next = text(&answer, "NextPartNumberMarker");
            marker = next
                .ok_or_else(|| self.failed("a list of parts does not say where it goes on"))?
                .into_owned();
        }
        Err(self.failed("a list of parts has no end"))
    }

    async fn uploads(&self, folder: &Path) -> Result<Vec<(Path, String)>> {
        let open = self.open(folder).await?;
        Ok(open.into_iter().map(|Open { key, upload, .. }| (key, upload)).collect())
    }

    async fn begun_before(&self, before: Timestamp) -> Result<Vec<(Path, String)>> {
        let open = self.open(&Path::default()).await?;
        let old = open.into_iter().filter(|open| open.begun.is_some_and(|begun| begun < before));
        Ok(old.map(|Open { key, upload, .. }| (key, upload)).collect())
    }
}

/// An upload that is not complete.
struct Open {
    key: Path,
    upload: String,
    begun: Option<Timestamp>,
}

impl Open {
    /// What an element tells, its key below the storage's root.
    fn read(element: &str, root: &Path) -> Option<Self> {
        let key = Path::parse(text(element, "Key")?).ok()?;
        let key = Path::from_iter(key.prefix_match(root)?);
        let begun = text(element, "Initiated").and_then(|time| time.parse().ok());
        Some(Self { key, upload: text(element, "UploadId")?.into_owned(), begun })
    }
}

impl ListedUploads {
    /// The open uploads of objects below a folder.
    async fn open(&self, folder: &Path) -> Result<Vec<Open>> {
        let full = self.full(folder);
        let prefix = if full.is_root() { String::new() } else { format!("{full}/") };
        let (mut uploads, mut markers) = (Vec::new(), None::<(String, String)>);
        for _ in 0..MOST_PAGES {
            let mut query = vec![("uploads", ""), ("prefix", prefix.as_str()), ("max-uploads", "1000")];
            if let Some((key, upload)) = &markers {
                query.extend([("key-marker", key.as_str()), ("upload-id-marker", upload.as_str())]);
            }
            let answer = self.ask(&Path::default(), &query).await?;
            let found = elements(&answer, "Upload").filter_map(|upload| Open::read(upload, &self.root));
            // S3 takes the prefix at its word; not everybody who speaks S3 does.
            uploads.extend(found.filter(|open| open.key.prefix_matches(folder)));
            let next = (text(&answer, "NextKeyMarker"), text(&answer, "NextUploadIdMarker"));
            match (text(&answer, "IsTruncated").as_deref(), next) {
                (Some("true"), (Some(key), Some(upload))) => {
                    markers = Some((key.into_owned(), upload.into_owned()));
                }
                _ => break,
            }
        }
        Ok(uploads)
    }
}

fn part(element: &str) -> Option<StoredPart> {
    let number: u32 = text(element, "PartNumber")?.parse().ok()?;
    let (bytes, id) = (text(element, "Size")?.parse().ok()?, text(element, "ETag")?.into_owned());
    Some(StoredPart { index: number.checked_sub(1)?, bytes, id })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_open_upload_tells_its_key_its_id_and_when_it_was_begun() {
        let element = "<Key>root/acme/files/a b&amp;c</Key><UploadId>x</UploadId><Initiated>2010-11-10T20:48:33.000Z</Initiated>";
        let open = Open::read(element, &Path::from("root")).unwrap();
        assert_eq!((open.key.as_ref(), open.upload.as_str()), ("acme/files/a b&c", "x"));
        assert_eq!(open.begun, Some("2010-11-10T20:48:33Z".parse().unwrap()));
        assert!(Open::read(element, &Path::from("other")).is_none());
        assert!(
            Open::read("<Key>root/a</Key><UploadId>x</UploadId>", &Path::from("root"))
                .unwrap()
                .begun
                .is_none()
        );
    }
}
