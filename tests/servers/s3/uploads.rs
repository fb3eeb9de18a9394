//! What `s3s-fs` lacks of multipart uploads, and S3 has: who is under way (ListMultipartUploads), parts with their ETags and
//! in order, refusals of uploads that are gone, and parts checked before an upload is completed. And what S3 promises of an
//! object: it is read as one version or another, and of two writes on the same condition one is refused. Everything else is
//! passed on.
//!
//! An upload that is completed once more is gone: S3 is kinder for a while, others (MinIO) are not, and a client has to get
//! along with both.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::SystemTime,
};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::TryStreamExt as _;
use s3s::{
    S3, S3Request, S3Response, S3Result,
    dto::{
        AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
        CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateMultipartUploadInput,
        CreateMultipartUploadOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
        DeleteObjectsOutput, ETag, GetObjectInput, GetObjectOutput, HeadBucketInput, HeadBucketOutput,
        HeadObjectInput, HeadObjectOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
        ListObjectsInput, ListObjectsOutput, ListObjectsV2Input, ListObjectsV2Output, ListPartsInput,
        ListPartsOutput, MultipartUpload, Part, PutObjectInput, PutObjectOutput, Timestamp, UploadPartInput,
        UploadPartOutput,
    },
    s3_error,
};
use s3s_fs::FileSystem;
use tokio::sync::RwLock;

use super::orders::{Conditioned, Orders};

/// The least that a part but the last may have.
const LEAST_BYTES: i64 = 5 << 20;

#[derive(Clone)]
struct StoredPart {
    etag: ETag,
    bytes: i64,
    at: SystemTime,
}

struct Upload {
    key: String,
    begun: SystemTime,
    parts: BTreeMap<i32, StoredPart>,
}

/// A server's folder and its open uploads.
pub(super) struct Uploads {
    folder: FileSystem,
    open: Mutex<BTreeMap<String, Upload>>,
    orders: Arc<Orders>,
    /// Held while an object is replaced, as its text and its tag are two files; and, by many, while one is looked up.
    objects: RwLock<()>,
}

impl Uploads {
    pub(super) fn over(folder: FileSystem, orders: Arc<Orders>) -> Self {
        Self { folder, open: Mutex::default(), orders, objects: RwLock::default() }
    }

    fn open(&self) -> MutexGuard<'_, BTreeMap<String, Upload>> {
        self.open.lock().unwrap()
    }

    /// An error where there is no such upload to this key.
    fn known(&self, id: &str, key: &str) -> S3Result<()> {
        let open = self.open();
        let known = open.get(id).is_some_and(|upload| upload.key == key);
        if known { Ok(()) } else { Err(s3_error!(NoSuchUpload, "there is no such upload")) }
    }
}

fn now() -> SystemTime {
    #[expect(clippy::disallowed_methods, reason = "a server outside, whose time is its own")]
    SystemTime::now()
}

#[async_trait]
impl S3 for Uploads {
    async fn create_multipart_upload(
        &self,
        request: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let key = request.input.key.clone();
        let answer = self.folder.create_multipart_upload(request).await?;
        let id = answer.output.upload_id.clone().unwrap();
        self.open().insert(id, Upload { key, begun: now(), parts: BTreeMap::new() });
        Ok(answer)
    }

    async fn upload_part(
        &self,
        request: S3Request<UploadPartInput>,
    ) -> S3Result<S3Response<UploadPartOutput>> {
        let input = &request.input;
        let (id, number) = (input.upload_id.clone(), input.part_number);
        let bytes = input.content_length.unwrap_or_default();
        self.known(&id, &input.key)?;
        let answer = self.folder.upload_part(request).await?;
        let etag = answer.output.e_tag.clone().unwrap();
        if let Some(upload) = self.open().get_mut(&id) {
            upload.parts.insert(number, StoredPart { etag, bytes, at: now() });
        }
        Ok(answer)
    }

    async fn list_parts(&self, request: S3Request<ListPartsInput>) -> S3Result<S3Response<ListPartsOutput>> {
        let ListPartsInput { bucket, key, upload_id, max_parts, part_number_marker, .. } = request.input;
        self.known(&upload_id, &key)?;
        let most = usize::try_from(max_parts.unwrap_or(1_000).clamp(1, 1_000)).unwrap();
        let after = part_number_marker.unwrap_or(0);
        let stored: Vec<(i32, StoredPart)> = {
            let open = self.open();
            let parts = open.get(&upload_id).map(|upload| upload.parts.range(after + 1..));
            parts.into_iter().flatten().map(|(number, part)| (*number, part.clone())).collect()
        };
        let part = |(number, part): &(i32, StoredPart)| Part {
            part_number: Some(*number),
            e_tag: Some(part.etag.clone()),
            size: Some(part.bytes),
            last_modified: Some(Timestamp::from(part.at)),
            ..Part::default()
        };
        let is_truncated = stored.len() > most;
        let parts: Vec<Part> = stored.iter().take(most).map(part).collect();
        let next = parts.last().and_then(|part| part.part_number).filter(|_| is_truncated);
        Ok(S3Response::new(ListPartsOutput {
            bucket: Some(bucket),
            key: Some(key),
            upload_id: Some(upload_id),
            is_truncated: Some(is_truncated),
            max_parts,
            next_part_number_marker: next,
            parts: Some(parts),
            ..ListPartsOutput::default()
        }))
    }

