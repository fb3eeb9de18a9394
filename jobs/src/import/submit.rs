//! `presswork enqueue import FILE --project ID`: uploads the manuscript below `uploads/<job>/`, then asks for the job. An address in place of
//! the file is for the job to fetch.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use clap::Args;
use object_store::{ObjectStore, WriteMultipart};
use presswork::{
    artifact::{advice, key},
    cli::{CliError, Door, Submit, one_of},
    domain::{FileName, ProjectId},
};
use tokio::io::AsyncReadExt as _;

use super::{
    ChapterMark, Handed, Import, SourceFile, SourceFormat, SourceUrl, handed::presentable, job::MOST_BYTES,
    unpack::is_part,
};

/// What `enqueue import` is told.
#[derive(Debug, Args)]
pub struct ImportArguments {
    /// The manuscript: a Markdown, text, HTML, EPUB or DOCX file, a JSON export, or a folder or ZIP archive of chapters; or the
    /// https:// address of a file, which the job fetches
    #[arg(required_unless_present = "key")]
    path: Option<PathBuf>,
    /// A file in storage in place of one on this machine, as the API's uploads are: files/novel.epub
    #[arg(long, conflicts_with = "path")]
    key: Option<String>,
    /// The project that it goes into; what that holds is replaced
    #[arg(long)]
    project: ProjectId,
    /// What it is [default: told by its content]
    #[arg(long, value_parser = one_of::<SourceFormat>(SourceFormat::ALL.map(SourceFormat::name)))]
    format: Option<SourceFormat>,
    /// Where chapters begin: h1 to h6, numbers, capitals, or a pattern such as "Chapter *"; may be repeated [default: told by the
    /// manuscript]
    #[arg(long, value_name = "MARK")]
    chapters: Vec<ChapterMark>,
    /// A title in place of the manuscript's own
    #[arg(long)]
    title: Option<String>,
    /// An author in place of the manuscript's own; may be repeated
    #[arg(long = "author")]
    authors: Vec<String>,
    /// A language (BCP 47, such as en or de-AT) in place of the manuscript's own
    #[arg(long)]
    language: Option<String>,
}

impl ImportArguments {
    /// A manuscript for a project, with nothing said about it.
    pub fn new(path: PathBuf, project: ProjectId) -> Self {
        Self {
            path: Some(path),
            key: None,
            project,
            format: None,
            chapters: Vec::new(),
            title: None,
            authors: Vec::new(),
            language: None,
        }
    }
}

impl Submit for Import {
    const ABOUT: &'static str = "Brings a manuscript into a project";
    type Arguments = ImportArguments;

    async fn prepare(arguments: ImportArguments, door: &Door) -> Result<Self, CliError> {
        let (mut source, mut folder) = (Vec::new(), false);
        if let Some(url) = arguments.path.as_deref().and_then(address) {
            source.push(Handed::from_web(url));
        } else if let Some(path) = &arguments.path {
            let manuscript = manuscript(path).await?;
            folder = manuscript.folder;
            for (place, file) in manuscript.files.iter().enumerate() {
                source.push(upload(door, place, file).await?);
            }
        }
        source.extend(arguments.key.map(|key| {
            let name = key.rsplit('/').next().map(presentable).unwrap_or_default();
            Handed::at(key, name)
        }));
        Ok(Self {
            project: arguments.project,
            source,
            folder,
            format: arguments.format,
            chapters: arguments.chapters,
            title: arguments.title,
            authors: arguments.authors,
            language: arguments.language,
        })
    }
}

/// The address that is given in place of a file.
pub(super) fn address(path: &Path) -> Option<SourceUrl> {
    path.to_str().filter(|text| SourceUrl::is_meant(text)).map(SourceUrl::new)
}

/// A file on this machine and what it is called.
#[derive(Debug)]
struct LocalFile {
    name: String,
    path: PathBuf,
}

#[derive(Debug)]
struct Manuscript {
    files: Vec<LocalFile>,
    folder: bool,
}

async fn manuscript(path: &Path) -> Result<Manuscript, CliError> {
    let path = path.to_owned();
    let looked = tokio::task::spawn_blocking(move || look(&path)).await;
    looked.map_err(|error| CliError::unavailable(format_args!("the manuscript can't be read: {error}")))?
}

/// Blocking.
fn look(path: &Path) -> Result<Manuscript, CliError> {
    let unreadable = |error| CliError::usage(format_args!("{} can't be read: {error}", path.display()));
    let there = std::fs::metadata(path).map_err(unreadable)?;
    if !there.is_dir() {
        // A device or a pipe may have no end.
        if !there.is_file() {
            return Err(CliError::usage(format_args!("{} is neither a file nor a folder", path.display())));
        }
        check_size(there.len())?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let files = vec![LocalFile { name: presentable(&name), path: path.to_owned() }];
        return Ok(Manuscript { files, folder: false });
    }
    let (mut files, mut bytes) = (Vec::new(), 0);
    collect(path, "", &mut files, &mut bytes)?;
    check_size(bytes)?;
    if files.is_empty() {
        let path = path.display();
        return Err(CliError::usage(format_args!(
            "{path} holds no Markdown, HTML or text files: give a file, or another folder"
        )));
    }
    files.sort_by(|one, two| one.name.cmp(&two.name));
    Ok(Manuscript { files, folder: true })
}

