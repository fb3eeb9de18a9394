//! Conditional writes (`If-Match`, `If-None-Match`) on a server that may not keep them: much that speaks S3 refuses them, or
//! takes no notice and writes. So each is tried out before the first write that rests on it, once a storage and process. Where
//! it does not hold, this looks before it writes, one task of the process at a time, and says so once. Must not know: what is
//! stored.

use std::{
    fmt,
    ops::Range,
    sync::{Arc, Once},
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::stream::BoxStream;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions,
    Result, UpdateVersion, path::Path,
};
use tokio::sync::{Mutex, OnceCell};

/// What is written to find out, always the same: several processes may try at once. No tenant's name begins with a dot. It
/// stays, as another process would take one that goes meanwhile for a condition that was not kept.
const MARK: &str = ".presswork/conditions";
const MARKED: &[u8] = b"Written to find out whether this storage keeps the conditions of writes.\n";
/// A tag that no object has.
const NO_TAG: &str = "\"00000000000000000000000000000000\"";
/// Others who try at once may have written the mark between a look at its tag and a write that names it.
const TRIES: u32 = 5;

/// A storage whose conditions are kept, by itself or by this.
pub(super) struct Conditions {
    objects: Arc<dyn ObjectStore>,
    learnt: OnceCell<Learnt>,
    /// Whether it was told that the mark can't be written.
    denied: Once,
}

/// Which conditions the storage keeps by itself.
#[derive(Clone, Copy, Debug)]
struct Learnt {
    creates: bool,
    updates: bool,
}

/// What a condition was found to be.
#[derive(Debug)]
enum Trial {
    Kept,
    /// What must not be written was written.
    Ignored,
    /// Whatever it says, nothing is written.
    Refused(String),
    /// Nobody is asked: the environment says so.
    Off,
}

impl fmt::Display for Trial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Kept => f.write_str("kept"),
            Self::Ignored => f.write_str("ignored"),
            Self::Refused(why) => write!(f, "refused ({why})"),
            Self::Off => f.write_str("off"),
        }
    }
}

/// How a write on a condition ended.
enum Ended {
    Written,
    /// The condition did not hold.
    Kept,
    Refused(Error),
}

impl Conditions {
    pub(super) fn over(objects: Arc<dyn ObjectStore>) -> Self {
        Self { objects, learnt: OnceCell::new(), denied: Once::new() }
    }

    /// What the storage keeps, tried out where nobody has.
    async fn learnt(&self) -> Result<Learnt> {
        match self.learnt.get_or_try_init(|| self.learn()).await {
            // That may pass, so nothing is learnt by it.
            Err(error @ Error::PermissionDenied { .. }) => {
                self.denied.call_once(|| {
                    tracing::warn!(
                        storage = %self.objects, %error,
                        "{MARK} can't be written, so whether the storage keeps the conditions of writes is not known: they are relied on"
                    );
                });
                Ok(Learnt { creates: true, updates: true })
            }
            learnt => learnt.copied(),
        }
    }

    async fn learn(&self) -> Result<Learnt> {
        let (create, update) = (self.try_creating().await?, self.try_updating().await?);
        match (&create, &update) {
            (Trial::Kept, Trial::Kept) => {}
            (Trial::Off, Trial::Off) => {
                tracing::info!(storage = %self.objects, "conditional writes are off: let one process run the kinds that change books");
            }
            _ => tracing::warn!(
                storage = %self.objects, if_match = %update, if_none_match = %create,
                "the storage does not keep the conditions of writes: two processes that change the same book in the same instant \
                 may lose a change. Let one process run the kinds that change them (`up --kind`), or take a storage that keeps conditions. \
                 AWS_CONDITIONAL_PUT=disabled spares finding out and this warning, and mends nothing"
            ),
        }
        Ok(Learnt { creates: matches!(create, Trial::Kept), updates: matches!(update, Trial::Kept) })
    }

    /// Whether a new object takes no other one's place. The mark is there then.
    async fn try_creating(&self) -> Result<Trial> {
        for _ in 0..2 {
            match self.try_out(PutMode::Create).await? {
                Ended::Written => {}
                Ended::Kept => return Ok(Trial::Kept),
                Ended::Refused(error) => return self.refused(PutMode::Create, error).await,
            }
        }
        Ok(Trial::Ignored)
    }