    async fn list_multipart_uploads(
        &self,
        request: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let ListMultipartUploadsInput { bucket, prefix, key_marker, upload_id_marker, max_uploads, .. } =
            request.input;
        let most = usize::try_from(max_uploads.unwrap_or(1_000).clamp(1, 1_000)).unwrap();
        let begins = prefix.clone().unwrap_or_default();
        // In the order of keys, then ids: markers are the last key and id of the page before.
        let after =
            key_marker.clone().map(|key| (key, upload_id_marker.clone().unwrap_or("\u{10ffff}".into())));
        let mut found: Vec<(String, String, SystemTime)> = self
            .open()
            .iter()
            .filter(|(_, upload)| upload.key.starts_with(&begins))
            .map(|(id, upload)| (upload.key.clone(), id.clone(), upload.begun))
            .filter(|(key, id, _)| after.as_ref().is_none_or(|after| (key, id) > (&after.0, &after.1)))
            .collect();
        found.sort();
        let is_truncated = found.len() > most;
        found.truncate(most);
        let last = found.last().filter(|_| is_truncated).cloned();
        let upload = |(key, id, begun): (String, String, SystemTime)| MultipartUpload {
            key: Some(key),
            upload_id: Some(id),
            initiated: Some(Timestamp::from(begun)),
            ..MultipartUpload::default()
        };
        Ok(S3Response::new(ListMultipartUploadsOutput {
            bucket: Some(bucket),
            prefix,
            key_marker,
            upload_id_marker,
            max_uploads,
            is_truncated: Some(is_truncated),
            next_key_marker: last.as_ref().map(|(key, ..)| key.clone()),
            next_upload_id_marker: last.map(|(_, id, _)| id),
            uploads: Some(found.into_iter().map(upload).collect()),
            ..ListMultipartUploadsOutput::default()
        }))
    }

    async fn complete_multipart_upload(
        &self,
        request: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let (id, key) = (request.input.upload_id.clone(), request.input.key.clone());
        self.known(&id, &key)?;
        let asked =
            request.input.multipart_upload.clone().and_then(|upload| upload.parts).unwrap_or_default();
        let last = asked.len().saturating_sub(1);
        for (place, part) in asked.iter().enumerate() {
            let open = self.open();
            let stored = part.part_number.and_then(|number| open[&id].parts.get(&number));
            let stored = stored.ok_or_else(|| s3_error!(InvalidPart, "a part is not there"))?;
            if part.e_tag.as_ref().is_none_or(|etag| etag.value() != stored.etag.value()) {
                return Err(s3_error!(InvalidPart, "a part has another ETag"));
            }
            if place < last && stored.bytes < LEAST_BYTES {
                return Err(s3_error!(EntityTooSmall));
            }
        }
        let _replaces = self.objects.write().await;
        let mut answer = self.folder.complete_multipart_upload(request).await?;
        if let Some(rest) = answer.output.future.take() {
            answer.output = rest.await?;
        }
        self.open().remove(&id);
        Ok(answer)
    }

    async fn abort_multipart_upload(
        &self,
        request: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let id = request.input.upload_id.clone();
        self.known(&id, &request.input.key)?;
        let answer = self.folder.abort_multipart_upload(request).await?;
        self.open().remove(&id);
        Ok(answer)
    }

    async fn put_object(
        &self,
        mut request: S3Request<PutObjectInput>,
    ) -> S3Result<S3Response<PutObjectOutput>> {
        let input = &mut request.input;
        if input.if_match.is_some() || input.if_none_match.is_some() {
            match self.orders.conditioned() {
                Conditioned::Kept => {}
                Conditioned::Ignored => (input.if_match, input.if_none_match) = (None, None),
                Conditioned::Invalid => return Err(s3_error!(InvalidRequest, "no conditions here")),
                Conditioned::NotAllowed => return Err(s3_error!(MethodNotAllowed, "no conditions here")),
                Conditioned::NotImplemented => return Err(s3_error!(NotImplemented, "no conditions here")),
            }
        }
        // However slowly it comes, nobody waits for it but its sender.
        if let Some(body) = input.body.take() {
            let pieces: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
            input.body = Some(s3s::Body::from(pieces.concat()).into());
        }
        let _replaces = self.objects.write().await;
        self.folder.put_object(request).await
    }

    async fn get_object(&self, request: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let _looks = self.objects.read().await;
        self.folder.get_object(request).await
    }

    async fn head_object(
        &self,
        request: S3Request<HeadObjectInput>,
    ) -> S3Result<S3Response<HeadObjectOutput>> {
        let _looks = self.objects.read().await;
        self.folder.head_object(request).await
    }

    async fn head_bucket(
        &self,
        request: S3Request<HeadBucketInput>,
    ) -> S3Result<S3Response<HeadBucketOutput>> {
        self.folder.head_bucket(request).await
    }

    async fn copy_object(
        &self,
        request: S3Request<CopyObjectInput>,
    ) -> S3Result<S3Response<CopyObjectOutput>> {
        let _replaces = self.objects.write().await;
        self.folder.copy_object(request).await
    }

    async fn delete_object(
        &self,
        request: S3Request<DeleteObjectInput>,
    ) -> S3Result<S3Response<DeleteObjectOutput>> {
        let _replaces = self.objects.write().await;
        self.folder.delete_object(request).await
    }

    async fn delete_objects(
        &self,
        request: S3Request<DeleteObjectsInput>,
    ) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let _replaces = self.objects.write().await;
        self.folder.delete_objects(request).await
    }

    async fn list_objects(
        &self,
        request: S3Request<ListObjectsInput>,
    ) -> S3Result<S3Response<ListObjectsOutput>> {
        self.folder.list_objects(request).await
    }

    async fn list_objects_v2(
        &self,
        request: S3Request<ListObjectsV2Input>,
    ) -> S3Result<S3Response<ListObjectsV2Output>> {
        self.folder.list_objects_v2(request).await
    }
}
