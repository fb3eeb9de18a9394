//! Plain bytes into a file that appears only once it is whole. Must not know: where they come from.

use std::{
    io::Write as _,
    path::{Path, PathBuf},
};

use futures_util::StreamExt as _;

use super::{
    app::blocking,
    error::{CliError, ErrorKind},
};
use crate::{
    artifact::{ArtifactError, PlainBytes},
    domain::ArtifactPointer,
    engine::Engine,
};

/// Fetches an artifact, decoded, to a file that appears only once it is whole and its checksum held; answers where
/// that is. With `force` an ordinary file that is there is replaced.
///
/// # Errors
/// Where the file can't be written or is there, and where the artifact is gone or damaged.
pub async fn save_artifact(
    engine: &Engine,
    pointer: &ArtifactPointer,
    path: PathBuf,
    force: bool,
) -> Result<PathBuf, CliError> {
    save(engine.artifacts.read(pointer), path, force).await
}

/// The same with what `read` brings.
pub(super) async fn save(
    read: impl Future<Output = Result<PlainBytes, ArtifactError>>,
    path: PathBuf,
    force: bool,
) -> Result<PathBuf, CliError> {
    let path = blocking(move || destination(path, force)).await??;
    let target = path.clone();
    let beside = blocking(move || new_file_beside(&target)).await?;
    let (mut file, temporary) = beside.map_err(|error| cannot_write(&path, &error))?.into_parts();
    let mut pieces = read.await?;
    while let Some(piece) = pieces.next().await {
        let piece = piece?;
        file = blocking(move || file.write_all(&piece).map(|()| file))
            .await?
            .map_err(|error| cannot_write(&path, &error))?;
    }
    // Only now is it known to be what was written: the stream has compared the checksum.
    let target = path.clone();
    let kept = blocking(move || {
        file.sync_all()?;
        if force { temporary.persist(&target) } else { temporary.persist_noclobber(&target) }
            .map_err(|error| error.error)
    });
    kept.await?.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => is_there(&path),
        _ => cannot_write(&path, &error),
    })?;
    Ok(path)
}

/// Where the file goes: a link's own target, so that the link stays. Only an ordinary file is ever replaced. Blocks.
fn destination(path: PathBuf, force: bool) -> Result<PathBuf, CliError> {
    let Ok(there) = path.metadata() else { return Ok(path) };
    if there.is_dir() {
        return Err(CliError::usage(format_args!("{} is a folder", path.display()))
            .hint("name the file in it: -o FOLDER/FILE"));
    }
    if !there.is_file() {
        return Err(CliError::usage(format_args!("{} is no ordinary file", path.display()))
            .hint("-o - writes to standard output"));
    }
    if !force {
        return Err(is_there(&path));
    }
    path.canonicalize().map_err(|error| cannot_write(&path, &error))
}

/// A new file in the folder of `path`, with the permissions that any new file would have; gone unless it is kept.
fn new_file_beside(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut files = tempfile::Builder::new();
    #[cfg(unix)]
    files.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    files.prefix(".presswork-").suffix(".part").tempfile_in(folder)
}

fn is_there(path: &Path) -> CliError {
    CliError::usage(format_args!("{} is there already", path.display()))
        .hint("--force replaces it, -o FILE writes elsewhere")
}

fn cannot_write(path: &Path, error: &std::io::Error) -> CliError {
    match error.kind() {
        std::io::ErrorKind::NotFound => {
            CliError::usage(format_args!("{}: its folder is not there", path.display()))
        }
        _ => CliError::new(
            ErrorKind::Unavailable,
            format_args!("{} can't be written: {error}", path.display()),
        ),
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn only_an_ordinary_file_is_replaced_and_a_link_stays() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().canonicalize().unwrap();
        let at = |name: &str| folder.join(name);
        std::fs::write(at("file"), "x").unwrap();
        std::os::unix::fs::symlink(at("file"), at("link")).unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        std::os::unix::fs::symlink(at("socket"), at("link-to-socket")).unwrap();

        assert_eq!(destination(at("new"), false).unwrap(), at("new"));
        assert_eq!(destination(at("link"), true).unwrap(), at("file"));
        for (name, force) in
            [("file", false), ("link", false), ("socket", true), ("link-to-socket", true), ("", true)]
        {
            let error = destination(at(name), force).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Usage, "{name}: {error}");
        }
    }
}