    /// Whether an object is replaced where it is the one that is named, and nowhere else.
    async fn try_updating(&self) -> Result<Trial> {
        let other = UpdateVersion { e_tag: Some(NO_TAG.to_owned()), version: None };
        match self.try_out(PutMode::Update(other.clone())).await? {
            Ended::Written => return Ok(Trial::Ignored),
            Ended::Refused(error) => return self.refused(PutMode::Update(other), error).await,
            Ended::Kept => {}
        }
        for _ in 0..TRIES {
            let there = self.objects.head(&Path::from(MARK)).await?;
            let version = UpdateVersion { e_tag: there.e_tag, version: there.version };
            if version.e_tag.is_none() {
                return Ok(Trial::Refused("its objects have no tags".to_owned()));
            }
            match self.try_out(PutMode::Update(version.clone())).await? {
                Ended::Written => return Ok(Trial::Kept),
                Ended::Refused(error) => return self.refused(PutMode::Update(version), error).await,
                Ended::Kept => {}
            }
        }
        Ok(Trial::Refused("it does not know its own tags again".to_owned()))
    }

    async fn try_out(&self, mode: PutMode) -> Result<Ended> {
        let (mark, payload) = (Path::from(MARK), PutPayload::from_static(MARKED));
        match self.objects.put_opts(&mark, payload, mode.into()).await {
            Ok(_) => Ok(Ended::Written),
            Err(Error::AlreadyExists { .. } | Error::Precondition { .. } | Error::NotModified { .. }) => {
                Ok(Ended::Kept)
            }
            Err(error) if may_refuse_conditions(&error) => Ok(Ended::Refused(error)),
            Err(error) => Err(error),
        }
    }

    /// A refusal is one of the condition where the same is written without it, and refused once more with it: servers say such
    /// things for reasons that pass, too.
    async fn refused(&self, mode: PutMode, error: Error) -> Result<Trial> {
        if matches!(error, Error::NotImplemented { .. }) {
            return Ok(Trial::Off);
        }
        self.objects.put(&Path::from(MARK), PutPayload::from_static(MARKED)).await?;
        match self.try_out(mode).await? {
            Ended::Refused(error) => Ok(Trial::Refused(error.to_string())),
            Ended::Written | Ended::Kept => Err(error),
        }
    }

    /// Looks, then writes: as good as can be where the storage keeps no conditions.
    async fn look_and_put(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        // Of the whole process: it may have opened a storage twice.
        static TURN: Mutex<()> = Mutex::const_new(());
        let _turn = TURN.lock().await;
        let there = match self.objects.head(key).await {
            Ok(there) => Some(there),
            Err(Error::NotFound { .. }) => None,
            Err(error) => return Err(error),
        };
        let path = key.to_string();
        match (&options.mode, there) {
            (PutMode::Create, Some(_)) => {
                return Err(Error::AlreadyExists { path, source: "it is there already".into() });
            }
            (PutMode::Update(version), there) if !there.as_ref().is_some_and(|it| is_that(it, version)) => {
                let source = "it is not the one that was read any more".into();
                return Err(Error::Precondition { path, source });
            }
            _ => {}
        }
        self.objects.put_opts(key, payload, PutOptions { mode: PutMode::Overwrite, ..options }).await
    }
}

/// Whether an object is the version that is named.
fn is_that(object: &ObjectMeta, version: &UpdateVersion) -> bool {
    object.e_tag == version.e_tag && (version.version.is_none() || object.version == version.version)
}

/// Whether a server may mean by its answer that it takes no conditions; whether it does is seen where it takes the same write
/// without one.
fn may_refuse_conditions(error: &Error) -> bool {
    match error {
        // A signature is refused where something on the way took the condition, which was signed, out of the request.
        Error::NotImplemented { .. } | Error::PermissionDenied { .. } => true,
        Error::Generic { .. } => {
            let text = error.to_string();
            ["status code: 400", "status code: 405", "status code: 501"]
                .iter()
                .any(|code| text.contains(code))
        }
        _ => false,
    }
}

impl fmt::Debug for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Conditions").field("objects", &self.objects).field("learnt", &self.learnt).finish()
    }
}

impl fmt::Display for Conditions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.objects.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Conditions {
    async fn put_opts(&self, key: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_kept = match &options.mode {
            PutMode::Overwrite => true,
            PutMode::Create => self.learnt().await?.creates,
            PutMode::Update(_) => self.learnt().await?.updates,
        };
        if is_kept {
            return self.objects.put_opts(key, payload, options).await;
        }
        self.look_and_put(key, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.objects.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        self.objects.get_opts(key, options).await
    }

    async fn get_ranges(&self, key: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.objects.get_ranges(key, ranges).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.objects.delete_stream(keys)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list(prefix)
    }

    fn list_with_offset(
        &self,
        prefix: Option<&Path>,
        offset: &Path,
    ) -> BoxStream<'static, Result<ObjectMeta>> {
        self.objects.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.objects.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.objects.copy_opts(from, to, options).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.objects.rename_opts(from, to, options).await
    }
}