/// The book's files below a folder of this machine. Blocking.
pub(crate) fn local_folder(path: &Path) -> Result<Vec<SourceFile>, CliError> {
    let files = look(path)?.files;
    Ok(files.into_iter().map(|LocalFile { name, path }| SourceFile::new(name, path)).collect())
}

/// The book's files below a folder. Hidden ones are left out and links are not followed: what is outside of the
/// folder was not given.
fn collect(folder: &Path, prefix: &str, files: &mut Vec<LocalFile>, bytes: &mut u64) -> Result<(), CliError> {
    let unreadable = |error| CliError::usage(format_args!("{} can't be read: {error}", folder.display()));
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let (kind, file) = (entry.file_type().map_err(unreadable)?, entry.file_name());
        let Some(name) = file.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = entry.path();
        let is_wanted = kind.is_dir() || (kind.is_file() && is_part(name));
        if !is_wanted {
            continue;
        }
        let name: FileName = name.parse()?;
        if kind.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), files, bytes)?;
        } else {
            *bytes += entry.metadata().map_err(unreadable)?.len();
            files.push(LocalFile { name: format!("{prefix}{name}"), path });
        }
    }
    Ok(())
}

/// Said before anything is copied, not when the job runs.
fn check_size(bytes: u64) -> Result<(), CliError> {
    if bytes > MOST_BYTES {
        return Err(CliError::usage("a manuscript may have 4 GiB at most"));
    }
    Ok(())
}

/// Uploads one file for a job that takes no more than `most` bytes.
pub(super) async fn upload_file(
    door: &Door,
    path: &Path,
    most: u64,
    too_large: &str,
) -> Result<Handed, CliError> {
    let there = tokio::fs::metadata(path).await;
    let there =
        there.map_err(|error| CliError::usage(format_args!("{} can't be read: {error}", path.display())))?;
    // A device or a pipe may have no end.
    if !there.is_file() {
        return Err(CliError::usage(format_args!("{} is no file", path.display())));
    }
    if there.len() > most {
        return Err(CliError::usage(too_large));
    }
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    upload(door, 0, &LocalFile { name: presentable(&name), path: path.to_owned() }).await
}

/// In what pieces a manuscript is read from the disk.
const READ_BYTES: usize = 256 << 10;

async fn upload(door: &Door, place: usize, file: &LocalFile) -> Result<Handed, CliError> {
    let (job, number) = (door.job().to_string(), format!("{place:04}"));
    let key = key(["uploads", &job, &number]);
    send(door.storage(), &key, &file.path).await.map_err(|error| {
        let of_storage = error.get_ref().and_then(|error| error.downcast_ref::<object_store::Error>());
        let hint = of_storage.and_then(advice);
        CliError::unavailable(format_args!("{} can't be uploaded: {error}", file.path.display()))
            .hint(hint.unwrap_or_else(|| "free disk space or mend permissions, then try again".to_owned()))
    })?;
    Ok(Handed::at(key.to_string(), file.name.clone()))
}

async fn send(
    storage: &Arc<dyn ObjectStore>,
    key: &object_store::path::Path,
    path: &Path,
) -> std::io::Result<()> {
    // What grows meanwhile, or has no length, ends here too; one byte too many is noticed by the job.
    let mut file = tokio::fs::File::open(path).await?.take(MOST_BYTES + 1);
    let mut upload = WriteMultipart::new(storage.put_multipart_opts(key, Default::default()).await?);
    let mut piece = vec![0; READ_BYTES];
    loop {
        let bytes = file.read(&mut piece).await?;
        if bytes == 0 {
            break;
        }
        upload.wait_for_capacity(2).await?;
        upload.write(&piece[..bytes]);
    }
    upload.finish().await?;
    Ok(())
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn what_has_no_end_is_no_manuscript() {
        let folder = tempfile::tempdir().unwrap();
        let socket = folder.path().join("book.md");
        let _socket = std::os::unix::net::UnixListener::bind(&socket).unwrap();
        let error = look(&socket).unwrap_err();
        assert!(error.to_string().contains("neither a file nor a folder"), "{error}");

        let huge = folder.path().join("huge.md");
        std::fs::File::create(&huge).unwrap().set_len(MOST_BYTES + 1).unwrap();
        assert!(look(&huge).unwrap_err().to_string().contains("4 GiB"));
        assert!(look(folder.path()).unwrap_err().to_string().contains("4 GiB"));
    }
}
